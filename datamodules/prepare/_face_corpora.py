"""How each emotion corpus is read: by its own parser, or by an ``index.csv`` of the common form."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np

from datamodules.names import plain_path
from datamodules.prepare._face_index import (
    CATEGORIES,
    LETTERS,
    SHARES,
    SPLITS,
    Files,
    Still,
    box_of,
    category,
    number,
)
from datamodules.prepare._face_photos import affectnet, emotic, expw, raf_db
from datamodules.prepare._face_videos import afew_va, gold, savee
from datamodules.prepare._fer import fer_plus
from datamodules.store import DataError
from datamodules.tables import Table

INDEX = ("path", "arousal", "valence", "category", "subject", "split")
SIDES = ("left", "top", "right", "bottom")

Parser = Callable[[Files, Counter[str]], Iterator[Still]]


def index(files: Files, ignored: Counter[str]) -> Iterator[Still]:
    """Any corpus with an ``index.csv``: path, arousal, valence, category, subject, split; optional box and time.

    A label, the subject and the split may be empty. With left, top, right, bottom the face is that box; without, it is
    looked for. With time (seconds) the path is that of a video.
    """
    codes = {name: code for code, name in zip(LETTERS, CATEGORIES, strict=True)} | {code: code for code in LETTERS}
    for row in Table(files.folder / "index.csv", INDEX):
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
        seconds = None if np.isnan(time) else time
        arousal, valence = (number(row[axis], where) for axis in ("arousal", "valence"))
        label = category(row["category"], codes, where) if row["category"] else -1
        if label < 0 and np.isnan(arousal) and np.isnan(valence):
            ignored[f"{files.corpus} rows without any label"] += 1
            continue
        yield Still(
            files.corpus,
            name if seconds is None else f"{name}/{seconds:07.2f}",
            path,
            label,
            arousal,
            valence,
            row["subject"],
            row["split"],
            seconds,
            box_of(sides) if all(given) else None,
            detect=not all(given),
            where=where,
        )


def _recola_video(recording: str) -> str:
    return recording.replace("REC00", "P", 1) if recording.startswith("REC00") else recording


def _same(recording: str) -> str:
    return recording


@dataclass(frozen=True)
class Corpus:
    """How a corpus is read.

    Attributes:
        parse: Its parser.
        shares: Of training, validation and test where it has no official split.
    """

    parse: Parser
    shares: tuple[float, float, float] = SHARES


CORPORA = {
    "recola": Corpus(partial(gold, prefix="REC", every=8, video=_recola_video)),
    "sewa": Corpus(partial(gold, prefix="SEW", every=17, video=_same)),
    "semaine": Corpus(partial(gold, prefix="SEM", every=17, video=_same)),
    "afew_va": Corpus(afew_va),
    "affectnet": Corpus(affectnet),
    "savee": Corpus(savee, (0.5, 0.25, 0.25)),
    "emotic": Corpus(emotic),
    "expw": Corpus(expw),
    "fer_plus": Corpus(fer_plus),
    "raf_db": Corpus(raf_db),
}
