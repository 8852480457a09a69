"""Any corpus with an ``index.csv``: path, arousal, valence, category, subject, split; optional box and time."""

from collections import Counter
from collections.abc import Iterator

import numpy as np

from datamodules.catalogues.faces.corpus import CATEGORIES, Files, box_of, category, number
from datamodules.entries import SPLITS, Entry
from datamodules.errors import DataError
from datamodules.reading.names import plain_path
from datamodules.reading.tables import Table

COLUMNS = ("path", "arousal", "valence", "category", "subject", "split")
SIDES = ("left", "top", "right", "bottom")
NAMES = dict(zip((*CATEGORIES, "N", "H", "Sa", "Su", "F", "D", "A", "C"), CATEGORIES * 2, strict=True))  # of the paper


def stills(files: Files, ignored: Counter[str]) -> Iterator[Entry]:
    """Yield the rows. A label, the subject and the split may be empty.

    With left, top, right, bottom the face is that box; without, it is looked for. With time (seconds) the path is that
    of a video.
    """
    for row in Table(files.folder / "index.csv", COLUMNS):
        where = row.where
        name = plain_path(row["path"], where)
        path = files.folder / name
        files.named.add(path)
        if row["split"] not in ("", *SPLITS):
            raise DataError(f"{where}: split {row['split']!r} is not one of {', '.join(SPLITS)}.")
        sides = [number(row.get(side), where, -1e6, 1e6) for side in SIDES]
        given = [not np.isnan(side) for side in sides]
        if any(given) and not all(given):
            raise DataError(f"{where}: the box needs all of {', '.join(SIDES)}, or none.")
        time = number(row.get("time"), where, 0, 1e6)
        arousal, valence = (number(row[axis], where) for axis in ("arousal", "valence"))
        label = category(row["category"], NAMES, where) if row["category"] else None
        if label is None and np.isnan(arousal) and np.isnan(valence):
            ignored[f"{files.corpus} rows without any label"] += 1
            continue
        yield files.still(
            name if np.isnan(time) else f"{name}/{time:07.2f}",
            path,
            where,
            category=label,
            arousal=arousal,
            valence=valence,
            subject=row["subject"],
            split=row["split"],
            time=None if np.isnan(time) else time,
            box=box_of(sides) if all(given) else None,
            search=not all(given),
        )
