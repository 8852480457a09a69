"""``.pt`` files in the layout of the code released with Augusma et al. (ICMI 2023), and an index of them.

Arrays are called like the ends of the files: ``img_5``, ``spec_75``. What was made of which entry is recorded in
``prepared/frames-<N>``, a store without arrays; `datamodules.catalogues.vgaf.index` says what the index of all is.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from atomic_files import write_atomic
from datamodules.catalogues.vgaf.index import write_index
from datamodules.catalogues.vgaf.labels import SPLITS, read_sources, split_labels, write_sources
from datamodules.catalogues.vgaf.layout import KINDS, SETS, Clip, folder_number, real_folder, synthetic_folder
from datamodules.catalogues.vgaf.sounds import give_sounds
from datamodules.entries import Catalogue, Entry
from datamodules.errors import DataError
from datamodules.reading.matches import print_counts, print_unmatched
from datamodules.reading.stand_in import is_stand_in
from datamodules.sinks.base import Filled, StoreSink
from datamodules.store.reader import Store, read_own_table
from tensor_files import save_torch

SOUND = f"{KINDS['audio']}_"  # how the names of its arrays begin


@dataclass(frozen=True)
class TensorSink(StoreSink):
    """A file for every array of a clip.

    Attributes:
        seed: Of the draw of sounds for synthetic clips.
    """

    packages: ClassVar[tuple[str, ...]] = ("torch",)

    seed: int = 2023

    def holds(self, catalogue: Catalogue) -> bool:
        """Return whether the corpus knows the parts that the folders are named after."""
        return "part" in catalogue.columns

    def adopt(self, source: Path, out: Path | None) -> Filled | None:
        """Index a folder of tensors in place; None where it is no such folder.

        Raises:
            DataError: A label file or a tensor is wrong, or the corpus is wanted elsewhere.
        """
        if any((source / split).is_dir() for split in SPLITS) or not any((source / name).is_dir() for name in SETS):
            return None
        copies = Counter[str]()
        labels = split_labels(source, copies)
        if out and out.resolve() != source.resolve():
            raise DataError(f"--out {out}: tensors are indexed where they are, in {source}; leave the option out")
        for place in (real_folder(source, number) / split for number in (5, 75) for split in SPLITS):
            if place.is_dir():
                made = {path.name.partition(".mp4.")[0] for path in place.glob("[!.]*.mp4.*.pt")}
                print_unmatched(f"{place.parent.name}/{place.name}", labels[place.name], made, "tensor")
        print_counts(copies)
        return _indexed(source, synthetic=is_stand_in(source, "vgaf"))

    def check(self, out: Path, entries: Sequence[Entry], arrays: Collection[str]) -> None:
        """Refuse a seed that is none, and tensors that are there without a record."""
        if self.seed < 0:
            raise DataError(f"--sink.seed {self.seed}: a whole number from 0")
        first = [next(iter(_files(out, entry, arrays).values())) for entry in entries]
        if not self.folder(out, "", arrays).exists() and (there := [path for path in first if path.exists()]):
            raise DataError(
                f"{there[0]} is there, one of {len(there)} that this command did not make.\n"
                "Delete them to make them anew, or write elsewhere with --out"
            )

    def folder(self, out: Path, name: str, arrays: Collection[str]) -> Path:
        """Return the folder of the record."""
        return out / "prepared" / f"frames-{_frames(arrays)}"

    def arrays(self, dtypes: Mapping[str, str]) -> dict[str, str]:
        """Return no array: all go into files."""
        return {}

    def write_files(self, out: Path, entry: Entry, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Write a file for every array in which there is something."""
        for name, path in _files(out, entry, arrays).items():
            if len(arrays[name]):
                write_tensor(path, arrays[name])
        return {}

    def after(self, source: Path, out: Path, entries: Sequence[Entry], arrays: Collection[str]) -> None:
        """Copy the label files, and give synthetic clips their sounds.

        Raises:
            DataError: A file that was made is gone, label files are there that say otherwise, or there is no sound.
        """
        files = [(entry, name, path) for entry in entries for name, path in _files(out, entry, arrays).items()]
        for entry, name, path in files:
            if not path.is_file() and not (name.startswith(SOUND) and "audio" not in entry.media):
                raise DataError(
                    f"{path} was made and is gone; delete {self.folder(out, '', arrays)} and {path.parent.parent} and "
                    "run the same again"
                )
        for place in {path.parent for _, _, path in files}:
            for part in place.glob(".*.tmp"):  # of a worker that was killed
                part.unlink()
        for split in SPLITS:
            _copy(source / f"{split}_labels.txt", out)
        drawn = next((medium.path for entry in entries for medium in entry.media.values() if medium.frames), None)
        if drawn:
            self._add_sounds(drawn.parents[1], out, [_clip(entry) for entry in entries], arrays)

    def _add_sounds(self, drawn: Path, out: Path, clips: Sequence[Clip], arrays: Collection[str]) -> None:
        number = folder_number([_frames(arrays)])
        folder, train = synthetic_folder(out, number), real_folder(out, number) / SPLITS[0]
        for path in sorted(drawn.glob("*_labels.txt")):
            _copy(path, folder)
        takers = [clip for clip in clips if clip.synthetic]
        givers = [clip for clip in clips if clip.part == SPLITS[0]]
        counts = [int(name.removeprefix(SOUND)) for name in arrays if name.startswith(SOUND)]
        write_sources(folder, [*read_sources(drawn), *give_sounds(takers, folder, givers, train, counts, self.seed)])

    def finish(self, out: Path, store: Store) -> Filled:
        """Index everything below the folder of the corpus."""
        filled = _indexed(out, synthetic=store.synthetic)
        drawn = sum(row["part"] not in SPLITS for row in store.rows)
        return replace(filled, content=f"{filled.content}, {drawn} of the clips synthetic") if drawn else filled


def write_tensor(path: Path, values: np.ndarray) -> None:
    """Save an array as ``torch.save`` does, so that a reader sees all of it or nothing.

    Raises:
        OSError: It cannot be written; the file is named.
    """
    import torch  # `--help` and the listing of a folder do without

    save_torch(torch.from_numpy(values), path, sync=False)


def _frames(arrays: Collection[str]) -> int:
    """Return how many frames a clip has, by the name of their array."""
    found = [int(count) for kind, _, count in (name.rpartition("_") for name in arrays) if kind == KINDS["video"]]
    if not found:
        raise DataError(f"--recipe: tensors are made of a view called {KINDS['video']}, and it has none")
    return found[0]


def _clip(entry: Entry) -> Clip:
    return Clip(entry.group, entry.columns["part"], entry.label)


def _files(out: Path, entry: Entry, arrays: Collection[str]) -> dict[str, Path]:
    """Return the file of every array of an entry."""
    clip = _clip(entry)
    place = clip.place(out, folder_number([_frames(arrays)]))
    return {name: place / clip.file(*name.rsplit("_", 1)) for name in arrays}


def _copy(source: Path, folder: Path) -> None:
    """Copy a label file.

    Raises:
        DataError: The folder has one of other content, which is somebody else's.
    """
    content, target = source.read_bytes(), folder / source.name
    if not target.exists():
        write_atomic(target, content, sync=False)
    elif target.read_bytes() != content:
        raise DataError(f"{target} is of another corpus than {source}; write elsewhere with --out")


def _indexed(root: Path, *, synthetic: bool) -> Filled:
    """Write the index of everything below a folder; return what it holds.

    Raises:
        DataError: A tensor is damaged, or the folder holds a stand-in and real clips.
    """
    sets: dict[str, Any] = {}
    for mark in sorted((root / "prepared").glob("frames-*/COMPLETE")):
        store, frames = Store(mark.parent), int(mark.parent.name.removeprefix("frames-"))
        if store.synthetic != synthetic:
            raise DataError(f"{root} holds a stand-in and real clips; write elsewhere with --out")
        sets[str(frames)] = {
            "folder": folder_number([frames]),
            "settings": store.manifest["settings"],
            "counts": store.manifest["counts"],
            "skipped": [row["id"] for row in read_own_table(store.folder / "skipped.csv")],
            "versions": store.manifest["versions"],
        }
    manifest = write_index(root, synthetic=synthetic, about={"sets": sets})
    numbers = [
        f"{made['counts']['used']} clips of {frames} frames ({made['counts']['skipped']} skipped)"
        for frames, made in sets.items()
    ]
    content = f"{', '.join(numbers) or 'tensors made elsewhere'}: {manifest['tensors']} tensors"
    return Filled(content, manifest["fingerprint"], synthetic, root)
