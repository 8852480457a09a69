"""The frames of a long video on a grid of times, one at a time: `media.read_clip` would hold all of them."""

import math
from collections.abc import Iterator, Sequence
from contextlib import closing
from itertools import chain
from pathlib import Path

import av
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from datamodules.errors import MediaError
from datamodules.media.container import MAX_SECONDS, check_whole, open_media, streams_of
from datamodules.media.part import Part, first_times, seek_before

_EPSILON = 1e-4  # seconds; time stamps are rounded to the time base


def grid_frames(path: Path, fps: int, start: float | None = None, end: float | None = None) -> Iterator[VideoFrame]:
    """Yield the frame shown at k / fps seconds for k = 0, 1, ... until the video, or the part of it, ends.

    Times are presentation times after the first frame, so that neither the frame rate nor its variation matters.

    Args:
        path: Any file that FFmpeg reads.
        fps: Grid steps per second.
        start: Seconds after the first frame at which a part of a longer file begins.
        end: Seconds after the first frame at which it ends; None for the end of the file.

    Raises:
        MediaError: The file is broken or cut short, or the part not in it; it comes after the frames before the break.
    """
    if start is not None or end is not None:
        yield from _grid_of_part(path, fps, Part(start or 0.0, end))
        return
    with closing(open_media(path)) as container:
        stream = streams_of(path, container, "video")[0]
        base = float(stream.time_base or 0)
        promised = float(stream.duration * base) if stream.duration else (container.duration or 0) / av.time_base
        rate = float(stream.average_rate or stream.guessed_rate or 25)
        step = count = 0
        start = time = 0.0
        shown: VideoFrame | None = None
        for frame in _decoded(path, container, stream):
            now = frame.time if frame.time is not None else start + count / rate
            if shown is None:
                start = now
            if shown is not None and now - time > MAX_SECONDS:
                raise MediaError(path, f"times of its frames jump from {time - start:.1f} s to {now - start:.1f} s")
            while shown is not None and step / fps < now - start - _EPSILON:
                yield shown
                step += 1
            shown, time, count = frame, now, count + 1
        if shown is None:
            raise MediaError(path, "no frame decodes")
        last = float((shown.duration or 0) * (shown.time_base or 0)) or 1 / rate
        if last > MAX_SECONDS:
            raise MediaError(path, f"its last frame claims to last {last:.0f} s")
        end = time - start + last
        check_whole(path, end, promised)
        while step / fps < end - _EPSILON:
            yield shown
            step += 1


def _decoded(
    path: Path, container: "av.container.InputContainer", stream: VideoStream, sought: bool = False
) -> Iterator[VideoFrame]:
    failed = packets = 0
    key: int | None = None
    demuxed = container.demux(stream)
    while True:
        try:
            packet = next(demuxed, None)
        except av.FFmpegError:
            break  # what is missing shows in the duration
        if packet is None:
            break
        packets += packet.size > 0
        if sought and packet.pts is not None:
            key = packet.pts if key is None else key
            if packet.pts < key:  # shown before the key frame, and made of what was before it
                continue
        try:
            frames = packet.decode()
        except av.FFmpegError:
            failed += 1
            continue
        for frame in frames:
            failed += frame.is_corrupt
            yield frame
    if failed:
        raise MediaError(path, f"damaged: {failed} of {packets} video packets do not decode")


def _grid_of_part(path: Path, fps: int, part: Part) -> Iterator[VideoFrame]:
    part.check(path, longest=math.inf)
    with closing(open_media(path)) as container:
        stream = streams_of(path, container, "video")[0]
        first = first_times(path, [stream])[stream.index]
        rate = float(stream.average_rate or stream.guessed_rate or 25)
    step = 0
    shown: VideoFrame | None = None
    for frame in _from(path, first + part.start):
        now = (frame.time or 0.0) - first
        while shown is not None and (wanted := part.start + step / fps) < now - _EPSILON:
            if part.end is not None and wanted >= part.end - _EPSILON:
                return
            yield shown
            step += 1
        shown = frame
    if shown is None:
        raise MediaError(path, "no frame decodes")
    last = float((shown.duration or 0) * (shown.time_base or 0)) or 1 / rate
    length = (shown.time or 0.0) - first + min(last, MAX_SECONDS)
    seconds = part.seconds(path, length)
    while step / fps < seconds - _EPSILON:
        yield shown
        step += 1


def _from(path: Path, time: float) -> Iterator[VideoFrame]:
    """Yield the frames of a video from one at or before a time of its stream, or from its beginning."""
    for quick in (True, False):
        with closing(open_media(path)) as container:
            stream = streams_of(path, container, "video")[0]
            sought = quick and seek_before(container, time)
            frames = _decoded(path, container, stream, sought)
            first = next(frames, None)
            if sought and (first is None or (first.time or 0.0) > time + _EPSILON):
                continue
            if first is not None:
                yield first
                yield from frames
            return


class GridStream:
    """The steps of parts of a video, one part after the other, in one pass over it.

    Args:
        path: Any file that FFmpeg reads.
        fps: Grid steps per second.
        parts: In the order in which they will be read; none begins before the one ahead of it.
    """

    def __init__(self, path: Path, fps: int, parts: Sequence[Part]) -> None:
        self.path, self.fps, self.parts, self.start = path, fps, list(parts), parts[0].start
        self._steps = enumerate(grid_frames(path, fps, self.start))
        self._held: list[tuple[int, VideoFrame]] = []  # steps that the next part has too

    def read(self, part: Part) -> Iterator[VideoFrame]:
        """Yield the frames of the next part, as `grid_frames` does of it alone.

        Raises:
            MediaError: As of `grid_frames`.
        """
        del self.parts[: self.parts.index(part)]
        first = round((part.start - self.start) * self.fps)
        end = float("inf") if part.end is None else math.ceil((part.end - self.start - _EPSILON) * self.fps)
        following = self.parts[1].start - self.start if len(self.parts) > 1 else float("inf")
        step, held, self._held = first - 1, self._held, []
        for step, frame in chain(held, self._steps):
            if step >= following * self.fps - _EPSILON:
                self._held.append((step, frame))
            if first <= step < end:
                yield frame
            if step >= end - 1:
                return
        part.seconds(self.path, (step + 1) / self.fps + self.start)  # the file ended
