"""The layout of VGAF's tensors: folders, file names, and the clips that label files name.

The layout is that of the code released with Augusma, Vaufreydaz and Letué (ICMI 2023), so that a folder made for it is
read as it stands::

    Train_labels.txt  Val_labels.txt                   Vid_name Label, separated by blanks; labels 1, 2, 3
    VGAF_Tensors_all_5/{Train,Val}/<clip>.mp4.img.5.pt, <clip>.mp4.spec.5.pt
    VGAF_Tensors_all_75/...                            every pair of frame counts but 5 and 5
    Synthetic2661_all_5/<class>/<clip>.synt.img.5.pt, <clip>.synt.spec.5.pt
    Synthetic2661_all_5/<class>_labels.txt             labels 0, 1, 2
    Synthetic2661_all_5/sources.csv                    ours, optional: which clip a face or a sound comes from
    prepared/                                          ours, optional: what `prepare vgaf` says of all this
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from datamodules.catalogues.vgaf.labels import CLASS_NAMES, SPLITS, read_labels, split_labels
from datamodules.errors import DataError

SETS = ("VGAF_Tensors_all_5", "VGAF_Tensors_all_75", "Synthetic2661_all_5", "Synthetic2661_all_75")
KINDS = {"video": "img", "audio": "spec"}


@dataclass(frozen=True)
class Clip:
    """One clip as the label files name it.

    Attributes:
        name: ``Vid_name``.
        part: ``Train``, ``Val``, or the class of a synthetic clip.
        label: Class index from 0.
    """

    name: str
    part: str
    label: int

    @property
    def synthetic(self) -> bool:
        """Whether a generator drew it."""
        return self.part not in SPLITS

    @property
    def id(self) -> str:
        """Unique over real and synthetic clips."""
        return f"synthetic/{self.key}" if self.synthetic else self.name

    @property
    def key(self) -> str:
        """Part and name, as `prepare` and ``sources.csv`` call it."""
        return f"{self.part}/{self.name}"

    def file(self, kind: str, count: int | str) -> str:
        """Return the name of its tensor, ``img`` or ``spec``, of so many frames."""
        return f"{self.name}.{'synt' if self.synthetic else 'mp4'}.{kind}.{count}.pt"

    def place(self, root: Path, number: int) -> Path:
        """Return the folder of its tensors: that of real or of synthetic clips, of 5 or of 75 frames."""
        return (synthetic_folder if self.synthetic else real_folder)(root, number) / self.part


def folder_number(frames: Iterable[int]) -> int:
    """Return 5 where all counts are 5, else 75: the ending of the folders that hold tensors of these counts."""
    return 5 if set(frames) == {5} else 75


def real_folder(root: Path, number: int) -> Path:
    """Return the folder of the tensors of real clips."""
    return root / f"VGAF_Tensors_all_{number}"


def synthetic_folder(root: Path, number: int) -> Path:
    """Return the folder of the tensors of synthetic clips."""
    return root / f"Synthetic2661_all_{number}"


def real_clips(root: Path) -> list[Clip]:
    """Return the clips of both label files, train first; errors are those of `split_labels`."""
    return [Clip(name, split, label) for split, labels in split_labels(root).items() for name, label in labels.items()]


def synthetic_clips(folder: Path) -> list[Clip]:
    """Return the clips of the label files of a synthetic folder.

    Raises:
        DataError: A label file is missing or wrong, or labels a clip otherwise than its folder does.
    """
    clips = []
    for place, part in enumerate(CLASS_NAMES):
        path = folder / f"{part}_labels.txt"
        for name, label in read_labels(path, first=0).items():
            if label != place:
                raise DataError(f"{path}: {name} is labelled {label}, the folder {part} is {place}; mend the file")
            clips.append(Clip(name, part, label))
    return clips
