import contextlib
from types import SimpleNamespace

import pytest
import torch
import yaml

import cli
from lightning_modules.cfnsr import CFNSR
from lightning_modules.errors import TaskError
from lightning_modules.nn.backbones import MFCCNet, ResNeXt3D
from lightning_modules.nn.encoders import load_weights
from lightning_modules.nn.fusion import averaging, multiplication, multiplicative
from lightning_modules.ravdess_rivals import AudioOnly, LateFusion, VideoOnly

PAPER = {"video": [3, 30, 224, 224], "audio": [13, 212]}
SHAPES = {"video": [3, 8, 32, 32], "audio": [13, 60]}


def small(kind):
    if kind is VideoOnly:
        return VideoOnly(5, SHAPES, video=ResNeXt3D((1, 1, 1, 1), width=4, cardinality=2))
    return AudioOnly(5, SHAPES, audio=MFCCNet(channels=(4, 8)))


def batch(size=3):
    return {
        "video": torch.randn(size, *SHAPES["video"]),
        "audio": torch.randn(size, *SHAPES["audio"]),
        "mask": {"video": torch.ones(size, dtype=torch.bool), "audio": torch.ones(size, dtype=torch.bool)},
        "target": torch.arange(size),
    }


def test_parameters_are_the_papers():
    video, audio = VideoOnly(8, PAPER), AudioOnly(8, PAPER)
    assert sum(p.numel() for p in video.parameters()) == 25_882_056
    assert sum(p.numel() for p in audio.parameters()) == 34_024
    stages = {name: sum(p.numel() for p in group) for name, group in video.stage_parameters().items()}
    assert list(stages) == ["video_stem", "video_layer1", "video_layer2", "video_layer3", "video_layer4", "head"]
    assert stages["head"] == 16_392
    assert [sum(p.numel() for p in group) for group in audio.stage_parameters().values()] == [20_704, 13_320]


@pytest.mark.parametrize(("kind", "other"), [("VideoOnly", "audio"), ("AudioOnly", "video")])
def test_a_network_that_is_not_read_is_not_built_from_settings_of_another_row(kind, other, capsys):
    row = ["--config", "experiments/ravdess_features.yaml", "--model.audio", "MFCCNet", "--model.class_path", kind]
    with contextlib.suppress(SystemExit):
        cli.main(["fit", *row, "--print_config"])
    settings = yaml.safe_load(capsys.readouterr().out)["model"]["init_args"]
    assert other not in settings  # it would draw from the seed: other initial weights for what is read
    assert {"video", "audio"} - {other} <= settings.keys()


@pytest.mark.parametrize(("kind", "modality"), [(VideoOnly, "video"), (AudioOnly, "audio")])
def test_scores_depend_on_the_clip_alone(kind, modality):
    model, whole = small(kind).eval(), batch()
    together = model(whole)
    assert together["logits"].shape == (3, 5)
    alone = model({modality: whole[modality][1:2], "mask": {modality: whole["mask"][modality][1:2]}})
    torch.testing.assert_close(alone["logits"][0], together["logits"][1], atol=1e-5, rtol=1e-5)
    whole["mask"][modality][1] = False
    reference = model(whole)["logits"]
    whole[modality][1] = float("nan")
    assert torch.equal(model(whole)["logits"], reference)
    assert torch.isfinite(reference).all()


@pytest.mark.parametrize("kind", [VideoOnly, AudioOnly])
def test_gradients_reach_every_parameter(kind):
    model, whole = small(kind).train(), batch()
    model.compute_loss(model(whole), whole).backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())


def test_one_clip_trains():
    model = small(AudioOnly).train()
    one = {"audio": torch.randn(1, 13, 60), "target": torch.tensor([2])}
    assert torch.isfinite(model.compute_loss(model(one), one))


@pytest.mark.parametrize("kind", [VideoOnly, AudioOnly])
def test_cfnsr_starts_from_their_checkpoints(kind, tmp_path):
    source = small(kind)
    torch.save({"state_dict": source.state_dict()}, tmp_path / "best.ckpt")
    name = "video" if kind is VideoOnly else "audio"
    video = ResNeXt3D((1, 1, 1, 1), width=4, cardinality=2)
    model = CFNSR(5, SHAPES, video=video, audio=MFCCNet(channels=(4, 8)), attention_heads=4)
    load_weights(getattr(model, name), tmp_path / "best.ckpt", prefix=f"{name}.")
    expected = getattr(source, name).state_dict()
    assert all(torch.equal(tensor, expected[key]) for key, tensor in getattr(model, name).state_dict().items())


RULES = {"averaging": averaging, "multiplication": multiplication, "multiplicative": multiplicative}


def late(rule="averaging", **options):
    video = ResNeXt3D((1, 1, 1, 1), width=4, cardinality=2)
    return LateFusion(5, SHAPES, rule=rule, video=video, audio=MFCCNet(channels=(4, 8)), **options)


@pytest.mark.parametrize("rule", RULES)
def test_late_fusion_has_the_published_parameters_and_trains_none(rule):
    model = LateFusion(8, PAPER, rule=rule)
    assert sum(p.numel() for p in model.parameters()) == 25_916_080
    assert not any(p.requires_grad for p in model.parameters())
    stages = {name: sum(p.numel() for p in group) for name, group in model.stage_parameters().items()}
    assert list(stages)[-3:] == ["video_head", "audio", "audio_head"]
    assert (stages["video_head"], stages["audio"], stages["audio_head"]) == (16_392, 20_704, 13_320)


@pytest.mark.parametrize("rule", RULES)
def test_late_fusion_is_its_rule_over_the_networks_scores(rule):
    model, whole = late(rule).eval(), batch()
    whole["mask"]["audio"][1] = False
    logits = torch.stack([model.video(whole)["logits"], model.audio(whole)["logits"]], dim=1)
    present = torch.tensor([[True, True], [True, False], [True, True]])
    options = {"beta": 0.2} if rule == "multiplicative" else {}
    output = model(whole)
    assert torch.equal(output["logits"], RULES[rule](logits, present, **options))
    alone = model.video(whole)["logits"][1].softmax(0)
    torch.testing.assert_close(output["logits"][1].softmax(0), alone)
    assert output["aux"]["embedding"].shape == (3, 128 + 8 * 7)


def test_late_fusion_reads_whole_checkpoints(tmp_path):
    sources = {"video": small(VideoOnly), "audio": small(AudioOnly)}
    for name, task in sources.items():
        torch.save({"state_dict": task.state_dict()}, tmp_path / f"{name}.ckpt")
    model = late()
    model.start_from({name: str(tmp_path / f"{name}.ckpt") for name in sources})
    for name, task in sources.items():
        assert all(torch.equal(t, task.state_dict()[key]) for key, t in getattr(model, name).state_dict().items())
    with pytest.raises(TaskError, match=r"audio\.ckpt does not fit the model"):
        model.start_from({"video": str(tmp_path / "audio.ckpt")})


@pytest.mark.parametrize(
    ("epochs", "sources", "message"),
    [
        (1, {"video": "v.ckpt", "audio": "a.ckpt"}, "trains nothing: leave --trainer.max_epochs at 0"),
        (0, {"video": "v.ckpt"}, "--model.init_from lacks audio"),
        (0, {}, "--model.init_from lacks audio and video"),
    ],
)
def test_late_fusion_does_not_train_and_does_not_fuse_the_untrained(epochs, sources, message):
    model = late(init_from=sources)
    model._trainer = SimpleNamespace(max_epochs=epochs, ckpt_path=None)
    with pytest.raises(TaskError, match=message):
        model.on_fit_start()


def test_a_modality_that_the_data_lacks_is_refused():
    with pytest.raises(TaskError, match="needs video"):
        VideoOnly(8, {"audio": [13, 212]})
    with pytest.raises(TaskError, match="needs audio"):
        AudioOnly(8, {"video": [3, 8, 32, 32]})
