"""The content of a raw corpus: entries with their media, texts and labels, before anything is decoded."""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

Box = tuple[float, float, float, float]  # left, top, right, bottom in pixels
SPLITS = ("train", "val", "test")
ROLES = ("speaker", "listener", "listener_response")  # of an utterance, its text `role`


@dataclass(frozen=True)
class Media:
    """A file of an entry, or the part of it that counts.

    Attributes:
        path: The file, or the folder of `frames`; None where there is none.
        name: How the corpus calls it, for messages.
        time: Seconds after the first frame of the one that counts; None for a picture, or for all of a clip.
        box: Where the face is, or where to look for it; None for the whole picture.
        search: Whether the face is to be looked for; otherwise the box (or the whole picture) is the face.
        pixels: What it shows where there is no file: uint8 ``(H, W)``, grey.
        frames: Pictures, in order, that stand for a video.
        problem: Why it cannot be used, though the entry can; empty for a good one.
        start: Seconds after the first frame or sample of the file at which it begins; None for the beginning.
        end: Seconds after the first frame or sample of the file at which it ends; None for the end.
    """

    path: Path | None = None
    name: str = ""
    time: float | None = None
    box: Box | None = None
    search: bool = False
    pixels: np.ndarray | None = None
    frames: tuple[Path, ...] = ()
    problem: str = ""
    start: float | None = None
    end: float | None = None

    @property
    def span(self) -> dict[str, float | None]:
        """The part of the file as arguments of what reads it; nothing where all of it counts."""
        return {} if self.start is None and self.end is None else {"start": self.start, "end": self.end}


@dataclass(frozen=True)
class Series:
    """A label over time.

    Attributes:
        values: Class probabilities float32 ``(R, K)``.
        rate: Rows per second; 0 where one row holds for the whole entry.
    """

    values: np.ndarray
    rate: float = 0.0


@dataclass(frozen=True)
class Entry:
    """One clip, video, still or dialogue of a corpus.

    Attributes:
        id: Unique name, the key in the store.
        group: Who it shows: the unit that no split divides.
        name: Where it is inside the source, for messages.
        media: Files by medium: video, audio, picture, landmarks, ....
        texts: Texts by name: prompt, turns, context, ....
        labels: By task: a class index, a value, class probabilities ``(K,)`` or a `Series`; the first is the one of
            the store's index.
        split: One of `SPLITS` where the corpus has splits.
        columns: Further columns of the store's index.
        parts: Utterances, in order.
        extra: What a view found out about it before anything was decoded, by the view's name.
        problem: Why it cannot be used; empty for a good one.
        dropped: Why it is left out on purpose; empty for others.
    """

    id: str
    group: str = ""
    name: str = ""
    media: Mapping[str, Media] = field(default_factory=dict)
    texts: Mapping[str, Any] = field(default_factory=dict)
    labels: Mapping[str, Any] = field(default_factory=dict)
    split: str = ""
    columns: Mapping[str, str] = field(default_factory=dict)
    parts: tuple[Entry, ...] = ()
    extra: Mapping[str, Any] = field(default_factory=dict)
    problem: str = ""
    dropped: str = ""

    @property
    def reason(self) -> str:
        """Why no arrays are made of the entry; empty where they are."""
        return self.problem or self.dropped

    @property
    def label(self) -> int:
        """Class index of the first label; -1 without one, or where it changes over time."""
        first = next(iter(self.labels.values()), -1)
        if isinstance(first, Series) and not first.rate:
            return int(first.values[0].argmax())
        return first if isinstance(first, int) else -1

    def pieces(self, of_parts: bool) -> tuple[Entry, ...]:
        """Return its parts, or itself alone: also of a clip, which is a dialogue of one utterance."""
        return self.parts if of_parts and self.parts else (self,)

    def labelled_turn(self) -> Entry:
        """Return a dialogue as the clip of the utterance that its label is of, the speaker's last; others as is."""
        if not self.parts:
            return self
        by_speaker = [part for part in self.parts if part.texts.get("role") == ROLES[0]]
        turn = (by_speaker or self.parts)[-1]
        return replace(self, media=turn.media, texts={**self.texts, **turn.texts}, parts=())

    def files(self) -> Iterator[Path]:
        """Yield the files of it and of its parts."""
        for medium in self.media.values():
            if medium.frames:
                yield from medium.frames
            elif medium.path is not None:
                yield medium.path
        for part in self.parts:
            yield from part.files()

    def digest(self, hashes: Mapping[Path, str]) -> str:
        """Return a hash of everything that arrays could be made of.

        Args:
            hashes: SHA-256 of its files; empty for one that cannot be read.
        """
        content = json.dumps(self, default=lambda value: _canonical(value, hashes), sort_keys=True)
        return hashlib.sha256(content.encode("utf-8", "backslashreplace")).hexdigest()


def _canonical(value: Any, hashes: Mapping[Path, str]) -> Any:
    """Return JSON values for what JSON has no form of: a file is what it holds, wherever it lies and is called."""
    if isinstance(value, Path):
        return hashes.get(value, "")
    if isinstance(value, np.ndarray):
        return [str(value.dtype), list(value.shape), hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest()]
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Mapping):
        return dict(value)
    # Not `fields`, which takes as long as everything else here.
    found = {name: getattr(value, name) for name in value.__dataclass_fields__ if name != "name"}
    if isinstance(value, Media) and value.start is None and value.end is None:  # as before there were parts of files
        del found["start"], found["end"]
    return found


@dataclass
class Scan:
    """The entries of a folder.

    Attributes:
        entries: In the order in which they are stored.
        ignored: Number of files that were skipped on purpose, by kind.
        facts: What the store's settings say of the source, for those who read it.
        columns: Further columns of the store's index that only this source has.
        classes: Names of the classes in order of their index, filled in from `facts` or the catalogue.
        beside: Texts of files that are written beside the store, by name.
        fault: Why nothing can be made of the source, to be told when what goes beside the store is written.
    """

    entries: list[Entry]
    ignored: Counter[str] = field(default_factory=Counter)
    facts: dict[str, Any] = field(default_factory=dict)
    columns: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    beside: dict[str, str] = field(default_factory=dict)
    fault: str = ""

    @property
    def usable(self) -> list[Entry]:
        """The entries that arrays can be made of."""
        return [entry for entry in self.entries if not entry.reason]

    def replaced(self, change: Callable[[Entry], Entry]) -> Scan:
        """Return the same with every entry changed by a function."""
        return replace(self, entries=[change(entry) for entry in self.entries])


class Catalogue(ABC):
    """The layout of a corpus' raw folder: a frozen dataclass whose fields are its options.

    Attributes:
        name: Of the corpus, on the command line and of its folder.
        recipe: Name of its default recipe, that of its paper.
        unit: What an entry is called; ``s`` makes the plural.
        classes: Names of the classes in order of their index.
        columns: Further columns of the store's index.
        origin: What to do where the source is no folder.
    """

    name: ClassVar[str]
    recipe: ClassVar[str]
    unit: ClassVar[str] = "clip"
    classes: ClassVar[tuple[str, ...]] = ()
    columns: ClassVar[tuple[str, ...]] = ()
    origin: ClassVar[str] = "docs/data.md says where to get the corpus"

    @classmethod
    def listed(cls, id: str) -> str:
        """Return the name by which files of folds list an entry: its id, unless a corpus has another."""
        return id

    @abstractmethod
    def scan(self, source: Path) -> Scan:
        """List the entries of a folder, from names and label tables only.

        Raises:
            DataError: The folder or a table is missing or wrong, or holds nothing of this corpus.
        """
