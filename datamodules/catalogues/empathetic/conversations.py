"""Conversations of EmpatheticDialogues from the rows of a file: the speaker's odd turns, the prompt, the emotion."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

from datamodules.catalogues.empathetic.files import Rows
from datamodules.entries import Entry
from datamodules.errors import DataError
from datamodules.reading.emotion_labels import EMOTIONS, canonical
from datamodules.reading.tables import Row, settle

Texts = dict[str, str | tuple[str, ...]]


def conversations_in(path: Path, split: str, read: Rows, ignored: Counter[str]) -> Iterator[Entry]:
    """Yield the conversations whose utterances a file holds.

    Args:
        path: The file, for messages.
        split: That it holds.
        read: Its rows; those that cannot be used come to its problems.
        ignored: Counts the lines that say what another says.

    Raises:
        DataError: An emotion is not known, or rows of one conversation contradict each other.
    """
    whole: list[tuple[str, int, Row]] = []
    for row in read.rows:
        name, index = row["conv_id"], _integer(row["utterance_idx"])
        reason = "" if name else "conv_id is empty"
        if not index.isdecimal() or len(index) > 9:
            reason = f"utterance_idx is {index[:60]!r}"
        if any("\n" in row[column] for column in ("prompt", "utterance")):
            reason = "a line break inside a text: several lines were read as one"
        if reason:
            read.problems.append((f"{path.name}:{row.line}", reason))
        else:
            whole.append((name, int(index), row))
    emotions, _ = settle((name, _emotion(row), row.where) for name, _, row in whole)
    turn_texts, copies = settle(
        ((name, turn), (_integer(row["speaker_idx"]), _text(row["utterance"])), row.where) for name, turn, row in whole
    )
    ignored["lines that say what another says"] += copies
    odd = {name for name, turn in turn_texts if turn % 2}  # the listener's lines repeat the prompt
    prompts, _ = settle(
        (name, _text(row["prompt"]), row.where) for name, turn, row in whole if turn % 2 or name not in odd
    )
    turns: defaultdict[str, list[tuple[str, str]]] = defaultdict(list)
    for name, turn in sorted(turn_texts):
        if turn % 2:
            turns[name].append(turn_texts[name, turn])
    for name, emotion in emotions.items():
        texts: Texts = {"prompt": prompts[name], "turns": tuple(text for _, text in turns[name])}
        yield _entry(name, turns[name][0][0] if turns[name] else name, split, emotion, texts)


def prompts_in(path: Path, split: str, read: Rows, ignored: Counter[str]) -> Iterator[Entry]:
    """Yield the prompts of a table, numbered through; arguments and errors are those of `conversations_in`."""
    for number, row in enumerate(read.rows):
        if row["prompt"]:
            name = f"{split}-{number:05d}"
            yield _entry(name, name, split, _emotion(row), {"prompt": _text(row["prompt"])})
        else:
            read.problems.append((f"{path.name}:{row.line}", "the prompt is empty"))


def _entry(id: str, group: str, split: str, emotion: str, texts: Texts) -> Entry:
    labels = {"emotion": EMOTIONS.index(emotion)}
    return Entry(id, group, split, texts=texts, labels=labels, split=split, columns={"emotion": emotion})


def _emotion(row: Row) -> str:
    emotion = canonical(row["context"], row.where)
    if emotion not in EMOTIONS:
        raise DataError(f"{row.where}: {row['context']!r} is none of the 32 emotions; correct it")
    return emotion


def _text(value: str) -> str:
    return value.replace("_comma_", ",").strip()


def _integer(value: str) -> str:
    """Return a number as the official files write it; a program that met a hole in the column wrote 1.0 for 1."""
    return value.removesuffix(".0")
