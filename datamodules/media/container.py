"""Open media files of unknown origin: one that is none, or has no stream that decodes, is refused with its reason."""

import os
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal, overload

import av
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.video.stream import VideoStream

from datamodules.errors import MediaError
from datamodules.reading.files import check_regular, plain

MAX_SECONDS = 600.0  # packets and chosen frames of a clip are held in memory
MAX_PIXELS = 50_000_000  # of a frame; 8K video has 33 million
PLAYLISTS = (b"ffconcat", b"#EXTM3U")  # texts that would have FFmpeg open what they name, a device too
_POINTER = b"version http"  # of Git LFS: what a repository has in place of a large file until it is fetched
_STREAMED = 0x7FFF0000  # a size left by a writer who could not go back to its header
_LOST = (0.2, 0.02)  # seconds, or share of what is promised, whichever is more: less than that is not "truncated"


def check_file(path: Path) -> int:
    """Return the size in bytes of a file that may be opened.

    Raises:
        MediaError: It is not there, no regular file, empty, or its name is no text.
    """
    if plain(str(path)) != str(path):
        raise MediaError(path, "its name or that of a folder is not UTF-8; rename it")
    try:
        check_regular(path)
        size = path.stat().st_size
    except (FileNotFoundError, NotADirectoryError):
        raise MediaError(path, "no such file") from None
    except OSError as error:
        raise MediaError(path, f"cannot be read ({error.strerror})") from None
    if not size:
        raise MediaError(path, "empty file (0 bytes)")
    return size


def open_media(path: Path) -> InputContainer:
    """Open any file that FFmpeg reads; the caller closes it.

    Raises:
        MediaError: It is no regular file, no media file, or cut short.
    """
    size = check_file(path)
    try:
        with path.open("rb") as file:
            head = file.read(12)
            promised = _wav_size(head, file)
    except OSError as error:
        raise MediaError(path, f"cannot be read ({error.strerror})") from None
    if head.startswith(PLAYLISTS):
        raise MediaError(path, "a list of other files, not a media file")
    if head.startswith(_POINTER):
        raise MediaError(path, "only a pointer to the file, which `git lfs pull` fetches")
    if size < promised:  # FFmpeg reads what is there
        raise MediaError(path, f"truncated: {size} of {promised} bytes")
    try:
        return av.open(str(path), metadata_errors="replace")
    except (av.FFmpegError, OSError, ValueError):
        raise MediaError(path, "not a media file, or cut off before its header") from None


def _wav_size(head: bytes, file: BinaryIO) -> int:
    """Return the size in bytes that a WAV file's headers claim, 0 for other files and where they claim none."""
    if head[:4] != b"RIFF" or head[8:] != b"WAVE":
        return 0
    sizes = [int.from_bytes(head[4:8], "little") + 8]
    while len(chunk := file.read(8)) == 8:
        size = int.from_bytes(chunk[4:], "little")
        sizes.append(file.tell() + size)
        if chunk[:4] == b"data":
            break
        file.seek(size + size % 2, os.SEEK_CUR)
    return max((size for size in sizes if size < _STREAMED), default=0)


@overload
def streams_of(path: Path, container: InputContainer, kind: Literal["video"]) -> list[VideoStream]: ...
@overload
def streams_of(path: Path, container: InputContainer, kind: Literal["audio"]) -> list[AudioStream]: ...
def streams_of(
    path: Path, container: InputContainer, kind: Literal["video", "audio"]
) -> list[VideoStream] | list[AudioStream]:
    """Return the streams of a kind that can be decoded, cover pictures left out, to be decoded by one thread each.

    Raises:
        MediaError: There is none, a damaged header names no codec, or its pictures are larger than anybody films.
    """
    still = av.stream.Disposition.attached_pic  # a video stream to FFmpeg
    there = [one for one in getattr(container.streams, kind) if not one.disposition & still]
    if not there:
        raise MediaError(path, f"no {kind} stream")
    known = [one for one in there if one.codec_context is not None]
    if not known:
        raise MediaError(path, f"nothing here decodes its {kind}: damaged header, or an unknown codec")
    for stream in known:
        context = stream.codec_context
        context.thread_count = 1
        if kind == "video":
            if context.width * context.height > MAX_PIXELS:
                raise MediaError(path, f"pictures of {context.width} x {context.height} pixels are not read")
            context.options = {"max_pixels": str(MAX_PIXELS)}  # the header may say less than the pictures have
    return known


def check_whole(path: Path, seconds: float, promised: float) -> None:
    """Refuse a stream that ends before its header says, where ``promised`` is not 0, more than rounding explains."""
    if seconds < promised - max(_LOST[0], _LOST[1] * promised):
        raise MediaError(path, f"truncated: {seconds:.1f} s of {promised:.1f} s are there")


def too_long(path: Path, seconds: float) -> MediaError:
    """Return the error of a clip that is longer than what is held in memory."""
    return MediaError(path, f"lasts {seconds:.0f} s; clips of at most {MAX_SECONDS:.0f} s are read")


@dataclass(frozen=True)
class Probe:
    """What a file says of itself before anything of it is decoded.

    Attributes:
        seconds: How long it is; 0 where it does not say.
        kinds: Of its streams that can be decoded: video, audio.
    """

    seconds: float
    kinds: frozenset[str]


def length_of(path: Path) -> float:
    """Return how many seconds a file lasts, by its header, or by its packets where that does not say.

    Raises:
        MediaError: It is missing, or no media file.
    """
    if seconds := probe(path).seconds:
        return seconds
    times = [0.0]
    with closing(open_media(path)) as container, suppress(av.FFmpegError):
        for packet in container.demux():
            if packet.pts is not None and packet.time_base:
                end = float((packet.pts + (packet.duration or 0)) * packet.time_base)
                times = [end if len(times) < 2 else times[0], max(times[-1], end)]
    return times[-1] - min(times[0], 0.0)


def probe(path: Path) -> Probe:
    """Return the length and the streams that a file names in its header.

    Raises:
        MediaError: It is missing, or no media file.
    """
    kinds = set()
    with closing(open_media(path)) as container:
        for kind in ("video", "audio"):
            with suppress(MediaError):
                streams_of(path, container, kind)
                kinds.add(kind)
        return Probe(max(0.0, (container.duration or 0) / av.time_base), frozenset(kinds))
