"""Hostile inputs for test_hostile.py: media files that are not what they say, broken tables, odd values."""

import os
import struct
import zipfile
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

Damage = Callable[[Path], None]


def content(data: bytes) -> Damage:
    """A file that holds something else."""

    def damage(path: Path) -> None:
        remove(path)
        path.write_bytes(data)

    return damage


def cut(share: float) -> Damage:
    """A file whose end is missing."""
    return lambda path: os.truncate(path, int(path.stat().st_size * share))


def overwritten(marker: bytes, data: bytes, skip: int = 0) -> Damage:
    """A file with some bytes behind a marker replaced."""

    def damage(path: Path) -> None:
        whole = bytearray(path.read_bytes())
        place = whole.index(marker) + len(marker) + skip
        whole[place : place + len(data)] = data
        path.write_bytes(whole)

    return damage


def linked(target: str) -> Damage:
    """A link in the place of a file."""

    def damage(path: Path) -> None:
        remove(path)
        path.symlink_to(target)

    return damage


def remove(path: Path) -> None:
    """Nothing where a file was."""
    path.unlink()


def folder(path: Path) -> None:
    """A folder where a file was."""
    remove(path)
    path.mkdir()


def fifo(path: Path) -> None:
    """A pipe that nobody writes to: whoever opens it waits for ever."""
    remove(path)
    os.mkfifo(path)


def scattered(path: Path) -> None:
    """One byte in fifty replaced behind the first kilobyte."""
    whole = np.frombuffer(path.read_bytes(), np.uint8).copy()
    rng = np.random.default_rng(0)
    places = rng.integers(1024, len(whole), len(whole) // 50)
    whole[places] = rng.integers(0, 256, len(places))
    path.write_bytes(whole.tobytes())


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


def zipped(path: Path) -> None:
    """An archive under the name of a clip."""
    remove(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("clip.mp4", bytes(1000))


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
