"""What one clip of VGAF becomes: frames and spectrograms, each in a ``.pt`` file of its own."""

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from datamodules.frames import to_rgb
from datamodules.letterbox import letter_box
from datamodules.media import read_clip
from datamodules.media_file import MediaError, check_file
from datamodules.spectrogram import FFT, RATE, spectrograms
from datamodules.store import DataError, sha256_file
from tensor_files import save_torch


@dataclass(frozen=True)
class Settings:
    """Everything that decides the bytes of a prepared clip.

    Attributes:
        frames: 5 or 75: which set of tensors is made.
        size: Side of the frames in pixels.
        fit: ``squash`` whole frames to a square, or ``letterbox`` them on black.
        dtype: ``uint8``, or ``float32`` between 0 and 1.
        spectrogram_size: Mel bands and steps of a spectrogram.
        seed: Of the draw of sounds for synthetic clips.
    """

    frames: int
    size: int
    fit: str
    dtype: str
    spectrogram_size: int
    seed: int

    @property
    def spectrogram_counts(self) -> tuple[int, ...]:
        """How many spectrograms a clip gets, set by set: 75 frames go with 5 of them or with 75."""
        return (self.frames,) if self.frames == 5 or self.frames % 5 else (5, self.frames)

    def manifest(self) -> dict[str, Any]:
        """What the tensors are keyed by."""
        return {"recipe": 1, "rate": RATE, "fft": FFT, **asdict(self)}


@dataclass(frozen=True)
class Job:
    """One clip to prepare.

    Attributes:
        id: ``<part>/<clip>``.
        label: Class index.
        source: The video, or the folder of PNG frames of a synthetic clip.
        name: Where that is inside the source folder.
        target: Path of its tensors up to ``.img`` or ``.spec``.
        synthetic: Whether a generator drew it.
        reason: Why it is not even tried; empty for a good one.
    """

    id: str
    label: int
    source: Path
    name: str
    target: Path
    synthetic: bool = False
    reason: str = ""

    def sha256(self) -> str:
        """Hash of the label and of the video or all frames; empty if unreadable."""
        try:
            content = sha256_file(*(pictures(self.source) if self.synthetic else [self.source]))
        except OSError:
            return ""
        return hashlib.sha256(f"{content} {self.label}".encode()).hexdigest()

    def file(self, kind: str, count: int) -> Path:
        """Return the path of one tensor."""
        return self.target.with_name(f"{self.target.name}.{kind}.{count}.pt")

    def files(self, settings: Settings) -> list[Path]:
        """All tensors of it."""
        return [
            self.file("img", settings.frames),
            *(self.file("spec", count) for count in settings.spectrogram_counts),
        ]


@dataclass(frozen=True)
class Prepared:
    """A clip whose tensors are written, or the reason why there are none."""

    sha256: str
    reason: str = ""


def pictures(folder: Path) -> list[Path]:
    """The numbered frames of a synthetic clip, in their order."""
    return sorted((path for path in folder.glob("*.png") if path.stem.isdecimal()), key=lambda path: int(path.stem))


def middles(count: int) -> np.ndarray:
    """Middles of equal segments, as shares of the whole."""
    return np.asarray((np.arange(count) + 0.5) / count)


def fitted(image: np.ndarray, settings: Settings) -> np.ndarray:
    """Scales an RGB picture to the square that is stored, ``(S, S, 3)``."""
    if settings.fit == "letterbox":
        return letter_box(image, settings.size)
    shrinks = min(image.shape[:2]) > settings.size
    kind = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(image, (settings.size, settings.size), interpolation=kind))


def prepare_clip(job: Job, settings: Settings) -> Prepared:
    """Writes the tensors of one clip, each whole or not at all; a problem comes back as the reason."""
    digest = job.sha256()
    if job.reason:
        return Prepared(digest, job.reason)
    try:
        if job.synthetic:
            frames = _drawn_frames(job.source, settings)
            waves: np.ndarray | None = None
        else:
            clip = read_clip(job.source, lambda seconds: middles(settings.frames) * seconds, [RATE])
            frames, waves = [fitted(to_rgb(frame), settings) for frame in clip.frames], clip.waves[RATE]
            if len(waves) < RATE // 10:
                raise MediaError(job.source, f"only {len(waves)} samples of sound")
        job.target.parent.mkdir(parents=True, exist_ok=True)
        write_tensor(job.file("img", settings.frames), image_tensor(frames, settings.dtype))
        if waves is not None:
            for count in settings.spectrogram_counts:
                write_tensor(job.file("spec", count), spectrograms(waves, count, settings.spectrogram_size))
    except MediaError as error:
        return Prepared(digest, error.reason)
    except DataError as error:
        return Prepared(digest, str(error))
    return Prepared(digest)


def _drawn_frames(folder: Path, settings: Settings) -> list[np.ndarray]:
    paths = pictures(folder)
    if not paths:
        raise MediaError(folder, "no numbered .png frames")
    frames = []
    for place in np.floor(middles(settings.frames) * len(paths)).astype(int):
        check_file(paths[place])
        try:
            image = cv2.imread(str(paths[place]), cv2.IMREAD_COLOR_RGB)
        except cv2.error:  # more pixels than OpenCV reads
            image = None
        if image is None:
            raise MediaError(paths[place], f"{paths[place].name} is no picture")
        frames.append(fitted(image, settings))
    return frames


def image_tensor(frames: Sequence[np.ndarray], dtype: str) -> np.ndarray:
    """Frames ``(H, W, 3)`` uint8 as the loader wants them: ``(N, 3, H, W)``."""
    stacked = np.ascontiguousarray(np.stack(frames).transpose(0, 3, 1, 2))
    return stacked if dtype == "uint8" else (stacked / np.float32(255)).astype(np.float32)


def write_tensor(path: Path, values: np.ndarray) -> None:
    """Saves an array as ``torch.save`` does, so that a reader sees all of it or nothing.

    Raises:
        OSError: It cannot be written; the file is named.
    """
    import torch  # `--help` and the listing of a folder do without

    save_torch(torch.from_numpy(values), path, sync=False)
