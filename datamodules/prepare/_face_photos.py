"""Emotion corpora of photographs: AffectNet, RAF-DB, ExpW and EMOTIC -> rows of the common index.

Labels are mapped as Dresvyanskiy et al. (SPECOM 2024) map them. None of these parsers has met the real files of its
corpus yet: they follow the corpora's documentation and the paper's own preprocessing.
"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from datamodules.names import plain_path
from datamodules.prepare._face_index import (
    LETTERS,
    NAN,
    PICTURES,
    SPLITS,
    Box,
    Files,
    Still,
    box_of,
    category,
    number,
    read_text,
)
from datamodules.store import DataError
from datamodules.tables import Table

AFFECTNET = dict(zip("01234567", ("N", "H", "Sa", "Su", "F", "D", "A", "C"), strict=True))
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


def affectnet(files: Files, ignored: Counter[str]) -> Iterator[Still]:
    """AffectNet (Mollahosseini et al. 2017), manually annotated part: ``training.csv``, ``validation.csv``, pictures.

    Expressions 8, 9, 10 (none, uncertain, no face) are left aside; -2 means no valence and arousal. The official
    validation set validates; there is no test set.
    """
    for name, split in (("training.csv", "train"), ("validation.csv", "val")):
        path = files.need(name)
        for row in Table(path, _AFFECTNET_COLUMNS, headerless=True):
            where, picture = row.where, row["subDirectory_filePath"]
            found = files.find(picture, where)
            if row["expression"] in ("8", "9", "10"):
                ignored["affectnet pictures of no expression"] += 1
                continue
            if not picture.lower().endswith(PICTURES):
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
                found,
                category(row["expression"], AFFECTNET, where),
                arousal if arousal >= -1 else NAN,
                valence if valence >= -1 else NAN,
                split=split,
                box=box,
                detect=box is None,
                where=where,
            )


def raf_db(files: Files, ignored: Counter[str]) -> Iterator[Still]:
    """RAF-DB, single labels (Li et al. 2017): ``list_patition_label.txt`` and the aligned or the original pictures.

    The official test stays the test, while the paper's code draws a new split over both. Aligned pictures are taken as
    they are; where there are only originals the face is looked for.
    """
    path = files.need("list_patition_label.txt")
    for line, text in enumerate(read_text(path).splitlines(), start=1):
        where, parts = f"{path}, line {line}", text.split()
        if not parts:
            continue
        stem, split = Path(parts[0]).stem, parts[0].partition("_")[0]
        if len(parts) != 2 or split not in ("train", "test"):
            raise DataError(f"{where}: {text!r} is not like 'train_00001.jpg 5'.")
        original, aligned = files.find(parts[0], where), files.get(f"{stem}_aligned.jpg")
        yield Still(
            files.corpus,
            stem,
            aligned or original,
            category(parts[1], RAF_DB, where),
            split=split,
            detect=aligned is None,
            where=where,
        )


def expw(files: Files, ignored: Counter[str]) -> Iterator[Still]:
    """ExpW (Zhang et al. 2018): ``label.lst`` with name, face number, top, left, right, bottom, confidence, label.

    The first face of every picture, cut by its own box; the paper's code cuts the most confident face of a detector.
    """
    path = files.need("label.lst")
    for line, text in enumerate(read_text(path).splitlines(), start=1):
        where, parts = f"{path}, line {line}", text.split()
        if not parts:
            continue
        if len(parts) != 8:
            raise DataError(f"{where}: {len(parts)} columns instead of 8.")
        name, face, *sides, _, label = parts
        picture = files.find(name, where)
        if face != "0":
            ignored["expw faces after the first"] += 1
            continue
        top, left, right, bottom = (number(side, where, -1e6, 1e6) for side in sides)
        box = (left, top, right, bottom)
        yield Still(files.corpus, name, picture, category(label, SEVEN, where), box=box, where=where)


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
                name, folder = str(item["filename"]), str(item.get("folder", ""))
                clip = plain_path(f"{folder}/{name}".strip("/"), where)
                picture = files.get(clip) or files.find(name, where)
                people = _several(item["person"])
                if len(people) != 1:
                    ignored["emotic pictures of several people"] += 1
                    continue
                person = people[0]
                opinions = _several(person["annotations_categories"])
                names = [name for opinion in opinions for name in _several(opinion["categories"])][:3]
                values = _several(person["annotations_continuous"])[0]
                valence, arousal = (_one_to_ten(values[axis], where) for axis in ("valence", "arousal"))
                box = box_of(list(person["body_bbox"]))
            except (IndexError, KeyError, TypeError) as error:
                raise DataError(f"{where}: {error!r} is missing; get the file anew.") from None
            label = emotic_category(names)
            if label is None:
                ignored["emotic people of no expression"] += 1
                continue
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
                where=where,
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
