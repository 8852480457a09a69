"""Parts of a long file, one after the other, in one pass over it: the same of each as `read_clip` gives of it alone.

What is held does not grow with the file: the packets from a key frame before the next part on, and the frames that
parts which overlap want.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.audio.codeccontext import AudioCodecContext
from av.audio.stream import AudioStream
from av.codec.context import CodecContext
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from datamodules.errors import MediaError
from datamodules.media.clip import Clip, joined, no_times
from datamodules.media.container import open_media, streams_of
from datamodules.media.films.film import Film
from datamodules.media.part import EPSILON, PREROLL, Gathered, Part, PartPackets, first_times, seek_before, time_of
from datamodules.media.sound import read_audio


class ClipStream:
    """Clips that are parts of a file.

    Args:
        path: Any file that FFmpeg reads.
        parts: In the order in which they will be read; none begins before the one ahead of it.
        times: As of `read_clip`.
        rates: As of `read_clip`.

    Attributes:
        parts: That have not been read.

    Raises:
        MediaError: The file is broken, or lacks what was asked for.
    """

    def __init__(
        self,
        path: Path,
        parts: Sequence[Part],
        times: Callable[[float], np.ndarray] | None = None,
        rates: Sequence[int] = (),
    ) -> None:
        self.path, self.parts, self.times, self.rates = path, list(parts), times, rates
        self.container = open_media(path)
        self.videos = streams_of(path, self.container, "video") if times is not None else []
        self.audios = streams_of(path, self.container, "audio") if rates else []
        first = first_times(path, [*self.videos, *self.audios])
        both: list[VideoStream | AudioStream] = [*self.videos, *self.audios]
        self.streams = [stream for stream in both if stream.index in first]
        self.first = first[self.streams[0].index]
        self.frames = _Frames(self.videos[0]) if self.videos else None
        self._held: list[Packet[Any]] = []
        self._plans: dict[Part, PartPackets | MediaError] = {}
        self._films: dict[Part, Film] = {}
        sought = seek_before(self.container, self.first + self.parts[0].start)
        self._demuxed = self.container.demux(*self.streams)
        if sought and not self._gathered(self.parts[0]).begins_before():
            self._held.clear()
            self.container.seek(self.container.start_time or 0, backward=True)
            self._demuxed = self.container.demux(*self.streams)

    def close(self) -> None:
        """Close the file."""
        self.container.close()

    def read(self, part: Part) -> Clip:
        """Decode the next part; parts ahead of it are passed over.

        Raises:
            MediaError: It is damaged, or not inside the file.
        """
        del self.parts[: self.parts.index(part)]
        for one in self.parts:
            if part.end is not None and one.start > part.end + PREROLL:
                break
            if one not in self._plans:
                self._plan(one)
        found = self._plans.pop(part)
        if self.frames:
            self.frames.wanted = {stamp for film in self._films.values() for stamp in film.chosen}
        try:
            if isinstance(found, MediaError):
                raise found
            return self._clip(found, self._films.get(part))
        finally:
            self._films.pop(part, None)
            del self.parts[0]
            self._let_go()

    def _clip(self, part: PartPackets, known: Film | None) -> Clip:
        def film(stream: VideoStream) -> Film:
            if known and stream is known.stream:
                return known
            return Film(self.path, stream, part.packets.get(stream.index, []), self.times or no_times, part)

        def sound(stream: AudioStream, begin: float | None, seconds: float) -> dict[int, np.ndarray]:
            own, context = part.packets.get(stream.index, []), _fresh(stream)
            return read_audio(self.path, stream, context, own, self.rates, begin, seconds, whole=False)

        return joined(self.path, self.videos, self.audios, film, sound, part, self.frames)

    def _plan(self, part: Part) -> None:
        """Gather the packets of a part, and find out which frames it wants."""
        try:
            part.check(self.path)
            found = self._plans[part] = self._gathered(part).packets_of(part)
            if self.videos:
                own = found.packets.get(self.videos[0].index, [])
                self._films[part] = Film(self.path, self.videos[0], own, self.times or no_times, found)
        except MediaError as error:
            self._plans.setdefault(part, error)

    def _gathered(self, part: Part) -> Gathered:
        begin = self.first + part.start
        gathered = Gathered(self.path, self.streams, begin, None if part.end is None else begin + part.end - part.start)
        gathered.read(self._packets())
        return gathered

    def _packets(self) -> "Iterator[Packet[Any]]":
        place = 0
        while place < len(self._held) or self._more():
            yield self._held[place]
            place += 1

    def _more(self) -> bool:
        packet = next(self._demuxed, None)
        if packet is not None:
            self._held.append(packet)
        return packet is not None

    def _let_go(self) -> None:
        """Drop the packets that come before all that the next part needs."""
        if not self.parts:
            return
        begin, cut = self.first + self.parts[0].start, len(self._held)
        for stream in self.streams:
            held = enumerate(self._held)
            own = [(place, one) for place, one in held if one.stream.index == stream.index and one.size]
            if stream.type == "audio":
                needed = [place for place, one in own if time_of(one, end=True) >= begin - PREROLL]
                cut = min(cut, needed[0] if needed else cut)
            else:
                keys = [place for place, one in own if one.is_keyframe and time_of(one) <= begin + EPSILON]
                cut = min(cut, keys[-1] if keys else 0)
        del self._held[:cut]


class _Frames:
    """Frames of a video in the order of its packets, each decoded once.

    Args:
        stream: Of the video.

    Attributes:
        wanted: Times of those that this part and those which overlap it want, in the base of the stream.
    """

    def __init__(self, stream: VideoStream) -> None:
        self.stream, self.wanted = stream, set[int]()
        self._kept: dict[int, VideoFrame] = {}
        self._last: Packet[Any] | None = None  # that was decoded

    def frames_of(self, film: Film) -> dict[int, VideoFrame]:
        """Return the frames that a film asks for; fewer where it has to decode its packets by itself."""
        if film.stream is not self.stream:
            return {}
        chosen = set(film.chosen)
        places = [place for place, packet in enumerate(film.packets) if packet is self._last]
        if self._last is not None and not places:  # the next key frame was passed over
            self.stream.codec_context.flush_buffers()
        left = iter([*film.packets[places[0] + 1 if places else 0 :], None])
        whole = True
        while whole and not chosen <= self._kept.keys():
            try:
                whole = self._decode(next(left))
            except StopIteration:
                whole = False
        if not whole:
            self.stream.codec_context.flush_buffers()
            self._last = None
        found = {stamp: self._kept[stamp] for stamp in chosen if stamp in self._kept}
        first = min(chosen, default=0)
        self._kept = {stamp: frame for stamp, frame in self._kept.items() if stamp in self.wanted and stamp >= first}
        return found

    def _decode(self, packet: "Packet[Any] | None") -> bool:
        """Keep what a packet (None: the end) brings and somebody wants; return whether all of it was good."""
        context = self.stream.codec_context
        if packet is not None:
            context.skip_frame = "DEFAULT" if packet.pts in self.wanted else "NONREF"
            self._last = packet
        try:
            frames = context.decode(packet)
        except av.FFmpegError:
            return False
        for frame in frames:
            if frame.pts in self.wanted:
                self._kept[frame.pts] = frame
        return not any(frame.is_corrupt for frame in frames)


def _fresh(stream: AudioStream) -> AudioCodecContext:
    """Return a decoder that has decoded nothing, or remembers nothing of it.

    FFmpeg's AAC decoder draws the noise that it fills bands with from numbers that go on when it is flushed.
    """
    own = stream.codec_context
    if own.is_open and own.codec.name == "aac" and own.extradata:
        context: Any = CodecContext.create(own.codec, "r")
        context.extradata, context.thread_count = own.extradata, 1
        fresh: AudioCodecContext = context
        return fresh
    if own.is_open:
        own.flush_buffers()
    return own
