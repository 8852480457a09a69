"""Windows over videos that lie on a grid of 5 steps per second: one rule for every modality and model.

Step k of a video is the frame shown at k / 5 s. Windows start every ``stride`` from 0, and one more ends at the last
step if steps remain. A window is kept where every modality was seen in at least half of its steps; an unseen step
repeats the last seen one before it. The released loaders of the engagement paper have two other rules (gaps ignored,
or every window at a gap dropped) and so score their models on different windows.

The videos of a split lie one after the other on one axis, so that a window is a stretch of that axis.
"""

from dataclasses import dataclass

import numpy as np

FPS = 5


def steps_of(seconds: float) -> int:
    """Return the number of grid steps in a time."""
    return round(FPS * seconds)


def window_starts(count: int, length: int, stride: int) -> np.ndarray:
    """Return the first steps of the windows over one video.

    Args:
        count: Steps of the video.
        length: Steps of a window.
        stride: Steps from one window to the next.

    Returns:
        int64 ``(W,)``, ascending; none where the video is shorter than a window.

    Example:
        >>> window_starts(97, 20, 10).tolist()
        [0, 10, 20, 30, 40, 50, 60, 70, 77]
    """
    if count < length:
        return np.empty(0, np.int64)
    starts = np.arange(0, count - length + 1, stride)
    tail = count - length
    return starts if starts[-1] == tail else np.append(starts, tail)


def sums(values: np.ndarray, starts: np.ndarray, length: int) -> np.ndarray:
    """Return the sums over windows.

    Args:
        values: ``(N,)`` or ``(N, K)``.
        starts: First steps ``(W,)``.
        length: Steps of a window.

    Returns:
        float64 ``(W,)`` or ``(W, K)``.
    """
    total = np.concatenate([np.zeros((1, *values.shape[1:])), np.cumsum(values, axis=0, dtype=np.float64)])
    return np.asarray(total[starts + length] - total[starts])


@dataclass(frozen=True)
class Windows:
    """The windows of some videos.

    Attributes:
        starts: Their first steps on the common axis, int64 ``(W,)``.
        video: The video of each, int64 ``(W,)``.
        length: Steps of a window.
        too_short: How many videos are shorter than a window.
        unseen: How many windows were dropped because a modality or the label was there in less than half of the steps.
    """

    starts: np.ndarray
    video: np.ndarray
    length: int
    too_short: int
    unseen: int


def find_windows(first: np.ndarray, videos: np.ndarray, present: list[np.ndarray], length: int, stride: int) -> Windows:
    """Find the windows of some videos.

    Args:
        first: Where each video begins on the common axis and, at the end, where the last one ends: ``(V + 1,)``.
        videos: Which videos, in order.
        present: bool ``(N,)`` per modality: seen or not.
        length: Steps of a window.
        stride: Steps from one window to the next.

    Returns:
        The windows, in order of video and time.
    """
    found = [first[video] + window_starts(int(first[video + 1] - first[video]), length, stride) for video in videos]
    starts = np.concatenate([np.empty(0, np.int64), *found])
    video = np.repeat(videos, [len(part) for part in found])
    kept = np.ones(len(starts), bool)
    for seen in present:
        kept &= 2 * sums(seen, starts, length) >= length
    too_short = sum(not len(part) for part in found)
    return Windows(starts[kept], video[kept], length, too_short, int((~kept).sum()))


def soft_targets(labels: np.ndarray, starts: np.ndarray, length: int) -> np.ndarray:
    """Return the mean label of the labelled steps of each window.

    Args:
        labels: ``(N, K)`` probabilities, NaN where a step has no label.
        starts: First steps ``(W,)``; every window has a labelled step.
        length: Steps of a window.

    Returns:
        float32 ``(W, K)``, rows of sum 1.
    """
    mass = sums(np.nan_to_num(labels.astype(np.float64)), starts, length)
    return np.asarray(mass / mass.sum(1, keepdims=True), np.float32)


def hard_targets(labels: np.ndarray, starts: np.ndarray, length: int) -> np.ndarray:
    """Return the most frequent class of the labelled steps of each window; of several the smallest.

    Args:
        labels: ``(N, K)`` probabilities, NaN where a step has no label; a step's class is the most probable one.
        starts: First steps ``(W,)``.
        length: Steps of a window.

    Returns:
        int64 ``(W,)``.
    """
    votes = np.eye(labels.shape[1])[np.nan_to_num(labels).argmax(1)]
    votes[np.isnan(labels).any(1)] = 0
    return np.asarray(sums(votes, starts, length).argmax(1), np.int64)
