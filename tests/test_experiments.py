"""Every experiment, found by glob, through the real command line: fit, test, predict."""

from pathlib import Path

import pytest
import torch
import yaml
from conftest import leave_blank, official, parts
from conftest import read_experiment as read

import cli
from experiments.results import cell as results
from experiments.train.command import build
from lightning_modules.nn.encoders import read_weights

ROOT = Path(__file__).resolve().parents[1]
EXPERIMENTS = sorted(path.stem for path in (ROOT / "experiments").glob("[!_]*.yaml"))


def cells():
    for name in EXPERIMENTS:
        for protocol in ["honest"] if official(name) else ["paper", "honest"]:
            yield name, protocol


def test_there_are_experiments():
    assert {"cfnsr", "ravdess_audio", "ravdess_video"} <= set(EXPERIMENTS)


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_experiment_has_an_overlay_and_cites_its_paper(name):
    assert (ROOT / "experiments" / "synthetic" / f"{name}.yaml").exists()
    header = (ROOT / "experiments" / f"{name}.yaml").read_text().split("\ntrainer:")[0]
    assert header.startswith("#")
    assert "https://" in header


@pytest.mark.parametrize(("name", "protocol"), cells())
def test_fit_test_predict(name, protocol, options, trained, tmp_path, capfd, monkeypatch):
    if protocol == "paper":  # under the other they are rendered
        monkeypatch.setattr("callbacks.plots.save", leave_blank)
    run = ["--trainer.default_root_dir", str(tmp_path), "--data.protocol", protocol]
    epochs = min(2, read(name)["trainer"]["max_epochs"])
    fit = ["fit", *options(name), *run, "--trainer.max_epochs", str(epochs), *trained.options(name, protocol)]
    assert cli.main(fit) == 0
    cell = results.read_cell(tmp_path)
    selections = ["best", "last"] if protocol == "paper" else ["selected"]
    assert sorted(cell.predictions) == sorted(cell.result["selections"]) == selections
    assert cell.result["synthetic"] is True
    data = build(fit).datamodule
    assert {split: cell.result[f"n_{split}"] for split in ("train", "val", "test")} == data.split_sizes()
    assert (cell.result["n_val"] > 0) == (protocol == "honest")
    batches = {split: [group for batch in loader() for group in batch["group"]] for split, loader in (
        ("train", data.train_dataloader), ("val", data.val_dataloader), ("test", data.test_dataloader)
    )}  # fmt: skip
    assert not set(batches["train"]) & set(batches["test"])
    assert protocol == "paper" or not set(batches["val"]) & {*batches["train"], *batches["test"]}
    for selection, predictions in cell.predictions.items():
        assert set(predictions.groups) <= set(batches["test"])
        accuracy = (predictions.targets == predictions.predicted).mean()
        assert accuracy == pytest.approx(cell.result["selections"][selection]["accuracy"])
    assert len(cell.curves.get("val_accuracy", [])) == epochs
    assert cell.result["parameters"]["total"] == sum(cell.result["parameters"]["stages"].values())
    assert "accuracy" in capfd.readouterr().out
    if not epochs:
        assert {metrics["epoch"] for metrics in cell.result["selections"].values()} == {None}
    elif protocol == "paper":
        assert cell.result["selections"]["last"]["epoch"] == epochs - 1
        best = max(cell.curves["val_accuracy"])
        assert cell.result["selections"]["best"]["accuracy"] == pytest.approx(best, abs=1e-4)

    monkeypatch.setattr("callbacks.plots.save", leave_blank)
    checkpoint = ["--ckpt_path", str(tmp_path / "checkpoints" / "best.ckpt")]
    assert cli.main(["test", *options(name), *run, *checkpoint]) == 0
    selected = (tmp_path / f"predictions-{selections[0]}.csv").read_text()
    assert (tmp_path / "predictions-test.csv").read_text() == selected
    assert cli.main(["predict", *options(name), *run, *checkpoint]) == 0
    assert (tmp_path / "predictions.csv").read_text() == selected


@pytest.mark.usefixtures("unrendered")
def test_late_fusion_is_made_of_the_same_selection_of_its_parts_and_carries_on(
    options, trained, tmp_path, capfd, caplog
):
    name, run = "ravdess_averaging", tmp_path / "run"
    fit = ["fit", *options(name), "--trainer.default_root_dir", str(run)]
    sources = {}
    for part, source in parts(name).items():
        state = read_weights(trained(source, "paper"))
        folder = tmp_path / "parts" / part
        folder.mkdir(parents=True)
        sources[part] = str(folder / "best.ckpt")
        torch.save({"state_dict": state}, sources[part])
        torch.save({"state_dict": {**state, "head.bias": state["head.bias"] + 1}}, folder / "last.ckpt")
    fit += [word for part, path in sources.items() for word in (f"--model.init_from.{part}", path)]
    assert cli.main(fit) == 0
    for selection in ("best", "last"):
        made = read_weights(run / "checkpoints" / f"{selection}.ckpt")
        for part, path in sources.items():
            own = read_weights(Path(path).with_name(f"{selection}.ckpt"))
            assert all(torch.equal(tensor, made[f"{part}.{key}"]) for key, tensor in own.items())
    files = {path.name: path.read_text() for path in run.glob("predictions-*.csv")}
    assert len(files) == 2
    for path in (run / "result.json", run / "checkpoints" / "best.ckpt", *run.glob("*.csv")):
        path.unlink()  # as if it had been killed after the first selection
    capfd.readouterr()
    assert cli.main(fit) == 0
    assert {path.name: path.read_text() for path in run.glob("predictions-*.csv")} == files
    assert "carrying on from last.ckpt" in caplog.text
    assert "best, nothing trained (chosen on the clips that it is scored on: optimistic)" in capfd.readouterr().out


def test_late_fusion_says_what_to_train_first(options, tmp_path, capsys):
    fit = ["fit", *options("ravdess_averaging"), "--trainer.default_root_dir", str(tmp_path), "--data.fold", "3"]
    assert cli.main(fit) == 2
    error = capsys.readouterr().err
    assert "runs/synthetic/ravdess_video/paper-fold3-seed0/checkpoints/best.ckpt; train it first" in error
    assert "Traceback" not in error


@pytest.mark.usefixtures("unrendered")
def test_a_leak_that_the_model_cannot_read_is_refused_and_one_it_can_is_stamped(options, trained, tmp_path, capsys):
    fused = ["fit", *options("gated_fusion"), *trained.options("gated_fusion", "honest")]
    for option, part in (("use_chain_of_empathy", "context"), ("use_response", "listener")):
        assert cli.main([*fused, "--trainer.default_root_dir", str(tmp_path), f"--data.{option}", "true"]) == 2
        assert f"--data.{option}: AdaptiveGatedFusion does not read the {part}" in capsys.readouterr().err
    run = ["--trainer.default_root_dir", str(tmp_path / "leaky"), "--trainer.max_epochs", "1"]
    assert cli.main(["fit", *options("gated_audio_text"), *run, "--data.use_response", "true"]) == 0
    assert "LEAKED: selected" in capsys.readouterr().out
    best = ["--ckpt_path", str(tmp_path / "leaky" / "checkpoints" / "best.ckpt")]
    assert cli.main(["test", *options("gated_audio_text"), *best]) == 0  # on what it was trained on
    assert "LEAKED" in capsys.readouterr().out
    assert (tmp_path / "leaky" / "predictions-test-leaked.csv").exists()
    assert cli.main(["test", *options("gated_audio_text"), *best, "--data.use_response", "false"]) == 2
    assert "--data.use_response: the checkpoint's run had true there" in capsys.readouterr().err


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_full_size_network_builds_and_its_config_survives(name, stand_in_root, capsys):
    """The experiment as it is, without the overlay: parsed, built and printed by the real parser."""
    arguments = ["fit", "--config", f"experiments/{name}.yaml", *stand_in_root(name), "--print_config"]
    capsys.readouterr()  # of making the stand-in
    with pytest.raises(SystemExit) as stop:
        cli.main(arguments)
    assert stop.value.code in (0, None)
    printed = yaml.safe_load(capsys.readouterr().out)
    given = yaml.safe_load((ROOT / "experiments" / f"{name}.yaml").read_text())
    assert printed["trainer"]["max_epochs"] == given["trainer"]["max_epochs"]
    assert printed["model"]["class_path"].endswith(given["model"]["class_path"])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "initial"),
    [
        ("cfnsr", 3),
        ("static_engagement_face", 7),
        ("engagement_fusion", 2),
        ("emotiw_fusion", 2),
        ("gated_fusion", 2),
    ],
)
def test_two_processes_with_mixed_precision(name, initial, options, trained, tmp_path):
    import os
    import subprocess
    import sys

    command = [
        *[sys.executable, "cli.py", "fit", *options(name), *trained.options(name, "honest")],
        *["--config", "experiments/_ddp.yaml", "--trainer.devices", "2", "--trainer.accelerator", "cpu"],
        *["--trainer.sync_batchnorm", "false", "--trainer.max_epochs", "2", "--data.protocol", "honest"],
        *[f"--trainer.callbacks+={{class_path: GradualUnfreezing, init_args: {{initial: {initial}}}}}"],
        *["--trainer.default_root_dir", str(tmp_path)],
    ]
    subprocess.run(command, cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1"}, check=True, timeout=600)
    cell = results.read_cell(tmp_path)
    assert len(cell.predictions["selected"].ids) == cell.result["n_test"]  # the sampler's padding is not counted
