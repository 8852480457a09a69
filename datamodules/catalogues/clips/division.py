"""Divide groups into folds that have all classes in equal shares, and equal sizes, as nearly as can be."""

from collections.abc import Sequence

import numpy as np

PASSES = 20  # of mending
MENDED = 400  # groups; with more, what each of them adds is small


def divide(groups: Sequence[str], classes: Sequence[int], count: int, seed: int) -> dict[str, int]:
    """Return the fold of every group.

    The larger groups come first, each into the fold that has least of what it brings; groups of one size come in an
    order drawn from the seed. Then single groups move and pairs change places for as long as that makes the folds more
    alike.

    Args:
        groups: Of every clip.
        classes: Class index of every clip; -1 without one.
        count: Number of folds, no more than there are groups: none is empty.
        seed: Of the order.
    """
    names = sorted(set(groups))
    shares = class_shares(groups, classes)
    drawn = np.random.default_rng(seed).permutation(len(names))
    order = drawn[np.argsort(-np.square(shares[drawn]).sum(1).round(12), kind="stable")]
    sums, fold = np.zeros((count, shares.shape[1])), np.zeros(len(names), np.int64)
    for group in order:
        fold[group] = np.argmin((sums @ shares[group]).round(12))
        sums[fold[group]] += shares[group]
    if len(names) <= MENDED:
        _mend(shares, fold, sums)
    return dict(zip(names, fold.tolist(), strict=True))


def class_shares(groups: Sequence[str], classes: Sequence[int]) -> np.ndarray:
    """Return the share that each group, by name, has of all clips and of those of every class, ``(G, 1 + K)``.

    Squares of the sums over a fold, added up, are least where all folds have the same: clips count as much as classes
    together.
    """
    names, known = sorted(set(groups)), sorted(set(classes))
    counts = np.zeros((len(names), 1 + len(known)))
    row, column = {name: place for place, name in enumerate(names)}, {one: place for place, one in enumerate(known, 1)}
    for group, one in zip(groups, classes, strict=True):
        counts[row[group], [0, column[one]]] += 1
    return np.asarray(counts / counts.sum(0) / np.sqrt([1.0] + [len(known)] * len(known)))


def _mend(shares: np.ndarray, fold: np.ndarray, sums: np.ndarray) -> None:
    """Move single groups and change pairs of them, in place, while that makes the folds more alike."""
    for _ in range(PASSES):
        changed = False
        for group in range(len(shares)):
            own = fold[group]
            if np.count_nonzero(fold == own) > 1:  # no fold becomes empty
                gain = (2 * shares[group] @ (sums - sums[own]).T + 2 * shares[group] @ shares[group]).round(12)
                gain[own] = 0
                if gain.min() < 0:
                    _move(group, int(gain.argmin()), shares, fold, sums)
                    changed = True
                    continue
            apart = shares - shares[group]  # what the fold of the group gains by each of the others
            gain = (2 * (apart * (sums[own] - sums[fold])).sum(1) + 2 * np.square(apart).sum(1)).round(12)
            gain[fold == own] = 0
            if gain.min() < 0:
                other = int(gain.argmin())
                target = int(fold[other])
                _move(other, int(own), shares, fold, sums)
                _move(group, target, shares, fold, sums)
                changed = True
        if not changed:
            return


def _move(group: int, target: int, shares: np.ndarray, fold: np.ndarray, sums: np.ndarray) -> None:
    sums[fold[group]] -= shares[group]
    sums[target] += shares[group]
    fold[group] = target
