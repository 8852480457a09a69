"""EMOTIC (Kosti et al. 2017): ``CVPR17_Annotations.mat``, pictures of one annotated person, official splits."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np

from datamodules.catalogues.faces.corpus import CATEGORIES, Corpus, Files, box_of, number
from datamodules.entries import SPLITS, Entry
from datamodules.errors import DataError
from datamodules.reading.files import check_regular
from datamodules.reading.names import plain_path

FIRST = {
    "Happiness": "happy",
    "Surprise": "surprise",
    "Aversion": "disgust",
    "Anger": "anger",
    "Sadness": "sad",
    "Fear": "fear",
}
THEN = {
    "Annoyance": "anger",
    "Peace": "neutral",
    "Affection": "happy",
    "Pleasure": "happy",
    "Excitement": "happy",
    "Disconnection": "sad",
    "Yearning": "anger",
    "Disapproval": "contempt",
}


def stills(files: Files, ignored: Counter[str]) -> Iterator[Entry]:
    """Yield the people. The face is looked for inside the person's own box: the picture may show others.

    Of the first three categories the first of six classic ones counts, else the first of eight others; a person with
    none of them is ignored. Valence and arousal of 1..10 are the first annotator's.
    """
    from scipy.io import loadmat  # slow to import, and only this corpus needs it

    path = files.require("CVPR17_Annotations.mat", "Annotations.mat")
    try:
        check_regular(path)
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
            label = category_of(names)
            if label is None:
                ignored["emotic people of no expression"] += 1
                continue
            yield files.still(
                clip,
                picture,
                where,
                category=CATEGORIES.index(label),
                arousal=arousal,
                valence=valence,
                split=split,
                box=box,
                search=True,
            )


def category_of(names: list[str]) -> str | None:
    """Return the one class of a person.

    Returns:
        One of `CATEGORIES`, None where none of them means one.
    """
    return next((known[name] for known in (FIRST, THEN) for name in names if name in known), None)


def _one_to_ten(value: Any, where: str) -> float:
    return (number(value, where, 1, 10) - 5.5) / 4.5


def _several(value: Any) -> list[Any]:
    """Return a MATLAB struct array with the lists of length one, which scipy flattens, restored."""
    return list(value) if isinstance(value, list | tuple | np.ndarray) else [value]


EMOTIC = Corpus("emotic", stills)
