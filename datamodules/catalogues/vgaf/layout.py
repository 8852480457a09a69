"""The layout of VGAF's tensors: folders, file names, and a digest of the files. No torch.

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

import hashlib
import json
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from datamodules.catalogues.vgaf.labels import CLASS_NAMES, SOURCES, SPLITS, read_labels, split_labels
from datamodules.errors import DataError
from datamodules.reading.files import sha256_file

SETS = ("VGAF_Tensors_all_5", "VGAF_Tensors_all_75", "Synthetic2661_all_5", "Synthetic2661_all_75")
Modality = Literal["video", "audio"]
KINDS: dict[str, str] = {"video": "img", "audio": "spec"}
SEGMENTS = 5  # what 75 frames are grouped into where no spectrograms say so: a group a second


@dataclass(frozen=True)
class Clip:
    """One clip as the label files name it.

    Attributes:
        name: ``Vid_name``.
        part: ``Train``, ``Val``, or the class of a synthetic clip.
        label: Class index from 0.
        synthetic: Whether a generator drew it.
    """

    name: str
    part: str
    label: int
    synthetic: bool = False

    @property
    def id(self) -> str:
        """Unique over real and synthetic clips."""
        return f"synthetic/{self.part}/{self.name}" if self.synthetic else self.name

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


def group_count(frames: Mapping[Modality, int], modalities: Sequence[Modality]) -> int:
    """Return the number of groups of a clip's video frames: one per spectrogram, or one a second without them.

    Args:
        frames: Frames of video and of audio.
        modalities: Which of them are read.

    Raises:
        DataError: If the counts do not go together.
    """
    if unknown := set(frames) - {"video", "audio"}:
        raise DataError(f"--data.frames names {', '.join(sorted(unknown))}; give video and audio")
    if min(frames.values()) < 1:
        raise DataError(f"--data.frames {frames}: at least 1 each")
    video, audio = frames["video"], frames["audio"]
    if len(modalities) == 1:
        return SEGMENTS if video % SEGMENTS == 0 else video
    if max(video, audio) % min(video, audio):
        raise DataError(
            f"--data.frames: {video} of video and {audio} of audio do not go together; one must be a multiple of the "
            "other"
        )
    return min(video, audio)


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
        DataError: If a label file is missing or wrong, or labels a clip otherwise than its folder does.
    """
    clips = []
    for place, part in enumerate(CLASS_NAMES):
        path = folder / f"{part}_labels.txt"
        for name, label in read_labels(path, first=0).items():
            if label != place:
                raise DataError(f"{path}: {name} is labelled {label}, the folder {part} is {place}; mend the file")
            clips.append(Clip(name, part, label, synthetic=True))
    return clips


def archive_digest(path: Path) -> str:
    """Return what identifies the content of a ``.pt`` file, from its last bytes only.

    torch writes zip archives, and a zip ends with names, sizes and CRC-32 of all it holds. So a change anywhere shows,
    and 45 MB need not be read at every start.

    Args:
        path: The file.

    Returns:
        32 hexadecimal digits; empty where it is no archive.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            content = [(part.filename, part.file_size, part.CRC) for part in archive.infolist()]
    except (OSError, ValueError, NotImplementedError, zipfile.BadZipFile):
        return ""
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:32]


def text_digests(root: Path) -> dict[str, str]:
    """Return the SHA-256 of every label and source file there is, by path below the root."""
    paths = [root / f"{split}_labels.txt" for split in SPLITS]
    for name in SETS:
        paths += [root / name / f"{part}_labels.txt" for part in CLASS_NAMES] + [root / name / SOURCES]
    return {path.relative_to(root).as_posix(): sha256_file(path) for path in paths if path.is_file()}


def tensor_digests(root: Path) -> dict[str, str]:
    """Return the digest of every tensor there is, by path below the root, sorted."""
    paths = sorted(path for name in SETS for path in (root / name).glob("*/*.pt") if not path.name.startswith("."))
    return {path.relative_to(root).as_posix(): archive_digest(path) for path in paths}


def fingerprint_of(texts: dict[str, str], tensors: dict[str, str], *, synthetic: bool) -> str:
    """Return what identifies a folder of tensors: its label files and tensors, and whether it is a stand-in."""
    content = json.dumps(["vgaf", synthetic, texts, tensors], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()
