"""Results worth committing: one compact file per row, numbers and no data, from which the report is rebuilt.

``docs/results/<table>/<row>.json`` holds the clips of each fold once, and per cell its ``result.json``, its curves,
the predicted classes and the probabilities in units of 1/10,000, or of many classes the three most probable. The
predicted classes stand beside the probabilities because rounding may make a tie.
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from atomic_files import write_atomic
from datamodules.errors import DataError
from experiments.reproduce.tables.table import CellKey, Cells, Table
from experiments.results.cell import Cell, Crossing, read_json
from experiments.results.predictions import Predictions, miscounted, most_probable, unfit
from experiments.results.result_check import LATER, problem
from experiments.settings.config import Config

SCHEMA = 1
_UNIT = 10_000
_MANY = 10  # of more classes the three most probable are kept instead of all probabilities
_CURVES = ("epoch", "train_loss", "val_loss", "val_accuracy", "val_uar", "val_f1")


def write_committed(table: Table, cells: Cells, folder: Path) -> list[Path]:
    """Write one file per row that has cells.

    Args:
        table: The table.
        cells: Its finished cells.
        folder: Folder of all committed results; files go to ``<folder>/<table>/<row>.json``.

    Returns:
        The files written.

    Raises:
        DataError: If the table or a cell is synthetic: stand-in results are not committed.
    """
    if table.synthetic or any(cell.result["synthetic"] for cell in cells.values()):
        raise DataError("--commit: results on the stand-in corpus are not committed; leave --data synthetic out")
    if any(not cell.predictions for cell in cells.values()):
        raise DataError(f"--commit: {table.name}: results of values alone are not committed; leave it out")
    written = []
    for row in table.rows:
        if own := [cell for key, cell in cells.items() if key[0] == row.name]:
            path = folder / table.name / f"{row.name}.json"
            write_atomic(path, _packed_row(own))
            written.append(path)
    return written


def read_committed(table: Table, folder: Path) -> dict[CellKey, Cell]:
    """Read the committed cells of a table.

    Args:
        table: The table.
        folder: Folder of all committed results.

    Returns:
        Cells by row, protocol, fold and seed; none for rows without a file.

    Raises:
        DataError: If a file is damaged or of another schema.
    """
    cells = {}
    for row in table.rows:
        path = folder / table.name / f"{row.name}.json"
        content: Config = read_json(path) if path.exists() else {"schema": SCHEMA, "clips": [], "cells": []}
        if content.get("schema") != SCHEMA:
            raise DataError(f"{path}: schema {content.get('schema')}, this version reads {SCHEMA}")
        try:
            for cell in [_unpacked(packed, content["clips"]) for packed in content["cells"]]:
                key = row.name, cell.result["protocol"], cell.result["fold"], cell.result["seed"]
                if key in cells:
                    raise ValueError(f"two cells of {'/'.join(map(str, key))}")
                cells[key] = cell
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            reason = f"no {error}" if isinstance(error, LookupError) else error
            raise DataError(f"{path} is damaged ({reason}); git checkout {path}, or commit the cells again") from error
    return cells


def _packed_row(cells: Iterable[Cell]) -> str:
    clips: list[Config] = []
    packed = [_packed(cell, clips) for cell in cells]
    # One line per fold and per cell: a later run changes its own lines only.
    lines = {"clips": clips, "cells": packed}
    parts = [f' "schema": {SCHEMA}']
    for name, entries in lines.items():
        inner = ",\n".join("  " + json.dumps(entry, separators=(",", ":"), allow_nan=False) for entry in entries)
        parts.append(f' "{name}": [\n{inner}\n ]')
    return "{\n" + ",\n".join(parts) + "\n}\n"


def _packed(cell: Cell, clips: list[Config]) -> Config:
    return {
        "result": _rounded(cell.result),
        "curves": {
            name: [None if np.isnan(value) else round(value, 4) for value in cell.curves[name]]
            for name in _CURVES
            if name in cell.curves
        },
        "predictions": {name: _packed_predictions(of, clips, True) for name, of in cell.predictions.items()},
        "missing": {
            modality: {
                str(rate): {name: _packed_predictions(of, clips, False) for name, of in selections.items()}
                for rate, selections in rates.items()
            }
            for modality, rates in cell.missing.items()
        },
        **({"across": {name: _packed_crossing(of, clips) for name, of in cell.across.items()}} if cell.across else {}),
    }


def _packed_crossing(crossing: Crossing, clips: list[Config]) -> Config:
    predictions = _packed_predictions(crossing.predictions, clips, True)
    return {"classes": crossing.classes, "left_out": crossing.left_out, "predictions": predictions}


def _packed_predictions(predictions: Predictions, clips: list[Config], with_probabilities: bool) -> Config:
    order = np.argsort(np.array(predictions.ids), kind="stable")
    fold: Config = {
        "ids": [predictions.ids[index] for index in order],
        "groups": [predictions.groups[index] for index in order],
        "targets": predictions.targets[order].tolist(),
    }
    if predictions.attributes:
        fold["attributes"] = {name: [of[index] for index in order] for name, of in predictions.attributes.items()}
    if predictions.unlabelled:
        fold["unlabelled"] = predictions.unlabelled
    if fold not in clips:
        clips.append(fold)
    packed: Config = {"clips": clips.index(fold), "predicted": predictions.predicted[order].tolist()}
    if with_probabilities and predictions.gates:
        gates = predictions.gates.items()
        packed["gates"] = {name: np.rint(of[order] * _UNIT).astype(int).tolist() for name, of in gates}
    if with_probabilities and predictions.probabilities is not None and predictions.probabilities.shape[1] > _MANY:
        packed["best"] = most_probable(predictions.probabilities[order]).tolist()
    elif with_probabilities and predictions.probabilities is not None:
        packed["probabilities"] = np.rint(predictions.probabilities[order] * _UNIT).astype(int).tolist()
    return packed


def _unpacked(packed: Mapping[str, Any], clips: list[Config]) -> Cell:
    """Return one cell; a KeyError, TypeError, ValueError or such where it is not as `_packed` makes it."""
    result = {**LATER, **packed["result"]}
    if wrong := problem(result):
        raise ValueError(wrong)
    classes = len(result["class_names"])
    predictions = {name: _unpacked_predictions(of, clips, classes) for name, of in packed["predictions"].items()}
    if predictions.keys() != result["selections"].keys():
        raise ValueError(f"predictions of {', '.join(predictions)} for selections {', '.join(result['selections'])}")
    missing = {
        modality: {
            float(rate): {name: _unpacked_predictions(of, clips, classes) for name, of in selections.items()}
            for rate, selections in rates.items()
        }
        for modality, rates in packed["missing"].items()
    }
    for of in (predictions, *(of for rates in missing.values() for of in rates.values())):
        if wrong := "; ".join(filter(None, (miscounted(result, found) for found in of.values()))):
            raise ValueError(wrong)
    return Cell(
        result=result,
        predictions=predictions,
        curves={
            name: [np.nan if value is None else float(value) for value in values]
            for name, values in packed["curves"].items()
        },
        missing=missing,
        across={
            name: Crossing(
                of["classes"], of["left_out"], _unpacked_predictions(of["predictions"], clips, len(of["classes"]))
            )
            for name, of in packed.get("across", {}).items()
        },
    )


def _unpacked_predictions(packed: Mapping[str, Any], clips: list[Config], classes: int) -> Predictions:
    fold = clips[place := packed["clips"]]
    for name in ("ids", "groups"):
        if place < 0 or not isinstance(fold[name], list) or not all(isinstance(value, str) for value in fold[name]):
            raise ValueError(f"{name} of clips {place} are no texts")
    probabilities, best = packed.get("probabilities"), packed.get("best")
    found = Predictions(
        ids=fold["ids"],
        groups=fold["groups"],
        targets=np.array(fold["targets"], dtype=np.int64),
        predicted=np.array(packed["predicted"], dtype=np.int64),
        probabilities=None if probabilities is None else np.array(probabilities) / _UNIT,
        best=None if best is None else np.array(best, dtype=np.int64),
        gates={name: np.array(of) / _UNIT for name, of in packed.get("gates", {}).items()},
        attributes=fold.get("attributes", {}),
        unlabelled=fold.get("unlabelled", 0),
    )
    if wrong := unfit(found, classes):
        raise ValueError(wrong)
    return found


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, 4)
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    return [_rounded(item) for item in value] if isinstance(value, list) else value
