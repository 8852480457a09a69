"""RAVDESS (Livingstone & Russo 2018): acted speech of 24 speakers in eight emotions, video and audio.

Source: https://zenodo.org/records/1188976 (CC BY-NC-SA 4.0). Folds and inputs are those of MSAF and CFN-SR: six
folds of four consecutive actors, 30 frames spread over the clip, 13 MFCCs of 2.45 s.
"""

from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from lightning.pytorch.utilities import rank_zero_warn

from datamodules import augment
from datamodules.base import EmotionDataModule
from datamodules.catalogues.ravdess import EMOTIONS
from datamodules.clips import Batch, ClipDataset, Split, global_seed
from datamodules.store import DataError, Store
from datamodules.tables import read_table, settle

ARRAYS = {"video": "video", "audio": "mfcc", "wave": "wave"}
WAVE_RATE = 44100  # Hz
FOLDS = ["0", "1", "2", "3", "4", "5"]
SPLITS = Path(__file__).parent / "splits" / "ravdess.csv"


class RAVDESSClips(ClipDataset):
    """Rows of the store as batches: video uint8 ``(B, T, H, W, 3)``, audio ``(B, 13, 212)``, wave int16 ``(B, S)``.

    Args:
        data: The DataModule whose store and options apply.
        rows: Rows of the store that belong to the split.
    """

    def __init__(self, data: "RAVDESSDataModule", rows: np.ndarray) -> None:
        self.data = data
        self.rows = rows

    def __len__(self) -> int:
        """Number of clips."""
        return len(self.rows)

    def __getitems__(self, indices: list[int]) -> Batch:
        """The batch of contract 1 that these clips make."""
        store, rows = self.data.store, self.rows[indices]
        ids = [store.ids[row] for row in rows]
        batch: Batch = {"id": ids, "group": [store.groups[row] for row in rows], "length": {}, "mask": {}}
        for modality in self.data.modalities:
            absent = np.array([self.data.is_missing(modality, clip) for clip in ids])
            values = np.stack([self.data.read(modality, row) for row in rows])
            values[absent] = 0
            batch[modality] = torch.from_numpy(values)
            batch["mask"][modality] = torch.from_numpy(~absent)
            batch["length"][modality] = torch.tensor([self.data.valid_steps(modality, row) for row in rows])
        batch["target"] = torch.from_numpy(store.labels[rows])
        return batch


class RAVDESSDataModule(EmotionDataModule):
    """RAVDESS speech from the prepared store, by speaker-independent folds.

    Args:
        root: Folder of the corpus; the store is ``<root>/prepared``.
        fold: 0 to 5: actors 01-04, 05-08, ..., 21-24 are the test speakers.
        protocol: ``paper`` selects the epoch on the test fold; ``honest`` on the next fold's actors, who then do not
            train.
        modalities: Which of ``video``, ``audio`` (MFCCs) and ``wave`` (the sound itself) to read; the first two where
            not given.
        frames: How many of the stored frames to use, spread evenly; all where not given.
        image_size: Height and width that the model sees; the stored size where not given.
        augment: Random resized crop and horizontal flip of training clips.
        augment_scope: One draw per clip, or ``frame`` as the released code has it.
        wave_seconds: Length of the wave: the middle of a longer clip, zeros after a shorter one.
        color_order: ``bgr`` as the released code has it.
        splits: CSV with columns clip, speaker, fold; the committed file where not given.
        batch_size: Clips per step and device.
        num_workers: Loader processes; 0 is right for a memory-mapped store.
        missing: Rate per modality at which clips lose it, ``{"audio": 0.3}``; drawn per clip id.
        class_weighting: ``balanced`` weighs the loss by inverse class frequency in train.
    """

    corpus = "ravdess"
    num_folds = len(FOLDS)

    def __init__(
        self,
        root: str = "data/ravdess",
        fold: int = 0,
        protocol: Literal["paper", "honest"] = "paper",
        modalities: list[Literal["video", "audio", "wave"]] | None = None,
        frames: int | None = None,
        image_size: int | None = None,
        augment: bool = True,
        augment_scope: Literal["clip", "frame"] = "clip",
        wave_seconds: float = 4.0,
        color_order: Literal["rgb", "bgr"] = "rgb",
        splits: str | None = None,
        batch_size: int = 16,
        num_workers: int = 0,
        missing: dict[str, float] | None = None,
        class_weighting: Literal["none", "balanced"] = "none",
    ) -> None:
        super().__init__(root, fold, protocol, batch_size, num_workers, missing, class_weighting)
        if image_size is not None and image_size < 1:
            raise DataError(f"--data.image_size {image_size}: at least 1")
        if wave_seconds <= 0:
            raise DataError(f"--data.wave_seconds {wave_seconds}: more than 0")
        if modalities is not None and not modalities:
            raise DataError(f"--data.modalities []: name at least one of {', '.join(ARRAYS)}")
        self.modalities: list[str] = list(modalities or ["video", "audio"])
        self.frames = frames
        self.image_size = image_size
        self.wave_samples = round(WAVE_RATE * wave_seconds)
        self.augment = augment
        self.augment_scope = augment_scope
        self.color_order = color_order
        self.splits = Path(splits) if splits else SPLITS
        if unknown := set(self.missing) - set(self.modalities):
            raise DataError(f"--data.missing names {', '.join(sorted(unknown))}; read are {', '.join(self.modalities)}")

    @property
    def class_names(self) -> list[str]:
        """The eight emotions in the order of their codes 01 to 08."""
        return list(EMOTIONS)

    @cached_property
    def store(self) -> Store:
        """The prepared clips.

        Raises:
            DataError: If there are none, with the ways to get some, or if they lack a modality.
        """
        folder = Path(self.root) / "prepared"
        if not folder.exists():
            raise DataError(
                f"no prepared RAVDESS in {folder}. Real clips: see docs/data.md, then `python cli.py prepare ravdess "
                "--source DIR`.\nA stand-in: `python cli.py synth ravdess`, `python cli.py prepare ravdess --source "
                "data/synthetic/ravdess`, then `--data.root data/synthetic/ravdess`"
            )
        store = Store(folder)
        for modality in self.modalities:
            if ARRAYS[modality] not in store.arrays:
                raise DataError(
                    f"{folder} holds no {modality}: it was prepared from audio alone; use --data.modalities [audio]"
                )
        rate = store.setting("wave", "rate", old="audio", default=WAVE_RATE)
        if "wave" in self.modalities and rate != WAVE_RATE:
            raise DataError(
                f"{folder} holds waves of {rate} Hz, {WAVE_RATE} are needed: prepare with --views.wave.rate {WAVE_RATE}"
            )
        return store

    @property
    def fingerprint(self) -> str:
        """Fingerprint of the store."""
        return self.store.fingerprint

    @property
    def synthetic(self) -> bool:
        """Whether the store says that it is a stand-in."""
        return self.store.synthetic

    @property
    def input_shapes(self) -> dict[str, list[int]]:
        """``{"video": [3, T, H, W], "audio": [13, 212], "wave": [S]}`` for the modalities read."""
        shapes = {modality: list(self.store.shape(ARRAYS[modality], 0)) for modality in self.modalities}
        if "video" in shapes:
            stored, height, width, channels = shapes["video"]
            if self.frames is not None and not 1 <= self.frames <= stored:
                raise DataError(f"--data.frames {self.frames}: the store holds {stored} frames a clip")
            size = (self.image_size, self.image_size) if self.image_size else (height, width)
            shapes["video"] = [channels, self.frames or stored, *size]
        if "wave" in shapes:
            shapes["wave"] = [self.wave_samples]
        return shapes

    @cached_property
    def folds(self) -> np.ndarray:
        """Test fold of every clip of the store, ``(N,)``.

        Raises:
            DataError: If the split file is missing, lacks a column or clip or contradicts the store's speakers.
        """
        rows = read_table(self.splits, ("clip", "speaker", "fold"), "--data.splits")
        split, copies = settle(
            (row["clip"], {name: row[name] for name in ("speaker", "fold")}, row.place) for row in rows
        )
        if copies:
            rank_zero_warn(f"--data.splits {self.splits}: {copies} rows come twice and count once")
        folds = []
        for clip, speaker in zip(self.store.ids, self.store.groups, strict=True):
            row = split.get(clip[3:])  # audio-only and audio-video names differ in the first field alone
            if row is None:
                raise DataError(f"{self.splits.name} does not list clip {clip} of {self.root}")
            if row["speaker"] != speaker:
                raise DataError(f"{self.splits.name} gives clip {clip} to speaker {row['speaker']}, not {speaker}")
            if row["fold"] not in FOLDS:
                raise DataError(f"{self.splits.name}: fold {row['fold']!r} of clip {clip[3:]} is not one of 0 to 5")
            folds.append(FOLDS.index(row["fold"]))
        return np.array(folds)

    @cached_property
    def rows(self) -> dict[str, np.ndarray]:
        """Rows of the store per split.

        Raises:
            DataError: If a split is empty or two splits share a speaker.
        """
        return self.split_by_fold(self.folds, self.store.groups, self.splits.name)

    @property
    def train_labels(self) -> np.ndarray:
        """Class indices of the training clips."""
        return np.asarray(self.store.labels[self.rows["train"]])

    def dataset(self, split: Split) -> RAVDESSClips:
        """The clips of a split."""
        return RAVDESSClips(self, self.rows[split])

    def read(self, modality: str, row: int) -> np.ndarray:
        """One stored clip, with the asked-for number of frames or samples."""
        values = self.store.read(ARRAYS[modality], row)
        if modality == "wave":
            first = max(len(values) - self.wave_samples, 0) // 2
            part = values[first : first + self.wave_samples]
            return np.pad(part, (0, self.wave_samples - len(part)))
        if modality == "video" and self.frames and self.frames != len(values):
            values = values[np.linspace(0, len(values) - 1, self.frames).round().astype(int)]
        return values

    def valid_steps(self, modality: str, row: int) -> int:
        """Frames, MFCC steps or samples of a clip, without padding."""
        steps = self.store.shape(ARRAYS[modality], row)[-1 if modality == "audio" else 0]
        return min(steps, {"video": self.frames or steps, "audio": steps, "wave": self.wave_samples}[modality])

    def on_after_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        """Makes what the model sees, on its device: normalised, resized, augmented in training; sound as float."""
        if "wave" in self.modalities:
            batch = {**batch, "wave": batch["wave"].float() / 32768}
        if "video" not in self.modalities:
            return batch
        video, trainer = batch["video"], self.trainer
        clips, frames, height, width, _ = video.shape
        views = augment.whole_views(clips, (height, width))
        if self.augment and trainer is not None and trainer.training:
            epoch, scope = trainer.current_epoch, self.augment_scope
            views = augment.draw_views(global_seed(), epoch, batch["id"], frames, (height, width), scope)
        video = augment.resample(video, views, self.image_size or height)
        return {**batch, "video": augment.to_float(video, self.color_order)}
