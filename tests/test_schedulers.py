import lightning.pytorch as pl
import pytest
import torch
from jsonargparse import ArgumentParser
from lightning.pytorch.cli import LRSchedulerCallable
from tiny import TinyData, TinyTask, trainer

from callbacks.layer_lr import DiscriminativeLR
from callbacks.warmup import Warmup
from lightning_modules.errors import TaskError
from lightning_modules.nn.schedulers import CosineWave

# papers/engagement.md, section 3.2: the released code's rate during epoch 0, 1, 2, ... at base rate 0.005.
TRACE = [0.005, 0.004532, 0.003307, 0.001793, 0.000568, 0.0001, 0.000568, 0.001793, 0.003307, 0.004532, 0.005, 0.004532]


def optimizer(rate=0.005):
    return torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=rate)


def rates(scheduler, epochs):
    found = []
    for _ in range(epochs):
        found.append(scheduler.optimizer.param_groups[0]["lr"])
        scheduler.optimizer.step()
        scheduler.step()
    return found


def test_the_wave_is_that_of_the_released_code():
    assert rates(CosineWave(optimizer()), len(TRACE)) == pytest.approx(TRACE, abs=5e-7)


def test_the_wave_is_that_of_torch_in_closed_form():
    own, torchs = optimizer(), optimizer()
    expected = rates(torch.optim.lr_scheduler.CosineAnnealingLR(torchs, 4, 0.001), 30)
    assert rates(CosineWave(own, 8, 0.001), 30) == pytest.approx(expected, rel=1e-6)


def test_the_wave_waits_for_a_warm_up_of_several_epochs():
    # With 40 steps an epoch, step 100 is in epoch 2, and the released wave first moves at step 120.
    assert rates(CosineWave(optimizer(), delay=2), 8) == pytest.approx([0.005] * 2 + TRACE[:6], abs=5e-7)


def test_a_resumed_wave_goes_on_to_the_bit():
    straight = rates(CosineWave(optimizer(), 10, 1e-4), 12)
    first = CosineWave(optimizer(), 10, 1e-4)
    rates(first, 7)
    second = CosineWave(optimizer(), 10, 1e-4)
    second.load_state_dict(first.state_dict())
    second.optimizer.load_state_dict(first.optimizer.state_dict())
    assert rates(second, 5) == straight[7:]


@pytest.mark.parametrize("options", [{"period": 1}, {"minimum": 0.01}, {"minimum": -1.0}, {"delay": -1}])
def test_impossible_waves_are_refused(options):
    with pytest.raises(TaskError, match="CosineWave"):
        CosineWave(optimizer(), **options)


def test_yaml_names_the_class():
    parser = ArgumentParser()
    parser.add_argument("--scheduler", type=LRSchedulerCallable)
    given = {"class_path": "CosineWave", "init_args": {"period": 4, "minimum": 0.001}}
    made = parser.instantiate(parser.parse_object({"scheduler": given})).scheduler(optimizer())
    assert isinstance(made, CosineWave)
    assert rates(made, 3) == pytest.approx([0.005, 0.003, 0.001])


def test_warm_up_wave_and_group_ratios_compose_and_the_ratios_hold_below_the_floor(tmp_path):
    seen = []

    class Spy(pl.Callback):
        def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
            seen.append(dict(pl_module.effective_rates))

    task = TinyTask(optimizer=lambda p: torch.optim.AdamW(p, lr=0.005), scheduler=CosineWave)
    callbacks = [Warmup(4, 1e-5 / 0.005), DiscriminativeLR(0.85), Spy()]
    trainer(tmp_path, 7, callbacks).fit(task, datamodule=TinyData())
    assert len(seen) == 7 * 5  # 40 training clips in batches of 8
    assert seen[0]["head"] == pytest.approx(1e-5)
    for step, found in enumerate(seen):
        warm = 1e-5 + (0.005 - 1e-5) * min(1, step / 4)  # the warm-up of the paper
        head = warm if step < 5 else TRACE[step // 5]
        assert found["head"] == pytest.approx(head, abs=5e-7)
        assert found["middle"] == pytest.approx(found["head"] * 0.85, rel=1e-12)
        assert found["bottom"] == pytest.approx(found["head"] * 0.85**3, rel=1e-12)
    assert seen[25]["bottom"] < 1e-4 == pytest.approx(seen[25]["head"])
