"""Adaptive gated fusion: what its weights are, and what they are when something is missing."""

from itertools import combinations

import pytest
import torch
from dialogues import CLASSES, NAMES, SHAPES, SIZES, dialogues, encoders, with_content
from tiny import trainer
from torch.utils.data import DataLoader
from windows import from_the_command_line

from lightning_modules.base import select_clip
from lightning_modules.errors import TaskError
from lightning_modules.gated_fusion.model import AdaptiveGatedFusion
from lightning_modules.nn.dialogue_encoders import BertText, VideoTransformer, Wav2Vec2Audio
from lightning_modules.nn.gates import dropped, masked_softmax, reachable

MODALITIES = ("text", "audio", "video")
ABSENT = [some for count in (1, 2) for some in combinations(MODALITIES, count)]


def small(**options):
    torch.manual_seed(0)
    given = {"vocabulary_sizes": SIZES, "class_names": NAMES, "dim": 16, "metadata_dim": 8, **options}
    return AdaptiveGatedFusion(CLASSES, SHAPES, given.pop("encoders", None) or encoders(), **given)


def full_size(**options):
    with torch.device("meta"):
        made = {"text": BertText(), "audio": Wav2Vec2Audio(), "video": VideoTransformer()}
        shapes = {"text": [10, 64], "audio": [10, 160_000], "video": [10, 3, 8, 224, 224], "meta": [4]}
        return AdaptiveGatedFusion(7, shapes, made, vocabulary_sizes=SIZES, **options)


def count(*parts):
    return sum(p.numel() for part in parts for p in part.parameters())


def test_it_has_the_parameters_of_the_description():
    model = full_size()
    assert count(model.gates) == 2_691
    assert count(model.projections, model.gates, model.classifier) + 7 == 530_321
    assert count(*model.encoders.values()) == 108_891_648 + 94_371_712 + 8_596_224
    assert sum(p.numel() for of in model.stage_parameters().values() for p in of) == count(model)
    widths = [768 + 256, 768 + 256, 384 + 256]
    assert count(full_size(gate="mlp128").gates) == sum(128 * width + 128 + 128 + 1 for width in widths)
    assert count(full_size(gate="equal").gates) == 0


def written_out(model, batch, left=MODALITIES):
    """The description, dialogue by dialogue, in plain formulas."""
    logits, weights = [], []
    meta = model.meta(batch["meta"])
    for row in range(len(batch["id"])):
        g, p = [], []
        for modality in left:
            spoken = [
                batch[modality][row, u]
                for u in range(batch["length"]["utterances"][row])
                if batch["role"][row, u] == 1 and batch["utterance_mask"][modality][row, u]
            ]
            h = torch.stack([model.encoders[modality](utterance[None])[0] for utterance in spoken]).mean(0)
            gate = model.gates[modality].layers
            score = (gate.weight @ torch.cat([h, meta[row]]) + gate.bias)[0]
            g.append(torch.sigmoid(score))
            p.append(model.projections[modality](h))
        alpha = torch.stack(g).softmax(0)
        fused = sum(weight * projected for weight, projected in zip(alpha, p, strict=True))
        logits.append(model.classifier(fused) + model.class_bias)
        weights.append(alpha)
    return torch.stack(logits), torch.stack(weights)


def test_it_is_its_description():
    model, batch = small().eval(), dialogues()
    torch.nn.init.normal_(model.class_bias)
    output, (logits, weights) = model(batch), written_out(model, batch)
    torch.testing.assert_close(output["logits"], logits)
    torch.testing.assert_close(output["aux"]["gate"], weights)
    assert not output["aux"]["abstain"].any()


@pytest.mark.parametrize("absent", ABSENT)
def test_an_absent_modality_has_no_weight_whatever_stands_there(absent):
    model = small().eval()
    batch = dialogues(absent=[(modality, 1) for modality in absent])
    output = model(batch)
    alpha = output["aux"]["gate"]
    places = [MODALITIES.index(modality) for modality in absent]
    assert (alpha[1, places] == 0).all()
    torch.testing.assert_close(alpha.sum(1), torch.ones(3))
    for junk in (0, 7) if "text" in absent else (0.0, 7.0, torch.nan, torch.inf):
        other = batch
        for modality in absent:
            other = with_content(other, modality, 1, junk)
        assert torch.equal(model(other)["logits"], output["logits"])
    left = [modality for modality in MODALITIES if modality not in absent]
    expected = written_out(model, select_clip(batch, 1), left)
    torch.testing.assert_close(output["logits"][1], expected[0][0])
    for modality in left:  # and what is there counts
        changed = model(with_content(batch, modality, 1, batch[modality][1].flip(-1)))["logits"]
        assert not torch.allclose(changed[1], output["logits"][1], atol=1e-6)


def test_an_utterance_that_lacks_a_modality_and_those_of_the_listener_do_not_count():
    model, batch = small().eval(), dialogues()
    logits = model(batch)["logits"]
    listener = {**batch, "audio": batch["audio"].clone()}
    listener["audio"][:, 1::2] = torch.nan
    assert torch.equal(model(listener)["logits"], logits)
    batch["utterance_mask"]["video"][2, 0] = False
    lost = model(batch)["logits"]
    assert not torch.allclose(lost[2], logits[2], atol=1e-6)
    junk = {**batch, "video": batch["video"].clone()}
    junk["video"][2, 0] = torch.nan
    assert torch.equal(model(junk)["logits"], lost)
    batch["utterance_mask"]["video"][2, 2] = False  # the speaker's last one with video
    assert model(batch)["aux"]["gate"][2, 2] == 0


@pytest.mark.parametrize("modality", MODALITIES)
def test_a_single_modality_is_its_unimodal_head(modality):
    model = small().eval()
    batch = dialogues(absent=[(other, row) for other in MODALITIES if other != modality for row in range(3)])
    output = model(batch)
    assert (output["aux"]["gate"][:, MODALITIES.index(modality)] == 1).all()
    alone = small(encoders={modality: encoders()[modality]}, modalities=[modality]).eval()
    own = {name: value for name, value in model.state_dict().items() if name in alone.state_dict()}
    alone.load_state_dict(own)
    torch.testing.assert_close(alone(batch)["logits"], output["logits"])


def test_without_any_modality_it_abstains_and_says_its_prior():
    model = small().eval()
    torch.nn.init.normal_(model.null)
    batch = dialogues(absent=[(modality, 1) for modality in MODALITIES])
    output = model(batch)
    assert output["aux"]["abstain"].tolist() == [False, True, False]
    assert not output["aux"]["gate"][1].any()
    expected = model.classifier(model.null) + model.class_bias
    torch.testing.assert_close(output["logits"][1], expected)


def test_to_train_on_nothing_is_an_error():
    batch = dialogues(absent=[(modality, 1) for modality in MODALITIES])
    with pytest.raises(TaskError, match=r"^0-1: nothing of text, audio, video is there to train on"):
        small()(batch)


def test_the_null_vector_learns_from_its_share_of_the_training_dialogues():
    model = small(null_rate=1.0)
    output = model(dialogues())
    assert output["aux"]["abstain"].all()
    model.compute_loss(output, dialogues()).backward()
    assert model.null.grad.any()
    assert not model.projections["text"][0].weight.grad.any()
    seen = [small(null_rate=0.3)(dialogues(64, seed))["aux"]["abstain"].float().mean() for seed in range(4)]
    assert 0.2 < sum(seen) / 4 < 0.4


def test_an_absent_encoder_gets_no_gradient():
    model = small(freeze_encoders=False, modality_dropout=0.0, null_rate=0.0)
    batch = dialogues(absent=[("audio", row) for row in range(3)])
    model.compute_loss(model(batch), batch).backward()
    for modality, encoder in model.encoders.items():
        gradients = [p.grad for p in encoder.parameters() if p.grad is not None and p.grad.any()]
        assert bool(gradients) == (modality != "audio")
    assert not model.gates["audio"].layers.weight.grad.any()
    assert not model.projections["audio"][0].weight.grad.any()


def test_every_parameter_learns():
    model = small(freeze_encoders=False, modality_dropout=0.0, null_rate=0.5).train()
    for seed in range(4):
        batch = dialogues(6, seed)
        model.compute_loss(model(batch), batch).backward()
    unused = {"encoders.audio.network.masked_spec_embed"}
    assert {name for name, p in model.named_parameters() if p.grad is None} <= unused
    assert model.null.grad.any()
    assert model.class_bias.grad.any()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_leaves_the_weights_exact(dtype):
    model = small().eval()
    for gate in model.gates.values():
        torch.nn.init.constant_(gate.layers.bias, 1e4)
    batch = dialogues(absent=[("text", 0), *((modality, 1) for modality in MODALITIES)])
    with torch.autocast("cpu", dtype):
        output = model(batch)
    assert torch.isfinite(output["logits"]).all()
    alpha = output["aux"]["gate"]
    assert alpha.dtype == torch.float32
    assert alpha[0, 0] == 0
    torch.testing.assert_close(alpha[[0, 2]].sum(1), torch.ones(2))


def test_sigmoid_gates_stay_within_their_bounds_and_linear_ones_do_not():
    assert reachable(3) == pytest.approx((0.1554, 0.5761), abs=1e-4)
    assert reachable(2) == pytest.approx((0.2689, 0.7311), abs=1e-4)
    weights = {}
    for activation in ("sigmoid", "none"):
        model = small(gate_activation=activation).eval()
        for modality, value in (("text", 50.0), ("audio", -50.0), ("video", -50.0)):
            torch.nn.init.zeros_(model.gates[modality].layers.weight)
            torch.nn.init.constant_(model.gates[modality].layers.bias, value)
        weights[activation] = model(dialogues())["aux"]["gate"][0].tolist()
    low, high = reachable(3)
    assert weights["sigmoid"] == pytest.approx([high, (1 - high) / 2, (1 - high) / 2], abs=1e-4)
    assert weights["none"] == pytest.approx([1, 0, 0], abs=1e-4)
    assert min(torch.tensor([[0.0, 1.0, 1.0]]).softmax(1)[0]).item() == pytest.approx(low)


def test_a_low_temperature_sharpens():
    models = {tau: small(temperature=tau).eval() for tau in (0.1, 1.0)}
    top = {tau: model(dialogues())["aux"]["gate"].amax(1) for tau, model in models.items()}
    assert (top[0.1] > top[1.0]).all()


def test_equal_gates_are_the_mean_of_what_is_there():
    alpha = small(gate="equal").eval()(dialogues(absent=[("audio", 0)]))["aux"]["gate"]
    torch.testing.assert_close(alpha[0], torch.tensor([0.5, 0.0, 0.5]))
    torch.testing.assert_close(alpha[1], torch.full((3,), 1 / 3))


def test_masked_softmax_without_anything_is_zero_and_has_a_gradient():
    scores = torch.randn(2, 3, requires_grad=True)
    alpha = masked_softmax(scores, torch.tensor([[False] * 3, [True, False, True]]))
    assert alpha[0].tolist() == [0, 0, 0]
    alpha.square().sum().backward()
    assert torch.isfinite(scores.grad).all()
    assert scores.grad[1].any()


def test_modality_dropout_keeps_at_least_one_of_those_there():
    torch.manual_seed(0)
    present = torch.tensor([[True, True, True], [True, False, True], [False, False, True], [False] * 3])
    left = torch.stack([dropped(present, 0.5) for _ in range(2000)])
    assert not (left & ~present).any()
    assert left[:, :3].any(2).all()
    assert not left[:, 3].any()
    # All three go with 1/8; then one of them stays, any with equal chances.
    torch.testing.assert_close(left[:, 0].float().mean(0), torch.full((3,), 0.5 + 1 / 24), atol=0.04, rtol=0)
    assert torch.equal(dropped(present, 0.0), present)
    assert (dropped(present, 1.0).sum(1) == torch.tensor([1, 1, 1, 0])).all()


def test_dropout_of_modalities_and_metadata_is_for_training_alone():
    model = small(modality_dropout=0.9, metadata_dropout=1.0)
    batch = dialogues(32)
    assert ((model(batch)["aux"]["gate"] > 0).sum(1) < 3).any()
    assert not model.metadata(batch).any()
    model.eval()
    assert ((model(batch)["aux"]["gate"] > 0).sum(1) == 3).all()
    assert torch.equal(model.metadata(batch), batch["meta"])


def test_metadata_move_the_gates_and_unknown_ones_are_index_0():
    model, batch = small().eval(), dialogues()
    alpha = model(batch)["aux"]["gate"]
    other = {**batch, "meta": (batch["meta"] + 1) % 3}
    assert not torch.allclose(model(other)["aux"]["gate"], alpha)
    batch["mask"]["meta"][1] = False
    hidden = model(batch)["aux"]["gate"]
    unknown = {**batch, "meta": batch["meta"].clone()}
    unknown["meta"][1] = 0
    assert torch.equal(model(unknown)["aux"]["gate"], hidden)


def test_a_prediction_does_not_depend_on_batch_mates_or_padding():
    model = small().eval()
    batch = dialogues(absent=[("text", 0)])
    logits = model(batch)["logits"]
    for row in range(3):
        torch.testing.assert_close(model(select_clip(batch, row))["logits"][0], logits[row])
    longer = {**batch, "audio": torch.nn.functional.pad(batch["audio"], (0, 333))}
    longer["text"] = torch.nn.functional.pad(batch["text"], (0, 5))
    torch.testing.assert_close(model(longer)["logits"], logits)
    for modality in MODALITIES:  # utterances after the last
        junk = {**batch, modality: batch[modality].clone()}
        junk[modality][0, 2:] = 7
        assert torch.equal(model(junk)["logits"], logits)


def test_from_embeddings_made_ahead_it_is_the_same():
    model, batch = small().eval(), dialogues(absent=[("video", 2)])
    made = dict(batch)
    for modality, encoder in model.frozen_encoders().items():
        valid = batch["utterance_mask"][modality]
        made[modality] = torch.zeros(*valid.shape, encoder.channels)
        made[modality][valid] = encoder(batch[modality][valid])
    torch.testing.assert_close(model(made)["logits"], model(batch)["logits"])
    assert small(freeze_encoders=False).frozen_encoders() == {}


def test_frozen_encoders_stay_and_the_second_phase_starts_from_the_first(tmp_path):
    first = small(optimizer=lambda groups: torch.optim.AdamW(groups, lr=1e-2))
    before = {name: value.clone() for name, value in first.state_dict().items()}
    batches = DataLoader([dialogues(), dialogues(1, 1)], batch_size=None)
    trainer(tmp_path, epochs=2).fit(first, batches)
    after = first.state_dict()
    for name, value in before.items():
        assert torch.equal(after[name], value) or not name.startswith("encoders."), name
    assert not torch.equal(after["gates.text.layers.weight"], before["gates.text.layers.weight"])
    path = next((tmp_path / "checkpoints").glob("*.ckpt"))
    assert torch.load(path, weights_only=True)["hyper_parameters"]["class_names"] == NAMES
    second = small(freeze_encoders=False, init_from={"model": str(path)})
    second.start_from(second.init_from)
    assert all(torch.equal(value, second.state_dict()[name]) for name, value in torch.load(path)["state_dict"].items())
    trainer(tmp_path / "second", epochs=1).fit(second, batches)
    moved = [name for name, value in second.state_dict().items() if not torch.equal(value, after[name])]
    assert {"encoders.text", "encoders.audio", "encoders.video"} <= {".".join(name.split(".")[:2]) for name in moved}


def test_an_encoder_alone_starts_from_another_model_of_dialogues(tmp_path):
    source = small()
    torch.nn.init.constant_(source.encoders["video"].norm.bias, 0.25)
    torch.save({"state_dict": source.state_dict()}, tmp_path / "video.ckpt")
    model = small()
    model.start_from({"video": str(tmp_path / "video.ckpt")})
    assert (model.encoders["video"].norm.bias == 0.25).all()
    assert not torch.equal(model.projections["video"][0].bias, torch.full((16,), 0.25))


def test_it_is_built_from_the_command_line():
    model = from_the_command_line(
        AdaptiveGatedFusion,
        "--model.num_classes=3",
        "--model.input_shapes={video: [4, 3, 2, 16, 16], meta: [4]}",
        f"--model.vocabulary_sizes={SIZES}",
        "--model.modalities=[video]",
        "--model.freeze_encoders=false",
        "--model.encoders={video: {class_path: lightning_modules.nn.dialogue_encoders.VideoTransformer, "
        "init_args: {frames: 2, size: 16, patch: 8, dim: 24, heads: 2, layers: 1}}}",
    )
    assert model(dialogues())["logits"].shape == (3, 3)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: small(temperature=0.0), "model.temperature: 0.0 is not above 0"),
        (lambda: small(encoders={"text": encoders()["text"]}), "needs encoders of audio, video; it has text"),
        (
            lambda: AdaptiveGatedFusion(3, {"text": [4, 6]}, encoders(), vocabulary_sizes=SIZES),
            "reads audio, video, meta, which the data lack; they hand over text",
        ),
        (
            lambda: AdaptiveGatedFusion(3, SHAPES | {"text": [4, 99]}, encoders(), vocabulary_sizes=SIZES),
            r"BertText cannot read text of shape \[99\]",
        ),
        (lambda: small(vocabulary_sizes={}), "the data have no metadata"),
    ],
)
def test_a_mistake_is_one_line(make, message):
    with pytest.raises(TaskError, match=message) as caught:
        make()
    assert "\n" not in str(caught.value)
