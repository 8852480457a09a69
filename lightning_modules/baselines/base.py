"""Baselines: what is fitted once, in closed form or by scikit-learn, over all training clips, without gradient steps.

They are rows like any other: the one epoch gathers one vector a clip, fits when the last batch has been seen, and is
validated; what was fitted are plain buffers of the checkpoint. Of equal scores the stronger penalty is taken.
"""

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from lightning_modules.base import Batch, EmotionTask, Stages
from lightning_modules.errors import TaskError
from lightning_modules.nn.clip_vectors import LONGEST, clip_vectors
from lightning_modules.nn.fitted import Array, Fitted
from lightning_modules.nn.metrics import PredictionTable
from lightning_modules.nn.modality_encoders import ModalityEncoders, keep_plain
from lightning_modules.nn.tasks import value_scale


@dataclass(frozen=True)
class Rows:
    """Clips to fit on or to choose by.

    Attributes:
        x: One vector a clip, ``(N, D)``.
        groups: Of every clip.
        targets: By task, classes ``(N,)``, -1 where there is no label, or values in standard deviations around the mean
            of the training labels, NaN there.
    """

    x: Array
    groups: npt.NDArray[np.str_]
    targets: dict[str, npt.NDArray[Any]]

    def known(self, task: str) -> npt.NDArray[np.bool_]:
        """Return which clips have a label of a task, ``(N,)``."""
        y = self.targets[task]
        return np.asarray(~np.isnan(y) if y.dtype.kind == "f" else y >= 0)

    def of(self, task: str) -> tuple[Array, npt.NDArray[Any], npt.NDArray[np.str_]]:
        """Return vectors, labels and groups of the clips that have a label of a task."""
        known = self.known(task)
        return self.x[known], self.targets[task][known], self.groups[known]


class FittedOnce(EmotionTask):
    """A model that one look at all training clips fits; see `EmotionTask`.

    Args:
        num_classes: Number of outputs; linked from the data.
        input_shapes: Shape of one clip by modality; linked from the data.
        **kwargs: See `EmotionTask`; optimizer and loss change nothing.
    """

    fitted: Fitted

    def __init__(self, num_classes: int, input_shapes: dict[str, list[int]], **kwargs: Any) -> None:
        super().__init__(num_classes, input_shapes, **kwargs)
        self.automatic_optimization = False
        self._seen: list[PredictionTable] = []

    @abstractmethod
    def fit(self, train: PredictionTable, validation: PredictionTable | None) -> None:
        """Fit.

        Args:
            train: All training clips, in order of their ids; ``logits`` are what `vectors` returns.
            validation: Those to choose by; None where they are the test clips.
        """

    def vectors(self, batch: Batch) -> dict[str, Tensor]:
        """Return what is kept of a batch for the fit, float64 ``(B, D)`` by modality."""
        return {}

    def stages(self) -> Stages:
        """Return one stage, which holds no parameter."""
        return {"fitted": [self.fitted]}

    def on_fit_start(self) -> None:
        """Refuse what would fit on other clips than the data hold.

        Raises:
            TaskError: Clips are augmented, or several processes hold a share each.
        """
        super().on_fit_start()
        name, data = type(self).__name__, getattr(self.trainer, "datamodule", None)
        if any(data.is_augmented(modality) for modality in self.input_shapes):  # type: ignore[union-attr]
            raise TaskError(f"--data.augment: {name} sees every clip once, as it is; give --data.augment false")
        if self.trainer.world_size > 1:
            raise TaskError(f"--trainer.devices: {name} is fitted by one process; give 1")

    def configure_optimizers(self) -> Any:
        """Return an optimizer of nothing: the fit counts as its one step, without which no checkpoint is kept."""
        return torch.optim.SGD([torch.zeros(1)], lr=0.0)

    def on_train_epoch_start(self) -> None:
        """Start without clips."""
        super().on_train_epoch_start()
        self._seen = []

    def training_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:
        """Keep the vectors of a batch; with those of the last one, fit."""
        self._seen.append(self._table(batch))
        if self.trainer.is_last_batch:
            data: Any = self.trainer.datamodule  # type: ignore[attr-defined]
            validation = data.val_dataloader() if data.protocol == "honest" else ()
            held = []
            for other in validation:
                moved = data.transfer_batch_to_device(other, self.device, 0)
                held.append(self._table(data.on_after_batch_transfer(moved, 0)))
            self.fit(_in_order(self._seen), _in_order(held) if held else None)
            self._seen = []
            self.optimizers().step()  # type: ignore[union-attr]
        return {"loss": torch.zeros((), device=self.device)}

    @torch.no_grad()
    def _table(self, batch: Batch) -> PredictionTable:
        target = batch["target"]
        of_task = target if isinstance(target, dict) else {"": target}
        mask = {name: present.cpu() for name, present in batch.get("mask", {}).items()}
        kept = {name: values.cpu() for name, values in self.vectors(batch).items()}
        return PredictionTable(
            batch["id"], batch["group"], kept or torch.empty(0), {t: of.cpu() for t, of in of_task.items()}, mask
        )

    @property
    def outputs_by_task(self) -> dict[str, int]:
        """Number of classes by task, 0 for a value; of one set of classes under an empty name."""
        return self.tasks or {"": self.num_classes}

    def targets_of(self, table: PredictionTable) -> dict[str, npt.NDArray[Any]]:
        """Return the labels of clips as `Rows` has them; of shares the most probable class."""
        found = {}
        for task, classes in self.outputs_by_task.items():
            of: Tensor = table.target[task]  # type: ignore[index]
            if of.ndim == 2:
                of = of.argmax(1).where(~of.isnan().any(1), -1)
            if not classes:
                mean, deviation = (values.double().cpu() for values in value_scale(self, self.tasks, task))
                of = (of.double() - mean) / deviation
            found[task] = of.numpy()
        return found


class VectorBaseline(FittedOnce):
    """A model of one vector a clip: standardised vectors of its modalities side by side, zeros where one is absent.

    Args:
        num_classes: Number of outputs; linked from the data.
        input_shapes: Shape of one clip by modality; linked from the data.
        modalities: Which are read; all where not given.
        encoders: Frozen encoders of some of them, whose stored embeddings are read in place of pooled arrays.
        penalties: scikit-learn's C to choose from, on the validation groups; without any of these (the paper's
            protocol) on folds of training groups. `usual` where not given.
        functionals: Ten functionals over time of sequences, in place of mean and deviation; see
            `lightning_modules.nn.clip_vectors`.
        time_last: Modalities of which time is the last axis, as of MFCCs ``(13, T)``.
        words: Places that ids of a text are counted in.
        **kwargs: See `EmotionTask`.

    Raises:
        TaskError: A modality is not in the data, or no vector can be made of it.
    """

    usual: ClassVar[tuple[float, ...]]
    numbers: ClassVar[tuple[str, ...]]  # what is fitted

    def __init__(
        self,
        num_classes: int,
        input_shapes: dict[str, list[int]],
        modalities: list[str] | None = None,
        encoders: dict[str, nn.Module] | None = None,
        penalties: list[float] | None = None,
        functionals: bool = False,
        time_last: list[str] | None = None,
        words: int = 256,
        **kwargs: Any,
    ) -> None:
        super().__init__(num_classes, input_shapes, **kwargs)
        self.modalities = modalities or list(input_shapes)
        self.penalties = sorted(self.usual if penalties is None else penalties)
        if not self.penalties or self.penalties[0] <= 0 or words < 1:
            raise TaskError(f"--model.penalties {penalties}, --model.words {words}: numbers above 0")
        self.options: dict[str, Any] = {"functionals": functionals, "words": words}
        self.time_last = time_last or []
        for name in self.modalities:
            if name not in input_shapes:
                raise TaskError(f"model.modalities: no {name} in the data, it has {', '.join(input_shapes)}")
            if name not in (encoders or {}) and len(input_shapes[name]) == 1 and input_shapes[name][0] > LONGEST:
                raise TaskError(
                    f"{type(self).__name__} makes no vector of {name}, {input_shapes[name][0]} samples: give "
                    f"--model.encoders.{name} one that reads sound"
                )
        keep_plain(self, encoders)
        self.encoders = ModalityEncoders(encoders or {}, input_shapes, type(self).__name__, fewest=0)
        if trained := [name for name in self.encoders if name not in self.encoders.frozen()]:
            raise TaskError(f"model.encoders.{trained[0]}: nothing trains it here; give one that is frozen")
        self.fitted = Fitted("center", "scale", "penalty", *self.numbers)

    @classmethod
    def reads(cls, encoders: Any = None, **options: Any) -> dict[str, str]:
        """Return nothing: it reads what the data name in ``modalities``, of any kind."""
        return {}

    def stages(self) -> Stages:
        """Return the stages: encoders, which never train, and what is fitted."""
        return {**self.encoders.stages(), **super().stages()}

    def frozen_encoders(self) -> dict[str, nn.Module]:
        """Return the encoders, which never train."""
        return self.encoders.frozen()

    def start_from(self, checkpoints: dict[str, str]) -> None:
        """Load pretrained encoders, then what checkpoints hold."""
        self.encoders.load_pretrained(checkpoints)
        super().start_from(checkpoints)

    def vectors(self, batch: Batch) -> dict[str, Tensor]:
        """Return one vector a clip and modality, float64 ``(B, D)``, of any value where it is absent."""
        found = {name: values.double() for name, values in self.encoders.encode(self, batch).items()}
        for name in self.modalities:
            if name not in found:
                length = batch.get("length", {}).get(name)
                found[name] = clip_vectors(
                    self.observed(batch, name), length, time_last=name in self.time_last, **self.options
                )
        return {name: found[name] for name in self.modalities}

    def joined(self, vectors: dict[str, Tensor], mask: dict[str, Tensor]) -> Tensor:
        """Return standardised vectors side by side, ``(B, D)``, zeros where a modality is absent."""
        center, scale = self.fitted["center"], self.fitted["scale"]
        size = sum(vectors[name].shape[1] for name in self.modalities)
        if size != len(center):
            raise TaskError(
                f"{type(self).__name__} was fitted on {len(center)} values a clip, here are {size}: give data and "
                "options that it was fitted with"
            )
        parts, start = [], 0
        for name in self.modalities:
            stop = start + vectors[name].shape[1]
            own = (vectors[name] - center[start:stop]) / scale[start:stop]
            parts.append(self.observed({name: own, "mask": mask}, name))
            start = stop
        return torch.cat(parts, 1)

    def rows(self, table: PredictionTable) -> Rows:
        """Return clips with their standardised vectors."""
        vectors: dict[str, Tensor] = table.logits  # type: ignore[assignment]
        device = self.fitted["center"].device
        own, mask = ({name: of.to(device) for name, of in kept.items()} for kept in (vectors, table.weights))
        x = self.joined(own, mask).cpu().numpy()
        return Rows(x, np.array(table.groups), self.targets_of(table))

    def standardise(self, table: PredictionTable) -> None:
        """Take mean and deviation of the clips that have a modality."""
        centers, scales = [], []
        for name in self.modalities:
            values: Tensor = table.logits[name]  # type: ignore[index]
            values = values[table.weights[name]] if name in table.weights else values
            if not len(values):
                raise TaskError(
                    f"{type(self).__name__}: no training clip has {name}; leave it out of --data.modalities"
                )
            centers.append(values.mean(0))
            spread = values.std(0, correction=0)
            scales.append(spread.where(spread > 1e-12 * (1 + values.abs().amax(0)), 1))
        self.fitted.keep(center=torch.cat(centers), scale=torch.cat(scales))

    @abstractmethod
    def decide(self, x: Tensor) -> Tensor:
        """Return logits of standardised vectors ``(B, D)``: ``(B, outputs)`` float64."""

    def forward(self, batch: Batch) -> dict[str, Any]:
        """Score a batch of clips.

        Args:
            batch: Every modality, their ``length`` and ``mask``.

        Returns:
            ``logits`` ``(B, outputs)``; ``aux``: ``embedding``, the standardised vectors.
        """
        x = self.joined(self.vectors(batch), batch.get("mask", {}))
        return {"logits": self.decide(x).float(), "aux": {"embedding": x.float()}}


def _in_order(parts: list[PredictionTable]) -> PredictionTable:
    """Return tables as one, in order of ids: the order that training draws changes nothing."""
    whole = PredictionTable.concatenate(parts)
    order = sorted(range(len(whole.ids)), key=whole.ids.__getitem__)

    def ordered(values: Any) -> Any:
        if isinstance(values, dict):
            return {name: of[order] for name, of in values.items()}
        return values[order] if len(values) else values

    ids, groups = ([of[row] for row in order] for of in (whole.ids, whole.groups))
    return PredictionTable(ids, groups, ordered(whole.logits), ordered(whole.target), ordered(whole.weights))
