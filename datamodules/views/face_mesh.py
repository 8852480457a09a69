"""The movements of a face: a mesh of 468 points and its velocities, of every step of a video."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from av.video.frame import VideoFrame

from datamodules.entries import Entry, Scan
from datamodules.errors import MediaError
from datamodules.media.blazeface import find_faces
from datamodules.media.face_mesh import POINTS, aligned_mesh
from datamodules.media.face_networks import PACKAGE
from datamodules.media.finder import check_finder, check_person, for_entry
from datamodules.media.frames import shown_size, to_rgb
from datamodules.media.people_in_picture import Followed
from datamodules.views.base import Maker, MediaView, View, ViewArrays, Want

COUNT = 3 * POINTS


@dataclass(frozen=True)
class FaceMesh(MediaView):
    """Points and velocities of a face, float32 ``(steps, 2808)``, and ``<name>_confidence``, float32 ``(steps,)``.

    The first half are x, y and z of every point, from the middle between the eyes, with these level, in distances
    between their centres; the other half is how fast they moved since the step before, a second. BlazeFace finds the
    face. Steps that show none are zeros, with a confidence of 0; so are the velocities of a step after such a one.

    Attributes:
        fps: Steps a second.
        person: Whom to follow where there are several: the ``largest`` or most ``central`` up to then, or the one so
            many from the left (1, 2, ...) in the first frame that shows as many.
    """

    packages: ClassVar[tuple[str, ...]] = (*MediaView.packages, PACKAGE)
    limits: ClassVar[dict[str, tuple[float, float]]] = {"fps": (1, 100)}

    fps: int = 10
    person: str = "largest"

    def arrays(self, name: str) -> dict[str, str]:
        """Return the points with their velocities, and how certain the networks are of them."""
        return {name: "f32", f"{name}_confidence": "f32"}

    def check(self, option: str) -> None:
        """Refuse values that make no sense."""
        super().check(option)
        check_person(f"{option}.person", self.person)

    def bind(self, option: str, scan: Scan, source: Path) -> tuple[View | None, Scan]:
        """Find the networks."""
        check_finder(option, "blazeface", person=self.person)
        return self, scan

    def wants(self, piece: Entry) -> Want:
        """Return every step of the video."""
        return Want("video", fps=self.fps)

    def empty(self, name: str) -> dict[str, np.ndarray]:
        """Return no step."""
        return {name: np.empty((0, 2 * COUNT), np.float32), f"{name}_confidence": np.empty(0, np.float32)}

    def start(self, name: str, entry: Entry) -> Maker:
        """Return a maker that follows the face from step to step."""
        return _Moving(for_entry(self, entry), name, entry)


class _Moving(Maker):
    def __init__(self, view: FaceMesh, name: str, entry: Entry) -> None:
        self.view, self.name, self.entry = view, name, entry
        self.points: list[np.ndarray] = []
        self.certain: list[float] = []
        self.followed: Followed | None = None

    def add_frame(self, piece: Entry, frame: VideoFrame) -> None:
        image = to_rgb(frame)
        self.followed = self.followed or Followed(self.view.person, shown_size(frame))
        face = self.followed.add(find_faces(image))
        points, certain = aligned_mesh(image, face) if face else (np.zeros((POINTS, 3)), 0.0)
        self.points.append(points.ravel().astype(np.float32))
        self.certain.append(min(certain, face.confidence) if face else 0.0)

    def finish(self) -> ViewArrays:
        """Return the points, with their velocities.

        Raises:
            MediaError: No step shows the face.
        """
        points, certain = np.stack(self.points), np.array(self.certain, np.float32)
        seen = certain > 0
        if not seen.any():
            raise MediaError(Path(self.entry.name), f"no face found in any of {len(seen)} frames")
        both = seen[1:] & seen[:-1]
        moved = np.where(both[:, None], np.diff(points, axis=0) * self.view.fps, 0)
        values = np.concatenate([points, np.pad(moved, ((1, 0), (0, 0)))], axis=1, dtype=np.float32)
        person = self.followed.among if self.followed else None
        return ViewArrays({self.name: values, f"{self.name}_confidence": certain}, person=person)
