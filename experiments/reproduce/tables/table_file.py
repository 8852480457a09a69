"""Read and check the YAML of a table."""

import math
from collections.abc import Sequence
from dataclasses import replace
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any, TypeVar

from datamodules.errors import DataError
from datamodules.reading.names import check_name
from experiments.reproduce.tables.across_table import read_across
from experiments.reproduce.tables.own_clips import folds_of
from experiments.reproduce.tables.table import PROTOCOLS, Row, Table, data_folder, table_names
from experiments.reproduce.tables.table_entries import (
    AcrossEntry,
    MapEntry,
    MissingEntry,
    PublishedEntry,
    Seeds,
    SyntheticEntry,
    TableEntry,
    VaryEntry,
    read_entry,
)
from experiments.reproduce.tables.table_options import check_settings, making
from experiments.settings.config import MOST_SEED, PROJECT, Config, display_path, read_yaml

Value = TypeVar("Value")


def read_table(name: str, *, synthetic: bool = False, project: Path = PROJECT) -> Table:
    """Read and check a table.

    Args:
        name: File stem, or path of the YAML file.
        synthetic: Read it as the table of the stand-in corpus.
        project: Folder that holds ``experiments/``.

    Returns:
        The table.

    Raises:
        DataError: If there is no such table or something in it does not hold together.
    """
    path = Path(name) if name.endswith((".yaml", ".yml")) else project / "experiments" / "tables" / f"{name}.yaml"
    path = display_path(path)
    if not path.exists():
        known = ", ".join(table_names(project)) or "none"
        raise DataError(f"no table {name!r} (looked for {path}); tables: {known}")
    check_name(path.stem, f"{path}: the table's own name")
    table = read_entry(TableEntry, read_yaml(path), f"{path}: table")
    overlay = read_entry(SyntheticEntry, table.synthetic if synthetic else {}, f"{path}: synthetic")
    rows = [_row(entry, path) for entry in table.rows]
    if table.vary is not None:
        vary = read_entry(VaryEntry, table.vary, f"{path}: vary")
        rows = _varied(rows, vary, _first(overlay.values, vary.values), path)
    rows = _stand_in_rows(rows, overlay.rows, path)
    across = None
    if table.across is not None:
        entry = read_entry(AcrossEntry, table.across, f"{path}: across")
        maps = [read_entry(MapEntry, of, f"{path}: across: map {place}") for place, of in enumerate(entry.maps, 1)]
        pairs = [(of.between, of.classes) for of in maps]
        across, rows = read_across(entry.corpora, pairs, rows, path, synthetic=synthetic)
    _check_rows(rows, path)
    data, folds = data_folder(table.corpus, synthetic), table.folds
    if table.own:
        rows = [replace(row, overrides={**row.overrides, "data.init_args.root": str(data)}) for row in rows]
        folds = folds_of(data / "prepared")
    return Table(
        name=path.stem,
        title=table.title,
        source=table.source,
        corpus=check_name(table.corpus, f"{path}: corpus"),
        rows=tuple(rows),
        folds=_whole_numbers(_first(overlay.folds, folds), path, "folds"),
        seeds=_seeds(_first(overlay.seeds, table.seeds), _first(overlay.protocols, table.protocols), path),
        synthetic=synthetic,
        make={
            "synth": making(overlay.synth, path, "synth", table.corpus),
            "prepare": making(overlay.prepare, path, "prepare", table.corpus),
        },
        metric=table.metric,
        unpublished=table.unpublished,
        real_features=table.real_features,
        top3=table.top3,
        across=across,
        own=table.own,
        recipes=tuple(check_name(name, f"{path}: synthetic: recipes") for name in overlay.recipes),
        **({} if table.missing is None else _missing(table.missing, [row.name for row in rows], path)),
    )


def _first(overlay: Value | None, table: Value) -> Value:
    return table if overlay is None else overlay


def _missing(content: Config, rows: list[str], path: Path) -> Config:
    entry = read_entry(MissingEntry, content, f"{path}: missing")
    if bool(entry.rates) != bool(entry.modalities) or not (entry.rates or entry.subsets):
        raise DataError(f"{path}: missing: give rates and modalities, or subsets, or all three")
    if not all(entry.subsets):
        raise DataError(f"{path}: missing: subsets: one of them names no modality")
    if not all(0 <= rate <= 1 for rate in entry.rates):
        raise DataError(f"{path}: missing: rates: expected numbers from 0 to 1, found {entry.rates!r}")
    if unknown := [name for name in entry.rows or [] if name not in rows]:
        raise DataError(f"{path}: missing: rows: {', '.join(unknown)} is no row")
    for name in [*entry.modalities, *(name for names in entry.subsets for name in names)]:
        check_name(name, f"{path}: missing: modality")
    return {
        "missing": {name: tuple(entry.rates) for name in entry.modalities},
        "subsets": tuple(map(tuple, entry.subsets)),
        "missing_rows": tuple(rows if entry.rows is None else entry.rows),
    }


def _varied(rows: list[Row], vary: VaryEntry, values: Sequence[Any], path: Path) -> list[Row]:
    """Return the rows, of which some stand once per value of an option, ``<row>-<value>``, after the others."""
    check_settings({vary.option: ""}, path, "vary: option")
    names = [row.name for row in rows]
    if unknown := [name for name in vary.rows if name not in names]:
        raise DataError(f"{path}: vary: rows: {', '.join(unknown)} is no row")
    found = [row for row in rows if row.name not in vary.rows]
    for value in values:  # rows of one value together: a row is compared with the one above it
        for row in rows:
            if row.name in vary.rows:
                # No `format`: what stands in braces could be any attribute, at any width.
                label = vary.label.replace("{value}", str(value)).replace("{label}", row.label)
                overrides = {**row.overrides, vary.option: value}
                found.append(replace(row, name=f"{row.name}-{value}", label=label, overrides=overrides))
    return found


def _stand_in_rows(rows: list[Row], names: list[str] | None, path: Path) -> list[Row]:
    """Return the rows that the stand-in has; all where none are named."""
    if names is None:
        return rows
    known = [row.name for row in rows]
    if not names or not set(names) <= set(known):
        raise DataError(f"{path}: synthetic: rows: expected some of {', '.join(known)}, found {names!r}")
    return [row for row in rows if row.name in names]


def _row(entry: Any, path: Path) -> Row:
    where = f"{path}: row {entry['name']}" if isinstance(entry, dict) and "name" in entry else f"{path}: a row"
    row = read_entry(Row, entry, where)
    published = {}
    if row.published:
        figures = read_entry(PublishedEntry, row.published, f"{where}, published")
        published = {name: value for name, value in vars(figures).items() if value is not None}
    for name, value in published.items():
        if isinstance(value, float) and not math.isfinite(value):
            raise DataError(f"{where}: published {name} is {value!r}, no number")
    check_settings(row.overrides, path, f"row {row.name}, overrides")
    check_name(row.experiment, f"{where}, experiment")
    if row.corpus:
        check_name(row.corpus, f"{where}, corpus")
    return replace(row, published=published)


def _check_rows(rows: Sequence[Row], path: Path) -> None:
    needs = {row.name: row.needs.values() for row in rows}
    if len(needs) < len(rows):
        raise DataError(f"{path}: two rows have the same name")
    for row in rows:
        check_name(row.name, f"{path}: name of a row")
        if unknown := [name for name in row.needs.values() if name not in needs]:
            raise DataError(f"{path}: row {row.name} needs {', '.join(unknown)}, which is no row")
        for other in (other for other in rows if other.name in row.needs.values()):
            if less := [of for of in PROTOCOLS if row.runs_under(of) and not other.runs_under(of)]:
                raise DataError(f"{path}: row {row.name} needs {other.name}, which is not run under {less[0]}")
    try:
        TopologicalSorter(needs).prepare()
    except CycleError as error:
        raise DataError(f"{path}: rows need each other: {', '.join(sorted(set(error.args[1])))}") from error


def _seeds(seeds: Seeds, protocols: Sequence[str], path: Path) -> dict[str, tuple[int, ...]]:
    given = seeds if isinstance(seeds, dict) else dict.fromkeys(protocols, seeds)
    if set(given) != set(protocols):
        raise DataError(f"{path}: seeds are given for {', '.join(given)}, protocols are {', '.join(protocols)}")
    found = {name: _whole_numbers(given[name], path, "seeds") for name in protocols}
    if large := [seed for of in found.values() for seed in of if seed > MOST_SEED]:
        raise DataError(f"{path}: seeds: {large[0]} is beyond {MOST_SEED}")
    return found


def _whole_numbers(values: Sequence[int], path: Path, name: str) -> tuple[int, ...]:
    if not values or min(values) < 0:
        raise DataError(f"{path}: {name}: expected a list of whole numbers, found {values!r}")
    if twice := [value for place, value in enumerate(values) if value in values[:place]]:
        raise DataError(f"{path}: {name}: {twice[0]} comes twice and would count twice")
    return tuple(values)
