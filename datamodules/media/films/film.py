"""The packets of a video, or of a part of one: which of its frames are shown at some times, decoded."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import av
import numpy as np
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from datamodules.errors import MediaError
from datamodules.media.container import MAX_SECONDS, check_whole, too_long
from datamodules.media.part import EPSILON, PartPackets


@dataclass(frozen=True)
class Shown:
    """Frames of a film.

    Attributes:
        begin: When it begins in the time of its stream, in seconds.
        seconds: How long it is.
        frames: One for every time asked for.
        times: When each of them begins to be shown, float64 ``(n,)``, seconds after the beginning.
        clock: The same of every frame, ascending.
    """

    begin: float
    seconds: float
    frames: list[VideoFrame]
    times: np.ndarray
    clock: np.ndarray


class Decoder(Protocol):
    """What may have decoded frames of a film before."""

    def frames_of(self, film: "Film") -> dict[int, VideoFrame]:
        """Return those of a film that it asks for, by their time; fewer where that cannot be done."""


class Film:
    """A video, or a part of one.

    Args:
        path: Named in errors.
        stream: Of the packets.
        packets: All of them, from a key frame on.
        times: From the duration to the times of the frames that are wanted, both in seconds.
        part: What the packets are of; None for all of the file.

    Attributes:
        chosen: Times of the frames that are wanted, in the base of the stream; empty where packets do not say theirs.

    Raises:
        MediaError: There are none, it is cut short, or too long.
    """

    def __init__(
        self,
        path: Path,
        stream: VideoStream,
        packets: "list[Packet[Any]]",
        times: Callable[[float], np.ndarray],
        part: PartPackets | None = None,
    ) -> None:
        self.path, self.stream, self.packets, self.times, self.part = path, stream, packets, times, part
        self.base = float(stream.time_base or 0)
        if not packets or not self.base:
            raise MediaError(path, "no frames")
        stamps = [packet.pts for packet in packets if not packet.is_discard]
        complete = bool(stamps) and None not in stamps
        self.shown = sorted(stamp for stamp in stamps if stamp is not None) if complete else []
        self.seconds, self.chosen = self._choose() if complete else (0.0, [])

    def read(self, decoder: Decoder | None = None) -> Shown:
        """Decode the frames.

        Args:
            decoder: Which may have decoded them before.

        Raises:
            MediaError: A packet does not decode.
        """
        frames = decoder.frames_of(self) if decoder and self.shown else {}
        if self.shown and frames.keys() != set(self.chosen):
            frames = self.decode(set(self.chosen))[1]
        if not self.shown or frames.keys() != set(self.chosen):
            # Some packets show nothing (alternate reference frames): go by the frames that come out.
            self.shown = self.decode(None)[0]
            self.seconds, self.chosen = self._choose()
            frames = self.decode(set(self.chosen))[1]
        shown, begin = self.shown, float(self.shown[0])
        if part := self.part:
            (first,) = self._at(part.begin / self.base + EPSILON / self.base, np.zeros(1))
            begin = part.begin / self.base
            shown = [stamp for stamp in shown if first <= stamp < (part.begin + part.seconds) / self.base]
        clock, asked = (
            np.array([max(0.0, stamp - begin) for stamp in stamps]) * self.base for stamps in (shown, self.chosen)
        )
        chosen = [frames[stamp] for stamp in self.chosen]
        return Shown(begin * self.base, self.seconds, chosen, asked, clock)

    def decode(self, wanted: set[int] | None) -> tuple[list[int], dict[int, VideoFrame]]:
        """Return the times of the frames, and those `wanted` (None: decode all, keep none)."""
        context, seen, kept, failed = self.stream.codec_context, list[int](), dict[int, VideoFrame](), 0
        for packet in [*self.packets, None]:
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
        context.flush_buffers()
        if not seen:
            raise MediaError(self.path, "no frame decodes")
        if failed:
            raise MediaError(self.path, f"damaged: {failed} of {len(self.packets)} video packets do not decode")
        return sorted(seen), kept

    def _choose(self) -> tuple[float, list[int]]:
        """Return how long it is, and the times of the frames that are wanted."""
        shown, base, part = self.shown, self.base, self.part
        last = max([packet.duration or 0 for packet in self.packets if packet.pts in (shown[-1], None)], default=0)
        gap = last or (shown[-1] - shown[0]) / max(1, len(shown) - 1)
        if part:  # packets may be stamped later than the frames that they hold
            seconds = min(part.seconds, (shown[-1] + gap) * base - part.begin)
            return seconds, self._at(part.begin / base + EPSILON / base, self.times(seconds))
        seconds = (shown[-1] + gap - shown[0]) * base
        promised = float(self.stream.duration * base) if self.stream.duration else 0.0
        check_whole(self.path, seconds, promised)
        if promised:  # an edit list may end in the middle of the last frame
            seconds = min(seconds, promised)
        if seconds > MAX_SECONDS:
            raise too_long(self.path, seconds)
        return seconds, self._at(shown[0], self.times(seconds))

    def _at(self, first: float, seconds: np.ndarray) -> list[int]:
        """Return the frames that are shown some seconds after a time."""
        places = np.searchsorted(np.array(self.shown), first + seconds / self.base + 1e-6, side="right") - 1
        return [self.shown[place] for place in places.clip(0)]
