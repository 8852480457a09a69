"""Parts of files: the packets of a stretch of time, from the key frame before it, however long the file is."""

from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from datamodules.errors import MediaError
from datamodules.media.container import MAX_SECONDS, open_media

PREROLL = 1.0  # seconds of sound before a part: a decoder needs some before what it gives is right
LATE = 0.5  # seconds by which a part may end after its file: headers round, and sound is longer than its film
APART = 30.0  # seconds by which the packets of one stream come before those of another at most
EPSILON = 1e-5  # seconds; sums of times are rounded
_INDEXED = ("mov", "matroska")  # containers in which FFmpeg finds the packets of a time; in others it may guess
_FEW = 500  # packets in which a stream has shown its first frame

_Stream = VideoStream | AudioStream


@dataclass(frozen=True)
class Part:
    """A part of a file, in seconds after its first frame; of sound alone, after its first sample.

    Attributes:
        start: Where it begins.
        end: Where it ends; None for the end of the file.
    """

    start: float
    end: float | None

    def check(self, path: Path, longest: float = MAX_SECONDS) -> None:
        """Refuse a part that is none, or too long to be held in memory."""
        end = self.start + 1 if self.end is None else self.end
        if not 0 <= self.start < end:
            raise MediaError(path, f"{self} is no part of a file")
        if end - self.start > longest:
            raise MediaError(path, f"{self} is longer than the {longest:.0f} s that are read of a clip")

    def seconds(self, path: Path, length: float) -> float:
        """Return how long it is.

        Args:
            path: Named in the error.
            length: Of the file in seconds; where that was not read to its end, so much of it that the part is inside.

        Raises:
            MediaError: It is not inside the file.
        """
        end = length if self.end is None else self.end
        if self.start >= length - EPSILON or end > length + LATE:
            raise MediaError(path, f"{self} lies outside the file, which lasts {length:.2f} s")
        return min(end, length) - self.start

    def __str__(self) -> str:
        """Return it for messages."""
        return f"the part from {self.start:g} s to " + ("its end" if self.end is None else f"{self.end:g} s")


def first_times(path: Path, streams: Sequence[_Stream]) -> dict[int, float]:
    """Return when the first frame of each stream is shown or heard, in seconds, by the index of the stream.

    Raises:
        MediaError: None of one kind decodes, or its frames have no times.
    """
    found: dict[int, float] = {}
    seen = 0
    with closing(open_media(path)) as container:
        wanted = [container.streams[stream.index] for stream in streams]
        try:
            for packet in container.demux(*wanted):
                index, seen = packet.stream.index, seen + 1
                if index not in found:  # the last packet of all is empty, and brings what was held back
                    found |= _shown(packet)
                if len(found) == len(wanted) or seen > _FEW * len(wanted):
                    break
        except av.FFmpegError:
            pass  # the streams without a time are told
    for kind in {stream.type for stream in streams}:
        if not any(stream.index in found for stream in streams if stream.type == kind):
            raise MediaError(path, f"its {kind} has no frame with a time, so that no part of it can be found")
    return found


def _shown(packet: "Packet[Any]") -> dict[int, float]:
    try:
        frames = packet.decode()
    except av.FFmpegError:
        return {}
    stamps = [frame.pts if frame.pts is not None else frame.dts for frame in frames]
    known = [float(stamp * (packet.time_base or 0)) for stamp in stamps if stamp is not None]
    return {packet.stream.index: known[0]} if known else {}


def seek_before(container: InputContainer, seconds: float) -> bool:
    """Go to a key frame before a time where that is safe; return whether it was done."""
    if not container.format.name.startswith(_INDEXED) or seconds <= PREROLL:
        return False
    try:
        container.seek(int((seconds - PREROLL) * av.time_base), backward=True)
    except av.FFmpegError:
        return False
    return True


@dataclass(frozen=True)
class PartPackets:
    """The packets of a part.

    Attributes:
        packets: By the index of their stream, in order.
        begin: When the part begins in the time of the streams, in seconds.
        seconds: How long it is.
    """

    packets: "dict[int, list[Packet[Any]]]"
    begin: float
    seconds: float


def part_packets(path: Path, container: InputContainer, streams: Sequence[_Stream], part: Part) -> PartPackets:
    """Return the packets from which a part can be decoded; those before are passed over, few are held.

    Raises:
        MediaError: The part is not inside the file, or its packets have no times.
    """
    part.check(path)
    first = first_times(path, streams)
    streams = [stream for stream in streams if stream.index in first]
    begin = first[streams[0].index] + part.start
    gathered = Gathered(path, streams, begin, None if part.end is None else begin + part.end - part.start)
    if seek_before(container, begin):
        gathered.read(container.demux(*streams))
        if not gathered.begins_before():
            gathered = Gathered(path, streams, begin, gathered.end)
            container.seek(container.start_time or 0, backward=True)
            gathered.read(container.demux(*streams))
    else:
        gathered.read(container.demux(*streams))
    return gathered.packets_of(part)


class Gathered:
    """The packets of a part, as they come.

    Args:
        path: Named in errors.
        streams: That are wanted.
        begin: When the part begins in the time of the streams, in seconds.
        end: When it ends; None for the end of the file.

    Attributes:
        packets: Those that count, by the index of their stream.
        last: How far the first stream was read, in seconds.
    """

    def __init__(self, path: Path, streams: Sequence[_Stream], begin: float, end: float | None) -> None:
        self.path, self.streams, self.begin, self.end = path, streams, begin, end
        self.packets: dict[int, list[Packet[Any]]] = {stream.index: [] for stream in streams}
        self.last = float("-inf")
        self._key = dict.fromkeys(self.packets, float("-inf"))

    def read(self, packets: "Iterable[Packet[Any]]") -> None:
        """Read on until every stream is past the part."""
        open_streams = set(self.packets)
        try:
            for packet in packets:
                if packet.size and packet.stream.index in open_streams and self._add(packet):
                    open_streams.remove(packet.stream.index)
                if not open_streams or self._is_far(packet):
                    return
        except av.FFmpegError:
            pass  # what is missing shows in the length

    def packets_of(self, part: Part) -> PartPackets:
        """Return them as those of the part.

        Raises:
            MediaError: It is not inside the file.
        """
        length = self.last - self.begin + part.start
        return PartPackets(self.packets, self.begin, part.seconds(self.path, length))

    def begins_before(self) -> bool:
        """Return whether the first packet of every stream is not after the beginning of the part."""
        return all(own and time_of(own[0]) <= self.begin + EPSILON for own in self.packets.values())

    def _is_far(self, packet: "Packet[Any]") -> bool:
        """Return whether a stream that the part still waits for has ended, as others are far ahead."""
        return self.end is not None and packet.dts is not None and time_of(packet) > self.end + APART

    def _add(self, packet: "Packet[Any]") -> bool:
        """Take a packet if it counts; return whether all that follow come after the part."""
        index, own = packet.stream.index, self.packets[packet.stream.index]
        if packet.pts is None and packet.dts is None:
            raise MediaError(self.path, "its packets have no times, so that no part of it can be found")
        time, until = time_of(packet), time_of(packet, end=True)
        if index == self.streams[0].index:
            self.last = max(self.last, until)
        if packet.stream.type == "audio":
            if until >= self.begin - PREROLL:
                own.append(packet)
        else:
            if packet.is_keyframe and time <= self.begin + EPSILON:
                own.clear()
                self._key[index] = time
            # A picture before its key frame needs those before that one, and is not shown in the part.
            if (own and time >= self._key[index]) or packet.is_keyframe:
                own.append(packet)
        decoded = time if packet.dts is None else float(packet.dts * (packet.time_base or 0))
        if own and decoded - time_of(own[0]) > MAX_SECONDS * 2:
            raise MediaError(self.path, f"the part is longer than the {MAX_SECONDS:.0f} s that are read of a clip")
        return self.end is not None and decoded > self.end + PREROLL


def time_of(packet: "Packet[Any]", end: bool = False) -> float:
    """Return when a packet begins, or ends, to be shown or heard, in seconds."""
    stamp = packet.dts if packet.pts is None else packet.pts
    begin = float((stamp or 0) * (packet.time_base or 0))
    return begin + float((packet.duration or 0) * (packet.time_base or 0)) if end else begin
