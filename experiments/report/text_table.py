"""One table of a report as text, and what its cells and headings look like."""

import math
from dataclasses import dataclass

from experiments.scores.table_scores import Summary

STAMP = "SYNTHETIC"
METRICS = {"accuracy": "accuracy", "uar": "unweighted average recall (UAR)"}
NONE = "-"
NOT_RUN = "not run"
ABSENT = (NONE, NOT_RUN)


@dataclass(frozen=True)
class TextTable:
    """One table as text.

    Attributes:
        title: Heading.
        header: Column titles.
        rows: Cells as text.
    """

    title: str
    header: list[str]
    rows: list[list[str]]


def percent(value: float) -> str:
    """A share as a percentage with two decimals."""
    return NONE if math.isnan(value) else f"{100 * value:.2f}"


def metric_name(summary: Summary) -> str:
    """Return the short name of the table's metric, as a title begins."""
    return "UAR" if summary.table.metric == "uar" else "Accuracy"


def first(summary: Summary) -> str:
    """Title of the first column."""
    return STAMP if summary.table.synthetic else "Row"


def titled(summary: Summary, text: str) -> str:
    """A heading, stamped where the table is synthetic."""
    return f"{STAMP}: {text}" if summary.table.synthetic else text
