"""The table of values: agreement and error of every row, of labels that are numbers."""

import math
from collections.abc import Sequence

from experiments.report.tables.text_table import NOT_RUN, TextTable, first
from experiments.results.quantities import NONE
from experiments.scores.run_score import Measured
from experiments.scores.table_scores import RowSummary, Summary
from experiments.scores.value_rows import tests


def value_table(summary: Summary, heading: str) -> TextTable:
    """Return CCC and MAE of every row and value, and the constant answer's; no rows where no row has values.

    Args:
        summary: The table's numbers.
        heading: Its title.
    """
    tasks = list(dict.fromkeys(task for row in summary.rows for task in row.values.get(summary.headline, {})))
    header = [first(summary)]
    for task in tasks:
        of = f" ({task})" if len(tasks) > 1 else ""
        header += [f"CCC{of}", f"95 % interval{of}", f"MAE{of}", f"Pearson{of}", f"p vs row above{of}"]
    header += ["Clips", "Parameters"]
    blocks = [[row for row in summary.rows if row.transductive == apart] for apart in (False, True)]  # no test across
    p = {task: [of for rows in blocks for of in tests(rows, summary.headline, task)] for task in tasks}
    rows = [_row(summary, row, place, tasks, p) for place, row in enumerate(summary.rows)] if tasks else []
    return TextTable(heading, header, rows)


def _row(summary: Summary, row: RowSummary, place: int, tasks: Sequence[str], p: dict[str, list[float]]) -> list[str]:
    found, cells = row.values.get(summary.headline, {}), [row.row.label]
    for task in tasks:
        if task not in found:
            cells += [NOT_RUN, NONE, NONE, NONE, NONE]
            continue
        of = {metric.metric: metric for metric in found[task].metrics}
        low, high = of["CCC"].interval
        interval = NONE if math.isnan(low) else f"{low:.3f} to {high:.3f}"
        tested = p[task][place]
        shown = NONE if math.isnan(tested) else "< 0.001" if tested < 0.001 else f"{tested:.3f}"
        cells += [f"{of['CCC'].value:.3f}", interval, _error(of["MAE"]), f"{of['Pearson'].value:.3f}", shown]
    clips = ", ".join(sorted({str(score.clips) for score in found.values()}))
    parameters = ", ".join(sorted({f"{cell.result['parameters']['total']:,}" for cell in row.cells.values()}))
    return [*cells, clips or NONE, parameters or NONE]


def _error(of: Measured) -> str:
    known = "" if math.isnan(of.baseline) else f" (mean: {of.baseline:.4g})"
    return f"{of.value:.4g}{known}"
