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
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from datamodules.store import DataError

MAX_SECONDS = 600.0  # packets and chosen frames are held in memory

_Stream = TypeVar("_Stream", AudioStream, VideoStream)
_Result = TypeVar("_Result")


class MediaError(DataError):
    """A file that cannot be used.

    Args:
        path: The file.
        reason: Why, in a few words.
    """

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path
        self.reason = reason

    def __reduce__(self) -> tuple[type["MediaError"], tuple[Path, str]]:
        """Travel between processes."""
        return MediaError, (self.path, self.reason)


@dataclass(frozen=True)
class Clip:
    """What was decoded.

    Attributes:
        duration: Seconds of video, or of audio where no frames were asked for.
        frames: One frame for every time asked for, not converted yet: `frames.to_rgb` does that.
        waves: Sampling rate -> int16 ``(n,)``, starting with the video and no longer than it.
    """

    duration: float
    frames: list[VideoFrame]
    waves: dict[int, np.ndarray]


def spread(count: int) -> Callable[[float], np.ndarray]:
    """Times ``i * duration / count`` for i = 0 .. count - 1, in seconds."""
    return lambda duration: np.arange(count) * duration / count


def read_clip(path: Path, times: Callable[[float], np.ndarray] | None = None, rates: Sequence[int] = ()) -> Clip:
    """Decode the frames shown at some times, and the audio, of a short file.

    The first video and the first audio stream that decode are taken. Frames that nobody asked for and on which no
    other frame depends are not decoded.

    Args:
        path: Any file that FFmpeg reads.
        times: From the duration to the times of the frames, both in seconds; None for audio alone.
        rates: Sampling rates in Hz in which the audio is wanted; empty for video alone.

    Raises:
        MediaError: The file is broken, cut short, too long, or lacks a stream that was asked for.
    """
    if not path.is_file():
        raise MediaError(path, "no such file")
    if path.stat().st_size == 0:
        raise MediaError(path, "empty file (0 bytes)")
    _check_riff(path)
    try:
        container = av.open(str(path), metadata_errors="replace")
    except (av.FFmpegError, OSError, ValueError):
        raise MediaError(path, "not a media file, or cut off before its header") from None
    with closing(container):
        # A cover picture is a video stream to FFmpeg.
        still = av.stream.Disposition.attached_pic
        videos = [stream for stream in container.streams.video if not stream.disposition & still]
        audios = list(container.streams.audio)
        if times is not None and not videos:
            raise MediaError(path, "no video stream")
        if rates and not audios:
            raise MediaError(path, "no audio stream")
        wanted = [*(videos if times is not None else []), *(audios if rates else [])]
        promised = (container.duration or 0) / av.time_base
        if promised > MAX_SECONDS:
            raise MediaError(path, f"lasts {promised:.0f} s; clips of at most {MAX_SECONDS:.0f} s are read")
        packets: dict[int, list[Packet[Any]]] = {stream.index: [] for stream in wanted}
        try:
            for packet in container.demux(wanted):
                if packet.size:
                    packets[packet.stream.index].append(packet)
        except av.FFmpegError:
            pass  # what is missing shows in the durations
        ends = [
            (packet.pts + packet.duration) * packet.time_base
            for part in packets.values()
            for packet in part
            if packet.pts is not None and packet.duration
        ]
        if ends and len(wanted) == len(container.streams):
            _check_whole(path, float(max(ends)) - (container.start_time or 0) / av.time_base, promised)
        start: float | None = None
        duration = 0.0
        frames: list[VideoFrame] = []
        if times is not None:
            start, duration, frames = _first_that_decodes(
                path, videos, lambda stream: _read_video(path, stream, packets[stream.index], times)
            )
        waves: dict[int, np.ndarray] = {}
        if rates:
            waves = _first_that_decodes(
                path,
                audios,
                lambda stream: _read_audio(path, stream, packets[stream.index], rates, start, duration),
            )
            if times is None:
                duration = len(waves[rates[0]]) / rates[0]
    return Clip(duration, frames, waves)


def _first_that_decodes(path: Path, streams: Sequence[_Stream], read: Callable[[_Stream], _Result]) -> _Result:
    first: MediaError | None = None
    for stream in streams:
        try:
            return read(stream)
        except MediaError as error:
            first = first or error
        except av.FFmpegError as error:
            first = first or MediaError(path, f"does not decode ({error.strerror})")
    assert first is not None
    raise first


def _check_riff(path: Path) -> None:
    """Refuse a WAV whose header promises more bytes than the file holds: FFmpeg reads what is there."""
    with path.open("rb") as file:
        head = file.read(12)
    if head[:4] != b"RIFF" or head[8:] != b"WAVE":
        return
    promised, size = int.from_bytes(head[4:8], "little") + 8, path.stat().st_size
    if size < promised < 1 << 32:  # streaming writers leave the largest number
        raise MediaError(path, f"truncated: {size} of {promised} bytes")


def _check_whole(path: Path, seconds: float, promised: float) -> None:
    if seconds < promised - max(0.2, 0.02 * promised):
        raise MediaError(path, f"truncated: {seconds:.1f} s of {promised:.1f} s are there")


def _read_video(
    path: Path,
    stream: VideoStream,
    packets: "list[Packet[Any]]",
    times: Callable[[float], np.ndarray],
) -> tuple[float, float, list[VideoFrame]]:
    """Return start and duration in seconds, and the frames shown at `times` after the start."""
    base = float(stream.time_base or 0)
    context = stream.codec_context
    context.thread_count = 1
    if not packets:
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
        last = max((packet.duration or 0) for packet in packets if packet.pts in (shown[-1], None))
        gap = last or (shown[-1] - shown[0]) / max(1, len(shown) - 1)
        seconds = (shown[-1] + gap - shown[0]) * base
        _check_whole(path, seconds, promised)
        if promised:  # an edit list may end in the middle of the last frame
            seconds = min(seconds, promised)
        places = np.searchsorted(np.array(shown), shown[0] + times(seconds) / base + 1e-6, side="right") - 1
        return seconds, [shown[place] for place in places.clip(0)]

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
    return shown[0] * base, duration, [frames[stamp] for stamp in chosen]


def _read_audio(
    path: Path,
    stream: AudioStream,
    packets: "list[Packet[Any]]",
    rates: Sequence[int],
    video_start: float | None,
    video_seconds: float,
) -> dict[int, np.ndarray]:
    """Return int16 mono ``(n,)`` by rate, aligned with the video where there is one."""
    context = stream.codec_context
    context.thread_count = 1
    resamplers = {rate: AudioResampler("s16", "mono", rate) for rate in rates}
    parts: dict[int, list[np.ndarray]] = {rate: [] for rate in rates}
    start, samples, failed = 0.0, 0, 0
    for packet in [*packets, None]:
        try:
            decoded = context.decode(packet)
        except av.FFmpegError:
            failed += 1
            continue
        for frame in decoded:
            if context.name.startswith("pcm_f") and not np.isfinite(frame.to_ndarray()).all():
                raise MediaError(path, "audio holds NaN or infinite samples")
            if not samples and frame.time is not None:
                start = frame.time
            samples += frame.samples
            frame.pts = None  # a gap would otherwise be an error of the resampler
            for rate, resampler in resamplers.items():
                parts[rate] += [part.to_ndarray()[0] for part in resampler.resample(frame)]
    if not samples:
        raise MediaError(path, "no audio decodes" if packets else "no audio samples")
    if failed:
        raise MediaError(path, f"damaged: {failed} of {len(packets)} audio packets do not decode")
    if stream.duration and stream.time_base:
        _check_whole(path, samples / context.sample_rate, float(stream.duration * stream.time_base))
    for rate, resampler in resamplers.items():
        parts[rate] += [part.to_ndarray()[0] for part in resampler.resample(None)]
    waves = {rate: np.concatenate(part) for rate, part in parts.items()}
    if video_start is None:
        return waves
    return {
        rate: _align(wave, round((start - video_start) * rate), round(video_seconds * rate))
        for rate, wave in waves.items()
    }


def _align(wave: np.ndarray, lead: int, length: int) -> np.ndarray:
    """Shift a wave that begins `lead` samples after the video, and cut it to the video's length."""
    shifted = np.concatenate([np.zeros(lead, wave.dtype), wave]) if lead > 0 else wave[-lead:]
    return shifted[:length]
