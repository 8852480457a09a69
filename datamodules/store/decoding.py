"""What is decoded for an entry: a file once for all views that want the same of it, stills of a video in one pass."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from av.video.frame import VideoFrame

from datamodules.entries import Entry, Media
from datamodules.errors import MediaError
from datamodules.media.clip import Clip, clip_of, read_clip
from datamodules.media.films.one_pass import ClipStream
from datamodules.media.frames import to_rgb
from datamodules.media.grid_frames import GridStream, grid_frames
from datamodules.media.part import Part
from datamodules.media.pictures import frames_at, read_picture
from datamodules.views.base import Maker, Times, Want

STILLS_A_JOB = 32  # of one video

Decoded = Clip | VideoFrame | np.ndarray
Select = Callable[[float], np.ndarray] | None


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
    timed = ((one.path, one.time + (one.start or 0.0)) for one in media if one.path and one.time is not None)
    return next(timed, None)


class Stills:
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

    def clip(self, path: Path, times: Select, rates: Sequence[int], span: Mapping[str, float | None]) -> Clip:
        """Return what `read_clip` returns."""
        return read_clip(path, times, rates, **span)

    def grid(self, path: Path, fps: int, span: Mapping[str, float | None]) -> Iterator[VideoFrame]:
        """Yield what `grid_frames` yields."""
        return grid_frames(path, fps, **span)

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


def part_of(entry: Entry) -> Part | None:
    """Return the part of its film and sound that an entry is, if it has a beginning and an end."""
    found = {(one.start, one.end) for name, one in entry.media.items() if name in ("video", "audio")}
    start, end = found.pop() if len(found) == 1 else (None, None)
    return None if start is None or end is None else Part(start, end)


class OnePass(Stills):
    """Windows of one clip, in order: each of its files is decoded in one pass.

    Args:
        entries: The windows; each has a `part_of`.
    """

    def __init__(self, entries: Sequence[Entry]) -> None:
        super().__init__(())
        self._parts = [part for entry in entries if (part := part_of(entry))]
        self._clips: dict[tuple[Any, ...], ClipStream | MediaError] = {}
        self._grids: dict[tuple[Path, int], GridStream] = {}

    def clip(self, path: Path, times: Select, rates: Sequence[int], span: Mapping[str, float | None]) -> Clip:
        """Return what `read_clip` returns."""
        part = Part(span["start"] or 0.0, span["end"])
        wanted = path, tuple(rates), times and len(times(1.0))
        stream = self._clips.get(wanted)
        if stream is None:
            try:
                stream = ClipStream(path, self._parts[self._parts.index(part) :], times, rates)
            except MediaError as error:
                stream = error
            self._clips[wanted] = stream
        if isinstance(stream, MediaError):
            raise stream
        return stream.read(part) if part in stream.parts else super().clip(path, times, rates, span)

    def grid(self, path: Path, fps: int, span: Mapping[str, float | None]) -> Iterator[VideoFrame]:
        """Yield what `grid_frames` yields."""
        part = Part(span["start"] or 0.0, span["end"])
        try:
            if (path, fps) not in self._grids:
                self._grids[path, fps] = GridStream(path, fps, self._parts[self._parts.index(part) :])
            yield from self._grids[path, fps].read(part)
        except MediaError:
            self._grids.pop((path, fps), None)  # the next part may be good
            raise

    def close(self) -> None:
        """Close the files."""
        for one in self._clips.values():
            if isinstance(one, ClipStream):
                one.close()


def decoded(piece: Entry, wants: list[Want], stills: Stills) -> Iterator[Decoded]:
    """Yield what is decoded of a file, one thing after the other."""
    first = wants[0]
    medium = piece.media.get(first.medium)
    if medium is None:
        raise MediaError(Path(piece.name), f"no {first.medium}")
    if medium.problem:
        raise MediaError(medium.path or Path(medium.name), medium.problem)
    if first.still:
        yield stills.image(piece, medium)
    elif medium.path is None:
        raise MediaError(Path(medium.name), "no such file")
    elif first.fps:
        yield from stills.grid(medium.path, first.fps, medium.span)
    else:
        select, rates = _joined(_times(wants)), list(dict.fromkeys(rate for want in wants for rate in want.rates))
        films = piece.media.get("video", Media()).path == medium.path
        if medium.frames and select:
            yield clip_of(medium.frames, select)
        elif films and not select:
            yield _with_its_film(stills, medium.path, rates, medium.span)
        else:
            yield stills.clip(medium.path, select, rates, medium.span)


def hand(maker: Maker, piece: Entry, found: Decoded, wants: Sequence[Want], want: Want) -> None:
    """Give a maker what is decoded, of a clip the part that its view wanted."""
    if isinstance(found, Clip):
        maker.add_clip(piece, _part(found, _times(wants), want))
    elif isinstance(found, VideoFrame):
        maker.add_frame(piece, found)
    else:
        maker.add_still(piece, found)


def _with_its_film(stills: Stills, path: Path, rates: list[int], span: Mapping[str, float | None]) -> Clip:
    """Decode sound that begins and ends with the pictures, as it does where somebody looks at them."""
    try:
        return stills.clip(path, Times(1), rates, span)
    except MediaError:  # of the pictures
        return stills.clip(path, None, rates, span)


def _times(wants: Sequence[Want]) -> list[Times]:
    return list(dict.fromkeys(want.times for want in wants if want.times is not None))


def _joined(times: list[Times]) -> Select:
    """Return one selector for all; None where nobody wants a frame."""
    return (lambda duration: np.concatenate([select(duration) for select in times])) if times else None


def _part(clip: Clip, times: list[Times], want: Want) -> Clip:
    """Return the part of a clip, decoded for several views, that one view wanted."""
    if want.times is None:
        return replace(clip, frames=[], times=np.empty(0))
    first = sum(select.count for select in times[: times.index(want.times)])
    own = slice(first, first + want.times.count)
    return replace(clip, frames=clip.frames[own], times=clip.times[own])
