"""EmotiW 2023: counts, the forward pass against its description, freezing, absent modalities, wrong input."""

from itertools import product

import pytest
import torch
import torch.nn.functional as F
from tiny import trainer
from torch import nn
from torch.utils.data import DataLoader

import cli
from callbacks.unfreezing import GradualUnfreezing
from experiments.results import cell as results
from experiments.train import embed
from experiments.train.command import build
from lightning_modules.base import select_clip
from lightning_modules.emotiw.model import AudioEncoder, EmotiW, VideoEncoder, pool_segments
from lightning_modules.errors import TaskError
from lightning_modules.nn.losses import FocalLoss

SIDE, CLASSES = 106, 3
TINY = {"img_size": 32, "dynamic_img_size": False}
KINDS = ["audio", "video", "fusion"]


def tiny_audio(**options):
    return AudioEncoder(**{"width": 2, "hidden": 32, **options})


def tiny_video(freeze="all", **options):
    return VideoEncoder("test_vit", freeze, options=TINY, **options)


def shapes(kind="fusion", audio=5, video=5):
    both = {"audio": [audio, 1, SIDE, SIDE], "video": [video, 3, 32, 32]}
    return both if kind == "fusion" else {kind: both[kind]}


def small(kind="fusion", audio=5, video=5, encoders=None, **options):
    torch.manual_seed(0)
    make = {"audio": tiny_audio, "video": tiny_video} | (encoders or {})
    parts = {name: make[name]() for name in shapes(kind)}
    return EmotiW(CLASSES, shapes(kind, audio, video), **parts, **options)


def clips(kind="fusion", audio=5, video=5, size=3, seed=0, absent=()):
    generator = torch.Generator().manual_seed(seed)
    batch = {
        "id": [f"{seed}-{row}" for row in range(size)],
        "group": [f"{seed}-{row}" for row in range(size)],
        "length": {},
        "mask": {},
        "target": torch.arange(size) % CLASSES,
    }
    for name, shape in shapes(kind, audio, video).items():
        batch[name] = torch.randn(size, *shape, generator=generator)
        batch["mask"][name] = torch.ones(size, dtype=torch.bool)
    for name, row in absent:
        batch["mask"][name][row] = False
    return batch


def state(module):
    return {name: value.clone() for name, value in module.state_dict().items()}


def moved(before, module):
    """Whether any tensor of each child changed."""
    after = module.state_dict()
    return {name.split(".")[0] for name, value in before.items() if not torch.equal(value, after[name])}


@pytest.mark.parametrize(
    ("kind", "head", "count"),
    [
        ("audio", "average", 16_202_819),
        ("audio", "flatten", 16_215_107),
        ("video", "average", 303_182_851),
        ("video", "flatten", 303_195_139),
        ("fusion", "average", 323_587_139),
        ("fusion", "flatten", 323_624_003),
    ],
)
def test_it_has_the_released_parameters(kind, head, count):
    with torch.device("meta"):
        audio = AudioEncoder(norm="none") if kind != "video" else None
        video = VideoEncoder() if kind != "audio" else None
        sizes = {"audio": [5, 1, 128, 128], "video": [5, 3, 224, 224]}
        model = EmotiW(3, sizes, audio, video, head=head)
    stages = model.stage_parameters()
    assert sum(p.numel() for found in stages.values() for p in found) == count
    if kind == "fusion" and head == "average":
        trained = {name: sum(p.numel() for p in found if p.requires_grad) for name, found in stages.items()}
        assert sum(trained.values()) == 20_407_363
        assert trained["video"] == 0
        assert trained["cross_attention"] == 4_198_400
        assert trained["audio_attention"] == 8_399_872
        blocks = [trained[f"audio_block{number}"] for number in range(1, 5)]
        assert blocks == [55_744, 369_024, 1_475_328, 5_899_776]


def test_what_the_released_freeze_leaves_trains():
    with torch.device("meta"):
        video = VideoEncoder(freeze="blocks")
        sizes = {"audio": [5, 1, 128, 128], "video": [5, 3, 224, 224]}
        fusion = EmotiW(3, sizes, AudioEncoder(norm="none"), video)
    assert sum(p.numel() for p in video.parameters() if p.requires_grad) == 870_400
    assert sum(p.numel() for p in fusion.parameters() if p.requires_grad) == 21_277_763


def test_the_norms_of_the_audio_are_all_that_the_trainable_preset_adds():
    with torch.device("meta"):
        assert sum(p.numel() for p in AudioEncoder().parameters()) == 16_199_744 + 5_696


def written_out(model, batch):
    """The head's input, step by step from the weights."""
    weights = dict(model.named_parameters())

    def linear(x, name, part=slice(None)):
        return F.linear(x, weights[f"{name}weight"][part], weights[f"{name}bias"][part])

    def attend(name, query, context):
        size = query.shape[2]
        if f"{name}.in_proj_weight" in weights:
            kernels = weights[f"{name}.in_proj_weight"].split(size)
        else:
            kernels = [weights[f"{name}.{part}_proj_weight"] for part in "qkv"]
        biases = weights[f"{name}.in_proj_bias"].split(size)
        q, k, v = (F.linear(x, w, b) for x, w, b in zip((query, context, context), kernels, biases, strict=True))
        shares = (q @ k.transpose(1, 2) / size**0.5).softmax(2)
        return linear(shares @ v, f"{name}.out_proj."), shares

    streams, shares = [], None
    if model.audio is not None:
        x = batch["audio"].flatten(0, 1)
        for block in range(4):
            convolutions = [name for name in weights if name.startswith(f"audio.blocks.{block}.") and "weight" in name]
            for name in convolutions:
                kernel, bias = weights[name], weights[name.replace("weight", "bias")]
                if kernel.ndim == 4:
                    x = F.conv2d(x, kernel, bias)
                if kernel.ndim == 1:
                    x = F.group_norm(x, min(8, len(kernel)), kernel, bias)
                if kernel.ndim == 1 or len(convolutions) == 3:
                    x = x.relu()
            x = F.max_pool2d(x, 2)
        halves = x.mean(2)  # 4 rows or fewer of frequencies; adaptive pooling halves an even number of columns
        middle = (halves.shape[2] + 1) // 2
        x = torch.stack([halves[..., :middle].mean(2), halves[..., halves.shape[2] // 2 :].mean(2)], 2).flatten(1)
        x = x.view(len(batch["audio"]), -1, x.shape[1])
        places = torch.arange(x.shape[1])[:, None] / 10000 ** (torch.arange(0, x.shape[2], 2) / x.shape[2])
        x = x + torch.stack([places.sin(), places.cos()], 2).flatten(1)
        size = x.shape[2]
        normed = F.layer_norm(
            x, [size], weights["audio.attention_norm.weight"], weights["audio.attention_norm.bias"], 1e-6
        )
        found, shares = attend("audio.attention", normed, normed)
        x = x + found
        inner = F.layer_norm(
            x, [size], weights["audio.feed_forward.0.weight"], weights["audio.feed_forward.0.bias"], 1e-6
        )
        streams.append(x + linear(linear(inner, "audio.feed_forward.1.").relu(), "audio.feed_forward.4."))
    if model.video is not None:
        frames = batch["video"]
        each = model.video.backbone(frames.flatten(0, 1)).view(*frames.shape[:2], -1)
        if streams:  # to the steps of the audio
            each = torch.stack([part.mean(1) for part in each.chunk(streams[0].shape[1], 1)], 1)
        streams.append(each)
    if len(streams) == 2:
        found, shares = attend("cross", *streams)
        streams.insert(1, found)
    return torch.cat(streams, 2), shares


@pytest.mark.parametrize("norm", ["none", "group"])
@pytest.mark.parametrize(
    ("kind", "head", "audio", "video"),
    [
        ("audio", "average", 5, 5),
        ("audio", "flatten", 10, 5),
        ("video", "average", 5, 7),
        ("video", "flatten", 5, 10),
        ("fusion", "average", 5, 5),
        ("fusion", "flatten", 5, 5),
        ("fusion", "flatten", 5, 15),
        ("fusion", "average", 10, 10),
        ("fusion", "flatten", 10, 10),
    ],
)
def test_the_forward_pass_is_what_is_described(kind, head, audio, video, norm):
    model = small(kind, audio, video, {"audio": lambda: tiny_audio(norm=norm)}, head=head).eval()
    batch = clips(kind, audio, video, size=2)
    output = model(batch)
    joined, shares = written_out(model, batch)
    parts = joined.chunk(5 if head == "flatten" else 1, 1)
    embedding = torch.cat([part.mean(1) for part in parts], 1)
    torch.testing.assert_close(output["aux"]["embedding"], embedding, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(
        output["logits"], F.linear(embedding, model.head.weight, model.head.bias), rtol=1e-4, atol=1e-5
    )
    if shares is None:
        assert "attention" not in output["aux"]
    else:
        torch.testing.assert_close(output["aux"]["attention"], shares, rtol=1e-4, atol=1e-5)


def test_more_audio_than_video_is_pooled_to_it():
    model = small(audio=10, video=5).eval()
    batch = clips(audio=10)
    assert model(batch)["aux"]["attention"].shape == (3, 5, 5)
    audio = model.audio(batch["audio"])[0]
    width = audio.shape[2]
    pooled = torch.stack([audio[:, 2 * step : 2 * step + 2].mean(1) for step in range(5)], 1)
    torch.testing.assert_close(model(batch)["aux"]["embedding"][:, :width], pooled.mean(1))


@pytest.mark.parametrize("head", ["average", "flatten"])
@pytest.mark.parametrize("kind", ["video", "fusion"])
@pytest.mark.parametrize("frames", [5, 15])
def test_group_means_stand_for_the_frames(kind, head, frames):
    model = small(kind, video=frames, head=head).eval()
    batch = clips(kind, video=frames)
    groups = batch["video"].view(15, frames // 5, 3, 32, 32)
    kept = {**batch, "video": model.frozen_encoders()["video"](groups).view(3, 5, -1)}
    torch.testing.assert_close(model(kept)["logits"], model(batch)["logits"])


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("residual", [True, False])
def test_what_stands_in_an_absent_modality_does_not_count(kind, training, residual):
    model = small(kind, residual=residual).train(training)
    names = list(shapes(kind))
    for absent in [names, *[[name] for name in names]]:
        batch = clips(kind, absent=[(name, 1) for name in absent])
        outputs = []
        for junk in (0.0, 7.0, torch.nan, torch.inf):
            other = dict(batch)
            for name in absent:
                other[name] = batch[name].clone()
                other[name][1] = junk
            torch.manual_seed(1)
            outputs.append(model(other)["logits"])
        assert torch.isfinite(outputs[0]).all()
        assert all(torch.equal(output, outputs[0]) for output in outputs)


def test_the_features_of_an_absent_modality_are_zero_and_the_other_still_counts():
    model = small().eval()
    width = model.audio.channels
    lacks_video = model(clips(absent=[("video", 1)]))
    audio, found, video = lacks_video["aux"]["embedding"].split([width, width, 64], 1)
    assert not video[1].any()
    assert not found[1].any()
    assert audio[1].any()
    assert video[0].any()
    lacks_audio = model(clips(absent=[("audio", 1)]))
    audio, found, video = lacks_audio["aux"]["embedding"].split([width, width, 64], 1)
    assert not audio[1].any()
    assert found[1].any()
    assert video[1].any()


def test_stored_group_means_of_an_absent_video_do_not_count():
    model = small().eval()
    batch = clips(absent=[("video", 1)])
    stored = {**batch, "video": torch.randn(3, 5, 64)}
    torch.testing.assert_close(model(stored)["logits"][1], model(batch)["logits"][1])


@pytest.mark.parametrize(("kind", "head"), list(product(KINDS, ["average", "flatten"])))
def test_a_prediction_does_not_depend_on_its_batch_mates(kind, head):
    model = small(kind, head=head).eval()
    batch = clips(kind)
    logits = model(batch)["logits"]
    for row in range(3):
        torch.testing.assert_close(model(select_clip(batch, row))["logits"][0], logits[row], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_every_parameter_learns_and_a_batch_of_one_trains(kind):
    model = small(kind, encoders={"video": lambda: tiny_video("none")}, residual=kind == "fusion")
    batch = clips(kind, size=1)
    model.compute_loss(model(batch), batch).backward()
    # A softmax does not change with what is added to all keys: their bias has no gradient.
    weights = {name: p for name, p in model.named_parameters() if p.ndim > 1}
    assert all(p.grad is not None for p in model.parameters())
    assert not [name for name, p in weights.items() if not p.grad.any()]


def fit(model, folder, *batches, **options):
    run = trainer(folder, **{"epochs": 2, **options})
    run.fit(model, DataLoader(batches or [clips(), clips(size=1, seed=1)], batch_size=None))
    return run


def test_a_frozen_backbone_stays_in_eval_mode_and_builds_no_graph(tmp_path):
    model = small(optimizer=lambda groups: torch.optim.SGD(groups, lr=0.1))
    seen = []
    model.video.register_forward_hook(lambda module, args, output: seen.append((output.requires_grad, module.training)))
    before = state(model)
    with pytest.warns(UserWarning, match="random weights"):
        fit(model, tmp_path, callbacks=[GradualUnfreezing(initial=20)])
    assert moved(before, model) == {"audio", "cross", "head"}
    assert seen
    assert set(seen) == {(False, False)}
    assert not any(p.requires_grad for p in model.video.parameters())
    assert model.video.backbone.blocks[0].training is False


def norms(network, freeze):
    """BatchNorm is where eval mode shows: its statistics move in train mode."""
    return VideoEncoder(network, freeze)


def test_all_is_frozen_of_a_network_with_statistics_too(tmp_path):
    model = small("video", encoders={"video": lambda: norms("test_efficientnet", "all")})
    before = state(model)
    with pytest.warns(UserWarning, match="random weights"):
        fit(model, tmp_path, clips("video"))
    assert moved(before, model) == {"head"}


@pytest.mark.parametrize(
    ("freeze", "trains"),
    [
        ("none", {"stem", "0", "1", "2", "3", "4", "5", "tail"}),
        (2, {"4", "5", "tail"}),
        ("blocks", {"stem", "tail"}),
    ],
)
def test_what_is_frozen_in_part(freeze, trains, tmp_path):
    model = small("video", encoders={"video": lambda: tiny_video(freeze)})
    before = state(model.video.backbone)
    fit(model, tmp_path, clips("video"), callbacks=[GradualUnfreezing(initial=20)])
    after = model.video.backbone.state_dict()
    changed = [name for name, value in before.items() if not torch.equal(value, after[name])]
    assert {name.split(".")[1] if name.startswith("blocks") else name.split(".")[0] for name in changed} == (
        trains - {"stem", "tail"} | ({"norm"} if "tail" in trains else set())
    ) | ({"cls_token", "pos_embed", "patch_embed"} if "stem" in trains else set())
    assert not model.frozen_encoders()
    modes = {str(number): block.training for number, block in enumerate(model.video.train().backbone.blocks)}
    assert {number for number, training in modes.items() if training} == trains & set("012345")


def test_the_fusion_starts_from_the_video_that_was_trained(tmp_path):
    first = small("video", encoders={"video": lambda: tiny_video("none")})
    torch.manual_seed(7)
    nn.init.normal_(first.video.backbone.blocks[0].norm1.bias)
    torch.save({"state_dict": first.state_dict()}, tmp_path / "video.ckpt")
    second = small(init_from={"video": str(tmp_path / "video.ckpt")})
    audio = state(second.audio)
    fit(second, tmp_path, epochs=1)
    trained = second.video.state_dict()
    assert all(torch.equal(value, trained[name]) for name, value in first.video.state_dict().items())
    assert moved(audio, second.audio)


def test_pretrained_weights_unless_a_checkpoint_is_for_the_video(tmp_path):
    source = tiny_video()
    nn.init.constant_(source.backbone.norm.bias, 0.5)
    torch.save(source.backbone.state_dict(), tmp_path / "vit.pt")
    torch.save(
        {"state_dict": {f"video.{name}": value for name, value in tiny_video().state_dict().items()}},
        tmp_path / "a.ckpt",
    )
    model = small(encoders={"video": lambda: tiny_video(weights=str(tmp_path / "vit.pt"))})
    model.start_from({})
    assert (model.video.backbone.norm.bias == 0.5).all()
    model.start_from({"video": str(tmp_path / "a.ckpt")})
    assert not model.video.backbone.norm.bias.any()


def test_the_released_audio_network_says_the_same_of_every_clip_and_the_trainable_one_does_not():
    generator = torch.Generator().manual_seed(0)
    pictures = [torch.rand(1, 5, 1, SIDE, SIDE, generator=generator) * scale for scale in (0.1, 0.4, 1.0)]
    pictures.append(torch.linspace(0, 1, SIDE).expand(1, 5, 1, SIDE, SIDE))

    def spread(norm, init):
        torch.manual_seed(0)
        encoder = AudioEncoder(width=8, norm=norm, init=init).eval()
        with torch.no_grad():
            features = []
            for picture in pictures:
                x = picture[0]
                for block in encoder.blocks:
                    x = block(x)
                features.append(x.mean((0, 2, 3)))
        found = torch.stack(features)
        return float(found.std(0).mean() / found.mean().abs())

    assert spread("none", "torch") < 0.02
    assert spread("group", "kaiming") > 10 * spread("none", "torch")


def test_focal_loss_of_any_model():
    model = small("audio", loss=FocalLoss(2.0))
    batch = clips("audio")
    output = model(batch)
    p = output["logits"].softmax(1)[torch.arange(3), batch["target"]]
    torch.testing.assert_close(model.compute_loss(output, batch), (-((1 - p) ** 2) * p.log()).mean())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: EmotiW(3, shapes()), "needs model.audio"),
        (lambda: EmotiW(3, shapes("audio"), tiny_audio(), tiny_video()), "add video to data.modalities"),
        (lambda: EmotiW(3, {"audio": [5, 1, 105, 128]}, tiny_audio()), "105x128 are too small"),
        (lambda: EmotiW(3, {"audio": [5, 3, 128, 128]}, tiny_audio()), r"shape \[N, 1, H, W\]"),
        (lambda: EmotiW(3, {"video": [5, 3, 64, 64]}, video=tiny_video()), "reads frames of 32x32 pixels"),
        (lambda: small(audio=5, video=7), "5 of audio and 7 of video"),
        (lambda: small("audio", audio=7, head="flatten"), "7 of audio cannot be pooled"),
        (lambda: small("video", video=7, head="flatten"), "7 of video cannot be pooled"),
        (lambda: small(cross_heads=3), "cross_heads: 3"),
        (lambda: tiny_audio(heads=3), "heads 3"),
        (lambda: tiny_audio(width=0), "width 0"),
        (lambda: tiny_video(7), "freeze: 7"),
        (lambda: tiny_video(0), "freeze: 0"),
        (lambda: VideoEncoder("test_vitt"), "did you mean"),
    ],
)
def test_a_mistake_is_one_line(make, message):
    with pytest.raises(TaskError, match=message) as caught:
        make()
    assert "\n" not in str(caught.value)


def test_stored_steps_that_do_not_divide_are_one_line():
    with pytest.raises(TaskError, match="3 steps cannot be pooled into 2"):
        pool_segments(torch.zeros(1, 3, 4), 2)


def command(name, root, *options):
    files = [f"experiments/emotiw_{name}.yaml", f"experiments/synthetic/emotiw_{name}.yaml"]
    return ["fit", *(word for file in files for word in ("--config", file)), "--data.root", str(root), *options]


def test_the_store_says_what_the_backbone_does(vgaf, tmp_path):
    root = tmp_path / "vgaf"
    root.symlink_to(vgaf, target_is_directory=True)
    built = build(command("fusion", root, "--model.init_args.init_from", "{}"))
    model, data = built.model.eval(), built.datamodule
    raw = data.on_after_batch_transfer(data.dataset("test").__getitems__([0, 3, 5]), 0)
    assert raw["video"].ndim == 5
    made = embed.embeddings(model.video, data, "video").clone()
    assert torch.equal(embed.embeddings(model.video, data, "video"), made)
    data.use_embeddings("video", made)
    data._datasets.clear()
    kept = data.on_after_batch_transfer(data.dataset("test").__getitems__([0, 3, 5]), 0)
    assert kept["video"].shape == (3, 5, 64)
    assert kept["id"] == raw["id"]
    torch.testing.assert_close(model(kept)["logits"], model(raw)["logits"])


def test_fit_fills_the_store_and_can_do_without(vgaf, tmp_path, caplog, unrendered):
    root = tmp_path / "vgaf"
    root.mkdir()
    for part in vgaf.iterdir():
        if part.name != "embeddings":
            (root / part.name).symlink_to(part)
    once = ["--trainer.max_epochs", "1", "--model.init_args.init_from", "{}", "--trainer.accelerator", "cpu"]
    found = {}
    for cache in ("true", "false"):
        run = ["--trainer.default_root_dir", str(tmp_path / cache), "--data.cache", cache]
        caplog.clear()
        assert cli.main(command("fusion", root, *once, *run)) == 0
        assert ("once through the frozen VideoEncoder" in caplog.text) == (cache == "true")
        assert (tmp_path / cache / "plots" / "attention.png").exists()
        found[cache] = results.read_cell(tmp_path / cache).predictions["last"]
    assert len(list((root / "embeddings").iterdir())) == 1
    torch.testing.assert_close(*(torch.tensor(found[cache].probabilities) for cache in found), rtol=0.02, atol=0.01)


def test_the_released_preset_lies_over_any_experiment_with_audio(vgaf):
    released = ["--config", "experiments/_emotiw_released.yaml"]
    for name in ("audio", "fusion"):
        model = build([*command(name, vgaf), *released]).model
        assert not [module for module in model.audio.modules() if isinstance(module, nn.GroupNorm)]
        assert model.audio.channels == 128  # the rest of the overlay stays
        optimizer = model.configure_optimizers()
        assert isinstance(optimizer, torch.optim.SGD)
        assert {(group["lr"], group["momentum"]) for group in optimizer.param_groups} == {(1e-5, 0.9)}


def test_a_checkpoint_that_is_not_there_is_one_line(vgaf, tmp_path, capfd):
    run = ["--trainer.default_root_dir", str(tmp_path / "run")]
    assert cli.main(command("fusion", vgaf, *run)) == 2
    error = capfd.readouterr().err
    assert "runs/synthetic/emotiw_video/paper-fold0-seed0/checkpoints/best.ckpt; train it first" in error
    assert "Traceback" not in error
