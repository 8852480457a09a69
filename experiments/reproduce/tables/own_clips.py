"""Tables over anybody's prepared clips: their folds, and the rows that their stores have nothing for."""

import functools
import re
from pathlib import Path
from typing import Any

from datamodules.errors import DataError
from datamodules.store.reader import Store
from experiments.reproduce.tables.table import Row, Table
from experiments.settings.config import Config


@functools.cache
def _opened(folder: Path, complete: float) -> Store:
    return Store(folder)


def _store(folder: Path) -> Store | None:
    """Return a finished store; None where there is none."""
    mark = folder / "COMPLETE"
    return _opened(folder, mark.stat().st_mtime) if mark.exists() else None


def folds_of(folder: Path) -> list[int]:
    """Return the folds of a store of clips; one of clips in splits, or where there are none yet."""
    store = _store(folder)
    found = [row.get("fold", "") for row in store.rows] if store else []
    if not any(found):
        return [0]
    try:
        return list(range(max(int(fold) for fold in found if fold) + 1))
    except ValueError as error:
        raise DataError(f"{folder}/index.csv: a fold is no number; prepare the clips again") from error


def obstacle(table: Table, row: Row, config: Config) -> str:
    """Return why a row cannot run on the clips as they are; empty where it can.

    Args:
        table: The table.
        row: The row, with the arrays that it reads.
        config: Its merged settings.
    """
    name = store_name(config)
    store = _store(table.data / name)
    if store is None:
        recipe = name.removeprefix("prepared-")
        if recipe in table.recipes:  # of a stand-in, which is made
            return ""
        more = "" if recipe == name else f" --recipe {recipe}"
        return f"no {table.data / name}; `python cli.py prepare {table.corpus} --source DIR{more}` makes it"
    for wanted in row.reads:
        # A view that makes several sizes of an array adds the size to its name.
        arrays = [of for of in store.arrays if re.fullmatch(rf"{re.escape(wanted)}(_\d+)?", of)]
        if not arrays:
            return f"{store.folder} holds no {wanted}"
        if all(0 in store.shape(arrays[0], clip) for clip in range(len(store))):
            return f"no clip of {store.folder} has {wanted}"
    tasks = store.manifest["settings"].get("catalogue", {}).get("tasks", {})
    values = [task for task, of in tasks.items() if of["kind"] == "value"]
    if row.one_set and values:
        return f"it learns one set of classes and nothing else; the clips have values ({', '.join(values)})"
    return ""


def store_name(config: Config) -> str:
    """Return the name of the store that merged settings read."""
    options: dict[str, Any] = config.get("data", {}).get("init_args", {})
    return str(options.get("store") or "prepared")
