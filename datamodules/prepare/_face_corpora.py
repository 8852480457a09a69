"""One parser per emotion corpus: its own label files -> rows of the common index.

Labels are mapped as Dresvyanskiy et al. (SPECOM 2024) map them. None of these parsers has met the real files of its
corpus yet: they follow the corpora's documentation and the paper's own preprocessing.
"""

import json
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from datamodules.media import MediaError
from datamodules.prepare._face_index import (
    CATEGORIES,
    LETTERS,
    NAN,
    SHARES,
    SPLITS,
    Box,
    Files,
    Still,
    category,
    number,
    read_table,
)
from datamodules.prepare._face_pictures import count_frames
from datamodules.store import DataError

AFFECTNET = dict(zip("01234567", ("N", "H", "Sa", "Su", "F", "D", "A", "C"), strict=True))
SAVEE = {"a": "A", "d": "D", "f": "F", "h": "H", "n": "N", "sa": "Sa", "su": "Su"}
SEVEN = dict(zip("0123456", ("A", "D", "F", "H", "Sa", "Su", "N"), strict=True))  # ExpW, FER-2013
RAF_DB = dict(zip("1234567", ("Su", "F", "D", "H", "Sa", "A", "N"), strict=True))
EMOTIC_FIRST = {"Happiness": "H", "Surprise": "Su", "Aversion": "D", "Anger": "A", "Sadness": "Sa", "Fear": "F"}
EMOTIC_THEN = {
    "Annoyance": "A",
    "Peace": "N",
    "Affection": "H",
    "Pleasure": "H",
    "Excitement": "H",
    "Disconnection": "Sa",
    "Yearning": "A",
    "Disapproval": "C",
}
USAGE = {"Training": "train", "PublicTest": "val", "PrivateTest": "test"}
INDEX = ("path", "arousal", "valence", "category", "subject", "split")
SIDES = ("left", "top", "right", "bottom")

_AFFECTNET_COLUMNS = (
    "subDirectory_filePath",
    "face_x",
    "face_y",
    "face_width",
    "face_height",
    "facial_landmarks",
    "expression",
    "valence",
    "arousal",
)
_VIDEOS = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".wmv", ".mpg", ".m4v")
_PICTURES = (".jpg", ".jpeg", ".png")

Parser = Callable[[Files, Counter[str]], Iterator[Still]]


def _from_ending(values: list[Any]) -> Box:
    left, top, right, bottom = (float(value) for value in values)
    return left, top, right, bottom


def affectnet(files: Files, ignored: Counter[str]) -> Iterator[Still]:
    """AffectNet (Mollahosseini et al. 2017), manually annotated part: ``training.csv``, ``validation.csv``, pictures.

    Expressions 8, 9, 10 (none, uncertain, no face) are left aside; -2 means no valence and arousal. The official
    validation set validates; there is no test set.
    """
    for name, split in (("training.csv", "train"), ("validation.csv", "val")):
        path = files.need(name)
        for line, row in read_table(path, _AFFECTNET_COLUMNS, without_header=True):
            where, picture = f"{path}, line {line}", row["subDirectory_filePath"]
            if row["expression"] in ("8", "9", "10"):
                ignored["affectnet pictures of no expression"] += 1
                continue
            if not picture.lower().endswith(_PICTURES):
                ignored["affectnet pictures neither jpg nor png"] += 1
                continue
            valence, arousal = (number(row[axis], where, -2, 1) for axis in ("valence", "arousal"))
            try:
                x, y, width, height = (float(row[f"face_{side}"]) for side in ("x", "y", "width", "height"))
                box: Box | None = (x, y, x + width, y + height)
            except ValueError:
                box = None
            yield Still(
                files.corpus,
                picture,
                files.find(picture),
                category(row["expression"], AFFECTNET, where),
                arousal if arousal >= -1 else NAN,
                valence if valence >= -1 else NAN,
                split=split,
                box=box,
                detect=box is None,
            )


def raf_db(files: Files, ignored: Counter[str]) -> Iterator[Still]:
    """RAF-DB, single labels (Li et al. 2017): ``list_patition_label.txt`` and the aligned or the original pictures.

    The official test stays the test, while the paper's code draws a new split over both. Aligned pictures are taken as
    they are; where there are only originals the face is looked for.
    """
    path = files.need("list_patition_label.txt")
    for line, text in enumerate(_text(path).splitlines(), start=1):
        where, parts = f"{path}, line {line}", text.split()
        if not parts:
            continue
        stem, split = Path(parts[0]).stem, parts[0].partition("_")[0]
        if len(parts) != 2 or split not in ("train", "test"):
            raise DataError(f"{where}: {text!r} is not like 'train_00001.jpg 5'.")
        aligned = files.get(f"{stem}_aligned.jpg")
        yield Still(
            files.corpus,
            stem,
            aligned or files.find(parts[0]),
            category(parts[1], RAF_DB, where),
            split=split,
            detect=aligned is None,
        )


def expw(files: Files, ignored: Counter[str]) -> Iterator[Still]:
    """ExpW (Zhang et al. 2018): ``label.lst`` with name, face number, top, left, right, bottom, confidence, label.

    The first face of every picture, cut by its own box; the paper's code cuts the most confident face of a detector.
    """
    path = files.need("label.lst")
    for line, text in enumerate(_text(path).splitlines(), start=1):
        where, parts = f"{path}, line {line}", text.split()
        if not parts:
            continue
        if len(parts) != 8:
            raise DataError(f"{where}: {len(parts)} columns instead of 8.")
        name, face, top, left, right, bottom, _, label = parts
        if face != "0":
            ignored["expw faces after the first"] += 1
            continue
        top, left, right, bottom = (number(side, where, -1e6, 1e6) for side in (top, left, right, bottom))
        box = (left, top, right, bottom)
        yield Still(files.corpus, name, files.find(name), category(label, SEVEN, where), box=box)


def fer_plus(files: Files, ignored: Counter[str]) -> Iterator[Still]:
    """FER-2013 as the paper uses it under the name FER+: ``train.csv`` or ``fer2013.csv``, 48 x 48 grey values a row.

    The labels are those of FER-2013, not the crowd's. All of ``train.csv`` trains; the column ``Usage`` of
    ``fer2013.csv`` gives validation and test.
    """
    path = files.need("fer2013.csv", "train.csv")
    for line, row in read_table(path, ("emotion", "pixels")):
        where = f"{path}, line {line}"
        label = category(row["emotion"], SEVEN, where)
        if "Usage" in row and row["Usage"] not in USAGE:
            raise DataError(f"{where}: Usage {row['Usage']!r} is not one of {', '.join(USAGE)}.")
        split = USAGE[row["Usage"]] if "Usage" in row else "train"
        values = row["pixels"].split()
        good = len(values) == 48 * 48 and all(value.isdecimal() and int(value) < 256 for value in values)
        pixels = bytes(map(int, values)) if good else b""
        reason = "" if good else "not 48 x 48 grey values"
        clip = f"{path.stem}-{line:06d}"
        yield Still(files.corpus, clip, path, label, split=split, pixels=pixels, reason=reason)


def savee(files: Files, ignored: Counter[str]) -> Iterator[Still]:
    """SAVEE (Jackson & Haq 2014): ``<speaker>/<emotion><number>.avi``, every 20th frame, four speakers."""
    found = False
    for path in files:
        if path.suffix.lower() not in _VIDEOS:
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
    videos = {path.stem: path for path in files if path.suffix.lower() in _VIDEOS}
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
            content = json.loads(_text(path))
            frames: dict[str, Any] = content["frames"]
            actor = str(content.get("actor") or "").strip()
            for name, frame in sorted(frames.items()):
                where = f"{path}, frame {name}"
                valence, arousal = (number(frame[axis], where, -10, 10) / 10 for axis in ("valence", "arousal"))
                points = np.array(frame.get("landmarks") or [], dtype=np.float64)
                box = _from_ending([*points.min(axis=0), *points.max(axis=0)]) if points.size else None
                picture = next((p for s in _PICTURES if (p := path.with_name(name + s)).exists()), None)
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


def emotic(files: Files, ignored: Counter[str]) -> Iterator[Still]:
    """EMOTIC (Kosti et al. 2017): ``CVPR17_Annotations.mat``, pictures of one annotated person, official splits.

    Of the first three categories the first of six classic ones counts, else the first of eight others; a person with
    none of them is left aside. Valence and arousal of 1..10 are the first annotator's. The face is looked for inside
    the person's own box: the picture may show others.
    """
    from scipy.io import loadmat  # slow to import, and only this corpus needs it

    path = files.need("CVPR17_Annotations.mat", "Annotations.mat")
    try:
        content = loadmat(str(path), simplify_cells=True)
        parts = [(split, _several(content[split])) for split in SPLITS]
    except Exception as error:  # scipy raises a dozen kinds for a damaged file
        raise DataError(f"{path}: not EMOTIC's annotations ({error}); get the file anew.") from None
    for split, pictures in parts:
        for place, item in enumerate(pictures):
            where = f"{path}, {split} {place}"
            try:
                people = _several(item["person"])
                if len(people) != 1:
                    ignored["emotic pictures of several people"] += 1
                    continue
                person = people[0]
                opinions = _several(person["annotations_categories"])
                names = [name for opinion in opinions for name in _several(opinion["categories"])][:3]
                values = _several(person["annotations_continuous"])[0]
                valence, arousal = (_one_to_ten(values[axis], where) for axis in ("valence", "arousal"))
                box = _from_ending(list(person["body_bbox"]))
                name, folder = str(item["filename"]), str(item.get("folder", ""))
            except (IndexError, KeyError, TypeError) as error:
                raise DataError(f"{where}: {error!r} is missing; get the file anew.") from None
            label = emotic_category(names)
            if label is None:
                ignored["emotic people of no expression"] += 1
                continue
            picture = files.get(f"{folder}/{name}") or files.find(name)
            clip = f"{folder}/{name}".strip("/")
            yield Still(
                files.corpus,
                clip,
                picture,
                LETTERS[label],
                arousal,
                valence,
                split=split,
                box=box,
                detect=True,
            )


def emotic_category(names: list[str]) -> str | None:
    """The one class of an EMOTIC person.

    Args:
        names: Up to three of EMOTIC's 26 categories.

    Returns:
        The paper's letter, None where none of them has one.
    """
    for mapping in (EMOTIC_FIRST, EMOTIC_THEN):
        for name in names:
            if name in mapping:
                return mapping[name]
    return None


def _one_to_ten(value: Any, where: str) -> float:
    return (number(value, where, 1, 10) - 5.5) / 4.5


def _several(value: Any) -> list[Any]:
    """A MATLAB struct array with the lists of length one, which scipy flattens, restored."""
    return list(value) if isinstance(value, list | tuple | np.ndarray) else [value]


def index(files: Files, ignored: Counter[str]) -> Iterator[Still]:
    """Any corpus with an ``index.csv``: path, arousal, valence, category, subject, split; optional box and time.

    A label, the subject and the split may be empty. With left, top, right, bottom the face is that box; without, it is
    looked for. With time (seconds) the path is that of a video.
    """
    path = files.folder / "index.csv"
    codes = {name: code for code, name in zip(LETTERS, CATEGORIES, strict=True)} | {code: code for code in LETTERS}
    for line, row in read_table(path, INDEX):
        where = f"{path}, line {line}"
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
            row["path"] if seconds is None else f"{row['path']}/{seconds:07.2f}",
            files.folder / row["path"],
            label,
            arousal,
            valence,
            row["subject"],
            row["split"],
            seconds,
            _from_ending(sides) if all(given) else None,
            detect=not all(given),
        )


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read ({error}); get the file anew.") from None


def _pairs(path: Path) -> Iterator[tuple[str, str]]:
    for line in _text(path).splitlines():
        name, _, value = line.partition(",")
        if line.strip():
            yield name.strip(), value.strip()


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
