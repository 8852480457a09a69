import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from lightning_modules.cfnsr import CFNSR, AudioSelfAttention, CrossModalBlock, sinusoidal_positions
from lightning_modules.errors import TaskError
from lightning_modules.nn.backbones import MFCCNet, ResNeXt3D

PAPER = {"video": [3, 30, 224, 224], "audio": [13, 212]}
SHAPES = {"video": [3, 8, 64, 64], "audio": [13, 60]}


def small(**options):
    torch.manual_seed(0)
    video = ResNeXt3D((1, 1, 1, 1), width=4, cardinality=2)
    options = {"audio": MFCCNet(channels=(8, 16)), "attention_layers": 2, "attention_heads": 4, **options}
    model = CFNSR(5, SHAPES, video=video, **options)
    with torch.no_grad():  # batch norm that is not the identity in evaluation
        for module in model.modules():
            if isinstance(module, nn.BatchNorm1d | nn.BatchNorm3d):
                module.running_mean.normal_(0, 0.1)
                module.running_var.uniform_(0.5, 2)
    return model


def batch(size=4, seed=1):
    generator = torch.Generator().manual_seed(seed)
    return {
        "id": [str(i) for i in range(size)],
        "video": torch.randn(size, *SHAPES["video"], generator=generator),
        "audio": torch.randn(size, *SHAPES["audio"], generator=generator) * 50 - 100,
        "mask": {"video": torch.ones(size, dtype=torch.bool), "audio": torch.ones(size, dtype=torch.bool)},
        "target": torch.arange(size) % 5,
    }


def rows(whole, *indices):
    index = list(indices)
    return {
        "video": whole["video"][index],
        "audio": whole["audio"][index],
        "mask": {name: mask[index] for name, mask in whole["mask"].items()},
    }


@pytest.mark.parametrize(
    ("options", "parameters"),
    [
        ({}, 26_301_417),
        ({"cross_modal": False}, 25_916_072),
        ({"residual": False}, 26_301_417),
        ({"self_attention": False}, 26_051_369),
    ],
    ids=str,
)
def test_parameters_are_the_papers(options, parameters):
    assert sum(p.numel() for p in CFNSR(8, PAPER, **options).parameters()) == parameters


def test_stages_run_from_input_to_head_and_hold_every_parameter_once():
    stages = {name: sum(p.numel() for p in group) for name, group in CFNSR(8, PAPER).stage_parameters().items()}
    assert list(stages) == [
        *("video_stem", "video_layer1", "video_layer2", "video_layer3", "video_layer4"),
        *("audio", "block", "head"),
    ]
    assert (stages["audio"], stages["block"], stages["head"]) == (20_704, 385_345, 29_704)
    assert sum(stages.values()) == 26_301_417
    assert CFNSR(8, PAPER, cross_modal=False).stage_parameters()["block"] == []


def test_shapes_at_the_papers_size():
    with torch.device("meta"):
        model = CFNSR(8, PAPER)
        output = model({"video": torch.empty(2, 3, 30, 224, 224), "audio": torch.empty(2, 13, 212)})
    assert output["logits"].shape == (2, 8)
    assert output["aux"]["attention"].shape == (2, 2, 7, 7)
    assert output["aux"]["embedding"].shape == (2, 3712)


def test_a_clip_alone_is_scored_as_in_a_batch():
    model, whole = small().eval(), batch()
    together = model(whole)
    for i in range(4):
        alone = model(rows(whole, i))
        torch.testing.assert_close(alone["logits"][0], together["logits"][i], atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(alone["aux"]["attention"][0], together["aux"]["attention"][i])


def test_batch_scope_mixes_clips_as_the_released_code_does():
    model, whole = small(attention_scope="batch").eval(), batch()
    together, alone = model(whole)["logits"][0], model(rows(whole, 0))["logits"][0]
    assert (together - alone).abs().max() > 1e-3


def block(scope="sample", residual=True, video_channels=6, audio_channels=4, attention=None):
    torch.manual_seed(0)
    return CrossModalBlock(video_channels, audio_channels, attention, residual, scope)


@pytest.mark.parametrize("size", [1, 4, 16])
def test_batch_scope_amplifies_by_the_batch_size(size):
    video, audio, last = torch.ones(size, 6, 2, 7, 7), torch.randn(size, 4, 5), torch.full((size,), 4)
    for scope, gain in (("batch", 1 + size / 49), ("sample", 1 + 1 / 49)):
        weighted, _ = block(scope)(video, audio, last)
        torch.testing.assert_close(weighted.mean((1, 3, 4)), torch.full((size, 2), gain))


@pytest.mark.parametrize("residual", [True, False])
@pytest.mark.parametrize("scope", ["sample", "batch"])
def test_block_equals_the_loop_over_clips_steps_and_places(scope, residual):
    module = block(scope, residual)
    video, audio, last = torch.randn(3, 6, 2, 3, 4), torch.randn(3, 4, 5), torch.tensor([4, 2, 0])
    weighted, attention = module(video, audio, last)
    maps = torch.zeros(3, 2, 3, 4)
    for b in range(3):
        query = module.y_affine.weight @ audio[b, :, last[b]]
        for t in range(2):
            for h in range(3):
                for w in range(4):
                    place = module.x_affine.weight @ video[b, :, t, h, w] + module.x_affine.bias
                    maps[b, t, h, w] = module.score.weight[0] @ torch.tanh(place + query) + module.score.bias[0]
            maps[b, t] = maps[b, t].exp() / maps[b, t].exp().sum()
    expected = torch.stack([video[b] * (maps.sum(0) if scope == "batch" else maps[b]) for b in range(3)])
    torch.testing.assert_close(attention, maps)
    torch.testing.assert_close(weighted, expected + video if residual else expected)


def naive_encoder(module, x, heads):
    """Pre-norm causal transformer written out with plain matrix products."""
    steps, dim = x.shape
    size = dim // heads
    half = dim // 2
    angles = [[p * math.exp(-math.log(10000) * j / (half - 1)) for j in range(half)] for p in range(1, steps + 1)]
    positions = torch.tensor([[math.sin(a) for a in row] + [math.cos(a) for a in row] for row in angles])
    x = x * math.sqrt(dim) + positions
    for layer in module.encoder.layers:
        y = F.layer_norm(x, (dim,), layer.norm1.weight, layer.norm1.bias)
        q, k, v = (y @ layer.self_attn.in_proj_weight.T + layer.self_attn.in_proj_bias).split(dim, dim=1)
        parts = []
        for h in range(heads):
            part = slice(h * size, (h + 1) * size)
            scores = q[:, part] @ k[:, part].T * size**-0.5
            future = torch.arange(steps)[None] > torch.arange(steps)[:, None]
            parts.append(scores.masked_fill(future, -math.inf).softmax(1) @ v[:, part])
        x = x + layer.self_attn.out_proj(torch.cat(parts, dim=1))
        y = F.layer_norm(x, (dim,), layer.norm2.weight, layer.norm2.bias)
        x = x + layer.linear2(torch.relu(layer.linear1(y)))
    return F.layer_norm(x, (dim,), module.encoder.norm.weight, module.encoder.norm.bias)


@pytest.mark.parametrize("training", [True, False])
def test_self_attention_equals_the_plain_matrix_products(training):
    torch.manual_seed(0)
    module = AudioSelfAttention(16, 7, layers=2, heads=4, embedding_dropout=0.0, dropout=0.0).train(training)
    audio = torch.randn(3, 7, 16)
    with torch.set_grad_enabled(training):  # torch takes another path without gradients
        encoded = module(audio)
        for b in range(3):
            torch.testing.assert_close(encoded[b], naive_encoder(module, audio[b], heads=4), atol=1e-5, rtol=1e-5)


def test_self_attention_has_the_papers_parameters_and_initialisation():
    module = AudioSelfAttention(64, 26, layers=5, heads=8, embedding_dropout=0.3, dropout=0.1)
    assert sum(p.numel() for p in module.parameters()) == 250_048
    assert sum(p.numel() for p in module.encoder.layers[0].parameters()) == 49_984
    for name, parameter in module.encoder.named_parameters():
        if name.endswith("bias"):
            assert not parameter.any()
        elif parameter.ndim == 2:
            bound = (6 / sum(parameter.shape)) ** 0.5
            assert 0.98 * bound < parameter.abs().max() <= bound
    first, second = module.encoder.layers[0].linear1.weight, module.encoder.layers[1].linear1.weight
    assert not torch.equal(first, second)
    assert list(module.state_dict()) == [name for name, _ in module.named_parameters()]


def test_positions_start_at_one_with_sines_beside_cosines():
    positions = sinusoidal_positions(26, 64)
    assert positions.shape == (26, 64)
    torch.testing.assert_close(positions[0, [0, 32]], torch.tensor([math.sin(1), math.cos(1)]))
    torch.testing.assert_close(positions[25, [31, 63]], torch.tensor([math.sin(0.0026), math.cos(0.0026)]))


@pytest.mark.parametrize("training", [True, False])
def test_self_attention_is_causal(training):
    module = AudioSelfAttention(16, 9, layers=3, heads=2, embedding_dropout=0.0, dropout=0.0).train(training)
    audio = torch.randn(2, 9, 16)
    changed = audio.clone()
    changed[:, 5:] = torch.randn(2, 4, 16)
    with torch.set_grad_enabled(training):
        before, after = module(audio), module(changed)
    torch.testing.assert_close(before[:, :5], after[:, :5])
    assert (before[:, 5:] - after[:, 5:]).abs().amin(2).max() > 0


def test_padding_behind_length_does_not_count():
    model, whole = small(cross_modal=True).eval(), batch()
    whole["length"] = {"audio": torch.tensor([60, 60, 28, 28])}
    steps = MFCCNet.steps(28)
    features = {}
    model.audio.register_forward_hook(lambda m, i, out: features.setdefault("audio", out))
    logits = model(whole)["logits"]
    noise = features["audio"].clone()
    noise[2:, :, steps:] = 1e3
    model.audio.register_forward_hook(lambda m, i, out: noise)
    torch.testing.assert_close(model(whole)["logits"], logits)
    noise[2, :, steps - 1] += 10  # the last valid step does count
    assert not torch.allclose(model(whole)["logits"][2], logits[2])


def test_without_lengths_the_query_is_the_last_audio_step():
    """As the features table runs it: the same as with every clip's full length given, in output and attention."""
    model, whole = small(cross_modal=True).eval(), batch()
    given = {**whole, "length": {"audio": torch.full((4,), whole["audio"].shape[-1])}}
    without = model({**whole, "length": {}})
    for found, expected in zip(
        torch.utils._pytree.tree_leaves(without), torch.utils._pytree.tree_leaves(model(given)), strict=True
    ):
        assert torch.equal(found, expected)
    shorter = {**whole, "length": {"audio": torch.full((4,), 28)}}
    assert not torch.equal(model(shorter)["aux"]["attention"], without["aux"]["attention"])


@pytest.mark.parametrize("modality", ["video", "audio"])
@pytest.mark.parametrize("value", [0.0, 1e4, float("nan"), float("inf")])
def test_what_stands_in_an_absent_modality_is_never_seen(modality, value):
    model, whole = small().eval(), batch()
    whole["mask"][modality][1] = False
    reference = model(whole)
    whole[modality][1] = value
    output = model(whole)
    assert torch.equal(output["logits"], reference["logits"])
    assert torch.isfinite(output["aux"]["attention"]).all()
    embedding = output["aux"]["embedding"][1]
    video = embedding[: model.video.channels]
    assert not (video if modality == "video" else embedding[model.video.channels :]).any()


def test_both_modalities_absent_gives_finite_scores():
    model, whole = small().eval(), batch()
    for mask in whole["mask"].values():
        mask[0] = False
    assert torch.isfinite(model(whole)["logits"]).all()


def test_one_clip_trains_and_evaluates():
    model, one = small(), rows(batch(), 0)
    one["target"] = torch.tensor([3])
    loss = model.train().compute_loss(model(one), one)
    loss.backward()
    assert torch.isfinite(loss)
    assert model.eval()(one)["logits"].shape == (1, 5)


@pytest.mark.parametrize(
    "options", [{}, {"cross_modal": False}, {"self_attention": False}, {"residual": False}], ids=str
)
def test_gradients_reach_every_parameter(options):
    model, whole = small(**options).train(), batch()
    model.compute_loss(model(whole), whole).backward()
    # A key's bias shifts all scores of a query alike, and softmax does not see it; nor does it see the score's bias.
    shifts = {"block.score.bias"}
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
        if name not in shifts:
            assert parameter.grad.abs().sum() > 0, name


def test_bf16_channels_last_gives_nearly_the_same_scores():
    model, whole = small().eval(), batch()
    reference = model(whole)["logits"]
    model.video.to(memory_format=torch.channels_last_3d)
    whole["video"] = whole["video"].contiguous(memory_format=torch.channels_last_3d)
    torch.testing.assert_close(model(whole)["logits"], reference, atol=1e-4, rtol=1e-4)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = model(whole)["logits"].float()
    assert (half - reference).abs().max() < 0.05 * reference.abs().max()


def test_state_dict_round_trip():
    model, other = small().eval(), small().eval()
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.add_(1)
    other.load_state_dict(model.state_dict())
    whole = batch()
    assert torch.equal(other(whole)["logits"], model(whole)["logits"])


def test_misfitting_options_and_data_are_refused():
    with pytest.raises(TaskError, match=r"model\.attention_heads: 7 does not divide the 64 audio channels"):
        CFNSR(8, PAPER, attention_heads=7)
    with pytest.raises(TaskError, match="needs audio"):
        CFNSR(8, {"video": [3, 30, 224, 224]})
