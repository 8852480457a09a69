"""Who is who among the faces of one picture after the other, and which of them is followed."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from datamodules.media.found_face import FoundFace

PERSON = "person"  # the column of an index that says whom to follow in a clip
RULES = ("largest", "central")
REACH = 1.0  # sides of its box that a face moves at most from one picture to the next
LEAD = 2.0  # times as much of what counts as the one followed makes another the one to follow


def names_person(text: str) -> bool:
    """Return whether a text says whom to follow: a rule, or a number from 1 on."""
    return text in RULES or bool(re.fullmatch("[1-9][0-9]{0,2}", text))


@dataclass
class _Track:
    """The faces of one person.

    Attributes:
        faces: By the number of the picture.
        weight: How large, or how central, over all of them.
    """

    faces: dict[int, FoundFace] = field(default_factory=dict)
    weight: float = 0.0


class Followed:
    """Follow one person through pictures in order.

    A face belongs to the person whose last face is nearest to it, in sides of that face; further away than `REACH` a
    picture that went by since, it is somebody else's. So a face that is lost is taken up again, and never mistaken for
    a neighbour who is seen all the time.

    Args:
        person: Whom: the ``largest`` or most ``central`` over all pictures, or a number: the one so many from the left
            in the first picture that shows as many.
        size: Width and height of the pictures in pixels.
    """

    def __init__(self, person: str, size: tuple[int, int]) -> None:
        self.person, self.middle = person, np.array(size) / 2
        self.place = int(person) if person.isdecimal() else 0  # from the left
        self.tracks: list[_Track] = []
        self.count = 0
        self._one: _Track | None = None
        self._numbered: list[_Track] = []
        self._faces: list[int] = []  # of every picture that shows one

    def add(self, faces: Sequence[FoundFace]) -> FoundFace | None:
        """Take the faces of the next picture; return that of the person, as far as can be told by now."""
        nearness = sorted(
            (distance, number, place)
            for number, track in enumerate(self.tracks)
            for place, face in enumerate(faces)
            if (distance := self._distance(track, face)) <= 1
        )
        owners: dict[int, _Track] = {}
        taken: set[int] = set()
        for _, number, place in nearness:
            if number not in taken and place not in owners:
                owners[place] = self.tracks[number]
                taken.add(number)
        for place, face in enumerate(faces):
            if place not in owners:
                owners[place] = _Track()
                self.tracks.append(owners[place])
            owners[place].faces[self.count] = face
            owners[place].weight += self._weight(face)
        from_the_left = [owners[place] for place in sorted(owners, key=lambda place: faces[place].centre[0])]
        self._numbered += from_the_left[len(self._numbered) :]
        self._faces += [len(faces)] * bool(faces)
        self._choose(from_the_left)
        self.count += 1
        return self._one.faces.get(self.count - 1) if self._one else None

    def all(self) -> list[FoundFace | None]:
        """Return the face of the person in every picture so far; None where it is not seen."""
        if self.tracks and not self.place:
            self._one = max(self.tracks, key=lambda track: track.weight)
        return [self._one.faces.get(number) if self._one else None for number in range(self.count)]

    @property
    def among(self) -> tuple[int, int]:
        """The number of the person followed, and how many a quarter of the pictures show; 0 of nobody who has one."""
        known = [number for number, track in enumerate(self._numbered, 1) if track is self._one]
        most = sorted(self._faces, reverse=True)[(len(self._faces) - 1) // 4] if self._faces else 0
        return (self.place or min(known, default=0)), most

    def _distance(self, track: _Track, face: FoundFace) -> float:
        """Return how far a face is from the last one of a person, as a share of how far it may be."""
        last = max(track.faces)
        before = track.faces[last]
        reach = REACH * (self.count - last) * max(before.side, face.side)
        return float(np.linalg.norm(face.centre - before.centre) / max(reach, 1e-9))

    def _weight(self, face: FoundFace) -> float:
        if self.person == "central":
            return max(0.0, 1 - float(np.linalg.norm((face.centre - self.middle) / self.middle)) / 2)
        return face.side**2

    def _choose(self, from_the_left: list[_Track]) -> None:
        if self.place:
            if self._one is None and len(from_the_left) >= self.place:
                self._one = from_the_left[self.place - 1]
        elif self.tracks:
            best = max(self.tracks, key=lambda track: track.weight)
            if self._one is None or best.weight > LEAD * self._one.weight:
                self._one = best
