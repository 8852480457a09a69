"""Reads and checks the YAML of a table."""

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from datamodules.names import check_name
from datamodules.store import DataError
from experiments.reproduce.table import METRICS, PROTOCOLS, PROVENANCES, Row, Table, table_names
from experiments.reproduce.table_options import check_settings, making
from experiments.settings.config import MOST_SEED, PROJECT, Config, read_yaml, shown

_TABLE_KEYS = {
    "title",
    "source",
    "corpus",
    "metric",
    "folds",
    "seeds",
    "protocols",
    "rows",
    "vary",
    "unpublished",
    "real_features",
    "top3",
    "missing",
    "synthetic",
}
_ROW_KEYS = {"name", "label", "experiment", "overrides", "needs", "published", "shown"}
_PUBLISHED_KEYS = {"accuracy", "uar", "parameters", "n", "provenance", "note"}
_MISSING_KEYS = {"rates", "modalities", "subsets", "rows"}
_VARY_KEYS = {"option", "values", "label", "rows"}
_SYNTHETIC_KEYS = {"synth", "prepare", "folds", "seeds", "protocols", "values", "rows"}


def read_table(name: str, *, synthetic: bool = False, project: Path = PROJECT) -> Table:
    """Reads and checks a table.

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
    path = shown(path)
    if not path.exists():
        known = ", ".join(table_names(project)) or "none"
        raise DataError(f"no table {name!r} (looked for {path}); tables: {known}")
    check_name(path.stem, f"{path}: the table's own name")
    content = read_yaml(path)
    _require(content, path, "table", required={"title", "source", "corpus", "rows"}, known=_TABLE_KEYS)
    overlay = content.get("synthetic", {}) if synthetic else {}
    _require(overlay, path, "synthetic", required=set(), known=_SYNTHETIC_KEYS)
    settings = {"folds": [0], "seeds": [1], "protocols": list(PROTOCOLS), **content, **overlay}
    if not isinstance(content["rows"], list):
        raise DataError(f"{path}: rows: expected a list, found {content['rows']!r}")
    rows = _varied([_row(entry, path) for entry in content["rows"]], content.get("vary"), overlay.get("values"), path)
    rows = _kept(rows, overlay.get("rows"), path)
    _check_rows(rows, path)
    return Table(
        name=path.stem,
        title=str(content["title"]),
        source=str(content["source"]),
        corpus=check_name(str(content["corpus"]), f"{path}: corpus"),
        rows=rows,
        folds=_whole_numbers(settings["folds"], path, "folds"),
        seeds=_seeds(settings, path),
        synthetic=synthetic,
        make={of: making(overlay.get(of) or {}, path, of, str(content["corpus"])) for of in ("synth", "prepare")},
        metric=_metric(content, path),
        unpublished=str(content.get("unpublished", "-")),
        real_features=bool(content.get("real_features", False)),
        top3=_yes_or_no(content, "top3", path),
        **_missing(content.get("missing"), [row.name for row in rows], path),
    )


def _yes_or_no(content: Config, name: str, path: Path) -> bool:
    value = content.get(name, False)
    if not isinstance(value, bool):
        raise DataError(f"{path}: {name}: expected true or false, found {value!r}")
    return value


def _metric(content: Config, path: Path) -> str:
    metric = str(content.get("metric", METRICS[0]))
    if metric not in METRICS:
        raise DataError(f"{path}: metric: {metric} is not one of {', '.join(METRICS)}")
    return metric


def _missing(entry: Any, rows: list[str], path: Path) -> Config:
    if entry is None:
        return {}
    _require(entry, path, "missing", required=set(), known=_MISSING_KEYS)
    if ("rates" in entry) != ("modalities" in entry) or not {"rates", "subsets"} & entry.keys():
        raise DataError(f"{path}: missing: give rates and modalities, or subsets, or all three")
    rates, modalities, named = entry.get("rates", []), entry.get("modalities", []), entry.get("rows", rows)
    subsets = entry.get("subsets", [])
    if not isinstance(subsets, list) or not all(isinstance(of, list) and of for of in subsets):
        raise DataError(f"{path}: missing: subsets: expected lists of modalities, found {subsets!r}")
    if not isinstance(rates, list) or not all(type(rate) in (int, float) and 0 <= rate <= 1 for rate in rates):
        raise DataError(f"{path}: missing: rates: expected a list of numbers from 0 to 1, found {rates!r}")
    if not isinstance(modalities, list) or not isinstance(named, list):
        raise DataError(f"{path}: missing: modalities and rows are lists of names")
    if unknown := [str(name) for name in named if name not in rows]:
        raise DataError(f"{path}: missing: rows: {', '.join(unknown)} is no row")
    for name in [*modalities, *(name for of in subsets for name in of)]:
        check_name(str(name), f"{path}: missing: modality")
    return {
        "missing": {name: tuple(map(float, rates)) for name in modalities},
        "subsets": tuple(tuple(map(str, of)) for of in subsets),
        "missing_rows": tuple(named),
    }


def _varied(rows: list[Row], entry: Any, values: Any, path: Path) -> tuple[Row, ...]:
    """Has some rows stand once per value of an option, ``<row>-<value>``, after the others.

    ``values`` are those of the stand-in.
    """
    if entry is None:
        return tuple(rows)
    _require(entry, path, "vary", required=_VARY_KEYS, known=_VARY_KEYS)
    check_settings({str(entry["option"]): ""}, path, "vary: option")
    names = [row.name for row in rows]
    if unknown := [str(name) for name in entry["rows"] if name not in names]:
        raise DataError(f"{path}: vary: rows: {', '.join(unknown)} is no row")
    found = [row for row in rows if row.name not in entry["rows"]]
    for value in values or entry["values"]:  # rows of one value together: a row is compared with the one above it
        for row in rows:
            if row.name in entry["rows"]:
                # No `format`: what stands in braces could be any attribute, at any width.
                label = str(entry["label"]).replace("{value}", str(value)).replace("{label}", row.label)
                overrides = {**row.overrides, entry["option"]: value}
                found.append(replace(row, name=f"{row.name}-{value}", label=label, overrides=overrides))
    return tuple(found)


def _kept(rows: tuple[Row, ...], names: Any, path: Path) -> tuple[Row, ...]:
    """Return the rows that the stand-in has; all where none are named."""
    if names is None:
        return rows
    known = [row.name for row in rows]
    if not isinstance(names, list) or not names or not set(names) <= set(known):
        raise DataError(f"{path}: synthetic: rows: expected some of {', '.join(known)}, found {names!r}")
    return tuple(row for row in rows if row.name in names)


def _row(entry: Any, path: Path) -> Row:
    _require(entry, path, "a row", required={"name", "label", "experiment"}, known=_ROW_KEYS)
    where = f"row {entry['name']}"
    published = entry.get("published") or {}
    _require(published, path, f"{where}, published", required=set(), known=_PUBLISHED_KEYS)
    if published and published.get("provenance") not in PROVENANCES:
        raise DataError(f"{path}: {where}: published needs a provenance, one of {', '.join(PROVENANCES)}")
    for name in ("accuracy", "uar", "parameters"):
        if name in published and (type(published[name]) not in (int, float) or not math.isfinite(published[name])):
            raise DataError(f"{path}: {where}: published {name} is {published[name]!r}, no number")
    check_settings(entry.get("overrides") or {}, path, f"{where}, overrides")
    return Row(
        name=str(entry["name"]),
        label=str(entry["label"]),
        experiment=check_name(str(entry["experiment"]), f"{path}: {where}, experiment"),
        overrides=entry.get("overrides") or {},
        needs=entry.get("needs") or {},
        published=published,
        shown=entry.get("shown", True),
    )


def _check_rows(rows: Sequence[Row], path: Path) -> None:
    needs = {row.name: row.needs.values() for row in rows}
    if len(needs) < len(rows):
        raise DataError(f"{path}: two rows have the same name")
    for row in rows:
        check_name(row.name, f"{path}: name of a row")
        if unknown := [name for name in row.needs.values() if name not in needs]:
            raise DataError(f"{path}: row {row.name} needs {', '.join(unknown)}, which is no row")
    settled: set[str] = set()
    while len(settled) < len(needs):
        ready = {name for name in needs.keys() - settled if settled.issuperset(needs[name])}
        if not ready:
            raise DataError(f"{path}: rows need each other: {', '.join(sorted(needs.keys() - settled))}")
        settled |= ready


def _seeds(settings: Config, path: Path) -> dict[str, tuple[int, ...]]:
    seeds, protocols = settings["seeds"], settings["protocols"]
    if unknown := [str(name) for name in protocols if name not in PROTOCOLS]:
        raise DataError(f"{path}: protocols: {', '.join(unknown)} is not one of {', '.join(PROTOCOLS)}")
    if not isinstance(seeds, dict):
        seeds = dict.fromkeys(protocols, seeds)
    if set(seeds) != set(protocols):
        raise DataError(f"{path}: seeds are given for {', '.join(seeds)}, protocols are {', '.join(protocols)}")
    found = {name: _whole_numbers(seeds[name], path, "seeds") for name in protocols}
    if large := [seed for of in found.values() for seed in of if seed > MOST_SEED]:
        raise DataError(f"{path}: seeds: {large[0]} is beyond {MOST_SEED}")
    return found


def _whole_numbers(values: Any, path: Path, name: str) -> tuple[int, ...]:
    if not isinstance(values, list) or not values or not all(type(value) is int and value >= 0 for value in values):
        raise DataError(f"{path}: {name}: expected a list of whole numbers, found {values!r}")
    if twice := [value for place, value in enumerate(values) if value in values[:place]]:
        raise DataError(f"{path}: {name}: {twice[0]} comes twice and would count twice")
    return tuple(values)


def _require(entry: Any, path: Path, what: str, *, required: set[str], known: set[str]) -> None:
    if not isinstance(entry, dict):
        raise DataError(f"{path}: {what}: expected a mapping, found {entry!r}")
    if missing := required - entry.keys():
        raise DataError(f"{path}: {what}: {', '.join(sorted(missing))} is missing")
    if unknown := entry.keys() - known:
        raise DataError(
            f"{path}: {what}: unknown key {', '.join(sorted(map(str, unknown)))}; known: {', '.join(sorted(known))}"
        )
