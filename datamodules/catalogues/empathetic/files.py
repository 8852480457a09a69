"""The files of EmpatheticDialogues: the official files, the same saved again by another program, and tables of prompts.

Nothing is quoted in the official files: a comma inside text is written ``_comma_``, a quotation mark is itself wherever
it stands. Other programs quote, write real commas, put a row count in front, or change the order of the columns.
"""

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from datamodules.errors import DataError
from datamodules.reading.files import check_regular
from datamodules.reading.tables import Place, Row, Table

HEADER = "conv_id,utterance_idx,context,prompt,speaker_idx,utterance,selfeval,tags"
NAMES = HEADER.split(",")
TALK = ("conv_id", "utterance_idx", "speaker_idx", "utterance")  # columns that no table of prompts has
PROMPTS = ("prompt", "context")
RATINGS = re.compile(r"\d\|\d\|\d(_|$)")  # how a self-evaluation begins
_QUOTED = r'"(?>(?:[^"]|"")*)"'
_SAVED = re.compile(rf'(?:{_QUOTED}|[^",]*)(?:,(?:{_QUOTED}|[^",]*))*')  # a line that a program which quotes can write


@dataclass
class Rows:
    """Rows of one file.

    Attributes:
        talk: Whether they are utterances; else they are prompts.
        rows: By column, `PROMPTS` at least and `TALK` where they are utterances.
        problems: ``file:line`` and reason of every line that cannot be used.
        candidates: Lines with a ninth field, which is passed over.
    """

    talk: bool = True
    rows: list[Row] = field(default_factory=list)
    problems: list[tuple[str, str]] = field(default_factory=list)
    candidates: int = 0


def read_rows(path: Path) -> Rows:
    """Return the rows of one file, whichever way it was written.

    Raises:
        DataError: If it cannot be read, lacks a column, or can be read in two ways.
    """
    header, *lines = _lines(path)
    if header == HEADER and not _saved_again(path, lines):
        return _official(path, lines)
    table = _WithCandidates(path)
    talk = any(name in table.names for name in TALK)
    if missing := [name for name in (*(TALK if talk else ()), *PROMPTS) if name not in table.names]:
        raise DataError(
            f"{path}: the header is {header[:60]!r}; expected the official columns {HEADER}, in any order, or a table "
            f"with the columns prompt and context alone; there is no {', '.join(missing)}"
        )
    rows = list(table)
    return Rows(talk, rows, candidates=table.candidates)


def _lines(path: Path) -> list[str]:
    try:
        check_regular(path)
        # Only "\n" ends a line: utterances hold other separators.
        with path.open(encoding="utf-8-sig", newline="\n") as file:
            lines = [line.rstrip("\r\n") for line in file]
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read as UTF-8 text ({error}); get the file anew") from None
    if not lines:
        raise DataError(f"{path} is empty; get the file anew")
    return lines


def _saved_again(path: Path, lines: list[str]) -> bool:
    """Return whether a file with the official header was written by a program that quotes.

    Such a program quotes a field that holds a comma or a quotation mark, which it doubles, and no other. The official
    files have single quotation marks anywhere, and as many commas as they have columns.

    Raises:
        DataError: Some lines are of the one kind and some of the other.
    """
    own: int | None = None
    saved: int | None = None
    for number, line in enumerate(lines, start=2):
        if '"' not in line:
            continue
        official = line.split(",")
        fits = _fault(official) == "" and not any('"' in official[place] for place in (0, 1, 2, 4))
        quoted = next(csv.reader([line])) if _SAVED.fullmatch(line) else []
        if len(quoted) not in (len(NAMES), len(NAMES) + 1):
            own = own or (number if fits else None)
        elif not fits or len(official) != len(quoted) or any('"' in value for value in quoted):
            saved = saved or number
    if own and saved:
        raise DataError(
            f"{path}: line {own} is written as in the official files, line {saved} as by a program that quotes; get "
            "the official file, or save the whole anew"
        )
    return saved is not None


def _fault(values: list[str]) -> str:
    """Return why a line of the official form cannot be used; empty for a good one."""
    extra = values[len(NAMES) :]
    if len(values) < len(NAMES) or len(extra) > 1:
        return f"{len(values)} fields instead of {len(NAMES)}"
    speaker, ratings = values[NAMES.index("speaker_idx")], values[NAMES.index("selfeval")]
    goes_on = " " in speaker or (ratings.startswith(" ") and "|" not in ratings)  # what stands after prompt, utterance
    if goes_on or any(RATINGS.match(value) for value in values[len(NAMES) - 1 :]):
        return "a comma inside a text divides it"
    if extra and not _are_candidates(extra[0]) and (extra[0] or "|" not in ratings):
        return f"{len(values)} fields instead of {len(NAMES)}, and the last is no list of candidates"
    return ""


def _are_candidates(text: str) -> bool:
    return "|" in text and not RATINGS.match(text)


def _official(path: Path, lines: list[str]) -> Rows:
    read = Rows()
    for number, line in enumerate(lines, start=2):
        if not line.strip():
            continue
        values = line.split(",")
        if reason := _fault(values):
            read.problems.append((f"{path.name}:{number}", reason))
            continue
        read.candidates += len(values) > len(NAMES)
        read.rows.append(Row(zip(NAMES, map(str.strip, values), strict=False), Place(str(path), number)))
    return read


class _WithCandidates(Table):
    """A table whose rows may have one field more than its header: retrieval candidates, which are passed over.

    Attributes:
        candidates: Rows that have it.
    """

    names: list[str]
    candidates = 0

    def _records(self) -> Iterator[tuple[int, list[str]]]:
        for line, values in super()._records():
            names = getattr(self, "names", [])  # not known while the header is read
            if names and len(values) == len(names) + self._counted + 1 and _are_candidates(values[-1]):
                values.pop()
                self.candidates += 1
            yield line, values
