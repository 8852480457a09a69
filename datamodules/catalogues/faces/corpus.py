"""Parts that the emotion corpora share: the classes, the files of one corpus, its stills, its labels."""

import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from datamodules.entries import Box, Entry, Media
from datamodules.errors import DataError
from datamodules.media.pictures import count_frames
from datamodules.reading.files import PICTURES, VIDEOS, check_regular, plain
from datamodules.reading.matches import print_unmatched
from datamodules.reading.names import plain_path

CATEGORIES = ("neutral", "happy", "sad", "surprise", "fear", "disgust", "anger", "contempt")
SEVEN = dict(zip("0123456", ("anger", "disgust", "fear", "happy", "sad", "surprise", "neutral"), strict=True))  # codes
SHARES = (0.8, 0.1, 0.1)
NAN = float("nan")


class Files:
    """The files of one corpus, found by the end of their path, so that it does not matter how deep a folder lies.

    Args:
        folder: Of the corpus; hidden files and folders are passed over.

    Attributes:
        named: Those that a label file named, whether or not it had a label for them.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.corpus = folder.name
        self.named: set[Path] = set()
        self._by_name: dict[str, list[Path]] = defaultdict(list)
        for place, folders, names in os.walk(folder):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            for name in sorted(names):
                if not name.startswith("."):
                    self._by_name[name].append(Path(place, name))

    def __iter__(self) -> Iterator[Path]:
        """Yield all files, sorted."""
        return iter(sorted(path for paths in self._by_name.values() for path in paths))

    def get(self, name: str) -> Path | None:
        """Return the file whose path ends with these components, the least deep of several; None without one."""
        parts = tuple(part for part in name.replace("\\", "/").split("/") if part not in ("", "."))
        alike = self._by_name.get(parts[-1], []) if parts else []
        found = [path for path in alike if path.parts[-len(parts) :] == parts]
        if not found:
            return None
        path = min(found, key=lambda path: (len(path.parts), path))
        self.named.add(path)
        return path

    def find(self, name: str, where: str) -> Path:
        """Return the same as `get`; where there is none the path at which it would be, to be reported when it is read.

        Raises:
            DataError: The name leaves the folder; the message begins with ``where``.
        """
        return self.get(name) or self.folder / plain_path(name, where)

    def require(self, *names: str) -> Path:
        """Return the first of these label files that is there."""
        for name in names:
            if path := self.get(name):
                return path
        raise DataError(f"{self.folder}: no {' or '.join(names)}; docs/data.md says what the folder of a corpus holds.")

    def still(
        self,
        clip: str,
        path: Path,
        where: str = "",
        *,
        category: int | None = None,
        arousal: float = NAN,
        valence: float = NAN,
        subject: str = "",
        split: str = "",
        time: float | None = None,
        box: Box | None = None,
        search: bool = False,
        pixels: np.ndarray | None = None,
        problem: str = "",
    ) -> Entry:
        """Return one picture or one frame of a video.

        Args:
            clip: Unique name inside the corpus.
            path: The picture, the video, or the table that holds the pixels.
            where: File and line that name it, for messages; the file itself where not given.
            category: Index into `CATEGORIES`; None where there is none.
            arousal: -1 to 1, NaN where there is none.
            valence: -1 to 1, NaN where there is none.
            subject: Who it is; where nobody is named the video or folder; empty where nothing is.
            split: Empty where the corpus gives none.
            time: Seconds into the video; None for a picture.
            box: Where the face is, or where to look for it; None for the whole picture.
            search: Whether the face is to be looked for; otherwise the box (or the whole picture) is the face.
            pixels: Grey values where the corpus has no files.
            problem: Why it cannot be used; empty for a good one.
        """
        labels = {"category": category, "arousal": arousal, "valence": valence}
        file = path if pixels is None else None
        return Entry(
            plain(f"{self.corpus}/{clip}"),
            group=plain(f"{self.corpus}/{subject}") if subject else "",
            name=os.path.relpath(path, self.folder.parent),
            media={"picture": Media(file, where or str(path), time, box, search, pixels)},
            labels={name: value for name, value in labels.items() if value is not None and not np.isnan(value)},
            split=split,
            problem=problem,
        )

    def print_unmatched(self, stills: Iterable[Entry]) -> None:
        """Print how many labels are of no picture or video, and how many of those no label file names."""
        kinds = (*PICTURES, *VIDEOS)
        labelled = {path for still in stills for path in still.files() if path.suffix.lower() in kinds}
        there = {path for path in self if path.suffix.lower() in kinds} - (self.named - labelled)
        print_unmatched(self.corpus, self._relative_names(labelled), self._relative_names(there), "file")

    def _relative_names(self, paths: set[Path]) -> set[str]:
        return {path.relative_to(self.folder).as_posix() for path in paths}


@dataclass(frozen=True)
class Corpus:
    """How a corpus is read; the files of this folder define one each and are found by name.

    Attributes:
        name: Of its folder.
        stills: Yields its stills; counts what it leaves aside.
        shares: Of training, validation and test where it has no official split.
    """

    name: str
    stills: Callable[[Files, Counter[str]], Iterator[Entry]]
    shares: tuple[float, float, float] = SHARES


def frame_times(path: Path, every: int) -> list[float]:
    """Return when every n-th frame of a video is shown, in seconds.

    Raises:
        MediaError: It is missing or broken.
    """
    rate, count = count_frames(path)
    times: list[float] = (np.arange(0, count, every) / rate).tolist()
    return times


def read_text(path: Path) -> str:
    """Return the whole of a text file."""
    try:
        check_regular(path)
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read ({error}); get the file anew.") from None


def lines_of(path: Path) -> Iterator[tuple[str, str]]:
    """Yield the place, for messages, and the text of every line of a file that is not blank."""
    for line, text in enumerate(read_text(path).splitlines(), start=1):
        if text.strip():
            yield f"{path}, line {line}", text


def box_of(sides: Iterable[float]) -> Box:
    """Return left, top, right, bottom as a box."""
    left, top, right, bottom = (float(value) for value in sides)
    return left, top, right, bottom


def number(text: object, where: str, low: float = -1.0, high: float = 1.0) -> float:
    """Return a label between two bounds, NaN for an empty one.

    Raises:
        DataError: It is no number or out of bounds.
    """
    if text is None or str(text).strip().lower() in ("", "nan"):
        return NAN
    try:
        value = float(str(text))
    except ValueError:
        raise DataError(f"{where}: {text!r} is not a number.") from None
    if not low - 1e-3 <= value <= high + 1e-3:
        raise DataError(f"{where}: {text} is not between {low:g} and {high:g}.")
    return float(min(max(value, low), high))


def category(code: str, names: Mapping[str, str], where: str) -> int:
    """Return the index of a corpus' own class code."""
    if code not in names:
        raise DataError(f"{where}: expression {code!r} is not one of {', '.join(names)}.")
    return CATEGORIES.index(names[code])
