"""Face crops of frames spread over a clip: the video input of CFN-SR (Fu et al. 2021) and MSAF on RAVDESS."""

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from datamodules.entries import Entry, Media, Scan
from datamodules.errors import DataError, MediaError
from datamodules.media.clip import Clip
from datamodules.media.faces import crop, detect_boxes
from datamodules.media.frames import shown_size
from datamodules.media.landmarks import FaceQuery, Rows, landmark_boxes
from datamodules.reading.feature_csv import CONFIDENCE
from datamodules.reading.files import files_in
from datamodules.reading.matches import one_of_each, print_unmatched
from datamodules.views.base import Times, View, Want, WholeClip


@dataclass(frozen=True)
class Faces(WholeClip):
    """One face of a clip, uint8 RGB ``(frames, size, size, 3)``.

    Attributes:
        face: Where the face is: in landmark files, where the built-in detector finds one, or ``none``: the whole frame.
            ``auto`` takes landmarks if there are any, else the detector.
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

    face: Literal["auto", "landmarks", "detector", "none"] = "auto"
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
        if self.landmarks and self.face in ("detector", "none"):
            raise DataError(f"{option}.landmarks and {option}.face {self.face} exclude each other; leave one out.")
        if self.landmarks and not self.landmarks.is_dir():
            raise DataError(f"{option}.landmarks {self.landmarks}: no such folder.")

    def bind(self, option: str, scan: Scan, source: Path) -> tuple[View | None, Scan]:
        """Find the landmark files."""
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
        return {name: value for name, value in asdict(self).items() if name not in unused}

    def describe_source(self) -> str:
        """Return the source of the face boxes, for messages."""
        return {
            "none": "whole frames",
            "detector": "faces from the built-in detector",
            "landmarks": f"faces from the landmarks in {self.landmarks}",
        }.get(self.face, "")

    def wants(self, piece: Entry) -> Want:
        """Return frames at the beginnings of equal parts."""
        if self.face == "landmarks" and "landmarks" not in piece.media:
            raise MediaError(Path(piece.name), "no landmark file of that name")
        return Want("video", Times(self.frames))

    def empty_shape(self, array: str) -> tuple[int, ...]:
        """Return the shape of no frame."""
        return (0, self.size, self.size, 3)

    def make(self, entry: Entry, clip: Clip) -> tuple[np.ndarray, int]:
        """Cut the face out of every frame."""
        path = entry.media["video"].path
        assert path is not None
        width, height = shown_size(clip.frames[0])
        if self.face == "landmarks":
            table = entry.media["landmarks"].path
            assert table is not None
            wanted = FaceQuery(clip.times, clip.clock, (width, height), self.rows, self.confidence)
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
