"""AffectNet (Mollahosseini et al. 2017, http://mohammadmahoor.com/affectnet/), manually annotated part, two releases.

The first: ``training.csv``, ``validation.csv``, pictures. Since 2021: faces that are cut out already,
``{train,val}_set/images/N.jpg``, and of each ``annotations/N_{exp,val,aro,lnd}.npy``. For research, on request.
"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import tensor_files
from datamodules.catalogues.faces.corpus import CATEGORIES, NAN, Corpus, Files, category, number
from datamodules.entries import Box, Entry
from datamodules.errors import DataError
from datamodules.reading.files import PICTURES
from datamodules.reading.tables import Table
from tensor_archives import TensorFileError

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
SETS = {"train_set": "train", "val_set": "val"}


def stills(files: Files, ignored: Counter[str]) -> Iterator[Entry]:
    """Yield the pictures. The official validation set validates; there is no test set.

    Expressions 8, 9, 10 (none, uncertain, no face) are ignored; -2 means no valence and arousal.
    """
    annotated = [path for path in files if path.parent.name == "annotations" and path.name.endswith("_exp.npy")]
    if annotated and not files.get("training.csv"):
        yield from _of_2021(files, annotated, ignored)
        return
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
                arousal=_affect(row["arousal"], where),
                valence=_affect(row["valence"], where),
                split=split,
                box=box,
                search=box is None,
            )


def _of_2021(files: Files, annotated: list[Path], ignored: Counter[str]) -> Iterator[Entry]:
    """Yield the pictures of the release of 2021; a face fills its picture, and landmarks are not needed."""
    for path in annotated:
        place, stem = path.parent.parent, path.name.removesuffix("_exp.npy")
        if place.name not in SETS:
            raise DataError(f"{path}: not in {' or '.join(SETS)}/annotations; docs/data.md shows the layout.")
        pictures = (place / "images" / f"{stem}{suffix}" for suffix in PICTURES)
        picture = next((one for one in pictures if one.is_file()), place / "images" / f"{stem}.jpg")
        files.named.add(picture)
        expression = _value(path)
        if expression in ("8", "9", "10"):
            ignored["affectnet pictures of no expression"] += 1
            continue
        axes = (path.with_name(f"{stem}_{axis}.npy") for axis in ("aro", "val"))
        arousal, valence = (_affect(_value(axis), str(axis)) for axis in axes)
        yield files.still(
            f"{place.name}/{stem}",
            picture,
            str(path),
            category=category(expression, EXPRESSIONS, str(path)),
            arousal=arousal,
            valence=valence,
            split=SETS[place.name],
        )


def _affect(text: str, where: str) -> float:
    value = number(text, where, -2, 1)
    return value if value >= -1 else NAN


def _value(path: Path) -> str:
    """Return the one value of an annotation, which the release has as text or as a number.

    Raises:
        DataError: It is missing, damaged, or no single value.
    """
    try:
        array = tensor_files.read_npy(path)
    except TensorFileError as error:
        raise DataError(f"{error}; get the file anew.") from None
    if array.size != 1 or array.dtype.kind not in "USiuf":
        raise DataError(f"{path}: {array.dtype} of shape {array.shape}, not one value; get the file anew.")
    value = array.reshape(())[()]
    return value.decode("ascii", "replace") if isinstance(value, bytes) else str(value).removesuffix(".0")


AFFECTNET = Corpus("affectnet", stills)
