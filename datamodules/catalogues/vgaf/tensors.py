"""The ``.pt`` files of VGAF: read as plain tensors, checked all at once, and indexed so that a start is quick.

``prepared/index.csv`` holds file, digest, dtype and shape of every tensor below the corpus folder, ``manifest.json``
the digests of label files, who made what and the fingerprint, and ``COMPLETE``, written last, the fingerprint.
"""

import csv
import io
import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

import tensor_files
from atomic_files import write_atomic
from datamodules.augment import IMAGENET_MEAN, IMAGENET_STD
from datamodules.catalogues.vgaf.layout import (
    KINDS,
    Clip,
    archive_digest,
    fingerprint_of,
    real_folder,
    tensor_digests,
    text_digests,
)
from datamodules.errors import DataError
from datamodules.reading.plain_json import parse_json
from datamodules.store.reader import read_own_table
from error_texts import first_names

DTYPES = {"video": ("uint8", "float32", "float16"), "audio": ("float32", "float16")}
CHANNELS = {"video": 3, "audio": 1}
STATISTICS = {"half": ((0.5,) * 3, (0.5,) * 3), "imagenet": (IMAGENET_MEAN, IMAGENET_STD)}
LEAST = 16  # pixels; what a model needs beyond that it says itself


@dataclass(frozen=True)
class Header:
    """Type and shape of a tensor, as its file has them."""

    dtype: str
    shape: tuple[int, ...]

    def __str__(self) -> str:
        """Return the type and shape as messages show them."""
        return f"{self.dtype} {'x'.join(map(str, self.shape))}"


def read_tensor(path: Path, *, check: bool = True) -> Tensor:
    """Map the tensor of a file into memory; nothing in it is executed.

    Args:
        path: A ``.pt`` file that holds one plain tensor.
        check: Compare its bytes with their checksums first, once in a process.

    Raises:
        DataError: If the file is missing, damaged or holds something else.
    """
    if not path.exists():
        raise DataError(f"{path} is missing")
    try:
        return tensor_files.read_tensor(path, check=check)
    except tensor_files.TensorFileError as error:
        raise DataError(str(error)) from None


def check_range(path: Path, *, normalised: bool) -> None:
    """Refuse frames that are not what they are taken for: floats of 0 to 1, unless they were normalised before.

    Args:
        path: The tensor of one clip's frames.
        normalised: Whether the user says that they are.

    Raises:
        DataError: If they would be wrong in silence.
    """
    values = read_tensor(path)
    if normalised or values.dtype == torch.uint8:
        return
    low, high = float(values.min()), float(values.max())
    if not (low >= 0 and high <= 1):
        raise DataError(
            f"{path} holds {low:.2f} to {high:.2f}, expected 0 to 1 (or uint8): where the tensors are normalised "
            "already, give --data.normalization none"
        )


def normalised(frames: Tensor, normalization: Literal["half", "imagenet", "none"]) -> Tensor:
    """Return stored frames ``(..., 3, H, W)`` as float32 less the mean of the pixels and over their deviation."""
    scaled = frames.float() / 255 if frames.dtype == torch.uint8 else frames.float()
    if normalization == "none":
        return scaled
    mean, std = (torch.tensor(part, device=frames.device).view(3, 1, 1) for part in STATISTICS[normalization])
    return (scaled - mean) / std


def read_header(path: Path) -> Header:
    """Read type and shape of a tensor, not its values: at 45 MB a file they are checked when they are first read.

    Raises:
        DataError: As `read_tensor`.
    """
    tensor = read_tensor(path, check=False)
    return Header(str(tensor.dtype).removeprefix("torch."), tuple(tensor.shape))


@dataclass(frozen=True)
class Index:
    """Index of the tensors below a corpus folder.

    Attributes:
        manifest: ``manifest.json`` as it stands.
        tensors: Digest and header by file.
    """

    manifest: dict[str, Any]
    tensors: dict[str, tuple[str, Header]]

    @property
    def texts(self) -> dict[str, str]:
        """SHA-256 by label or source file."""
        texts: dict[str, str] = self.manifest["texts"]
        return texts

    def skipped(self, number: int) -> set[str]:
        """Return ``<part>/<clip>`` of the clips that could not be prepared into the folders of 5 or of 75."""
        sets = self.manifest.get("sets", {}).values()
        return {clip for made in sets if made["folder"] == number for clip in made["skipped"]}


def read_index(root: Path) -> Index | None:
    """Read the index of a corpus folder; None where there is none.

    Raises:
        DataError: If it is not finished or damaged.
    """
    folder = root / "prepared"
    if not folder.exists():
        return None
    if not (folder / "COMPLETE").exists():
        raise DataError(f"{folder}: not finished; run the same `cli.py prepare vgaf` again, it carries on")
    try:
        manifest: dict[str, Any] = parse_json((folder / "manifest.json").read_text(encoding="utf-8"))
        rows = read_own_table(folder / "index.csv")
        tensors = {
            row["file"]: (row["digest"], Header(row["dtype"], tuple(int(side) for side in row["shape"].split("x"))))
            for row in rows
        }
        digests = {name: digest for name, (digest, _) in tensors.items()}
        found = fingerprint_of(manifest["texts"], digests, synthetic=manifest["synthetic"])
        complete = (folder / "COMPLETE").read_text(encoding="utf-8").strip()
    except (OSError, AttributeError, KeyError, TypeError, ValueError, csv.Error) as error:
        raise DataError(f"{folder} is damaged ({error}); delete index.csv and COMPLETE and prepare again") from None
    if not found == manifest.get("fingerprint") == complete:
        raise DataError(
            f"{folder}: index.csv or manifest.json was edited; delete index.csv and COMPLETE and prepare again"
        )
    return Index(manifest, tensors)


def find_index(root: Path, number: int) -> Index | None:
    """Return the index that `prepare vgaf` wrote of a folder of tensors; None if they were made elsewhere.

    Args:
        root: Folder of the corpus.
        number: 5 or 75: which folder of tensors.

    Raises:
        DataError: If there is no corpus, or its label files changed since.
    """
    if not real_folder(root, number).is_dir():
        more = "" if number == 5 else f" --views.img.frames {number} --views.spec.segments '[5, {number}]'"
        raise DataError(
            f"no VGAF tensors in {real_folder(root, number)}. Real corpus: see docs/data.md, then `python "
            f"cli.py prepare vgaf --source DIR{more}`.\nA stand-in: `python cli.py synth vgaf`, "
            f"`python cli.py prepare vgaf --source data/synthetic/vgaf{more}`, then `--data.root data/synthetic/vgaf`"
        )
    index = read_index(root)
    if index and (changed := sorted({name for name, _ in text_digests(root).items() ^ index.texts.items()})):
        raise DataError(
            f"{root}: {first_names(changed)} changed since it was prepared; run `cli.py prepare vgaf` again"
        )
    return index


def write_index(root: Path, *, synthetic: bool, about: dict[str, Any]) -> dict[str, Any]:
    """List every tensor below a corpus folder; the same content gives the same bytes.

    Args:
        root: The corpus folder.
        synthetic: Whether it is a stand-in.
        about: What else the manifest should say.

    Returns:
        The manifest.

    Raises:
        DataError: If a file is no tensor, or there is none.
    """
    digests, texts = tensor_digests(root), text_digests(root)
    lines, problems = io.StringIO(), []
    writer = csv.writer(lines, lineterminator="\n")
    writer.writerow(("file", "digest", "dtype", "shape"))
    for name, digest in digests.items():
        try:
            header = read_header(root / name)
            writer.writerow((name, digest, header.dtype, "x".join(map(str, header.shape))))
        except DataError as error:
            problems.append(str(error))
    if problems or not digests:
        raise DataError(
            f"{root}: {first_names(problems, 4, '; ') or 'there is no tensor; docs/data.md shows the layout of VGAF'}"
        )
    folder = root / "prepared"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "COMPLETE").unlink(missing_ok=True)
    fingerprint = fingerprint_of(texts, digests, synthetic=synthetic)
    manifest = {"schema": 1, "corpus": "vgaf", "synthetic": synthetic, **about, "tensors": len(digests), "texts": texts}
    manifest["fingerprint"] = fingerprint
    write_atomic(folder / "index.csv", lines.getvalue())
    write_atomic(folder / "manifest.json", json.dumps(manifest, indent=1) + "\n")
    write_atomic(folder / "COMPLETE", fingerprint + "\n")
    return manifest


def place_of(root: Path, clip: Clip, modality: str, count: int, number: int) -> Path:
    """Return the file of a clip's frames of one modality."""
    return clip.place(root, number) / clip.file(KINDS[modality], count)


def check(
    root: Path, clips: Iterable[Clip], frames: dict[str, int], number: int, index: Index | None
) -> dict[str, Header]:
    """Check every tensor that will be read: there, whole, of the right shape and one type.

    Args:
        root: The corpus folder.
        clips: Whose.
        frames: Number of frames per modality that is read.
        number: 5 or 75: which folders.
        index: What was prepared; without one every file's header is read.

    Returns:
        What all files of a modality have in common.

    Raises:
        DataError: If something is wrong, with the number of problems and the first few.
    """
    problems: list[str] = []
    common: dict[str, Header] = {}
    for modality, count in frames.items():
        for clip in clips:
            path = place_of(root, clip, modality, count, number)
            try:
                header = _header(root, path, index)
            except DataError as error:
                problems.append(str(error))
                continue
            wanted = common.get(modality)
            if wanted is None and (problem := _unfit(modality, count, header)):
                problems.append(f"{path} is {header}: {problem}")
            elif wanted is None:
                common[modality] = header
            elif header != wanted:
                problems.append(f"{path} is {header}, others are {wanted}")
    if problems:
        lead = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        raise DataError(f"{root}: {lead} with the tensors, see docs/data.md: {first_names(problems, 4, '; ')}")
    return common


def _header(root: Path, path: Path, index: Index | None) -> Header:
    if index is None:
        return read_header(path)
    name = path.relative_to(root).as_posix()
    if name not in index.tensors:
        what = "is not in prepared/index.csv: run `cli.py prepare vgaf` again" if path.exists() else "is missing"
        raise DataError(f"{path} {what}")
    digest, header = index.tensors[name]
    if archive_digest(path) != digest:
        what = "is not what was prepared: run `cli.py prepare vgaf` again" if path.exists() else "is missing"
        raise DataError(f"{path} {what}")
    return header


def _unfit(modality: str, count: int, header: Header) -> str:
    """Return why a tensor of this type and shape cannot be used; empty if it can."""
    channels = CHANNELS[modality]
    if header.dtype not in DTYPES[modality]:
        return f"expected {' or '.join(DTYPES[modality])}"
    if len(header.shape) != 4 or header.shape[:2] != (count, channels) or math.prod(header.shape) == 0:
        return f"expected {count}x{channels}xHxW"
    if min(header.shape[2:]) < LEAST:
        return f"expected at least {LEAST} pixels"
    return ""
