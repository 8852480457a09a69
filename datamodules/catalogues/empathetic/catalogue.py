"""EmpatheticDialogues (Rashkin et al. 2019, https://aclanthology.org/P19-1534): conversations about a situation.

``train.csv``, ``valid.csv`` and ``test.csv``: the official ones, one utterance a line, the same saved again by another
program, or tables with the columns prompt and context. The speaker has the odd turns and wrote the prompt, under one of
32 emotions. The listener's answers come after the feeling was told and are not taken.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

from datamodules.catalogues.empathetic.files import Rows, read_rows
from datamodules.emotion_labels import EMOTIONS, canonical
from datamodules.entries import Catalogue, Entry, Scan
from datamodules.store import DataError
from datamodules.tables import Row, settle

SPLITS = {"train": "train", "valid": "val", "test": "test"}  # name of the file -> of the split
_EVALUATED_WITH = {"train": ("val", "test"), "val": ("test",), "test": ()}  # splits that must not hold the same prompt


@dataclass(frozen=True)
class EmpatheticDialogues(Catalogue):
    """The folder of the three files, or one with a folder ``empatheticdialogues``: one entry per conversation."""

    name: ClassVar[str] = "empathetic"
    recipe: ClassVar[str] = "text"
    unit: ClassVar[str] = "text"
    classes: ClassVar[tuple[str, ...]] = EMOTIONS
    columns: ClassVar[tuple[str, ...]] = ("split", "emotion")

    def scan(self, source: Path) -> Scan:
        """List the conversations in the order of the files, then the lines that cannot be used.

        Raises:
            DataError: A file is missing, without a row, or not as expected, holds an emotion that is none of the 32, or
                says two things of one conversation.
        """
        inner = source / "empatheticdialogues"
        folder = inner if inner.is_dir() else source
        if not (folder / "train.csv").is_file():
            raise DataError(f"--source {folder}: no train.csv in it; docs/data.md says how to get EmpatheticDialogues")
        ignored, talk = Counter[str](), True
        entries: list[Entry] = []
        bad: list[Entry] = []
        for name, split in SPLITS.items():
            path = folder / f"{name}.csv"
            if not path.is_file():
                raise DataError(f"--source {folder}: no {path.name} in it; docs/data.md shows the layout")
            read = read_rows(path)
            talk = read.talk if name == "train" else talk
            if read.talk != talk:
                kinds = ("conversations", "prompts alone")
                raise DataError(f"{path} holds {kinds[talk]}, train.csv {kinds[not talk]}; take files of one kind")
            found = list((_conversations if talk else _prompts)(path, split, read, ignored))
            if not found:
                first = [f"no line can be used, the first {place} ({reason})" for place, reason in read.problems[:1]]
                raise DataError(f"{path}: {(first or ['a header and nothing else'])[0]}; get the file anew")
            entries += found
            bad += [Entry(place, name=place, problem=reason) for place, reason in read.problems]
            ignored["ninth fields"] += read.candidates
        _check_splits(folder, entries)
        facts = {"groups": "speakers" if talk else "prompts"}
        return Scan([*_without_evaluated(entries), *bad], +ignored, facts)


def _conversations(path: Path, split: str, read: Rows, ignored: Counter[str]) -> Iterator[Entry]:
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
    said, copies = settle(
        ((name, turn), (_integer(row["speaker_idx"]), _text(row["utterance"])), row.where) for name, turn, row in whole
    )
    ignored["lines that say what another says"] += copies
    odd = {name for name, turn in said if turn % 2}  # the listener's lines repeat the prompt
    prompts, _ = settle(
        (name, _text(row["prompt"]), row.where) for name, turn, row in whole if turn % 2 or name not in odd
    )
    turns: defaultdict[str, list[tuple[str, str]]] = defaultdict(list)
    for name, turn in sorted(said):
        if turn % 2:
            turns[name].append(said[name, turn])
    for name, emotion in emotions.items():
        texts = {"prompt": prompts[name], "turns": tuple(text for _, text in turns[name])}
        yield _entry(name, turns[name][0][0] if turns[name] else name, split, emotion, texts)


def _prompts(path: Path, split: str, read: Rows, ignored: Counter[str]) -> Iterator[Entry]:
    for number, row in enumerate(read.rows):
        if row["prompt"]:
            name = f"{split}-{number:05d}"
            yield _entry(name, name, split, _emotion(row), {"prompt": _text(row["prompt"])})
        else:
            read.problems.append((f"{path.name}:{row.line}", "the prompt is empty"))


def _entry(id: str, group: str, split: str, emotion: str, texts: dict[str, str | tuple[str, ...]]) -> Entry:
    labels = {"emotion": EMOTIONS.index(emotion)}
    return Entry(id, group, split, texts=texts, labels=labels, split=split, columns={"emotion": emotion})


def _check_splits(folder: Path, entries: list[Entry]) -> None:
    """Refuse a conversation that is in two splits; tell of speakers who are."""
    split_of: dict[str, str] = {}
    for one in entries:
        if one.id in split_of:
            raise DataError(f"--source {folder}: conversation {one.id} is in both {split_of[one.id]} and {one.split}")
        split_of[one.id] = one.split
    several = Counter(group for group, _ in {(one.group, one.split) for one in entries})
    if shared := sum(splits > 1 for splits in several.values()):
        print(f"  {shared} speakers in two splits")


def _without_evaluated(entries: list[Entry]) -> list[Entry]:
    """Drop what is also in a split that is evaluated: its prompt would be known."""
    held: defaultdict[str, set[str]] = defaultdict(set)
    prompts = [" ".join(str(one.texts["prompt"]).lower().split()) for one in entries]
    for one, prompt in zip(entries, prompts, strict=True):
        held[one.split].add(prompt)
    found = []
    for one, prompt in zip(entries, prompts, strict=True):
        again = [split for split in _EVALUATED_WITH[one.split] if prompt in held[split]]
        found.append(replace(one, dropped=f"its prompt is also in {again[-1]}") if again else one)
    return found


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
