"""Clips that are known by the names of their files: each is taken once, and what is none is kept with the reason."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from datamodules.entries import Entry, Media
from datamodules.reading.files import place_in
from datamodules.reading.recordings import same_bytes


@dataclass
class NamedClips:
    """The media files of a corpus as a catalogue goes through them.

    Attributes:
        source: The raw folder.
        medium: Under which a file that is no clip is recorded.
        ignored: Number of files that were skipped on purpose, by kind.
        refused: Entries of the files that cannot be used.
    """

    source: Path
    medium: str
    ignored: Counter[str] = field(default_factory=Counter)
    refused: list[Entry] = field(default_factory=list)

    def add(self, clips: dict[str, Path], id: str, path: Path) -> None:
        """Take the file of a clip; a copy of an earlier one is counted, another file of that clip refused."""
        known = clips.setdefault(id, path)
        if known is path:
            return
        if same_bytes(known, path):
            self.ignored["copies"] += 1
        else:
            self.refuse(path, f"same clip as {place_in(self.source, known)}")

    def refuse(self, path: Path, reason: str) -> None:
        """Record a file that cannot be used."""
        place = place_in(self.source, path)
        self.refused.append(Entry(place, name=place, media={self.medium: Media(path)}, problem=reason))

    def sorted_with(self, entries: Iterable[Entry]) -> list[Entry]:
        """Return entries and what was refused, by id."""
        return sorted([*entries, *self.refused], key=lambda entry: entry.id)
