"""The cost of the rows of a table: parameters, operations, time, memory."""

import math
from collections.abc import Iterable

import numpy as np

from experiments.report.tables.text_table import TextTable, first, titled
from experiments.results.quantities import NONE, duration, quantity
from experiments.scores.table_scores import RowSummary, Summary


def cost(summary: Summary) -> TextTable:
    """Return the cost of every row that was run."""
    header = [
        first(summary), "Parameters", "Published", "Trainable", "FLOPs, one clip", "Latency, one clip (median)",
        "Peak memory", "Training time per cell", "Device",
    ]  # fmt: skip
    return TextTable(titled(summary, "Cost"), header, [_cost_row(row) for row in summary.rows if row.cells])


def _cost_row(row: RowSummary) -> list[str]:
    results = [cell.result for cell in row.cells.values()]
    parameters = results[0]["parameters"]
    latency = _middle(result["latency_ms"] for result in results)
    memory = _middle(result["peak_memory_mb"] for result in results)
    return [
        row.row.label,
        f"{parameters['total']:,}",
        quantity(row.row.published.get("parameters")),
        f"{parameters['trainable']:,}",
        quantity(results[0]["flops"], "FLOP"),
        NONE if math.isnan(latency) else f"{latency:.1f} ms",
        NONE if math.isnan(memory) else f"{memory:,.0f} MB",
        duration(float(np.mean([result["seconds"] for result in results]))),
        ", ".join(sorted({result["device"] for result in results})),
    ]


def _middle(values: Iterable[float | None]) -> float:
    known = [value for value in values if value is not None]
    return float(np.median(known)) if known else math.nan
