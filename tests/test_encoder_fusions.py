"""Fusions over any encoders: in Python, and as the pages say through the command line on tiny checkpoints."""

import json
import re
import shlex
import shutil
from pathlib import Path

import pytest
import timm
import torch
import transformers
import yaml
from conftest import read_experiment
from safetensors.torch import save_file
from test_clips_data import write
from test_hf_encoders import AUDIO, IMAGE, PICTURES, TEXTS, WAVES, saved

import cli
from lightning_modules.errors import TaskError
from lightning_modules.nn.hf_audio import HFAudio
from lightning_modules.nn.hf_encoders import HFImage, HFText
from lightning_modules.nn.timm_encoder import Timm
from lightning_modules.nn.vector_sequence import Vector, VectorSequence
from lightning_modules.ravdess_fusion import MCBP, ConcatFC

PAGE = Path(cli.__file__).parent / "docs" / "encoders.md"
SHAPES = {"wave": [4000], "still": [3, 16, 16], "text": [12], "units": [0, 5], "all": [7]}


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    """Tiny checkpoints by the name that the page calls them."""
    root = tmp_path_factory.mktemp("checkpoints")
    for name, table, kind in (("WAVES", AUDIO, "wav2vec2"), ("PICTURES", IMAGE, "vit"), ("TEXTS", TEXTS, "bert")):
        saved(root / name, *table[kind], kind)
    saved(root / "CLIPS", transformers.VideoMAEConfig, {**PICTURES, "num_frames": 4, "tubelet_size": 2}, "videomae")
    return root


def encoders(checkpoints):
    return {
        "wave": HFAudio(str(checkpoints / "WAVES")),
        "still": HFImage(str(checkpoints / "PICTURES"), pooling="first", freeze=1),
        "text": HFText(str(checkpoints / "TEXTS"), pooling="attention"),
        "units": VectorSequence(5, dim=6, pooling="attention"),
        "all": Vector(7, dim=4),
    }


def batch(seed=0):
    generator = torch.Generator().manual_seed(seed)
    return {
        "id": ["a", "b"],
        "wave": 0.1 * torch.randn(2, 4000, generator=generator),
        "still": torch.rand(2, 3, 16, 16, generator=generator),
        "text": torch.tensor([[2, 7, 9, 3, *[0] * 8], [2, 8, 3, *[0] * 9]]),
        "units": torch.randn(2, 4, 5, generator=generator),
        "all": torch.randn(2, 7, generator=generator),
        "length": {"units": torch.tensor([4, 2])},
        "mask": {name: torch.tensor([True, True]) for name in SHAPES},
    }


@pytest.mark.parametrize("model", [ConcatFC, MCBP])
def test_fusions_of_vectors_take_any_number_of_encoders(model, checkpoints):
    torch.manual_seed(0)
    task = model(3, SHAPES, encoders=encoders(checkpoints), hidden=8).eval()
    task.start_from({})
    task.stage_parameters()  # every parameter once
    assert list(task.frozen_encoders()) == ["wave"]
    assert "still_layer_1" in task.stages()
    whole = batch()
    with torch.no_grad():
        said = task(whole)["logits"]
        assert said.shape == (2, 3)
        ahead = {**whole, "wave": task.encoders["wave"](whole["wave"])}
        torch.testing.assert_close(task(ahead)["logits"], said)
        for name in SHAPES:  # whatever stands there
            lacking, other = batch(), batch(1)
            for one in (lacking, other):
                one["mask"][name] = torch.tensor([False, False])
            other = {**lacking, name: other[name]}
            assert torch.equal(task(lacking)["logits"], task(other)["logits"])
            assert model is MCBP or not torch.equal(task(lacking)["logits"], said)
        behind = batch()
        behind["units"][1, 2:] = 9
        torch.testing.assert_close(task(behind)["logits"], said)
    task.train()
    task(whole)["logits"].sum().backward()
    trained = {name for name, parameter in task.named_parameters() if parameter.grad is not None}
    assert not any(name.startswith("encoders.wave") for name in trained)
    assert any(name.startswith("encoders.text.pool") for name in trained)
    assert not any(name.startswith("encoders.text.network") for name in trained)


def test_what_a_fusion_cannot_take_is_one_line(checkpoints):
    made = encoders(checkpoints)
    for model, given, said in (
        (ConcatFC, {"wave": made["wave"]}, "ConcatFC fuses 2 modalities or more; it was given 1"),
        (ConcatFC, {"wave": made["wave"], "sound": made["wave"]}, r"model\.encoders\.sound: the data hand over wave"),
        (ConcatFC, {"wave": made["wave"], "still": made["text"]}, r"HFText cannot read still of shape \[3, 16, 16\]"),
        (ConcatFC, {"wave": made["wave"], "all": torch.nn.Linear(7, 2)}, "Linear is no encoder"),
        (
            ConcatFC,
            {"wave": made["wave"], "text": HFText(str(checkpoints / "TEXTS"), pooling="none")},
            "fuses one vector a modality; pooling none gives many",
        ),
    ):
        with pytest.raises(TaskError, match=said) as caught:
            model(3, SHAPES, encoders=given)
        assert "\n" not in str(caught.value)


def test_a_timm_network_is_the_librarys_with_the_statistics_of_its_folder(tmp_path):
    torch.manual_seed(0)
    network = timm.create_model("test_vit", num_classes=0, img_size=32).eval()
    save_file(network.state_dict(), tmp_path / "model.safetensors")
    settings = {"mean": [0.4, 0.5, 0.6], "std": [0.2, 0.3, 0.4]}
    content = {"architecture": "test_vit", "model_args": {"img_size": 32}, "pretrained_cfg": settings}
    (tmp_path / "config.json").write_text(json.dumps(content))
    torch.manual_seed(1)
    encoder = Timm(weights=str(tmp_path), freeze=2)
    encoder.load_pretrained()
    pixels = torch.rand(2, 3, 32, 32)
    mean, std = (torch.tensor(settings[of]).view(3, 1, 1) for of in ("mean", "std"))
    with torch.no_grad():
        wanted = network((pixels - mean) / std)
        torch.testing.assert_close(encoder.eval()(pixels), wanted, rtol=1e-4, atol=1e-5)
        clip = pixels.transpose(0, 1)[None]
        torch.testing.assert_close(encoder(clip)[0], wanted.mean(0), rtol=1e-4, atol=1e-5)
        assert encoder(torch.rand(1, 3, 48, 48)).shape == (1, encoder.channels)  # resized
    trains = {name.split(".")[1] for name, p in encoder.network.named_parameters() if p.requires_grad}
    assert trains == {"4", "5", "weight", "bias"}  # two blocks of six and the norm behind them
    with pytest.raises(TaskError, match="Timm: name a network in `backbone`"):
        Timm()
    content["model_args"] = {"checkpoint_path": "stranger.pth"}
    (tmp_path / "config.json").write_text(json.dumps(content))
    with pytest.raises(TaskError, match=r"checkpoint_path is not for options"):
        Timm(weights=str(tmp_path))


def commands():
    found = re.findall(r"^```(\w*)\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    lines = "".join(block for language, block in found if not language).replace("\\\n", " ").splitlines()
    return [line.removeprefix("python cli.py ") for line in lines if line.startswith("python cli.py fit")]


COMMANDS = commands()


def test_the_page_has_commands_of_several_experiments():
    assert len({words.split()[2] for words in COMMANDS}) == len(COMMANDS) >= 5


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: Path(command.split()[2]).stem)
def test_the_commands_of_the_page_train_on_tiny_checkpoints(
    command, checkpoints, options, tmp_path, capsys, unrendered
):
    _, config, path, *words = shlex.split(command)
    assert config == "--config"
    folder = shutil.copytree(checkpoints, tmp_path / "checkpoints")
    words = [str(folder / word) if word.isupper() else word for word in words]
    if "gated" in path:  # the overlay's settings are of another network
        content = read_experiment("gated_fusion", overlay=True)["model"]["init_args"]["encoders"]
        audio = {"class_path": "HFAudio", "init_args": {"config": {"model_type": "wav2vec2", **WAVES}}}
        own = {**content, "audio": audio}
        (tmp_path / "own.yaml").write_text(yaml.safe_dump({"model": {"init_args": {"encoders": own}}}))
        words = ["--config", str(tmp_path / "own.yaml"), *words]
    if "ClipsDataModule" in words:
        words += ["--data.root", write(tmp_path / "clips", ("video", "mfcc", "wave"))]
    if any(word.startswith("--model.encoders.") for word in words) and "ravdess" in str(options(Path(path).stem)):
        words += ["--data.wave_seconds", "0.02"]  # long enough of the stand-in's
    run = tmp_path / "run"
    short = ["--trainer.max_epochs", "1", "--trainer.default_root_dir", str(run)]
    assert cli.main(["fit", *options(Path(path).stem), *words, *short]) == 0, capsys.readouterr().err
    assert (run / "result.json").exists()
    if "ravdess_concat" in path:  # frozen: each ran once
        root = Path(yaml.safe_load((run / "config.yaml").read_text())["data"]["init_args"]["root"])
        kept = [json.loads(path.read_text()) for path in root.glob("embeddings/*/manifest.json")]
        assert {"video", "wave"} <= {manifest["modality"] for manifest in kept}
    shutil.rmtree(folder)  # a checkpoint knows its encoders
    best = next((run / "checkpoints").glob("*.ckpt"))
    assert cli.main(["test", "--config", str(run / "config.yaml"), "--ckpt_path", str(best)]) == 0


@pytest.mark.parametrize("name", ["cfnsr", "ravdess_mcbp", "features"])
def test_the_settings_of_the_page_lie_over_experiments_on_own_clips(name, checkpoints, tmp_path, capsys, unrendered):
    block = re.findall(r"^```yaml\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)[0]
    own = tmp_path / "own.yaml"
    own.write_text(block.replace("WAVES", str(checkpoints / "WAVES")))
    root = write(tmp_path / "clips", ("video", "mfcc", "wave"))
    run, small = tmp_path / "run", read_experiment("cfnsr", overlay=True)["model"]["init_args"]["video"]
    words = ["--config", f"experiments/{name}.yaml", "--config", str(own), "--data.root", root]
    words += ["--data.wave_seconds", "0.02", "--trainer.max_epochs", "2", "--trainer.default_root_dir", str(run)]
    words += {"cfnsr": ["--model.attention_heads", "2"], "ravdess_mcbp": ["--model.dim", "64"]}.get(name, [])
    words += ["--model.video", json.dumps(small)] if name != "features" else []
    assert cli.main(["fit", *words]) == 0, capsys.readouterr().err
    assert (run / "result.json").exists()


def test_a_frozen_encoder_of_augmented_pictures_and_an_encoder_of_other_input_are_one_line(
    checkpoints, options, tmp_path, capsys
):
    common = ["fit", *options("ravdess_concat"), "--trainer.default_root_dir", str(tmp_path / "run")]
    pair = ["--model.encoders.video", "HFImage", "--model.encoders.video.weights", str(checkpoints / "PICTURES")]
    sound = ["HFAudio", "--model.encoders.{0}.weights", str(checkpoints / "WAVES")]
    for modality, said in (
        ("wave", "--data.augment: a frozen encoder sees every item once; give --data.augment false\n"),
        ("audio", "audio (wave)"),
    ):
        words = [f"--model.encoders.{modality}", *(word.format(modality) for word in sound)]
        read = ["--data.modalities", f"[video, {modality}]"]
        assert cli.main([*common, *read, *pair, *words]) == 2
        error = capsys.readouterr().err
        assert said in error
        assert "Traceback" not in error
