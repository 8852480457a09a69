"""A small task and its data, for tests of what every task shares."""

from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch
from torch import nn

from callbacks.checkpoints import AtomicCheckpointIO
from datamodules.base import EmotionDataModule
from datamodules.batches import ClipDataset
from lightning_modules.base import EmotionTask

SPEAKERS, PER_SPEAKER, CLASSES = 6, 8, 3


class TinyTask(EmotionTask):
    """Four stages, one of them empty, with dropout and two BatchNorms."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"num_classes": CLASSES, "input_shapes": {"audio": [5]}, **kwargs})
        self.bottom = nn.Sequential(nn.Linear(5, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.3))
        self.middle = nn.Sequential(nn.Linear(8, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.3))
        self.scale = nn.Parameter(torch.ones(8))
        self.head = nn.Linear(8, CLASSES)

    def stages(self):
        return {"bottom": [self.bottom], "nothing": [], "middle": [self.middle, self.scale], "head": [self.head]}

    def forward(self, batch):
        hidden = self.middle(self.bottom(self.observed(batch, "audio"))) * self.scale
        return {"logits": self.head(hidden), "aux": {"embedding": hidden}}


class TinyData(EmotionDataModule):
    """Six speakers of eight clips; the class decides the mean of the features."""

    corpus = "tiny"
    modalities = ("audio",)
    num_folds = SPEAKERS

    def __init__(self, **kwargs: Any) -> None:
        super().__init__("nowhere", **{"batch_size": 8, **kwargs})
        generator = torch.Generator().manual_seed(0)
        count = SPEAKERS * PER_SPEAKER
        self.targets = torch.arange(count) % CLASSES
        self.values = torch.randn(count, 5, generator=generator) + 2 * self.targets[:, None]
        self.groups = [f"{row // PER_SPEAKER:02d}" for row in range(count)]
        self.ids = [f"{group}-{row:02d}" for row, group in enumerate(self.groups)]
        self.fingerprint_value = "tiny"

    class_names = property(lambda self: ["low", "mid", "high"])
    input_shapes = property(lambda self: {"audio": [5]})
    fingerprint = property(lambda self: self.fingerprint_value)
    synthetic = property(lambda self: True)

    @property
    def rows(self):
        folds = np.array([int(group) for group in self.groups])
        return self.split_by_fold(folds, self.groups, "tiny")

    @property
    def train_labels(self):
        return self.targets.numpy()[self.rows["train"]]

    def dataset(self, split):
        rows = self.rows[split]
        ids, groups = ([names[row] for row in rows] for names in (self.ids, self.groups))
        return ClipDataset(self, rows, ids, groups, self.targets[rows])

    def fill(self, batch, rows):
        batch["audio"] = self.values[rows]


def trainer(folder, epochs=4, callbacks=(), **kwargs):
    """A trainer that keeps ``last.ckpt`` of every epoch and says nothing."""
    checkpoint = pl.callbacks.ModelCheckpoint(
        dirpath=folder / "checkpoints",
        filename="{epoch}",
        save_top_k=-1,
        save_on_train_epoch_end=True,
    )
    options = {
        "accelerator": "cpu",
        "devices": 1,
        "logger": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "num_sanity_val_steps": 0,
        "plugins": [AtomicCheckpointIO()],
    }
    return pl.Trainer(
        max_epochs=epochs, default_root_dir=folder, callbacks=[*callbacks, checkpoint], **{**options, **kwargs}
    )


def spoil(path):
    """Makes every weight of a checkpoint NaN."""
    content = torch.load(path, weights_only=True)
    for value in content["state_dict"].values():
        if value.is_floating_point():
            value.fill_(float("nan"))
    torch.save(content, path)
