"""Decode short clips: frames at given times and mono audio, in one pass over the file (PyAV).

Times are presentation times, so variable frame rates, edit lists and B-frames need no care from callers.
"""

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
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
from datamodules.media.container import MAX_SECONDS, check_file, check_whole, open_media, streams_of, too_long
from datamodules.media.films.film import Decoder, Film
from datamodules.media.part import Part, PartPackets, part_packets
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
        if start is None and end is None:
            part, packets = None, _demux(path, container, [*videos, *audios])
        else:
            part = part_packets(path, container, [*videos, *audios], Part(start or 0.0, end))
            packets = part.packets

        def film(stream: VideoStream) -> Film:
            return Film(path, stream, packets.get(stream.index, []), times or no_times, part)

        def sound(stream: AudioStream, begin: float | None, seconds: float) -> dict[int, np.ndarray]:
            own = packets.get(stream.index, [])
            return read_audio(path, stream, stream.codec_context, own, rates, begin, seconds, whole=part is None)

        return joined(path, videos, audios, film, sound, part)


def no_times(_: float) -> np.ndarray:
    """Return no time."""
    return np.empty(0)


def joined(
    path: Path,
    videos: Sequence[VideoStream],
    audios: Sequence[AudioStream],
    film: Callable[[VideoStream], Film],
    sound: Callable[[AudioStream, float | None, float], dict[int, np.ndarray]],
    part: PartPackets | None,
    decoder: Decoder | None = None,
) -> Clip:
    """Return the frames and the sound of the first streams that decode, as one clip.

    Args:
        path: Named in errors.
        videos: Streams; none for sound alone.
        audios: Streams; none for frames alone.
        film: Of a stream.
        sound: The waves of a stream by rate, given when the video begins and how long it is.
        part: What the packets are of; None for all of the file.
        decoder: Which may have decoded frames before.

    Raises:
        MediaError: Frames or sound were asked for, and no stream decodes.
    """
    begin, seconds = (part.begin, part.seconds) if part else (None, 0.0)
    frames, times, clock, waves = list[VideoFrame](), np.empty(0), np.empty(0), dict[int, np.ndarray]()
    if videos:
        shown = _first_that_decodes(path, videos, lambda stream: film(stream).read(decoder))
        begin, seconds, frames, times, clock = shown.begin, shown.seconds, shown.frames, shown.times, shown.clock
    if audios:
        waves = _first_that_decodes(path, audios, lambda stream: sound(stream, begin, seconds))
        rate, wave = next(iter(waves.items()))
        seconds = seconds if videos else len(wave) / rate
    return Clip(seconds, frames, times, clock, waves)


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
        raise too_long(path, promised)
    packets: dict[int, list[Packet[Any]]] = {stream.index: [] for stream in wanted}
    try:
        for packet in container.demux(*wanted):
            if packet.size:
                known = packets[packet.stream.index]
                known.append(packet)
                if packet.dts is not None and known[0].dts is not None:  # the header may say less, or nothing
                    seconds = float((packet.dts - known[0].dts) * (packet.time_base or 0))
                    if seconds > MAX_SECONDS:
                        raise too_long(path, seconds)
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
