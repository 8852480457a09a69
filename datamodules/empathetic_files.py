"""Reads EmpatheticDialogues: the official files, one utterance a line, and plain tables of prompts."""

import csv
import hashlib
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from datamodules.emotion_labels import canonical
from datamodules.store import DataError

SPLITS = {"train": "train", "valid": "val", "test": "test"}  # name of the file -> of the split
HEADER = "conv_id,utterance_idx,context,prompt,speaker_idx,utterance,selfeval,tags"
FIELDS = HEADER.count(",") + 1


@dataclass(frozen=True)
class Conversation:
    """What one conversation gives a model.

    Attributes:
        id: Its name, unique in the corpus.
        group: The speaker who has the emotion; the conversation itself where no speaker is named.
        split: train, val or test.
        emotion: One of the 32.
        prompt: The situation as the speaker described it before the conversation.
        turns: The speaker's own utterances in order; none in a table of prompts.
    """

    id: str
    group: str
    split: str
    emotion: str
    prompt: str
    turns: tuple[str, ...] = ()

    @property
    def sha256(self) -> str:
        """Hash of everything a store could take from it."""
        content = "\n".join((self.group, self.split, self.emotion, self.prompt, *self.turns))
        return hashlib.sha256(content.encode()).hexdigest()


@dataclass
class Corpus:
    """The conversations of a folder and what was met on the way.

    Attributes:
        official: Whether the files are the official ones; else they are tables of prompts.
        conversations: Those of train, valid and test, in the order of the files.
        problems: ``file:line`` and reason of every line that cannot be used.
        candidates: Lines with a ninth field (retrieval candidates), which is passed over.
    """

    official: bool
    conversations: list[Conversation] = field(default_factory=list)
    problems: list[tuple[str, str]] = field(default_factory=list)
    candidates: int = 0

    @property
    def shared_speakers(self) -> int:
        """Speakers who are in more than one split."""
        pairs = {(one.group, one.split) for one in self.conversations}
        return sum(splits > 1 for splits in Counter(group for group, _ in pairs).values())

    def overlaps(self) -> dict[str, str]:
        """Conversations whose prompt stands in a split that is evaluated too, by id, with the reason."""
        held: dict[str, set[str]] = {split: set() for split in SPLITS.values()}
        for one in self.conversations:
            held[one.split].add(_plain(one.prompt))
        later = {"train": ("val", "test"), "val": ("test",), "test": ()}
        return {
            one.id: f"its prompt is also in {other}"
            for one in self.conversations
            for other in later[one.split]
            if _plain(one.prompt) in held[other]
        }


def _plain(text: str) -> str:
    return " ".join(text.lower().split())


def read_corpus(folder: Path) -> Corpus:
    """Reads ``train.csv``, ``valid.csv`` and ``test.csv``.

    Args:
        folder: Holds the three files, or a folder ``empatheticdialogues`` with them.

    Returns:
        The corpus.

    Raises:
        DataError: If a file is missing or not as expected, or holds an emotion that is none of the 32.
    """
    inner = folder / "empatheticdialogues"
    folder = inner if inner.is_dir() else folder
    first = folder / "train.csv"
    if not first.is_file():
        raise DataError(f"--source {folder}: no train.csv in it; docs/data.md says how to get EmpatheticDialogues")
    official = _lines(first)[0].startswith("conv_id,")
    corpus = Corpus(official)
    for name, split in SPLITS.items():
        path = folder / f"{name}.csv"
        if not path.is_file():
            raise DataError(f"--source {folder}: no {path.name} in it; docs/data.md shows the layout")
        if official:
            _read_official(path, split, corpus)
        else:
            _read_prompts(path, split, corpus)
    seen: dict[str, str] = {}
    for one in corpus.conversations:
        if one.id in seen:
            raise DataError(f"--source {folder}: conversation {one.id} is in both {seen[one.id]} and {one.split}")
        seen[one.id] = one.split
    return corpus


def _lines(path: Path) -> list[str]:
    try:
        # Only "\n" ends a line: utterances hold other separators.
        with path.open(encoding="utf-8-sig", newline="\n") as file:
            lines = [line.rstrip("\r\n") for line in file]
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read as UTF-8 text ({error}); get the file anew") from None
    if not lines:
        raise DataError(f"{path} is empty; get the file anew")
    return lines


def _read_official(path: Path, split: str, corpus: Corpus) -> None:
    """Nothing is quoted in these files: a comma inside text is written ``_comma_``, a quotation mark is itself."""
    header, *lines = _lines(path)
    if header != HEADER:
        raise DataError(f"{path}: the header is {header[:60]!r}, expected {HEADER}")
    found: dict[str, list[tuple[int, list[str]]]] = {}
    for number, line in enumerate(lines, start=2):
        if not line.strip():
            continue
        values = line.split(",")
        if len(values) not in (FIELDS, FIELDS + 1):
            corpus.problems.append((f"{path.name}:{number}", f"{len(values)} fields instead of {FIELDS}"))
            continue
        corpus.candidates += len(values) > FIELDS
        if not values[1].isdecimal():
            corpus.problems.append((f"{path.name}:{number}", f"utterance_idx is {values[1]!r}"))
            continue
        values = [value.replace("_comma_", ",") for value in values]
        found.setdefault(values[0], []).append((number, values))
    for name, rows in found.items():
        rows.sort(key=lambda row: int(row[1][1]))
        number, (_, _, context, prompt, *_) = rows[0]
        own = [values for _, values in rows if int(values[1]) % 2]  # the speaker has the odd turns
        speaker = own[0][4] if own else name
        emotion = canonical(context, f"{path}, line {number}")
        turns = tuple(values[5].strip() for values in own)
        corpus.conversations.append(Conversation(name, speaker, split, emotion, prompt.strip(), turns))


def _read_prompts(path: Path, split: str, corpus: Corpus) -> None:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} cannot be read ({error}); get the file anew") from None
    if not rows or not {"prompt", "context"} <= rows[0].keys():
        raise DataError(f"{path}: expected the official columns, or a table with the columns prompt and context")
    for number, row in enumerate(rows):
        where = f"{path.name}:{number + 2}"
        if not (row["prompt"] or "").strip():
            corpus.problems.append((where, "the prompt is empty"))
            continue
        emotion = canonical(row["context"] or "", f"{path}, row {number + 2}")
        name = f"{split}-{number:05d}"
        corpus.conversations.append(Conversation(name, name, split, emotion, row["prompt"].strip()))
