"""RAF-DB, single labels (Li et al. 2017): ``list_patition_label.txt`` and the aligned or the original pictures."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from datamodules.catalogues.faces.corpus import Corpus, Files, category, lines_of
from datamodules.entries import Entry
from datamodules.errors import DataError

EMOTIONS = dict(zip("1234567", ("surprise", "fear", "disgust", "happy", "sad", "anger", "neutral"), strict=True))


def stills(files: Files, ignored: Counter[str]) -> Iterator[Entry]:
    """Yield the pictures. Aligned ones are taken as they are; where there are only originals the face is looked for.

    The official test stays the test, while the paper's code draws a new split over both.
    """
    for where, text in lines_of(files.require("list_patition_label.txt")):
        parts = text.split()
        stem, split = Path(parts[0]).stem, parts[0].partition("_")[0]
        if len(parts) != 2 or split not in ("train", "test"):
            raise DataError(f"{where}: {text!r} is not like 'train_00001.jpg 5'.")
        original, aligned = files.find(parts[0], where), files.get(f"{stem}_aligned.jpg")
        label = category(parts[1], EMOTIONS, where)
        yield files.still(stem, aligned or original, where, category=label, split=split, search=aligned is None)


RAF_DB = Corpus("raf_db", stills)
