"""From entries to arrays: what a view cannot do without, and what it can."""

from collections import defaultdict
from collections.abc import Collection, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from datamodules.entries import Entry, Media
from datamodules.errors import DataError, MediaError
from datamodules.reading.files import hash_of, plain
from datamodules.store.decoding import OnePass, Stills, decoded, hand, part_of
from datamodules.views.base import EntryView, MediaView, ViewArrays, Want

Views = dict[str, MediaView]
WINDOWS_A_JOB, SECONDS_A_JOB = 16, 90.0
INDEXED = (".mp4", ".mov", ".m4v", ".m4a", ".mkv", ".webm", ".mka")  # in which the packets of a time are found


@dataclass(frozen=True)
class Prepared:
    """An entry ready for the store, or the reason why there is none.

    Attributes:
        sha256: Hash of all that it was made of; empty where a file cannot be read.
        arrays: By name.
        padded: Steps that are padding.
        label: Class index for the index where a view found it.
        missing: Part, medium (or view), file and reason of what it had to go without, or of what left nothing.
        reason: Why there are no arrays; empty where there are.
        person: Number, from the left, of the person whose face was followed, and how many there are.
    """

    sha256: str
    arrays: dict[str, np.ndarray] = field(default_factory=dict)
    padded: int = 0
    label: int | None = None
    missing: tuple[tuple[str, str, str, str], ...] = ()
    reason: str = ""
    person: tuple[int, int] | None = None


def prepare_job(
    entries: Sequence[Entry], views: Views, optional: Collection[str] = (), texts: bool = True
) -> list[Prepared]:
    """Turn entries that `jobs_of` put together into arrays; problems come back as reasons.

    Args:
        entries: In order.
        views: By name, in the order of the recipe.
        optional: Those that an entry may go without.
        texts: Whether the text of an entry is kept too, so that it can be used where all else of it is missing.
    """
    paths = {path for entry in entries for path in entry.files()}
    hashes = {path: hash_of(path) for path in paths}
    stills = Stills(entries)
    return [_prepare(entry, views, optional, texts, entry.digest(hashes), stills) for entry in entries]


def jobs_of_windows(entries: Sequence[Entry], workers: int) -> list[list[Entry]]:
    """Return runs of windows of one clip, which are decoded in one pass; other entries alone.

    Args:
        entries: In order; windows of a clip one after the other.
        workers: Where there are several, a run is not longer than what one of them holds, if its file has an index.
    """
    jobs: list[list[Entry]] = []
    for entry in entries:
        job, now = jobs[-1] if jobs else [], part_of(entry)
        first, last = (part_of(job[0]), part_of(job[-1])) if job else (None, None)
        joins = first and last and now and last.start <= now.start and [*job[-1].files()] == [*entry.files()]
        if joins and workers > 1 and all(path.suffix.lower() in INDEXED for path in entry.files()):
            assert first is not None and now is not None and now.end is not None  # noqa: PT018
            joins = len(job) < WINDOWS_A_JOB and now.end - first.start <= SECONDS_A_JOB
        if joins:
            job.append(entry)
        else:
            jobs.append([entry])
    return jobs


def prepare_asked(
    entries: Sequence[Entry], views: Views, optional: Collection[str], texts: bool, alone: bool
) -> Iterable[Prepared]:
    """Return what `prepare_job` does of a clip, or of windows of one, without the hash of what they were made of.

    Args:
        entries: A clip or its windows, in order.
        views: As of `prepare_job`.
        optional: As of `prepare_job`.
        texts: As of `prepare_job`.
        alone: Whether they are made one by one as they are asked for; all of them where another process waits.
    """
    if len(entries) == 1:
        return prepare_job(entries, views, optional, texts)
    made = _windows(entries, views, optional, texts)
    return made if alone else list(made)


def _windows(
    entries: Sequence[Entry], views: Views, optional: Collection[str], texts: bool
) -> Generator[Prepared, None, None]:
    with closing(OnePass(entries)) as files:
        for entry in entries:
            yield _prepare(entry, views, optional, texts, "", files)


def _prepare(
    entry: Entry, views: Views, optional: Collection[str], texts: bool, digest: str, stills: Stills
) -> Prepared:
    if entry.reason or not views:
        return Prepared(digest, reason=entry.reason)
    try:
        return _Making(entry, views, optional, stills, texts).prepared(digest)
    except (DataError, OSError) as error:
        return Prepared(digest, reason=_reason(error))


def _reason(error: DataError | OSError) -> str:
    if isinstance(error, OSError):
        return f"cannot be read ({error.strerror})"
    return error.reason if isinstance(error, MediaError) else str(error)


def complete(entries: Sequence[Entry], views: Mapping[str, EntryView], prepared: Sequence[Prepared]) -> None:
    """Add the arrays of views that need nothing decoded."""
    usable = [(entry, one) for entry, one in zip(entries, prepared, strict=True) if not one.reason]
    for name, view in views.items():
        made = view.make_all(name, [entry for entry, _ in usable])
        for (_, one), arrays in zip(usable, made, strict=True):
            one.arrays.update(arrays)


class _Making:
    """An entry on its way to arrays.

    Args:
        entry: Which.
        views: By name, in the order of the recipe.
        optional: Those that it may go without.
        stills: Of its job.
        texts: Whether its text is kept too.

    Attributes:
        makers: By view; none of a view that it went without.
        missing: Part, medium (or view), file and reason of everything that it had to go without.
    """

    def __init__(self, entry: Entry, views: Views, optional: Collection[str], stills: Stills, texts: bool) -> None:
        self.entry, self.views, self.optional, self.stills = entry, views, optional, stills
        gone = all(medium.problem for medium in entry.media.values())  # known before: what is there is its text
        self.texts = bool(entry.texts) and (texts or gone)
        self.makers = {name: view.start(name, entry) for name, view in views.items()}
        self.missing: list[tuple[str, str, str, str]] = []
        self.fault = ""

    def prepared(self, digest: str) -> Prepared:
        """Decode what the views want, and return what they make of it.

        Raises:
            MediaError: What a view cannot do without is not there or cannot be used.
            OSError: The same, of the disk.
        """
        for piece in (self.entry, *self.entry.parts):
            groups: defaultdict[tuple[Any, ...], dict[str, Want]] = defaultdict(dict)
            for name, want in self._wanted(piece):
                medium = piece.media.get(want.medium, Media())
                groups[medium.path, medium.start, medium.end, want.fps, want.still][name] = want
            for wants in groups.values():
                self._feed(piece, wants)
        made = {name: one for name in self.views if (one := self._finished(name))}
        if not self.makers and not self.texts:
            return Prepared(digest, missing=tuple(self.missing), reason=self.fault or self.missing[0][-1])
        arrays = {name: values for one in made.values() for name, values in one.arrays.items()}
        labels = [one.label for one in made.values() if one.label is not None]
        padded = sum(one.padded for one in made.values())
        person = next((one.person for one in made.values() if one.person), None)
        return Prepared(digest, arrays, padded, next(iter(labels), None), tuple(self.missing), person=person)

    def _wanted(self, piece: Entry) -> Iterator[tuple[str, Want]]:
        for name, view in self.views.items():
            if not any(piece is one for one in self.entry.pieces(view.of_parts)):
                continue
            try:
                want = view.wants(piece)
            except MediaError as error:
                self._skip(piece, name, "", error)
            else:
                if want is not None:
                    yield name, want

    def _finished(self, name: str) -> ViewArrays | None:
        try:
            if name in self.makers:
                return self.makers[name].finish()
        except MediaError as error:
            self._skip(self.entry, name, "", error)
        return ViewArrays(self.views[name].empty(name))

    def _feed(self, piece: Entry, wants: dict[str, Want]) -> None:
        """Decode one file once; where that fails and some views can do without, decode it again for each view."""
        left = dict(sorted(wants.items(), key=lambda one: one[1].times is not None))  # bad sound shows sooner
        content = decoded(piece, list(wants.values()), self.stills)
        while left:
            try:
                found = next(content, None)
            except (MediaError, OSError) as error:
                apart = len(left) > 1 and not all(map(self._needs, left))
                if apart and not any(want.fps or want.still for want in left.values()):  # sound may be good
                    for name, want in left.items():
                        self._feed(piece, {name: want})
                else:
                    for name, want in left.items():
                        self._skip(piece, name, want.medium, error)
                return
            if found is None:
                return
            for name, want in list(left.items()):
                try:
                    hand(self.makers[name], piece, found, list(wants.values()), want)
                except (MediaError, OSError) as error:
                    self._skip(piece, name, want.medium, error)
                    del left[name]

    def _needs(self, name: str) -> bool:
        return self.views[name].required and name not in self.optional

    def _skip(self, piece: Entry, name: str, medium: str, error: MediaError | OSError) -> None:
        """Go without what a view wanted, and record that where the corpus names a file.

        Raises:
            MediaError: The view cannot do without.
            OSError: The same, of the disk.
        """
        if self._needs(name):
            raise error
        row, file = (piece.id, medium), piece.media.get(medium, Media()).name
        if self.views[name].required:  # all of it is gone, not a piece
            row, file = ("", name), self.entry.name or self.entry.id
            del self.makers[name]
        else:
            self.makers[name].skip(piece)
        if file:
            self.missing.append((*row, plain(file), _reason(error)))
        self.fault = self.fault or (_reason(error) if medium in piece.media else "")
