"""What a model costs, against counts by hand."""

import resource
from pathlib import Path

import pytest
import torch
from tiny import CLASSES, TinyData, TinyTask, trainer

from callbacks.profile import ModelProfile, peak_of_process

BOTTOM, MIDDLE, HEAD = 5 * 8 + 8 + 16, 8 * 8 + 8 + 16 + 8, 8 * CLASSES + CLASSES
FLOPS = 2 * (5 * 8 + 8 * 8 + 8 * CLASSES)  # a multiplication and an addition per weight and clip


class Counting(TinyTask):
    """Notes the batch of every forward pass."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.sizes, self.modes = [], []

    def forward(self, batch):
        self.sizes.append(len(batch["id"]))
        self.modes.append((self.training, torch.is_grad_enabled()))
        return super().forward(batch)


def profiled(folder, task, size=8, **kwargs):
    profile = ModelProfile(**kwargs)
    run = trainer(folder, callbacks=[profile])
    run.test(task, datamodule=TinyData(batch_size=size), verbose=False)
    return profile.result, run


@pytest.mark.parametrize("size", [1, 8])
def test_counts(tmp_path, size):
    task = Counting()
    result, _ = profiled(tmp_path, task, size, repeats=3)
    assert result["parameters"] == {
        "total": BOTTOM + MIDDLE + HEAD,
        "trainable": BOTTOM + MIDDLE + HEAD,
        "stages": {"bottom": BOTTOM, "nothing": 0, "middle": MIDDLE, "head": HEAD},
    }
    assert sum(result["parameters"]["stages"].values()) == sum(p.numel() for p in task.parameters())
    assert result["flops"] == FLOPS  # of one clip, whatever the batch
    assert task.sizes == [1] * 4 + [size] * (8 // size)
    assert set(task.modes) == {(False, False)}
    assert 0 < result["latency_ms"] < 10_000
    assert result["peak_memory_mb"] > 10


def test_the_peak_of_the_process_is_that_of_the_system_or_none(monkeypatch):
    before = peak_of_process()
    assert before == pytest.approx(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10, rel=0.05)
    torch.ones(2**26)  # 256 MiB
    assert peak_of_process() >= before
    monkeypatch.setattr(Path, "read_text", lambda *_, **__: "Name: python\n")
    assert peak_of_process() is None
    monkeypatch.undo()
    monkeypatch.setattr("callbacks.profile.Path", lambda name: Path("/nonesuch", name.lstrip("/")))
    assert peak_of_process() is None


def test_time_is_bounded(tmp_path):
    task = Counting()
    profiled(tmp_path, task, repeats=1000, budget_s=0)
    assert task.sizes == [1, 1, 8]


def test_measuring_changes_no_prediction(tmp_path):
    task = TinyTask()
    trainer(tmp_path).test(task, datamodule=TinyData(), verbose=False)
    before = task.predictions.logits
    profiled(tmp_path, task)
    assert torch.equal(task.predictions.logits, before)


def test_trainable_is_counted_at_the_start_of_training_and_the_first_test_is_measured(tmp_path):
    task, profile = Counting(), ModelProfile(repeats=2)
    task.bottom.requires_grad_(False)
    run = trainer(tmp_path, epochs=1, callbacks=[profile])
    run.fit(task, datamodule=TinyData())
    assert "flops" not in profile.result
    task.bottom.requires_grad_(True)
    task.sizes.clear()
    for _ in range(2):
        run.test(task, datamodule=TinyData(), verbose=False)
    assert profile.result["parameters"]["trainable"] == MIDDLE + HEAD
    assert task.sizes == [1, 1, 1, 8, 8]


def test_a_parametrised_weight_can_be_counted(tmp_path):
    """In inference mode torch's counter stops at one."""

    class Normed(TinyTask):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.head = torch.nn.utils.parametrizations.weight_norm(torch.nn.Linear(8, 3))

    profile = ModelProfile(repeats=1)
    trainer(tmp_path, callbacks=[profile]).test(Normed(), datamodule=TinyData(), verbose=False)
    assert profile.result["flops"] > 0
