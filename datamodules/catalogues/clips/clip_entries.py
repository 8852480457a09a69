"""Entries of clips: what each is made of, its id, its group, and the windows of a longer one."""

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from datamodules.catalogues.clips.labels import Labels
from datamodules.catalogues.clips.located import Located
from datamodules.entries import Entry, Media
from datamodules.errors import DataError, MediaError
from datamodules.media.container import probe
from datamodules.media.films.people_in_film import places_of
from datamodules.media.people_in_picture import PERSON
from datamodules.media.segments import Span, Windows
from datamodules.reading.files import place_in
from datamodules.reading.media_files import MediaFiles, fault_of_id, kind_of
from datamodules.reading.tables import Row


def entries_of(
    located: Sequence[Located], read: Labels, files: MediaFiles, windows: Windows, search: bool
) -> tuple[list[Entry], list[Row]]:
    """Return the clips, sorted by file and time, and the row of each.

    Args:
        located: Rows with a file.
        read: Their labels.
        files: Of the source.
        windows: That longer clips are cut into.
        search: Whether the face of a still is to be searched for.
    """
    ids = files.ids({one.path for one in located if one.path is not None})
    named = {path for one in located for path in (one.path, one.audio) if path is not None}
    films = [path for path in ids if kind_of(path) == "video"]
    beside = files.sounds_of(films, named)
    if beside:
        print(f"  {len(beside)} videos have the sound that lies beside them under their name")
    sounding = bool(beside) or _has_sound(films)
    found: list[tuple[tuple[str, float, float], Entry, Row]] = []
    rows = Counter((one.path, one.part) for one in located)
    for one, labels, columns in zip(located, read.of_rows, read.columns, strict=True):
        path = one.path
        assert path is not None
        sound = one.audio or beside.get(path) or (path if sounding or kind_of(path) == "audio" else None)
        place = place_in(files.source, path)
        who = columns.get(PERSON) if rows[one.path, one.part] > 1 else ""
        whose = f"@{who}" if who else ""  # several people of one picture
        parts = list(windows.parts(path, one.part)) if kind_of(path) != "picture" else [one.part]
        people = _people(path, one.part, parts, columns.get(PERSON, ""))
        for part, whom in zip(parts, people, strict=True):
            problem = fault_of_id(ids[path])
            if kind_of(path) == "picture" and part.name:
                problem = "a still has no start or end"
            entry = Entry(
                ids[path] + part.name + whose,
                group=one.row.get("speaker") or ids[path],
                name=place + part.name + whose,
                media=media_of(path, sound, part, partial(place_in, files.source), search),
                texts={"prompt": one.row["text"]} if one.row.get("text") else {},
                labels=labels,
                columns={"fold": "", **columns, **whom},
                problem=problem,
                dropped="" if labels or problem else "no label",
            )
            end = float("inf") if part.end is None else part.end
            found.append(((ids[path], part.start or 0.0, end), entry, one.row))
    found.sort(key=lambda one: one[0])
    return [entry for _, entry, _ in found], [row for _, _, row in found]


def _people(path: Path, whole: Span, parts: Sequence[Span], who: str) -> list[dict[str, str]]:
    """Return the column `PERSON` of windows of a film of which one person is named by number: where that one is then.

    A window counts anew, and may not show everybody. It is empty where the column stays as it is.
    """
    places: list[str] = []
    if len(parts) > 1 and who.isdecimal() and kind_of(path) == "video":
        with suppress(DataError):  # told where faces are looked for
            places = places_of(int(who), path, whole, parts)
    return [{PERSON: place} for place in places] or [{} for _ in parts]


def media_of(
    path: Path, sound: Path | None, part: Span, called: Callable[[Path], str], search: bool
) -> dict[str, Media]:
    """Return what a clip is made of: a still, a sound, or a film with its sound; messages call a file so."""

    def of(file: Path, **more: Any) -> Media:
        return Media(file, called(file), **more)

    if kind_of(path) == "picture":
        return {"picture": of(path, search=search)}
    sounds = {} if sound is None else {"audio": of(sound, start=part.start, end=part.end)}
    if kind_of(path) == "audio":
        return sounds
    return {"video": of(path, start=part.start, end=part.end), **sounds}


def _has_sound(films: Sequence[Path]) -> bool:
    """Return whether any of these videos has sound, as their headers say; one that cannot be read may have."""
    kinds = []
    for path in films:
        try:
            kinds.append(probe(path).kinds)
        except MediaError:  # the reason is told where it is decoded
            continue
        if "audio" in kinds[-1]:
            return True
    return not kinds
