"""Reads EmpatheticDialogues: the official files, the same saved again by another program, and tables of prompts.

Nothing is quoted in the official files: a comma inside text is written ``_comma_``, a quotation mark is itself wherever
it stands. Other programs quote, write real commas, put a row count in front, or change the order of the columns.
"""

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from datamodules.emotion_labels import canonical
from datamodules.empathetic_corpus import SPLITS, Conversation, Corpus
from datamodules.store import DataError, check_regular
from datamodules.tables import Place, Row, Table, settle

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


def read_corpus(folder: Path) -> Corpus:
    """Reads ``train.csv``, ``valid.csv`` and ``test.csv``.

    Args:
        folder: Holds the three files, or a folder ``empatheticdialogues`` with them.

    Returns:
        The corpus.

    Raises:
        DataError: If a file is missing, without a row, or not as expected, holds an emotion that is none of the 32,
            or says two things of one conversation.
    """
    inner = folder / "empatheticdialogues"
    folder = inner if inner.is_dir() else folder
    first = folder / "train.csv"
    if not first.is_file():
        raise DataError(f"--source {folder}: no train.csv in it; docs/data.md says how to get EmpatheticDialogues")
    corpus = Corpus(official=True)
    for name, split in SPLITS.items():
        path = folder / f"{name}.csv"
        if not path.is_file():
            raise DataError(f"--source {folder}: no {path.name} in it; docs/data.md shows the layout")
        read = read_rows(path)
        if path == first:
            corpus.official = read.talk
        elif read.talk != corpus.official:
            kinds = ("conversations", "prompts alone")
            raise DataError(
                f"{path} holds {kinds[not read.talk]}, {first.name} {kinds[read.talk]}; take files of one kind"
            )
        before = len(corpus.conversations)
        corpus.candidates += read.candidates
        corpus.problems += read.problems
        (_add_conversations if read.talk else _add_prompts)(path, split, read.rows, corpus)
        if len(corpus.conversations) == before:
            found = [f"{place} ({reason})" for place, reason in corpus.problems if place.startswith(f"{path.name}:")]
            what = f"no line can be used, the first {found[0]}" if found else "a header and nothing else"
            raise DataError(f"{path}: {what}; get the file anew")
    seen: dict[str, str] = {}
    for one in corpus.conversations:
        if one.id in seen:
            raise DataError(f"--source {folder}: conversation {one.id} is in both {seen[one.id]} and {one.split}")
        seen[one.id] = one.split
    return corpus


def read_rows(path: Path) -> Rows:
    """Reads one file, whichever way it was written.

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
    """Whether a file with the official header was written by a program that quotes.

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
        row = Row(zip(NAMES, (value.strip() for value in values), strict=False))
        row.place = Place(str(path), number)
        read.rows.append(row)
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


def _add_conversations(path: Path, split: str, rows: list[Row], corpus: Corpus) -> None:
    whole: list[tuple[str, int, Row]] = []
    for row in rows:
        name, index = row["conv_id"], _integer(row["utterance_idx"])
        reason = "" if name else "conv_id is empty"
        if not index.isdecimal() or len(index) > 9:
            reason = f"utterance_idx is {index[:60]!r}"
        if any("\n" in row[column] for column in ("prompt", "utterance")):
            reason = "a line break inside a text: several lines were read as one"
        if reason:
            corpus.problems.append((f"{path.name}:{row.line}", reason))
        else:
            whole.append((name, int(index), row))
    emotions, _ = settle((name, canonical(row["context"], row.where), row.where) for name, _, row in whole)
    said, copies = settle(
        ((name, index), (_integer(row["speaker_idx"]), _text(row["utterance"])), row.where)
        for name, index, row in whole
    )
    corpus.copies += copies
    # The speaker has the odd turns and wrote the prompt; the listener's lines repeat it.
    odd = {name for name, turn in said if turn % 2}
    prompts, _ = settle(
        (name, _text(row["prompt"]), row.where) for name, turn, row in whole if turn % 2 or name not in odd
    )
    turns: dict[str, list[tuple[str, str]]] = {name: [] for name in emotions}
    for name, turn in sorted(said):
        if turn % 2:
            turns[name].append(said[name, turn])
    for name, emotion in emotions.items():
        speaker = turns[name][0][0] if turns[name] else name
        texts = tuple(text for _, text in turns[name])
        corpus.conversations.append(Conversation(name, speaker, split, emotion, prompts[name], texts))


def _add_prompts(path: Path, split: str, rows: list[Row], corpus: Corpus) -> None:
    for number, row in enumerate(rows):
        if not row["prompt"]:
            corpus.problems.append((f"{path.name}:{row.line}", "the prompt is empty"))
            continue
        emotion = canonical(row["context"], row.where)
        name = f"{split}-{number:05d}"
        corpus.conversations.append(Conversation(name, name, split, emotion, _text(row["prompt"])))


def _text(value: str) -> str:
    return value.replace("_comma_", ",").strip()


def _integer(value: str) -> str:
    """Return a number as the official files write it; a program that met a hole in the column wrote 1.0 for 1."""
    return value.removesuffix(".0")
