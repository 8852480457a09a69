"""Emotion corpora of videos: RECOLA, SEMAINE, SEWA, SAVEE and AFEW-VA -> rows of the common index.

Labels are mapped as Dresvyanskiy et al. (SPECOM 2024) map them. None of these parsers has met the real files of its
corpus yet: they follow the corpora's documentation and the paper's own preprocessing.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from datamodules.matches import one_of_each
from datamodules.media_file import MediaError
from datamodules.names import check_name
from datamodules.pictures import count_frames
from datamodules.plain_json import parse_json
from datamodules.prepare._face_index import LETTERS, PICTURES, VIDEOS, Files, Still, box_of, number, read_text
from datamodules.store import DataError
from datamodules.tables import Place, Table, settle

SAVEE = {"a": "A", "d": "D", "f": "F", "h": "H", "n": "N", "sa": "Sa", "su": "Su"}


def gold(files: Files, ignored: Counter[str], prefix: str, every: int, video: Callable[[str], str]) -> Iterator[Still]:
    """RECOLA, SEMAINE, SEWA: gold standard of 100 values a second and videos.

    ``<prefix>_labels_{arousal,valence}_100Hz_gold_shifted.csv`` have two columns, ``<recording>_<seconds>`` and the
    value. A frame takes the labels of its time rounded to a hundredth of a second; recordings are kept apart by their
    whole name.

    Args:
        files: Of the corpus.
        ignored: Counts what is left aside.
        prefix: Of the label files.
        every: Take every n-th frame.
        video: From the name of the recording to the stem of the video file.
    """
    labels: dict[str, dict[str, dict[int, float]]] = {}
    for axis in ("arousal", "valence"):
        path = files.need(f"{prefix}_labels_{axis}_100Hz_gold_shifted.csv")
        values, copies = settle(_gold_values(path))
        if copies:
            ignored[f"{files.corpus} values that come twice"] += copies
        labels[axis] = defaultdict(dict)
        for (recording, hundredth), value in values.items():
            labels[axis][recording][hundredth] = value
    recordings = {name: video(name) for name in sorted(labels["arousal"].keys() | labels["valence"].keys())}
    wanted = set(recordings.values())
    videos = one_of_each(path for path in files if path.suffix.lower() in VIDEOS and path.stem in wanted)
    for recording, stem in recordings.items():
        arousal, valence = (labels[axis].get(recording, {}) for axis in ("arousal", "valence"))
        path = videos.get(stem, files.folder / f"{stem}.mp4")
        files.named.add(path)
        try:
            rate, count = count_frames(path)
        except MediaError as error:
            yield Still(files.corpus, stem, path, subject=stem, reason=error.reason)
            continue
        for time in np.arange(0, count, every) / rate:
            now = round(100 * float(time))
            if now not in arousal or now not in valence:
                ignored[f"{files.corpus} frames without labels"] += 1
                continue
            yield Still(
                files.corpus,
                f"{stem}/{time:07.2f}",
                path,
                -1,
                arousal[now],
                valence[now],
                stem,
                time=float(time),
                detect=True,
            )


def _gold_values(path: Path) -> Iterator[tuple[tuple[str, int], float, Place]]:
    """Yield recording and hundredth of a second, the value, and where it stands, row by row; a header may be there.

    Raises:
        DataError: A row is none of a recording and a time, or its value no number.
    """
    for row in Table(path, ("recording_seconds", "value"), headerless=True):
        recording, _, seconds = row["recording_seconds"].rpartition("_")
        try:
            hundredth = round(100 * float(seconds))
        except (OverflowError, ValueError):
            if row.line == 1:
                continue
            raise DataError(f"{row.where}: {row['recording_seconds']!r} is not like 'P16_0.04'.") from None
        check_name(recording, row.where)
        yield (recording, hundredth), number(row["value"], row.where), row.place


def afew_va(files: Files, ignored: Counter[str]) -> Iterator[Still]:
    """AFEW-VA (Kossaifi et al. 2017): ``NNN/NNN.json`` beside the frames; -10..10 by frame, 68 landmarks, the actor.

    The face is the box of the landmarks where there are any. Clips of one actor stay together, while the paper's code
    keeps only clips together.
    """
    found = False
    for path in files:
        if path.suffix != ".json" or path.stem != path.parent.name:
            continue
        found = True
        try:
            content = parse_json(read_text(path))
            frames: dict[str, Any] = content["frames"]
            actor = str(content.get("actor") or "").strip()
            for name, frame in sorted(frames.items()):
                where = f"{path}, frame {name}"
                check_name(name, where)
                valence, arousal = (number(frame[axis], where, -10, 10) / 10 for axis in ("valence", "arousal"))
                points = np.array(frame.get("landmarks") or [], dtype=np.float64)
                box = box_of([*points.min(axis=0), *points.max(axis=0)]) if points.size else None
                picture = next((p for s in PICTURES if (p := path.with_name(name + s)).exists()), None)
                yield Still(
                    files.corpus,
                    f"{path.stem}/{name}",
                    picture or path.with_name(f"{name}.png"),
                    -1,
                    arousal,
                    valence,
                    actor or path.stem,
                    box=box,
                    detect=box is None,
                    where=where,
                )
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            if isinstance(error, DataError):
                raise
            raise DataError(f"{path}: not the labels of an AFEW-VA clip ({error!r}); get the file anew.") from None
    if not found:
        raise DataError(f"{files.folder}: no AFEW-VA clip; wanted are files like 001/001.json (docs/data.md).")


def savee(files: Files, ignored: Counter[str]) -> Iterator[Still]:
    """SAVEE (Jackson & Haq 2014): ``<speaker>/<emotion><number>.avi``, every 20th frame, four speakers."""
    found = False
    for path in files:
        if path.suffix.lower() not in VIDEOS:
            continue
        files.named.add(path)
        match = re.fullmatch(r"(a|d|f|h|n|sa|su)\d+", path.stem)
        if match is None:
            ignored["savee videos not named like a clip"] += 1
            continue
        found = True
        speaker, label = path.parent.name, LETTERS[SAVEE[match[1]]]
        clip = f"{speaker}/{path.stem}"
        try:
            rate, count = count_frames(path)
        except MediaError as error:
            yield Still(files.corpus, clip, path, label, subject=speaker, reason=error.reason)
            continue
        for time in np.arange(0, count, 20) / rate:
            yield Still(
                files.corpus, f"{clip}/{time:07.2f}", path, label, subject=speaker, time=float(time), detect=True
            )
    if not found:
        raise DataError(f"{files.folder}: no SAVEE clip; wanted are names like DC/sa01.avi (docs/data.md).")
