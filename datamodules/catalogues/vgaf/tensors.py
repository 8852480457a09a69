"""The tensors of VGAF: indexed so that a start is quick, all checked before the first step, then read one by one.

``prepared/index.csv`` holds file, digest, dtype and shape of every tensor below the corpus folder, ``manifest.json``
the digests of label files, who made what and the fingerprint, and ``COMPLETE``, written last, the fingerprint.
"""

import csv
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import tensor_files
from atomic_files import write_atomic
from datamodules.catalogues.vgaf.labels import CLASS_NAMES, SOURCES, SPLITS, split_labels, synthetic_labels
from datamodules.catalogues.vgaf.layout import KINDS, SETS, Clip, folder_number, real_folder, synthetic_folder
from datamodules.errors import DataError
from datamodules.reading.files import sha256_file
from datamodules.reading.plain_json import parse_json
from datamodules.reading.stand_in import STAND_IN
from datamodules.store.reader import read_own_table
from datamodules.store.writer import write_table
from error_texts import first_names
from tensor_archives import TensorFileError, archive_digest

if TYPE_CHECKING:  # the sink imports this, and the light commands the sink
    from torch import Tensor

COLUMNS = ("file", "digest", "dtype", "shape")
DTYPES = {"video": ("uint8", "float32", "float16"), "audio": ("float32", "float16")}
CHANNELS = {"video": "3", "audio": "1"}
LEAST = 16  # pixels; what a model needs beyond that it says itself


def read_tensor(path: Path, *, check: bool = True) -> "Tensor":
    """Map the tensor of a file into memory; arguments are those of `tensor_files.read_tensor`.

    Raises:
        DataError: The file is missing, damaged or holds something else.
    """
    if not path.exists():
        raise DataError(f"{path} is missing")
    try:
        return tensor_files.read_tensor(path, check=check)
    except TensorFileError as error:
        raise DataError(str(error)) from None


def read_header(path: Path) -> str:
    """Return type and shape of a tensor as ``uint8 5x3x224x224``; 45 MB of values are checked when first read."""
    tensor = read_tensor(path, check=False)
    return f"{tensor.dtype} {'x'.join(map(str, tensor.shape))}".removeprefix("torch.")


def text_digests(root: Path) -> dict[str, str]:
    """Return the SHA-256 of every label and source file there is, by path below the root."""
    names = [*(f"{part}_labels.txt" for part in CLASS_NAMES), SOURCES]
    paths = [root / f"{split}_labels.txt" for split in SPLITS] + [root / of / name for of in SETS for name in names]
    return {path.relative_to(root).as_posix(): sha256_file(path) for path in paths if path.is_file()}


def tensor_digests(root: Path) -> dict[str, str]:
    """Return the digest of every tensor there is, by path below the root, sorted."""
    paths = sorted(path for name in SETS for path in (root / name).glob("*/[!.]*.pt"))
    return {path.relative_to(root).as_posix(): archive_digest(path) for path in paths}


def fingerprint_of(texts: dict[str, str], tensors: dict[str, str], *, synthetic: bool) -> str:
    """Return what identifies a folder of tensors: its label files and tensors, and whether it is a stand-in."""
    content = json.dumps(["vgaf", synthetic, texts, tensors], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()


def read_index(root: Path) -> tuple[dict[str, Any], dict[str, tuple[str, str]]]:
    """Return the manifest of a corpus folder, and digest and header by file: none where it was made elsewhere.

    Raises:
        DataError: The index is not finished or damaged, or label files changed since.
    """
    folder = root / "prepared"
    if not folder.exists():
        synthetic = (root / STAND_IN).exists()
        fingerprint = fingerprint_of(text_digests(root), tensor_digests(root), synthetic=synthetic)
        return {"synthetic": synthetic, "fingerprint": fingerprint}, {}
    if not (folder / "COMPLETE").exists():
        raise DataError(f"{folder}: not finished; run the same `cli.py prepare vgaf` again, it carries on")
    anew = "delete index.csv and COMPLETE and prepare again"
    try:
        manifest: dict[str, Any] = parse_json((folder / "manifest.json").read_text(encoding="utf-8"))
        rows = read_own_table(folder / "index.csv")
        tensors = {row["file"]: (row["digest"], f"{row['dtype']} {row['shape']}") for row in rows}
        digests = {row["file"]: row["digest"] for row in rows}
        found = fingerprint_of(manifest["texts"], digests, synthetic=manifest["synthetic"])
        complete = (folder / "COMPLETE").read_text(encoding="utf-8").strip()
    except (OSError, AttributeError, KeyError, TypeError, ValueError, csv.Error) as error:
        raise DataError(f"{folder} is damaged ({error}); {anew}") from None
    if not found == manifest.get("fingerprint") == complete:
        raise DataError(f"{folder}: index.csv or manifest.json was edited; {anew}")
    if changed := sorted({name for name, _ in text_digests(root).items() ^ manifest["texts"].items()}):
        raise DataError(
            f"{root}: {first_names(changed)} changed since it was prepared; run `cli.py prepare vgaf` again"
        )
    return manifest, tensors


def write_index(root: Path, *, synthetic: bool, sets: dict[str, Any]) -> dict[str, Any]:
    """List every tensor below a corpus folder, the same content as the same bytes, and return the manifest.

    Args:
        root: The corpus folder.
        synthetic: Whether it is a stand-in.
        sets: What each preparation says of itself, by its number of frames.

    Raises:
        DataError: A file is no tensor, or there is none.
    """
    digests, texts = tensor_digests(root), text_digests(root)
    rows, problems = [], []
    for name, digest in digests.items():
        try:
            rows.append(dict(zip(COLUMNS, (name, digest, *read_header(root / name).split(" ")), strict=True)))
        except DataError as error:
            problems.append(str(error))
    if problems or not digests:
        raise DataError(
            f"{root}: {first_names(problems, 4, '; ') or 'there is no tensor; docs/data.md shows the layout of VGAF'}"
        )
    folder = root / "prepared"
    (folder / "COMPLETE").unlink(missing_ok=True)
    fingerprint = fingerprint_of(texts, digests, synthetic=synthetic)
    manifest = {"schema": 1, "corpus": "vgaf", "synthetic": synthetic, "sets": sets, "tensors": len(digests)}
    manifest |= {"texts": texts, "fingerprint": fingerprint}
    write_table(folder / "index.csv", COLUMNS, rows)
    write_atomic(folder / "manifest.json", json.dumps(manifest, indent=1) + "\n")
    write_atomic(folder / "COMPLETE", fingerprint + "\n")
    return manifest


class TensorFolder:
    """The tensors of VGAF below a folder, made by `prepare vgaf` or by somebody else.

    Args:
        root: Folder of the corpus.
        frames: Number of frames by modality, of those that are read.
        with_synthetic: Whether synthetic clips are wanted.
        normalised: Whether frames were normalised when they were made; floats are from 0 to 1 otherwise.

    Attributes:
        number: 5 or 75: which folders are read.
        drawn: Folder of the synthetic clips.
        manifest: Fingerprint, whether it is a stand-in, and what the preparation says of itself.
        settings: Those of the preparation of these frames; empty for tensors made elsewhere.
        clips: Train, Val, then, where any are wanted, all synthetic ones.
        headers: Type and shape of all files by modality, as `read_header` gives them.

    Raises:
        DataError: There is no corpus, its label files changed since it was prepared, or a label file or a tensor is
            missing or wrong; all problems with tensors are reported at once.
    """

    def __init__(self, root: Path, frames: Mapping[str, int], *, with_synthetic: bool, normalised: bool) -> None:
        self.root, self.frames = root, dict(frames)
        self.number = folder_number(frames.values())
        self.drawn = synthetic_folder(root, self.number)
        if not (real := real_folder(root, self.number)).is_dir():
            more = "" if self.number == 5 else " --views.img.frames 75 --views.spec.segments '[5, 75]'"
            raise DataError(
                f"no VGAF tensors in {real}. Real corpus: see docs/data.md, then `python cli.py prepare vgaf --source "
                f"DIR{more}`.\nA stand-in: `python cli.py synth vgaf`, `python cli.py prepare vgaf --source "
                f"data/synthetic/vgaf{more}`, then `--data.root data/synthetic/vgaf`"
            )
        self.manifest, self.index = read_index(root)
        self.sets = self.manifest.get("sets", {})
        self.settings = dict(self.sets.get(str(self.number), {}).get("settings", {}))
        self.clips = self._clips(with_synthetic)
        self.headers = self._headers()
        if "video" in frames and not normalised:
            self._check_range(self.path(self.clips[0], "video"))

    def _clips(self, synthetic: bool) -> list[Clip]:
        labels = split_labels(self.root)
        if synthetic and not self.drawn.is_dir():
            raise DataError(f"--data.synth_rate: no synthetic clips in {self.drawn}; see docs/data.md")
        labels |= synthetic_labels(self.drawn) if synthetic else {}
        clips = [Clip(name, part, label) for part, found in labels.items() for name, label in found.items()]
        skipped = {clip for made in self.sets.values() if made["folder"] == self.number for clip in made["skipped"]}
        return [clip for clip in clips if clip.key not in skipped]

    def _headers(self) -> dict[str, str]:
        """Check every tensor that will be read: there, whole, of the right shape and one type."""
        problems: list[str] = []
        common: dict[str, str] = {}
        for modality in self.frames:
            for path in (self.path(clip, modality) for clip in self.clips):
                try:
                    header = self._header(path)
                except DataError as error:
                    problems.append(str(error))
                    continue
                if modality not in common and (problem := self._unfit(modality, header)):
                    problems.append(f"{path} is {header}: {problem}")
                elif header != common.setdefault(modality, header):
                    problems.append(f"{path} is {header}, others are {common[modality]}")
        if problems:
            lead = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
            raise DataError(f"{self.root}: {lead} with the tensors, see docs/data.md: {first_names(problems, 4, '; ')}")
        return common

    def _header(self, path: Path) -> str:
        if not self.index:
            return read_header(path)
        digest, header = self.index.get(path.relative_to(self.root).as_posix(), ("", None))
        if header and archive_digest(path) == digest:
            return header
        what = "is not what was prepared" if header else "is not in prepared/index.csv"
        raise DataError(f"{path} {what}: run `cli.py prepare vgaf` again" if path.exists() else f"{path} is missing")

    def _unfit(self, modality: str, header: str) -> str:
        """Return why a tensor of this type and shape cannot be used; empty if it can."""
        (dtype, _, shape), first = header.partition(" "), [str(self.frames[modality]), CHANNELS[modality]]
        sides = shape.split("x")
        if dtype not in DTYPES[modality]:
            return f"expected {' or '.join(DTYPES[modality])}"
        if len(sides) != 4 or sides[:2] != first or not shape.replace("x", "").isdecimal() or "0" in sides:
            return f"expected {'x'.join(first)}xHxW"
        return f"expected at least {LEAST} pixels" if min(map(int, sides[2:])) < LEAST else ""

    def _check_range(self, path: Path) -> None:
        values = read_tensor(path)
        low, high = float(values.min()), float(values.max())
        if values.is_floating_point() and not (low >= 0 and high <= 1):
            raise DataError(
                f"{path} holds {low:.2f} to {high:.2f}, expected 0 to 1 (or uint8): where the tensors are normalised "
                "already, give --data.normalization none"
            )

    def shape(self, modality: str) -> list[int]:
        """Return the shape of a clip's frames of one modality."""
        return [int(side) for side in self.headers[modality].split(" ")[1].split("x")]

    def path(self, clip: Clip, modality: str) -> Path:
        """Return the file of a clip's frames of one modality."""
        return clip.place(self.root, self.number) / clip.file(KINDS[modality], self.frames[modality])

    def read(self, modality: str, rows: Sequence[int] | np.ndarray, present: "Tensor") -> "Tensor":
        """Return frames ``(B, NV, 3, H, W)`` as stored, or spectrograms ``(B, NA, 1, H, W)`` as float32.

        Args:
            modality: Which.
            rows: Rows of the clips.
            present: bool ``(B,)``; the files of absent clips are not opened, they are zeros.

        Raises:
            DataError: A file was damaged since it was checked, or holds a value that is not finite.
        """
        import torch  # what only lists files does without

        dtype = torch.float32 if modality == "audio" else getattr(torch, self.headers[modality].split(" ")[0])
        values = torch.zeros(len(rows), *self.shape(modality), dtype=dtype)
        for place in present.nonzero().flatten().tolist():
            path = self.path(self.clips[rows[place]], modality)
            values[place] = read_tensor(path)
            if values.is_floating_point() and not values[place].isfinite().all():
                raise DataError(f"{path} holds values that are not finite; make it anew")
        return values
