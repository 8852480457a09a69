"""Weights & Biases as a mirror: a run on disk without a key, and no run ever stopped by it."""

import json
import os
import warnings
from pathlib import Path

import pytest
import torch
from tiny import TinyData, TinyTask, trainer

import cli
from callbacks.wandb import ResilientWandbLogger

wandb = pytest.importorskip("wandb")  # ruff would sort an import by whether a folder wandb/ of offline runs is there
KEY = "0123456789" * 4
ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def clean(tmp_path, monkeypatch):
    """A home without a login, and an environment that says nothing about W&B."""
    wandb.teardown()  # what an earlier test set up keeps the mode it found
    names = ["NETRC", *(f"WANDB_{name}" for name in ("MODE", "API_KEY", "BASE_URL", "IDENTITY_TOKEN_FILE", "SILENT"))]
    for name in [*names, "WANDB_X_DISABLE_META", "WANDB_INIT_TIMEOUT", "WANDB_FINISH_TIMEOUT"]:
        monkeypatch.setenv(name, "")  # so that what the logger sets is taken back
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def test_offline_without_a_key(clean):
    ResilientWandbLogger(save_dir=clean)
    assert os.environ["WANDB_MODE"] == "offline"


def test_a_login_for_something_else_is_no_key(clean):
    (clean / ".netrc").write_text(f"machine github.com\n  login user\n  password {KEY}\n")
    ResilientWandbLogger(save_dir=clean)
    assert os.environ["WANDB_MODE"] == "offline"


@pytest.mark.parametrize("content", [b"machine", b"\xff\x00", b"machine api.wandb.ai"])
def test_a_broken_netrc_is_no_key_and_no_error(clean, content):
    (clean / ".netrc").write_bytes(content)
    ResilientWandbLogger(save_dir=clean)
    assert os.environ["WANDB_MODE"] == "offline"


@pytest.mark.parametrize("place", ["environment", "netrc", "NETRC", "own server"])
def test_online_with_a_key(clean, monkeypatch, place):
    server = "wandb.example.org" if place == "own server" else "api.wandb.ai"
    path = clean / ("login" if place == "NETRC" else ".netrc")
    if place == "environment":
        monkeypatch.setenv("WANDB_API_KEY", KEY)
    else:
        path.write_text(f"machine {server}\n  login user\n  password {KEY}\n")
    if place == "NETRC":
        monkeypatch.setenv("NETRC", str(path))
    if place == "own server":
        monkeypatch.setenv("WANDB_BASE_URL", f"https://{server}")
    ResilientWandbLogger(save_dir=clean)
    assert "WANDB_MODE" not in os.environ


def test_what_the_user_says_stays(clean, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "disabled")
    ResilientWandbLogger(save_dir=clean)
    assert os.environ["WANDB_MODE"] == "disabled"


def test_an_unreachable_server_costs_seconds(clean):
    ResilientWandbLogger(save_dir=clean)
    settings = wandb.Settings()
    settings.update_from_env_vars(os.environ)
    assert 0 < settings.init_timeout <= 60
    assert 0 < settings.finish_timeout <= 60  # without it, the end of a run waits for the server for ever


def fit(folder, logger):
    """Two epochs with the logger; what it warned about W&B, and the run's trainer."""
    task = TinyTask(optimizer=lambda p: torch.optim.SGD(p, lr=0.1))
    run = trainer(folder, epochs=2, logger=logger, log_every_n_steps=1)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        run.fit(task, datamodule=TinyData())
        run.test(task, datamodule=TinyData(), verbose=False)
    return run, [str(w.message) for w in caught if "Weights & Biases" in str(w.message)]


def failing(*args, **kwargs):
    raise wandb.errors.CommError("no route to host\nsecond line")


def check_survived(run, told):
    assert run.state.finished
    assert run.current_epoch == 2
    assert "test_accuracy" in run.callback_metrics
    assert told == ["Weights & Biases is off for the rest of this run (no route to host); metrics.csv has everything"]


def test_a_start_that_fails_does_not_stop_the_run(clean, monkeypatch):
    monkeypatch.setattr(wandb, "init", failing)
    logger = ResilientWandbLogger(save_dir=clean)
    check_survived(*fit(clean, logger))
    logger.experiment.log({"anything": 1})  # callbacks that use it go on, too
    logger.log_hyperparams({"config": "x"})


class FakeRun:
    """A run of W&B that breaks at one of the calls made on it."""

    id = name = "fake"

    def __init__(self, breaks):
        self.breaks, self.calls = breaks, []
        self.config = self

    def _call(self, name):
        self.calls.append(name)
        if self.breaks == name:
            failing()

    def log(self, *args, **kwargs):
        self._call("log")

    def update(self, *args, **kwargs):
        self._call("update")


@pytest.mark.parametrize("place", ["log", "update"])
def test_a_failure_midway_does_not_stop_the_run(clean, place):
    fake = FakeRun(place)
    logger = ResilientWandbLogger(save_dir=clean, experiment=fake)
    check_survived(*fit(clean, logger))
    assert fake.calls.count(place) == 1
    assert fake.calls[-1] == place  # nothing more is tried


@pytest.mark.parametrize("method", ["finalize", "after_save_checkpoint", "save"])
def test_every_other_call_is_guarded(clean, monkeypatch, method):
    logger = ResilientWandbLogger(save_dir=clean, experiment=FakeRun(None), log_model="all")
    monkeypatch.setattr(type(logger).__mro__[1], "_scan_and_log_checkpoints", failing)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        getattr(logger, method)(*{"finalize": ["success"], "after_save_checkpoint": [None], "save": []}[method])
    assert logger.broken == (method == "after_save_checkpoint")


def test_a_healthy_run_is_on_disk(clean):
    logger = ResilientWandbLogger(project="tests", save_dir=clean)
    try:
        run, told = fit(clean, logger)
        logger.log_hyperparams({"config": "the: config"})
        assert run.state.finished
        assert told == []
        assert logger.experiment.settings.mode == "offline"
        summary = dict(logger.experiment.summary)
        for name in ("train_loss", "val_accuracy", "test_accuracy"):
            assert summary[name] == pytest.approx(float(run.logged_metrics.get(name, summary[name])))
        assert summary["test_accuracy"] == pytest.approx(run.callback_metrics["test_accuracy"].item())
        assert logger.experiment.config["config"] == "the: config"
    finally:
        wandb.finish()
        wandb.teardown()  # the record is written by another process
    (record,) = clean.glob("wandb/offline-run-*/run-*.wandb")
    assert b"the: config" in record.read_bytes()


def test_tensorboard_and_wandb_by_yaml(clean, ravdess, monkeypatch):
    """The lines in the header of experiments/emotiw_fusion.yaml."""
    monkeypatch.setenv("WANDB_DIR", "")  # so that the folder that the command line sets is taken back
    monkeypatch.delenv("WANDB_DIR")
    header = (ROOT / "experiments" / "emotiw_fusion.yaml").read_text().splitlines()
    start = header.index("#   trainer:")
    lines = [line.removeprefix("#   ") for line in header[start : start + 4]]
    events = clean / "events"
    (clean / "both.yaml").write_text("\n".join(lines).replace("runs/tensorboard", str(events)))
    command = [
        "fit",
        "--config",
        str(ROOT / "experiments" / "ravdess_audio.yaml"),
        "--config",
        str(clean / "both.yaml"),
    ]
    command += ["--data.root", str(ravdess), "--trainer.max_epochs", "1", "--trainer.accelerator", "cpu"]
    try:
        assert cli.main([*command, "--trainer.default_root_dir", str(clean / "run")]) == 0
    finally:
        wandb.finish()
        wandb.teardown()
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    (folder,) = {path.parent for path in events.rglob("events.out.tfevents.*")}
    found = EventAccumulator(str(folder)).Reload().Tags()["scalars"]
    assert {"train_loss", "val_accuracy", "test_accuracy"} <= set(found)
    (record,) = (clean / "run").glob("wandb/offline-run-*/run-*.wandb")
    assert b"val_accuracy" in record.read_bytes()
    assert (clean / "run" / "result.json").exists()


def test_no_logger_keeps_a_secret_of_the_command_line(clean, ravdess, monkeypatch):
    """W&B keeps the command line, unless it holds one."""
    monkeypatch.setenv("WANDB_DIR", "")
    monkeypatch.delenv("WANDB_DIR")
    secret, run = "services/hunter2hunter2", clean / "run"
    command = ["fit", "--config", str(ROOT / "experiments" / "ravdess_audio.yaml"), "--data.root", str(ravdess)]
    command += ["--trainer.max_epochs", "1", "--trainer.accelerator", "cpu", "--trainer.default_root_dir", str(run)]
    command += ["--trainer.logger+=ResilientWandbLogger", "--trainer.callbacks+=WebhookNotifier"]
    command += ["--trainer.callbacks.url", f"http://127.0.0.1:9/{secret}"]  # nobody listens there
    tensorboard = {"class_path": "TensorBoardLogger", "init_args": {"save_dir": str(run / "events")}}
    command += ["--trainer.logger+", json.dumps(tensorboard)]
    monkeypatch.setattr("sys.argv", ["cli.py", *command])
    try:
        assert cli.main() == 0
    finally:
        wandb.finish()
        wandb.teardown()
    files = [path for path in clean.rglob("*") if path.is_file()]
    assert any(path.suffix == ".wandb" and b"val_accuracy" in path.read_bytes() for path in files)
    assert any(path.name.startswith("events.") for path in files)
    assert [path for path in files if secret.encode() in path.read_bytes()] == []
