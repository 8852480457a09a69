"""The sound of a clip: decoded, put where its presentation times say, mixed to mono, and resampled."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.audio.codeccontext import AudioCodecContext
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.packet import Packet

from datamodules.errors import MediaError
from datamodules.media.container import MAX_SECONDS, check_whole

JITTER = 0.01  # seconds; containers round times to 1 ms, recorders are off by a few
MAX_OVERLAP = 1.0  # seconds; who goes further back starts anew
LEAST_SECONDS = 0.01  # a file of one sample is a header without a recording
LOUDEST = 4.0  # of float samples, whose full scale is 1: 12 dB over it


def read_audio(
    path: Path,
    stream: AudioStream,
    context: AudioCodecContext,
    packets: "list[Packet[Any]]",
    rates: Sequence[int],
    video_start: float | None,
    video_seconds: float,
    whole: bool = True,
) -> dict[int, np.ndarray]:
    """Decode a stream; where packets are missing in between there is silence of that length.

    Args:
        path: Named in errors.
        stream: Of the packets.
        context: That decodes them.
        packets: All of it, in order.
        rates: Sampling rates that are wanted, in Hz.
        video_start: When the video starts, in seconds; None where there is none to be aligned with.
        video_seconds: How long the video is.
        whole: Whether the packets are those of all of the file, or of a part of it and of a little before.

    Returns:
        int16 mono ``(n,)`` by rate, starting with the video and no longer than it.

    Raises:
        MediaError: It is damaged, cut short, too short or too long, or holds numbers that are no sound.
    """
    resamplers = {rate: AudioResampler("s16", "mono", rate) for rate in rates}
    parts: dict[int, list[np.ndarray]] = {rate: [] for rate in rates}
    timeline = _Timeline(path)
    early = 0  # packets before a part, which may need those before them
    if not whole and video_start is not None:
        early = sum((packet.pts or 0) * float(packet.time_base or 0) < video_start for packet in packets)
    for time, frame in _decoded(path, context, packets, early):
        if frame.format.name in ("flt", "dbl"):
            _check_scale(path, frame)
        for piece in timeline.place(time, frame):
            for rate, resampler in resamplers.items():
                parts[rate] += [part.to_ndarray()[0] for part in resampler.resample(piece)]
    if not timeline.rate:
        raise MediaError(path, "no audio decodes" if packets else "no audio samples")
    seconds = timeline.length / timeline.rate
    if seconds < LEAST_SECONDS:
        raise MediaError(path, f"too short: {timeline.length} audio samples")
    if whole and stream.duration and stream.time_base:
        # What a header promises begins with the stream, whose first packets can be missing.
        begin = min(0.0, float((stream.start_time or 0) * stream.time_base))
        lead = max(0.0, (timeline.start or 0.0) - begin)
        check_whole(path, lead + seconds, float(stream.duration * stream.time_base))
    for rate, resampler in resamplers.items():
        parts[rate] += [part.to_ndarray()[0] for part in resampler.resample(None)]
    waves = {rate: np.concatenate([np.empty(0, np.int16), *part]) for rate, part in parts.items()}
    if video_start is None:
        return waves
    lead = (timeline.start or 0.0) - video_start
    aligned = {rate: _align(wave, round(lead * rate), round(video_seconds * rate)) for rate, wave in waves.items()}
    if not whole and not all(map(len, aligned.values())):
        raise MediaError(path, "no audio in this part of it")
    return aligned


def _decoded(
    path: Path, context: AudioCodecContext, packets: "list[Packet[Any]]", early: int
) -> Iterator[tuple[float | None, AudioFrame]]:
    """Yield frames, their channels interleaved, with their times in seconds; all frames have the same form.

    PyAV reads beyond the end of a frame of eight channels or more that are not interleaved. A WAV of one channel does
    not say "mono", and such a frame can be handed to one resampler alone.

    Raises:
        MediaError: A packet does not decode, or rate, channels or type change in the middle.
    """
    failed, form = 0, ""
    packer: AudioResampler | None = None
    for packet in [*packets, None]:
        try:
            frames = context.decode(packet)
        except av.FFmpegError:
            failed += 1
            continue
        for frame in frames:
            now = f"{frame.sample_rate} Hz {frame.layout.name} {frame.format.name}"
            packer, form = packer or AudioResampler(frame.format.packed), form or now
            if now != form:
                raise MediaError(path, f"audio changes in the middle from {form} to {now}")
            time, frame.pts = frame.time, None  # a resampler has its own opinion of times
            for packed in packer.resample(frame):
                packed.pts = None
                unnamed = packed.layout.nb_channels == 1 and packed.layout.name != "mono"
                yield time, _framed(packed.to_ndarray(), packed, "mono") if unnamed else packed
    if failed > early:
        raise MediaError(path, f"damaged: {min(failed, len(packets))} of {len(packets)} audio packets do not decode")


def _check_scale(path: Path, frame: AudioFrame) -> None:
    """Refuse float samples that are none of -1..1: the conversion to whole numbers would clip them all."""
    values = frame.to_ndarray()
    if not np.isfinite(values).all():
        raise MediaError(path, "audio holds NaN or infinite samples")
    loudest = float(np.abs(values).max(initial=0))
    if loudest > LOUDEST:
        raise MediaError(path, f"float audio up to {loudest:.0f}, not -1..1: divide it by its full scale")


class _Timeline:
    """Put frames one after the other as their times say.

    Args:
        path: Named in errors.

    Attributes:
        start: Time of the first sample in seconds; None before the first frame with a time.
        rate: Samples a second; 0 before the first frame.
        length: Samples so far, silence included.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.start: float | None = None
        self.rate, self.length = 0, 0

    def place(self, time: float | None, frame: AudioFrame) -> Iterator[AudioFrame]:
        """Yield the silence before a frame where there is some, and what of the frame was not there before.

        Args:
            time: Of the frame, in seconds; None where it has none.
            frame: Its channels interleaved.

        Raises:
            MediaError: The times lie beyond the longest clip, or start anew in the middle.
        """
        self.rate = self.rate or frame.sample_rate
        late = 0
        if time is not None:
            if self.start is None:
                self.start = time - self.length / self.rate
            late = round((time - self.start) * self.rate) - self.length
            late = late if abs(late) >= JITTER * self.rate else 0
        if self.length + late + frame.samples > MAX_SECONDS * self.rate:
            seconds = (self.length + late + frame.samples) / self.rate
            raise MediaError(self.path, f"audio lasts {seconds:.0f} s; at most {MAX_SECONDS:.0f} s are read")
        if late < -MAX_OVERLAP * self.rate:
            raise MediaError(self.path, f"times of the audio go back by {-late / self.rate:.1f} s in the middle")
        for first in range(0, late, self.rate):  # a second at a time
            yield _silence(frame, min(self.rate, late - first))
        self.length += max(late, -frame.samples) + frame.samples
        if late >= 0:
            yield frame
        elif -late < frame.samples:
            values = frame.to_ndarray()
            yield _framed(values[:, values.shape[1] // frame.samples * -late :], frame)


def _silence(like: AudioFrame, samples: int) -> AudioFrame:
    values = like.to_ndarray()
    middle = 128 if values.dtype == np.uint8 else 0
    return _framed(np.full((1, values.shape[1] // like.samples * samples), middle, values.dtype), like)


def _framed(values: np.ndarray, like: AudioFrame, layout: str = "") -> AudioFrame:
    """Return a frame of these samples, ``(1, n * channels)``, in the form of another one."""
    frame = AudioFrame.from_ndarray(np.ascontiguousarray(values), like.format.name, layout or like.layout)
    frame.sample_rate = like.sample_rate
    return frame


def _align(wave: np.ndarray, lead: int, length: int) -> np.ndarray:
    """Shift a wave that begins `lead` samples after the video, and cut it to the video's length."""
    silence = np.zeros(min(lead, length), wave.dtype) if lead > 0 else wave[:0]
    shifted = np.concatenate([silence, wave]) if lead > 0 else wave[-lead:]
    return shifted[:length]


def refuse_silence(name: str, wave: np.ndarray) -> None:
    """Raise a MediaError of the clip of a name where every sample is zero: silence is no recording."""
    if not wave.any():
        raise MediaError(Path(name), "audio is silent: every sample is zero")
