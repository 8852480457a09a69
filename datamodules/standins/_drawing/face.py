"""Drawn faces for stand-in corpora: 68 landmarks from a few muscles, painted with OpenCV.

The picture is drawn through the landmarks, so the two always agree. Points follow the 68-point (iBUG) order that
OpenFace writes. Face units: origin between eyes and mouth, x to the right, y down, chin at 1, top of the head at -1.
"""

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Image = NDArray[np.uint8]
Colour = tuple[int, int, int]

SHIFT = 4  # OpenCV takes fixed-point coordinates: without sub-pixel drawing a slow head would jump
SKINS = ((255, 224, 196), (241, 194, 160), (224, 172, 125), (198, 134, 90), (141, 85, 54), (96, 60, 42))
HAIRS = ((35, 25, 20), (80, 50, 30), (130, 85, 45), (190, 150, 85), (150, 60, 30), (120, 118, 115))


class Expression(NamedTuple):
    """Movements of the muscles, in face units around a face at rest."""

    curve: float = 0.0  # mouth corners up
    width: float = 0.0  # mouth wider
    gape: float = 0.0  # lips apart
    brow: float = 0.0  # brows up
    slant: float = 0.0  # inner brow ends up
    eye: float = 0.0  # lids apart, as a share of the eye at rest


class Person(NamedTuple):
    """Geometry in face units and colours in RGB of one drawn person."""

    rest: Expression  # this person's habitual expression
    jaw: float  # half width
    square: float  # 1 = oval jaw, less = squarer
    eye_x: float
    eye_width: float
    eye_height: float
    brow_thickness: float
    nose_length: float
    nose_width: float
    mouth_y: float
    mouth_width: float
    lip: float
    long_hair: bool
    fringe: float  # where the hair line lies
    skin: Colour
    hair: Colour
    lips: Colour
    iris: Colour
    shirt: Colour
    backdrop: Colour


def _colour(rng: np.random.Generator, base: Colour, spread: float) -> Colour:
    red, green, blue = np.clip(np.array(base) + rng.normal(0, spread, 3), 0, 255).astype(int).tolist()
    return red, green, blue


def make_person(rng: np.random.Generator, long_hair: bool | None = None) -> Person:
    """Draw a person: every feature varies, so that a face never seen before is not a known one."""
    long_hair = bool(rng.random() < 0.5) if long_hair is None else long_hair
    u = rng.uniform
    skin = _colour(rng, SKINS[int(rng.integers(len(SKINS)))], 6)
    red = np.array([200, 70, 80]) if long_hair else np.array([165, 75, 70])
    lips = 0.55 * np.array(skin) + 0.45 * red
    return Person(
        rest=Expression(*(rng.normal(0, 1, 6) * (0.018, 0.02, 0.008, 0.022, 0.022, 0.07)).tolist()),
        jaw=u(0.68, 0.84),
        square=u(0.72, 1.0),
        eye_x=u(0.30, 0.37),
        eye_width=u(0.135, 0.17),
        eye_height=u(0.062, 0.08),
        brow_thickness=u(0.03, 0.065),
        nose_length=u(0.38, 0.5),
        nose_width=u(0.10, 0.16),
        mouth_y=u(0.50, 0.57),
        mouth_width=u(0.24, 0.31),
        lip=u(0.045, 0.075),
        long_hair=long_hair,
        fringe=u(-0.86, -0.68),
        skin=skin,
        hair=_colour(rng, HAIRS[int(rng.integers(len(HAIRS)))], 5),
        lips=_colour(rng, (int(lips[0]), int(lips[1]), int(lips[2])), 6),
        iris=_colour(rng, ((70, 110, 150), (90, 60, 35), (80, 110, 70))[int(rng.integers(3))], 10),
        shirt=_colour(rng, (70, 75, 90), 35),
        backdrop=_colour(rng, (205, 208, 212), 18),
    )


def landmarks(person: Person, face: Array) -> Array:
    """Return the 68 points in face units, ``(T, 68, 2)``, for expressions ``(T, 6)`` on top of the person's own."""
    curve, width, gape, brow, slant, eye = (column[:, None] for column in (face + np.array(person.rest)).T)
    gape = np.maximum(gape, 0.0)
    points = np.zeros((len(face), 68, 2))

    turn = np.linspace(0, np.pi, 17)
    side, down = np.cos(turn), np.sin(turn)
    points[:, :17, 0] = -person.jaw * np.sign(side) * np.abs(side) ** person.square
    points[:, :17, 1] = -0.22 + 1.18 * down + 0.5 * gape * down**4  # an open mouth drops the chin

    along = np.linspace(0, 1, 5)  # outer to inner end of a brow
    height = -0.43 - brow - 0.05 * np.sin(np.pi * (0.15 + 0.7 * along)) - slant * (along - 0.35)
    outer, inner = -person.eye_x - 1.35 * person.eye_width, -person.eye_x + 1.25 * person.eye_width
    points[:, 17:22, 0] = outer + (inner - outer) * along
    points[:, 17:22, 1] = height
    points[:, 22:27, 0] = -points[:, 21:16:-1, 0]
    points[:, 22:27, 1] = points[:, 21:16:-1, 1]

    tip = -0.22 + person.nose_length
    points[:, 27:31, 1] = np.linspace(-0.2, tip - 0.05, 4)
    points[:, 31:36, 0] = person.nose_width * np.linspace(-1, 1, 5)
    points[:, 31:36, 1] = tip + 0.04 * (1 - np.linspace(-1, 1, 5) ** 2)

    lid = person.eye_height * np.clip(1 + eye, 0.02, 2.0)
    corner = np.array([-1, -0.4, 0.4, 1, 0.4, -0.4])
    points[:, 36:42, 0] = -person.eye_x + person.eye_width * corner
    points[:, 36:42, 1] = -0.2 + lid * np.array([0, -1, -1, 0, 0.75, 0.75])
    mirror = np.array([39, 38, 37, 36, 41, 40])
    points[:, 42:48, 0] = -points[:, mirror, 0]
    points[:, 42:48, 1] = points[:, mirror, 1]

    half = person.mouth_width + width

    def lips(where: Array, thick: float, apart: Array | float) -> Array:
        """Return points of a lip at shares ``where`` of the mouth's half width, ``(T, n, 2)``."""
        arch = np.sqrt(1 - np.minimum(np.abs(where), 1) ** 2)
        y = person.mouth_y + curve * (0.35 - 1.35 * where**2) + (apart + thick) * arch
        return np.stack(np.broadcast_arrays(half * where, y), axis=-1)

    seven, three = np.linspace(-1, 1, 7), np.array([-0.5, 0.0, 0.5])
    points[:, 48:55] = lips(seven, -person.lip, -0.35 * gape)
    points[:, 55:60] = lips(seven[5:0:-1], 1.2 * person.lip, 0.65 * gape)
    points[:, [60, 64]] = lips(np.array([-0.88, 0.88]), 0.0, 0.0)
    points[:, 61:64] = lips(three, -0.006, -0.35 * gape)
    points[:, 65:68] = lips(three[::-1], 0.006, 0.65 * gape)
    return points


def place(points: Array, pose: Array) -> Array:
    """Move points ``(T, n, 2)`` from face units into the picture, in pixels.

    A frame of ``pose`` ``(T, 5)`` is x and y of the origin in pixels, pixels per face unit, roll in radians (clockwise)
    and yaw in radians (towards the right of the picture).
    """
    x, y, scale, roll, yaw = (column[:, None] for column in pose.T)
    depth = np.sqrt(np.clip(1 - (points[..., 0] / 0.9) ** 2 - (points[..., 1] / 1.2) ** 2, 0, 1))
    across = points[..., 0] * np.cos(yaw) + 0.5 * depth * np.sin(yaw)  # the front of a turned head moves more
    right = across * np.cos(roll) - points[..., 1] * np.sin(roll)
    below = across * np.sin(roll) + points[..., 1] * np.cos(roll)
    return np.stack([x + scale * right, y + scale * below], axis=-1)


def sway(
    now: Array,
    rng: np.random.Generator,
    x: tuple[float, float, float],
    y: tuple[float, float, float],
    unit: tuple[float, float],
    turns: tuple[float, float],
    hertz: tuple[float, float],
) -> Array:
    """Return the poses of a head that sways slowly, as `place` has them, at times in seconds, ``(T, 5)``.

    Args:
        now: The times, ``(T,)``.
        rng: Draws where the head is and how it moves.
        x: Its middle in pixels, how far that lies elsewhere in another clip, and how far it sways.
        y: The same, down.
        unit: Range of the pixels per face unit.
        turns: How far it rolls and yaws, in radians.
        hertz: Range of the pace of every movement.
    """

    def wave(size: float) -> Array:
        return np.asarray(size * np.sin(2 * np.pi * (rng.uniform(*hertz) * now + rng.uniform())))

    pose = (
        x[0] + rng.uniform(-x[1], x[1]) + wave(x[2]),
        y[0] + rng.uniform(-y[1], y[1]) + wave(y[2]),
        rng.uniform(*unit) * (1 + wave(0.02)),
        rng.normal(0, 0.03) + wave(turns[0]),
        rng.normal(0, 0.08) + wave(turns[1]),
    )
    return np.stack(pose, axis=-1)


def shade(colour: Colour, light: float, factor: float = 1.0) -> Colour:
    """Return a colour under a light of this brightness, darkened by a factor."""
    red, green, blue = (min(255, round(value * factor * light)) for value in colour)
    return red, green, blue


def _arc(width: float, height: float, y: float, start: float, stop: float) -> Array:
    turn = np.radians(np.linspace(start, stop, 25))
    return np.stack([width * np.cos(turn), y + height * np.sin(turn)], axis=-1)


def paint(person: Person, points: Array, pose: Array, size: tuple[int, int], light: float = 1.0) -> Image:
    """Paint landmarks in face units ``(68, 2)`` with a pose ``(5,)`` as in `place`; return RGB ``(H, W, 3)``.

    ``size`` is width and height in pixels; a ``light`` of 1 shows the person's own colours.
    """
    strokes: list[tuple[Array, Colour, int]] = []  # shape, colour, line width or 0 = filled; painted in this order

    def fill(shape: Array, colour: Colour, factor: float = 1.0) -> None:
        strokes.append((shape, shade(colour, light, factor), 0))

    def line(shape: Array, colour: Colour, thickness: float, factor: float = 1.0) -> None:
        strokes.append((shape, shade(colour, light, factor), max(1, round(thickness * float(pose[2])))))

    jaw, top = person.jaw, -0.22
    if person.long_hair:
        fill(_arc(jaw + 0.24, 1.45, -0.05, 0, 360), person.hair, 0.85)
    shoulders = np.array([[-2.2, 3.0], [-1.9, 1.75], [-0.5, 1.35], [0.5, 1.35], [1.9, 1.75], [2.2, 3.0]])
    fill(shoulders, person.shirt)
    fill(np.array([[-0.38, 0.6], [0.38, 0.6], [0.45, 1.42], [0, 1.6], [-0.45, 1.42]]), person.skin, 0.82)
    if not person.long_hair:
        for sign in (-1, 1):
            fill(_arc(0.1, 0.2, 0, 0, 360) + np.array([sign * (jaw + 0.02), -0.1]), person.skin, 0.9)
    fill(_arc(jaw + 0.08, 0.92, top, 180, 360), person.hair)
    forehead = _arc(jaw, abs(person.fringe - top), top, 360, 180)
    fill(np.concatenate([points[:17], forehead[::-1]]), person.skin)

    for eye in (points[36:42], points[42:48]):
        fill(eye, (250, 250, 248))
        centre, height = eye.mean(axis=0), float(np.ptp(eye[:, 1]))
        radius = 0.068
        ball = _arc(radius, min(radius, 0.5 * height), 0, 0, 360) + centre  # the lids cover the rest
        fill(ball, person.iris)
        fill(0.45 * (ball - centre) + centre, (20, 18, 18))
        line(eye[:4], person.hair, 0.028, 0.6)
        line(eye[[3, 4, 5, 0]], person.skin, 0.012, 0.7)
    for brow in (points[17:22], points[22:27]):
        line(brow, person.hair, person.brow_thickness, 0.75)
    line(points[[28, 29, 30]], person.skin, 0.02, 0.86)
    line(points[31:36], person.skin, 0.026, 0.68)

    fill(points[48:60], person.lips)
    fill(points[60:68], (70, 20, 25))
    gap = float(points[66, 1] - points[62, 1])
    if gap > 0.05:
        teeth = points[[61, 62, 63, 63, 62, 61]].copy()
        teeth[3:, 1] += min(0.05, 0.4 * gap)
        fill(teeth, (245, 243, 238))
    line(points[[60, 67, 66, 65, 64]], person.lips, 0.012, 0.6)

    canvas = np.empty((size[1], size[0], 3), np.uint8)
    canvas[:] = shade(person.backdrop, light)
    every = np.concatenate([shape for shape, _, _ in strokes])
    pixels = np.round(place(every[None], pose[None])[0] * 2**SHIFT).astype(np.int32)
    ends = np.cumsum([len(shape) for shape, _, _ in strokes])
    for outline, (_, colour, thickness) in zip(np.split(pixels, ends[:-1]), strokes, strict=True):
        if thickness:
            cv2.polylines(canvas, [outline], False, colour, thickness, cv2.LINE_AA, SHIFT)
        else:
            cv2.fillPoly(canvas, [outline], colour, cv2.LINE_AA, SHIFT)
    return canvas
