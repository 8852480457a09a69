"""What one RAVDESS file becomes: 30 face crops, the waveform and the MFCC of CFN-SR (Fu et al. 2021), in one pass."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from datamodules.faces import crop, detect_boxes
from datamodules.frames import shown_size
from datamodules.landmarks import CONFIDENCE, Rows, Wanted, landmark_boxes
from datamodules.media import read_clip, spread
from datamodules.media_file import MediaError
from datamodules.mfcc import mfcc
from datamodules.store import sha256_file

FRAMES = 30
MFCC_RATE, MFCC_OFFSET, MFCC_SECONDS, MFCC_COUNT, MFCC_STEPS = 44100, 0.5, 2.45, 13, 212
MOST_PADDED = 2  # MFCC steps
_OF_VIDEO = ("face", "margin", "crop", "size")
_OF_LANDMARKS = ("landmark_rows", "landmark_confidence")

Face = Literal["landmarks", "detector", "none"]


@dataclass(frozen=True)
class Settings:
    """Everything that decides the bytes of a prepared clip.

    Attributes:
        video: Whether the clips have frames.
        face: Where the box of the face comes from.
        margin: Added around it, as a fraction of the box.
        crop: Cut at full resolution, or out of the frame squashed to a square as the released code does.
        size: Side of the crops in pixels.
        audio: Rate of the stored wave in Hz.
        landmark_rows: Which row of a landmark file a frame takes: the one at its time, or the paper's.
        landmark_confidence: Rows below it hold no face.
    """

    video: bool
    face: Face = "detector"
    margin: float = 0.0
    crop: Literal["fullres", "squashed"] = "fullres"
    size: int = 224
    audio: int = 44100
    landmark_rows: Rows = "time"
    landmark_confidence: float = CONFIDENCE

    @property
    def arrays(self) -> dict[str, str]:
        """Arrays of the store and their dtypes."""
        return {**({"video": "u8"} if self.video else {}), "wave": "i16", "mfcc": "f32"}

    def manifest(self) -> dict[str, Any]:
        """What the store is keyed by."""
        unused = (*(() if self.video else _OF_VIDEO), *(() if self.face == "landmarks" else _OF_LANDMARKS))
        own = {key: value for key, value in asdict(self).items() if key not in unused}
        numbers = [MFCC_RATE, MFCC_OFFSET, MFCC_SECONDS, MFCC_COUNT, MFCC_STEPS]
        return {"corpus": "ravdess", "recipe": 1, **own, "frames": FRAMES * self.video, "mfcc": numbers}


@dataclass(frozen=True)
class Job:
    """One file of the source.

    Attributes:
        id: Key in the store.
        path: The file.
        name: Its path inside the source.
        landmarks: Its landmark file where one is used.
        reason: Why it is not even tried; empty for a good one.
    """

    id: str
    path: Path
    name: str
    landmarks: Path | None = None
    reason: str = ""

    def sha256(self) -> str:
        """Hash of the clip and, where one is used, of its landmark file after it; empty if unreadable."""
        try:
            return sha256_file(self.path, *([self.landmarks] if self.landmarks else []))
        except OSError:
            return ""


@dataclass(frozen=True)
class Prepared:
    """A clip ready for the store, or the reason why there is none."""

    sha256: str
    arrays: dict[str, np.ndarray] = field(default_factory=dict)
    padded: int = 0
    reason: str = ""


def prepare_clip(job: Job, settings: Settings) -> Prepared:
    """Turn one file into the arrays of the store; a problem comes back as the reason."""
    digest = job.sha256()
    if job.reason:
        return Prepared(digest, reason=job.reason)
    try:
        arrays, padded = read_arrays(job.path, job.landmarks, settings)
    except MediaError as error:
        return Prepared(digest, reason=error.reason)
    except OSError as error:
        return Prepared(digest, reason=f"cannot be read ({error.strerror})")
    return Prepared(digest, arrays, padded)


def read_arrays(path: Path, landmarks: Path | None, settings: Settings) -> tuple[dict[str, np.ndarray], int]:
    """Decode a clip into the arrays of the store, and count the MFCC steps that had to be padded.

    Raises:
        MediaError: The clip cannot be used.
    """
    if settings.video and settings.face == "landmarks" and landmarks is None:
        raise MediaError(path, "no landmark file of that name")
    clip = read_clip(path, spread(FRAMES) if settings.video else None, [MFCC_RATE, settings.audio])
    wave = clip.waves[settings.audio]
    if not wave.any():
        raise MediaError(path, "audio is silent: every sample is zero")
    coefficients, padded = paper_mfcc(path, clip.waves[MFCC_RATE])
    arrays = {"wave": wave, "mfcc": coefficients}
    if settings.video:
        width, height = shown_size(clip.frames[0])
        if landmarks is not None and settings.face == "landmarks":
            rule = (settings.landmark_rows, settings.landmark_confidence)
            boxes = landmark_boxes(landmarks, Wanted(clip.times, clip.clock, (width, height), *rule))
        elif settings.face == "detector":
            boxes = detect_boxes(path, clip.frames)
        else:
            boxes = np.tile([0.0, 0.0, width, height], (FRAMES, 1))
        squash = settings.crop == "squashed"
        faces = [
            crop(frame, box, settings.size, settings.margin, squash)
            for frame, box in zip(clip.frames, boxes, strict=True)
        ]
        arrays["video"] = np.stack(faces)
    return arrays, padded


def paper_mfcc(path: Path, wave: np.ndarray) -> tuple[np.ndarray, int]:
    """CFN-SR's audio input, float32 ``(13, 212)``, and how many of its steps are zeros for want of sound.

    Args:
        path: Named in the error.
        wave: int16 ``(n,)`` at 44.1 kHz.

    Raises:
        MediaError: More than two steps are missing.
    """
    first = int(MFCC_OFFSET * MFCC_RATE)
    part = wave[first : first + int(MFCC_SECONDS * MFCC_RATE)]
    steps = 1 + len(part) // 512 if len(part) else 0
    padded = MFCC_STEPS - steps
    if padded > MOST_PADDED:
        seconds = len(wave) / MFCC_RATE
        raise MediaError(path, f"{seconds:.2f} s of audio give {steps} of the {MFCC_STEPS} MFCC steps")
    coefficients = mfcc(part / np.float32(32768), MFCC_RATE, MFCC_COUNT)
    return np.pad(coefficients, ((0, 0), (0, padded))), padded
