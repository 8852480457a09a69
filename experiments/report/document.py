"""A report on one table: what its Markdown, its LaTeX and its page show, made once for all of them."""

from dataclasses import dataclass

from experiments.report.plots import Figure, figures, run_pictures
from experiments.report.report_tables import notes, tables, title
from experiments.report.text_table import TextTable
from experiments.scores.table_scores import Summary


@dataclass(frozen=True)
class Document:
    """A report on one table.

    Attributes:
        name: Name of the table, and of its files without their suffix.
        title: Heading, stamped where the table is synthetic or a row leaked.
        source: Who published what the table repeats.
        synthetic: Whether the cells were run on a stand-in.
        tables: As text, the main one first.
        notes: What a reader has to know beside the tables, one sentence or two each.
        summary: The numbers behind them.
    """

    name: str
    title: str
    source: str
    synthetic: bool
    tables: list[TextTable]
    notes: list[str]
    summary: Summary

    def pictures(self) -> list[Figure]:
        """Return captions and pictures, drawn anew: the report's own, then those that runs left."""
        return [*figures(self.summary), *run_pictures(self.summary)]


def document_of(summary: Summary) -> Document:
    """Return the report on a table with its numbers."""
    table = summary.table
    return Document(
        name=table.name,
        title=title(summary),
        source=table.source,
        synthetic=table.synthetic,
        tables=tables(summary),
        notes=notes(summary),
        summary=summary,
    )
