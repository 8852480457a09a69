"""Sweep files without a server: parsed, sampled, and run through the real command line as an agent would."""

import math
import os
from pathlib import Path

import numpy as np
import pytest
import yaml
from wandb.sdk.launch.sweeps.utils import create_sweep_command_args

import cli
from experiments.settings.config import read_yaml
from experiments.train import sweep

ROOT = Path(__file__).resolve().parents[1]
SWEEPS = sorted(path.stem for path in (ROOT / "experiments" / "sweeps").glob("*.yaml"))


def draw(parameter, rng):
    if "values" in parameter:
        return parameter["values"][rng.integers(len(parameter["values"]))]
    low, high = parameter["min"], parameter["max"]
    if parameter["distribution"] == "log_uniform_values":
        return float(math.exp(rng.uniform(math.log(low), math.log(high))))
    assert parameter["distribution"] == "uniform"
    return float(rng.uniform(low, high))


def command(name, values):
    """What W&B's agent would run, without interpreter and program."""
    content = read_yaml(ROOT / "experiments" / "sweeps" / f"{name}.yaml")
    arguments = create_sweep_command_args({"args": {key: {"value": value} for key, value in values.items()}})["args"]
    words = content["command"]
    assert words[:4] == ["${env}", "${interpreter}", "${program}", "fit"]
    assert words[-1] == "${args}"
    return [*words[3:-1], *arguments]


def experiment(name):
    """The experiment that a sweep varies."""
    words = read_yaml(ROOT / "experiments" / "sweeps" / f"{name}.yaml")["command"]
    return Path(words[words.index("--config") + 1]).stem


def points(name, count):
    parameters = read_yaml(ROOT / "experiments" / "sweeps" / f"{name}.yaml")["parameters"]
    rng = np.random.default_rng(0)
    return [{key: draw(parameter, rng) for key, parameter in parameters.items()} for _ in range(count)]


def test_there_are_sweeps():
    assert "cfnsr" in SWEEPS


@pytest.mark.parametrize("name", SWEEPS)
def test_a_sweep_selects_on_validation_speakers(name):
    content = read_yaml(ROOT / "experiments" / "sweeps" / f"{name}.yaml")
    assert content["program"] == "cli.py"
    assert content["metric"] == {"name": "val_score", "goal": "maximize"}
    assert "--data.protocol=honest" in content["command"]
    assert content["method"] in ("bayes", "random", "grid")


@pytest.mark.parametrize("name", SWEEPS)
def test_every_key_reaches_the_setting_it_names(name, stand_in_root, capsys):
    root = stand_in_root(experiment(name))
    for values in points(name, 3):
        capsys.readouterr()
        with pytest.raises(SystemExit) as stop:
            cli.main([*command(name, values), *root, "--print_config"])
        assert stop.value.code in (0, None)
        printed = yaml.safe_load(capsys.readouterr().out)
        for key, value in values.items():
            found = printed
            for part in key.removesuffix("+").split("."):
                found = found[part]
            if key.endswith("+"):
                last = yaml.safe_load(value)
                names = [item["class_path"].rpartition(".")[2] for item in found]
                assert names[len(names) - len(last) :] == [item["class_path"] for item in last]
                for item, given in zip(found[len(names) - len(last) :], last, strict=True):
                    assert given["init_args"].items() <= item["init_args"].items()
            else:
                assert found == pytest.approx(value)


@pytest.mark.parametrize("name", SWEEPS)
def test_every_listed_value_is_accepted_and_a_wrong_key_is_not(name, stand_in_root, capsys):
    parameters = read_yaml(ROOT / "experiments" / "sweeps" / f"{name}.yaml")["parameters"]
    for key, parameter in parameters.items():
        for value in parameter.get("values", []):
            with pytest.raises(SystemExit) as stop:
                cli.main([*command(name, {key: value}), *stand_in_root(experiment(name)), "--print_config"])
            assert stop.value.code in (0, None)
    capsys.readouterr()
    wrong = command(name, {"model.init_args.no_such_setting": 1})
    assert cli.main([*wrong, *stand_in_root(experiment(name)), "--print_config"]) == 2
    assert "no_such_setting" in capsys.readouterr().err


@pytest.mark.parametrize("name", SWEEPS)
def test_a_sampled_point_runs(name, options, trained, capsys):
    tiny = options(experiment(name))[2:]  # the sweep names the experiment itself
    tiny += trained.options(experiment(name), "honest")
    tiny += ["--trainer.fast_dev_run", "true", "--trainer.accelerator", "cpu"]
    assert cli.main([*command(name, points(name, 6)[5]), *tiny]) == 0


def test_runs_of_a_sweep_do_not_meet(ravdess, tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_SWEEP_ID", "s1")
    options = ["--config", str(ROOT / "experiments" / "ravdess_audio.yaml"), "--data.root", str(ravdess)]
    options += ["--trainer.max_epochs", "1", "--trainer.accelerator", "cpu"]
    monkeypatch.chdir(tmp_path)
    for run, rate in (("a", "1e-3"), ("b", "1e-2")):
        monkeypatch.setenv("WANDB_RUN_ID", run)
        assert cli.main(["fit", *options, "--model.init_args.optimizer.init_args.lr", rate]) == 0
        assert (tmp_path / "runs" / "sweeps" / "ravdess_audio" / "s1" / run / "result.json").exists()


@pytest.mark.parametrize("variable", ["WANDB_SWEEP_ID", "WANDB_RUN_ID"])
def test_names_of_a_sweep_are_no_paths(ravdess, tmp_path, monkeypatch, capsys, variable):
    for name in ("WANDB_SWEEP_ID", "WANDB_RUN_ID"):
        monkeypatch.setenv(name, "../../x" if name == variable else "a")
    options = ["--config", str(ROOT / "experiments" / "ravdess_audio.yaml"), "--data.root", str(ravdess)]
    monkeypatch.chdir(tmp_path)
    assert cli.main(["fit", *options, "--trainer.accelerator", "cpu"]) == 2
    assert f"error: {variable}: '../../x' cannot be the name of a file" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_config_file_names_no_folder_outside(ravdess, tmp_path, monkeypatch, capsys):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    config = Path("...yaml")
    config.write_text((ROOT / "experiments" / "ravdess_audio.yaml").read_text())
    assert cli.main(["fit", "--config", str(config), "--data.root", str(ravdess), "--trainer.accelerator", "cpu"]) == 2
    assert "error: --config: '..' cannot be the name of a file: it means a folder" in capsys.readouterr().err
    assert [path.name for path in tmp_path.rglob("*")] == ["here", "...yaml"]


def test_without_a_key_one_line_says_what_to_do(tmp_path, monkeypatch, capsys):
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.delenv("WANDB_IDENTITY_TOKEN_FILE", raising=False)
    (tmp_path / "netrc").touch(0o600)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    assert sweep.main(["cfnsr"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "WANDB_API_KEY" in error
    assert sweep.main(["nope"]) == 2
    assert "sweeps: cfnsr, emotiw, engagement_finetuning, gated_fusion, gated_late" in capsys.readouterr().err
    assert sweep.main([]) == 2
    (tmp_path / "own.yaml").write_text("method: random\n")
    assert sweep.main([os.path.relpath(tmp_path / "own", ROOT / "experiments" / "sweeps")]) == 2
    assert "no sweep '../" in capsys.readouterr().err


def test_a_sweep_is_created_and_an_agent_started(monkeypatch, capsys):
    created, started = [], []
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    monkeypatch.setattr("wandb.sweep", lambda content, project: created.append((content, project)) or "abc123")
    monkeypatch.setattr(sweep.subprocess, "call", lambda words, **options: started.append((words, options)) or 0)
    assert sweep.main(["cfnsr"]) == 0
    assert created[0][0]["program"] == "cli.py"
    words, options = started[0]
    assert words[1:] == ["-m", "wandb", "agent", "affectzoo/abc123"]
    assert options["env"]["PATH"].startswith(str(Path(words[0]).parent))

    def refuse(content, project):
        raise RuntimeError("no such entity\nand much more")

    monkeypatch.setattr("wandb.sweep", refuse)
    assert sweep.main(["cfnsr"]) == 2
    assert capsys.readouterr().err.splitlines()[-1].endswith("no such entity")
