"""Face crops of frames spread over a clip: the video input of CFN-SR (Fu et al. 2021) and MSAF on RAVDESS."""

from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Literal

import cv2
import numpy as np
from av.video.frame import VideoFrame

from datamodules.entries import Entry, Media, Scan
from datamodules.errors import DataError, MediaError
from datamodules.media.clip import Clip
from datamodules.media.face_networks import PACKAGE
from datamodules.media.faces import crop, detect_boxes
from datamodules.media.finder import OPTIONS, Finder, check_finder, check_person, follow, for_entry
from datamodules.media.found_face import FoundFace, level
from datamodules.media.frames import shown_size, to_rgb
from datamodules.media.landmarks import FaceQuery, Rows, landmark_boxes
from datamodules.reading.feature_csv import CONFIDENCE
from datamodules.reading.files import files_in
from datamodules.reading.matches import one_of_each, print_unmatched
from datamodules.store.reader import Store
from datamodules.views.base import Maker, Once, Times, View, ViewArrays, Want, WholeClip


@dataclass(frozen=True)
class Faces(WholeClip):
    """One face of a clip, uint8 RGB ``(frames, size, size, 3)``.

    Where BlazeFace finds it, ``<name>_confidence``, float32 ``(frames,)``, says how certain it is of every frame; 0
    where it sees no face, and the frame is black.

    Attributes:
        face: Where the face is: in landmark files, where a detector finds one, or ``none``: the whole frame.
            ``auto`` takes landmarks if there are any, else the detector.
        finder: The detector: ``haar``, OpenCV's, built in, which wants an upright face and looks at some frames, or
            ``blazeface``, of a package that make installs, which looks at all.
        person: Whom BlazeFace follows where there are several: the ``largest``, the most ``central``, or the one so
            many from the left (1, 2, ...).
        align: Whether to turn what BlazeFace finds so that the eyes are level.
        landmarks: Folder of OpenFace CSV files named like the clips; ``landmarks`` in the source where not given.
        rows: Which row of a landmark file a frame takes: the one nearest in time, or row ``ceil(i * rows / frames)`` as
            the code released with CFN-SR does (``paper``).
        confidence: A row of less holds no face.
        margin: Around the face, as a fraction of its box.
        crop: Cut at full resolution, or out of the whole frame scaled to the square first, as the code released with
            CFN-SR does (``squashed``).
        size: Side of the crops in pixels.
        frames: How many, at the beginnings of equal parts of the clip.
    """

    dtype: ClassVar[str] = "u8"
    preview: ClassVar[bool] = True
    limits: ClassVar[dict[str, tuple[float, float]]] = {
        "size": (8, 4096),
        "frames": (1, 10_000),
        "margin": (0, 2),
        "confidence": (0, 1),
    }

    here: ClassVar[tuple[str, ...]] = ("landmarks",)

    face: Literal["auto", "landmarks", "detector", "none"] = "auto"
    finder: Finder = "haar"
    person: str = "largest"
    align: bool = False
    landmarks: Path | None = None
    rows: Rows = "time"
    confidence: float = CONFIDENCE
    margin: float = 0.0
    crop: Literal["fullres", "squashed"] = "fullres"
    size: int = 224
    frames: int = 30

    def check(self, option: str) -> None:
        """Refuse values that make no sense."""
        super().check(option)
        check_person(f"{option}.person", self.person)
        if self.landmarks and self.face in ("detector", "none"):
            raise DataError(f"{option}.landmarks and {option}.face {self.face} exclude each other; leave one out.")
        if self.landmarks and not self.landmarks.is_dir():
            raise DataError(f"{option}.landmarks {self.landmarks}: no such folder.")
        if self.align and self.crop == "squashed":
            raise DataError(f"{option}.align and {option}.crop squashed exclude each other; leave one out.")

    def bind(self, option: str, scan: Scan, source: Path) -> tuple[View | None, Scan]:
        """Find the landmark files, or the finder."""
        bound, scan = self._with_faces(option, scan, source)
        finder: Finder = "blazeface" if bound.searches else "haar"
        shown = scan.usable if bound.face != "none" else []
        check_finder(option, finder, shown, person=self.person, align=self.align)
        return bound, scan

    @property
    def searches(self) -> bool:
        """Whether BlazeFace looks for the face."""
        return self.face == "detector" and self.finder == "blazeface"

    def _with_faces(self, option: str, scan: Scan, source: Path) -> tuple["Faces", Scan]:
        folder = self.landmarks or source / "landmarks"
        if self.face in ("detector", "none") or (self.face == "auto" and not folder.is_dir()):
            return replace(self, face="none" if self.face == "none" else "detector"), scan
        files = one_of_each(files_in(folder, (".csv",)))
        if not files:
            raise DataError(f"{option}.face landmarks: no CSV file in {folder}; name their folder with "
                            f"{option}.landmarks DIR.")  # fmt: skip
        print_unmatched(str(folder), files, {entry.id for entry in scan.usable}, "clip", "landmark file")

        def with_landmarks(entry: Entry) -> Entry:
            found = {"landmarks": Media(files[entry.id])} if entry.id in files else {}
            return replace(entry, media={**entry.media, **found})

        return replace(self, face="landmarks", landmarks=folder), scan.replaced(with_landmarks)

    def settings(self) -> dict[str, Any]:
        """Return every option that counts: where the files lie does not, nor do their rows where there are none."""
        unused = {"landmarks", *(() if self.face == "landmarks" else ("rows", "confidence"))}
        unused |= set() if self.searches else set(OPTIONS)
        return {name: value for name, value in asdict(self).items() if name not in unused}

    def describe_source(self) -> str:
        """Return the source of the face boxes, for messages."""
        return {
            "none": "whole frames",
            "detector": "faces from BlazeFace" if self.searches else "faces from the built-in detector",
            "landmarks": f"faces from the landmarks in {self.landmarks}",
        }.get(self.face, "")

    def beside(self, name: str, entry: Entry) -> Entry:
        """Return a clip with its landmark file, from a folder ``landmarks`` beside it or beside its folder."""
        path = entry.media.get("video", Media()).path
        if self.face != "landmarks" or path is None or "landmarks" in entry.media:
            return entry
        places = [folder / "landmarks" / f"{path.stem}.csv" for folder in path.absolute().parents[:2]]
        start = entry.media["video"].start
        found = next((Media(place, start=start) for place in places if place.is_file()), None)
        return replace(entry, media={**entry.media, "landmarks": found}) if found else entry

    def wants(self, piece: Entry) -> Want:
        """Return frames at the beginnings of equal parts."""
        if self.face == "landmarks" and "video" in piece.media and "landmarks" not in piece.media:
            raise MediaError(Path(piece.name), "no landmark file of that name")
        return Want("video", Times(self.frames))

    def arrays(self, name: str) -> dict[str, str]:
        """Return the pictures, and how certain BlazeFace is."""
        return {name: self.dtype, **({f"{name}_confidence": "f32"} if self.searches else {})}

    def needed(self) -> tuple[str, ...]:
        """Return what its bytes depend on."""
        return (*self.packages, *([PACKAGE] if self.searches else []))

    def empty(self, name: str) -> dict[str, np.ndarray]:
        """Return no frame."""
        pictures = {name: np.empty((0, self.size, self.size, 3), np.uint8)}
        return {**pictures, **({f"{name}_confidence": np.empty(0, np.float32)} if self.searches else {})}

    def summarise(self, name: str, store: Store) -> str:
        """Return in which share of the frames BlazeFace sees the face."""
        if not self.searches:
            return ""
        certain = np.concatenate([store.read(f"{name}_confidence", place) for place in range(len(store))])
        return f"{name}: a face in {(certain > 0).mean():.1%} of the frames" if len(certain) else ""

    def start(self, name: str, entry: Entry) -> Maker:
        """Return a maker that waits for the clip."""
        return Once(partial(for_entry(self, entry).follow, name)) if self.searches else super().start(name, entry)

    def follow(self, name: str, entry: Entry, clip: Clip) -> ViewArrays:
        """Return one person's face in every frame, and how certain BlazeFace is of it."""
        path = entry.media["video"].path
        assert path is not None
        faces, person = follow(path, clip.frames, self.person)
        pictures = [self.cut(frame, face) for frame, face in zip(clip.frames, faces, strict=True)]
        certain = np.array([face.confidence if face else 0 for face in faces], np.float32)
        return ViewArrays({name: np.stack(pictures), f"{name}_confidence": certain}, person=person)

    def make(self, entry: Entry, clip: Clip) -> tuple[np.ndarray, int]:
        """Cut the face out of every frame."""
        path = entry.media["video"].path
        assert path is not None
        width, height = shown_size(clip.frames[0])
        if self.face == "landmarks":
            table = entry.media["landmarks"].path
            assert table is not None
            start = entry.media["landmarks"].start or 0.0
            wanted = FaceQuery(clip.times, clip.clock, (width, height), self.rows, self.confidence, start)
            boxes = landmark_boxes(table, wanted)
        elif self.face == "detector":
            boxes = detect_boxes(path, clip.frames)
        else:
            boxes = np.tile([0.0, 0.0, width, height], (len(clip.frames), 1))
        squash = self.crop == "squashed"
        faces = [
            crop(frame, box, self.size, self.margin, squash) for frame, box in zip(clip.frames, boxes, strict=True)
        ]
        return np.stack(faces), 0

    def cut(self, frame: VideoFrame, face: FoundFace | None) -> np.ndarray:
        """Return a face that BlazeFace found in a frame, uint8 RGB ``(size, size, 3)``; black where there is none."""
        if face is None:
            return np.zeros((self.size, self.size, 3), np.uint8)
        if not self.align:
            return crop(frame, face.box, self.size, self.margin, self.crop == "squashed")
        square = level(to_rgb(frame), face, face.side * (1 + 2 * self.margin))
        how = cv2.INTER_AREA if len(square) >= self.size else cv2.INTER_LINEAR
        return np.asarray(cv2.resize(square, (self.size, self.size), interpolation=how))
