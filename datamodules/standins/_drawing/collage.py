"""Cut-out faces on a background: how synthetic clips of group emotion are drawn.

The recipe is that of Augusma, Vaufreydaz and Letué (ICMI 2023): a background, several faces of one emotion, each
scaled, perhaps rotated, put where it overlaps no other. Their code decodes and scales every face again for every frame;
here a face is decoded once and kept at the largest size that is drawn. Their faces take a new place in every frame, the
``redraw`` motion; under ``true`` they drift.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from datamodules.errors import DataError
from datamodules.standins._drawing.face import Array, Image

SOLID = 10  # an alpha above this covers what is behind it


@dataclass(frozen=True)
class Recipe:
    """Rules by which clips are drawn; the defaults are the paper's."""

    canvas_size: int = 326  # side of a frame in pixels
    frames_per_video: int = 75
    min_faces: int = 3
    max_faces: int = 15
    face_scale_min: float = 0.10  # side of a face relative to the next
    face_scale_max: float = 0.15
    base_face_size: int = 350  # pixels
    rotate_prob: float = 0.5
    rotate_min_deg: int = -45
    rotate_max_deg: int = 45
    margin: int = 30  # pixels kept free at the border
    drift_per_frame: float = 1.0  # pixels by which the margin grows, as released; under `true` those of a face's way
    max_overlap_ratio: float = 0.001  # share of a face that may lie over others
    max_tries_per_face: int = 80  # places tried before a face is dropped
    motion: str = "redraw"  # or `true`

    @property
    def largest(self) -> int:
        """Side of the largest face in pixels."""
        return max(1, round(self.base_face_size * self.face_scale_max))


class Cutout(NamedTuple):
    """A face without its background, at the largest size that is drawn."""

    pixels: Image  # (S, S, 4): RGB times alpha, alpha
    radius: float  # of the circle around its middle that holds it, relative to its side


class Place(NamedTuple):
    """Place of a face in a frame."""

    x: float  # of its middle
    y: float
    side: float  # before rotation
    angle: float  # degrees


def read_picture(path: Path, size: int) -> Image:
    """Read a picture, squashed to an RGB square ``(S, S, 3)``; a DataError names one that cannot be read."""
    image = cv2.imread(str(path), cv2.IMREAD_COLOR_RGB)
    if image is None:
        raise DataError(f"{path} is no picture that can be read; remove it")
    return _resize(np.asarray(image, np.uint8), size)


def _resize(image: Image, size: int) -> Image:
    shrinks = size < min(image.shape[:2])
    return np.asarray(cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR))


@lru_cache(maxsize=4096)
def read_cutout(path: Path, size: int) -> Cutout:
    """Read a face with its transparency, scaled to a square; one without any is opaque.

    Raises:
        DataError: It cannot be read, or nothing of it can be seen.
    """
    image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if image is None or image.dtype != np.uint8:
        raise DataError(f"{path} is no 8-bit picture that can be read; remove it")
    channels = image.shape[2] if image.ndim == 3 else 1
    code = {1: cv2.COLOR_GRAY2RGBA, 3: cv2.COLOR_BGR2RGBA, 4: cv2.COLOR_BGRA2RGBA}[channels]
    return make_cutout(np.asarray(cv2.cvtColor(image, code), np.uint8), size, str(path))


def make_cutout(image: Image, size: int, name: str) -> Cutout:
    """Scale an RGBA picture ``(H, W, 4)`` to a square; a DataError names one of which nothing can be seen."""
    # Alpha first, so that colours behind it do not bleed in when pixels are averaged.
    premultiplied = image.copy()
    premultiplied[..., :3] = (image[..., :3] * (image[..., 3:] / 255)).round()
    pixels = _resize(premultiplied, size)
    rows, columns = np.nonzero(pixels[..., 3] > SOLID)
    if not len(rows):
        raise DataError(f"{name} is transparent all over; remove it")
    middle = (size - 1) / 2
    # One pixel for what interpolation adds.
    return Cutout(pixels, (float(np.hypot(rows - middle, columns - middle).max()) + 1) / size)


def turned(cutout: Cutout, side: float, angle: float, shift: tuple[float, float] = (0.0, 0.0)) -> Image:
    """Return a face on a canvas that grows with it, ``(h, w, 4)``, scaled to ``side`` pixels and rotated by degrees.

    ``shift`` is the fraction of a pixel by which it is moved right and down.
    """
    cos, sin = float(np.cos(np.radians(angle))), float(np.sin(np.radians(angle)))
    extent = _extent(side, angle) + (shift != (0.0, 0.0))
    scale, old, new = side / len(cutout.pixels), (len(cutout.pixels) - 1) / 2, (extent - 1) / 2
    a, b = scale * cos, scale * sin
    matrix = np.array([[a, b, new + shift[0] - (a + b) * old], [-b, a, new + shift[1] - (a - b) * old]])
    return np.asarray(cv2.warpAffine(cutout.pixels, matrix, (extent, extent), flags=cv2.INTER_LINEAR))


def _extent(side: float, angle: float) -> int:
    """Return the side of the square that holds a rotated square."""
    turn = np.radians(angle)
    return int(np.ceil(side * float(abs(np.cos(turn)) + abs(np.sin(turn))) - 1e-6))


def paste(canvas: Image, patch: Image, left: int, top: int) -> None:
    """Blend a face over a canvas, in place; what sticks out is cut off."""
    height, width = patch.shape[:2]
    y, x = max(0, top), max(0, left)
    region = canvas[y : top + height, x : left + width]
    if region.size == 0:
        return
    patch = patch[y - top : y - top + region.shape[0], x - left : x - left + region.shape[1]]
    behind = cv2.merge([255 - patch[..., 3]] * 3)
    cv2.add(cv2.multiply(region, behind, scale=1 / 255), patch[..., :3], dst=region)


def redraw(
    background: Image, cutouts: Sequence[Cutout], recipe: Recipe, frame: int, rng: np.random.Generator
) -> tuple[Image, list[Place | None]]:
    """Draw one frame with every face at a new place, scale and angle, as the released generator does.

    The margin grows with the number of the frame.

    Returns:
        The frame and the place of every face, None where none was found.
    """
    canvas, size = background.copy(), recipe.canvas_size
    occupied = np.zeros((size, size), bool)
    margin = int(recipe.margin + frame * recipe.drift_per_frame)
    places: list[Place | None] = []
    for cutout in cutouts:
        side = max(1, int(recipe.base_face_size * rng.uniform(recipe.face_scale_min, recipe.face_scale_max)))
        rotated = rng.random() < recipe.rotate_prob
        angle = int(rng.integers(recipe.rotate_min_deg, recipe.rotate_max_deg + 1)) if rotated else 0
        patch = turned(cutout, side, angle)
        extent = len(patch)
        low = min(margin, size - extent)  # late in a long clip the square is smaller than the face
        tries = rng.integers(low, max(low, size - margin - extent) + 1, (recipe.max_tries_per_face, 2)).tolist()
        mask = patch[..., 3] > SOLID
        allowed = recipe.max_overlap_ratio * np.count_nonzero(mask)
        place = None
        for x, y in tries:
            under = occupied[y : y + extent, x : x + extent]
            if np.count_nonzero(under & mask) <= allowed:
                under |= mask
                paste(canvas, patch, x, y)
                place = Place(x + extent / 2, y + extent / 2, side, angle)
                break
        places.append(place)
    return canvas, places


def trajectories(cutouts: Sequence[Cutout], recipe: Recipe, rng: np.random.Generator) -> list[list[Place] | None]:
    """Plan a clip in which faces drift, turn slowly and never touch.

    A face keeps its size, moves straight by ``drift_per_frame`` and turns back at the margin. Faces are kept apart by
    the circles that hold them, so at any angle; one that finds no free path is left out of the whole clip, which the
    number of faces then does not betray.

    Returns:
        Places frame by frame, None for a face that is left out.
    """
    count, tries = recipe.frames_per_video, recipe.max_tries_per_face
    now = np.arange(count)
    taken: list[tuple[Array, float]] = []
    plans: list[list[Place] | None] = []
    for cutout in cutouts:
        side = recipe.base_face_size * rng.uniform(recipe.face_scale_min, recipe.face_scale_max)
        rotated = rng.random() < recipe.rotate_prob
        tilt = rng.uniform(recipe.rotate_min_deg, recipe.rotate_max_deg) if rotated else 0.0
        sway, phase = rng.uniform(2, 6), rng.uniform(0, 2 * np.pi)
        radius = cutout.radius * side
        low, high = recipe.margin + radius, recipe.canvas_size - recipe.margin - radius
        low, high = (low, high) if low < high else (recipe.canvas_size / 2,) * 2
        start, heading = rng.uniform(low, high, (tries, 2)), rng.uniform(0, 2 * np.pi, tries)
        step = recipe.drift_per_frame * np.stack([np.cos(heading), np.sin(heading)], axis=-1)
        paths = _between(start[:, None] + now[:, None] * step[:, None], low, high)  # (tries, frames, 2)
        free = np.ones(tries, bool)
        for other, reach in taken:
            free &= (np.hypot(*np.moveaxis(paths - other, -1, 0)) > radius + reach).all(1)
        if not free.any():
            plans.append(None)
            continue
        path = paths[free.argmax()]
        taken.append((path, radius))
        angles = tilt + sway * np.sin(phase + 2 * np.pi * now / max(count, 25))
        plans.append([Place(x, y, side, angle) for (x, y), angle in zip(path.tolist(), angles.tolist(), strict=True)])
    return plans


def _between(values: Array, low: float, high: float) -> Array:
    """Fold a straight path at two walls."""
    span = high - low
    if span <= 0:
        return np.full_like(values, low)
    return np.asarray(low + span - np.abs((values - low) % (2 * span) - span))


def draw_places(background: Image, cutouts: Sequence[Cutout], places: Sequence[Place | None]) -> Image:
    """Draw one frame with faces at given places, to a fraction of a pixel."""
    canvas = background.copy()
    for cutout, place in zip(cutouts, places, strict=True):
        if place is None:
            continue
        half = (_extent(place.side, place.angle) + 1) / 2
        left, top = place.x - half, place.y - half
        shift = (left % 1 or 1e-9, top % 1)  # never exactly none: the canvas is then a pixel larger
        paste(canvas, turned(cutout, place.side, place.angle, shift), int(left // 1), int(top // 1))
    return canvas


def draw_clip(
    background: Image, cutouts: Sequence[Cutout], recipe: Recipe, wanted: Sequence[int], key: Sequence[int]
) -> tuple[list[Image], list[tuple[int, int]]]:
    """Draw some frames of a clip; a frame is the same whichever others are ``wanted``.

    Returns:
        The frames, and in how many of them each face was placed and dropped.
    """
    frames, placed = [], np.zeros(len(cutouts), int)
    drifts = recipe.motion == "true"
    plans = trajectories(cutouts, recipe, np.random.default_rng([*key, 0])) if drifts else []
    for number in wanted:
        if drifts:
            places: list[Place | None] = [plan[number] if plan else None for plan in plans]
            image = draw_places(background, cutouts, places)
        else:
            image, places = redraw(background, cutouts, recipe, number, np.random.default_rng([*key, 1, number]))
        frames.append(image)
        placed += [place is not None for place in places]
    return frames, [(int(count), len(wanted) - int(count)) for count in placed]
