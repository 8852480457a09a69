"""Face, body and joints of a person at every fifth of a second: the input of Dresvyanskiy, Karpov and Minker (2024)."""

import contextlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from av.video.frame import VideoFrame

from datamodules.entries import Entry, Media, Scan
from datamodules.errors import DataError, MediaError
from datamodules.media.blazeface import find_faces
from datamodules.media.boxes import (
    JOINTS,
    PARTS,
    Found,
    Part,
    around,
    at_step,
    detected,
    empty_detection,
    grown,
    load_detector,
    read_boxes,
    relative,
    rows_beside,
)
from datamodules.media.face_networks import PACKAGE
from datamodules.media.faces import detect_boxes
from datamodules.media.finder import OPTIONS, Finder, check_finder, check_person, for_entry
from datamodules.media.found_face import FoundFace, level
from datamodules.media.frames import shown_size, to_rgb
from datamodules.media.letterbox import letter_box
from datamodules.media.people_in_picture import Followed
from datamodules.reading.matches import print_unmatched
from datamodules.shapes.grids.window_rules import FPS
from datamodules.store.reader import Store
from datamodules.views.base import Maker, MediaView, View, ViewArrays, Want

TABLE, BUILT_IN = "csv", "built-in"  # where boxes come from, as settings have it
SELDOM = 0.05  # share of the steps below which a part is more likely misread than unseen


@dataclass(frozen=True)
class People(MediaView):
    """One person: pictures, uint8 RGB ``(steps, size, size, 3)``, and joints, float32 ``(steps, 17, 3)``.

    Joints follow COCO: x and y relative to the body's box, score. ``<part>_seen`` marks the steps that show a part; the
    others are zeros. Where BlazeFace finds the face, ``face_confidence``, float32 ``(steps,)``, says how certain it is;
    0 where it sees none.

    Attributes:
        boxes: Table of boxes and joints by video and time; ``boxes.csv`` in the source, if it is there, where not
            given.
        detector: ``package.module:function`` from a picture to boxes and joints, in place of a table; without either
            `finder` looks for a face.
        finder: ``haar``, OpenCV's, built in, or ``blazeface``, of a package that make installs.
        person: Whom BlazeFace follows where there are several: the ``largest`` or most ``central`` up to then, or the
            one so many from the left (1, 2, ...) in the first frame that shows as many.
        align: Whether to turn the face that BlazeFace finds so that the eyes are level.
        parts: What is kept, as in ``[face, joints]``; all that table or detector give where not given.
        face_size: Side of the pictures of the face in pixels.
        body_size: Side of the pictures of the body in pixels.
        face_margin: Pixels added on every side of the face.
        body_margin: Pixels added left and right, and above and below the body.
    """

    here: ClassVar[tuple[str, ...]] = ("boxes", "detector")

    boxes: Path | None = None
    detector: str = ""
    finder: Finder = "haar"
    person: str = "largest"
    align: bool = False
    parts: tuple[Part, ...] = ()
    face_size: int = 240
    body_size: int = 256
    face_margin: int = 10
    body_margin: tuple[int, int] = (100, 125)

    @classmethod
    def restored(cls, settings: Mapping[str, Any]) -> Self:
        """Return the view of some settings; where boxes made it, with those that lie beside a file.

        Raises:
            DataError: It was made by somebody's detector, which is not run.
        """
        made_by = settings.get("boxes", BUILT_IN)
        if made_by not in (BUILT_IN, TABLE):
            raise DataError(f"it was made by the detector {str(made_by)[:80]}, and no checkpoint may name code")
        return replace(super().restored(settings), boxes=Path("boxes.csv") if made_by == TABLE else None)

    def check(self, option: str) -> None:
        """Refuse values that make no sense."""
        check_person(f"{option}.person", self.person)
        if self.boxes and self.detector:
            raise DataError(f"{option}.boxes and {option}.detector exclude each other; leave one out.")
        for part, size in self.sizes.items():
            if size < 8:
                raise DataError(f"{option}.{part}_size {size}: give at least 8 pixels.")
        if min(self.face_margin, *self.body_margin) < 0:
            raise DataError(f"{option}.face_margin, {option}.body_margin: give pixels, at least 0.")

    def bind(self, option: str, scan: Scan, source: Path) -> tuple[View | None, Scan]:
        """Find the boxes and hand each entry its rows of them, or the finder."""
        bound, scan = self._with_boxes(option, scan, source)
        finder: Finder = "blazeface" if bound.searches else "haar"
        check_finder(option, finder, scan.usable, person=self.person, align=self.align)
        return bound, scan

    @property
    def searches(self) -> bool:
        """Whether BlazeFace looks for the face."""
        return not self.boxes and not self.detector and self.finder == "blazeface"

    def _with_boxes(self, option: str, scan: Scan, source: Path) -> tuple["People", Scan]:
        if self.detector:
            load_detector(self.detector, f"{option}.detector")
            return self._keep(option, PARTS), scan
        table = self.boxes or source / "boxes.csv"
        if not self.boxes and not table.is_file():
            return self._keep(option, ("face",)), scan
        rows, given = read_boxes(table, f"{option}.boxes")
        names = [_called(entry) for entry in scan.entries]
        if not rows.keys() & set(names):
            raise DataError(
                f"{option}.boxes {table}: none of its videos is in {source}, where they have names like {names[0]}"
            )
        print_unmatched(str(table), rows, names, label="row")
        key = option.rpartition(".")[2]

        def with_rows(entry: Entry) -> Entry:
            found = {key: rows[_called(entry)]} if _called(entry) in rows else {}
            return replace(entry, extra={**entry.extra, **found})

        return replace(self, boxes=table)._keep(option, given), scan.replaced(with_rows)

    def _keep(self, option: str, given: tuple[str, ...]) -> "People":
        """Return the same with those parts that are kept of what is given."""
        if lacking := [part for part in self.parts if part not in given]:
            raise DataError(
                f"{option}.parts {' '.join(lacking)}: there are only {', '.join(given)} "
                f"({self.describe_source()}); give {option}.boxes."
            )
        return replace(self, parts=tuple(part for part in PARTS if part in (self.parts or given)))

    @property
    def sizes(self) -> dict[str, int]:
        """Side of the pictures by part."""
        return {"face": self.face_size, "body": self.body_size}

    def arrays(self, name: str) -> dict[str, str]:
        """Return an array for each part that is kept, then which steps show it."""
        kept: dict[str, str] = {part: "f32" if part == "joints" else "u8" for part in self.parts}
        certain = {"face_confidence": "f32"} if self.searches else {}
        return {**kept, **{f"{part}_seen": "u8" for part in self.parts}, **certain}

    def needed(self) -> tuple[str, ...]:
        """Return what its bytes depend on."""
        return (*self.packages, *([PACKAGE] if self.searches else []))

    def settings(self) -> dict[str, Any]:
        """Return every option that counts, the rate of the grid, and where the boxes come from."""
        # A store of faces as they are says nothing of it, as before they could be turned.
        unused = {"detector", *(() if self.searches else OPTIONS), *(() if self.align else ("align",))}
        options = {name: value for name, value in asdict(self).items() if name not in unused}
        return {**options, "boxes": self.detector or (TABLE if self.boxes else BUILT_IN), "fps": FPS}

    def describe_source(self) -> str:
        """Return the source of the boxes, for messages."""
        given = self.detector or self.boxes
        if given:
            return f"boxes from {given}"
        return "faces from BlazeFace" if self.searches else "faces from the built-in detector"

    def summarise(self, name: str, store: Store) -> str:
        """Return in which share of the steps each part is seen."""
        said = []
        for part in self.parts:
            seen = np.concatenate([store.read(f"{part}_seen", place) for place in range(len(store))])
            share = seen.mean() if len(seen) else 0.0
            said.append(f"{part} seen in {share:.1%} of the steps")
            if share < SELDOM:
                said[-1] += " (warning: are the times of the boxes in seconds, the sides in pixels of the video?)"
        return ", ".join(said)

    def beside(self, name: str, entry: Entry) -> Entry:
        """Return a clip with its rows of the ``boxes.csv`` of its folder or of one above, by the name of the file."""
        path = entry.media.get("video", Media()).path
        if not self.boxes or path is None or name in entry.extra:
            return entry
        if (rows := rows_beside(path, self.boxes)) is None:
            return entry
        if start := entry.media["video"].start:  # its times count from the beginning of the file
            rows = rows - np.eye(1, rows.shape[1]) * start
        return replace(entry, extra={**entry.extra, name: rows})

    def wants(self, piece: Entry) -> Want:
        """Return every step of the video."""
        return Want("video", fps=FPS)

    def empty_shape(self, array: str) -> tuple[int, ...]:
        """Return the shape of no step."""
        return (0, *self.shape(array)) if array in self.parts else (0,)

    def shape(self, part: str) -> tuple[int, ...]:
        """Return the shape of a part in one step."""
        side = self.sizes.get(part)
        return (side, side, 3) if side else (JOINTS, 3)

    def start(self, name: str, entry: Entry) -> Maker:
        """Return a maker that cuts the parts out of one step after the other."""
        return _Person(for_entry(self, entry), entry, entry.extra.get(name))


def _called(entry: Entry) -> str:
    """Return the name of an entry in a table of boxes: its id without the corpus."""
    return entry.id.partition("/")[2] or entry.id


class _Person(Maker):
    """Crops and joints of the steps so far; None where a part was not seen.

    Args:
        view: What is kept.
        entry: Whose.
        rows: Its rows of the table of boxes.
    """

    def __init__(self, view: People, entry: Entry, rows: np.ndarray | None) -> None:
        self.view, self.entry, self.rows = view, entry, rows
        self.steps: dict[str, list[np.ndarray | None]] = {part: [] for part in view.parts}
        self.count = 0
        self.followed: Followed | None = None
        self.face: FoundFace | None = None  # of the step
        self.certain: list[float] = []

    def add_frame(self, piece: Entry, frame: VideoFrame) -> None:
        """Cut every part that is found out of the next step."""
        view, size = self.view, shown_size(frame)
        picture = to_rgb(frame) if view.detector else None
        found = self._found(piece, frame) if picture is None else detected(view.detector, picture)
        # A pose tool may give joints alone.
        body = around(found["joints"]) if np.isnan(found["body"]).any() else found["body"]
        face_box = grown(found["face"], (view.face_margin, view.face_margin), size)
        body_box = grown(body, view.body_margin, size)
        for part, steps in self.steps.items():
            box = face_box if part == "face" else body_box
            if box is None:
                steps.append(None)
            elif part == "face" and view.align and self.face is not None:
                square = level(to_rgb(frame), self.face, self.face.side + 2 * view.face_margin)
                steps.append(letter_box(square, view.face_size))
            elif part == "joints":
                steps.append(relative(found["joints"], box))
            else:
                left, top, right, bottom = box
                shown = to_rgb(frame, box) if picture is None else picture[top:bottom, left:right]
                steps.append(letter_box(shown, view.sizes[part]))
        self.count += 1

    def _found(self, piece: Entry, frame: VideoFrame) -> Found:
        if not self.view.searches:
            return at_step(self.rows, self.count) if self.view.boxes else _face_alone(piece, frame)
        found = empty_detection()
        self.followed = self.followed or Followed(self.view.person, shown_size(frame))
        self.face = face = self.followed.add(find_faces(to_rgb(frame)))
        if face:
            found["face"] = face.box
        self.certain.append(face.confidence if face else 0.0)
        return found

    def finish(self) -> ViewArrays:
        """Return the arrays of every part, and which steps show it.

        Raises:
            MediaError: Nothing was seen at all.
        """
        seen = {part: [values is not None for values in steps] for part, steps in self.steps.items()}
        if not any(any(marks) for marks in seen.values()):
            raise MediaError(
                Path(self.entry.name), f"no {' or '.join(self.view.parts)} found in any of {self.count} frames"
            )
        arrays = {}
        for part, marks in seen.items():
            dtype = np.uint8 if part in self.view.sizes else np.float32
            arrays[part] = np.zeros((self.count, *self.view.shape(part)), dtype)
            for place, values in enumerate(self.steps.pop(part)):  # a long video fills the memory
                if values is not None:
                    arrays[part][place] = values
            arrays[f"{part}_seen"] = np.array(marks, np.uint8)
        if self.view.searches:
            arrays["face_confidence"] = np.array(self.certain, np.float32) * arrays["face_seen"]
        return ViewArrays(arrays, person=self.followed.among if self.followed else None)


def _face_alone(piece: Entry, frame: VideoFrame) -> Found:
    found, path = empty_detection(), piece.media["video"].path
    assert path is not None
    with contextlib.suppress(MediaError):
        # Whole bodies are in the picture: faces are smaller than in a clip of one talking head.
        found["face"] = detect_boxes(path, [frame], height=480, least=0.06)[0]
    return found
