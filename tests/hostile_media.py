"""Films and sounds for test_hostile.py that are not what they say, by what is wrong with them."""

import struct
from fractions import Fraction
from pathlib import Path

import av
import hostile
import numpy as np
from hostile import Damage, content, cut, overwritten, remove


def film(frames: int = 12, size: tuple[int, int] = (64, 48), seconds: float | None = 1.2, **audio: int) -> Damage:
    """A film of another shape; no sound where `seconds` is None."""

    def damage(path: Path) -> None:
        remove(path)
        with av.open(str(path), "w", format="mp4") as out:
            if frames:
                video = out.add_stream("mpeg4", rate=Fraction(10))
                video.width, video.height = size
                video.pix_fmt = "yuv420p"
            if seconds is not None:
                sound = out.add_stream("aac", rate=audio.get("rate", 48000), layout="mono")
            for number in range(frames):
                picture = np.full((size[1], size[0], 3), 20 * (number % 12), np.uint8)
                frame = av.VideoFrame.from_ndarray(picture, "rgb24")
                frame.pts = number * audio.get("apart", 1)
                out.mux(video.encode(frame))
            if frames:
                out.mux(video.encode())
            if seconds is not None:
                wave = np.zeros((1, int(seconds * sound.rate)), np.float32)
                for first in range(0, wave.shape[1], 1024):
                    part = av.AudioFrame.from_ndarray(wave[:, first : first + 1024], "fltp", "mono")
                    part.sample_rate, part.pts = sound.rate, first
                    out.mux(sound.encode(part))
                out.mux(sound.encode())

    return damage


def wav(
    samples: np.ndarray, rate: int = 16000, *, kind: int = 1, channels: int = 1, claims: int | None = None
) -> bytes:
    """A WAV file, whose header may say what it likes.

    Args:
        samples: Values as they are stored, interleaved.
        rate: Sampling rate in Hz that the header claims.
        kind: 1 integers, 3 floats.
        channels: That the header claims.
        claims: Bytes of data that the header claims; the true number where not given.
    """
    data = samples.tobytes()
    width = samples.dtype.itemsize
    form = struct.pack("<HHIIHH", kind, channels, rate, rate * channels * width, channels * width, 8 * width)
    size = len(data) if claims is None else claims
    body = b"WAVEfmt " + struct.pack("<I", len(form)) + form + b"data" + struct.pack("<I", size & 0xFFFFFFFF) + data
    return b"RIFF" + struct.pack("<I", len(body)) + body


def tone(seconds: float = 3.5, rate: int = 16000, hz: float = 220.0) -> np.ndarray:
    """A sine of half the full scale, float64."""
    return 0.5 * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate)) / rate)


def int16(values: np.ndarray) -> np.ndarray:
    """As 16-bit samples."""
    return (values * 32767).astype("<i2")


VIDEOS = {
    "empty": content(b""),
    "one byte": content(b"\0"),
    "text": content(b"not found\n" * 40),
    "a web page": content(b"<!doctype html><html><body>404</body></html>"),
    "random": content(np.random.default_rng(0).bytes(20_000)),
    "zeros": content(bytes(20_000)),
    "a picture": content(b"\x89PNG\r\n\x1a\n" + bytes(64)),
    "an archive": hostile.zipped,
    "a header alone": cut(0.002),
    "cut at 10 %": cut(0.1),
    "cut at 50 %": cut(0.5),
    "cut at 90 %": cut(0.9),
    "no moov": overwritten(b"moov", b"xxxx", -4),
    "damaged trak": overwritten(b"trak", b"\xff" * 64),
    "damaged stsd": overwritten(b"stsd", b"\xff" * 16),
    "damaged mdhd": overwritten(b"mdhd", b"\xff" * 24),
    "scattered bytes": hostile.scattered,
    "sound alone": film(frames=0),
    "a folder": hostile.folder,
    "a pipe": hostile.fifo,
    "an endless device": hostile.linked("/dev/zero"),
    "a terminal": hostile.linked("/dev/null"),
    "a dangling link": hostile.linked("nowhere.mp4"),
    "a link to itself": lambda path: hostile.linked(path.name)(path),
    "two hours": film(frames=3, seconds=None, apart=36_000),
}


SOUNDS = {
    "empty": content(b""),
    "text": content(b"RIFF but nothing else"),
    "a header alone": content(wav(int16(tone()))[:44]),
    "half a header": content(wav(int16(tone()))[:30]),
    "one sample": content(wav(int16(tone())[:1])),
    "a tenth of a second": content(wav(int16(tone(0.1)))),
    "cut off": cut(0.6),
    "more data than there are": content(wav(int16(tone()), claims=10**8)),
    "no channels": content(wav(int16(tone()), channels=0)),
    "no rate": content(wav(int16(tone()), 0)),
    "an unknown codec": content(wav(int16(tone()), kind=0x7ABC)),
    "NaN": content(wav(np.full(56_000, np.nan, "<f4"), kind=3)),
    "infinite": content(wav(np.append(tone(), np.inf).astype("<f4"), kind=3)),
    "floats of 16-bit size": content(wav((tone() * 32768).astype("<f4"), kind=3)),
    "a folder": hostile.folder,
    "a pipe": hostile.fifo,
    "an endless device": hostile.linked("/dev/urandom"),
    "a dangling link": hostile.linked("nowhere.wav"),
    "random": content(np.random.default_rng(0).bytes(20_000)),
    "silence": content(wav(int16(0 * tone()))),
}


ODD_SOUNDS = {
    "8 bits": wav((tone() * 127 + 128).astype("u1")),
    "floats": wav(tone().astype("<f4"), kind=3),
    "doubles": wav(tone().astype("<f8"), kind=3),
    "floats a little above full scale": wav((2.2 * tone()).astype("<f4"), kind=3),
    "six channels": wav(np.repeat(int16(tone()), 6), channels=6),
    "8 kHz": wav(int16(tone(rate=8000)), 8000),
    "192 kHz": wav(int16(tone(rate=192_000)), 192_000),
    "constant": wav(int16(0 * tone() + 0.5)),
    "clipped": wav(int16(np.clip(9 * tone(), -1, 1))),
}
