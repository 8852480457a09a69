"""A report as text: its tables, and the form of their cells and headings."""

from dataclasses import dataclass, field, replace

from experiments.results.stamps import LEAKED, TRANSDUCTIVE
from experiments.scores.table_scores import Summary

STAMP = "SYNTHETIC"
TITLES = {
    "best": "Paper protocol, best epoch (optimistic)",
    "last": "Paper protocol, last epoch",
    "honest": "Honest",
}
Picture = tuple[str, bytes]  # caption, PNG
NOT_RUN = "not run"
UNRANKED = "Of other folds, seeds or clips (windows, frames) than the rows above: neither ranked nor tested with them"
METRICS = {"accuracy": "accuracy", "uar": "unweighted average recall (UAR)"}


@dataclass(frozen=True)
class TextTable:
    """One table as text.

    Attributes:
        title: Heading.
        header: Column titles.
        rows: Cells as text; a row of one cell is the heading of those below it.
    """

    title: str
    header: list[str]
    rows: list[list[str]]


@dataclass(frozen=True)
class Report:
    """Words and figures of a report, made once for every file that shows them.

    Attributes:
        summary: The table with its numbers.
        main: The main table.
        details: The tables below it that have content.
        notes: What a reader of the tables has to know, one sentence or two each.
        against: Tables against what others published.
    """

    summary: Summary
    main: TextTable
    details: list[TextTable]
    notes: list[str]
    against: list[TextTable] = field(default_factory=list)

    @property
    def others(self) -> list[TextTable]:
        """All tables but the main one."""
        return [*self.against, *self.details]

    @property
    def tables(self) -> list[TextTable]:
        """All tables, the main one first."""
        return [self.main, *self.others]


@dataclass(frozen=True)
class RunReport:
    """Words and figures of a report on runs, made once for every file that shows them.

    Attributes:
        title: Heading, stamped where the data are a stand-in or the model was given what its labels were made of.
        synthetic: Whether the data are a stand-in.
        tables: All of them.
        notes: What a reader of the tables has to know.
        predictions: Files with what was predicted for every clip.
    """

    title: str
    synthetic: bool
    tables: list[TextTable]
    notes: list[str]
    predictions: list[str]


def metric_name(summary: Summary) -> str:
    """Return the short name of the table's metric, as a title begins."""
    return "UAR" if summary.table.metric == "uar" else "Accuracy"


def first(summary: Summary) -> str:
    """Return the title of the first column."""
    return STAMP if summary.table.synthetic else "Row"


def titled(summary: Summary, text: str) -> str:
    """Return a heading, stamped where the table is synthetic."""
    return f"{STAMP}: {text}" if summary.table.synthetic else text


def apart(summary: Summary) -> str:
    """Return the heading of the transductive rows."""
    return f"{TRANSDUCTIVE}, no comparison with the rows above: {summary.group_name} standardised by their own clips"


def set_apart(summary: Summary, table: TextTable, ranked: bool = False) -> TextTable:
    """Return a table with a heading above its transductive rows, which come last.

    Args:
        summary: The table's numbers.
        table: The table.
        ranked: Whether rows that are not ranked with the others, before these, get one too.
    """
    headings = {UNRANKED: [row for row in summary.rows if row.apart and not row.transductive]} if ranked else {}
    headings[apart(summary)] = [row for row in summary.rows if row.transductive]
    rows = list(table.rows)
    for heading, below in headings.items():
        labels = {row.row.label for row in below}
        first = next((place for place, cells in enumerate(rows) if cells[0] in labels), None)
        if first is not None:
            rows.insert(first, [heading])
    return replace(table, rows=rows)


def title(summary: Summary) -> str:
    """Return the heading of a table, stamped where it is synthetic and where a row of it leaked or is transductive."""
    own = f"{STAMP}: {summary.table.title} (stand-in corpus)" if summary.table.synthetic else summary.table.title
    leaked = any(row.row.label.startswith(f"{LEAKED}: ") for row in summary.rows)
    own = f"{own} ({LEAKED} rows saw what labels were made of)" if leaked else own
    transductive = any(row.transductive for row in summary.rows)
    return f"{own} ({TRANSDUCTIVE} rows saw the test's clips, not their labels)" if transductive else own
