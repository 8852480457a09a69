"""Ways to compute the grouped 3x3x3 convolutions of the 3D ResNeXt, side by side.

PyTorch's own grouped 3D convolution is slow on some devices, so that more arithmetic can take less time. All ways give
the same result; which is fastest depends on shape and device.
"""

from collections import defaultdict
from collections.abc import Callable

import torch
import torch.nn.functional as F
from timing import clock_of, race, timed
from torch import Tensor

GROUPS = 32
LAST = torch.channels_last_3d


def grouped(x: Tensor, weight: Tensor, stride: int) -> Tensor:
    """Return the convolution as the network has it: ``(B, C, T, H, W)`` with a weight ``(C, C / 32, 3, 3, 3)``."""
    return F.conv3d(x, weight.contiguous(memory_format=LAST), stride=stride, padding=1, groups=GROUPS)


def widened(width: int) -> Callable[[Tensor, Tensor, int], Tensor]:
    """Return a convolution of fewer groups, `width` channels each; weights outside the original groups are zero."""

    def convolve(x: Tensor, weight: Tensor, stride: int) -> Tensor:
        channels, narrow = weight.shape[:2]
        groups = min(GROUPS, channels // min(width, channels))
        per = GROUPS // groups
        blocks = weight.view(groups, per, narrow, narrow, 3, 3, 3)
        wide = blocks.new_zeros(groups, per, narrow, per, narrow, 3, 3, 3)
        each = torch.arange(per, device=x.device)
        wide[:, each, :, each] = blocks.transpose(0, 1)
        wide = wide.view(channels, per * narrow, 3, 3, 3).contiguous(memory_format=LAST)
        return F.conv3d(x, wide, stride=stride, padding=1, groups=groups)

    return convolve


def three_taps(x: Tensor, weight: Tensor, stride: int) -> Tensor:
    """Return three grouped 2D convolutions over all frames, one for each step in time, summed."""
    batch, channels, frames, height, width = x.shape
    steps = (frames - 1) // stride + 1
    padded = F.pad(x, (0, 0, 0, 0, 1, 1)).permute(0, 2, 1, 3, 4)
    total: Tensor | None = None
    for tap in range(3):
        planes = padded[:, tap : tap + stride * (steps - 1) + 1 : stride].reshape(-1, channels, height, width)
        part = F.conv2d(planes, weight[:, :, tap], stride=stride, padding=1, groups=GROUPS)
        total = part if total is None else total + part
    assert total is not None
    return total.view(batch, steps, channels, *total.shape[-2:]).permute(0, 2, 1, 3, 4)


WAYS = {
    "native": grouped,
    **{f"{width} wide": widened(width) for width in (8, 16, 32, 64)},
    "three taps": three_taps,
    "dense": widened(1 << 20),
}


def shapes(clip: list[int]) -> list[tuple[list[int], int, int]]:
    """Return the grouped convolutions of a network input ``[B, 3, T, H, W]``: input shape, stride and count of each."""
    batch, _, frames, size, _ = clip
    found = []
    frames, size = -(-frames // 2), -(-size // 4)
    for stage, blocks in enumerate((3, 4, 6, 3)):
        channels = 128 << stage
        if stage:
            found.append(([batch, channels, frames, size, size], 2, 1))
            frames, size = -(-frames // 2), -(-size // 2)
        found.append(([batch, channels, frames, size, size], 1, blocks - bool(stage)))
    return found


def check() -> None:
    """Compare every way with the native one in double precision.

    Raises:
        AssertionError: If one differs.
    """
    x, weight = torch.randn(1, 128, 5, 6, 7, dtype=torch.float64), torch.randn(128, 4, 3, 3, 3, dtype=torch.float64)
    for stride in (1, 2):
        for way in WAYS.values():
            torch.testing.assert_close(way(x, weight, stride), grouped(x, weight, stride))


def passes(shape: list[int], stride: int, device: torch.device) -> dict[str, Callable[[], None]]:
    """Return, for each way, its forward and backward pass over one layer in bf16."""
    x = torch.randn(shape, device=device, dtype=torch.bfloat16).contiguous(memory_format=LAST).requires_grad_()
    weight = torch.randn(shape[1], shape[1] // GROUPS, 3, 3, 3, device=device, dtype=torch.bfloat16, requires_grad=True)
    gradient = torch.ones_like(grouped(x, weight, stride))
    return {name: lambda way=way: way(x, weight, stride).backward(gradient) for name, way in WAYS.items()}


def race_grouped(shape: list[int], rounds: int, device: torch.device) -> dict[str, float]:
    """Time the network's grouped convolutions, forward and backward, in each way; seconds per step."""
    check()
    total: dict[str, float] = defaultdict(float)
    for layer, stride, alike in shapes(shape):
        runs = passes(layer, stride, device)
        times = race({name: timed(run, clock_of(device)) for name, run in runs.items()}, rounds)
        for name, seconds in {**times, "the best for each layer": min(times.values())}.items():
            total[name] += alike * seconds
    return {"baseline": total.pop("native"), **total}
