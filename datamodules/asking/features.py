"""Features made elsewhere, asked about: arrays of a clip by modality as the batches of a training."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from datamodules.asked import Reader
from datamodules.asking.clip_features import FEATURES, ClipFeatures
from datamodules.base import EmotionDataModule
from datamodules.batches import Batch, ClipDataset, zero_absent
from datamodules.entries import Entry
from datamodules.errors import DataError
from datamodules.reading.feature_kinds import FeatureKinds
from datamodules.reading.media_files import kind_of
from datamodules.shapes.feature_tables import Table, scaled
from datamodules.shapes.kinds.whole_frames import normalised
from datamodules.shapes.precomputed import PrecomputedTensorDataModule
from datamodules.shapes.sequences import Sequences
from datamodules.store.making import Prepared


class FeatureReader(Reader):
    """A reader of features; of sound and pictures too where a recipe made some of them. See `Reader`."""

    shapes: Mapping[str, Any] = {PrecomputedTensorDataModule.__name__: PrecomputedTensorDataModule}
    takes = (FEATURES, "id")

    def __init__(self, described: Mapping[str, Any]) -> None:
        super().__init__(described)
        self.kinds = FeatureKinds.restored(self.options, described.get("provenance"))
        self.files = ClipFeatures(self.kinds)

    def known(self, options: Any) -> dict[str, Any]:
        """Return the options; `FeatureKinds` looks at every one of them."""
        return dict(options) if isinstance(options, Mapping) else {}

    def rows(self, path: Path) -> list[dict[str, Any]] | None:
        """Return a row for every clip whose features a file or folder holds; None for sound and pictures."""
        try:
            found = self.files.rows(path)
        except DataError:
            return [{"file": str(path)}]  # what is wrong with it is told where it is answered
        return found if found or self.views else [{"file": str(path)}]

    def given(self, row: Mapping[str, Any], name: str) -> Entry | None:
        """Return the entry of a row with features; None of one with sound or pictures, where these are of use."""
        called = str(row.get("file") or row.get("id") or "features in memory")[:200]
        try:
            found = self.files.one(row)
        except DataError as error:
            return Entry(name, name=called, problem=str(error))
        if found is not None:
            return Entry(name, name=called, extra={FEATURES: found[FEATURES], "id": found.get("id") or ""})
        if self.views and (row.get("file") is None or kind_of(Path(row["file"]))):
            return None
        wanted = self.kinds.told_of(self.modalities)
        return Entry(name, name=called, problem=f"it holds no features; the model reads {wanted}")

    def prepare(self, entries: Sequence[Entry], workers: int = 1) -> Iterator[Prepared]:
        """Yield the arrays of entries by modality, in order, or the reason why there are none."""
        of_media = [entry for entry in entries if not entry.reason and FEATURES not in entry.extra]
        made = super().prepare(of_media, workers)
        for entry in entries:
            if entry.reason:
                yield Prepared("", reason=entry.reason)
            else:
                yield self._read(entry) if FEATURES in entry.extra else self._viewed(entry, next(made))

    def _read(self, entry: Entry) -> Prepared:
        given, clip = entry.extra[FEATURES], entry.extra["id"]
        try:
            arrays = {name: self.files.read(name, source, clip) for name, source in given.items()}
        except DataError as error:
            return Prepared("", reason=str(error))
        return Prepared(
            "",
            arrays,
            missing=self._without(entry, [name for name in self.modalities if name not in given], "not given"),
        )

    def _viewed(self, entry: Entry, made: Prepared) -> Prepared:
        """Return by modality what a recipe made of sound and pictures."""
        own = {name: self.kinds.array(name) for name in self.modalities}
        arrays = {name: of for name, array in own.items() if (of := made.arrays.get(array)) is not None and of.size}
        viewed = {array for name, view in self.views.items() for array in view.arrays(name)}
        others = [name for name, array in own.items() if array not in viewed]
        told = self._without(entry, others, "no recipe here makes these features: give a file of them")
        return Prepared(made.sha256, arrays, missing=(*made.missing, *told), reason=made.reason)

    def _without(self, entry: Entry, modalities: Sequence[str], reason: str) -> tuple[tuple[str, str, str, str], ...]:
        return tuple(("", name, entry.name, reason) for name in modalities)

    def read(self, entries: Sequence[Entry], prepared: Sequence[Prepared]) -> Any:
        """Return the DataModule of entries that have been prepared; arguments are those of `Reader.read`."""
        tables: dict[str, Table] = {}
        kinds = self.kinds
        there = {name: np.array([name in one.arrays for one in prepared]) for name in self.modalities}
        for name in self.modalities:
            items = [torch.from_numpy(one.arrays.get(name, kinds.nothing(name))) for one in prepared]
            steps = name in kinds.sequences
            table = Sequences(items, kinds.axis(name), kinds.steps.get(name)) if steps else torch.stack(items)
            tables[name] = scaled(table, kinds.statistics.get(name), np.flatnonzero(there[name]))
        return _Asked([entry.id for entry in entries], tables, there, kinds.normalization)


class _Asked(PrecomputedTensorDataModule):
    """Features without labels and splits.

    Args:
        ids: Of the clips.
        tables: Their features by modality.
        there: Which clips have a modality, bool ``(N,)``.
        frames: Normalization of pixels, where these are frames and spectrograms; empty for other features.
    """

    def __init__(
        self, ids: list[str], tables: dict[str, Table], there: dict[str, np.ndarray], frames: Any = ""
    ) -> None:
        EmotionDataModule.__init__(self, "the files asked about")
        self.ids, self.tables, self.there = ids, tables, there
        self.modalities, self.frames = list(tables), frames

    def everything(self) -> ClipDataset:
        """Return all clips."""
        return ClipDataset(self, np.arange(len(self.ids)), self.ids, self.ids, torch.zeros(len(self.ids)))

    def fill(self, batch: Batch, rows: np.ndarray) -> None:
        """Add the features, zeros where a clip has none."""
        for modality, there in self.there.items():
            batch["mask"][modality] &= torch.from_numpy(there[rows])
        super().fill(batch, rows)
        if self.frames and "audio" in self.tables:  # a silent clip says nothing
            batch["mask"]["audio"] &= batch["audio"].flatten(1).any(1)

    def on_after_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        """Convert frames to the model's input on its device; absent clips stay zeros."""
        if not self.frames or "video" not in self.tables:
            return batch
        return {**batch, "video": zero_absent(normalised(batch["video"], self.frames), batch["mask"]["video"])}
