"""The media files of a folder of clips, under any names: which file a row means, and which are no clips."""

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from datamodules.reading.files import PICTURES, SOUNDS, VIDEOS, files_in, place_in, plain
from datamodules.reading.names import fault_in_name

STILLS = (*PICTURES, ".bmp", ".webp", ".tif", ".tiff")
KINDS = {**dict.fromkeys(VIDEOS, "video"), **dict.fromkeys(SOUNDS, "audio"), **dict.fromkeys(STILLS, "picture")}


def kind_of(path: Path) -> str:
    """Return video, audio or picture by the ending of a file; empty for anything else."""
    return KINDS.get(path.suffix.lower(), "")


def stem_of(path: Path, source: Path) -> str:
    """Return the path of a file inside the source, without its ending, as text."""
    return place_in(source, path.with_suffix(""))


@dataclass
class MediaFiles:
    """The media files below a folder; hidden ones and what a preparation wrote are passed over.

    Attributes:
        source: The folder.
        paths: All of them, sorted.
        cut: How many folders the names in a table begin with that the source has not, see `settle_prefix`.
    """

    source: Path
    paths: list[Path] = field(default_factory=list)
    cut: int = 0

    def __post_init__(self) -> None:
        """List the files."""
        self.paths = [path for path in files_in(self.source, KINDS) if not self._is_hidden(path)]
        self._places: dict[str, Path] = {self._place(path): path for path in self.paths}
        self._ends: defaultdict[str, list[Path]] = defaultdict(list)
        for path in self.paths:  # by its name, with the ending and without
            for name in {path.name, path.stem}:
                self._ends[plain(name)].append(path)

    def _is_hidden(self, path: Path) -> bool:
        folders = path.relative_to(self.source).parts[:-1]
        return any(part[0] == "." or part == "__MACOSX" or re.match(r"prepared(-|$)", part) for part in folders)

    def _place(self, path: Path) -> str:
        return place_in(self.source, path)

    @property
    def clips(self) -> list[Path]:
        """The files that are clips by themselves: no still where there are films or sounds, no sound of a film."""
        films = {stem_of(path, self.source) for path in self.paths if kind_of(path) == "video"}
        timed = [path for path in self.paths if kind_of(path) != "picture"]
        return [
            path for path in timed or self.paths if kind_of(path) != "audio" or stem_of(path, self.source) not in films
        ]

    def settle_prefix(self, names: Iterable[str]) -> None:
        """Find out how many folders the names of a table begin with that are not those of the source.

        Args:
            names: Of the files, as a table has them.
        """
        parts = [_parts(name) for name in names if name]
        common = 0
        while parts and all(len(one) > common + 1 and one[common] == parts[0][common] for one in parts):
            common += 1
        exact = [sum("/".join(one[cut:]) in self._places for one in parts) for cut in range(common + 1)]
        loose = [sum(isinstance(self._find(one[cut:]), Path) for one in parts) for cut in range(common + 1)]
        hits = exact if any(exact) else loose
        self.cut = max(range(len(hits)), key=lambda cut: (hits[cut], -cut))

    def find(self, name: str) -> Path | str:
        """Return the file that a name means, or why there is none.

        It is the one at that place, or the only one whose place ends so; the ending of the file may be left out.
        """
        parts = _parts(name)
        parts = parts[self.cut :] if len(parts) > self.cut else parts
        if not parts or ".." in parts:
            return "its name does not stay in the folder"
        return self._find(parts)

    def _find(self, parts: Sequence[str]) -> Path | str:
        if found := self._places.get("/".join(parts)):
            return found
        alike = [path for path in self._ends.get(parts[-1], []) if self._ends_with(path, parts)]
        films = [path for path in alike if kind_of(path) == "video"]
        found_there = films if len(films) == 1 and len({stem_of(one, self.source) for one in alike}) == 1 else alike
        if len(found_there) == 1:
            return found_there[0]
        if found_there:
            return f"it may be {' or '.join(self._place(path) for path in found_there[:3])}"
        if self.source.joinpath(*parts).is_file():
            return "its ending is that of no video, sound or picture"
        return "no such file"

    def _ends_with(self, path: Path, parts: Sequence[str]) -> bool:
        place = PurePosixPath(self._place(path))
        whole, bare = place.parts[-len(parts) :], place.with_suffix("").parts[-len(parts) :]
        return tuple(parts) in (whole, bare)

    def sounds_of(self, films: Collection[Path], taken: Collection[Path]) -> dict[Path, Path]:
        """Return the sound that stands beside a film under its name, for each film that has one."""
        by_stem = {stem_of(film, self.source): film for film in films}
        sounds = [path for path in self.paths if kind_of(path) == "audio" and path not in taken]
        return {by_stem[stem]: one for one in sounds if (stem := stem_of(one, self.source)) in by_stem}

    def ids(self, paths: Collection[Path]) -> dict[Path, str]:
        """Return the id of every clip: its place without the ending, with it where two would have the same."""
        alike: defaultdict[str, list[Path]] = defaultdict(list)
        for path in paths:
            alike[stem_of(path, self.source)].append(path)
        return {path: stem if len(same) == 1 else self._place(path) for stem, same in alike.items() for path in same}


def _parts(name: str) -> list[str]:
    return [part for part in name.replace("\\", "/").split("/") if part not in ("", ".")]


def fault_of_id(id: str) -> str:
    """Return why the place of a file cannot be an id; empty for a good one."""
    faults = (fault for part in id.split("/") if (fault := fault_in_name(part)))
    return next((f"its name cannot be an id: {fault}; rename it" for fault in faults), "")
