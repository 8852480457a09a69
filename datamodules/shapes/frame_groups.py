"""Clips of frames and spectrograms: consecutive frames make groups, which a frozen encoder sees one by one."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from datamodules.base import EmotionDataModule
from datamodules.batches import Batch, zero_absent
from datamodules.errors import DataError
from datamodules.shapes.kinds.whole_frames import Normalization, frame_groups, group_count, normalised, pixel_facts

Modality = Literal["video", "audio"]


class FrameGroupsDataModule(EmotionDataModule):
    """Clips of frames and spectrograms.

    Batches hold ``video`` ``(B, NV, 3, H, W)`` and ``audio`` float32 ``(B, NA, 1, H, W)``; the device sees video
    normalised. After `use_embeddings` ``video`` is ``(B, G, D)``: one embedding for each of G groups of NV / G
    consecutive frames.

    Args:
        root: Folder of the corpus.
        frames: Frames per clip and modality; where they differ one must be a multiple of the other.
        modalities: What to read; the files of the other are not needed.
        normalization: Mean and deviation of the pixels: ``half`` (0.5, of the paper's backbone), ``imagenet``, or
            ``none`` for tensors that were normalised when they were made.
        cache: Have a frozen video encoder run once, ahead of training.
        **kwargs: See `EmotionDataModule`.
    """

    def __init__(
        self,
        root: str,
        frames: dict[Modality, int] | None = None,
        modalities: list[Modality] | None = None,
        normalization: Normalization = "half",
        cache: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(root, **kwargs)
        self.modalities: list[Modality] = ["video", "audio"] if modalities is None else list(modalities)
        if not self.modalities or len(set(self.modalities)) < len(self.modalities):
            raise DataError(f"--data.modalities {self.modalities}: name video, audio or both, each once")
        self.check_missing(self.modalities)
        self.frames: dict[Modality, int] = {"audio": 5, "video": 5, **(frames or {})}
        self.groups = _group_count(self.frames, self.modalities)
        self.normalization = normalization
        self.cache = cache

    @property
    def input_kinds(self) -> dict[str, str]:
        """Kind of every modality that is read."""
        kinds = {"video": "whole frames", "audio": "spectrograms"}
        return {modality: kinds[modality] for modality in self.modalities}

    @property
    @abstractmethod
    def clips(self) -> Sequence[Any]:
        """All clips, in the order of their items."""

    @abstractmethod
    def read(self, modality: Modality, rows: Sequence[int] | np.ndarray, present: Tensor) -> Tensor:
        """Return frames or spectrograms of clips as stored ``(B, N, C, H, W)``.

        Args:
            modality: Which.
            rows: Rows of the clips.
            present: bool ``(B,)``; the files of absent clips are not opened, they are zeros.
        """

    def fill(self, batch: Batch, rows: np.ndarray) -> None:
        """Add frames, or embeddings of their groups, and spectrograms; a silent clip says nothing."""
        for modality in self.modalities:
            present = batch["mask"][modality]
            if modality in self.embeddings:
                table = self.embeddings[modality]
                groups = table.view(-1, self.groups, table.shape[1])[torch.from_numpy(rows)]
                batch[modality] = zero_absent(groups, present)
            else:
                batch[modality] = self.read(modality, rows, present)
            if modality == "audio":
                present &= batch[modality].flatten(1).any(1)

    @property
    def input_facts(self) -> dict[str, dict[str, Any]]:
        """Statistics of the pixels of the video."""
        return {"video": pixel_facts(self.normalization)}

    @property
    def reading(self) -> dict[str, Any]:
        """How any clip becomes a batch like these."""
        names = {"video": "img", "audio": "spec"}  # of the views
        arrays = {modality: f"{names[modality]}_{self.frames[modality]}" for modality in self.modalities}
        options = {"modalities": list(self.modalities), "normalization": self.normalization, "arrays": arrays}
        return {"data": "ClipsDataModule", "options": options, "arrays": list(arrays.values())}

    def count_items(self, modality: str) -> int:
        """Return the number of groups of frames over all clips."""
        if modality != "video" or "video" not in self.modalities:
            return super().count_items(modality)
        return len(self.clips) * self.groups

    def items(self, modality: str, start: int, stop: int) -> Tensor:
        """Return groups of consecutive frames, normalised, float ``(stop - start, NV / G, 3, H, W)``."""

        def read(rows: range) -> Tensor:
            return self.read("video", rows, torch.ones(len(rows), dtype=torch.bool))

        return self.to_model_input(frame_groups(read, self.groups, start, min(stop, self.count_items(modality))))

    def to_model_input(self, frames: Tensor) -> Tensor:
        """Return stored frames ``(..., 3, H, W)`` as the model sees them; see `normalised`."""
        return normalised(frames, self.normalization)

    def on_after_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        """Convert frames to the model's input on its device; absent clips stay zeros."""
        if "video" not in self.modalities or "video" in self.embeddings:
            return batch
        return batch | {"video": zero_absent(self.to_model_input(batch["video"]), batch["mask"]["video"])}


def _group_count(frames: Mapping[Modality, int], modalities: Sequence[Modality]) -> int:
    """Return the number of groups of a clip's video frames."""
    if unknown := set(frames) - {"video", "audio"}:
        raise DataError(f"--data.frames names {', '.join(sorted(unknown))}; give video and audio")
    if min(frames.values()) < 1:
        raise DataError(f"--data.frames {frames}: at least 1 each")
    return group_count(frames["video"], frames["audio"] if len(modalities) > 1 else None)
