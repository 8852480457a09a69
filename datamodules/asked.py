"""Raw files as batches of a training that a checkpoint describes: its recipe over a catalogue of what is asked about.

Views, store and DataModules are those of a preparation and a training; nothing is made in a second way.
"""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from datamodules.batches import ClipDataset
from datamodules.entries import Entry
from datamodules.errors import DataError
from datamodules.reading.tokens import Tokens
from datamodules.recipe import Recipe, restored
from datamodules.shapes.clip_grids import ClipFrames, ClipWindows
from datamodules.shapes.clip_utterances import ClipUtterances
from datamodules.shapes.clips import ClipsDataModule
from datamodules.shapes.grids.grid import Grid
from datamodules.shapes.grids.grid_data import GridDataModule
from datamodules.shapes.known_options import known_options, known_vocabularies
from datamodules.store.held import HeldStore
from datamodules.store.making import WINDOWS_A_JOB, Prepared, complete, jobs_of_windows, prepare_asked
from datamodules.store.parallel import ordered
from datamodules.views.base import EntryView, MediaView
from datamodules.views.tokens import TokenIds
from datamodules.vocabularies import META

SHAPES: dict[str, Any] = {shape.__name__: shape for shape in (ClipsDataModule, ClipFrames, ClipWindows, ClipUtterances)}


class Reader:
    """What turns raw files into batches.

    Args:
        described: What a DataModule left in a checkpoint (`EmotionDataModule.state_dict`), of anybody.

    Attributes:
        modalities: That the model reads.
        fields: Values by field of what may be told of a clip besides.
        takes: What a row may have in place of a file.

    Raises:
        DataError: It does not say how a raw file is read, or that cannot be.
    """

    shapes: Mapping[str, Any] = SHAPES
    takes: tuple[str, ...] = ()

    def __init__(self, described: Mapping[str, Any]) -> None:
        reading = described.get("reading")
        if not isinstance(reading, dict) or str(reading.get("data")) not in self.shapes:
            raise DataError("it does not say how a raw file becomes its input")
        self.shape = self.shapes[reading["data"]]
        self.options = self.known(reading.get("options", {}))
        settings = described.get("prepared_by") or {}
        if "views" not in settings:  # of several corpora, which are read alike
            settings = next((one for one in settings.values() if isinstance(one, dict) and "views" in one), settings)
        wanted = reading.get("arrays", ())
        self.recipe = restored(settings, wanted) if wanted else Recipe("", {})
        self.settings = {
            "catalogue": {"name": "clips"},
            "views": {name: settings["views"][name] for name in self.views},
        }
        for name, view in self.views.items():
            if isinstance(view, TokenIds):
                _find_tokenizer(view, described.get("tokenizers", {}).get(name), settings["views"][name])
        self.vocabularies = known_vocabularies(described.get("vocabularies", {}))
        self.modalities: list[str] = list(self.options.get("modalities", ()))
        self.fields = self.vocabularies if META in self.modalities else {}

    def known(self, options: Any) -> dict[str, Any]:
        """Return the options of anybody's description; a DataError where they are none."""
        return known_options(self.shape, options)

    @property
    def views(self) -> dict[str, Any]:
        """Views by name."""
        return self.recipe.views

    @property
    def media(self) -> dict[str, MediaView]:
        """Those of what is decoded."""
        return {name: view for name, view in self.views.items() if isinstance(view, MediaView)}

    @property
    def person(self) -> str:
        """Whom it follows where there are several people; empty of what cannot tell them apart."""
        told = (view for view in self.views.values() if hasattr(view, "person"))
        finds = (
            view for view in told if getattr(view, "searches", getattr(view, "finder", "blazeface") == "blazeface")
        )
        return next((str(view.person) for view in finds), "")

    @property
    def reads_text(self) -> bool:
        """Whether a text is read."""
        return any(isinstance(view, TokenIds) for view in self.views.values())

    def view_of(self, modality: str) -> str:
        """Return the name of the view that a modality is made by."""
        array = self.options.get("arrays", {}).get(modality, modality)
        return next((name for name, view in self.views.items() if array in view.arrays(name)), modality)

    def rows(self, path: Path) -> list[dict[str, Any]] | None:
        """Return a row for every clip of a file or folder that holds what it `takes`; None of sound and pictures."""
        return None

    def given(self, row: Mapping[str, Any], name: str) -> Entry | None:
        """Return the entry, of that name, of a row with what it `takes`; None of other rows."""
        return None

    def prepare(self, entries: Sequence[Entry], workers: int = 1) -> Iterator[Prepared]:
        """Yield the arrays of entries, in order, or the reason why there are none."""
        for name, view in self.media.items():
            entries = [view.beside(name, entry) for entry in entries]
        here = {name: view for name, view in self.views.items() if isinstance(view, EntryView)}
        jobs = jobs_of_windows(entries, workers)
        # What one worker cannot hold is made here, one by one.
        alone = min(workers, len(jobs)) <= 1 or not self.media or max(map(len, jobs)) > WINDOWS_A_JOB
        optional, texts = self.recipe.optional, self.reads_text
        make = partial(prepare_asked, views=self.media, optional=optional, texts=texts, alone=alone)
        made = (one for of in ordered(make, jobs, 1 if alone else workers) for one in of)
        for entry, one in zip(entries, made, strict=True):
            complete([entry], here, [one])
            yield one

    def read(self, entries: Sequence[Entry], prepared: Sequence[Prepared]) -> "Any":
        """Return the DataModule of entries that have been prepared.

        Args:
            entries: With ``meta_<field>`` among their columns.
            prepared: Their arrays.
        """
        rows = [
            {"id": entry.id, "group": entry.group or entry.id}
            | {f"meta_{name}": entry.columns.get(f"meta_{name}", "") for name in self.vocabularies}
            for entry in entries
        ]
        store = HeldStore(self.settings, rows, [one.arrays for one in prepared])
        options = dict(self.options)
        if self.shape is ClipsDataModule:  # an array that no clip has is no modality of theirs
            arrays = options.get("arrays", {})
            there = [name for name in self.modalities if name == META or _is_there(store, arrays.get(name, name))]
            options["modalities"] = there
        return _asked(self.shape)(store, self.vocabularies, options)


@cache
def _asked(shape: Any) -> Any:
    """Return the shape without labels and splits; by a name of its own, as settings name classes."""
    return type(f"_Asked{shape.__name__}", (_Asked, shape), {"__module__": __name__})


def _find_tokenizer(view: TokenIds, files: Any, settings: Mapping[str, Any]) -> None:
    """Give a view the tokenizer that a checkpoint keeps, or, if it is the same, the one that the recipe falls back on.

    Raises:
        DataError: There is neither.
    """
    if files:
        view.with_files(files)
        return
    try:
        same = Tokens(view.fallback).settings == settings.get("tokenizer")
    except DataError:
        same = False
    if not same:
        raise DataError("it does not keep its tokenizer, as its store does not: prepare anew and train again")
    view.with_files(Tokens(view.fallback).files)


def _is_there(store: HeldStore, array: str) -> bool:
    return array in store.arrays and any(0 not in store.shape(array, row) for row in range(len(store)))


class _Asked:
    """What a DataModule of clips is without labels and splits; what training fitted is given."""

    num_folds = 1

    def __init__(self, store: HeldStore, vocabularies: dict[str, list[str]], options: Mapping[str, Any]) -> None:
        self.store, self.vocabularies = store, vocabularies
        super().__init__(str(store.folder), store="prepared", **options)  # type: ignore[call-arg]

    def everything(self) -> ClipDataset:
        """Return all clips of a shape that has no frames or windows."""
        rows = np.arange(len(self.store))
        found: ClipDataset = self.clips(rows, torch.zeros(len(rows)))  # type: ignore[attr-defined]
        return found

    def open_grid(self) -> Grid:
        """Return the videos, as if every step had a label."""
        count, store = len(self.store), self.store
        kinesics: str = self.kinesics  # type: ignore[attr-defined]
        splits, labels = np.full(count, "test", object), np.zeros((count, 1), np.float32)
        return Grid([store], kinesics, store.groups, splits, labels, np.ones(count, bool))

    def stretch_targets(self, split: str, starts: np.ndarray, length: int) -> torch.Tensor:
        """Return nothing that counts."""
        return torch.zeros(len(starts))


def stretches(data: Any) -> tuple[ClipDataset, np.ndarray]:
    """Return everything that a DataModule of `Reader.read` has to say, and which entry each of it is of, ``(N,)``."""
    if not isinstance(data, GridDataModule):
        found = data.everything()
        return found, found.rows
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what is left out is told by clip
        found = data.stretches("test")
    return found, data.grid.video_of(found.rows)
