"""Any array of a clip as one vector, for models that know neither time nor pictures."""

import torch
import torch.nn.functional as F
from torch import Tensor

from lightning_modules.errors import TaskError

FUNCTIONALS = (
    "mean", "standard deviation", "least", "greatest", "quarter", "median", "three quarters", "range", "skewness",
    "kurtosis",
)  # fmt: skip
CELLS = 8  # a picture becomes so many rows and columns of grey
LONGEST = 16384  # values of a vector; a longer one is a wave, of which single samples say nothing


def clip_vectors(
    values: Tensor, length: Tensor | None, *, time_last: bool = False, functionals: bool = False, words: int = 256
) -> Tensor:
    """Return one vector a clip.

    A vector stays. A sequence gives mean and standard deviation over its valid steps, or the `FUNCTIONALS`; a picture
    its grey values on a grid of 8 x 8 cells, pictures over time mean and standard deviation of these; ids of a text
    (0 = none) how often each occurs, ``log(1 + n)``, ids being counted modulo ``words``.

    Args:
        values: ``(B, D)``, ``(B, T, D)``, ``(B, C, H, W)``, ``(B, 3, T, H, W)``, ``(B, T, C, H, W)``, or int64
            ``(B, L)``. What has four axes and is no picture is a sequence.
        length: Valid steps, int64 ``(B,)``; all where None.
        time_last: Whether a sequence is ``(B, D, T)``.
        functionals: Whether sequences of vectors give the ten functionals.
        words: Places that ids are counted in.

    Returns:
        float64 ``(B, D')``.

    Raises:
        TaskError: An array of another kind, or of a length that its axis of time does not have.
    """
    if not values.is_floating_point() and values.ndim == 2:
        return _counts(values, words)
    if not values.is_floating_point() or values.ndim > 5:
        raise TaskError(f"no vector is made of a {values.dtype} array of shape {list(values.shape[1:])}")
    if values.ndim == 2:
        return values.double()
    pictured = values.ndim == 5 or (values.ndim == 4 and values.shape[1] in (1, 3))
    if pictured:
        values = _grey(values)
        if values.ndim == 2:
            return values.double()
    elif time_last:
        values = values.transpose(1, -1)
    steps = values.flatten(2).double()
    if length is not None and not torch.compiler.is_exporting() and int(length.max()) > steps.shape[1]:
        raise TaskError(
            f"{int(length.max())} valid steps of {steps.shape[1]}: time is the other axis; see --model.time_last"
        )
    if length is None:
        length = torch.full((len(steps),), steps.shape[1], device=steps.device)
    length = length.clamp_min(1)
    if functionals and not pictured:
        return torch.stack([_functionals(own[:count]) for own, count in zip(steps, length.tolist(), strict=True)])
    valid = (torch.arange(steps.shape[1], device=steps.device) < length[:, None]).unsqueeze(2)
    mean = steps.where(valid, 0).sum(1) / length[:, None]
    apart = (steps - mean[:, None]).where(valid, 0)
    return torch.cat([mean, (apart.square().sum(1) / length[:, None]).sqrt()], dim=1)


def _counts(ids: Tensor, words: int) -> Tensor:
    counts = torch.zeros(len(ids), words, dtype=torch.float64, device=ids.device)
    return counts.scatter_add_(1, ids % words, (ids > 0).double()).log1p()


def _grey(pictures: Tensor) -> Tensor:
    """Return the cells of pictures ``(B, 64)``, or of pictures over time ``(B, T, 64)``."""
    if pictures.ndim == 4:
        return F.adaptive_avg_pool2d(pictures.mean(1), CELLS).flatten(1)
    channels = 1 if pictures.shape[1] == 3 else 2
    return F.adaptive_avg_pool2d(pictures.mean(channels), CELLS).flatten(2)


def _functionals(steps: Tensor) -> Tensor:
    """Return the `FUNCTIONALS` over time of every value of one sequence: ``(T, D)`` -> ``(10 D,)``."""
    shares = torch.tensor([0, 0.25, 0.5, 0.75, 1], dtype=steps.dtype, device=steps.device)
    low, quarter, middle, third, high = torch.quantile(steps, shares, dim=0)
    mean = steps.mean(0)
    apart = steps - mean
    variance = apart.square().mean(0)
    spread = variance.sqrt()
    still = spread <= 1e-12 * (1 + mean.abs())
    scaled = apart / spread.where(~still, 1)
    skewness, kurtosis = (
        (scaled**power).mean(0).where(~still, normal) - normal for power, normal in ((3, 0.0), (4, 3.0))
    )
    found = [mean, spread, low, high, quarter, middle, third, high - low, skewness, kurtosis]
    return torch.stack(found, 1).flatten()
