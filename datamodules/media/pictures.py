"""Pictures: from a file, or frames of a video at given times, one after the other."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from PIL import Image, UnidentifiedImageError

from datamodules.errors import MediaError
from datamodules.media.container import check_file, open_media, streams_of

FEW = 100_000  # frames; as many are looked for whatever the size of the file
_LATE = 1e-3  # seconds that a time stamp may be rounded up by


def read_picture(path: Path) -> np.ndarray:
    """Read a picture as uint8 RGB ``(H, W, 3)``; grey ones are repeated to three channels.

    Raises:
        MediaError: The file is missing, empty, broken or cut short.
    """
    check_file(path)
    try:
        with Image.open(path) as image:
            return np.array(image.convert("RGB"))
    except UnidentifiedImageError:
        raise MediaError(path, "not a picture") from None
    except Image.DecompressionBombError:
        raise MediaError(path, "a picture of too many pixels") from None
    except (OSError, EOFError, SyntaxError, ValueError) as error:  # Pillow's kinds for a damaged file
        raise MediaError(path, f"damaged picture ({error})") from None


def count_frames(path: Path) -> tuple[float, int]:
    """Return the frames per second of a video and how many there are, as its header says.

    Raises:
        MediaError: The file is missing or broken, or its header does not say, or says more than can be.
    """
    with closing(open_media(path)) as container:
        stream = streams_of(path, container, "video")[0]
        rate = float(stream.average_rate or stream.guessed_rate or 0)
        seconds = float((stream.duration or 0) * (stream.time_base or 0)) or (container.duration or 0) / av.time_base
    if rate <= 0 or seconds <= 0:
        raise MediaError(path, "its header names no frame rate or duration")
    count = stream.frames or int(seconds * rate)
    size = path.stat().st_size
    if not 0 < count <= max(size, FEW):  # a frame takes a byte at least
        raise MediaError(path, f"its header promises {count} frames in {size} bytes")
    return rate, count


def frames_at(path: Path, times: Sequence[float]) -> Iterator[VideoFrame]:
    """Decode the frames shown at some times, one after the other; few are held in memory.

    Args:
        path: Any video that FFmpeg reads.
        times: Seconds after the first frame, ascending.

    Raises:
        MediaError: The file is missing or broken, or ends before the last time.
    """
    with closing(open_media(path)) as container:
        stream = streams_of(path, container, "video")[0]
        try:
            start = _begin(container, stream, times[0])
            yield from _displayed_frames(path, container, stream, start, times)
        except av.FFmpegError as error:
            raise MediaError(path, f"does not decode ({error.strerror})") from None


def _begin(container: InputContainer, stream: VideoStream, time: float) -> float:
    """Seek a key frame at or before a time; return when the video starts, in seconds."""
    start = float((stream.start_time or 0) * (stream.time_base or 0))
    if time > 0:
        # A frame may be stamped before it is decoded; the second before the time holds what it needs.
        container.seek(int((start + max(0.0, time - 1)) * av.time_base), backward=True)
        first = next(iter(container.decode(stream)), None)
        if first is None or first.time is None or first.time - start > time:
            container.seek(0, backward=True)
        else:
            container.seek(int((start + max(0.0, time - 1)) * av.time_base), backward=True)
    return start


def _displayed_frames(
    path: Path, container: InputContainer, stream: VideoStream, start: float, times: Sequence[float]
) -> Iterator[VideoFrame]:
    wanted = iter(times)
    time: float | None = next(wanted)
    last: VideoFrame | None = None
    gap = 0.0
    for frame in container.decode(stream):
        now = (frame.time or 0.0) - start
        while time is not None and last is not None and now > time + _LATE:
            yield last
            time = next(wanted, None)
        if time is None:
            return
        if last is not None:
            gap = now - ((last.time or 0.0) - start)
        last = frame
    while time is not None:
        if last is None or time > (last.time or 0.0) - start + max(gap, _LATE):
            raise MediaError(path, f"ends before {time:.2f} s")
        yield last
        time = next(wanted, None)
