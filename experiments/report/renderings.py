"""A report as Markdown and LaTeX."""

from experiments.report import markup
from experiments.report.text_table import Report, TextTable


def markdown(table: TextTable) -> str:
    """Return a Markdown table, without its title."""
    rows = [[markup.markdown(cell) for cell in row] for row in (table.header, *table.rows)]
    rule = ["---", *["---:"] * (len(table.header) - 1)]
    return "\n".join("| " + " | ".join(row) + " |" for row in (rows[0], rule, *rows[1:]))


def latex(table: TextTable) -> str:
    """Return a LaTeX table (booktabs)."""
    lines = [" & ".join(map(markup.latex, row)) + r" \\" for row in (table.header, *table.rows)]
    body = "\n".join([r"\toprule", lines[0], r"\midrule", *lines[1:], r"\bottomrule"])
    columns = "l" + "r" * (len(table.header) - 1)
    return (
        f"\\begin{{table}}\n\\caption{{{markup.latex(table.title)}}}\n\\begin{{tabular}}{{{columns}}}\n{body}\n"
        "\\end{tabular}\n\\end{table}\n"
    )


def whole_markdown(report: Report) -> str:
    """Return the whole report as Markdown, pictures left out."""
    head = [f"# {markup.markdown(report.main.title)}", markup.markdown(report.summary.table.source)]
    parts = [*head, markdown(report.main), note_list(report)]
    for table in report.details:
        parts += [f"## {markup.markdown(table.title)}", markdown(table)]
    return "\n\n".join(parts) + "\n"


def whole_latex(report: Report) -> str:
    """Return the tables of the report as LaTeX."""
    return "\n".join(map(latex, report.tables))


def note_list(report: Report) -> str:
    """Return the notes as a Markdown list."""
    return "\n".join(f"- {markup.markdown(note)}" for note in report.notes)
