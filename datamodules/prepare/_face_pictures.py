"""What one still becomes: the face cut out of a picture or a frame, letter-boxed, with its labels."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from av.video.frame import VideoFrame

from datamodules.faces import LEAST, detect_boxes
from datamodules.frames import to_rgb
from datamodules.letterbox import letter_box
from datamodules.media_file import MediaError
from datamodules.near_duplicates import thumbnail
from datamodules.pictures import frames_at, read_picture
from datamodules.prepare._face_index import CATEGORIES, SEED, SPLITS, Still
from datamodules.store import sha256_file

ARRAYS = {"face": "u8", "affect": "f32", "split": "u8", "thumbnail": "u8"}


@dataclass(frozen=True)
class Settings:
    """Everything that decides the bytes of a prepared still.

    Attributes:
        size: Side of the letter-box in pixels.
        margin: Added on every side of a box in a larger picture, in pixels of that picture.
    """

    size: int = 240
    margin: int = 10

    def manifest(self) -> dict[str, Any]:
        """What the store is keyed by."""
        own = {"size": self.size, "margin": self.margin}
        return {"corpus": "faces", "recipe": 1, **own, "seed": SEED, "categories": CATEGORIES, "splits": SPLITS}


@dataclass(frozen=True)
class Prepared:
    """A still ready for the store, or the reason why there is none."""

    sha256: str
    arrays: dict[str, np.ndarray] = field(default_factory=dict)
    reason: str = ""


def source_hash(still: Still, of_file: str) -> str:
    """Hash of the file and of the labels that a still was made from; empty where the file is unreadable."""
    if still.pixels:
        of_file = hashlib.sha256(still.pixels).hexdigest()
    return hashlib.sha256(f"{of_file} {still.described}".encode()).hexdigest() if of_file else ""


def file_hash(path: Path) -> str:
    """SHA-256 of a file; empty if unreadable."""
    try:
        return sha256_file(path)
    except OSError:
        return ""


def prepare_stills(stills: Sequence[Still], settings: Settings) -> list[Prepared]:
    """Turn stills of one file into the arrays of the store; problems come back as reasons.

    Args:
        stills: All from one picture, or frames of one video in order of time.
        settings: How.
    """
    first = stills[0]
    of_file = "" if first.pixels else file_hash(first.path)
    digests = [source_hash(still, of_file) for still in stills]
    results: list[Prepared] = []
    try:
        if first.reason:
            raise MediaError(first.path, first.reason)
        for still, image in zip(stills, _images(stills), strict=True):
            results.append(_prepare(still, image, settings, digests[len(results)]))
    except MediaError as error:
        results += [Prepared(digest, reason=error.reason) for digest in digests[len(results) :]]
    except OSError as error:
        reason = f"cannot be read ({error.strerror})"
        results += [Prepared(digest, reason=reason) for digest in digests[len(results) :]]
    return results


def _images(stills: Sequence[Still]) -> Iterator[np.ndarray]:
    first = stills[0]
    if first.time is not None:
        for frame in frames_at(first.path, [still.time or 0.0 for still in stills]):
            yield to_rgb(frame)
        return
    for still in stills:
        if still.pixels:
            gray = np.frombuffer(still.pixels, np.uint8).reshape(48, 48, 1)
            yield np.repeat(gray, 3, axis=2)
        else:
            yield read_picture(still.path)


def _prepare(still: Still, image: np.ndarray, settings: Settings, digest: str) -> Prepared:
    try:
        box = find_face(still.path, image, still.box) if still.detect else still.box
    except MediaError:
        return Prepared(digest, reason="no face found")
    height, width = image.shape[:2]
    part = image
    if box is not None:
        grown = np.array(box) + settings.margin * np.array([-1, -1, 1, 1])
        inside = np.clip(box, 0, [width, height, width, height])
        if not np.isfinite(grown).all() or min(inside[2] - inside[0], inside[3] - inside[1]) < LEAST:
            return Prepared(digest, reason="the box of the face is outside the picture")
        left, top, right, bottom = (int(side) for side in np.clip(grown.round(), 0, [width, height, width, height]))
        part = image[top:bottom, left:right]
    part = np.ascontiguousarray(part)
    arrays = {
        "face": letter_box(part, settings.size),
        "affect": np.array([still.arousal, still.valence], np.float32),
        "split": np.array([SPLITS.index(still.split)], np.uint8),
        "thumbnail": thumbnail(part),
    }
    return Prepared(digest, arrays)


def find_face(
    path: Path, image: np.ndarray, region: tuple[float, float, float, float] | None = None
) -> tuple[float, float, float, float]:
    """The largest face that the built-in detector finds.

    Args:
        path: Named in the error.
        image: uint8 RGB ``(H, W, 3)``.
        region: left, top, right, bottom of the part to search; the whole picture where not given.

    Returns:
        left, top, right, bottom in pixels of the picture.

    Raises:
        MediaError: There is none.
    """
    height, width = image.shape[:2]
    sides = (0, 0, width, height) if region is None else np.clip(region, 0, [width, height, width, height])
    left, top, right, bottom = (int(side) for side in sides)
    if min(right - left, bottom - top) < LEAST:
        raise MediaError(path, "no face found")
    frame = VideoFrame.from_ndarray(np.ascontiguousarray(image[top:bottom, left:right]), "rgb24")
    x0, y0, x1, y1 = detect_boxes(path, [frame], looks=1)[0].tolist()
    return left + x0, top + y0, left + x1, top + y1
