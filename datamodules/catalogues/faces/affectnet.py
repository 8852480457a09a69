"""AffectNet (Mollahosseini et al. 2017), manually annotated part: ``training.csv``, ``validation.csv``, pictures."""

from collections import Counter
from collections.abc import Iterator

from datamodules.catalogues.faces.corpus import CATEGORIES, NAN, Corpus, Files, category, number
from datamodules.entries import Box, Entry
from datamodules.reading.files import PICTURES
from datamodules.reading.tables import Table

EXPRESSIONS = dict(zip("01234567", CATEGORIES, strict=True))
COLUMNS = (
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


def stills(files: Files, ignored: Counter[str]) -> Iterator[Entry]:
    """Yield the pictures. The official validation set validates; there is no test set.

    Expressions 8, 9, 10 (none, uncertain, no face) are ignored; -2 means no valence and arousal.
    """
    for name, split in (("training.csv", "train"), ("validation.csv", "val")):
        for row in Table(files.require(name), COLUMNS, headerless=True):
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
            yield files.still(
                picture,
                found,
                where,
                category=category(row["expression"], EXPRESSIONS, where),
                arousal=arousal if arousal >= -1 else NAN,
                valence=valence if valence >= -1 else NAN,
                split=split,
                box=box,
                search=box is None,
            )


AFFECTNET = Corpus("affectnet", stills)
