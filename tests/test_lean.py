"""What is left out around a batch: hooks that do nothing and steps by stage that could be one, nothing computed."""

from pathlib import Path

import pytest
import torch
from lightning.pytorch import Callback
from tiny import TinyData, TinyTask, trainer

from callbacks.layer_lr import DiscriminativeLR
from callbacks.plots import ResultPlots
from callbacks.predictions import PredictionWriter
from experiments.train import tested_checkpoints
from experiments.train.lean import NoProfiler, skip_empty_hooks
from lightning_modules.nn.stages import StagedModule


class Counter(Callback):
    """Counts batches of training and validation."""

    def __init__(self):
        self.seen = []

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.seen.append("train")

    def on_validation_batch_start(self, trainer, pl_module, batch, batch_idx, dataloader_idx=0):
        self.seen.append("val")


def fitted(folder, lean, callbacks=(), **options):
    torch.manual_seed(0)
    task, run = TinyTask(**options), trainer(folder, 2, [Counter(), *callbacks])
    if lean:
        run.profiler = NoProfiler()
        skip_empty_hooks(run, task)
    run.fit(task, datamodule=TinyData())
    return task, run


def test_hooks_that_do_something_are_called(tmp_path):
    (whole, first), (task, run) = (fitted(tmp_path / str(lean), lean) for lean in (False, True))
    assert run.callbacks[0].seen == first.callbacks[0].seen
    assert {"train", "val"} == set(run.callbacks[0].seen)
    assert run.callbacks[0].on_train_batch_start is None
    assert callable(task.on_train_batch_start)  # dropout's seed
    assert all(torch.equal(a, b) for a, b in zip(task.parameters(), whole.parameters(), strict=True))


@pytest.mark.parametrize("kind", [torch.optim.Adam, torch.optim.SGD, torch.optim.RMSprop])
@pytest.mark.parametrize("callbacks", [[], [DiscriminativeLR]])
def test_groups_that_are_alike_step_as_one_and_the_same_to_the_bit(tmp_path, monkeypatch, kind, callbacks):
    seen = []
    step = kind.step
    monkeypatch.setattr(
        kind, "step", lambda self, closure=None: seen.append(len(self.param_groups)) or step(self, closure)
    )

    def run(name):
        made = [callback() for callback in callbacks]
        return fitted(tmp_path / name, False, made, optimizer=lambda groups: kind(groups, lr=0.01))

    task, fit = run("one")
    groups = [group["name"] for group in fit.optimizers[0].param_groups]
    assert len(groups) > 1  # as checkpoints have them
    assert set(seen) == {1 if kind is not torch.optim.RMSprop and not callbacks else len(groups)}
    monkeypatch.setattr("lightning_modules.nn.stages._BY_ELEMENT", ())
    other, _ = run("each")
    assert all(torch.equal(a, b) for a, b in zip(task.parameters(), other.parameters(), strict=True))


def test_what_lightning_notes_is_kept_and_parameters_are_found():
    task = TinyTask()
    task._current_fx_name = "x"
    assert task._current_fx_name == "x"
    task.more = torch.nn.Parameter(torch.zeros(1))
    assert "more" in dict(task.named_parameters())
    assert isinstance(task, StagedModule)


def test_of_the_tests_that_end_a_run_the_last_draws(tmp_path, monkeypatch):
    data, task = TinyData(), TinyTask()
    run = trainer(tmp_path, 1, [PredictionWriter(), ResultPlots()])
    run.fit(task, datamodule=data)
    for name in ("best", "last"):
        run.save_checkpoint(tmp_path / "checkpoints" / f"{name}.ckpt")
    monkeypatch.setattr(TinyData, "selections", ["best", "last"])
    monkeypatch.setattr(tested_checkpoints, "read_checkpoint", lambda *_: {"epoch": 0})
    drawn = []
    monkeypatch.setattr(
        ResultPlots, "on_test_end", lambda self, trainer, task: drawn.append(trainer.callbacks[0].selection)
    )
    found = tested_checkpoints.score_selections(run, task, data)
    assert list(found) == ["best", "last"]
    assert drawn == ["best"]
    assert all(Path(tmp_path, f"predictions-{name}.csv").exists() for name in found)
