"""ExpW (Zhang et al. 2018): ``label.lst`` with name, face number, top, left, right, bottom, confidence, label."""

from collections import Counter
from collections.abc import Iterator

from datamodules.catalogues.faces.corpus import SEVEN, Corpus, Files, category, lines_of, number
from datamodules.entries import Entry
from datamodules.errors import DataError


def stills(files: Files, ignored: Counter[str]) -> Iterator[Entry]:
    """Yield the first face of every picture by its own box; the paper's code cuts the most confident one found."""
    for where, text in lines_of(files.require("label.lst")):
        parts = text.split()
        if len(parts) != 8:
            raise DataError(f"{where}: {len(parts)} columns instead of 8.")
        name, face, *sides, _, label = parts
        picture = files.find(name, where)
        if face != "0":
            ignored["expw faces after the first"] += 1
            continue
        top, left, right, bottom = (number(side, where, -1e6, 1e6) for side in sides)
        box = (left, top, right, bottom)
        yield files.still(name, picture, where, category=category(label, SEVEN, where), box=box)


EXPW = Corpus("expw", stills)
