"""Decode short clips: frames at given times and mono audio, in one pass over the file (PyAV).

Times are presentation times, so variable frame rates, edit lists and B-frames need no care from callers.
"""

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import av
import numpy as np
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from datamodules.errors import MediaError
from datamodules.media.container import MAX_SECONDS, check_file, check_whole, open_media, streams_of
from datamodules.media.part import EPSILON, Part, PartPackets, part_packets
from datamodules.media.pictures import read_picture
from datamodules.media.sound import read_audio

_Stream = TypeVar("_Stream", AudioStream, VideoStream)
_Result = TypeVar("_Result")


@dataclass(frozen=True)
class Clip:
    """Decoded frames and waves of a clip.

    Attributes:
        duration: Seconds of video, or of audio where no frames were asked for.
        frames: One frame for every time asked for, not converted yet: `frames.to_rgb` does that.
        times: When each of them begins to be shown, float64 ``(n,)``, seconds after the first frame of the video.
        clock: The same of every frame of the video, ascending.
        waves: Sampling rate -> int16 ``(n,)``, starting with the video and no longer than it.
    """

    duration: float
    frames: list[VideoFrame]
    times: np.ndarray
    clock: np.ndarray
    waves: dict[int, np.ndarray]


def read_clip(
    path: Path,
    times: Callable[[float], np.ndarray] | None = None,
    rates: Sequence[int] = (),
    start: float | None = None,
    end: float | None = None,
) -> Clip:
    """Decode the frames shown at some times, and the audio, of a short file.

    The first video and the first audio stream that decode are taken. Frames that nobody asked for and on which no
    other frame depends are not decoded.

    Args:
        path: Any file that FFmpeg reads.
        times: From the duration to the times of the frames, both in seconds; None for audio alone.
        rates: Sampling rates in Hz in which the audio is wanted; empty for video alone.
        start: Seconds after the first frame (of audio alone, the first sample) at which the clip begins, where it is a
            part of a longer file: everything is of the part then, its duration and the times too.
        end: Seconds after the first frame at which the part ends; None for the end of the file.

    Raises:
        MediaError: The file is broken, cut short, too long, lacks what was asked for, or the part is not in it.
    """
    with closing(open_media(path)) as container:
        videos = streams_of(path, container, "video") if times is not None else []
        audios = streams_of(path, container, "audio") if rates else []
        part = None
        if start is None and end is None:
            packets = _demux(path, container, [*videos, *audios])
        else:
            part = part_packets(path, container, [*videos, *audios], Part(start or 0.0, end))
            packets = part.packets
        begin = part.begin if part else None
        clip = Clip(part.seconds if part else 0.0, [], np.empty(0), np.empty(0), {})
        if times is not None:
            begin, clip = _first_that_decodes(
                path, videos, lambda stream: _read_video(path, stream, packets.get(stream.index, []), times, part)
            )
        if rates:
            waves = _first_that_decodes(
                path,
                audios,
                lambda stream: read_audio(
                    path, stream, packets.get(stream.index, []), rates, begin, clip.duration, whole=part is None
                ),
            )
            seconds = clip.duration if times is not None else len(waves[rates[0]]) / rates[0]
            clip = replace(clip, duration=seconds, waves=waves)
    return clip


def clip_of(paths: Sequence[Path], times: Callable[[float], np.ndarray]) -> Clip:
    """Read pictures that stand for a video without sound, one of them a second.

    Args:
        paths: In order.
        times: From the duration to the times of those that are wanted, both in seconds.

    Raises:
        MediaError: A picture is missing or broken.
    """
    places = np.floor(times(len(paths))).astype(int)
    read = {}
    for place in np.unique(places).tolist():
        check_file(paths[place])
        try:
            read[place] = VideoFrame.from_ndarray(read_picture(paths[place]), "rgb24")
        except MediaError as error:
            raise MediaError(paths[place], f"{paths[place].name}: {error.reason}") from None
    frames, clock = [read[place] for place in places.tolist()], np.arange(len(paths), dtype=float)
    return Clip(float(len(paths)), frames, clock[places], clock, {})


def _demux(
    path: Path, container: InputContainer, wanted: Sequence[VideoStream | AudioStream]
) -> "dict[int, list[Packet[Any]]]":
    """Return the packets of some streams by the index of the stream, in order.

    Raises:
        MediaError: They are those of a long film, or not all that the header promises.
    """
    promised = (container.duration or 0) / av.time_base
    if promised > MAX_SECONDS:
        raise _too_long(path, promised)
    packets: dict[int, list[Packet[Any]]] = {stream.index: [] for stream in wanted}
    try:
        for packet in container.demux(*wanted):
            if packet.size:
                known = packets[packet.stream.index]
                known.append(packet)
                if packet.dts is not None and known[0].dts is not None:  # the header may say less, or nothing
                    seconds = float((packet.dts - known[0].dts) * (packet.time_base or 0))
                    if seconds > MAX_SECONDS:
                        raise _too_long(path, seconds)
    except av.FFmpegError:
        pass  # what is missing shows in the durations
    ends = [
        (packet.pts + packet.duration) * packet.time_base
        for part in packets.values()
        for packet in part
        if packet.pts is not None and packet.duration and packet.time_base
    ]
    if ends and len(wanted) == len(container.streams):
        # Matroska counts its duration from time zero, others from the first packet.
        begin = min(0.0, (container.start_time or 0) / av.time_base)
        check_whole(path, float(max(ends)) - begin, promised)
    return packets


def _too_long(path: Path, seconds: float) -> MediaError:
    return MediaError(path, f"lasts {seconds:.0f} s; clips of at most {MAX_SECONDS:.0f} s are read")


def _first_that_decodes(path: Path, streams: Sequence[_Stream], read: Callable[[_Stream], _Result]) -> _Result:
    first: MediaError | None = None
    for stream in streams:
        try:
            return read(stream)
        except MediaError as error:
            first = first or error
        except (av.FFmpegError, ValueError) as error:  # PyAV has a ValueError for a form of samples it has no name for
            first = first or MediaError(path, f"does not decode ({getattr(error, 'strerror', None) or error})")
    assert first is not None
    raise first


def _read_video(
    path: Path,
    stream: VideoStream,
    packets: "list[Packet[Any]]",
    times: Callable[[float], np.ndarray],
    part: PartPackets | None = None,
) -> tuple[float, Clip]:
    """Return the start in seconds, and the clip of the frames shown at `times` after the start, without its sound."""
    base = float(stream.time_base or 0)
    context = stream.codec_context
    if not packets or not base:
        raise MediaError(path, "no frames")
    promised = float(stream.duration * base) if stream.duration else 0.0

    def decode(wanted: set[int] | None) -> tuple[list[int], dict[int, VideoFrame]]:
        """Return the times of the frames, and those `wanted` (None: decode all, keep none)."""
        seen: list[int] = []
        kept: dict[int, VideoFrame] = {}
        failed = 0
        for packet in [*packets, None]:
            if packet is not None:
                context.skip_frame = "DEFAULT" if wanted is None or packet.pts in wanted else "NONREF"
            try:
                decoded = context.decode(packet)
            except av.FFmpegError:
                failed += 1
                continue
            for frame in decoded:
                time = frame.pts if frame.pts is not None else frame.dts
                seen.append(len(seen) if time is None else time)
                failed += frame.is_corrupt
                if wanted is not None and seen[-1] in wanted:
                    kept[seen[-1]] = frame
        if not seen:
            raise MediaError(path, "no frame decodes")
        if failed:
            raise MediaError(path, f"damaged: {failed} of {len(packets)} video packets do not decode")
        context.flush_buffers()
        return sorted(seen), kept

    def choose(shown: list[int]) -> tuple[float, list[int]]:
        last = max([packet.duration or 0 for packet in packets if packet.pts in (shown[-1], None)], default=0)
        gap = last or (shown[-1] - shown[0]) / max(1, len(shown) - 1)
        if part:  # packets may be stamped later than the frames that they hold
            seconds = min(part.seconds, (shown[-1] + gap) * base - part.begin)
            return seconds, at(shown, part.begin / base + EPSILON / base, times(seconds))
        seconds = (shown[-1] + gap - shown[0]) * base
        check_whole(path, seconds, promised)
        if promised:  # an edit list may end in the middle of the last frame
            seconds = min(seconds, promised)
        if seconds > MAX_SECONDS:
            raise _too_long(path, seconds)
        return seconds, at(shown, shown[0], times(seconds))

    def at(shown: list[int], first: float, seconds: np.ndarray) -> list[int]:
        """Return the frames that are shown some seconds after a time."""
        places = np.searchsorted(np.array(shown), first + seconds / base + 1e-6, side="right") - 1
        return [shown[place] for place in places.clip(0)]

    stamps = [packet.pts for packet in packets if not packet.is_discard]
    complete = bool(stamps) and None not in stamps
    shown = sorted(stamp for stamp in stamps if stamp is not None) if complete else decode(None)[0]
    duration, chosen = choose(shown)
    frames = decode(set(chosen))[1]
    if frames.keys() != set(chosen):
        # Some packets show nothing (alternate reference frames): go by the frames that come out.
        shown = decode(None)[0]
        duration, chosen = choose(shown)
        frames = decode(set(chosen))[1]
    if part:
        (first,) = at(shown, part.begin / base + EPSILON / base, np.zeros(1))
        shown = [stamp for stamp in shown if first <= stamp < (part.begin + part.seconds) / base]
        begin = part.begin / base
    else:
        begin = shown[0]
    clock, asked = (np.array([max(0.0, stamp - begin) for stamp in stamps]) * base for stamps in (shown, chosen))
    return begin * base, Clip(duration, [frames[stamp] for stamp in chosen], asked, clock, {})
