"""The kinds of arrays that clips are read from: how a batch holds one, and what a model sees of it.

A kind is chosen by the view that made the array, which the store's manifest names.
"""

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from datamodules import augment, still_augment
from datamodules.batches import global_seed, zero_absent
from datamodules.errors import DataError
from datamodules.shapes.kinds.kind import Kind
from datamodules.shapes.kinds.whole_frames import frame_groups, group_count, normalised, pixel_facts
from datamodules.store.reader import Store

if TYPE_CHECKING:
    from datamodules.shapes.clip_arrays import ClipArraysDataModule

WAVE_RATE = 44100  # Hz
TOLERATED = 2  # MFCC steps that a RAVDESS clip may lack and that the papers' code takes for sound


class Pictures(Kind):
    """Pictures over time: uint8 ``(B, T, H, W, 3)``, for the model float ``(B, 3, T, H, W)``."""

    name = "clip of pictures"
    view = "faces"
    augments = True
    items_per_clip = 1

    def __init__(self, store: Store, array: str, data: "ClipArraysDataModule") -> None:
        super().__init__(store, array, data)
        count = self.stored[0]
        if data.frames is not None and not 1 <= data.frames <= count:
            raise DataError(f"--data.frames {data.frames}: the store holds {count} frames a clip")
        self.frames = data.frames or count

    @property
    def shape(self) -> list[int]:
        """``[3, T, H, W]``."""
        _, height, width, channels = self.stored
        size = self.data.image_size
        return [channels, self.frames, size or height, size or width]

    def read_one(self, row: int) -> np.ndarray:
        """Return the frames that are asked for, spread evenly over those stored."""
        values = self.store.read(self.array, row)
        if self.frames != len(values):
            values = values[np.linspace(0, len(values) - 1, self.frames).round().astype(int)]
        return values

    def valid_steps(self, row: int) -> int:
        """Return the number of frames."""
        return self.frames

    def to_model_input(self, values: Tensor, present: Tensor, ids: list[str], epoch: int | None) -> Tensor:
        """Return them resized, augmented and normalised."""
        clips, frames, height, width, _ = values.shape
        views = augment.whole_views(clips, (height, width))
        if epoch is not None:
            scope = self.data.augment_scope
            views = augment.draw_views(global_seed(), epoch, ids, frames, (height, width), scope)
        shown = augment.resample(values, views, self.data.image_size or height)
        return augment.to_float(shown, self.data.color_order)

    @property
    def items_key(self) -> str:
        """The array, which frames, their size and the order of their colours."""
        return f"{self.array} {self.frames} {self.shape[2:]} {self.data.color_order}"

    @property
    def facts(self) -> dict[str, Any]:
        """Statistics of the pixels."""
        return {"mean": augment.IMAGENET_MEAN, "std": augment.IMAGENET_STD}


class Coefficients(Kind):
    """MFCCs: float32 ``(B, 13, S)``, zeros after the end of a short clip."""

    name = "MFCCs"
    view = "mfcc"
    step_axes = (1,)

    def valid_steps(self, row: int) -> int:
        """Return the number of steps up to the zeros at the end."""
        steps = int(self._blank.shape[-1])
        if not self.there[row]:
            return steps
        sound = np.flatnonzero(self.store.read(self.array, row).any(0))
        padded = steps - 1 - int(sound[-1]) if len(sound) else 0
        return steps - padded if padded > TOLERATED else steps


class Wave(Kind):
    """The sound itself: int16 ``(B, S)``, for the model float32 in -1 to 1: its middle, or zeros after its end."""

    name = "wave"
    view = "wave"
    items_per_clip = 1

    def __init__(self, store: Store, array: str, data: "ClipArraysDataModule") -> None:
        super().__init__(store, array, data)
        rate = store.setting(array, "rate", old="audio", default=WAVE_RATE)
        if rate != WAVE_RATE:
            raise DataError(
                f"{store.folder} holds waves of {rate} Hz, {WAVE_RATE} are needed: prepare with "
                f"--views.{array}.rate {WAVE_RATE}"
            )
        self.samples = round(WAVE_RATE * data.wave_seconds)

    @property
    def shape(self) -> list[int]:
        """``[S]``."""
        return [self.samples]

    def read_one(self, row: int) -> np.ndarray:
        """Return the middle of the wave, or all of it and zeros."""
        values = self.store.read(self.array, row)
        first = max(len(values) - self.samples, 0) // 2
        part = values[first : first + self.samples]
        return np.pad(part, (0, self.samples - len(part)))

    def valid_steps(self, row: int) -> int:
        """Return the number of samples of the clip."""
        return min(self.store.shape(self.array, row)[0], self.samples) if self.there[row] else self.samples

    def to_model_input(self, values: Tensor, present: Tensor, ids: list[str], epoch: int | None) -> Tensor:
        """Return it as float."""
        return values.float() / 32768

    @property
    def items_key(self) -> str:
        """The array and how much of it."""
        return f"{self.array} {self.samples}"

    @property
    def facts(self) -> dict[str, Any]:
        """Samples per second."""
        return {"rate": WAVE_RATE}


class Frames(Kind):
    """Whole frames ``(B, N, 3, H, W)``, for the model normalised; an encoder sees groups of N / G of them."""

    name = "whole frames"
    view = "whole_frames"

    def to_model_input(self, values: Tensor, present: Tensor, ids: list[str], epoch: int | None) -> Tensor:
        """Return them normalised; absent clips stay zeros."""
        return zero_absent(normalised(values, self.data.normalization), present)

    @property
    def items_per_clip(self) -> int:  # type: ignore[override]
        """Number of groups: one per spectrogram beside them, or one a second."""
        beside = [kind.stored[0] for kind in self.data.kinds.values() if isinstance(kind, Spectrograms)]
        return group_count(self.stored[0], beside[0] if beside else None)

    def items(self, start: int, stop: int) -> Tensor:
        """Return groups of consecutive frames, normalised, float ``(stop - start, N / G, 3, H, W)``."""

        def read(rows: range) -> Tensor:
            return torch.from_numpy(self.read(rows, self.there[rows.start : rows.stop]))

        return normalised(frame_groups(read, self.items_per_clip, start, stop), self.data.normalization)

    @property
    def items_key(self) -> str:
        """The array, its groups and how pixels are normalised."""
        return f"{self.array} in {self.items_per_clip}, {self.data.normalization}"

    @property
    def facts(self) -> dict[str, Any]:
        """Statistics of the pixels."""
        return pixel_facts(self.data.normalization)

    def embedded(self, table: Tensor, rows: np.ndarray, present: Tensor) -> Tensor:
        """Return the embeddings of the groups, ``(B, G, D)``."""
        return super().embedded(table.view(-1, self.items_per_clip, table.shape[1]), rows, present)


class Spectrograms(Kind):
    """Spectrograms of the parts of a clip, float32 ``(B, N, 1, H, W)``."""

    name = "spectrograms"
    view = "spectrograms"
    step_axes = (0, 1, 3)

    def is_silent(self, values: Tensor) -> Tensor:
        """Return which clips have no sound at all."""
        return ~values.flatten(1).any(1)


class Tokens(Kind):
    """Ids of a text, int64 ``(B, L)``, 0 = padding."""

    name = "tokens"
    view = "tokens"
    items_per_clip = 1

    def read_one(self, row: int) -> np.ndarray:
        """Return the ids."""
        return self.store.read(self.array, row).astype(np.int64)

    def is_silent(self, values: Tensor) -> Tensor:
        """Return which texts hold no word."""
        return ~values.any(1)

    def valid_steps(self, row: int) -> int:
        """Return the number of ids, 0 without a text."""
        return int(np.count_nonzero(self.store.read(self.array, row)))


class Still(Kind):
    """One picture: uint8 ``(B, S, S, 3)``, for the model float ``(B, 3, S, S)``."""

    name = "picture"
    view = "face"
    augments = True
    items_per_clip = 1

    @property
    def shape(self) -> list[int]:
        """``[3, S, S]``."""
        height, width, channels = self.stored
        return [channels, height, width]

    def to_model_input(self, values: Tensor, present: Tensor, ids: list[str], epoch: int | None) -> Tensor:
        """Return it augmented and normalised."""
        if epoch is not None:
            values = still_augment.augment(values, ids, global_seed(), epoch, still_augment.make_transform())
        return augment.to_float(values[:, None])[:, :, 0]

    @property
    def facts(self) -> dict[str, Any]:
        """Statistics of the pixels."""
        return {"mean": augment.IMAGENET_MEAN, "std": augment.IMAGENET_STD}


class Functionals(Kind):
    """Functionals of speech, float32 ``(B, D)``."""

    view = "functionals"
    step_axes = ()


class Mesh(Kind):
    """A mesh over the face and its velocities over time, float32 ``(B, S, D)``, zeros after the end of a short clip."""

    view = "face_mesh"
    step_axes = (0,)

    def __init__(self, store: Store, array: str, data: "ClipArraysDataModule") -> None:
        super().__init__(store, array, data)
        self.steps = max(store.shape(array, row)[0] for row in range(len(store)))

    @property
    def shape(self) -> list[int]:
        """``[S, D]``, of the longest clip."""
        return [self.steps, *self.stored[1:]]

    def read_one(self, row: int) -> np.ndarray:
        """Return the steps, and zeros up to those of the longest clip."""
        values = self.store.read(self.array, row)
        return np.pad(values, ((0, self.steps - len(values)), (0, 0)))

    def valid_steps(self, row: int) -> int:
        """Return the number of steps of the clip."""
        return int(self.store.shape(self.array, row)[0]) if self.there[row] else self.steps


KINDS = {kind.view: kind for kind in Kind.__subclasses__()}
