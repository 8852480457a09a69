"""The window rule: starts and tail, gaps, dropped windows, targets; against loops that say the same."""

from itertools import pairwise

import numpy as np
import pytest

from datamodules.shapes.grids.grid import last_seen
from datamodules.shapes.grids.window_rules import (
    find_windows,
    hard_targets,
    soft_targets,
    steps_of,
    sums,
    window_starts,
)


@pytest.mark.parametrize(
    ("count", "length", "stride", "starts"),
    [
        (97, 20, 10, [0, 10, 20, 30, 40, 50, 60, 70, 77]),  # the released loader finds 8 of these 9
        (100, 20, 10, [0, 10, 20, 30, 40, 50, 60, 70, 80]),
        (20, 20, 10, [0]),
        (21, 20, 10, [0, 1]),
        (19, 20, 10, []),
        (0, 5, 5, []),
        (7, 2, 3, [0, 3, 5]),
        (5, 1, 2, [0, 2, 4]),
    ],
)
def test_starts_and_one_tail(count, length, stride, starts):
    found = window_starts(count, length, stride)
    assert found.tolist() == starts
    assert found.dtype == np.int64


def test_seconds_are_five_steps_each():
    assert [steps_of(seconds) for seconds in (1, 2, 4, 6, 8, 12, 0.2, 1.9)] == [5, 10, 20, 30, 40, 60, 1, 10]


def brute_source(seen, first):
    source = []
    for begin, end in pairwise(first):
        for step in range(begin, end):
            before = [k for k in range(begin, step + 1) if seen[k]]
            anywhere = [k for k in range(begin, end) if seen[k]]
            source.append(before[-1] if before else anywhere[0] if anywhere else step)
    return source


@pytest.mark.parametrize("rate", [0.0, 0.1, 0.6, 1.0])
def test_an_unseen_step_repeats_the_last_seen_one_of_its_video(rate):
    rng = np.random.default_rng(0)
    first = np.array([0, 7, 7, 8, 40])  # one video has no step at all
    seen = rng.random(40) < rate
    seen[7] = False  # a video of one unseen step is its own
    assert last_seen(seen, first).tolist() == brute_source(seen, first)


def test_last_seen_of_nothing():
    assert last_seen(np.empty(0, bool), np.array([0])).tolist() == []


def test_a_window_is_kept_where_half_of_its_steps_are_seen_in_every_modality():
    first = np.array([0, 4, 9])
    face = np.array([1, 1, 0, 0, 1, 0, 0, 0, 1], bool)
    joints = np.array([1, 1, 1, 0, 1, 1, 1, 1, 1], bool)
    found = find_windows(first, np.array([0, 1]), [face, joints], 4, 4)
    # 0..3: face in two of four; 4..7: in one of four; the tail 5..8: in one of four
    assert found.starts.tolist() == [0]
    assert found.video.tolist() == [0]
    assert (found.too_short, found.unseen) == (0, 2)
    assert find_windows(first, np.array([0, 1]), [joints], 4, 4).starts.tolist() == [0, 4, 5]


def test_windows_never_cross_videos_and_short_videos_are_counted():
    rng = np.random.default_rng(1)
    counts = rng.integers(0, 30, 20)
    first = np.concatenate([[0], np.cumsum(counts)])
    chosen = np.flatnonzero(rng.random(20) < 0.6)
    seen = rng.random(first[-1]) < 0.55
    found = find_windows(first, chosen, [seen], 10, 3)
    expected, unseen = [], 0
    for video in chosen:
        for start in window_starts(counts[video], 10, 3):
            stretch = seen[first[video] + start : first[video] + start + 10]
            if stretch.sum() >= 5:
                expected.append((first[video] + start, video))
            else:
                unseen += 1
    assert list(zip(found.starts.tolist(), found.video.tolist(), strict=True)) == expected
    assert found.unseen == unseen > 0
    assert found.too_short == sum(counts[video] < 10 for video in chosen) > 0


def test_no_video_no_window():
    found = find_windows(np.array([0, 5]), np.array([], int), [np.ones(5, bool)], 2, 1)
    assert len(found.starts) == len(found.video) == 0


def test_sums_are_those_of_slices():
    values = np.random.default_rng(2).random((30, 3))
    starts = np.array([0, 4, 25])
    np.testing.assert_allclose(sums(values, starts, 5), [values[start : start + 5].sum(0) for start in starts])


def test_soft_targets_are_means_over_labelled_steps():
    labels = np.array([[1, 0, 0], [0.4, 0.6, 0], [np.nan] * 3, [0, 0, 1]], np.float32)
    soft = soft_targets(labels, np.array([0, 1]), 3)
    np.testing.assert_allclose(soft, [[0.7, 0.3, 0], [0.2, 0.3, 0.5]], rtol=1e-6)
    assert soft.dtype == np.float32


def test_hard_targets_are_modes_and_ties_go_to_the_smallest_class():
    classes = np.array([2, 2, 1, 1, 0, 1, 2])
    labels = np.eye(3, dtype=np.float32)[classes]
    assert hard_targets(labels, np.array([0, 1, 2, 3]), 4).tolist() == [1, 1, 1, 1]
    assert hard_targets(labels, np.array([0, 4]), 3).tolist() == [2, 0]  # 0, 1, 2 once each
    labels[:3] = np.nan
    assert hard_targets(labels, np.array([0, 2]), 5).tolist() == [0, 1]  # 1, 0 are left of the first five
    flat = np.full((2, 3), 1 / 3, np.float32)
    assert hard_targets(flat, np.array([0]), 2).tolist() == [0]
