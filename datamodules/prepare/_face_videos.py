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

from datamodules.media import MediaError
from datamodules.plain_json import parse_json
from datamodules.prepare._face_index import LETTERS, PICTURES, Files, Still, box_of, number, read_text
from datamodules.prepare._face_pictures import count_frames
from datamodules.store import DataError

SAVEE = {"a": "A", "d": "D", "f": "F", "h": "H", "n": "N", "sa": "Sa", "su": "Su"}
VIDEOS = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".wmv", ".mpg", ".m4v")


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
    labels: dict[str, dict[str, dict[int, float]]] = {"arousal": defaultdict(dict), "valence": defaultdict(dict)}
    for axis, by_recording in labels.items():
        path = files.need(f"{prefix}_labels_{axis}_100Hz_gold_shifted.csv")
        for line, (name, value) in enumerate(_pairs(path), start=1):
            recording, _, seconds = name.rpartition("_")
            where = f"{path}, line {line}"
            if not recording:
                if line == 1:
                    continue  # the header
                raise DataError(f"{where}: {name!r} is not like 'P16_0.04'.")
            try:
                hundredth = round(100 * float(seconds))
            except ValueError:
                if line == 1:
                    continue
                raise DataError(f"{where}: {seconds!r} is not a time.") from None
            by_recording[recording][hundredth] = number(value, where)
    videos = {path.stem: path for path in files if path.suffix.lower() in VIDEOS}
    for recording in sorted(labels["arousal"].keys() | labels["valence"].keys()):
        arousal, valence = (labels[axis].get(recording, {}) for axis in ("arousal", "valence"))
        stem = video(recording)
        path = videos.get(stem, files.folder / f"{stem}.mp4")
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


def _pairs(path: Path) -> Iterator[tuple[str, str]]:
    for line in read_text(path).splitlines():
        name, _, value = line.partition(",")
        if line.strip():
            yield name.strip(), value.strip()


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
