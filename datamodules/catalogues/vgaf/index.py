"""The index of VGAF's tensors, so that a start is quick, and a fingerprint of them with or without it.

``prepared/index.csv`` holds file, digest, dtype and shape of every tensor below the corpus folder, ``manifest.json``
the digests of label files, who made what and the fingerprint, and ``COMPLETE``, written last, the fingerprint.
"""

import csv
import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import tensor_files
from atomic_files import write_atomic
from datamodules.catalogues.vgaf.labels import CLASS_NAMES, SOURCES, SPLITS
from datamodules.catalogues.vgaf.layout import SETS
from datamodules.errors import DataError
from datamodules.reading.files import sha256_file
from datamodules.reading.plain_json import parse_json
from datamodules.store.reader import read_own_table
from datamodules.store.writer import write_table
from error_texts import first_names

if TYPE_CHECKING:
    from torch import Tensor

COLUMNS = ("file", "digest", "dtype", "shape")


class Header(NamedTuple):
    """Type and shape of a tensor, as its file has them; as text ``uint8 5x3x224x224``."""

    dtype: str
    shape: tuple[int, ...]

    def __str__(self) -> str:
        """Return the type and shape as messages and the index show them."""
        return f"{self.dtype} {'x'.join(map(str, self.shape))}"


class Index(NamedTuple):
    """The index of a corpus folder: ``manifest.json`` as it stands, and digest and header by file."""

    manifest: dict[str, Any]
    tensors: dict[str, tuple[str, Header]]


def read_tensor(path: Path, *, check: bool = True) -> "Tensor":
    """Map the tensor of a file into memory; arguments are those of `tensor_files.read_tensor`.

    Raises:
        DataError: The file is missing, damaged or holds something else.
    """
    if not path.exists():
        raise DataError(f"{path} is missing")
    try:
        return tensor_files.read_tensor(path, check=check)
    except tensor_files.TensorFileError as error:
        raise DataError(str(error)) from None


def read_header(path: Path) -> Header:
    """Read type and shape of a tensor, not its values: at 45 MB a file they are checked when they are first read.

    Raises:
        DataError: As `read_tensor`.
    """
    tensor = read_tensor(path, check=False)
    return Header(str(tensor.dtype).removeprefix("torch."), tuple(tensor.shape))


def text_digests(root: Path) -> dict[str, str]:
    """Return the SHA-256 of every label and source file there is, by path below the root."""
    paths = [root / f"{split}_labels.txt" for split in SPLITS]
    for name in SETS:
        paths += [root / name / f"{part}_labels.txt" for part in CLASS_NAMES] + [root / name / SOURCES]
    return {path.relative_to(root).as_posix(): sha256_file(path) for path in paths if path.is_file()}


def tensor_digests(root: Path) -> dict[str, str]:
    """Return the digest of every tensor there is, by path below the root, sorted."""
    paths = sorted(path for name in SETS for path in (root / name).glob("*/[!.]*.pt"))
    return {path.relative_to(root).as_posix(): tensor_files.archive_digest(path) for path in paths}


def fingerprint_of(texts: dict[str, str], tensors: dict[str, str], *, synthetic: bool) -> str:
    """Return what identifies a folder of tensors: its label files and tensors, and whether it is a stand-in."""
    content = json.dumps(["vgaf", synthetic, texts, tensors], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()


def read_index(root: Path) -> Index | None:
    """Read the index of a corpus folder; None where `prepare vgaf` made none.

    Raises:
        DataError: It is not finished or damaged, or label files changed since.
    """
    folder = root / "prepared"
    if not folder.exists():
        return None
    if not (folder / "COMPLETE").exists():
        raise DataError(f"{folder}: not finished; run the same `cli.py prepare vgaf` again, it carries on")
    anew = "delete index.csv and COMPLETE and prepare again"
    try:
        manifest: dict[str, Any] = parse_json((folder / "manifest.json").read_text(encoding="utf-8"))
        rows = read_own_table(folder / "index.csv")
        shapes = [tuple(int(side) for side in row["shape"].split("x") if side) for row in rows]
        found = fingerprint_of(
            manifest["texts"], {row["file"]: row["digest"] for row in rows}, synthetic=manifest["synthetic"]
        )
        tensors = {
            row["file"]: (row["digest"], Header(row["dtype"], shape)) for row, shape in zip(rows, shapes, strict=True)
        }
        complete = (folder / "COMPLETE").read_text(encoding="utf-8").strip()
    except (OSError, AttributeError, KeyError, TypeError, ValueError, csv.Error) as error:
        raise DataError(f"{folder} is damaged ({error}); {anew}") from None
    if not found == manifest.get("fingerprint") == complete:
        raise DataError(f"{folder}: index.csv or manifest.json was edited; {anew}")
    if changed := sorted({name for name, _ in text_digests(root).items() ^ manifest["texts"].items()}):
        raise DataError(
            f"{root}: {first_names(changed)} changed since it was prepared; run `cli.py prepare vgaf` again"
        )
    return Index(manifest, tensors)


def write_index(root: Path, *, synthetic: bool, about: dict[str, Any]) -> dict[str, Any]:
    """List every tensor below a corpus folder; the same content gives the same bytes.

    Args:
        root: The corpus folder.
        synthetic: Whether it is a stand-in.
        about: What else the manifest should say.

    Returns:
        The manifest.

    Raises:
        DataError: A file is no tensor, or there is none.
    """
    digests, texts = tensor_digests(root), text_digests(root)
    rows, problems = [], []
    for name, digest in digests.items():
        try:
            header = str(read_header(root / name)).split(" ")
            rows.append(dict(zip(COLUMNS, (name, digest, *header), strict=True)))
        except DataError as error:
            problems.append(str(error))
    if problems or not digests:
        raise DataError(
            f"{root}: {first_names(problems, 4, '; ') or 'there is no tensor; docs/data.md shows the layout of VGAF'}"
        )
    folder = root / "prepared"
    (folder / "COMPLETE").unlink(missing_ok=True)
    manifest = {"schema": 1, "corpus": "vgaf", "synthetic": synthetic, **about, "tensors": len(digests), "texts": texts}
    manifest["fingerprint"] = fingerprint_of(texts, digests, synthetic=synthetic)
    write_table(folder / "index.csv", COLUMNS, rows)
    write_atomic(folder / "manifest.json", json.dumps(manifest, indent=1) + "\n")
    write_atomic(folder / "COMPLETE", manifest["fingerprint"] + "\n")
    return manifest
