"""The common index of the emotion corpora: one still a row, its labels, its face, its subject and its split."""

import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from datamodules.matches import content_hash, tell_unmatched
from datamodules.names import plain_path
from datamodules.recordings import check_groups
from datamodules.store import DataError, check_regular, plain
from datamodules.tables import settle

CATEGORIES = ["neutral", "happy", "sad", "surprise", "fear", "disgust", "anger", "contempt"]
LETTERS = {"N": 0, "H": 1, "Sa": 2, "Su": 3, "F": 4, "D": 5, "A": 6, "C": 7}  # of the paper
SPLITS = ["train", "val", "test"]
SEED = 101095  # of the paper's splits
SHARES = (0.8, 0.1, 0.1)
NAN = float("nan")
PICTURES = (".jpg", ".jpeg", ".png")
VIDEOS = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".wmv", ".mpg", ".m4v")

Box = tuple[float, float, float, float]  # left, top, right, bottom in pixels


@dataclass(frozen=True)
class Still:
    """One picture or one frame of a video.

    Attributes:
        corpus: Name of the corpus, its folder's.
        clip: Unique name inside the corpus.
        path: The picture, the video, or the table that holds the pixels.
        category: Index into ``CATEGORIES``, -1 where there is none.
        arousal: -1 to 1, NaN where there is none.
        valence: -1 to 1, NaN where there is none.
        subject: Who it is; where nobody is named the video or folder; empty where nothing is. Never divided by a split.
        split: One of ``SPLITS``; empty until `assign_splits` where the corpus gives none.
        time: Seconds into the video; None for a picture.
        box: Where the face is, or where to look for it; None for the whole picture.
        detect: Whether the face is to be looked for; otherwise the box (or the whole picture) is the face.
        pixels: 48 x 48 grey values where the corpus has no files.
        reason: Why it cannot be used; empty for a good one.
        where: File and line that name it, for messages.
    """

    corpus: str
    clip: str
    path: Path
    category: int = -1
    arousal: float = NAN
    valence: float = NAN
    subject: str = ""
    split: str = ""
    time: float | None = None
    box: Box | None = None
    detect: bool = False
    pixels: bytes = b""
    reason: str = ""
    where: str = ""

    @property
    def id(self) -> str:
        """Key in the store."""
        return plain(f"{self.corpus}/{self.clip}")

    @property
    def group(self) -> str:
        """The subject, or the still itself where nobody is named."""
        return plain(f"{self.corpus}/{self.subject}") if self.subject else self.id

    @property
    def described(self) -> str:
        """Everything beside the file that decides what is stored."""
        parts = (self.category, self.arousal, self.valence, self.group, self.split, self.time, self.box, self.detect)
        return repr(parts)


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
        """All files, sorted."""
        return iter(sorted(path for paths in self._by_name.values() for path in paths))

    def get(self, name: str) -> Path | None:
        """The file whose path ends with these components, the least deep of several; None where there is none."""
        parts = tuple(part for part in name.replace("\\", "/").split("/") if part not in ("", "."))
        found = (
            [path for path in self._by_name.get(parts[-1], ()) if path.parts[-len(parts) :] == parts] if parts else []
        )
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

    def need(self, *names: str) -> Path:
        """The first of these label files that is there.

        Raises:
            DataError: None is.
        """
        for name in names:
            if path := self.get(name):
                return path
        raise DataError(f"{self.folder}: no {' or '.join(names)}; docs/data.md says what the folder of a corpus holds.")

    def tell_unmatched(self, stills: Iterable[Still]) -> None:
        """Print how many labels are of no picture or video, and how many of those no label file names."""
        kinds = (*PICTURES, *VIDEOS)
        labelled = {still.path for still in stills if still.path.suffix.lower() in kinds}
        there = {path for path in self if path.suffix.lower() in kinds} - (self.named - labelled)
        tell_unmatched(self.corpus, self._shown(labelled), self._shown(there), "file")

    def _shown(self, paths: set[Path]) -> set[str]:
        return {path.relative_to(self.folder).as_posix() for path in paths}


def read_text(path: Path) -> str:
    """The whole of a text file.

    Raises:
        DataError: It cannot be read.
    """
    try:
        check_regular(path)
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read ({error}); get the file anew.") from None


def box_of(sides: Iterable[float]) -> Box:
    """left, top, right, bottom as a box."""
    left, top, right, bottom = (float(value) for value in sides)
    return left, top, right, bottom


def number(text: object, where: str, low: float = -1.0, high: float = 1.0) -> float:
    """A label between two bounds, NaN for an empty one.

    Args:
        text: As it stands in the file.
        where: File and line, for the message.
        low: Least value.
        high: Greatest value.

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
    return min(max(value, low), high)


def category(code: str, mapping: dict[str, str], where: str) -> int:
    """Index of a corpus' own class code.

    Args:
        code: As it stands in the file.
        mapping: From the corpus' codes to the paper's letters.
        where: File and line, for the message.

    Raises:
        DataError: The corpus has no such code.
    """
    if code not in mapping:
        raise DataError(f"{where}: expression {code!r} is not one of {', '.join(mapping)}.")
    return LETTERS[mapping[code]]


def _draw(units: Iterable[str], shares: Sequence[float]) -> dict[str, str]:
    names = sorted(set(units))
    shuffled = [names[i] for i in np.random.default_rng(SEED).permutation(len(names))]
    test = max(1, round(shares[2] * len(names))) if shares[2] and len(names) > 1 else 0
    val = max(1, round(shares[1] * len(names))) if shares[1] and len(names) > 2 else 0
    return {name: "test" if i < test else "val" if i < test + val else "train" for i, name in enumerate(shuffled)}


def assign_splits(stills: Sequence[Still], shares: Sequence[float] = SHARES) -> list[Still]:
    """Give every still of one corpus its split; no subject is in two.

    Official splits stay. Where there is an official test but no validation, a tenth of the training subjects
    validates. Where there is no split at all, subjects (or, where nobody is named, stills) are drawn.

    Args:
        stills: Of one corpus.
        shares: Of training, validation and test where there is no official split.

    Raises:
        DataError: Some stills have a split and others none, a subject is in two, or there is one subject to draw.
    """
    given = {still.split for still in stills}
    if given == {""}:
        check_groups([still.subject or still.id for still in stills], stills[0].corpus, "stills")
        drawn = _draw((still.group for still in stills), shares)
        return [replace(still, split=drawn[still.group]) for still in stills]
    if "" in given:
        bare = next(still for still in stills if not still.split)
        raise DataError(f"{bare.corpus}: {bare.clip} has no split, others have; give all or none.")
    if "test" in given and "val" not in given:
        held = _draw((still.group for still in stills if still.split == "train"), (0.9, 0.1, 0))
        stills = [still if still.split != "train" else replace(still, split=held[still.group]) for still in stills]
    found: dict[str, str] = {}
    for still in stills:
        if found.setdefault(still.group, still.split) != still.split:
            names = f"{found[still.group]} and {still.split}"
            raise DataError(f"{still.corpus}: subject {still.subject} is in both {names}; correct the index.")
    return list(stills)


def once(stills: Iterable[Still], ignored: Counter[str]) -> list[Still]:
    """Drop stills listed twice.

    Raises:
        DataError: Two rows say different things of one still.
    """
    stills = list(stills)
    times = Counter(still.id for still in stills)
    double = [still for still in stills if times[still.id] > 1]
    hashes = {path: content_hash(path) for path in {still.path for still in double}}
    _, copies = settle(
        (still.id, {**_told(still), "content": hashes[still.path]}, still.where or str(still.path)) for still in double
    )
    if copies:
        ignored[f"{stills[0].corpus} rows that come twice"] += copies
    return list({still.id: still for still in reversed(stills)}.values())[::-1]


def _told(still: Still) -> dict[str, str]:
    """Return what a row says of a still, as text: NaN is no NaN, but is written like one."""
    names = ("category", "arousal", "valence", "subject", "split", "time", "box", "pixels", "reason")
    return {name: str(getattr(still, name)) for name in names}
