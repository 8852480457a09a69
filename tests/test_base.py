"""What every task shares: stages, losses, metrics of an epoch, selection, independence of batch mates."""

import math

import lightning.pytorch as pl
import numpy as np
import pytest
import torch
from lightning.pytorch import seed_everything
from sklearn.utils.class_weight import compute_class_weight
from tiny import CLASSES, PER_SPEAKER, TinyData, TinyTask, trainer
from torch import nn
from torch.nn import functional as F

from callbacks.predictions import PredictionWriter
from lightning_modules.base import EmotionTask, select_clip
from lightning_modules.errors import ScoresNotFinite, TaskError


class Plain(EmotionTask):
    """A linear model: no dropout, no BatchNorm."""

    def __init__(self, **kwargs):
        super().__init__(**{"num_classes": CLASSES, "input_shapes": {"audio": [5]}, **kwargs})
        self.head = nn.Linear(5, self.num_classes)

    def stages(self):
        return {"head": [self.head]}

    def forward(self, batch):
        return {"logits": self.head(self.observed(batch, "audio")), "aux": {}}


def still(parameters):
    return torch.optim.SGD(parameters, lr=0)


def make_batch(count=4):
    generator = torch.Generator().manual_seed(1)
    return {
        "id": [f"clip-{row}" for row in range(count)],
        "group": ["a"] * count,
        "audio": torch.randn(count, 5, generator=generator),
        "length": {},
        "mask": {"audio": torch.arange(count) % 2 == 0},
        "target": torch.arange(count) % CLASSES,
    }


def test_stages_hold_every_parameter_once_by_identity():
    task = TinyTask()
    stages = task.stage_parameters()
    assert list(stages) == ["bottom", "nothing", "middle", "head"]
    held = [id(parameter) for part in stages.values() for parameter in part]
    assert sorted(held) == sorted(id(parameter) for parameter in task.parameters())
    assert id(task.scale) in {id(parameter) for parameter in stages["middle"]}


@pytest.mark.parametrize(
    ("stages", "message"),
    [
        (
            lambda task: {"head": [task.head]},
            r"TinyTask\.stages\(\) misses bottom\.0\.weight, .* \(\d+ in all\)|misses",
        ),
        (
            lambda task: {"all": [task.bottom, task.middle, task.scale, task.head], "again": [task.head]},
            r"stages\(\) holds head\.weight twice",
        ),
        (lambda task: {"all": [task.bottom, task.middle, task.head]}, r"misses scale \(1 in all\)"),
        (lambda task: {"all": [task.bottom, task.bottom[0], task.middle, task.scale, task.head]}, "twice"),
    ],
)
def test_wrong_stages_are_a_programming_error(monkeypatch, stages, message):
    task = TinyTask()
    monkeypatch.setattr(task, "stages", lambda: stages(task))
    with pytest.raises(TypeError, match=message):
        task.stage_parameters()
    with pytest.raises(TypeError, match=message):
        task.configure_optimizers()


def test_optimizer_has_one_named_group_per_stage_with_parameters():
    optimizer = TinyTask(optimizer=lambda p: torch.optim.SGD(p, lr=0.1)).configure_optimizers()
    assert [group["name"] for group in optimizer.param_groups] == ["bottom", "middle", "head"]


def test_extra_losses_are_added():
    task, batch = TinyTask(), make_batch()
    logits = torch.randn(4, CLASSES)
    plain = task.compute_loss({"logits": logits, "aux": {"embedding": logits}}, batch)
    assert plain.item() == pytest.approx(F.cross_entropy(logits, batch["target"]).item())
    aux = {"loss_one": torch.tensor(0.5), "loss_two": torch.tensor(2.0), "gate": torch.ones(4, 2)}
    assert task.compute_loss({"logits": logits, "aux": aux}, batch).item() == pytest.approx(plain.item() + 2.5)


def test_class_weights_reach_the_loss_and_stay_out_of_checkpoints():
    weights = [0.5, 1.0, 4.0]
    task, batch = Plain(class_weights=weights), make_batch()
    logits = torch.randn(4, CLASSES)
    found = task.compute_loss({"logits": logits, "aux": {}}, batch).item()
    assert found == pytest.approx(F.cross_entropy(logits, batch["target"], torch.tensor(weights)).item())
    assert "class_weights" not in task.state_dict()  # they belong to a fold, not to a model


def test_balanced_weights_of_the_data_are_those_of_the_loss(tmp_path):
    data = TinyData(class_weighting="balanced")
    data.targets = (torch.arange(len(data.targets)) % 5).clamp(max=CLASSES - 1)
    task = Plain(class_weights=data.class_weights)
    run = trainer(tmp_path)
    run.validate(task, datamodule=data, verbose=False)
    labels = data.targets[PER_SPEAKER:].numpy()
    weights = torch.tensor(compute_class_weight("balanced", classes=np.arange(CLASSES), y=labels)).float()
    table = task.predictions
    expected = F.cross_entropy(table.logits, table.target, weights).item()
    assert run.callback_metrics["val_loss"].item() == pytest.approx(expected, rel=1e-5)


def test_absent_modalities_are_zeros_whatever_stood_there():
    batch = make_batch()
    other = {**batch, "audio": batch["audio"].clone()}
    other["audio"][1::2] = float("nan")
    task = TinyTask().eval()
    assert torch.equal(task.observed(other, "audio")[1::2], torch.zeros(2, 5))
    assert torch.equal(task.observed(other, "audio")[::2], batch["audio"][::2])
    assert torch.equal(task(batch)["logits"], task(other)["logits"])
    assert torch.equal(task.observed({"audio": batch["audio"]}, "audio"), batch["audio"])


def test_one_clip_of_a_batch():
    batch = make_batch()
    clip = select_clip(batch, 2)
    assert clip["id"] == ["clip-2"]
    assert torch.equal(clip["audio"], batch["audio"][2:3])
    assert torch.equal(clip["mask"]["audio"], batch["mask"]["audio"][2:3])
    task = TinyTask().eval()
    torch.testing.assert_close(task(clip)["logits"], task(batch)["logits"][2:3])


@pytest.mark.parametrize("size", [1, 3, 8])
def test_an_epoch_reports_means_over_clips_whatever_the_batches(tmp_path, size):
    seed_everything(0, verbose=False)
    task, data = Plain(optimizer=still), TinyData(batch_size=size)  # 40 clips: the last batch of 3 is short
    run = trainer(tmp_path, epochs=1)
    run.fit(task, datamodule=data)
    logits = task.head(data.values[PER_SPEAKER:])
    target = data.targets[PER_SPEAKER:]
    metrics = {name: value.item() for name, value in run.callback_metrics.items()}
    assert metrics["train_loss"] == pytest.approx(F.cross_entropy(logits, target).item(), rel=1e-5)
    assert metrics["train_accuracy"] == pytest.approx((logits.argmax(1) == target).float().mean().item())
    logits, target = task.head(data.values[:PER_SPEAKER]), data.targets[:PER_SPEAKER]
    assert metrics["val_loss"] == pytest.approx(F.cross_entropy(logits, target).item(), rel=1e-5)
    assert metrics["val_accuracy"] == pytest.approx((logits.argmax(1) == target).float().mean().item())


def test_predictions_do_not_depend_on_batch_size(tmp_path):
    task = TinyTask()
    task.bottom[1].running_mean.normal_()
    tables = []
    for size in (1, 3, 8):
        trainer(tmp_path).test(task, datamodule=TinyData(batch_size=size), verbose=False)
        tables.append(task.predictions)
    for table in tables[1:]:
        assert table.ids == tables[0].ids == TinyData().ids[:PER_SPEAKER]
        assert table.groups == ["00"] * PER_SPEAKER
        torch.testing.assert_close(table.logits, tables[0].logits)
        assert torch.equal(table.target, tables[0].target)


class Noisy(TinyTask):
    """Notes the state that dropout draws from at every step."""

    rank = 0
    global_rank = property(lambda self: self.rank)

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.seen = []

    def training_step(self, batch, batch_idx):
        self.seen.append(torch.initial_seed())
        return super().training_step(batch, batch_idx)


def test_dropout_differs_with_seed_epoch_batch_and_rank_and_with_nothing_else(tmp_path):
    def seeds(seed, rank):
        seed_everything(seed, verbose=False)
        task = Noisy()
        task.rank = rank
        trainer(tmp_path / f"{seed}-{rank}", epochs=3).fit(task, datamodule=TinyData())
        return task.seen

    first = seeds(0, 0)
    assert len(first) == 3 * 5  # 40 training clips in batches of 8
    assert seeds(0, 0) == first
    assert len({*first, *seeds(0, 1), *seeds(1, 0)}) == 3 * len(first)


def test_every_run_starts_an_empty_table(tmp_path):
    task, data = Plain(), TinyData()
    run = trainer(tmp_path)
    run.validate(task, datamodule=data, verbose=False)
    run.test(task, datamodule=data, verbose=False)
    assert len(task.predictions.ids) == PER_SPEAKER


class Told(EmotionTask):
    """Gives the logits it was told to."""

    def __init__(self, logits):
        super().__init__(num_classes=CLASSES, input_shapes={"audio": [5]})
        self.head = nn.Linear(1, 1)
        self.told = logits

    def stages(self):
        return {"head": [self.head]}

    def forward(self, batch):
        return {"logits": torch.stack([self.told[int(clip.split("-")[1])] for clip in batch["id"]]), "aux": {}}


def score(folder, logits):
    run = trainer(folder)
    run.validate(Told(logits), datamodule=TinyData(batch_size=3), verbose=False)
    return {name: value.item() for name, value in run.callback_metrics.items()}


def test_score_is_accuracy_with_ties_broken_by_the_loss(tmp_path):
    right = F.one_hot(TinyData().targets[:PER_SPEAKER], CLASSES).float()
    sure, unsure, seven = score(tmp_path, 9 * right), score(tmp_path, right), right.clone()
    seven[0] = -seven[0]
    assert sure["val_accuracy"] == unsure["val_accuracy"] == 1
    assert sure["val_score"] > unsure["val_score"]
    # No loss, however small, is worth a clip.
    fewer, awful = score(tmp_path, 1000 * seven), right.clone()
    awful[1:] *= 0.001
    assert fewer["val_accuracy"] == pytest.approx(7 / 8)
    assert fewer["val_score"] < score(tmp_path, awful)["val_score"]
    assert unsure["val_score"] == pytest.approx(1 + 0.5 / PER_SPEAKER * math.exp(-unsure["val_loss"]))


def test_best_checkpoint_is_the_epoch_with_the_lower_loss_among_equals(tmp_path):
    class Improving(Plain):
        """Always right from the start, and surer with every epoch but the last."""

        def forward(self, batch):
            sure = [1.0, 2.0, 4.0, 0.5][min(self.current_epoch, 3)]
            return {"logits": sure * F.one_hot(batch["target"], CLASSES) + 0 * self.head(batch["audio"]), "aux": {}}

    best = pl.callbacks.ModelCheckpoint(tmp_path, "{epoch}", monitor="val_score", mode="max")
    trainer(tmp_path, epochs=4, callbacks=[best]).fit(Improving(), datamodule=TinyData())
    assert best.best_model_path.endswith("epoch=2.ckpt")


def test_soft_targets_train_and_validate(tmp_path):
    class SoftData(TinyData):
        def dataset(self, split):
            clips = super().dataset(split)
            hard = clips.__getitems__
            clips.__getitems__ = lambda rows: {
                **(batch := hard(rows)),
                "target": 0.8 * F.one_hot(batch["target"], CLASSES).float() + 0.2 / CLASSES,
            }
            return clips

    task, data = Plain(optimizer=still), SoftData()
    run = trainer(tmp_path, epochs=1)
    run.fit(task, datamodule=data)
    logits = task.head(data.values[:PER_SPEAKER])
    soft = 0.8 * F.one_hot(data.targets[:PER_SPEAKER], CLASSES) + 0.2 / CLASSES
    assert run.callback_metrics["val_loss"].item() == pytest.approx(F.cross_entropy(logits, soft).item(), rel=1e-5)
    hits = (logits.argmax(1) == data.targets[:PER_SPEAKER]).float().mean().item()
    assert run.callback_metrics["val_accuracy"].item() == pytest.approx(hits)


def test_predict_gives_probabilities_and_embeddings(tmp_path):
    task, data = TinyTask(), TinyData(batch_size=3)
    parts = trainer(tmp_path).predict(task, datamodule=data)
    task.eval()
    with torch.no_grad():
        expected = task({"audio": data.values[:PER_SPEAKER]})
    assert [clip for part in parts for clip in part["id"]] == data.ids[:PER_SPEAKER]
    torch.testing.assert_close(torch.cat([p["probabilities"] for p in parts]), expected["logits"].softmax(1))
    torch.testing.assert_close(torch.cat([p["embedding"] for p in parts]), expected["aux"]["embedding"])


def test_predict_works_without_labels(tmp_path):
    class Unlabelled(TinyData):
        def dataset(self, split):
            clips = super().dataset(split)
            whole = clips.__getitems__
            clips.__getitems__ = lambda rows: {k: v for k, v in whole(rows).items() if k != "target"}
            return clips

    task = TinyTask()
    trainer(tmp_path).predict(task, datamodule=Unlabelled())
    assert len(task.predictions.ids) == PER_SPEAKER
    assert len(task.predictions.labels) == 0


class Parts(Plain):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.body = nn.Linear(5, 5)

    def stages(self):
        return {"body": [self.body], "head": [self.head]}


def test_a_part_starts_from_a_checkpoint_and_a_resumed_fit_does_not(tmp_path):
    source, data = Parts(), TinyData()
    run = trainer(tmp_path / "source", epochs=1)
    run.fit(source, datamodule=data)
    path = str(tmp_path / "source" / "checkpoints" / "epoch=0.ckpt")
    task = Parts(init_from={"body": path}, optimizer=still)
    start = task.head.weight.clone()
    run = trainer(tmp_path / "task", epochs=1)
    run.fit(task, datamodule=data)
    assert torch.equal(task.body.weight, source.body.weight)
    assert torch.equal(task.head.weight, start)
    resumed = Parts(init_from={"body": "nowhere.ckpt"}, optimizer=still)
    trainer(tmp_path / "resumed", epochs=2).fit(
        resumed, datamodule=data, ckpt_path=tmp_path / "task" / "checkpoints" / "epoch=0.ckpt"
    )
    assert torch.equal(resumed.body.weight, source.body.weight)


def test_classes_are_called_as_the_data_call_them_or_by_number():
    assert TinyTask(class_names=["low", "mid", "high"]).class_names == ["low", "mid", "high"]
    assert TinyTask().class_names == ["0", "1", "2"]


def test_unknown_part_is_named(tmp_path):
    with pytest.raises(TaskError, match=r"--model.init_from: Parts has no part 'legs'; it has .*head, body"):
        trainer(tmp_path).fit(Parts(init_from={"legs": "x.ckpt"}), datamodule=TinyData())


def test_checkpoint_rebuilds_the_task(tmp_path):
    task = TinyTask(class_weights=[1.0, 2.0, 3.0], optimizer=lambda p: torch.optim.SGD(p, lr=0.1))
    trainer(tmp_path, epochs=1).fit(task, datamodule=TinyData())
    path = tmp_path / "checkpoints" / "epoch=0.ckpt"
    torch.load(path, weights_only=True)
    again = TinyTask.load_from_checkpoint(path, weights_only=True)
    assert again.num_classes == CLASSES
    assert torch.equal(again.head.weight, task.head.weight)


def test_weights_are_laid_out_as_asked(tmp_path):
    class Film(Plain):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.conv = nn.Conv3d(4, 4, 3)

        def stages(self):
            return {"conv": [self.conv], "head": [self.head]}

    for wanted in ("contiguous", "channels_last_3d"):
        task = Film(memory_format=wanted)
        before = task.conv.weight.clone()
        trainer(tmp_path).validate(task, datamodule=TinyData(), verbose=False)
        last = task.conv.weight.is_contiguous(memory_format=torch.channels_last_3d)
        assert last == (wanted == "channels_last_3d")
        assert torch.equal(task.conv.weight, before)


class Sick(Plain):
    """Says something that is no number of some clips."""

    def __init__(self, where, value, clips):
        super().__init__(optimizer=still)
        self.where, self.value, self.clips = where, value, clips

    def gate_names(self):
        return ["audio"] if self.where == "gate" else []

    def task_loss(self, logits, target):
        return super().task_loss(logits["emotion"] if isinstance(logits, dict) else logits, target)

    def forward(self, batch):
        sick = torch.tensor([clip in self.clips for clip in batch["id"]])
        spoilt = torch.zeros(len(sick)).masked_fill(sick, self.value)
        logits = self.head(batch["audio"])
        if self.where == "logits":
            return {"logits": torch.cat([logits[:, :-1], logits[:, -1:] + spoilt[:, None]], 1), "aux": {}}
        if self.where == "gate":
            return {"logits": logits, "aux": {"gate": 1 + spoilt[:, None]}}
        return {"logits": {"emotion": logits, "arousal": logits[:, 0] + spoilt}, "aux": {}}


@pytest.mark.parametrize("run", ["validate", "test", "predict", "fit"])
@pytest.mark.parametrize("where", ["logits", "value", "gate"])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_scores_that_are_not_finite_name_their_clips_in_every_evaluation(tmp_path, run, where, value):
    clips = TinyData().ids[1:8]
    task = Sick(where, value, clips)
    writer = PredictionWriter()
    options = {} if run in ("predict", "fit") else {"verbose": False}
    with pytest.raises(ScoresNotFinite, match=rf"7 of 8 clips .*\({', '.join(clips[:5])} and 2 more\)") as error:
        getattr(trainer(tmp_path, callbacks=[writer]), run)(task, datamodule=TinyData(batch_size=3), **options)
    assert "\n" not in str(error.value)
    assert error.value.exit_code == 1
    assert not list(tmp_path.rglob("*.*"))
