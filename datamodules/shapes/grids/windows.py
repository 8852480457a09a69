"""Videos on a grid of 5 steps a second, by frame and by window."""

from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from datamodules.batches import ClipDataset, Split
from datamodules.errors import DataError
from datamodules.shapes.grids.grid_data import GridDataModule, Modality
from datamodules.shapes.grids.window_rules import FPS, Windows, find_windows, steps_of


class FramesDataModule(GridDataModule):
    """Single frames of videos, for static models: those that show every modality asked for.

    Batches hold ``face`` ``(B, 3, S, S)``, or ``kinesics`` likewise or as joints ``(B, 17, 3)``; ids are
    ``<corpus>/<video>@<seconds>``.

    Args:
        root: Folder of the corpus.
        modalities: Which of ``face``, ``affect`` (the face for the emotion model) and ``kinesics`` to read.
        every: Keep every n-th grid step of a video, from the first one on, in all splits.
        augment: Augment training pictures by `still_augment`.
        batch_size: Clips per step and device.
        **kwargs: See `GridDataModule`.
    """

    step_kinds: ClassVar[dict[str, str]] = {"face": "picture", "body": "picture", "joints": "joints"}

    def __init__(
        self,
        root: str,
        modalities: list[Modality],
        every: int = 1,
        augment: bool = True,
        batch_size: int = 64,
        **kwargs: Any,
    ) -> None:
        super().__init__(root, modalities, augment=augment, batch_size=batch_size, **kwargs)
        if every < 1:
            raise DataError(f"--data.every {every}: at least 1")
        self.every = every

    @property
    def input_shapes(self) -> dict[str, list[int]]:
        """``{"face": [3, S, S], "kinesics": [17, 3]}``, or ``[D]`` of embeddings."""
        return {modality: self.shape(modality) for modality in self.modalities}

    @property
    def reading(self) -> dict[str, Any]:
        """How the frames of any clip become a batch like these."""
        return self.grid_reading("ClipFrames", every=self.every)

    def stretches(self, split: Split) -> ClipDataset:
        """Return the frames of a split."""
        grid = self.grid
        wanted = grid.labelled.copy()
        for modality in self.modalities:
            wanted &= grid.visible(modality)
        ids, groups, steps = [], [], []
        for video in grid.videos(split):
            begin, end = grid.first[video : video + 2]
            found = np.flatnonzero(wanted[begin : end : self.every]) * self.every
            ids += [f"{grid.ids[video]}@{step / FPS:g}" for step in found.tolist()]
            groups += [grid.groups[video]] * len(found)
            steps.append(begin + found)
        places = np.concatenate([np.empty(0, np.int64), *steps])
        return ClipDataset(self, places, ids, groups, self.stretch_targets(split, places, 1))

    def read(self, modality: str, steps: np.ndarray) -> Tensor:
        """Return frames at these steps: uint8 ``(B, S, S, 3)``, joints ``(B, 17, 3)``, or embeddings ``(B, D)``."""
        if modality in self.embeddings:
            return self.embeddings[modality][torch.from_numpy(steps)]
        return torch.from_numpy(self.grid.take(modality, steps))


class WindowsDataModule(GridDataModule):
    """Windows over videos by the rule of `datamodules.shapes.grids.window_rules`, all modalities on one time grid.

    Batches hold per modality ``(B, T, 3, S, S)`` or ``(B, T, 17, 3)``, or ``(B, T, D)`` after `use_embeddings`; ids are
    ``<corpus>/<video>@<from>-<to>`` in seconds. A window of embeddings is a view on the table of all steps.

    Args:
        root: Folder of the corpus.
        modalities: Which of ``face``, ``affect`` (the face for the emotion model) and ``kinesics`` to read.
        window: Seconds of a window; five steps each.
        stride: Seconds from one window to the next; half a window where not given.
        require: Modalities that a window has to show; those read where not given. A table that compares modalities
            names all of them, so that every row is scored on the same windows.
        batch_size: Clips per step and device.
        **kwargs: See `GridDataModule`.
    """

    step_kinds: ClassVar[dict[str, str]] = {
        "face": "window of pictures",
        "body": "window of pictures",
        "joints": "window of joints",
    }

    def __init__(
        self,
        root: str,
        modalities: list[Modality],
        window: float = 4.0,
        stride: float | None = None,
        require: list[Modality] | None = None,
        batch_size: int = 32,
        **kwargs: Any,
    ) -> None:
        super().__init__(root, modalities, batch_size=batch_size, **kwargs)
        self.length = steps_of(window)
        self.stride = max(1, self.length // 2) if stride is None else steps_of(stride)
        for name, seconds, steps in (("window", window, self.length), ("stride", stride, self.stride)):
            if steps < 1 or (seconds is not None and abs(FPS * seconds - steps) > 1e-6):
                raise DataError(f"--data.{name} {seconds}: give a multiple of {1 / FPS} s, the step of the grid")
        self.require = list(require or modalities)
        self._views: dict[str, Tensor] = {}
        self._windows: dict[Split, Windows] = {}

    @property
    def input_shapes(self) -> dict[str, list[int]]:
        """``{"face": [T, 3, S, S], "kinesics": [T, 17, 3]}``, or ``[T, D]`` of embeddings."""
        return {modality: [self.length, *self.shape(modality)] for modality in self.modalities}

    @property
    def reading(self) -> dict[str, Any]:
        """How windows over any clip become a batch like these."""
        return self.grid_reading("ClipWindows", window=self.length / FPS, stride=self.stride / FPS)

    def windows(self, split: Split) -> Windows:
        """Return where the windows of a split lie, and what was left out."""
        if split not in self._windows:
            grid = self.grid
            present = [grid.labelled, *(grid.visible(modality) for modality in self.require)]
            found = find_windows(grid.first, grid.videos(split), present, self.length, self.stride)
            self._windows[split] = found
        return self._windows[split]

    def stretches(self, split: Split) -> ClipDataset:
        """Return the windows of a split."""
        grid, found = self.grid, self.windows(split)
        begins = found.starts - grid.first[found.video]
        stretches = [f"{step / FPS:g}-{(step + self.length) / FPS:g}" for step in begins.tolist()]
        ids = [f"{grid.ids[video]}@{stretch}" for video, stretch in zip(found.video, stretches, strict=True)]
        groups = [grid.groups[video] for video in found.video]
        return ClipDataset(self, found.starts, ids, groups, self.stretch_targets(split, found.starts, self.length))

    def _why_none(self, split: Split) -> str:
        found, videos = self.windows(split), len(self.grid.videos(split))
        return (
            f"of {videos} videos {found.too_short} are shorter than {self.length / FPS:g} s, and {found.unseen} "
            f"windows show {' or '.join(self.require)} in less than half of their steps"
        )

    def use_embeddings(self, modality: str, features: Tensor) -> None:
        """Make batches carry windows of embeddings, which are views on one table.

        Args:
            modality: Which.
            features: float32 ``(N_items, D)``, in the order of `items`.

        Raises:
            DataError: If their number is another one.
        """
        super().use_embeddings(modality, features)
        source = torch.from_numpy(self.grid.source(modality))
        own = torch.arange(len(source))
        table = features.contiguous() if torch.equal(source, own) else features[source]
        steps, width = table.shape
        count = max(0, steps - self.length + 1)
        self._views[modality] = table.as_strided((count, self.length, width), (width, width, 1))

    def read(self, modality: str, steps: np.ndarray) -> Tensor:
        """Return windows that begin at these steps: uint8 ``(B, T, S, S, 3)``, joints or embeddings ``(B, T, D)``."""
        if modality in self._views:
            return self._views[modality][torch.from_numpy(steps)]
        places = self.grid.source(modality)[steps[:, None] + np.arange(self.length)]
        return torch.from_numpy(self.grid.take(modality, places))
