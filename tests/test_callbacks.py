"""Rates, unfreezing and warm-up: against their formulas, together, resumed, and on two replicas."""

import copy
import csv
import os
import subprocess
import sys
from pathlib import Path

import lightning.pytorch as pl
import pytest
import torch
from lightning.pytorch.cli import ReduceLROnPlateau
from lightning.pytorch.strategies import DDPStrategy
from tiny import TinyData, TinyTask, trainer

from callbacks.checkpoints import AtomicCheckpointIO
from callbacks.collapse import CollapseGuard
from callbacks.errors import TrainingCollapsed
from callbacks.history import History
from callbacks.layer_lr import DiscriminativeLR
from callbacks.unfreezing import GradualUnfreezing
from callbacks.warmup import Warmup
from lightning_modules.errors import TaskError

ROOT = Path(__file__).resolve().parents[1]
STAGES = ["bottom", "nothing", "middle", "head"]
STEPS = 5  # 40 training clips in batches of 8


class Spy(pl.Callback):
    """Notes the effective rates of every step and what trains in every epoch."""

    def __init__(self):
        self.rates, self.trainable, self.training = [], [], []

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.rates.append(dict(pl_module.effective_rates))

    def on_train_epoch_end(self, trainer, pl_module):
        self.trainable.append([name for name, p in pl_module.named_parameters() if p.requires_grad])
        self.training.append({name: module.training for name, module in pl_module.named_children()})


def fit(folder, task=None, epochs=4, callbacks=(), ckpt_path=None, **kwargs):
    pl.seed_everything(7, verbose=False)
    task = task or TinyTask()
    run = trainer(folder, epochs, callbacks, **kwargs)
    run.fit(task, datamodule=TinyData(), ckpt_path=ckpt_path)
    return task


SCHEDULERS = {
    "none": None,
    "step decay": lambda o: torch.optim.lr_scheduler.StepLR(o, 1, 0.5),
    "cosine with a floor": lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, 4, eta_min=0.004),
    "lambda": lambda o: torch.optim.lr_scheduler.LambdaLR(o, lambda n: 1 / (n + 1)),
    "plateau": lambda o: ReduceLROnPlateau(o, monitor="train_loss", factor=0.1, patience=0, threshold=1e9),
}


def reference(name):
    """The scheduler's own rate at every epoch, from torch alone."""
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=0.01)
    scheduler = SCHEDULERS[name](optimizer) if SCHEDULERS[name] else None
    rates = []
    for _ in range(4):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if scheduler:
            scheduler.step(*([1.0] if name == "plateau" else []))
    return rates


@pytest.mark.parametrize("name", SCHEDULERS)
def test_rate_of_every_group_at_every_step_equals_the_formula(tmp_path, name):
    spy = Spy()
    task = TinyTask(optimizer=lambda p: torch.optim.SGD(p, lr=0.01), scheduler=SCHEDULERS[name])
    fit(tmp_path, task, callbacks=[Warmup(8, 0.1), DiscriminativeLR(0.85), GradualUnfreezing(2, 1), spy])
    scheduled = reference(name)
    assert len(spy.rates) == 4 * STEPS
    for step, rates in enumerate(spy.rates):
        assert set(rates) == {"bottom", "middle", "head"}  # the empty stage has no group ...
        warm = 0.1 + 0.9 * min(1, step / 8)
        for depth, stage in ((0, "head"), (1, "middle"), (3, "bottom")):  # ... but counts
            expected = scheduled[step // STEPS] * warm * 0.85**depth
            assert rates[stage] == pytest.approx(expected, rel=1e-12), (step, stage)


def test_scheduler_never_sees_the_factors(tmp_path):
    task = TinyTask(optimizer=lambda p: torch.optim.SGD(p, lr=0.01))
    fit(tmp_path, task, epochs=1, callbacks=[Warmup(100), DiscriminativeLR()])
    assert [group["lr"] for group in task.optimizers().param_groups] == [0.01] * 3


def test_the_step_really_uses_the_effective_rate(tmp_path):
    scales = {"bottom": 0.0, "middle": 1.0, "head": 0.0}
    task = TinyTask(optimizer=lambda p: torch.optim.SGD(p, lr=0.1))
    before = copy.deepcopy(task.state_dict())
    fit(tmp_path, task, epochs=1, callbacks=[DiscriminativeLR(scales=scales)])
    moved = {n.split(".")[0] for n, p in task.named_parameters() if not torch.equal(p, before[n])}
    assert moved == {"middle", "scale"}


@pytest.mark.parametrize(
    "make", [lambda: DiscriminativeLR(scales={"neck": 1}), lambda: GradualUnfreezing(schedule={"neck": 1})]
)
def test_unknown_stage_is_named(tmp_path, make):
    with pytest.raises(TaskError, match=r"neck.*there are bottom, nothing, middle, head"):
        fit(tmp_path, epochs=1, callbacks=[make()])


@pytest.mark.parametrize(
    "make",
    [
        lambda: Warmup(0),
        lambda: Warmup(5, 2.0),
        lambda: DiscriminativeLR(0),
        lambda: DiscriminativeLR(start=-1),
        lambda: DiscriminativeLR(minimum=2.0),
        lambda: GradualUnfreezing(0),
    ],
)
def test_impossible_settings_are_refused(make):
    with pytest.raises(TaskError):
        make()


@pytest.mark.parametrize(("start", "depths"), [(0, [1, 2, 3, 4]), (1, [0, 1, 2, 3]), (3, [0, 0, 0, 1])])
def test_the_last_stages_may_keep_the_full_rate_and_none_falls_below_the_minimum(start, depths):
    from_head = STAGES[::-1]
    found = DiscriminativeLR(0.5, start=start).stage_scales(STAGES)
    assert [found[stage] for stage in from_head] == [0.5**depth for depth in depths]
    found = DiscriminativeLR(0.5, start=start, minimum=0.3).stage_scales(STAGES)
    assert [found[stage] for stage in from_head] == [max(0.3, 0.5**depth) for depth in depths]


def test_stages_unfreeze_from_the_head_down(tmp_path):
    spy = Spy()
    fit(tmp_path, callbacks=[GradualUnfreezing(1, 1), spy])
    tops = [sorted({name.split(".")[0] for name in names}) for names in spy.trainable]
    # Epoch 2 reaches the empty stage, which counts.
    assert tops == [
        ["head"],
        ["head", "middle", "scale"],
        ["head", "middle", "scale"],
        ["bottom", "head", "middle", "scale"],
    ]
    assert [modes["bottom"] for modes in spy.training] == [False, False, False, True]


def test_history_says_what_trained_and_that_frozen_stages_have_no_rate(tmp_path):
    task = TinyTask()
    fit(tmp_path, task, epochs=2, callbacks=[GradualUnfreezing(1, 1), History()])
    with (tmp_path / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    head = sum(p.numel() for p in task.head.parameters())
    assert int(rows[0]["trainable"]) == head < int(rows[1]["trainable"])
    assert float(rows[0]["lr/head"]) > 0
    assert float(rows[0]["lr/bottom"]) == float(rows[1]["lr/bottom"]) == 0


def test_unfreezing_that_freezes_nothing_says_so(tmp_path):
    with pytest.warns(UserWarning, match="nothing is ever frozen"):
        fit(tmp_path, epochs=1, callbacks=[GradualUnfreezing(70)])


def test_an_interrupt_while_a_checkpoint_is_written_is_an_interrupt(tmp_path, monkeypatch):
    def interrupted(checkpoint, file):
        try:
            raise KeyboardInterrupt
        finally:
            raise RuntimeError("unexpected pos")

    (tmp_path / "a.ckpt").write_bytes(b"the last one")
    monkeypatch.setattr(torch, "save", interrupted)
    with pytest.raises(KeyboardInterrupt):
        AtomicCheckpointIO().save_checkpoint({}, tmp_path / "a.ckpt")
    assert [path.name for path in tmp_path.iterdir()] == ["a.ckpt"]
    assert (tmp_path / "a.ckpt").read_bytes() == b"the last one"


def test_schedule_by_name():
    callback = GradualUnfreezing(schedule={"bottom": 2, "middle": 1})
    assert callback.trainable(STAGES, 0) == ["nothing", "head"]
    assert callback.trainable(STAGES, 1) == ["nothing", "middle", "head"]
    assert callback.trainable(STAGES, 5) == STAGES


def test_frozen_stages_stay_to_the_bit_and_are_inactive(tmp_path):
    task = TinyTask(optimizer=lambda p: torch.optim.AdamW(p, lr=0.1, weight_decay=0.5))
    before = copy.deepcopy(task.bottom.state_dict())
    fit(tmp_path, task, epochs=2, callbacks=[GradualUnfreezing(1, 0)])
    for name, value in task.bottom.state_dict().items():
        assert torch.equal(value, before[name]), name  # BatchNorm statistics included
    task.train()
    GradualUnfreezing(1, 0).apply(task, 0)
    clip = torch.randn(4, 5)
    assert torch.equal(task.bottom(clip), task.bottom(clip))  # dropout off
    assert torch.equal(task.bottom(clip)[:2], task.bottom(clip[:2]))  # BatchNorm on its statistics


CALLBACKS = {
    "plain": list,
    "all": lambda: [GradualUnfreezing(1, 1), DiscriminativeLR(), Warmup(12)],
}


@pytest.mark.parametrize("kind", CALLBACKS)
@pytest.mark.parametrize("scheduler", ["none", "cosine with a floor"])
def test_resumed_run_is_bit_equal_to_a_straight_one(tmp_path, kind, scheduler):
    def make():
        return TinyTask(optimizer=lambda p: torch.optim.AdamW(p, lr=0.01), scheduler=SCHEDULERS[scheduler])

    straight = fit(tmp_path / "straight", make(), callbacks=CALLBACKS[kind]())
    for epoch in (0, 1, 2):
        checkpoint = tmp_path / "straight" / "checkpoints" / f"epoch={epoch}.ckpt"
        resumed = fit(tmp_path / f"from{epoch}", make(), callbacks=CALLBACKS[kind](), ckpt_path=checkpoint)
        for name, value in straight.state_dict().items():
            assert torch.equal(value, resumed.state_dict()[name]), (epoch, name)
        states = [task.optimizers().state_dict()["state"] for task in (straight, resumed)]
        for key, value in states[0].items():
            for name, tensor in value.items():
                assert torch.equal(torch.as_tensor(tensor), torch.as_tensor(states[1][key][name])), (epoch, key, name)


def test_history_keeps_the_epochs_before_a_resume(tmp_path):
    straight = fit(tmp_path / "a", callbacks=[History()])
    assert straight is not None
    whole = (tmp_path / "a" / "metrics.csv").read_text().splitlines()
    fit(tmp_path / "b", epochs=2, callbacks=[History()])
    fit(tmp_path / "b", callbacks=[History()], ckpt_path=tmp_path / "b" / "checkpoints" / "epoch=1.ckpt")
    resumed = (tmp_path / "b" / "metrics.csv").read_text().splitlines()
    names = whole[0].split(",")
    clock = names.index("seconds")
    for one, other in zip(whole, resumed, strict=True):
        left, right = one.split(","), other.split(",")
        assert left[:clock] + left[clock + 1 :] == right[:clock] + right[clock + 1 :]
    assert {"train_loss", "val_accuracy", "val_uar", "lr/head"} <= set(names)


def test_nan_loss_stops_with_the_clips(tmp_path):
    class Broken(TinyTask):
        def compute_loss(self, output, batch):
            loss = super().compute_loss(output, batch)
            return loss * float("nan") if self.global_step == 3 else loss

    with pytest.raises(TrainingCollapsed, match=r"nan in epoch 0, step \d.*at clips \d\d-\d\d") as stop:
        fit(tmp_path, Broken(), callbacks=[CollapseGuard()])
    assert stop.value.exit_code == 1
    assert not list((tmp_path / "checkpoints").glob("*.ckpt"))  # nothing is saved from a broken state


def test_one_class_for_every_clip_stops_after_patience(tmp_path):
    class Constant(TinyTask):
        def forward(self, batch):
            output = super().forward(batch)
            return {**output, "logits": output["logits"] * 0 + torch.tensor([0.0, 9.0, 0.0])}

    with pytest.raises(TrainingCollapsed, match=r"'mid' was predicted for all 8 validation clips .* 2 epochs in a row"):
        fit(tmp_path, Constant(), callbacks=[CollapseGuard(patience=2, fewest=8)])
    fit(tmp_path / "few", Constant(), callbacks=[CollapseGuard(patience=2)])  # 8 clips say too little


def run_ddp(folder):
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONFAULTHANDLER": "1"}
    command = [sys.executable, "tests/replicas.py", str(folder)]
    run = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stderr  # a death after the work says here what it died of
    return [torch.load(folder / f"rank{rank}.pt") for rank in (0, 1)]


def test_replicas_are_equal_after_unfreezing_and_no_clip_counts_twice(tmp_path):
    first, second = run_ddp(tmp_path)
    start = TinyTask()
    for name, value in first.items():
        # BatchNorm statistics are each replica's own; everything that is trained must agree to the bit.
        if "running" not in name:
            assert torch.equal(value, second[name]), name
    assert any(not torch.equal(first[name], value) for name, value in start.named_parameters() if "bottom" in name)
    accuracies = [torch.load(tmp_path / f"accuracy{rank}.pt") for rank in (0, 1)]
    rows = (tmp_path / "predictions-last.csv").read_text().splitlines()[1:]
    assert len(rows) == 8  # three batches of 3 on two ranks hold padding
    assert len({row.split(",")[0] for row in rows}) == 8
    right = sum(int(r[2]) == max(range(3), key=lambda k: float(r[3 + k])) for r in (row.split(",") for row in rows))
    assert accuracies[0] == accuracies[1] == pytest.approx(right / 8)


def test_unfreezing_refuses_a_strategy_that_waits_for_frozen_gradients():
    class Stub:
        world_size = 2
        strategy = DDPStrategy()

    with pytest.raises(TaskError, match="ddp_find_unused_parameters_true"):
        GradualUnfreezing().setup(Stub(), TinyTask(), "fit")
    Stub.strategy = DDPStrategy(find_unused_parameters=True)
    GradualUnfreezing().setup(Stub(), TinyTask(), "fit")
