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
_SHARE = r"(?:0?\.[0-9]{1,6}|[01](?:\.0{0,6})?)"


def names_person(text: str) -> bool:
    """Return whether a text says whom to follow: a rule, or a number from 1 on."""
    return text in RULES or bool(re.fullmatch("[1-9][0-9]{0,2}", text))


def point_of(text: str) -> tuple[float, float] | None:
    """Return the place that a text like ``0.3,0.5`` names, in shares of width and height; None of another text."""
    found = re.fullmatch(f"({_SHARE}), ?({_SHARE})", text)
    return (float(found[1]), float(found[2])) if found else None


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
        person: Whom: the ``largest`` or most ``central`` over all pictures; a number: the one so many from the left in
            the first picture that shows as many; or the one whose face is first at a place, `point_of`.
        size: Width and height of the pictures in pixels.
    """

    def __init__(self, person: str, size: tuple[int, int]) -> None:
        self.person, self.middle = person, np.array(size) / 2
        self.place = int(person) if person.isdecimal() else 0  # from the left
        point = point_of(person)
        self.point = None if point is None else np.array(point) * size  # in pixels
        self.tracks: list[_Track] = []
        self.count = 0
        self._one: _Track | None = None
        self._faces: list[int] = []  # of every picture that shows one

    def add(self, faces: Sequence[FoundFace]) -> FoundFace | None:
        """Take the faces of the next picture; return that of the person, as far as can be told by now."""
        nearness = sorted(
            (distance, number, place)
            for number, track in enumerate(self.tracks)
            for place, face in enumerate(faces)
            if (distance := self._distance(track, face)) <= self._reach(track)
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
        self._faces += [len(faces)] * bool(faces)
        self._choose(from_the_left)
        self.count += 1
        return self._one.faces.get(self.count - 1) if self._one else None

    def all(self) -> list[FoundFace | None]:
        """Return the face of the person in every picture so far; None where it is not seen."""
        if self.tracks and not self.place and self.point is None:
            self._one = max(self.tracks, key=lambda track: track.weight)
        return [self._one.faces.get(number) if self._one else None for number in range(self.count)]

    @property
    def among(self) -> tuple[int, int]:
        """The number of the person followed, 0 of one who is not among `everybody`, and how many these are."""
        people = self.everybody()
        known = (number for number, faces in enumerate(people, 1) if self._one and faces is self._one.faces)
        return self.place or next(known, 0), len(people)

    def everybody(self) -> list[dict[int, FoundFace]]:
        """Return the faces, by picture, of as many people as a quarter of the pictures show: of those seen most.

        They are in order from the left in the first picture that shows all of them; where none does, as they come in.
        """
        shown = sorted(self._faces, reverse=True)
        count = shown[(len(shown) - 1) // 4] if shown else 0
        most = sorted(self.tracks, key=lambda track: -len(track.faces))[:count]
        shared = set.intersection(*(set(track.faces) for track in most)) if most else set()

        def order(track: _Track) -> tuple[int, float]:
            first = min(shared or track.faces)
            return first, track.faces[first].centre[0]

        return [track.faces for track in sorted(most, key=order)]

    def _distance(self, track: _Track, face: FoundFace) -> float:
        """Return how far a face is from the last one of a person, in sides of the larger one."""
        before = track.faces[next(reversed(track.faces))]
        return float(np.linalg.norm(face.centre - before.centre) / max(before.side, face.side, 1e-9))

    def _reach(self, track: _Track) -> float:
        """Return how far that may be by now."""
        return REACH * (self.count - next(reversed(track.faces)))

    def _weight(self, face: FoundFace) -> float:
        if self.person == "central":
            return max(0.0, 1 - float(np.linalg.norm((face.centre - self.middle) / self.middle)) / 2)
        return face.side**2

    def _way(self, track: _Track) -> float:
        """Return how far the face of a person is from the point, in sides of it."""
        face = track.faces[self.count]
        return float(np.linalg.norm(face.centre - self.point) / face.side)

    def _choose(self, from_the_left: list[_Track]) -> None:
        if self.place:
            if self._one is None and len(from_the_left) >= self.place:
                self._one = from_the_left[self.place - 1]
        elif self.point is not None:
            near = [track for track in from_the_left if self._way(track) <= REACH]
            self._one = self._one or min(near, key=self._way, default=None)
        elif self.tracks:
            best = max(self.tracks, key=lambda track: track.weight)
            if self._one is None or best.weight > LEAD * self._one.weight:
                self._one = best
