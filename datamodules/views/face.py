"""The face of a still, as Dresvyanskiy et al. (SPECOM 2024) prepare those of emotion corpora."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from av.video.frame import VideoFrame

from datamodules.entries import Box, Entry, Media
from datamodules.errors import MediaError
from datamodules.media.faces import LEAST, detect_boxes
from datamodules.media.letterbox import letter_box
from datamodules.media.near_duplicates import thumbnail
from datamodules.views.base import Maker, MediaView, Once, ViewArrays, Want


@dataclass(frozen=True)
class Face(MediaView):
    """The face letter-boxed, uint8 RGB ``(size, size, 3)``, and what a picture is known again by, uint8 ``(8, 9)``.

    Attributes:
        size: Side of the letter-box in pixels.
        margin: Added on every side of a box in a larger picture, in pixels of that picture.
    """

    preview: ClassVar[bool] = True
    last: ClassVar[tuple[str, ...]] = ("thumbnail",)
    packages: ClassVar[tuple[str, ...]] = (*MediaView.packages, "pillow")
    limits: ClassVar[dict[str, tuple[float, float]]] = {"size": (8, 4096), "margin": (0, 4096)}

    size: int = 240
    margin: int = 10

    def arrays(self, name: str) -> dict[str, str]:
        """Return the face and the thumbnail."""
        return {name: "u8", "thumbnail": "u8"}

    def wants(self, piece: Entry) -> Want:
        """Return the picture."""
        return Want("picture", still=True)

    def start(self, name: str, entry: Entry) -> Maker:
        """Return a maker that waits for the picture."""

        def make(piece: Entry, image: np.ndarray) -> ViewArrays:
            part = cut(image, piece.media["picture"], self.margin)
            return ViewArrays({name: letter_box(part, self.size), "thumbnail": thumbnail(part)})

        return Once(make)


def cut(image: np.ndarray, medium: Media, margin: int) -> np.ndarray:
    """Return the part of a picture that shows the face; all of it where no box is given and none looked for.

    Args:
        image: uint8 RGB ``(H, W, 3)``.
        medium: Where the face is.
        margin: Around it in pixels.

    Raises:
        MediaError: There is no face, or its box is outside the picture.
    """
    path = medium.path or Path(medium.name)
    box = find_face(path, image, medium.box) if medium.search else medium.box
    if box is None:
        return np.ascontiguousarray(image)
    sides = np.tile([image.shape[1], image.shape[0]], 2)
    grown = np.array(box) + margin * np.array([-1, -1, 1, 1])
    inside = np.clip(box, 0, sides)
    if not np.isfinite(grown).all() or min(inside[2] - inside[0], inside[3] - inside[1]) < LEAST:
        raise MediaError(path, "the box of the face is outside the picture")
    left, top, right, bottom = (int(side) for side in np.clip(grown.round(), 0, sides))
    return np.ascontiguousarray(image[top:bottom, left:right])


def find_face(path: Path, image: np.ndarray, region: Box | None = None) -> Box:
    """Return the largest face that the built-in detector finds, in pixels of the picture.

    Args:
        path: Named in the error.
        image: uint8 RGB ``(H, W, 3)``.
        region: The part to search; the whole picture where not given.

    Raises:
        MediaError: There is none.
    """
    height, width = image.shape[:2]
    sides = (0, 0, width, height) if region is None else np.clip(region, 0, [width, height, width, height])
    left, top, right, bottom = (int(side) for side in sides)
    try:
        if min(right - left, bottom - top) < LEAST:
            raise MediaError(path, "")
        frame = VideoFrame.from_ndarray(np.ascontiguousarray(image[top:bottom, left:right]), "rgb24")
        x0, y0, x1, y1 = detect_boxes(path, [frame], looks=1)[0].tolist()
    except MediaError:
        raise MediaError(path, "no face found") from None
    return left + x0, top + y0, left + x1, top + y1
