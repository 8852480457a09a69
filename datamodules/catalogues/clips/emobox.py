"""EmoBox (Ma et al. 2024, https://arxiv.org/abs/2406.07162): ``fold_1/<set>_{train,test,valid}_fold_1.jsonl``.

A line names key, wav and emo, and start_time and end_time of a part; ``label_map.json`` beside the folds names classes.
A clip's fold is the one that tests it; a single fold is an official split. No speaker is named.
"""

import re
from collections import defaultdict
from pathlib import Path

from datamodules.errors import DataError
from datamodules.reading.listing import Listing, listing_of, read_records
from datamodules.reading.names import SPLIT_NAMES
from datamodules.reading.plain_json import read_object
from datamodules.reading.tables import Row
from error_texts import first_names

COLUMNS = {"wav", "emo"}
_NAME = re.compile(r".*_(train|test|valid|val|dev)_fold_?(\d+)\.jsonl?")
_TECHNICAL = ("key", "dataset", "wav", "type", "sample_rate", "num_frame", "task", "length", "emo", "channel")


def fold_files(folder: Path) -> dict[tuple[int, str], Path]:
    """Return the files of the folds below a folder by number and split; of two forms of one the lines."""
    found: dict[tuple[int, str], Path] = {}
    for path in sorted([*folder.rglob("fold_*/*_fold*.json*"), *folder.glob("*_fold*.json*")]):
        if name := _NAME.fullmatch(path.name):
            found[int(name[2]), SPLIT_NAMES[name[1]]] = path  # .jsonl comes after .json
    return found


def read(folder: Path) -> Listing:
    """Return the rows of all folds below a folder, with the fold that tests a clip, or with the split of one fold.

    Raises:
        DataError: A file cannot be read, or the folds do not divide the clips.
    """
    files = fold_files(folder)
    folds = sorted({number for number, _ in files})
    read_rows = {key: read_records(path) for key, path in files.items()}
    if len(folds) == 1:
        rows = [_canonical(row, files[key], split=key[1]) for key, own in read_rows.items() for row in own]
        return listing_of(f"{folder.name}, the lines of EmoBox, one fold", rows)
    tested: defaultdict[tuple[str, ...], list[int]] = defaultdict(list)
    first: dict[tuple[str, ...], tuple[Row, Path]] = {}
    for (number, split), own in read_rows.items():
        for row in own:
            first.setdefault(_part(row), (row, files[number, split]))
            if split == "test":
                tested[_part(row)].append(number)
    odd = [row["wav"] for key, (row, _) in first.items() if len(tested[key]) != 1]
    if odd:
        raise DataError(
            f"{folder}: {len(odd)} clips are tested in no fold or in several ({first_names(odd)}); take one of the "
            f"folds: --labels {files[folds[0], 'test' if (folds[0], 'test') in files else 'train'].parent}"
        )
    rows = [_canonical(row, path, fold=str(tested[key][0])) for key, (row, path) in first.items()]
    return listing_of(f"{folder.name}, the lines of EmoBox, {len(folds)} folds", rows)


def of_one_file(path: Path, listing: Listing) -> Listing:
    """Return the rows of one file, which say nothing of folds."""
    return listing_of(f"{path.name}, lines of EmoBox", [_canonical(row, path) for row in listing.rows])


def _part(row: Row) -> tuple[str, ...]:
    return tuple(row.get(name, "") for name in ("wav", "start_time", "end_time"))


def _canonical(row: Row, path: Path, **more: str) -> Row:
    """Return a row with the columns of `labels.csv`."""
    if missing := [name for name in sorted(COLUMNS) if name not in row]:
        raise DataError(f"{row.where}: no {missing[0]} among {', '.join(row)}; get the file anew")
    maps = [one for one in (path.parent / "label_map.json", path.parent.parent / "label_map.json") if one.is_file()]
    names = read_object(maps[0], "get the file anew") if maps else {}
    values = {"file": row["wav"], "label": str(names.get(row["emo"], row["emo"])), **more}
    renamed = {"start_time": "start", "end_time": "end", "spk": "speaker"}
    values |= {renamed.get(name, name): value for name, value in row.items() if name not in _TECHNICAL}
    return Row(values, row.place)
