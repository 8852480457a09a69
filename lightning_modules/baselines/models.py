"""The baselines that a reviewer asks for: majority, logistic regression, RBF SVM; values by ridge regression and SVR.

scikit-learn (BSD-3-Clause) fits; the answers are computed here, from plain arrays, and are its own.
"""

from abc import abstractmethod
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from lightning.pytorch.utilities import rank_zero_info
from torch import Tensor

from lightning_modules.base import Batch
from lightning_modules.baselines.base import FittedOnce, Rows, VectorBaseline
from lightning_modules.nn import fitted
from lightning_modules.nn.fitted import NEVER, Array, Fitted, inner_folds, own_kernel, rbf, score_of
from lightning_modules.nn.metrics import PredictionTable


class Majority(FittedOnce):
    """The shares of the classes in train, and the mean of the training labels of every value, for every clip.

    Args:
        num_classes: Number of outputs; linked from the data.
        input_shapes: Shape of one clip by modality; linked from the data.
        **kwargs: See `EmotionTask`.
    """

    def __init__(self, num_classes: int, input_shapes: dict[str, list[int]], **kwargs: Any) -> None:
        super().__init__(num_classes, input_shapes, **kwargs)
        self.fitted = Fitted("logits")

    def fit(self, train: PredictionTable, validation: PredictionTable | None) -> None:
        """Count."""
        logits = []
        for task, labels in self.targets_of(train).items():
            classes = self.outputs_by_task[task]
            counts = np.bincount(labels[labels >= 0], minlength=classes) if classes else np.ones(1)
            shares = counts / max(counts.sum(), 1)
            logits.append(np.log(shares, out=np.full(len(shares), NEVER), where=shares > 0))
        self.fitted.keep(logits=np.concatenate(logits))

    def forward(self, batch: Batch) -> dict[str, Any]:
        """Return the same ``logits`` for every clip, ``(B, outputs)``."""
        return {"logits": self.fitted["logits"].float().expand(len(batch["id"]), -1).contiguous(), "aux": {}}


class _Chosen(VectorBaseline):
    """A vector baseline whose penalty is chosen for every task by itself."""

    @abstractmethod
    def answers(self, rows: Rows, task: str, penalties: list[float], of: Array) -> list[Array]:
        """Return what a fit on some clips with each penalty says of others: a column per class, or one of the value."""

    def choose(self, train: Rows, held: Rows | None, task: str) -> float:
        """Return the penalty that is best on clips that did not fit."""
        classes = self.outputs_by_task[task]
        x, y, groups = train.of(task)
        if held is not None and len(held.of(task)[0]):
            other_x, other_y, other_groups = held.of(task)
            splits = [(np.arange(len(x)), np.arange(len(x), len(x) + len(other_x)))]
            where = f"{len(other_x)} validation clips"
            x, y = np.concatenate([x, other_x]), np.concatenate([y, other_y])
            groups = np.concatenate([groups, other_groups])
        else:
            splits = list(inner_folds(groups)) if len(x) > 1 else []
            where = f"{len(splits)} folds of the training clips"
        if len(self.penalties) == 1 or not splits:
            return self.penalties[0]
        metric, scores = self.select_by if classes else "ccc", []
        said_by = [
            self.answers(Rows(x[fit], groups[fit], {task: y[fit]}), task, self.penalties, x[left])
            for fit, left in splits
        ]
        for parts in zip(*said_by, strict=True):
            said = np.concatenate(parts)
            of_class = said.argmax(1) if classes else said[:, 0]
            true = np.concatenate([y[left] for _, left in splits])
            scores.append(score_of(true, of_class, metric))
        best = int(np.argmax(scores))
        about = f"{task}: " if task else ""
        rank_zero_info(f"{about}C {self.penalties[best]:g} of {len(scores)}: {metric} {scores[best]:.4f} on {where}")
        return self.penalties[best]

    def weights(self, task: str) -> dict[int, float] | None:
        """Return the weight of the clips of each class; None where all count alike."""
        given = self.class_weights
        return None if given is None else dict(enumerate(given.double().tolist()))

    def fit(self, train: PredictionTable, validation: PredictionTable | None) -> None:
        """Standardise, choose a penalty for every task, fit."""
        self.standardise(train)
        rows, held = self.rows(train), None if validation is None else self.rows(validation)
        chosen = {task: self.choose(rows, held, task) for task in self.outputs_by_task}
        self.fitted.keep(penalty=list(chosen.values()))
        self.fit_all(rows, chosen)

    @abstractmethod
    def fit_all(self, rows: Rows, penalties: dict[str, float]) -> None:
        """Fit every task with its penalty and keep what was found."""


class LogisticBaseline(_Chosen):
    """Multinomial logistic regression; values by ridge regression, alpha ``1 / 2C``; see `VectorBaseline`."""

    usual = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
    numbers = ("weight", "bias")

    def _linear(self, rows: Rows, task: str, penalty: float) -> tuple[Array, Array]:
        x, y, _ = rows.of(task)
        if classes := self.outputs_by_task[task]:
            return fitted.logistic(x, y, penalty, classes, self.weights(task))
        return fitted.ridge(x, y, penalty)

    def answers(self, rows: Rows, task: str, penalties: list[float], of: Array) -> list[Array]:
        """Return the logits of other clips."""
        fits = (self._linear(rows, task, penalty) for penalty in penalties)
        return [np.asarray(of @ weight.T + bias) for weight, bias in fits]

    def fit_all(self, rows: Rows, penalties: dict[str, float]) -> None:
        """Fit every task and keep weights and biases."""
        found = [self._linear(rows, task, penalty) for task, penalty in penalties.items()]
        weight, bias = (np.concatenate(parts) for parts in zip(*found, strict=True))
        self.fitted.keep(weight=weight, bias=bias)

    def decide(self, x: Tensor) -> Tensor:
        """Return the logits."""
        return x @ self.fitted["weight"].T + self.fitted["bias"]


class SVMBaseline(_Chosen):
    """RBF support vector machines, each class against the others; values by SVR; see `VectorBaseline`.

    Their decisions become class probabilities by a multinomial logistic regression over what machines that did not see
    a training group say of it. The kernel's gamma is scikit-learn's ``scale``.
    """

    usual = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0)
    numbers = ("vectors", "dual", "bias", "gamma", "mix", "shift")

    def _machines(self, rows: Rows, task: str, penalties: list[float], gamma: float) -> list[tuple[Array, Array]]:
        x, y, _ = rows.of(task)
        kernel = own_kernel(x, gamma)
        if classes := self.outputs_by_task[task]:
            return [fitted.machines(kernel, y, penalty, classes, self.weights(task)) for penalty in penalties]
        return [fitted.regressor(kernel, y, penalty) for penalty in penalties]

    def answers(self, rows: Rows, task: str, penalties: list[float], of: Array) -> list[Array]:
        """Return the decisions of other clips."""
        x, gamma = rows.of(task)[0], _gamma(rows.x)
        kernel = rbf(torch.from_numpy(of), torch.from_numpy(x), gamma).numpy()
        return [kernel @ dual.T + bias for dual, bias in self._machines(rows, task, penalties, gamma)]

    def _calibration(self, rows: Rows, task: str, penalty: float) -> tuple[Array, Array]:
        """Return weights ``(K, K)`` and biases ``(K,)`` from decisions to logits; of a value what changes nothing."""
        classes = self.outputs_by_task[task]
        x, y, groups = rows.of(task)
        if not classes or len(np.unique(y)) < 2:
            return np.eye(classes or 1), np.zeros(classes or 1)
        said = np.zeros((len(x), classes))
        for fit, held in inner_folds(groups):
            (said[held],) = self.answers(Rows(x[fit], groups[fit], {task: y[fit]}), task, [penalty], x[held])
        return fitted.logistic(said, y, 1.0, classes, self.weights(task))

    def _fit_one(self, rows: Rows, task: str, penalty: float, gamma: float) -> tuple[Array, Array, Array, Array]:
        """Return dual coefficients over all rows and biases, and the calibration of a task."""
        ((own, bias),) = self._machines(rows, task, [penalty], gamma)
        dual = np.zeros((len(own), len(rows.x)))
        dual[:, rows.known(task)] = own
        return dual, bias, *self._calibration(rows, task, penalty)

    def fit_all(self, rows: Rows, penalties: dict[str, float]) -> None:
        """Fit and calibrate every task and keep the support vectors of all."""
        gamma = _gamma(rows.x)
        found = [self._fit_one(rows, task, penalty, gamma) for task, penalty in penalties.items()]
        duals, biases, mixes, shifts = zip(*found, strict=True)
        dual = np.concatenate(duals)
        support = dual.any(0)
        self.fitted.keep(
            vectors=rows.x[support],
            dual=dual[:, support],
            bias=np.concatenate(biases),
            gamma=gamma,
            mix=torch.block_diag(*map(torch.from_numpy, mixes)),  # type: ignore[no-untyped-call]
            shift=np.concatenate(shifts),
        )

    def decide(self, x: Tensor) -> Tensor:
        """Return the calibrated logits."""
        of = self.fitted
        decisions = rbf(x, of["vectors"], of["gamma"]) @ of["dual"].T + of["bias"]
        return decisions @ of["mix"].T + of["shift"]


def _gamma(x: npt.NDArray[np.float64]) -> float:
    """Return scikit-learn's ``scale``: 1 over the number of values and their variance; 1 where they never differ."""
    spread = float(x.var())
    return 1 / (x.shape[1] * spread) if spread else 1.0
