"""From entries to arrays: every file is hashed once and decoded once for all views that want the same of it."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from av.video.frame import VideoFrame

from datamodules.entries import Entry, Media
from datamodules.errors import DataError, MediaError
from datamodules.media.clip import Clip, read_clip
from datamodules.media.frames import to_rgb
from datamodules.media.grid_frames import grid_frames
from datamodules.media.pictures import clip_of, frames_at, read_picture
from datamodules.reading.files import plain, sha256_file
from datamodules.views.base import EntryView, Maker, Times, View, Want

STILLS_A_JOB = 32  # of one video

Views = dict[str, View]


@dataclass(frozen=True)
class Prepared:
    """An entry ready for the store, or the reason why there is none.

    Attributes:
        sha256: Hash of all that it was made of; empty where a file cannot be read.
        arrays: By name.
        padded: Steps that are padding.
        label: Class index for the index where a view found it.
        missing: Part, medium, file and reason of what it had to go without.
        reason: Why there are no arrays; empty where there are.
    """

    sha256: str
    arrays: dict[str, np.ndarray] = field(default_factory=dict)
    padded: int = 0
    label: int | None = None
    missing: tuple[tuple[str, str, str, str], ...] = ()
    reason: str = ""


def jobs_of(entries: Sequence[Entry]) -> list[list[Entry]]:
    """Return runs of neighbours that are read together: later and later stills of one video, few; all others alone."""
    jobs: list[list[Entry]] = []
    last: tuple[Path, float] | None = None
    for entry in entries:
        now = _place(entry)
        if now and last and now[0] == last[0] and now[1] >= last[1] and len(jobs[-1]) < STILLS_A_JOB:
            jobs[-1].append(entry)
        else:
            jobs.append([entry])
        last = now
    return jobs


def _place(entry: Entry) -> tuple[Path, float] | None:
    """Return video and time of a still out of one; None of anything else."""
    media = entry.media.values()
    return next(((one.path, one.time) for one in media if one.path is not None and one.time is not None), None)


def hash_of(path: Path) -> str:
    """Return the SHA-256 of a file; empty if it cannot be read."""
    try:
        return sha256_file(path)
    except OSError:
        return ""


def prepare_job(entries: Sequence[Entry], views: Views) -> list[Prepared]:
    """Turn entries that `jobs_of` put together into arrays; problems come back as reasons.

    Args:
        entries: In order.
        views: By name, in the order of the recipe.
    """
    paths = {path for entry in entries for path in entry.files()}
    hashes = {path: hash_of(path) for path in paths}
    stills = _Stills(entries)
    return [_prepare(entry, views, entry.digest(hashes), stills) for entry in entries]


def _prepare(entry: Entry, views: Views, digest: str, stills: "_Stills") -> Prepared:
    if entry.reason or not views:
        return Prepared(digest, reason=entry.reason)
    try:
        makers = {name: view.start(name, entry) for name, view in views.items()}
        missing = list(_feed(entry, views, makers, stills))
        made = [maker.finish() for maker in makers.values()]
    except MediaError as error:
        return Prepared(digest, reason=error.reason)
    except DataError as error:
        return Prepared(digest, reason=str(error))
    except OSError as error:
        return Prepared(digest, reason=f"cannot be read ({error.strerror})")
    arrays = {name: values for one in made for name, values in one.arrays.items()}
    labels = [one.label for one in made if one.label is not None]
    return Prepared(digest, arrays, sum(one.padded for one in made), next(iter(labels), None), tuple(missing))


def complete(entries: Sequence[Entry], views: Mapping[str, EntryView], prepared: Sequence[Prepared]) -> None:
    """Add the arrays of views that need nothing decoded."""
    usable = [(entry, one) for entry, one in zip(entries, prepared, strict=True) if not one.reason]
    for name, view in views.items():
        made = view.make_all(name, [entry for entry, _ in usable])
        for (_, one), arrays in zip(usable, made, strict=True):
            one.arrays.update(arrays)


def _feed(
    entry: Entry, views: Views, makers: dict[str, Maker], stills: "_Stills"
) -> Iterator[tuple[str, str, str, str]]:
    """Decode what the views want and hand it to their makers; yield a row for what they had to go without.

    Raises:
        MediaError: What a view cannot do without is not there or cannot be used.
    """
    fed: dict[int, Entry] = {}
    by_piece: defaultdict[int, list[str]] = defaultdict(list)
    for name, view in views.items():
        for piece in view.pieces(entry):
            fed[id(piece)] = piece
            by_piece[id(piece)].append(name)
    for key, piece in fed.items():
        groups: defaultdict[tuple[Path | None, int, bool], list[tuple[str, Want]]] = defaultdict(list)
        for name in by_piece[key]:
            want = views[name].wants(piece)
            if want is not None:
                groups[piece.media.get(want.medium, Media()).path, want.fps, want.still].append((name, want))
        for together in groups.values():
            yield from _feed_group(piece, together, views, makers, stills)


def _feed_group(
    piece: Entry, wanted: list[tuple[str, Want]], views: Views, makers: dict[str, Maker], stills: "_Stills"
) -> Iterator[tuple[str, str, str, str]]:
    """Decode one file once; where that fails and some views can do without, decode it again for each view."""
    left = dict(sorted(wanted, key=lambda one: one[1].times is not None))  # bad sound is found sooner than a face
    feeds = _decoded(piece, [want for _, want in wanted], stills)
    while left:
        try:
            feed = next(feeds, None)
        except (MediaError, OSError) as error:
            apart = len(left) > 1 and not all(views[name].required for name in left)
            if apart and not any(want.fps or want.still for want in left.values()):  # frames may fail, and sound not
                for one in left.items():
                    yield from _feed_group(piece, [one], views, makers, stills)
            else:
                for name, want in left.items():
                    yield from _skip(piece, want, views[name], makers[name], error)
            return
        if feed is None:
            return
        for name, want in list(left.items()):
            try:
                feed(makers[name], want)
            except (MediaError, OSError) as error:
                yield from _skip(piece, want, views[name], makers[name], error)
                del left[name]


def _skip(
    piece: Entry, want: Want, view: View, maker: Maker, error: MediaError | OSError
) -> Iterator[tuple[str, str, str, str]]:
    """Make a maker skip an entry, and yield the row of ``missing.csv`` for it.

    Raises:
        MediaError: The view cannot do without.
    """
    if view.required:
        raise error
    maker.skip(piece)
    medium = piece.media.get(want.medium)
    if medium is not None and medium.name:
        reason = error.reason if isinstance(error, MediaError) else f"cannot be read ({error.strerror})"
        yield piece.id, want.medium, plain(medium.name), reason


def _decoded(piece: Entry, wants: list[Want], stills: "_Stills") -> Iterator[Callable[[Maker, Want], None]]:
    """Yield what is decoded of a file, one thing after the other, as what hands it to a maker."""
    first = wants[0]
    medium = piece.media.get(first.medium)
    if medium is None:
        raise MediaError(Path(piece.name), f"no {first.medium}")
    if medium.problem:
        raise MediaError(medium.path or Path(medium.name), medium.problem)
    if first.still:
        image = stills.image(piece, medium)
        yield lambda maker, _: maker.add_still(piece, image)
    elif medium.path is None:
        raise MediaError(Path(medium.name), "no such file")
    elif first.fps:
        for frame in grid_frames(medium.path, first.fps):
            yield _handing(piece, frame)
    else:
        times = list(dict.fromkeys(want.times for want in wants if want.times is not None))
        rates = list(dict.fromkeys(rate for want in wants for rate in want.rates))
        select, films = _joined(times), piece.media.get("video", Media()).path == medium.path
        if medium.frames and select:
            clip = clip_of(medium.frames, select)
        elif films and not select:
            clip = _with_its_film(medium.path, rates)
        else:
            clip = read_clip(medium.path, select, rates)
        yield lambda maker, want: maker.add_clip(piece, _part(clip, times, want))


def _handing(piece: Entry, frame: VideoFrame) -> Callable[[Maker, Want], None]:
    return lambda maker, _: maker.add_frame(piece, frame)


def _with_its_film(path: Path, rates: list[int]) -> Clip:
    """Decode sound that begins and ends with the pictures, as it does where somebody looks at them."""
    try:
        return read_clip(path, Times(1), rates)
    except MediaError:  # of the pictures
        return read_clip(path, None, rates)


def _joined(times: list[Times]) -> Callable[[float], np.ndarray] | None:
    """Return one selector for all; None where nobody wants a frame."""
    return (lambda duration: np.concatenate([select(duration) for select in times])) if times else None


def _part(clip: Clip, times: list[Times], want: Want) -> Clip:
    """Return the part of a clip, decoded for several views, that one view wanted."""
    if want.times is None:
        return replace(clip, frames=[], times=np.empty(0))
    first = sum(select.count for select in times[: times.index(want.times)])
    own = slice(first, first + want.times.count)
    return replace(clip, frames=clip.frames[own], times=clip.times[own])


class _Stills:
    """Pictures of a job: those out of one video come from one pass over it, one held at a time.

    Args:
        entries: Of the job, in order; where they are frames of a video, by time.
    """

    def __init__(self, entries: Sequence[Entry]) -> None:
        timed = [(entry.id, *place) for entry in entries if not entry.reason and (place := _place(entry))]
        frames = frames_at(timed[0][1], [time for _, _, time in timed]) if timed else iter(())
        self._pictures = zip((id for id, _, _ in timed), map(to_rgb, frames), strict=False)
        self._now, self._image = "", np.empty(0)
        self._error: MediaError | OSError | None = None

    def image(self, entry: Entry, medium: Media) -> np.ndarray:
        """Return the picture of an entry, uint8 RGB ``(H, W, 3)``; one of a video however often it is asked for.

        Raises:
            MediaError: It cannot be read, or an earlier one of the same video could not.
            OSError: The same, of the disk.
        """
        if medium.pixels is not None:
            return np.repeat(medium.pixels[:, :, None], 3, axis=2)
        if medium.path is None:
            raise MediaError(Path(medium.name), "no such file")
        if medium.time is None:
            return read_picture(medium.path)
        try:
            while self._now != entry.id:  # entries before it may have failed before they saw theirs
                if self._error is not None:
                    raise self._error
                self._now, self._image = next(self._pictures)
        except (MediaError, OSError) as error:
            self._error = error
            raise
        return self._image
