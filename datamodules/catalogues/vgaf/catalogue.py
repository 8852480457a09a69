"""VGAF (Sharma et al.; EmotiW 2023): 5-second films of groups of people, and clips that a generator drew.

``{Train,Val}/<clip>.mp4`` with ``{Train,Val}_labels.txt``, and, where synthetic clips were drawn (`synth vgaf-frames`),
``Synthetic/<class>/<clip>/<k>.png`` with ``Synthetic/<class>_labels.txt``. VGAF names no speakers: the group is the
clip.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from datamodules.catalogues.vgaf.labels import CLASS_NAMES, SPLITS, read_labels, split_labels
from datamodules.entries import Catalogue, Entry, Media, Scan
from datamodules.errors import DataError
from datamodules.reading.files import plain
from datamodules.reading.matches import folders_in, print_unmatched


@dataclass(frozen=True)
class VGAF(Catalogue):
    """Films of Train, then of Val, then synthetic clips class after class, each in the order of their names.

    Attributes:
        synthetic: Folder of PNG frames of synthetic clips; ``Synthetic`` in the source where not given.
    """

    name: ClassVar[str] = "vgaf"
    recipe: ClassVar[str] = "emotiw"
    classes: ClassVar[tuple[str, ...]] = CLASS_NAMES
    columns: ClassVar[tuple[str, ...]] = ("part",)

    synthetic: Path | None = None

    def scan(self, source: Path) -> Scan:
        """List the films and the synthetic clips, and print which labels and files have no counterpart.

        Raises:
            DataError: A label file is missing or wrong, a clip is in both splits, or there is no film.
        """
        if self.synthetic and not self.synthetic.is_dir():
            raise DataError(f"--synthetic {self.synthetic}: no such folder; `cli.py synth vgaf-frames` fills one")
        if not any((source / split).is_dir() for split in SPLITS):
            raise DataError(
                f"--source {source}: neither videos (Train, Val) nor tensors (VGAF_Tensors_all_5) in it; see "
                "docs/data.md"
            )
        copies = Counter[str]()
        labels = split_labels(source, copies)
        films = {split: {path.stem: path for path in (source / split).glob("[!.]*.mp4")} for split in SPLITS}
        if not any(films.values()):
            raise DataError(f"--source {source}: no .mp4 in {source / 'Train'} or {source / 'Val'}; see docs/data.md")
        entries = [entry for split in SPLITS for entry in _films(source, split, labels[split], films[split])]
        drawn = self.synthetic or source / "Synthetic"
        if drawn.is_dir():
            entries += [entry for label in range(len(CLASS_NAMES)) for entry in _drawn(drawn, label)]
        return Scan(entries, copies)


def _films(source: Path, split: str, labels: dict[str, int], films: dict[str, Path]) -> Iterator[Entry]:
    print_unmatched(split, labels, films)
    for name in sorted(labels.keys() | films.keys()):
        film = Media(films.get(name, source / split / f"{name}.mp4"))
        problem = "" if name in labels else f"no label in {split}_labels.txt"
        yield _entry(split, name, f"{split}/{name}.mp4", labels.get(name), problem, video=film, audio=film)


def _drawn(folder: Path, label: int) -> Iterator[Entry]:
    """Yield the synthetic clips of a class: pictures that stand for a video, and no sound."""
    part = CLASS_NAMES[label]
    labels = read_labels(folder / f"{part}_labels.txt", first=0)
    print_unmatched(f"{folder.name}/{part}", labels, folders_in(folder / part), "folder")
    for name, listed in sorted(labels.items()):
        path = folder / part / name
        frames = sorted((one for one in path.glob("*.png") if one.stem.isdecimal()), key=lambda one: int(one.stem))
        problem = "" if frames else "no numbered .png frames"
        problem = problem if listed == label else f"labelled {listed} in the folder {part}"
        film = Media(path, frames=tuple(frames))
        yield _entry(part, name, f"{folder.name}/{part}/{name}", label, problem, video=film)


def _entry(part: str, name: str, file: str, label: int | None, problem: str, **media: Media) -> Entry:
    return Entry(
        plain(f"{part}/{name}"),
        group=plain(name),
        name=plain(file),
        media=media,
        labels={} if label is None else {"emotion": label},
        split="val" if part == "Val" else "train",
        columns={"part": plain(part)},
        problem=problem,
    )
