"""The frames of a long video on a grid of times, one at a time: `media.read_clip` would hold all of them."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import av
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from datamodules.errors import MediaError
from datamodules.media.container import MAX_SECONDS, check_whole, open_media, streams_of

_EPSILON = 1e-4  # seconds; time stamps are rounded to the time base


def grid_frames(path: Path, fps: int) -> Iterator[VideoFrame]:
    """Yield the frame shown at k / fps seconds for k = 0, 1, ... until the video ends.

    Times are presentation times after the first frame, so that neither the frame rate nor its variation matters.

    Args:
        path: Any file that FFmpeg reads.
        fps: Grid steps per second.

    Raises:
        MediaError: The file is broken or cut short; it comes after the frames before the break.
    """
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


def _decoded(path: Path, container: "av.container.InputContainer", stream: VideoStream) -> Iterator[VideoFrame]:
    failed = packets = 0
    demuxed = container.demux(stream)
    while True:
        try:
            packet = next(demuxed, None)
        except av.FFmpegError:
            break  # what is missing shows in the duration
        if packet is None:
            break
        packets += packet.size > 0
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
