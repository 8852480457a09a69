"""What one engagement video becomes: crops, joints and labels on a grid of 5 steps per second."""

import contextlib
import hashlib
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from av.video.frame import VideoFrame

from datamodules.faces import detect_boxes
from datamodules.frames import shown_size, to_rgb
from datamodules.grid_frames import grid_frames
from datamodules.letterbox import letter_box
from datamodules.media_file import MediaError
from datamodules.prepare._boxes import JOINTS, Found, at_step, detected, nothing
from datamodules.store import DataError, sha256_file
from datamodules.windows import FPS

CLASSES = 3
SIZES = {"face": 240, "body": 256}  # of EfficientNet-B1 and HRNet
FACE_MARGIN, BODY_MARGIN = 10, (100, 125)  # pixels on every side, x and y
BUILT_IN = "built-in"
_LEAST = 2  # pixels; a thinner box shows nothing


@dataclass(frozen=True)
class Settings:
    """Everything that decides the bytes of a prepared video.

    Attributes:
        corpus: Its name.
        boxes: ``csv``, ``built-in`` or the name of a detector.
        parts: What is stored: some of face, body, joints.
        face_size: Side of the face pictures in pixels.
        body_size: Side of the body pictures in pixels.
        face_margin: Pixels added on every side of the face.
        body_margin: Pixels added left and right, above and below the body.
    """

    corpus: str
    boxes: str
    parts: tuple[str, ...]
    face_size: int = SIZES["face"]
    body_size: int = SIZES["body"]
    face_margin: int = FACE_MARGIN
    body_margin: tuple[int, int] = BODY_MARGIN

    @property
    def arrays(self) -> dict[str, str]:
        """Arrays of the store and their dtypes."""
        kept = {part: "f32" if part == "joints" else "u8" for part in self.parts}
        return {**kept, **{f"{part}_seen": "u8" for part in self.parts}, "labels": "f32"}

    def manifest(self) -> dict[str, Any]:
        """What the store is keyed by."""
        return {"recipe": 1, "fps": FPS, **asdict(self)}


@dataclass(frozen=True)
class Video:
    """One video of the source.

    Attributes:
        id: Name without the corpus; what a table of boxes calls it.
        path: The file.
        name: Its path inside the source.
        group: The participant or session.
        split: ``train``, ``val`` or ``test``.
        labels: Class probabilities float32 ``(R, 3)``.
        rate: Rows of labels per second; 0 where one row holds for the whole video.
        boxes: Its rows of the table of boxes.
        reason: Why it is not even tried; empty for a good one.
    """

    id: str
    path: Path
    name: str
    group: str = ""
    split: str = ""
    labels: np.ndarray | None = None
    rate: float = 0.0
    boxes: np.ndarray | None = None
    reason: str = ""

    def sha256(self) -> str:
        """Hash of the video, its labels and its boxes; empty if unreadable."""
        try:
            digest = hashlib.sha256(sha256_file(self.path).encode())
        except OSError:
            return ""
        for values in (self.labels, self.boxes):
            digest.update(b"" if values is None else values.tobytes())
        return digest.hexdigest()


@dataclass(frozen=True)
class Prepared:
    """A video ready for the store, or the reason why there is none."""

    sha256: str
    arrays: dict[str, np.ndarray] = field(default_factory=dict)
    reason: str = ""


def prepare_video(video: Video, settings: Settings) -> Prepared:
    """Turns one video into the arrays of the store; a problem comes back as the reason."""
    digest = video.sha256()
    if video.reason:
        return Prepared(digest, reason=video.reason)
    try:
        return Prepared(digest, read_arrays(video, settings))
    except MediaError as error:
        return Prepared(digest, reason=error.reason)
    except DataError as error:
        return Prepared(digest, reason=str(error))
    except OSError as error:
        return Prepared(digest, reason=f"cannot be read ({error.strerror})")


def read_arrays(video: Video, settings: Settings) -> dict[str, np.ndarray]:
    """Decodes a video into what each grid step shows.

    Raises:
        MediaError: The video cannot be used.
    """
    steps: dict[str, list[np.ndarray]] = {part: [] for part in settings.parts}
    seen: dict[str, list[bool]] = {part: [] for part in settings.parts}
    count = 0
    for count, frame in enumerate(grid_frames(video.path, FPS), start=1):
        picture = None
        if settings.boxes == "csv":
            found = at_step(video.boxes, count - 1)
        elif settings.boxes == BUILT_IN:
            found = _face_alone(video.path, frame)
        else:
            picture = to_rgb(frame)
            found = detected(settings.boxes, picture)
        for part, values in _parts(frame, picture, found, settings).items():
            steps[part].append(values)
            seen[part].append(bool(values.any()) if part == "joints" else values.size > 0)
    for part in settings.parts:
        if not any(seen[part]) and not any(any(marks) for marks in seen.values()):
            raise MediaError(video.path, f"no {' or '.join(settings.parts)} found in any of {count} frames")
    sizes = {"face": settings.face_size, "body": settings.body_size}
    arrays = {}
    for part in settings.parts:
        shape = (JOINTS, 3) if part == "joints" else (sizes[part], sizes[part], 3)
        stacked = np.zeros((count, *shape), np.float32 if part == "joints" else np.uint8)
        for place, values in enumerate(steps.pop(part)):  # a long video fills the memory
            if seen[part][place]:
                stacked[place] = values
        arrays[part], arrays[f"{part}_seen"] = stacked, np.array(seen[part], np.uint8)
    return arrays | {"labels": labels_on_grid(video, count)}


def labels_on_grid(video: Video, count: int) -> np.ndarray:
    """Label of each grid step, float32 ``(count, 3)``; NaN after the last row of labels.

    Raises:
        MediaError: No step has a label.
    """
    assert video.labels is not None
    rows = np.round(np.arange(count) / FPS * video.rate).astype(int)
    labels = np.full((count, CLASSES), np.nan, np.float32)
    there = rows < len(video.labels)
    labels[there] = video.labels[rows[there]]
    if np.isnan(labels).any(1).all():
        raise MediaError(video.path, "no step of it has a label")
    return labels


def _face_alone(path: Path, frame: VideoFrame) -> Found:
    found = nothing()
    with contextlib.suppress(MediaError):
        # Whole bodies are in the picture: faces are smaller than in a clip of one talking head.
        found["face"] = detect_boxes(path, [frame], height=480, least=0.06)[0]
    return found


def _parts(frame: VideoFrame, picture: np.ndarray | None, found: Found, settings: Settings) -> dict[str, np.ndarray]:
    """Crops and joints of one frame; an empty crop, or joints of zeros, where nothing was found."""
    width, height = shown_size(frame)
    parts: dict[str, np.ndarray] = {}
    body = found["body"]
    if np.isnan(body).any():  # a pose tool that gives joints alone
        body = _extent(found["joints"])
    body_box = _grown(body, settings.body_margin, width, height)
    face_box = _grown(found["face"], (settings.face_margin, settings.face_margin), width, height)
    for part, box, size in (("face", face_box, settings.face_size), ("body", body_box, settings.body_size)):
        if part in settings.parts:
            parts[part] = np.empty(0, np.uint8)
            if box is not None:
                left, top, right, bottom = box
                shown = to_rgb(frame, box) if picture is None else picture[top:bottom, left:right]
                parts[part] = letter_box(shown, size)
    if "joints" in settings.parts:
        parts["joints"] = np.zeros((JOINTS, 3), np.float32)
        if body_box is not None:
            left, top, right, bottom = body_box
            there = ~np.isnan(found["joints"]).any(1)
            x, y, score = found["joints"][there].T
            relative = np.stack([(x - left) / (right - left), (y - top) / (bottom - top), score], axis=1)
            parts["joints"][there] = relative
    return parts


def _extent(joints: np.ndarray) -> np.ndarray:
    points = joints[~np.isnan(joints).any(1), :2]
    return np.concatenate([points.min(0), points.max(0)]) if len(points) > 1 else np.full(4, np.nan)


def _grown(box: np.ndarray, margin: tuple[int, int], width: int, height: int) -> tuple[int, int, int, int] | None:
    if not np.isfinite(box).all():
        return None
    grown = np.clip(np.round(box + np.array([-1, -1, 1, 1]) * np.tile(margin, 2)), 0, [width, height, width, height])
    left, top, right, bottom = grown.astype(int).tolist()
    return (left, top, right, bottom) if right - left >= _LEAST and bottom - top >= _LEAST else None
