"""VGAF, group emotion in the wild (Sharma et al.; EmotiW 2023): 5-second clips, Positive, Neutral, Negative.

Read from tensors of frames and spectrograms as the code released with Augusma, Vaufreydaz and Letué, "Multimodal group
emotion recognition in-the-wild using privacy-compliant features" (ICMI 2023, https://arxiv.org/abs/2312.05265), has
them; `prepare vgaf` makes them of the challenge's videos. Their loader checks nothing before a worker meets it, draws
synthetic clips unstratified and looks for unforeseen frame counts in the folder of 75; the train folder is theirs too.
"""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from datamodules.base import EmotionDataModule
from datamodules.batches import Batch, ClipDataset, Split, zero_absent
from datamodules.catalogues.vgaf.labels import CLASS_NAMES
from datamodules.catalogues.vgaf.layout import (
    Clip,
    Modality,
    fingerprint_of,
    folder_number,
    group_count,
    real_clips,
    synthetic_clips,
    synthetic_folder,
    tensor_digests,
    text_digests,
)
from datamodules.catalogues.vgaf.mix import carve, mix, uncontaminated
from datamodules.catalogues.vgaf.tensors import (
    Header,
    Index,
    check,
    check_range,
    find_index,
    normalised,
    place_of,
    read_tensor,
)
from datamodules.errors import DataError
from datamodules.reading.stand_in import STAND_IN


class VGAFDataModule(EmotionDataModule):
    """Frames and spectrograms of VGAF clips, real and synthetic.

    Batches hold ``video`` ``(B, NV, 3, H, W)`` and ``audio`` float32 ``(B, NA, 1, H, W)``; the device sees video
    normalised. After `use_embeddings` ``video`` is ``(B, G, D)``: one embedding for each of G groups of NV / G
    consecutive frames. VGAF names no speakers: the group is the clip.

    Args:
        root: Folder of the tensors, in the layout of `datamodules.catalogues.vgaf.layout`.
        frames: Frames per clip and modality; where they differ one must be a multiple of the other.
        modalities: What to read; the files of the other are not needed.
        synth_rate: Share of the training clips that is synthetic; 1 trains on synthetic clips alone.
        split_seed: Of the draw of synthetic clips and of the clips that validate.
        validation: Share of Train that validates under ``honest``.
        normalization: Mean and deviation of the pixels: ``half`` (0.5, of the paper's backbone), ``imagenet``, or
            ``none`` for tensors that were normalised when they were made.
        cache: Have a frozen video encoder run once, ahead of training.
        protocol: ``paper`` selects the epoch on Val and reports on it, as the paper does; ``honest`` selects on clips
            carved out of Train. VGAF's test labels were never released.
        batch_size: Clips per step and device.
        **kwargs: See `EmotionDataModule`.
    """

    corpus = "vgaf"
    group_name = "clips"

    def __init__(
        self,
        root: str = "data/vgaf",
        frames: dict[Modality, int] | None = None,
        modalities: list[Modality] | None = None,
        synth_rate: float = 0.0,
        split_seed: int = 2023,
        validation: float = 0.15,
        normalization: Literal["half", "imagenet", "none"] = "half",
        cache: bool = True,
        protocol: Literal["paper", "honest"] = "paper",
        batch_size: int = 4,
        **kwargs: Any,
    ) -> None:
        super().__init__(root, protocol=protocol, batch_size=batch_size, **kwargs)
        self.modalities: list[Modality] = ["video", "audio"] if modalities is None else list(modalities)
        if not self.modalities or len(set(self.modalities)) < len(self.modalities):
            raise DataError(f"--data.modalities {self.modalities}: name video, audio or both, each once")
        self.check_missing(self.modalities)
        if not 0 <= synth_rate <= 1:
            raise DataError(f"--data.synth_rate {synth_rate}: a share from 0 to 1")
        if not 0 < validation < 1:
            raise DataError(f"--data.validation {validation}: a share between 0 and 1")
        if split_seed < 0:
            raise DataError(f"--data.split_seed {split_seed}: a whole number from 0")
        self.frames: dict[Modality, int] = {"audio": 5, "video": 5, **(frames or {})}
        self.groups = group_count(self.frames, self.modalities)
        self.number = folder_number(self.frames[modality] for modality in self.modalities)
        self.synth_rate = synth_rate
        self.split_seed = split_seed
        self.validation = validation
        self.normalization = normalization
        self.cache = cache
        self.embeddings: Tensor | None = None

    @property
    def class_names(self) -> list[str]:
        """Positive, Neutral, Negative."""
        return list(CLASS_NAMES)

    @cached_property
    def index(self) -> Index | None:
        """The index that `prepare vgaf` wrote; None where the tensors were made elsewhere.

        Raises:
            DataError: If there is no corpus, or its label files changed since.
        """
        return find_index(Path(self.root), self.number)

    @cached_property
    def clips(self) -> list[Clip]:
        """All clips in one order: Train, Val, then, where any are wanted, all synthetic ones; every file is checked.

        Raises:
            DataError: If a label file or a tensor is missing or wrong; all problems are reported at once.
        """
        return self._checked[0]

    @cached_property
    def _checked(self) -> tuple[list[Clip], dict[str, Header]]:
        index, root = self.index, Path(self.root)
        skipped = index.skipped(self.number) if index else set()
        clips = [clip for clip in real_clips(root) if clip.key not in skipped]
        if self.synth_rate:
            folder = synthetic_folder(root, self.number)
            if not folder.is_dir():
                raise DataError(
                    f"--data.synth_rate {self.synth_rate}: no synthetic clips in {folder}; see docs/data.md"
                )
            clips += [clip for clip in synthetic_clips(folder) if clip.key not in skipped]
        frames = {str(modality): self.frames[modality] for modality in self.modalities}
        headers = check(root, clips, frames, self.number, index)
        if "video" in self.modalities:
            first = place_of(root, clips[0], "video", self.frames["video"], self.number)
            check_range(first, normalised=self.normalization == "none")
        return clips, headers

    @cached_property
    def rows(self) -> dict[str, np.ndarray]:
        """Rows of the clips per split.

        Raises:
            DataError: If too few synthetic clips are there, or one was made of what is scored.
        """
        clips = self.clips
        real = [clip for clip in clips if not clip.synthetic]
        train = np.flatnonzero([clip.part == "Train" for clip in real])
        rows = {"train": train, "test": np.flatnonzero([clip.part == "Val" for clip in real])}
        held: set[str] = set()
        if self.protocol == "honest":
            drawn = carve(self._labels[train], self.validation, self.split_seed)
            rows |= {"train": train[~drawn], "val": train[drawn]}
            held = {clips[row].name for row in rows["val"]}
        if self.synth_rate:
            synthetic, folder = clips[len(real) :], synthetic_folder(Path(self.root), self.number)
            clean = uncontaminated(folder, synthetic, real, held)
            pool = len(real) + np.flatnonzero(clean)
            kept = rows["train"] if self.synth_rate < 1 else np.empty(0, np.int64)
            seed, left_out = self.split_seed, int((~clean).sum())
            chosen = pool[mix(self._labels[pool], len(kept), self.synth_rate, seed, left_out)]
            rows["train"] = np.concatenate([kept, chosen])
        return rows

    @cached_property
    def _labels(self) -> np.ndarray:
        return np.array([clip.label for clip in self.clips])

    @property
    def train_labels(self) -> np.ndarray:
        """Class indices of the training clips, synthetic ones included."""
        return np.asarray(self._labels[self.rows["train"]])

    def dataset(self, split: Split) -> ClipDataset:
        """Return the clips of a split."""
        rows = self.rows[split]
        ids = [self.clips[row].id for row in rows]
        return ClipDataset(self, rows, ids, ids, torch.from_numpy(self._labels[rows]))

    def fill(self, batch: Batch, rows: np.ndarray) -> None:
        """Add frames and spectrograms; a silent clip says nothing."""
        for modality in self.modalities:
            batch[modality] = self.read(modality, rows, batch["mask"][modality])
            if modality == "audio":
                batch["mask"]["audio"] &= batch["audio"].flatten(1).any(1)

    @property
    def input_shapes(self) -> dict[str, list[int]]:
        """``{"video": [NV, 3, H, W], "audio": [NA, 1, H, W]}`` of what is read, whether or not it is embedded."""
        return {modality: list(self._checked[1][modality].shape) for modality in self.modalities}

    @cached_property
    def fingerprint(self) -> str:
        """Fingerprint of the preparation; without one, the same computed from the files."""
        if self.index:
            return str(self.index.manifest["fingerprint"])
        root = Path(self.root)
        return fingerprint_of(text_digests(root), tensor_digests(root), synthetic=self.synthetic)

    @property
    def synthetic(self) -> bool:
        """Whether the corpus is a stand-in; synthetic clips beside real ones do not make it one."""
        return bool(self.index.manifest["synthetic"]) if self.index else (Path(self.root) / STAND_IN).exists()

    @property
    def prepared_by(self) -> dict[str, Any]:
        """Settings of the preparation of these frames; empty for tensors made elsewhere."""
        sets = self.index.manifest.get("sets", {}) if self.index else {}
        return dict(sets.get(str(self.number), {}).get("settings", {}))

    def read(self, modality: Modality, rows: Sequence[int] | np.ndarray, present: Tensor) -> Tensor:
        """Return the frames or embeddings of clips, zeros where they are dropped: ``(B, N, C, H, W)`` or ``(B, G, D)``.

        Args:
            modality: Which.
            rows: Rows of the clips.
            present: bool ``(B,)``; the files of absent clips are not opened.
        """
        if modality == "video" and self.embeddings is not None:
            table = self.embeddings[torch.as_tensor(np.asarray(rows))]
            return zero_absent(table, present)
        root, header = Path(self.root), self._checked[1][modality]
        dtype = torch.float32 if modality == "audio" else getattr(torch, header.dtype)
        values = torch.zeros(len(rows), *header.shape, dtype=dtype)
        for place, row in enumerate(rows):
            if present[place]:
                path = place_of(root, self.clips[row], modality, self.frames[modality], self.number)
                values[place] = read_tensor(path)
                if values.is_floating_point() and not values[place].isfinite().all():
                    raise DataError(f"{path} holds values that are not finite; make it anew")
        return values

    def count_items(self, modality: str) -> int:
        """Return the number of groups of frames over all clips."""
        if modality != "video" or "video" not in self.modalities:
            return super().count_items(modality)
        return len(self.clips) * self.groups

    def items(self, modality: str, start: int, stop: int) -> Tensor:
        """Return groups of consecutive frames, normalised, float ``(stop - start, NV / G, 3, H, W)``."""
        stop = min(stop, self.count_items(modality))
        first, last = start // self.groups, -(-stop // self.groups)
        frames = self.read("video", range(first, last), torch.ones(last - first, dtype=torch.bool))
        grouped = frames.view(-1, frames.shape[1] // self.groups, *frames.shape[2:])
        return self.to_model_input(grouped[start - first * self.groups : stop - first * self.groups])

    def items_key(self, modality: str) -> str:
        """Return what items depend on besides the files and their number."""
        return (
            f"{self.frames['video']} frames from {self.number}, {self.normalization}, synthetic {self.synth_rate > 0}"
        )

    def use_embeddings(self, modality: str, values: Tensor) -> None:
        """Make batches carry an embedding of each group of frames.

        Args:
            modality: ``video``.
            values: float32 ``(clips * G, D)`` in the order of `items`.

        Raises:
            DataError: If their number is another one.
        """
        if values.ndim != 2 or len(values) != self.count_items(modality):
            raise DataError(
                f"embeddings of {modality} are {tuple(values.shape)}, wanted {self.count_items(modality)} rows"
            )
        self.embeddings = values.view(-1, self.groups, values.shape[1])

    def to_model_input(self, frames: Tensor) -> Tensor:
        """Convert stored frames ``(..., 3, H, W)`` to normalised float32."""
        return normalised(frames, self.normalization)

    def on_after_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        """Convert frames to the model's input on its device; absent clips stay zeros."""
        if "video" not in self.modalities or self.embeddings is not None:
            return batch
        return batch | {"video": zero_absent(self.to_model_input(batch["video"]), batch["mask"]["video"])}
