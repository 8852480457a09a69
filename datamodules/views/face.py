"""The face of a still, as Dresvyanskiy et al. (SPECOM 2024) prepare those of emotion corpora."""

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from av.video.frame import VideoFrame

from datamodules.entries import Box, Entry, Media, Scan
from datamodules.errors import MediaError
from datamodules.media.blazeface import find_faces
from datamodules.media.face_networks import PACKAGE
from datamodules.media.faces import LEAST, detect_boxes
from datamodules.media.finder import OPTIONS, Finder, check_finder, check_person, for_entry
from datamodules.media.found_face import FoundFace, level
from datamodules.media.letterbox import letter_box
from datamodules.media.near_duplicates import thumbnail
from datamodules.media.people_in_picture import Followed
from datamodules.views.base import Maker, MediaView, Once, View, ViewArrays, Want


@dataclass(frozen=True)
class Face(MediaView):
    """The face letter-boxed, uint8 RGB ``(size, size, 3)``, and what a picture is known again by, uint8 ``(8, 9)``.

    Attributes:
        size: Side of the letter-box in pixels.
        margin: Added on every side of a box in a larger picture, in pixels of that picture.
        finder: What looks for a face where its place is not given: ``haar``, OpenCV's, built in, or ``blazeface``, of a
            package that make installs.
        person: Whom BlazeFace takes of several: the ``largest``, the most ``central``, or the one so many from the left
            (1, 2, ...).
        align: Whether to turn what BlazeFace finds so that the eyes are level.
    """

    preview: ClassVar[bool] = True
    last: ClassVar[tuple[str, ...]] = ("thumbnail",)
    packages: ClassVar[tuple[str, ...]] = (*MediaView.packages, "pillow")
    limits: ClassVar[dict[str, tuple[float, float]]] = {"size": (8, 4096), "margin": (0, 4096)}

    size: int = 240
    margin: int = 10
    finder: Finder = "haar"
    person: str = "largest"
    align: bool = False

    def check(self, option: str) -> None:
        """Refuse values that make no sense."""
        super().check(option)
        check_person(f"{option}.person", self.person)

    def bind(self, option: str, scan: Scan, source: Path) -> tuple[View | None, Scan]:
        """Find the finder, if there is a face to be looked for."""
        asked = [entry for entry in scan.usable if any(medium.search for medium in entry.media.values())]
        bound = self if asked else replace(self, finder="haar")  # of no account
        check_finder(option, bound.finder, asked, person=self.person, align=self.align)
        return bound, scan

    def settings(self) -> dict[str, Any]:
        """Return every option that counts."""
        unused = OPTIONS if self.finder == "haar" else ()
        return {name: value for name, value in asdict(self).items() if name not in unused}

    def needed(self) -> tuple[str, ...]:
        """Return what its bytes depend on."""
        return (*self.packages, *([PACKAGE] if self.finder == "blazeface" else []))

    def arrays(self, name: str) -> dict[str, str]:
        """Return the face and the thumbnail."""
        return {name: "u8", "thumbnail": "u8"}

    def wants(self, piece: Entry) -> Want:
        """Return the picture."""
        return Want("picture", still=True)

    def start(self, name: str, entry: Entry) -> Maker:
        """Return a maker that waits for the picture."""

        def make(piece: Entry, image: np.ndarray) -> ViewArrays:
            part, person = cut(image, piece.media["picture"], for_entry(self, entry))
            return ViewArrays({name: letter_box(part, self.size), "thumbnail": thumbnail(part)}, person=person)

        return Once(make)


def cut(image: np.ndarray, medium: Media, view: Face) -> tuple[np.ndarray, tuple[int, int] | None]:
    """Return the part of a picture that shows the face, all of it where no box is given and none looked for; and whose.

    Args:
        image: uint8 RGB ``(H, W, 3)``.
        medium: Where the face is.
        view: How it is looked for, and how much around it is kept.

    Raises:
        MediaError: There is no face, or its box is outside the picture.
    """
    path, box, person = medium.path or Path(medium.name), medium.box, None
    if medium.search and view.finder == "blazeface":
        face, person = find_one(path, image, medium.box, view.person)
        if view.align:
            return level(image, face, face.side + 2 * view.margin), person
        left, top, right, bottom = face.box.tolist()
        box = left, top, right, bottom
    elif medium.search:
        box = find_face(path, image, medium.box)
    if box is None:
        return np.ascontiguousarray(image), person
    sides = np.tile([image.shape[1], image.shape[0]], 2)
    grown = np.array(box) + view.margin * np.array([-1, -1, 1, 1])
    inside = np.clip(box, 0, sides)
    if not np.isfinite(grown).all() or min(inside[2] - inside[0], inside[3] - inside[1]) < LEAST:
        raise MediaError(path, "the box of the face is outside the picture")
    left, top, right, bottom = (int(side) for side in np.clip(grown.round(), 0, sides))
    return np.ascontiguousarray(image[top:bottom, left:right]), person


def find_one(path: Path, image: np.ndarray, region: Box | None, person: str) -> tuple[FoundFace, tuple[int, int]]:
    """Return the face of one person that BlazeFace finds, in pixels of the picture; and which of how many it is.

    Args:
        path: Named in the error.
        image: uint8 RGB ``(H, W, 3)``.
        region: The part to search; the whole picture where not given.
        person: Whose.
    """
    left, top, part = _part(image, region)
    faces = find_faces(part) if min(part.shape[:2]) >= LEAST else []
    followed = Followed(person, (part.shape[1], part.shape[0]))
    face = followed.add(faces)
    if face is None:
        raise MediaError(path, "no face found")
    corner = np.array([left, top])
    moved = FoundFace(face.box + np.tile(corner, 2), face.points + corner, face.confidence)
    return moved, followed.among


def find_face(path: Path, image: np.ndarray, region: Box | None = None) -> Box:
    """Return the largest face that the built-in detector finds, in pixels of the picture.

    Args:
        path: Named in the error.
        image: uint8 RGB ``(H, W, 3)``.
        region: The part to search; the whole picture where not given.
    """
    left, top, part = _part(image, region)
    try:
        if min(part.shape[:2]) < LEAST:
            raise MediaError(path, "")
        frame = VideoFrame.from_ndarray(part, "rgb24")
        x0, y0, x1, y1 = detect_boxes(path, [frame], looks=1)[0].tolist()
    except MediaError:
        raise MediaError(path, "no face found") from None
    return left + x0, top + y0, left + x1, top + y1


def _part(image: np.ndarray, region: Box | None) -> tuple[int, int, np.ndarray]:
    """Return where a region begins, from the left and from the top, and what it shows."""
    height, width = image.shape[:2]
    sides = (0, 0, width, height) if region is None else np.clip(region, 0, [width, height, width, height])
    left, top, right, bottom = (int(side) for side in sides)
    return left, top, np.ascontiguousarray(image[top:bottom, left:right])
