"""Clips of your own: videos, sounds or stills under any names, and a table of their labels.

The table is ``labels.csv`` in the folder, or what --labels names: columns by name (file, label, speaker, ...), Hugging
Face's metadata, EmoBox, audformat, nkululeko; without one the names of the folders are the labels. docs/data/clips.md
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Literal

from datamodules.catalogues.clips.folds import FILE, Given, Wanted, as_table, assign, print_rare, read_splits
from datamodules.catalogues.clips.labels import Labels, meaning_of, read_labels
from datamodules.catalogues.clips.located import Located, locate, print_unmatched
from datamodules.catalogues.clips.media_files import MediaFiles, fault_of_id, kind_of
from datamodules.catalogues.clips.segments import Part, Windows
from datamodules.catalogues.clips.tables import read_listing
from datamodules.entries import Catalogue, Entry, Media, Scan
from datamodules.errors import DataError, MediaError
from datamodules.media.container import probe
from datamodules.reading.files import plain
from datamodules.reading.matches import print_copies
from datamodules.reading.recordings import Recording, check_recordings, duplicate_hashes, repeated
from error_texts import first_names


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
        located, copies = locate(listing, files)
        print_copies(Path(listing.what.partition(",")[0]), copies)
        beside = print_unmatched(located, files)
        missing = [one for one in located if one.path is None]
        if len(missing) > self.max_missing or len(missing) == len(located):
            accept = f", or do without them: --max_missing {len(missing)}" if len(missing) < len(located) else ""
            fault = f"{listing.source}: {len(missing)} of {len(located)} rows have no file in {source}, the first"
            fault += f" {missing[0].name!r} ({missing[0].problem}); mend the table{accept}"
            return Scan([], beside=beside, fault=fault)
        ignored = Counter({"rows without a file": len(missing)})
        located = [one for one in located if one.path is not None]
        known = replace(listing, rows=[one.row for one in located])
        read = read_labels(known, meaning, self.classes)
        entries, given = self._entries(located, read, files, windows)
        speakers = any(one.row.get("speaker") for one in located)
        entries = _checked(entries, source, speakers)
        wanted = Wanted(self.folds, self.fold_seed, speakers)
        _print_speakers(located)
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

    def _entries(
        self, located: Sequence[Located], read: Labels, files: MediaFiles, windows: Windows
    ) -> tuple[list[Entry], list[Given]]:
        """Return the clips, sorted by file and time, and what the table says of their folds."""
        ids = files.ids({one.path for one in located if one.path is not None})
        named = {path for one in located for path in (one.path, one.audio) if path is not None}
        films = [path for path in ids if kind_of(path) == "video"]
        beside = files.sounds_of(films, named)
        if beside:
            print(f"  {len(beside)} videos have the sound that lies beside them under their name")
        sounding = bool(beside) or _has_sound(films)
        found: list[tuple[tuple[str, float, float], Entry, Given]] = []
        for one, labels, columns in zip(located, read.of_rows, read.columns, strict=True):
            path = one.path
            assert path is not None
            sound = one.audio or beside.get(path) or (path if sounding else None)
            for part in windows.parts(path, one.part) if kind_of(path) != "picture" else [one.part]:
                kind = kind_of(path)
                place = plain(path.relative_to(files.source).as_posix())
                if kind == "picture":
                    media = {"picture": Media(path, place, search=self.face == "search")}
                else:
                    sounds = {} if sound is None else {"audio": _timed(sound, files.source, part)}
                    media = sounds if kind == "audio" else {"video": _timed(path, files.source, part), **sounds}
                id = ids[path] + part.name
                problem = "a still has no start or end" if kind == "picture" and part.name else fault_of_id(ids[path])
                entry = Entry(
                    id,
                    group=one.row.get("speaker") or ids[path],
                    name=place + part.name,
                    media=media,
                    texts={"prompt": one.row["text"]} if one.row.get("text") else {},
                    labels=labels,
                    columns={"fold": "", **columns},
                    problem=problem,
                    dropped="" if labels or problem else "no label",
                )
                said = Given(one.row.get("fold", ""), one.row.get("split", ""), one.row.where)
                end = float("inf") if part.end is None else part.end
                found.append(((ids[path], part.start or 0.0, end), entry, said))
        found.sort(key=lambda one: one[0])
        return [entry for _, entry, _ in found], [said for _, _, said in found]


def _timed(path: Path, source: Path, part: Part) -> Media:
    name = plain(path.relative_to(source).as_posix()) if path.is_relative_to(source) else plain(path.name)
    return Media(path, name, start=part.start, end=part.end)


def _has_sound(films: Sequence[Path]) -> bool:
    """Return whether any of these videos has sound, as their headers say."""
    for path in films:
        try:
            if "audio" in probe(path).kinds:
                return True
        except MediaError:  # the reason is told where it is decoded
            continue
    return not films


def _checked(entries: Sequence[Entry], source: Path, speakers: bool) -> list[Entry]:
    """Return the clips without those that come again under another name where nobody is named.

    Raises:
        DataError: One recording is of two speakers, or labelled differently.
    """
    files = {entry.id: next(iter(entry.media.values())).path for entry in entries if "@" not in entry.id}
    whole = [(entry, path) for entry in entries if not entry.reason and (path := files.get(entry.id))]
    said = [(path, entry.group if speakers else "", _content(entry)) for entry, path in whole]
    if speakers:
        check_recordings(said, source)
        return list(entries)
    digests = duplicate_hashes([path for _, path in whole])
    again = repeated(
        (
            (digests[path], Recording(entry.name, "", label))
            for (entry, path), (_, _, label) in zip(whole, said, strict=True)
            if path in digests
        ),
        source,
    )
    if again:
        print(f"  {len(again)} files with the bytes of another one left aside ({first_names(again)})")
    left = set(again)
    return [replace(entry, dropped="same bytes as another clip") if entry.name in left else entry for entry in entries]


def _content(entry: Entry) -> str:
    """Return the labels of a clip in a form in which two can be compared."""
    return repr([(name, value) for name, value in entry.columns.items() if name.startswith(("soft_", "value_"))]) + str(
        entry.label
    )


def _print_speakers(located: Sequence[Located]) -> None:
    """Print of how many clips nobody says who they show."""
    bare = [one.name for one in located if not one.row.get("speaker")]
    if len(bare) == len(located):
        print("  no column speaker: whether one person is in two folds cannot be checked; the unit is the clip")
    elif bare:
        print(f"  {len(bare)} clips without a speaker ({first_names(bare)}): each is a speaker of its own")
