"""Folds of clips: as a table or a file gives them, or made, so that no speaker is in two."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from datamodules.catalogues.clips.division import divide
from datamodules.entries import SPLITS, Entry
from datamodules.errors import DataError
from datamodules.reading.names import SPLIT_NAMES
from datamodules.reading.tables import Row, read_table, settle, table_text
from error_texts import first_names

DEFAULT = 5  # folds
FILE = "folds.csv"


@dataclass(frozen=True)
class Wanted:
    """What is asked of folds that are made.

    Attributes:
        count: How many; None where not asked for.
        seed: That they are drawn from.
        speakers: Whether speakers are known; otherwise the unit is the clip.
    """

    count: int | None = None
    seed: int = 0
    speakers: bool = True

    @property
    def unit(self) -> str:
        """What a group is."""
        return "speaker" if self.speakers else "clip"


def read_splits(path: Path, entries: Sequence[Entry]) -> list[Row]:
    """Return the row of every clip in a file that was written here, or anybody's with the same columns.

    Args:
        path: CSV with clip, fold or split, and, to be compared, speaker.
        entries: The clips; one that is a part of a file may be listed by the file.

    Raises:
        DataError: A clip is not listed, or listed with another speaker, or twice.
    """
    rows = read_table(path, ("clip",), "--splits")
    names = set(rows[0]) if rows else set()
    if not names & {"fold", "split"}:
        raise DataError(f"--splits {path}: no column fold or split; it has {', '.join(sorted(names)) or 'no row'}")
    listed, _ = settle((row["clip"], row, row.place) for row in rows)
    found, missing = [], []
    for entry in entries:
        if entry.reason:
            found.append(Row())
            continue
        parts = entry.id.split("@")  # of the file, and of several people in it
        key = next((key for count in range(len(parts), 0, -1) if (key := "@".join(parts[:count])) in listed), None)
        if key is None:
            missing.append(entry.id)
            continue
        row = listed[key]
        if row.get("speaker", "") not in ("", entry.group):
            raise DataError(f"{row.where}: {key} is of {row['speaker']!r}, the clips say {entry.group!r}; correct one")
        found.append(row)
    if missing:
        raise DataError(
            f"--splits {path}: {len(missing)} of {len(entries)} clips are not listed ({first_names(missing)}); its "
            "column clip holds their places without the ending of the file"
        )
    return found


def assign(entries: Sequence[Entry], given: Sequence[Row], wanted: Wanted) -> tuple[list[Entry], dict[str, Any]]:
    """Return the clips with their fold or split, and what the store's settings say of it.

    Args:
        entries: The clips, those that are not used among them.
        given: The row of a table that tells the fold or split of each.
        wanted: Where nothing is said.

    Raises:
        DataError: A fold or split is none, given for some clips alone, or a speaker is in two; or there are too few.
    """
    used = [(entry, said) for entry, said in zip(entries, given, strict=True) if not entry.reason]
    kinds = [kind for kind in ("fold", "split") if any(said.get(kind) for _, said in used)]
    if len(kinds) == 2:
        print("  both folds and splits are given: the folds are taken")
    if not kinds:
        return _made(entries, [entry for entry, _ in used], wanted)
    kind = kinds[0]
    if wanted.count is not None:
        raise DataError(
            f"--folds {wanted.count}: every clip has its {kind} already; leave out the option or the column"
        )
    bare = [entry.id for entry, said in used if not said.get(kind)]
    if bare:
        raise DataError(
            f"{len(bare)} of {len(used)} clips have no {kind} ({first_names(bare)}); give it to all or none"
        )
    if kind == "split":
        splits = _split_values(used)
        _check_groups(used, splits, kind, wanted)
        return _with_validation(entries, splits, wanted)
    values = _fold_values(used)
    _check_groups(used, values, kind, wanted)
    found = _with_column(entries, {entry.id: str(values[entry.id]) for entry, _ in used})
    return found, {"source": "given", "count": len(set(values.values())), "seed": None}


def as_table(entries: Sequence[Entry], facts: dict[str, Any]) -> str:
    """Return the CSV of the folds, which can be cited and handed back; its hash is added to the facts.

    Args:
        entries: With their folds or splits.
        facts: Of the folds, for the store's settings.
    """
    kind = "split" if facts["source"] == "split" else "fold"
    rows = ([entry.id, entry.group, entry.split or entry.columns["fold"]] for entry in entries if not entry.reason)
    text = table_text(("clip", "speaker", kind), rows)
    facts["sha256"] = hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()
    return text


def _split_values(used: Sequence[tuple[Entry, Row]]) -> dict[str, str]:
    found: dict[str, str] = {}
    for entry, said in used:
        name = SPLIT_NAMES.get(said["split"].lower())
        if name is None:
            raise DataError(f"{said.where}: split {said['split']!r} is none of {', '.join(SPLITS)}; correct it")
        found[entry.id] = name
    if lacking := [name for name in ("train", "test") if name not in found.values()]:
        raise DataError(f"no clip is of the split {lacking[0]}; give some, or leave the column split out to make folds")
    return found


def _fold_values(used: Sequence[tuple[Entry, Row]]) -> dict[str, int]:
    """Return the folds counted from 0, in the order of their numbers."""
    for _, said in used:
        if not said["fold"].removesuffix(".0").isdecimal():
            raise DataError(f"{said.where}: fold {said['fold']!r} is no whole number from 0 on; correct it")
    numbers = sorted({int(float(said["fold"])) for _, said in used})
    if len(numbers) < 2:
        raise DataError(f"every clip is of fold {numbers[0]}, and two are needed; leave the column out to make folds")
    if numbers != list(range(len(numbers))):
        print(f"  folds {first_names([str(one) for one in numbers], 12)} are 0 to {len(numbers) - 1} here")
    return {entry.id: numbers.index(int(float(said["fold"]))) for entry, said in used}


def _check_groups(used: Sequence[tuple[Entry, Row]], values: Mapping[str, Any], kind: str, wanted: Wanted) -> None:
    """Refuse a speaker, or the parts of one file, in two folds or splits."""
    of_group: defaultdict[str, dict[Any, str]] = defaultdict(dict)
    for entry, _ in used:
        of_group[entry.group].setdefault(values[entry.id], entry.id)
    several = {group: found for group, found in of_group.items() if len(found) > 1}
    if several:
        group, found = next(iter(sorted(several.items())))
        (one, first), (other, second) = list(found.items())[:2]
        more = f" (and {len(several) - 1} more {wanted.unit}s)" if len(several) > 1 else ""
        raise DataError(
            f"{wanted.unit} {group!r} is in {kind} {one} ({first}) and {kind} {other} ({second}){more}, and a network "
            f"would know whom it is tested on; correct the column {kind}, or leave it out to make folds"
        )


def _made(entries: Sequence[Entry], used: Sequence[Entry], wanted: Wanted) -> tuple[list[Entry], dict[str, Any]]:
    groups, unit = [entry.group for entry in used], wanted.unit
    there = len(set(groups))
    if there == 1 < len(groups):
        raise DataError(
            f"all {len(groups)} clips are of one {unit}, {groups[0]!r}, and none could be tested on others; add clips "
            "of others, or leave the column speaker out to divide by clips"
        )
    count = min(DEFAULT, there) if wanted.count is None else wanted.count
    if count < 2:
        raise DataError(f"--folds {count}: at least 2" if there > 1 else "one clip alone cannot be divided; give more")
    if count > there:
        raise DataError(
            f"--folds {count}: there are {there} {unit}s; the largest number of folds that works is {there}"
        )
    fold = divide(groups, [entry.label for entry in used], count, wanted.seed)
    by = "class" if any(entry.label >= 0 for entry in used) else "number of clips"
    print(f"  {count} folds made of {there} {unit}s, by {by}, from seed {wanted.seed}: {FILE}, for --splits")
    found = _with_column(entries, {entry.id: str(fold[entry.group]) for entry in used})
    return found, {"source": "made", "count": count, "seed": wanted.seed}


def _with_validation(
    entries: Sequence[Entry], values: dict[str, str], wanted: Wanted
) -> tuple[list[Entry], dict[str, Any]]:
    """Return the clips with official splits; without validation a tenth of those that train is taken for it."""
    facts: dict[str, Any] = {"source": "split", "count": 3, "seed": None}
    if "val" not in values.values():
        train = [entry for entry in entries if values.get(entry.id) == "train"]
        groups = {entry.group for entry in train}
        if len(groups) < 2:
            raise DataError(f"no clip is of the split val, and one {wanted.unit} alone trains; give clips of val")
        tenth = divide(
            [entry.group for entry in train], [entry.label for entry in train], min(10, len(groups)), wanted.seed
        )
        values = values | {entry.id: "val" for entry in train if tenth[entry.group] == 0}
        held = sum(value == "val" for value in values.values())
        print(f"  no split val: {held} of {len(train)} clips of train validate, by {wanted.unit}, seed {wanted.seed}")
        facts["seed"] = wanted.seed
    found = [replace(entry, split=values.get(entry.id, "")) for entry in entries]
    return found, facts


def _with_column(entries: Sequence[Entry], folds: dict[str, str]) -> list[Entry]:
    return [replace(entry, columns={**entry.columns, "fold": folds.get(entry.id, "")}) for entry in entries]


def print_rare(entries: Sequence[Entry], classes: Sequence[str], wanted: Wanted, count: int) -> None:
    """Print which classes are of too few speakers for every fold to have one that trains and one that tests."""
    of_class: defaultdict[int, set[str]] = defaultdict(set)
    for entry in entries:
        of_class[entry.label].add(entry.group)
    clips = Counter(entry.label for entry in entries)
    rare = []
    for label, name in enumerate(classes):
        speakers = f" of {_counted(len(of_class[label]), 'speaker')}" if wanted.speakers and clips[label] else ""
        if len(of_class[label]) < count:
            rare.append(f"{name} ({_counted(clips[label], 'clip')}{speakers})")
    if rare:
        print(
            f"  too rare for {count} parts: {first_names(rare, 6)}; some do not test it, and what one {wanted.unit} "
            "has alone is never both learned and tested"
        )


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'s' * (count != 1)}"
