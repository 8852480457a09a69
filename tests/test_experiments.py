"""Every experiment, found by glob, through the real command line: fit, test, predict."""

from pathlib import Path

import pytest
import torch
import yaml

import cli
from experiments import results
from lightning_modules.encoders import read_weights

ROOT = Path(__file__).resolve().parents[1]
EXPERIMENTS = sorted(path.stem for path in (ROOT / "experiments").glob("[!_]*.yaml"))


@pytest.fixture
def roots(ravdess, ravdess_features):
    """Folder of the tiny stand-in of every corpus that experiments read."""
    return {"RAVDESSDataModule": ravdess, "PrecomputedTensorDataModule": ravdess_features}


def read(name):
    return yaml.safe_load((ROOT / "experiments" / f"{name}.yaml").read_text())


@pytest.fixture(scope="module")
def trained(ravdess, tmp_path_factory):
    """The checkpoint of an experiment that another one starts from; each is trained once."""
    folder = tmp_path_factory.mktemp("trained")

    def checkpoint(name, protocol):
        run = folder / name / protocol
        if not run.exists():
            command = ["fit", *options(name, {"RAVDESSDataModule": ravdess}), "--trainer.max_epochs", "2"]
            place = ["--trainer.default_root_dir", str(run), "--data.protocol", protocol, "--data.fold", "2"]
            assert cli.main([*command, *place]) == 0
        return str(run / "checkpoints" / "best.ckpt")

    return checkpoint


def parts(name):
    """What the experiment starts from: experiment by part."""
    sources = read(name)["model"].get("init_args", {}).get("init_from", {})
    found = {part: Path(path).parts for part, path in sources.items()}
    assert all(path[0] == "runs" and path[2:] == ("{cell}", "checkpoints", "best.ckpt") for path in found.values())
    return {part: path[1] for part, path in found.items()}


def options(name, roots):
    experiment = read(name)
    data = experiment["data"]
    root = roots[data["class_path"]]
    # The stand-in of the tests is smaller still than the one that the overlay is for.
    smaller = (
        {"frames": "4", "image_size": "16"}
        if data["class_path"] == "RAVDESSDataModule" and "video" in data["init_args"].get("modalities", ["video"])
        else {}
    )
    return [
        *["--config", f"experiments/{name}.yaml", "--config", f"experiments/synthetic/{name}.yaml"],
        *["--data.root", str(root), *(word for key, value in smaller.items() for word in (f"--data.{key}", value))],
    ]


def test_there_are_experiments():
    assert {"cfnsr", "ravdess_audio", "ravdess_video"} <= set(EXPERIMENTS)


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_experiment_has_an_overlay_and_cites_its_paper(name):
    assert (ROOT / "experiments" / "synthetic" / f"{name}.yaml").exists()
    header = (ROOT / "experiments" / f"{name}.yaml").read_text().split("\ntrainer:")[0]
    assert header.startswith("#")
    assert "https://" in header


@pytest.mark.parametrize("protocol", ["paper", "honest"])
@pytest.mark.parametrize("name", EXPERIMENTS)
def test_fit_test_predict(name, protocol, roots, trained, tmp_path, capfd):
    run = ["--trainer.default_root_dir", str(tmp_path), "--data.protocol", protocol, "--data.fold", "2"]
    epochs = min(2, read(name)["trainer"]["max_epochs"])
    fit = ["fit", *options(name, roots), *run, "--trainer.max_epochs", str(epochs)]
    for part, source in parts(name).items():
        fit += [f"--model.init_from.{part}", trained(source, protocol)]
    assert cli.main(fit) == 0
    cell = results.read_cell(tmp_path)
    selections = ["best", "last"] if protocol == "paper" else ["selected"]
    assert sorted(cell.predictions) == sorted(cell.result["selections"]) == selections
    assert cell.result["synthetic"] is True
    assert (cell.result["n_test"], cell.result["n_val"]) == (16, 0 if protocol == "paper" else 16)
    assert cell.result["n_train"] == (80 if protocol == "paper" else 64)
    for selection, predictions in cell.predictions.items():
        assert set(predictions.groups) == {"09", "10", "11", "12"}
        accuracy = (predictions.targets == predictions.predicted).mean()
        assert accuracy == pytest.approx(cell.result["selections"][selection]["accuracy"])
    assert len(cell.curves.get("val_accuracy", [])) == epochs
    assert cell.result["parameters"]["total"] == sum(cell.result["parameters"]["stages"].values())
    assert "accuracy" in capfd.readouterr().out
    if not epochs:
        assert {metrics["epoch"] for metrics in cell.result["selections"].values()} == {None}
    elif protocol == "paper":
        assert cell.result["selections"]["last"]["epoch"] == 1
        best = max(cell.curves["val_accuracy"])
        assert cell.result["selections"]["best"]["accuracy"] == pytest.approx(best, abs=1e-4)

    checkpoint = ["--ckpt_path", str(tmp_path / "checkpoints" / "best.ckpt")]
    assert cli.main(["test", *options(name, roots), *run, *checkpoint]) == 0
    selected = (tmp_path / f"predictions-{selections[0]}.csv").read_text()
    assert (tmp_path / "predictions-test.csv").read_text() == selected
    assert cli.main(["predict", *options(name, roots), *run, *checkpoint]) == 0
    assert (tmp_path / "predictions.csv").read_text() == selected


def test_late_fusion_is_made_of_the_same_selection_of_its_parts_and_carries_on(roots, trained, tmp_path, capfd, caplog):
    name, run = "ravdess_averaging", tmp_path / "run"
    fit = ["fit", *options(name, roots), "--data.fold", "2", "--trainer.default_root_dir", str(run)]
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
    assert "best, nothing trained (chosen on the test fold: optimistic)" in capfd.readouterr().out


def test_late_fusion_says_what_to_train_first(roots, tmp_path, capsys):
    fit = ["fit", *options("ravdess_averaging", roots), "--trainer.default_root_dir", str(tmp_path), "--data.fold", "3"]
    assert cli.main(fit) == 2
    error = capsys.readouterr().err
    assert "runs/synthetic/ravdess_video/paper-fold3-seed0/checkpoints/best.ckpt; train it first" in error
    assert "Traceback" not in error


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_full_size_network_builds_and_its_config_survives(name, roots, tmp_path, capsys):
    """The experiment as it is, without the overlay: parsed, built and printed by the real parser."""
    experiment = [word for word in options(name, roots) if "synthetic" not in word or word == str(roots)]
    arguments = ["fit", *experiment[:2], "--data.root", str(roots[read(name)["data"]["class_path"]]), "--print_config"]
    with pytest.raises(SystemExit) as stop:
        cli.main(arguments)
    assert stop.value.code in (0, None)
    printed = yaml.safe_load(capsys.readouterr().out)
    given = yaml.safe_load((ROOT / "experiments" / f"{name}.yaml").read_text())
    assert printed["trainer"]["max_epochs"] == given["trainer"]["max_epochs"]
    assert printed["model"]["class_path"].endswith(given["model"]["class_path"])


@pytest.mark.slow
def test_two_processes_with_mixed_precision(ravdess, tmp_path):
    import os
    import subprocess
    import sys

    command = [
        *[sys.executable, "cli.py", "fit", *options("cfnsr", {"RAVDESSDataModule": ravdess})],
        *["--config", "experiments/_ddp.yaml", "--trainer.devices", "2", "--trainer.accelerator", "cpu"],
        *["--trainer.sync_batchnorm", "false", "--trainer.max_epochs", "2"],
        *["--trainer.callbacks+={class_path: GradualUnfreezing, init_args: {initial: 3}}"],
        *["--trainer.default_root_dir", str(tmp_path)],
    ]
    subprocess.run(command, cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1"}, check=True, timeout=600)
    cell = results.read_cell(tmp_path)
    assert len(cell.predictions["last"].ids) == 16
