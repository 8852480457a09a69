"""EmpatheticDialogues (Rashkin et al. 2019, https://aclanthology.org/P19-1534): conversations about a situation.

``train.csv``, ``valid.csv`` and ``test.csv``: the official ones, one utterance a line, the same saved again by another
program, or tables with the columns prompt and context. The speaker has the odd turns and wrote the prompt, under one of
32 emotions. The listener's answers come after the feeling was stated and are not used.
"""

from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

from datamodules.catalogues.empathetic.conversations import conversations_in, prompts_in
from datamodules.catalogues.empathetic.files import read_rows
from datamodules.entries import Catalogue, Entry, Scan
from datamodules.errors import DataError
from datamodules.reading.emotion_labels import EMOTIONS

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
            found = list((conversations_in if talk else prompts_in)(path, split, read, ignored))
            if not found:
                first = [f"no line can be used, the first {place} ({reason})" for place, reason in read.problems[:1]]
                raise DataError(f"{path}: {(first or ['a header and nothing else'])[0]}; get the file anew")
            entries += found
            bad += [Entry(place, name=place, problem=reason) for place, reason in read.problems]
            ignored["ninth fields"] += read.candidates
        _check_splits(folder, entries)
        facts = {"groups": "speakers" if talk else "prompts"}
        return Scan([*_without_evaluated(entries), *bad], +ignored, facts)


def _check_splits(folder: Path, entries: list[Entry]) -> None:
    """Refuse a conversation that is in two splits; print which speakers are."""
    split_of: dict[str, str] = {}
    for one in entries:
        if one.id in split_of:
            raise DataError(f"--source {folder}: conversation {one.id} is in both {split_of[one.id]} and {one.split}")
        split_of[one.id] = one.split
    several = Counter(group for group, _ in {(one.group, one.split) for one in entries})
    if shared := sum(splits > 1 for splits in several.values()):
        print(f"  {shared} speakers in two splits")


def _without_evaluated(entries: list[Entry]) -> list[Entry]:
    """Drop training entries whose prompt is also in a split that is evaluated."""
    held: defaultdict[str, set[str]] = defaultdict(set)
    prompts = [" ".join(str(one.texts["prompt"]).lower().split()) for one in entries]
    for one, prompt in zip(entries, prompts, strict=True):
        held[one.split].add(prompt)
    found = []
    for one, prompt in zip(entries, prompts, strict=True):
        again = [split for split in _EVALUATED_WITH[one.split] if prompt in held[split]]
        found.append(replace(one, dropped=f"its prompt is also in {again[-1]}") if again else one)
    return found
