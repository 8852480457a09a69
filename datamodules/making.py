"""From entries to arrays: every file is hashed once and decoded once for all views that want the same of it."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from pathlib import Path

import numpy as np
from av.video.frame import VideoFrame

from datamodules.entries import Entry, Media
from datamodules.frames import to_rgb
from datamodules.grid_frames import grid_frames
from datamodules.media import Clip, read_clip
from datamodules.media_file import MediaError
from datamodules.pictures import clip_of, frames_at, read_picture
from datamodules.store import DataError, plain, sha256_file
from datamodules.views.base import Maker, Times, View, Want

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
    """Return runs of neighbours that are read together: stills of one video, some at a time; all others alone."""

    def video(at: tuple[int, Entry]) -> Path | int:
        paths = [medium.path for medium in at[1].media.values() if medium.path and medium.time is not None]
        return paths[0] if paths else at[0]

    jobs: list[list[Entry]] = []
    for _, run in groupby(enumerate(entries), key=video):
        together = [entry for _, entry in run]
        jobs += [together[first : first + STILLS_A_JOB] for first in range(0, len(together), STILLS_A_JOB)]
    return jobs


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
    if entry.reason:
        return Prepared(digest, reason=entry.reason)
    try:
        makers = {name: view.start(name, entry) for name, view in views.items()}
        missing = list(_feed(entry, views, makers, stills))
        made = [maker.end() for maker in makers.values()]
    except MediaError as error:
        return Prepared(digest, reason=error.reason)
    except DataError as error:
        return Prepared(digest, reason=str(error))
    except OSError as error:
        return Prepared(digest, reason=f"cannot be read ({error.strerror})")
    arrays = {name: values for one in made for name, values in one.arrays.items()}
    labels = [one.label for one in made if one.label is not None]
    return Prepared(digest, arrays, sum(one.padded for one in made), next(iter(labels), None), tuple(missing))


def completed(entry: Entry, views: Views, made: Prepared) -> Prepared:
    """Return what was made of an entry together with what views make that need nothing decoded."""
    own = [view.start(name, entry).end().arrays for name, view in views.items()]
    return replace(made, arrays={**made.arrays, **{name: values for one in own for name, values in one.items()}})


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
                    yield from _go_without(piece, want, views[name], makers[name], error)
            return
        if feed is None:
            return
        for name, want in list(left.items()):
            try:
                feed(makers[name], want)
            except (MediaError, OSError) as error:
                yield from _go_without(piece, want, views[name], makers[name], error)
                del left[name]


def _go_without(
    piece: Entry, want: Want, view: View, maker: Maker, error: MediaError | OSError
) -> Iterator[tuple[str, str, str, str]]:
    """Tell a maker that there is nothing for it, and yield a row for that.

    Raises:
        MediaError: The view cannot do without.
    """
    if view.required:
        raise error
    maker.lack(piece)
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
        yield lambda maker, _: maker.still(piece, image)
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
        yield lambda maker, want: maker.clip(piece, _part(clip, times, want))


def _handing(piece: Entry, frame: VideoFrame) -> Callable[[Maker, Want], None]:
    return lambda maker, _: maker.frame(piece, frame)


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
    """Return what one view wanted of a clip that was decoded for several."""
    if want.times is None:
        return replace(clip, frames=[], times=np.empty(0))
    first = sum(select.count for select in times[: times.index(want.times)])
    own = slice(first, first + want.times.count)
    return replace(clip, frames=clip.frames[own], times=clip.times[own])


class _Stills:
    """Pictures of a job: those out of one video come from one pass over it, few held at a time.

    Args:
        entries: Of the job, in order; where they are frames of a video, by time.
    """

    def __init__(self, entries: Sequence[Entry]) -> None:
        timed = [
            (entry.id, medium.path, medium.time)
            for entry in entries
            if not entry.reason
            for medium in entry.media.values()
            if medium.path and medium.time is not None
        ]
        self._waiting = [id for id, _, _ in timed]
        times = [time for _, _, time in timed]
        self._frames = (to_rgb(frame) for frame in frames_at(timed[0][1], times)) if timed else iter(())
        self._error: MediaError | None = None

    def image(self, entry: Entry, medium: Media) -> np.ndarray:
        """Return the picture of an entry, uint8 RGB ``(H, W, 3)``.

        Raises:
            MediaError: It cannot be read, or an earlier one of the same video could not.
        """
        if medium.pixels is not None:
            return np.repeat(medium.pixels[:, :, None], 3, axis=2)
        if medium.path is None:
            raise MediaError(Path(medium.name), "no such file")
        if medium.time is None:
            return read_picture(medium.path)
        if self._error is not None:
            raise self._error
        try:
            while self._waiting.pop(0) != entry.id:  # an entry that failed before it saw its own
                next(self._frames)
            return next(self._frames)
        except MediaError as error:
            self._error = error
            raise
