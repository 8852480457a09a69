"""Linear models and support vector machines fitted by scikit-learn, as plain arrays that need it no more.

Every fit returns what a decision is computed from: of classes one row each, in order of the index, those that no
training clip has included.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

Array = npt.NDArray[np.float64]
NEVER = -1e3  # logit of a class that no training clip has
INNER_FOLDS = 5


class Fitted(nn.Module):
    """Fitted numbers, float64 buffers whose shapes are those of what they are filled with.

    Args:
        *names: Of the buffers, empty before the fit.
    """

    def __init__(self, *names: str) -> None:
        super().__init__()
        for name in names:
            self.register_buffer(name, torch.empty(0, dtype=torch.float64))

    def __getitem__(self, name: str) -> Tensor:
        """Return a buffer."""
        return self.get_buffer(name)

    def keep(self, **numbers: Any) -> None:
        """Fill buffers, on the device that they are on."""
        for name, values in numbers.items():
            setattr(self, name, torch.as_tensor(values, dtype=torch.float64, device=self[name].device))

    def take_shapes(self, state: dict[str, Tensor], prefix: str) -> None:
        """Give the buffers the shapes of those of a checkpoint, whose names begin with a prefix."""
        for name, own in self.named_buffers():
            if (given := state.get(f"{prefix}{name}")) is not None:
                setattr(self, name, own.new_empty(given.shape))

    def _load_from_state_dict(self, state_dict: Any, prefix: str, *arguments: Any) -> None:
        self.take_shapes(state_dict, prefix)
        super()._load_from_state_dict(state_dict, prefix, *arguments)


def logistic(x: Array, y: Array, penalty: float, classes: int, weights: dict[int, float] | None) -> tuple[Array, Array]:
    """Fit a multinomial logistic regression.

    Args:
        x: Features ``(N, D)``.
        y: Class indices ``(N,)``.
        penalty: scikit-learn's C: the smaller, the stronger.
        classes: How many there are, K.
        weights: Weight of the clips of each class; 1 where None.

    Returns:
        Weights ``(K, D)`` and biases ``(K,)`` of the logits.
    """
    from sklearn.linear_model import LogisticRegression  # seconds that runs without it do not pay

    found = np.unique(y).astype(int)
    weight, bias = np.zeros((classes, x.shape[1])), np.full(classes, NEVER)
    bias[found] = 0
    if len(found) > 1:
        model = LogisticRegression(C=penalty, max_iter=10_000, class_weight=weights).fit(x, y)
        several = len(found) > 2
        weight[found] = model.coef_ if several else np.stack([0 * model.coef_[0], model.coef_[0]])
        bias[found] = model.intercept_ if several else [0, model.intercept_[0]]
    return weight, bias


def machines(
    kernel: Array, y: Array, penalty: float, classes: int, weights: dict[int, float] | None
) -> tuple[Array, Array]:
    """Fit a support vector machine a class, against all others.

    Args:
        kernel: Of the clips with each other, ``(N, N)``: once for all machines, which would each compute it anew.
        y: Class indices ``(N,)``.
        penalty: C.
        classes: How many there are, K.
        weights: Weight of the clips of each class; 1 where None.

    Returns:
        Dual coefficients ``(K, N)`` and biases ``(K,)``; of a class that no clip, or every clip has -1 or 1 for all.
    """
    from sklearn.svm import SVC

    dual, bias = np.zeros((classes, len(y))), np.full(classes, -1.0)
    of_clips = None if weights is None else np.array([weights[int(of)] for of in y])
    for label in np.unique(y).astype(int):
        if (y == label).all():
            bias[label] = 1
            continue
        model = SVC(C=penalty, kernel="precomputed").fit(kernel, y == label, of_clips)
        dual[label, model.support_], bias[label] = model.dual_coef_[0], model.intercept_[0]
    return dual, bias


def ridge(x: Array, y: Array, penalty: float) -> tuple[Array, Array]:
    """Fit values ``(N,)`` by ridge regression of alpha ``1 / 2C``; return a weight ``(1, D)`` and a bias ``(1,)``."""
    from sklearn.linear_model import Ridge

    model = Ridge(alpha=1 / (2 * penalty)).fit(x, y)
    return model.coef_[None], np.array([model.intercept_])


def regressor(kernel: Array, y: Array, penalty: float) -> tuple[Array, Array]:
    """Fit values ``(N,)`` by a support vector machine; return dual coefficients ``(1, N)`` and a bias ``(1,)``."""
    from sklearn.svm import SVR

    model = SVR(C=penalty, kernel="precomputed").fit(kernel, y)
    dual = np.zeros((1, len(y)))
    dual[0, model.support_] = model.dual_coef_[0]
    return dual, np.array(model.intercept_)


def rbf(a: Tensor, b: Tensor, gamma: Tensor | float) -> Tensor:
    """Return ``exp(-gamma |a - b|^2)`` of rows ``(N, D)`` and ``(M, D)``: ``(N, M)``."""
    squares = a.square().sum(1, keepdim=True) - 2 * a @ b.T + b.square().sum(1)
    return (-gamma * squares.clamp_min(0)).exp()


def own_kernel(x: Array, gamma: float) -> Array:
    """Return `rbf` of rows with each other, ``(N, N)``, exactly 1 of a row with itself."""
    rows = torch.from_numpy(x)
    kernel = rbf(rows, rows, gamma).numpy()
    np.fill_diagonal(kernel, 1)  # what rounding leaves there sends the solver another way
    return kernel


def inner_folds(groups: npt.NDArray[np.str_]) -> Iterator[tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]]:
    """Yield rows that train and rows that are held out, by groups, or by clips where there is one group alone.

    Args:
        groups: Of every clip, at least two clips.
    """
    names = np.unique(groups)
    if len(names) == 1:
        groups = np.arange(len(groups)).astype(str)
        names = groups
    turn = {name: place % min(INNER_FOLDS, len(names)) for place, name in enumerate(names.tolist())}
    fold = np.array([turn[name] for name in groups.tolist()])
    for own in range(fold.max() + 1):
        yield np.flatnonzero(fold != own), np.flatnonzero(fold == own)


def score_of(y: Array, said: Array, metric: str) -> float:
    """Return how good predictions are: ``accuracy``, ``uar`` or ``f1`` of classes, ``ccc`` of values."""
    if metric == "ccc":
        spread = y.var() + said.var() + (y.mean() - said.mean()) ** 2
        return float(2 * np.mean((y - y.mean()) * (said - said.mean())) / spread) if spread else 0.0
    hits = said == y
    if metric == "accuracy":
        return float(hits.mean())
    found = np.unique(y)
    recalls = np.array([hits[y == label].mean() for label in found])
    if metric == "uar":
        return float(recalls.mean())
    sizes = np.array([(y == label).sum() + (said == label).sum() for label in found])
    right = np.array([hits[y == label].sum() for label in found])
    return float(np.mean(2 * right / sizes))
