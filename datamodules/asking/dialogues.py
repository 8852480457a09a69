"""Whole dialogues, asked about turn by turn: each with the turns before it, as in training."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from datamodules.asked import Reader
from datamodules.catalogues.clips.clip_entries import media_of
from datamodules.entries import ROLES, Entry, Media
from datamodules.errors import DataError, MediaError
from datamodules.media.segments import Span
from datamodules.reading.media_files import kind_of
from datamodules.reading.numbers import number
from datamodules.reading.tables import Row, Table

DIALOGUE, TURN, ROLE, SPEAKER = "dialogue", "turn", "role", "speaker"  # what a row has, and columns of a table
MOST = 512  # turns that are handed on, whatever the model reads of them


class DialogueReader(Reader):
    """A reader of dialogues, and of single utterances; see `Reader`."""

    @property
    def takes(self) -> tuple[str, ...]:  # type: ignore[override]
        """Nothing more where the model was trained on single utterances."""
        return (DIALOGUE, "context") if self.turns > 1 else ()

    @property
    def turns(self) -> int:
        """Number of turns that the model reads."""
        return min(int(self.options.get("utterances", 1)), MOST)

    def rows(self, path: Path) -> list[dict[str, Any]] | None:
        """Return a row for every turn of the speaker in a table of turns; None of anything else.

        Raises:
            DataError: The table is wrong.
        """
        if self.turns < 2 or path.suffix.lower() not in (".csv", ".tsv") or not path.is_file():
            return None
        table = Table(path)
        if DIALOGUE not in table.names:
            return None
        found: dict[str, list[Row]] = {}
        for row in table:
            found.setdefault(row[DIALOGUE], []).append(row)
        asked = []
        for name, rows in found.items():
            if TURN in table.names:
                rows.sort(key=_place)
            turns = [_turn(row, path.parent) for row in rows]
            for place, turn in enumerate(turns):
                if turn.get(ROLE, ROLES[0]) == ROLES[0]:
                    called = f"{path}: {name}, turn {turn.get(TURN, place + 1)}"
                    asked.append({"file": called, DIALOGUE: turns[max(0, place + 1 - self.turns) : place + 1]})
        return asked

    def given(self, row: Mapping[str, Any], name: str) -> Entry | None:
        """Return the entry of a dialogue up to the turn that is asked about; None of a single utterance."""
        if row.get(DIALOGUE) is None:
            return None
        called = str(row.get("file") or "dialogue")[:200]
        try:
            return self._entry(row, name, called)
        except DataError as error:
            return Entry(name, name=called, problem=str(error))

    def _entry(self, row: Mapping[str, Any], name: str, called: str) -> Entry:
        turns = row[DIALOGUE]
        if not isinstance(turns, Sequence) or not turns or not all(isinstance(turn, Mapping) for turn in turns):
            raise DataError("dialogue: give its turns in order, each with text, file or audio, and speaker or role")
        turns, last = turns[-self.turns :], {**turns[-1], **{key: row[key] for key in row if key in self.fields}}
        texts = {"context": str(row.get("context") or last.get("context") or "")}
        return Entry(
            name,
            name=called,
            texts=texts,
            columns={
                f"meta_{field}": str(last.get(field, last.get(field.removeprefix("speaker_"), "")))
                for field in self.fields
            },
            parts=tuple(self._part(str(place), turn, last) for place, turn in enumerate(turns)),
        )

    def _part(self, id: str, turn: Mapping[str, Any], last: Mapping[str, Any]) -> Entry:
        """Return an utterance; who speaks the last one is the speaker, others listen, where no role is given."""
        role = turn.get(ROLE) or (ROLES[0] if turn.get(SPEAKER) == last.get(SPEAKER) else ROLES[1])
        if role not in ROLES:
            raise DataError(f"role {str(role)[:40]!r} of a turn: it is {ROLES[0]} or {ROLES[1]}")
        said = str(turn.get("text") or "")
        words = {view.text: said for view in self.views.values() if hasattr(view, "text")} if said else {}
        return Entry(id, media=_media(turn), texts={"role": role, **words})


def _place(row: Row) -> float:
    place = number(row[TURN], f"{row.where}: {TURN}")
    if place is None:
        raise DataError(f"{row.where}: {TURN} is empty; number the turns, or leave out the column")
    return place


def _turn(row: Row, folder: Path) -> dict[str, Any]:
    files = {name: str(folder / row[name]) for name in ("file", "audio") if row.get(name)}
    times = {name: number(row[name], f"{row.where}: {name}") for name in ("start", "end") if row.get(name)}
    if row.get(ROLE, ROLES[0]) not in ROLES:
        raise DataError(f"{row.where}: role is {row[ROLE][:40]!r}; it is {ROLES[0]} or {ROLES[1]}")
    return {name: value for name, value in row.items() if value} | files | times


def _media(turn: Mapping[str, Any]) -> dict[str, Media]:
    """Return sound and film of a turn; what cannot be used says why."""
    file = turn.get("file") or turn.get("audio")
    if not file:
        return {}
    path = Path(file)
    try:
        if not kind_of(path):
            raise MediaError(path, "neither video nor sound, by the ending of its name")
        part = Span(turn.get("start"), turn.get("end"))
        return media_of(path, Path(turn.get("audio") or path), part, str, search=True)
    except MediaError as error:
        return {name: Media(None, str(path), problem=error.reason) for name in ("audio", "video")}
