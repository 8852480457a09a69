"""Views: one names the media it needs of an entry, is given their decoded content, and returns arrays."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from av.video.frame import VideoFrame

from datamodules.entries import Entry, Scan
from datamodules.errors import DataError, MediaError
from datamodules.media.clip import Clip
from datamodules.store.reader import DTYPES, Store


@dataclass(frozen=True)
class Times:
    """Times of some frames of a clip: ``(i + offset) * duration / count`` for i = 0 .. count - 1.

    Attributes:
        count: Number of frames.
        offset: 0 for the beginnings of equal segments, 0.5 for their middles.
    """

    count: int
    offset: float = 0.0

    def __call__(self, duration: float) -> np.ndarray:
        """Return the times in seconds, ``(count,)``."""
        if self.offset:
            return np.asarray((np.arange(self.count) + self.offset) / self.count * duration)
        return np.arange(self.count) * duration / self.count


@dataclass(frozen=True)
class Want:
    """The media, times and rates that a view needs decoded.

    Attributes:
        medium: Key of an entry's media.
        times: Which frames; None for only the sound.
        rates: Sampling rates in Hz of its sound.
        fps: Frames on a grid of so many a second, one at a time, in place of `times`.
        still: The picture, or the frame at the medium's own time.
    """

    medium: str
    times: Times | None = None
    rates: tuple[int, ...] = ()
    fps: int = 0
    still: bool = False


@dataclass(frozen=True)
class ViewArrays:
    """Arrays that a view made of an entry.

    Attributes:
        arrays: By name, of the dtypes that `View.arrays` gives.
        padded: How many steps are padding.
        label: Class index for the store's index where the entry has none itself.
        person: Number, from the left, of the person whose face was followed, and how many there are; None where no
            view can tell people apart.
    """

    arrays: dict[str, np.ndarray] = field(default_factory=dict)
    padded: int = 0
    label: int | None = None
    person: tuple[int, int] | None = None


class Maker(ABC):
    """Turn what is decoded of an entry, or of its parts one after the other, into arrays.

    Whatever it is fed, it may raise a `MediaError` before it takes anything of it: the medium cannot be used.
    """

    def add_clip(self, piece: Entry, clip: Clip) -> None:  # noqa: B027
        """Take the frames and waves of a clip."""

    def add_frame(self, piece: Entry, frame: VideoFrame) -> None:  # noqa: B027
        """Take the next frame of a grid."""

    def add_still(self, piece: Entry, image: np.ndarray) -> None:  # noqa: B027
        """Take a picture, uint8 RGB ``(H, W, 3)``."""

    def skip(self, piece: Entry) -> None:  # noqa: B027
        """Skip a piece whose medium is missing or cannot be used."""

    @abstractmethod
    def finish(self) -> ViewArrays:
        """Return the arrays."""


class Once(Maker):
    """A maker that waits for one clip or picture.

    Args:
        make: Returns the arrays of an entry's clip or picture.
        nothing: Those of an entry without.
    """

    def __init__(self, make: Callable[[Entry, Any], ViewArrays], nothing: ViewArrays | None = None) -> None:
        self.make, self.made = make, nothing or ViewArrays()

    def add_clip(self, piece: Entry, clip: Clip) -> None:
        """Make the arrays."""
        self.made = self.make(piece, clip)

    def add_still(self, piece: Entry, image: np.ndarray) -> None:
        """Make the arrays."""
        self.made = self.make(piece, image)

    def finish(self) -> ViewArrays:
        """Return the arrays."""
        return self.made


class View(ABC):
    """One thing that is kept of every entry: a frozen dataclass whose fields are its options.

    Attributes:
        of_parts: Whether it is made of the parts of an entry.
        preview: Whether the array of its name is of pictures, one or several, that a contact sheet can show.
        last: Arrays that follow those of all views in the store.
        packages: What its bytes depend on, whatever its options; see `needed`.
        limits: The least and the greatest value of its options that are numbers.
        here: Options that say where something lies on this machine, or name code: no settings restore them.
    """

    of_parts: ClassVar[bool] = False
    preview: ClassVar[bool] = False
    last: ClassVar[tuple[str, ...]] = ()
    packages: ClassVar[tuple[str, ...]] = ("av", "numpy", "opencv-python-headless")
    limits: ClassVar[Mapping[str, tuple[float, float]]] = {}
    here: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def restored(cls, settings: Mapping[str, Any]) -> Self:
        """Return the view whose `settings` a store or a checkpoint of anybody holds.

        Raises:
            DataError: A value is of another kind than the option's.
        """
        options = {}
        for one in fields(cls):  # type: ignore[arg-type]  # every view is a dataclass
            if one.name in settings and one.name not in cls.here:
                value = tuple(settings[one.name]) if isinstance(one.default, tuple) else settings[one.name]
                if type(value) is not type(one.default) and (type(value), type(one.default)) != (int, float):
                    raise DataError(f"{one.name} is {str(value)[:40]!r}, not like {one.default!r}")
                options[one.name] = value
        return cls(**options)

    @abstractmethod
    def arrays(self, name: str) -> dict[str, str]:
        """Return the dtype of every array.

        Args:
            name: Of the view in its recipe.
        """

    def check(self, option: str) -> None:
        """Refuse values of the options that make no sense.

        Args:
            option: What names the view on the command line, ``--views.NAME``.
        """
        for name, (least, most) in self.limits.items():
            value = getattr(self, name)
            if not least <= value <= most:  # also where it is no number
                raise DataError(f"{option}.{name} {value}: give a number from {least} to {most}.")

    def lacking(self, scan: Scan) -> str:
        """Return the medium that it cannot do without and no entry of a source has; empty where one has it."""
        return ""

    def bind(self, option: str, scan: Scan, source: Path) -> "tuple[View | None, Scan]":
        """Resolve once, before anything is decoded, what an option left open.

        Args:
            option: What names the view on the command line, for messages.
            scan: What the source holds.
            source: Its folder.

        Returns:
            The view as resolved, None where the source has nothing for it, and the entries with what they need.

        Raises:
            DataError: The source has not what an option names.
        """
        return self, scan

    def needed(self) -> tuple[str, ...]:
        """Return the packages whose versions are recorded: what its bytes depend on."""
        return self.packages

    def settings(self) -> dict[str, Any]:
        """Return what the store is keyed by, as JSON values: every option but those that say where files lie."""
        return asdict(self)  # type: ignore[call-overload, no-any-return]  # every view is a dataclass

    def kept(self) -> dict[str, str]:
        """Return the content of files that a store keeps beside its arrays, by name: what else has made them."""
        return {}

    def describe_source(self) -> str:
        """Return the source of its input, printed before the work begins; empty for nothing to print."""
        return ""

    def summarise(self, name: str, store: Store) -> str:
        """Return a summary of its arrays, printed when the store is complete; empty for nothing to print."""
        return ""


class EntryView(View):
    """A view that needs nothing decoded: texts and labels."""

    @abstractmethod
    def make(self, name: str, entry: Entry) -> dict[str, np.ndarray]:
        """Return its arrays of an entry."""

    def make_all(self, name: str, entries: Sequence[Entry]) -> list[dict[str, np.ndarray]]:
        """Return its arrays of several entries; for what is quicker together."""
        return [self.make(name, entry) for entry in entries]


class MediaView(View):
    """A view of what is decoded.

    Attributes:
        required: Whether an entry whose medium cannot be used is skipped; else it has a row in ``missing.csv``.
    """

    required: ClassVar[bool] = True

    def beside(self, name: str, entry: Entry) -> Entry:
        """Return the entry of a raw file with what lies beside it and the view, by its name, reads; none lists it."""
        return entry

    @abstractmethod
    def wants(self, piece: Entry) -> Want | None:
        """Return what to decode of an entry or of one of its parts; None for nothing.

        Raises:
            MediaError: The entry lacks what the view cannot do without.
        """

    @abstractmethod
    def start(self, name: str, entry: Entry) -> Maker:
        """Return a maker of the arrays of an entry.

        Args:
            name: Of the view in its recipe.
            entry: Whose arrays.
        """

    def empty(self, name: str) -> dict[str, np.ndarray]:
        """Return the arrays of an entry that has nothing of this kind: of no length along one axis."""
        shapes = {array: self.empty_shape(array) for array in self.arrays(name)}
        return {array: np.empty(shapes[array], DTYPES[dtype]) for array, dtype in self.arrays(name).items()}

    def empty_shape(self, array: str) -> tuple[int, ...]:
        """Return the shape that an array has then."""
        return (0,)

    def lacking(self, scan: Scan) -> str:
        """Return the medium that it cannot do without and no entry of a source has; empty where one has it."""
        medium = ""
        for piece in (one for entry in scan.usable if self.required for one in entry.pieces(self.of_parts)):
            try:
                want = self.wants(piece)
            except MediaError:
                return ""
            if want is None or want.medium in piece.media:
                return ""
            medium = want.medium
        return medium


class WholeClip(MediaView):
    """A view that makes one array of one clip, held in memory."""

    dtype: ClassVar[str]

    def arrays(self, name: str) -> dict[str, str]:
        """Return its one array."""
        return {name: self.dtype}

    @abstractmethod
    def make(self, entry: Entry, clip: Clip) -> tuple[np.ndarray, int]:
        """Return the array of a clip, and how many of its steps are padding.

        Raises:
            MediaError: The clip cannot be used.
        """

    def start(self, name: str, entry: Entry) -> Maker:
        """Return a maker that waits for the clip."""
        array = next(iter(self.arrays(name)))

        def make(piece: Entry, clip: Clip) -> ViewArrays:
            values, padded = self.make(piece, clip)
            return ViewArrays({array: values}, padded)

        return Once(make)
