"""The result of a cell (contract 5): its folder, and how it is written, checked and read.

``runs/[synthetic/]<table or experiment>/[<row>/]<protocol>-fold<k>-seed<s>/`` holds::

    request.json                  what the cell was asked to be
    config.yaml                   the resolved settings
    metrics.csv                   one row per epoch: epoch, step, train_loss, val_loss, val_accuracy, ...
    predictions-<selection>.csv   see `experiments.results.predictions`; selection best, last or selected, or unselected
                                  where no epoch was ever validated: of such a cell no table shows anything
    missing/                      the same under missing modalities
    across/                       see `experiments.results.label_map`
    plots/*.png                   pictures worth a place in the report
    checkpoints/                  best.ckpt, last.ckpt
    log.txt                       what the run printed, where `reproduce` started it
    result.json                   written last: `experiments.results.result_check` says what it holds
"""

import contextlib
import csv
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from atomic_files import write_atomic
from datamodules.errors import DataError
from datamodules.reading.plain_json import read_object
from experiments.results.label_map import ABOUT, FOLDER, PREDICTIONS
from experiments.results.needs import AGAIN, cell_name, recorded_request, request_hash
from experiments.results.predictions import Predictions, Values, miscounted, read_predictions, read_values
from experiments.results.result_check import LATER, SCHEMA, problem, valued
from experiments.settings.config import Config

UNSELECTED = "unselected"  # stands for the selection of a run that ended before its first validation
_DRAWN_ANEW = ("confusion", "curves", "values")  # pictures of one run that a report draws itself, over all of them
State = Literal["done", "missing", "partial", "changed"]


@dataclass(frozen=True)
class Crossing:
    """Predictions of a cell for all labelled clips of another corpus.

    Attributes:
        classes: Those that both corpora have.
        left_out: Number of clips by class of that corpus that has no counterpart.
        predictions: Over the shared classes.
    """

    classes: list[str]
    left_out: dict[str, int]
    predictions: Predictions


@dataclass(frozen=True)
class Cell:
    """One finished run.

    Attributes:
        result: Content of ``result.json``.
        predictions: By selection.
        curves: Columns of ``metrics.csv``; NaN where an epoch has no value.
        missing: Predictions under missing modalities: modality -> rate -> selection.
        plots: Pictures the run left.
        across: What it says of clips of other corpora, by corpus.
        values: Predictions of values by selection and task, of those for which test clips have labels.
    """

    result: Config
    predictions: dict[str, Predictions]
    curves: dict[str, list[float]] = field(default_factory=dict)
    missing: dict[str, dict[float, dict[str, Predictions]]] = field(default_factory=dict)
    plots: list[Path] = field(default_factory=list)
    across: dict[str, Crossing] = field(default_factory=dict)
    values: dict[str, dict[str, Values]] = field(default_factory=dict)


def run_directory(
    name: str,
    protocol: str,
    fold: int,
    seed: int,
    *,
    row: str | None = None,
    synthetic: bool = False,
    runs: Path = Path("runs"),
) -> Path:
    """Return the folder of one run.

    Args:
        name: Stem of the table's file for a cell of a table, of the experiment's for a plain ``fit``.
        protocol: ``paper`` or ``honest``.
        fold: Test fold, counted from 0.
        seed: Seed of the run.
        row: Row of the table.
        synthetic: Whether the data are a stand-in.
        runs: Folder of all runs.

    Returns:
        The path; nothing is made.
    """
    parts = [*(["synthetic"] if synthetic else []), name, *([row] if row else [])]
    return runs.joinpath(*parts, cell_name(protocol, fold, seed))


def write_json(path: Path, content: Any) -> None:
    """Write JSON so that a reader sees the old file or the new one, never a part.

    Raises:
        ValueError: If a number is not finite.
    """
    write_atomic(path, json.dumps(content, indent=1, allow_nan=False) + "\n")


def read_json(path: Path) -> Config:
    """Read a JSON object.

    Raises:
        DataError: If the file is missing or damaged.
    """
    return read_object(path, AGAIN)


def read_result(directory: Path) -> Config:
    """Read the ``result.json`` of a run.

    Raises:
        DataError: If it is missing, damaged or of another schema.
    """
    path = directory / "result.json"
    result = {**LATER, **read_json(path)}
    if wrong := problem(result):
        raise DataError(f"{path}: {wrong}; {AGAIN}")
    return {**result, "request_hash": _hash_by_names(directory, result["request_hash"])}


def state(directory: Path, request: Config) -> State:
    """Return the state of a cell, from its files only.

    Args:
        directory: Folder of the cell.
        request: What the cell is asked to be now.

    Returns:
        ``done``; ``partial`` for one that can be continued from its last checkpoint; ``changed`` for one that was
        made or begun under another request and must not be used; ``missing`` otherwise.
    """
    finished = directory / "result.json"
    wanted = request_hash(request)
    if finished.exists():
        told = read_json(finished).get("request_hash")
        return "done" if wanted in (told, _hash_by_names(directory, told)) else "changed"
    if not (directory / "checkpoints" / "last.ckpt").exists():
        return "missing"
    return "partial" if request_hash(recorded_request(directory)) == wanted else "changed"


def _hash_by_names(directory: Path, told: Any) -> Any:
    """Return the hash of a result's request as it is made now, where modules of classes were part of it when it ran."""
    path = directory / "request.json"
    with contextlib.suppress(DataError):  # said where the request itself is wanted
        if path.exists() and request_hash(read_json(path)) == told:
            return request_hash(recorded_request(directory))
    return told


def write_result(directory: Path, result: Mapping[str, Any]) -> None:
    """Check a result and write ``result.json``, which makes the cell count as done.

    Args:
        directory: Folder of the cell, with everything else already in it.
        result: Fields of `experiments.results.result_check.RESULT`, without ``schema``.

    Raises:
        ValueError: If a field is missing, unknown or of the wrong type, if a selection has no predictions, or if the
            request hash is not that of the recorded request.
    """
    complete = {"schema": SCHEMA, **LATER, **result}
    if wrong := problem(complete):
        raise ValueError(f"result of {directory}: {wrong}")
    for selection in complete["selections"]:
        if not (directory / f"predictions-{selection}.csv").exists():
            raise ValueError(f"result of {directory}: predictions-{selection}.csv is not there")
    if request_hash(recorded_request(directory)) != complete["request_hash"]:
        raise ValueError(f"result of {directory}: request_hash is not that of request.json")
    write_json(directory / "result.json", complete)


def read_cell(directory: Path) -> Cell:
    """Read a finished run.

    Raises:
        DataError: If a file is missing, damaged, cut short or of another schema, or one contradicts another.
    """
    result = read_result(directory)
    missing: dict[str, dict[float, dict[str, Predictions]]] = {}
    for folder in sorted(directory.glob("missing/*-*/")):
        modality, _, rate = folder.name.rpartition("-")
        if not re.fullmatch(r"[01]\.\d\d", rate):
            raise DataError(f"{folder}: no folder of <modality>-<rate>; delete it")
        missing.setdefault(modality, {})[float(rate)] = {
            path.stem.removeprefix("predictions-"): predictions_of(path, result)
            for path in sorted(folder.glob("predictions-*.csv"))
        }
    return Cell(
        result=result,
        predictions={
            selection: predictions_of(directory / f"predictions-{selection}.csv", result)
            for selection in (result["selections"] if result["class_names"] else ())
        },
        curves=read_curves(directory / "metrics.csv"),
        missing=missing,
        across=read_crossings(directory),
        values=values_of(directory, result),
        plots=[path for path in pictures_in(directory) if path.stem not in _DRAWN_ANEW],
    )


def pictures_in(directory: Path) -> list[Path]:
    """Return the pictures that a run left; no links, as a report holds them whole."""
    return [path for path in sorted(directory.glob("plots/*.png")) if path.is_file() and not path.is_symlink()]


def values_of(directory: Path, result: Config) -> dict[str, dict[str, Values]]:
    """Read a run's predictions of values by selection and task; of a task for which no test clip has a label none."""
    found = {}
    for selection in result["selections"] if valued(result) else ():
        path = directory / f"predictions-{selection}.csv"
        of = {task: read_values(path, task) for task in valued(result)}
        found[selection] = {task: values for task, values in of.items() if len(values.ids)}
    return found


def predictions_of(path: Path, result: Config) -> Predictions:
    """Read a run's predictions of classes, as many as its result says.

    Raises:
        DataError: As `read_predictions`, or there are more or fewer.
    """
    found = read_predictions(path, result["class_names"])
    if wrong := miscounted(result, found):
        raise DataError(f"{path}: {wrong}; {AGAIN}")
    return found


def read_curves(path: Path) -> dict[str, list[float]]:
    """Read ``metrics.csv``.

    Args:
        path: CSV with one row per epoch.

    Returns:
        Values by column, NaN where an epoch has none; empty without the file.

    Raises:
        DataError: If the file is damaged.
    """
    if not path.exists():
        return {}
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            rows = list(reader)
        if "epoch" not in (reader.fieldnames or ()):
            raise ValueError("no column epoch")
        if any(None in row or None in row.values() for row in rows):
            raise ValueError("a row has another number of cells")
        return {name: [float(row[name] or "nan") for row in rows] for name in (rows[0] if rows else ())}
    except (OSError, TypeError, ValueError, csv.Error) as error:
        raise DataError(f"{path} is damaged ({error}); {AGAIN}") from error


def read_crossings(directory: Path) -> dict[str, Crossing]:
    """Return what a cell says of other corpora, by corpus.

    Raises:
        DataError: A file is damaged.
    """
    found = {}
    for path in sorted(directory.glob(f"{FOLDER}/*/{ABOUT}")):
        about: dict[str, Any] = read_object(path, f"delete {path.parent}")
        classes, left_out = about.get("classes"), about.get("left_out")
        if not isinstance(classes, list) or not isinstance(left_out, dict):
            raise DataError(f"{path} is damaged; delete {path.parent}")
        found[path.parent.name] = Crossing(classes, left_out, read_predictions(path.with_name(PREDICTIONS), classes))
    return found
