"""Videos of one or several prepared corpora as one axis of grid steps: labels, visibility and pictures by step."""

import itertools
from functools import cached_property
from pathlib import Path

import numpy as np

from datamodules import recipe
from datamodules.errors import DataError
from datamodules.store.reader import Store

MODALITIES = ("face", "affect", "kinesics")
SPLITS = ("train", "val", "test")
RECIPE = "engagement"


def last_seen(seen: np.ndarray, first: np.ndarray) -> np.ndarray:
    """Return the step that each step takes its picture from: itself, else its video's last seen, else the first seen.

    Args:
        seen: bool ``(N,)`` over the steps of all videos.
        first: Where each video begins and, at the end, N: int64 ``(V + 1,)``.

    Returns:
        int64 ``(N,)``; a step of a video that never saw anything is its own.
    """
    places = np.arange(len(seen))
    begins = np.repeat(first[:-1], np.diff(first))
    before = np.maximum.accumulate(np.where(seen, places, -1)) if len(seen) else places
    # Seen steps in ascending order: the first one at or after a video's beginning is its first, if it is inside.
    found = np.flatnonzero(seen)
    after = np.append(found, len(seen))[np.searchsorted(found, begins)]
    ends = np.repeat(first[1:], np.diff(first))
    return np.where(before >= begins, before, np.where(after < ends, after, places))


def open_store(folder: Path) -> Store:
    """Return the store of an engagement corpus.

    Raises:
        DataError: There is none, with the ways to get one, or it is of another kind.
    """
    if not folder.exists():
        corpora = [name for name in recipe.names("catalogues") if recipe.catalogue_class(name).recipe == RECIPE]
        name = folder.parent.name
        corpus = name if name in corpora else corpora[0]
        raise DataError(
            f"no prepared videos in {folder}. Real ones: see docs/data.md, then `python cli.py prepare {corpus} "
            f"--source DIR`.\nA stand-in: `python cli.py synth {corpus}`, `python cli.py prepare {corpus} --source "
            f"data/synthetic/{corpus}`, then --data.roots [data/synthetic/{corpus}]"
        )
    store = Store(folder)
    if "labels" not in store.arrays or not all(row.get("split") in SPLITS for row in store.rows):
        raise DataError(f"{folder} holds no videos with labels over time and official splits; see docs/data.md")
    return store


class Grid:
    """Every step of every video of some corpora, video after video in the order of the stores.

    Args:
        stores: Of the corpora.
        kinesics: Which array the modality of that name reads, ``body`` or ``joints``.
        groups: Of every video.
        splits: ``train``, ``val`` or ``test`` of every video; empty for one in none.
        whole: Labels of every video as a whole ``(V, K)``, in place of those over time; NaN where there are none.
        known: With these, which videos have a label, bool ``(V,)``.

    Attributes:
        arrays: Stored array by modality.
        ids: Of every video.
        first: Where each video begins on the axis and, at the end, its length N: int64 ``(V + 1,)``.
    """

    def __init__(
        self,
        stores: list[Store],
        kinesics: str,
        groups: list[str],
        splits: np.ndarray,
        whole: np.ndarray | None = None,
        known: np.ndarray | None = None,
    ) -> None:
        self.arrays = dict(zip(MODALITIES, ("face", "face", kinesics), strict=True))
        self.stores, self.groups, self.splits = stores, groups, splits
        self.places = [(store, row) for store in stores for row in range(len(store))]
        self.ids = [store.ids[row] for store, row in self.places]
        self.whole, self.known = whole, known
        # Of a video that had to go without one of them, it is empty.
        steps = ("labels", *(f"{array}_seen" for array in dict.fromkeys(self.arrays.values())))
        counts = [
            max(store.shape(name, row)[0] for name in steps if name in store.arrays) for store, row in self.places
        ]
        self.first = np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])
        self._seen: dict[str, np.ndarray] = {}
        self._source: dict[str, np.ndarray] = {}

    def __len__(self) -> int:
        """Return the number of steps."""
        return int(self.first[-1])

    def videos(self, split: str) -> np.ndarray:
        """Return the videos of a split, in order."""
        return np.flatnonzero(self.splits == split)

    def shape(self, modality: str) -> list[int]:
        """Return the shape of one stored step of a modality.

        Raises:
            DataError: If a store lacks the modality or the stores differ.
        """
        array = self.arrays[modality]
        shapes = {}
        for store in self.stores:
            if array not in store.arrays:
                names = ", ".join(name for name in ("face", "body", "joints") if name in store.arrays)
                raise DataError(
                    f"{store.folder} holds no {array}, which {modality} reads; it has {names}. Give the other "
                    "--data.kinesics, or prepare it from boxes or by a detector that gives them (docs/data.md)"
                )
            if len(store):
                shapes[str(store.folder)] = list(store.shape(array, 0)[1:])
        found = list(shapes.values())
        if any(shape != found[0] for shape in found):
            raise DataError(f"--data.roots: {modality} differs in size ({shapes}); prepare both with the same sizes")
        return found[0]

    @cached_property
    def labels(self) -> np.ndarray:
        """Class probabilities of every step, float32 ``(N, 3)``, NaN where there is no label."""
        return self._whole("labels") if self.whole is None else self._repeated(self.whole)

    @cached_property
    def labelled(self) -> np.ndarray:
        """Which steps have a label, bool ``(N,)``."""
        return np.asarray(~np.isnan(self.labels).any(1)) if self.known is None else self._repeated(self.known)

    def visible(self, modality: str) -> np.ndarray:
        """Return which steps show a modality, bool ``(N,)``."""
        array = self.arrays[modality]
        if array not in self._seen:
            self._seen[array] = self._whole(f"{array}_seen").astype(bool)
        return self._seen[array]

    def source(self, modality: str) -> np.ndarray:
        """Return the step that stands in where a modality is unseen, its own where it is seen: int64 ``(N,)``."""
        array = self.arrays[modality]
        if array not in self._source:
            self._source[array] = last_seen(self.visible(modality), self.first)
        return self._source[array]

    def take(self, modality: str, steps: np.ndarray) -> np.ndarray:
        """Return stored pictures or joints of some steps.

        Args:
            modality: Which.
            steps: int64, any shape.

        Returns:
            Shape of `steps`, then of one step.
        """
        flat = steps.ravel()
        video = self.video_of(flat)
        taken = np.empty((len(flat), *self.shape(modality)), self.stores[0].arrays[self.arrays[modality]])
        cuts = [0, *(np.flatnonzero(np.diff(video)) + 1), len(flat)] if len(flat) else [0]
        for start, stop in itertools.pairwise(cuts):  # runs of one video, each one read
            store, row = self.places[video[start]]
            values = store.read(self.arrays[modality], row)
            taken[start:stop] = values[flat[start:stop] - self.first[video[start]]] if len(values) else 0
        return taken.reshape(*steps.shape, *taken.shape[1:])

    def video_of(self, steps: np.ndarray) -> np.ndarray:
        """Return the videos that steps are in, int64 of the same shape."""
        return np.asarray(np.searchsorted(self.first, steps, side="right") - 1)

    def _repeated(self, values: np.ndarray) -> np.ndarray:
        return np.repeat(values, np.diff(self.first), axis=0)

    def _whole(self, array: str) -> np.ndarray:
        parts = [store.read(array, row) for store, row in self.places]
        for place, count in enumerate(np.diff(self.first)):
            if not len(parts[place]) and count:  # nothing is seen, nothing is labelled
                fill = np.nan if parts[place].dtype.kind == "f" else 0
                parts[place] = np.full((count, *parts[place].shape[1:]), fill, parts[place].dtype)
        return np.concatenate(parts) if parts else np.empty(0)


def official_grid(folders: list[Path], kinesics: str) -> Grid:
    """Return the videos of corpora by their official splits.

    Their groups are ``<corpus>/<group>``, as their ids are ``<corpus>/<video>``.

    Args:
        folders: Of the stores, one a corpus.
        kinesics: See `Grid`.

    Raises:
        DataError: If a store is missing, real data and stand-ins are mixed, a video comes twice, or two splits share
            a group.
    """
    stores = [open_store(folder) for folder in folders]
    if len({store.synthetic for store in stores}) > 1:
        kinds = ", ".join(f"{store.folder} ({'SYNTHETIC' * store.synthetic or 'real'})" for store in stores)
        raise DataError(f"--data.roots mixes real data and stand-ins: {kinds}")
    ids = [name for store in stores for name in store.ids]
    if len(set(ids)) < len(ids):
        twice = next(name for name in ids if ids.count(name) > 1)
        raise DataError(f"--data.roots: video {twice} comes twice; name each corpus once")
    groups = [
        f"{name.partition('/')[0]}/{group}"
        for store in stores
        for name, group in zip(store.ids, store.groups, strict=True)
    ]
    splits = [row["split"] for store in stores for row in store.rows]
    owner: dict[str, str] = {}
    for name, group, split in zip(ids, groups, splits, strict=True):
        if owner.setdefault(group, split) != split:
            raise DataError(f"video {name}: {group} is in both {owner[group]} and {split}; prepare the corpus anew")
    return Grid(stores, kinesics, groups, np.array(splits))
