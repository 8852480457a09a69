"""The tensors of VGAF as training reads them: all checked before the first step, then one by one."""

import math
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from datamodules.catalogues.vgaf.index import (
    Header,
    fingerprint_of,
    read_header,
    read_index,
    read_tensor,
    tensor_digests,
    text_digests,
)
from datamodules.catalogues.vgaf.layout import (
    KINDS,
    Clip,
    folder_number,
    real_clips,
    real_folder,
    synthetic_clips,
    synthetic_folder,
)
from datamodules.errors import DataError
from datamodules.reading.stand_in import STAND_IN
from error_texts import first_names
from tensor_files import archive_digest

DTYPES = {"video": ("uint8", "float32", "float16"), "audio": ("float32", "float16")}
CHANNELS = {"video": 3, "audio": 1}
LEAST = 16  # pixels; what a model needs beyond that it says itself


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
        clips: Train, Val, then, where any are wanted, all synthetic ones.
        headers: Type and shape of all files of a modality.

    Raises:
        DataError: There is no corpus, its label files changed since it was prepared, or a label file or a tensor is
            missing or wrong; all problems with tensors are reported at once.
    """

    def __init__(self, root: Path, frames: Mapping[str, int], *, with_synthetic: bool, normalised: bool) -> None:
        self.root, self.frames = root, dict(frames)
        self.number = folder_number(frames.values())
        self.drawn = synthetic_folder(root, self.number)
        if not real_folder(root, self.number).is_dir():
            raise DataError(self._nothing())
        self.index = read_index(root)
        self.clips = self._clips(with_synthetic)
        self.headers = self._headers()
        if "video" in frames and not normalised:
            self._check_range(self.path(self.clips[0], "video"))

    def _nothing(self) -> str:
        more = "" if self.number == 5 else " --views.img.frames 75 --views.spec.segments '[5, 75]'"
        return (
            f"no VGAF tensors in {real_folder(self.root, self.number)}. Real corpus: see docs/data.md, then `python "
            f"cli.py prepare vgaf --source DIR{more}`.\nA stand-in: `python cli.py synth vgaf`, "
            f"`python cli.py prepare vgaf --source data/synthetic/vgaf{more}`, then `--data.root data/synthetic/vgaf`"
        )

    def _clips(self, synthetic: bool) -> list[Clip]:
        clips = real_clips(self.root)
        if synthetic and not self.drawn.is_dir():
            raise DataError(f"--data.synth_rate: no synthetic clips in {self.drawn}; see docs/data.md")
        clips += synthetic_clips(self.drawn) if synthetic else []
        sets = self.index.manifest.get("sets", {}).values() if self.index else []
        skipped = {clip for made in sets if made["folder"] == self.number for clip in made["skipped"]}
        return [clip for clip in clips if clip.key not in skipped]

    def _headers(self) -> dict[str, Header]:
        """Check every tensor that will be read: there, whole, of the right shape and one type."""
        problems: list[str] = []
        common: dict[str, Header] = {}
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

    def _header(self, path: Path) -> Header:
        if self.index is None:
            return read_header(path)
        digest, header = self.index.tensors.get(path.relative_to(self.root).as_posix(), ("", None))
        if header and archive_digest(path) == digest:
            return header
        what = "is not what was prepared" if header else "is not in prepared/index.csv"
        raise DataError(f"{path} {what}: run `cli.py prepare vgaf` again" if path.exists() else f"{path} is missing")

    def _unfit(self, modality: str, header: Header) -> str:
        """Return why a tensor of this type and shape cannot be used; empty if it can."""
        wanted = (self.frames[modality], CHANNELS[modality])
        if header.dtype not in DTYPES[modality]:
            return f"expected {' or '.join(DTYPES[modality])}"
        if len(header.shape) != 4 or header.shape[:2] != wanted or math.prod(header.shape) == 0:
            return f"expected {'x'.join(map(str, wanted))}xHxW"
        return f"expected at least {LEAST} pixels" if min(header.shape[2:]) < LEAST else ""

    def _check_range(self, path: Path) -> None:
        values = read_tensor(path)
        low, high = (0.0, 1.0) if values.dtype == torch.uint8 else (float(values.min()), float(values.max()))
        if not (low >= 0 and high <= 1):
            raise DataError(
                f"{path} holds {low:.2f} to {high:.2f}, expected 0 to 1 (or uint8): where the tensors are normalised "
                "already, give --data.normalization none"
            )

    @cached_property
    def fingerprint(self) -> str:
        """Fingerprint of the preparation; without one, the same computed from the files."""
        if self.index:
            return str(self.index.manifest["fingerprint"])
        return fingerprint_of(text_digests(self.root), tensor_digests(self.root), synthetic=self.synthetic)

    @property
    def synthetic(self) -> bool:
        """Whether the corpus is a stand-in; synthetic clips beside real ones do not make it one."""
        return bool(self.index.manifest["synthetic"]) if self.index else (self.root / STAND_IN).exists()

    @property
    def settings(self) -> dict[str, Any]:
        """Settings of the preparation of these frames; empty for tensors made elsewhere."""
        sets = self.index.manifest.get("sets", {}) if self.index else {}
        return dict(sets.get(str(self.number), {}).get("settings", {}))

    def path(self, clip: Clip, modality: str) -> Path:
        """Return the file of a clip's frames of one modality."""
        return clip.place(self.root, self.number) / clip.file(KINDS[modality], self.frames[modality])

    def read(self, modality: str, clips: Sequence[Clip], present: Tensor) -> Tensor:
        """Return frames ``(B, NV, 3, H, W)`` as stored, or spectrograms ``(B, NA, 1, H, W)`` as float32.

        Args:
            modality: Which.
            clips: Which.
            present: bool ``(B,)``; the files of absent clips are not opened, they are zeros.

        Raises:
            DataError: A file was damaged since it was checked, or holds a value that is not finite.
        """
        header = self.headers[modality]
        dtype = torch.float32 if modality == "audio" else getattr(torch, header.dtype)
        values = torch.zeros(len(clips), *header.shape, dtype=dtype)
        for place in present.nonzero().flatten().tolist():
            path = self.path(clips[place], modality)
            values[place] = read_tensor(path)
            if values.is_floating_point() and not values[place].isfinite().all():
                raise DataError(f"{path} holds values that are not finite; make it anew")
        return values
