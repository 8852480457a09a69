"""The training clips of VGAF: the validation part carved out of Train, and the synthetic clips mixed in.

Both are stratified and drawn from a seed of the data, not of the run, so that every model and run sees the same clips.
"""

import math
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import numpy as np
from lightning.pytorch.utilities import rank_zero_warn

from datamodules.catalogues.vgaf.labels import CLASS_NAMES, SOURCES, SPLITS, read_sources, source_clip
from datamodules.catalogues.vgaf.layout import Clip
from datamodules.errors import DataError
from datamodules.shapes.division import carve
from error_texts import first_names


def split_rows(clips: Sequence[Clip], folder: Path, validation: float, rate: float, seed: int) -> dict[str, np.ndarray]:
    """Return which clips train and which are scored: Val tests, and part of Train validates where asked for.

    Args:
        clips: All real clips and, where any are to train, all synthetic ones.
        folder: Of the synthetic clips.
        validation: Share of every class of Train that validates, at least one clip and never all; 0 for none.
        rate: Synthetic share of the training clips, equally many of every class; with 1 no real clip trains.
        seed: Of both draws.

    Returns:
        Rows of ``train``, ``test`` and, where asked for, ``val``, each in ascending order.

    Raises:
        DataError: A class has too few clips, or a synthetic clip was made of clips outside Train.
    """
    labels, parts = np.array([clip.label for clip in clips]), np.array([clip.part for clip in clips])
    train, test = (np.flatnonzero(parts == part) for part in SPLITS)
    rows = {"train": train, "test": test}
    if validation:
        rows["val"] = _carved(train, labels, validation, seed)
        rows["train"] = np.setdiff1d(train, rows["val"])
    if rate:
        synthetic = np.flatnonzero(~np.isin(parts, SPLITS))
        held_out = {clips[row].name for row in rows["val"].tolist()} if validation else set()
        clean = synthetic[_uncontaminated(folder, clips, synthetic, held_out)]
        kept = rows["train"] if rate < 1 else synthetic[:0]
        drawn = _mixed(clean, labels, len(kept), rate, seed, left_out=len(synthetic) - len(clean))
        rows["train"] = np.concatenate([kept, drawn])
    return rows


def _carved(train: np.ndarray, labels: np.ndarray, share: float, seed: int) -> np.ndarray:
    sizes = np.bincount(labels[train], minlength=len(CLASS_NAMES))
    if alone := [name for name, size in zip(CLASS_NAMES, sizes, strict=True) if size == 1]:
        raise DataError(f"--data.protocol honest: Train has one clip of {alone[0]}, and none would train")
    return np.asarray(train[carve(labels[train], [str(row) for row in train], share, seed)])


def _mixed(synthetic: np.ndarray, labels: np.ndarray, real: int, rate: float, seed: int, left_out: int) -> np.ndarray:
    """Draw synthetic clips beside so many real ones; refuse with the rate that is possible where there are too few."""
    pools = [synthetic[labels[synthetic] == label] for label in range(len(CLASS_NAMES))]
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


def _uncontaminated(folder: Path, clips: Sequence[Clip], synthetic: np.ndarray, held_out: set[str]) -> np.ndarray:
    """Return which synthetic clips contain nothing of the clips that are scored, bool ``(N,)``.

    Where ``sources.csv`` says what a synthetic clip was made of, faces or sound of a clip outside Train are refused:
    a model would have seen part of what it is scored on. Those of clips carved out of Train are only left out.
    """
    parts = {clip.name: clip.part for clip in clips if not clip.synthetic}
    clean = dict.fromkeys((clips[row].key for row in synthetic), True)
    refused: list[str] = []
    unknown = 0
    for row in read_sources(folder):
        clip, source = row["clip"], row["source"]
        if clip not in clean:
            raise DataError(f"{folder / SOURCES}: {clip!r} is no synthetic clip there; they are named {min(clean)}")
        name = source_clip(source, parts)
        mentioned = {(row.get("split") or "").lower(), *(part.lower() for part in PurePosixPath(source).parts[:-1])}
        if mentioned & {"val", "validation", "test"} or (name and parts[name] != "Train"):
            refused.append(f"{clip} has {row.get('file') or source} of {source}")
        elif name is None:
            unknown += 1
        elif name in held_out:
            clean[clip] = False
    if unknown:
        rank_zero_warn(
            f"{folder / SOURCES}: {unknown} sources are no clip of Train or Val; whether of Test is not known"
        )
    if refused:
        raise DataError(
            f"{folder / SOURCES}: faces and sound of synthetic clips must come from Train alone, {len(refused)} do "
            f"not: {first_names(refused, 4, '; ')}"
        )
    return np.array(list(clean.values()), bool)
