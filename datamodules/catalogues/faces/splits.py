"""Training, validation and test of a corpus: its own, or drawn once by subject."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from datamodules.catalogues.faces.corpus import SHARES
from datamodules.entries import Entry
from datamodules.errors import DataError
from datamodules.reading.recordings import check_groups

SEED = 101095  # of the paper's splits


def _draw(units: Iterable[str], shares: Sequence[float]) -> dict[str, str]:
    names = sorted(set(units))
    shuffled = [names[i] for i in np.random.default_rng(SEED).permutation(len(names))]
    test = max(1, round(shares[2] * len(names))) if shares[2] and len(names) > 1 else 0
    val = max(1, round(shares[1] * len(names))) if shares[1] and len(names) > 2 else 0
    return {name: "test" if i < test else "val" if i < test + val else "train" for i, name in enumerate(shuffled)}


def assign_splits(stills: Sequence[Entry], shares: Sequence[float] = SHARES) -> list[Entry]:
    """Give every still of one corpus its split, no subject in two, and itself as its group where nobody is named.

    Official splits stay. Where there is an official test but no validation, a tenth of the training subjects
    validates. Where there is no split at all, subjects (or, where nobody is named, stills) are drawn.

    Args:
        stills: Of one corpus.
        shares: Of training, validation and test where there is no official split.

    Raises:
        DataError: Some stills have a split and others none, a subject is in two, or there is one subject to draw.
    """
    corpus = stills[0].id.partition("/")[0]
    stills = [replace(still, group=still.group or still.id) for still in stills]
    given = {still.split for still in stills}
    if given == {""}:
        check_groups([still.group.removeprefix(f"{corpus}/") for still in stills], corpus, "stills")
        drawn = _draw((still.group for still in stills), shares)
        return [replace(still, split=drawn[still.group]) for still in stills]
    if "" in given:
        bare = next(still for still in stills if not still.split)
        raise DataError(f"{corpus}: {bare.id.removeprefix(f'{corpus}/')} has no split, others have; give all or none.")
    if "test" in given and "val" not in given:
        held = _draw((still.group for still in stills if still.split == "train"), (0.9, 0.1, 0))
        stills = [still if still.split != "train" else replace(still, split=held[still.group]) for still in stills]
    found: dict[str, str] = {}
    for still in stills:
        if found.setdefault(still.group, still.split) != still.split:
            names = f"{found[still.group]} and {still.split}"
            subject = still.group.removeprefix(f"{corpus}/")
            raise DataError(f"{corpus}: subject {subject} is in both {names}; correct the index.")
    return stills
