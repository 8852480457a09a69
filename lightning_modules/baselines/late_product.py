"""The product of the class probabilities of one baseline a modality, each fitted by itself."""

from typing import Any, Literal

import torch
from torch import Tensor, nn

from lightning_modules.base import Batch, Stages
from lightning_modules.baselines.base import FittedOnce, VectorBaseline
from lightning_modules.baselines.models import LogisticBaseline, SVMBaseline
from lightning_modules.errors import TaskError
from lightning_modules.nn.fusion import multiplication
from lightning_modules.nn.metrics import PredictionTable

BRANCHES: dict[str, type[VectorBaseline]] = {"logistic": LogisticBaseline, "svm": SVMBaseline}


class LateProduct(FittedOnce):
    """A baseline a modality, and the product of what those of the modalities say that a clip has.

    Args:
        num_classes: Number of classes; linked from the data.
        input_shapes: Shape of one clip by modality; linked from the data.
        branch: Which baseline, every option of which is the one of its own.
        modalities: Two or more; all where not given.
        encoders: See `VectorBaseline`.
        penalties: Likewise.
        functionals: Likewise.
        time_last: Likewise.
        words: Likewise.
        **kwargs: See `EmotionTask`.

    Raises:
        TaskError: There are fewer than two modalities, or one that a branch cannot read.
    """

    single_task = "it multiplies class probabilities"

    def __init__(
        self,
        num_classes: int,
        input_shapes: dict[str, list[int]],
        branch: Literal["logistic", "svm"] = "logistic",
        modalities: list[str] | None = None,
        encoders: dict[str, nn.Module] | None = None,
        penalties: list[float] | None = None,
        functionals: bool = False,
        time_last: list[str] | None = None,
        words: int = 256,
        **kwargs: Any,
    ) -> None:
        super().__init__(num_classes, input_shapes, **kwargs)
        names, encoders = modalities or list(input_shapes), encoders or {}
        if len(names) < 2:
            raise TaskError(f"LateProduct multiplies two modalities or more; --data.modalities has {names[0]} alone")
        shared: dict[str, Any] = {
            "penalties": penalties,
            "functionals": functionals,
            "time_last": time_last,
            "words": words,
        }
        shared |= {"class_names": self.class_names, "select_by": self.select_by}
        shared["class_weights"] = kwargs.get("class_weights")
        self.branches = nn.ModuleDict()
        for name in names:
            own = {name: encoders[name]} if name in encoders else None
            self.branches[name] = BRANCHES[branch](num_classes, input_shapes, [name], own, **shared)

    @classmethod
    def reads(cls, **options: Any) -> dict[str, str]:
        """Return nothing: it reads what the data name in ``modalities``, of any kind."""
        return {}

    def _each(self) -> dict[str, VectorBaseline]:
        return dict(self.branches.items())  # type: ignore[arg-type]

    def stages(self) -> Stages:
        """Return the stages of the branches, by modality."""
        return {f"{name}_{stage}": parts for name, of in self._each().items() for stage, parts in of.stages().items()}

    def frozen_encoders(self) -> dict[str, nn.Module]:
        """Return the encoders of the branches, which never train."""
        return {modality: of for branch in self._each().values() for modality, of in branch.frozen_encoders().items()}

    def start_from(self, checkpoints: dict[str, str]) -> None:
        """Load pretrained encoders, then what checkpoints hold."""
        for branch in self._each().values():
            branch.start_from({})
        super().start_from(checkpoints)

    def vectors(self, batch: Batch) -> dict[str, Tensor]:
        """Return one vector a clip and modality."""
        return {name: vector for of in self._each().values() for name, vector in of.vectors(batch).items()}

    def fit(self, train: PredictionTable, validation: PredictionTable | None) -> None:
        """Fit every branch."""
        for branch in self._each().values():
            branch.fit(train, validation)

    def forward(self, batch: Batch) -> dict[str, Any]:
        """Return ``logits`` ``(B, K)``, the log of the product up to a constant; equal ones of a clip without any."""
        logits = torch.stack([branch(batch)["logits"] for branch in self._each().values()], dim=1)
        everything = torch.ones(len(logits), dtype=torch.bool, device=logits.device)
        present = torch.stack([batch.get("mask", {}).get(name, everything) for name in self._each()], dim=1)
        return {"logits": multiplication(logits, present), "aux": {}}
