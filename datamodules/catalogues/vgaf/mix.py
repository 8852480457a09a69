"""The training clips of VGAF: the validation part carved out of Train, and the synthetic clips mixed in.

Both are stratified and drawn from a seed of the data, not of the run, so that every model and run sees the same clips.
"""

import math
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath

import numpy as np
from lightning.pytorch.utilities import rank_zero_warn

from datamodules.catalogues.vgaf.labels import CLASS_NAMES, SOURCES, read_sources, source_clip
from datamodules.catalogues.vgaf.layout import Clip
from datamodules.errors import DataError
from error_texts import first_names


def carve(labels: np.ndarray, share: float, seed: int) -> np.ndarray:
    """Draw a share of every class.

    Args:
        labels: Class indices ``(N,)``.
        share: Of each class, at least one clip and never all.
        seed: Of the draw.

    Returns:
        bool ``(N,)``.

    Raises:
        DataError: If a class has fewer than two clips.
    """
    drawn = np.zeros(len(labels), bool)
    rng = np.random.default_rng([seed, 0])
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        if len(rows) < 2:
            raise DataError(f"--data.protocol honest: Train has one clip of {CLASS_NAMES[label]}, and none would train")
        count = min(max(1, round(share * len(rows))), len(rows) - 1)
        drawn[rng.permutation(rows)[:count]] = True
    return drawn


def mix(labels: np.ndarray, real: int, rate: float, seed: int, left_out: int = 0) -> np.ndarray:
    """Draw synthetic clips, equally many of every class, that make up a share of all training clips.

    Args:
        labels: Class indices ``(N,)`` of the synthetic clips there are.
        real: Number of real training clips, which all stay; 0 to train on synthetic clips alone.
        rate: Synthetic share of the training clips.
        seed: Of the draw.
        left_out: How many there are beside these that `uncontaminated` left out, for the message.

    Returns:
        Rows drawn, in ascending order.

    Raises:
        DataError: If there are too few, with the rate that is possible.
    """
    pools = [np.flatnonzero(labels == label) for label in range(len(CLASS_NAMES))]
    least = min(map(len, pools))
    count = round(real * rate / (1 - rate) / len(pools)) if rate < 1 else least
    if count > least or least == 0:
        short = CLASS_NAMES[int(np.argmin([len(pool) for pool in pools]))]
        most = math.floor(1000 * len(pools) * least / (real + len(pools) * least)) / 1000 if least else 0
        note = f" ({left_out} of all classes have faces or sound of clips that validate)" if left_out else ""
        raise DataError(
            f"--data.synth_rate {rate}: {max(count, 1)} synthetic clips of every class are wanted, of {short} there "
            f"are {least}{note}; at most {most} is possible"
        )
    rng = np.random.default_rng([seed, 1])
    return np.sort(np.concatenate([rng.permutation(pool)[:count] for pool in pools]))


def uncontaminated(folder: Path, synthetic: Sequence[Clip], real: Iterable[Clip], held_out: set[str]) -> np.ndarray:
    """Return which synthetic clips contain nothing of the clips that are scored.

    Where ``sources.csv`` says what a synthetic clip was made of, faces or sound of a clip outside Train are refused:
    a model would have seen part of what it is scored on. Those of clips carved out of Train are only left out.

    Args:
        folder: Of the synthetic clips.
        synthetic: The clips in it.
        real: All real clips.
        held_out: Names of the clips carved out of Train.

    Returns:
        bool ``(N,)`` over the synthetic clips.

    Raises:
        DataError: If a source is a clip outside Train, or a row is of no synthetic clip.
    """
    parts = {clip.name: clip.part for clip in real}
    made = {clip.key for clip in synthetic}
    sources: dict[str, set[str]] = {}
    refused: list[str] = []
    unknown = 0
    for row in read_sources(folder):
        clip, source = row["clip"], row["source"]
        if clip not in made:
            raise DataError(f"{folder / SOURCES}: {clip!r} is no synthetic clip there; they are named {min(made)}")
        name = source_clip(source, set(parts))
        mentioned = {(row.get("split") or "").lower(), *(part.lower() for part in PurePosixPath(source).parts[:-1])}
        if mentioned & {"val", "validation", "test"} or (name and parts[name] != "Train"):
            refused.append(f"{clip} has {row.get('file') or source} of {source}")
        elif name:
            sources.setdefault(clip, set()).add(name)
        else:
            unknown += 1
    if unknown:
        rank_zero_warn(
            f"{folder / SOURCES}: {unknown} sources are no clip of Train or Val; whether of Test is not known"
        )
    if refused:
        raise DataError(
            f"{folder / SOURCES}: faces and sound of synthetic clips must come from Train alone, {len(refused)} do "
            f"not: {first_names(refused, 4, '; ')}"
        )
    return np.array([not sources.get(clip.key, set()) & held_out for clip in synthetic], bool)
