"""Rows of a table whose labels are values: their scores by column, and the test against the row above."""

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np

from experiments.reproduce.tables.table import COLUMNS
from experiments.results.cell import Cell
from experiments.scores.metrics import statistics
from experiments.scores.run_score import Scored, score_values

Cells = Mapping[tuple[str, int, int], Cell]  # of a row, by protocol, fold and seed


class HasCells(Protocol):
    """A row of a summary."""

    @property
    def cells(self) -> Cells:
        """Its finished cells."""


def scores_of(cells: Cells) -> dict[str, dict[str, Scored]]:
    """Return the scores of the values of a row by column and task; a column without any is left out."""
    found: dict[str, dict[str, Scored]] = {}
    for column, (protocol, selection) in COLUMNS.items():
        own = {key[1:]: cell for key, cell in cells.items() if key[0] == protocol and selection in cell.values}
        for task in dict.fromkeys(task for cell in own.values() for task in cell.values[selection]):
            runs = {key: cell.values[selection][task] for key, cell in own.items() if task in cell.values[selection]}
            known = {key: own[key].result["baselines"].get(f"mean_{task}") for key in runs}
            found.setdefault(column, {})[task] = score_values(runs, {} if None in known.values() else known)
    return found


def agreement(values: Mapping[str, Scored]) -> float:
    """Return the mean CCC of a row's values; NaN without any."""
    found = [metric.value for of in values.values() for metric in of.metrics if metric.metric == "CCC"]
    return float(np.mean(found)) if found else np.nan


def basis(cells: Cells, column: str) -> frozenset[tuple[int, int, str]]:
    """Return the folds, seeds and clips behind the values of a column."""
    protocol, selection = COLUMNS[column]
    return frozenset(
        (fold, seed, clip)
        for (name, fold, seed), cell in cells.items()
        if name == protocol
        for run in cell.values.get(selection, {}).values()
        for clip in run.ids
    )


def tests(rows: Sequence[HasCells], column: str, task: str) -> list[float]:
    """Return Holm-corrected p values of the errors against the row above, where it has the same clips and runs."""
    ps: list[float] = []
    above: dict[str, tuple[str, float]] = {}
    ran: frozenset[tuple[int, int, str]] = frozenset()
    for row in rows:
        own, own_runs = _errors(row.cells, column, task), basis(row.cells, column)
        differences: dict[str, float] = {}
        for clip, (group, error) in own.items() if own.keys() == above.keys() and own_runs == ran else ():
            differences[group] = differences.get(group, 0.0) + above[clip][1] - error
        ps.append(statistics.sign_flip_test(np.array(list(differences.values()))).p if differences else np.nan)
        above, ran = (own, own_runs) if own else (above, ran)
    return list(statistics.holm(ps))


def _errors(cells: Cells, column: str, task: str) -> dict[str, tuple[str, float]]:
    """Return the group and the mean size of the error over seeds of every clip."""
    protocol, selection = COLUMNS[column]
    found: dict[str, tuple[str, list[float]]] = {}
    for (name, _, _), cell in cells.items():
        if name == protocol and (run := cell.values.get(selection, {}).get(task)):
            errors = np.abs(run.predicted - run.targets).tolist()
            for clip, group, error in zip(run.ids, run.groups, errors, strict=True):
                found.setdefault(clip, (group, []))[1].append(error)
    return {clip: (group, float(np.mean(errors))) for clip, (group, errors) in found.items()}
