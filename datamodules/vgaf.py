"""VGAF, group emotion in the wild (Sharma et al.; EmotiW 2023): 5-second clips, Positive, Neutral, Negative.

Read from tensors of frames and spectrograms as the code released with Augusma, Vaufreydaz and Letué, "Multimodal group
emotion recognition in-the-wild using privacy-compliant features" (ICMI 2023, https://arxiv.org/abs/2312.05265), has
them; `prepare vgaf` makes them of the challenge's videos. Their loader checks nothing before a worker meets it, draws
synthetic clips unstratified and looks for unforeseen frame counts in the folder of 75; the train folder is theirs too.
"""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from datamodules.batches import ClipDataset, Split
from datamodules.catalogues.vgaf.labels import CLASS_NAMES
from datamodules.catalogues.vgaf.layout import KINDS, Clip
from datamodules.catalogues.vgaf.mix import split_rows
from datamodules.catalogues.vgaf.tensors import TensorFolder
from datamodules.errors import DataError
from datamodules.shapes.features_made import features_reading
from datamodules.shapes.frame_groups import FrameGroupsDataModule, Modality


class VGAFDataModule(FrameGroupsDataModule):
    """Frames and spectrograms of VGAF clips, real and synthetic.

    ``paper`` selects the epoch on Val and reports on it, as the paper does; ``honest`` selects on clips carved out of
    Train. VGAF's test labels were never released, and it names no speakers: the group is the clip.

    Args:
        root: Folder of the tensors, in the layout of `datamodules.catalogues.vgaf.layout`.
        synth_rate: Share of the training clips that is synthetic; 1 trains on synthetic clips alone.
        split_seed: Of the draw of synthetic clips and of the clips that validate.
        validation: Share of Train that validates under ``honest``.
        batch_size: Clips per step and device.
        **kwargs: See `FrameGroupsDataModule`.
    """

    corpus = "vgaf"
    group_name = "clips"

    def __init__(
        self,
        root: str = "data/vgaf",
        synth_rate: float = 0.0,
        split_seed: int = 2023,
        validation: float = 0.15,
        batch_size: int = 4,
        **kwargs: Any,
    ) -> None:
        super().__init__(root, batch_size=batch_size, **kwargs)
        if not 0 <= synth_rate <= 1:
            raise DataError(f"--data.synth_rate {synth_rate}: a share from 0 to 1")
        if not 0 < validation < 1:
            raise DataError(f"--data.validation {validation}: a share between 0 and 1")
        if split_seed < 0:
            raise DataError(f"--data.split_seed {split_seed}: a whole number from 0")
        self.synth_rate = synth_rate
        self.split_seed = split_seed
        self.validation = validation

    @property
    def class_names(self) -> list[str]:
        """Positive, Neutral, Negative."""
        return list(CLASS_NAMES)

    @cached_property
    def tensors(self) -> TensorFolder:
        """The tensors that are read, all of them checked; errors are those of `TensorFolder`."""
        frames = {str(modality): self.frames[modality] for modality in self.modalities}
        normalised, drawn = self.normalization == "none", self.synth_rate > 0
        return TensorFolder(Path(self.root), frames, with_synthetic=drawn, normalised=normalised)

    @property
    def clips(self) -> list[Clip]:
        """Train, Val, then, where any are wanted, all synthetic clips."""
        return self.tensors.clips

    @cached_property
    def rows(self) -> dict[str, np.ndarray]:
        """Rows of the clips per split; errors are those of `split_rows`."""
        validation = self.validation if self.protocol == "honest" else 0
        return split_rows(self.clips, self.tensors.drawn, validation, self.synth_rate, self.split_seed)

    @property
    def train_labels(self) -> np.ndarray:
        """Class indices of the training clips, synthetic ones included."""
        return np.array([self.clips[row].label for row in self.rows["train"]])

    def dataset(self, split: Split) -> ClipDataset:
        """Return the clips of a split."""
        rows = self.rows[split]
        clips = [self.clips[row] for row in rows]
        ids = [clip.id for clip in clips]
        return ClipDataset(self, rows, ids, ids, torch.tensor([clip.label for clip in clips]))

    def read(self, modality: Modality, rows: Sequence[int] | np.ndarray, present: Tensor) -> Tensor:
        """Return frames or spectrograms of clips; errors are those of `TensorFolder.read`."""
        return self.tensors.read(modality, rows, present)

    @property
    def input_shapes(self) -> dict[str, list[int]]:
        """``{"video": [NV, 3, H, W], "audio": [NA, 1, H, W]}`` of what is read, whether or not it is embedded."""
        return {modality: self.tensors.shape(modality) for modality in self.modalities}

    def items_key(self, modality: str) -> str:
        """Return what items depend on besides the files and their number."""
        number, drawn = self.tensors.number, self.synth_rate > 0
        return f"{self.frames['video']} frames from {number}, {self.normalization}, synthetic {drawn}"

    @property
    def fingerprint(self) -> str:
        """Fingerprint of the preparation; without one, the same computed from the files."""
        return str(self.tensors.manifest["fingerprint"])

    @property
    def synthetic(self) -> bool:
        """Whether the corpus is a stand-in; synthetic clips beside real ones do not make it one."""
        return bool(self.tensors.manifest["synthetic"])

    @property
    def reading(self) -> dict[str, Any]:
        """How any clip becomes a batch like these; of tensors made elsewhere, what the tensors of a clip are like."""
        if self.prepared_by:
            return super().reading
        sources = {str(name): KINDS[name] for name in self.modalities}
        of_bytes = [name for name in self.modalities if self.tensors.headers[name].startswith("uint8")]
        return features_reading(self.input_shapes, sources, of_bytes, normalization=self.normalization)

    @property
    def prepared_by(self) -> dict[str, Any]:
        """Settings of the preparation of these frames; empty for tensors made elsewhere."""
        return self.tensors.settings
