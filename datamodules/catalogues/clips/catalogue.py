"""Clips of your own: videos, sounds or stills under any names, and a table of their labels.

The table is ``labels.csv`` in the folder, or what --labels names: columns by name (file, label, speaker, ...), Hugging
Face's metadata, EmoBox, audformat, nkululeko; without one the names of the folders are the labels. docs/data/clips.md
"""

from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Literal

from datamodules.catalogues.clips.checks import print_speakers, without_repeats
from datamodules.catalogues.clips.clip_entries import entries_of
from datamodules.catalogues.clips.folds import FILE, Wanted, as_table, assign, print_rare, read_splits
from datamodules.catalogues.clips.labels import meaning_of, read_labels
from datamodules.catalogues.clips.located import fault_of_missing, locate, print_unmatched
from datamodules.catalogues.clips.tables import read_listing
from datamodules.entries import Catalogue, Scan
from datamodules.errors import DataError
from datamodules.media.segments import Windows
from datamodules.reading.matches import print_copies
from datamodules.reading.media_files import MediaFiles


@dataclass(frozen=True)
class Clips(Catalogue):
    """A folder of clips, at any depth, with a table of their labels.

    Attributes:
        labels: The table, or the folder of EmoBox or audformat; looked for in the source where not given.
        label: Column of the class; ``label`` or the only one that can be it where not given.
        classes: Names of the classes in order, with commas; sorted by name where not given.
        values: Columns of numbers to learn, with commas; valence, arousal, dominance and sentiment where not given.
        splits: CSV of folds or splits, as ``folds.csv`` has them, in place of what the table says.
        folds: How many are made where none are given; 5, or as many as there are speakers, where not given.
        fold_seed: That they are drawn from.
        window: Seconds of the windows that longer clips are cut into; clips stay whole where not given.
        hop: Seconds from a window to the next; those of the window where not given.
        face: Whether the face of a still is searched for, or is the ``whole`` picture.
        max_missing: How many rows without a file are accepted.
    """

    name: ClassVar[str] = "clips"
    recipe: ClassVar[str] = "all"
    origin: ClassVar[str] = "give the folder that holds your clips, and labels.csv or what --labels names"

    labels: Path | None = None
    label: str = ""
    classes: str = ""  # type: ignore[assignment,misc]  # of a store they are in its settings
    values: str = ""
    splits: Path | None = None
    folds: int | None = None
    fold_seed: int = 0
    window: float | None = None
    hop: float | None = None
    face: Literal["search", "whole"] = "search"
    max_missing: int = 0

    def scan(self, source: Path) -> Scan:
        """List the clips, sorted by id, and print which rows and files have no counterpart.

        Raises:
            DataError: There is no clip or no label, a table or an option is wrong, a recording has two speakers or
                labels, or a speaker is in two folds.
        """
        if self.fold_seed < 0:
            raise DataError(f"--fold_seed {self.fold_seed}: at least 0")
        windows = Windows(self.window, self.hop)
        windows.check()
        files = MediaFiles(source)
        if not files.paths:
            raise DataError(
                f"--source {source}: no video, sound or picture in it, by the endings of the names; docs/data/clips.md "
                "tells which"
            )
        listing = read_listing(source, self.labels, files)
        print(f"  labels: {listing.what}, {len(listing.rows)} rows")
        meaning = meaning_of(listing, self.label, self.values)
        located, copies = locate(listing, files, meaning.people)
        print_copies(Path(listing.what.partition(",")[0]), copies)
        beside = print_unmatched(located, files)
        if fault := fault_of_missing(located, self.max_missing, source):
            return Scan([], beside=beside, fault=f"{listing.source}: {fault}")
        ignored = Counter({"rows without a file": sum(one.path is None for one in located)})
        located = [one for one in located if one.path is not None]
        known = replace(listing, rows=[one.row for one in located])
        read = read_labels(known, meaning, self.classes)
        entries, given = entries_of(located, read, files, windows, self.face == "search")
        speakers = any(one.row.get("speaker") for one in located)
        entries = without_repeats(entries, source, speakers)
        if all(entry.reason for entry in entries):
            raise DataError(
                f"{listing.source}: none of {len(entries)} clips can be used, the first {entries[0].name} "
                f"({entries[0].reason}); mend the table"
            )
        wanted = Wanted(self.folds, self.fold_seed, speakers)
        print_speakers(located)
        if self.splits:
            given = read_splits(self.splits, entries)
        entries, facts = assign(entries, given, wanted)
        used = [entry for entry in entries if not entry.reason]
        if read.classes:
            print_rare(used, read.classes, wanted, facts["count"])
        beside[FILE] = as_table(entries, facts)
        all_facts = {
            "classes": read.classes,
            "tasks": read.tasks,
            "speakers": speakers,
            "folds": facts,
            "metadata": list(meaning.metadata),
        }
        columns = ("split", "fold", *(read.columns[0] if read.columns else ()))
        return Scan(entries, +ignored, all_facts, columns, beside=beside)
