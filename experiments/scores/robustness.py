"""The metric of a row as modalities go missing.

From the predictions that `experiments.reproduce.missing` wrote.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from experiments.reproduce.tables.table import COLUMNS, Table
from experiments.results.cell import Cell
from experiments.results.predictions import subset_name, subset_of
from experiments.scores.metrics.statistics import metric_of


@dataclass(frozen=True)
class Robustness:
    """The table's metric as one modality goes missing, without retraining.

    Attributes:
        column: The column whose cells were evaluated.
        rates: Shares of clips without the modality, ascending.
        values: Mean at each rate over the cells that were evaluated.
    """

    column: str
    rates: list[float]
    values: list[float]

    @property
    def area(self) -> float:
        """Area under the curve over the width of the rates: the mean as the rate runs through them."""
        width = self.rates[-1] - self.rates[0]
        return float(np.trapezoid(self.values, self.rates) / width) if width else np.nan


def curves(cells: Mapping[tuple[str, int, int], Cell], metric: str) -> dict[str, Robustness]:
    """Return by modality the curves of the most honest column that was evaluated under missing ones.

    Args:
        cells: Finished cells of a row by protocol, fold and seed.
        metric: The table's.
    """
    for column in ("honest", "last", "best"):
        protocol, selection = COLUMNS[column]
        found: dict[str, list[dict[float, float]]] = {}
        for (name, _, _), cell in cells.items():
            if name != protocol or selection not in cell.predictions:
                continue
            for modality, rates in cell.missing.items():
                if subset_of(modality):
                    continue
                curve = {0.0: metric_of(cell.predictions[selection], metric)}
                curve.update((rate, metric_of(of[selection], metric)) for rate, of in rates.items() if selection in of)
                if len(curve) > 1:
                    found.setdefault(modality, []).append(curve)
        if found:
            return {modality: _curve(column, of) for modality, of in sorted(found.items())}
    return {}


def subset_means(table: Table, cells: Mapping[tuple[str, int, int], Cell]) -> dict[tuple[str, ...], float]:
    """Return the mean metric with each subset of the modalities; the full set is the cells' own figure.

    Args:
        table: Names the subsets.
        cells: Finished cells of a row by protocol, fold and seed.

    Returns:
        The mean over cells by subset, in the order of the table.
    """
    for column in ("honest", "last"):
        protocol, selection = COLUMNS[column]
        own = [cell for (name, _, _), cell in cells.items() if name == protocol and selection in cell.predictions]
        found: dict[tuple[str, ...], float] = {}
        for subset in table.subsets:
            lost = [cell.missing.get(subset_name(subset), {}).get(1.0, {}).get(selection) for cell in own]
            if set(subset) == {name for names in table.subsets for name in names}:
                lost = [cell.predictions[selection] for cell in own]
            values = [metric_of(predictions, table.metric) for predictions in lost if predictions]
            if values and len(values) == len(own):
                found[subset] = float(np.mean(values))
        if found:
            return found
    return {}


def _curve(column: str, measured: list[dict[float, float]]) -> Robustness:
    rates = sorted(set.intersection(*map(set, measured)))
    return Robustness(column, rates, [float(np.mean([curve[rate] for curve in measured])) for rate in rates])
