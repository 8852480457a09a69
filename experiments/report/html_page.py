"""A report as one self-contained HTML file: pictures inline, nothing loaded from anywhere."""

import base64
from collections.abc import Sequence
from urllib.parse import quote

from experiments.report.markup import escape
from experiments.report.plots import Figure, figures, run_pictures
from experiments.report.text_table import NOT_RUN, STAMP, Report, TextTable
from experiments.results.quantities import NONE

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #1c1c1c; background: #fff; margin: 2rem auto; max-width: 1480px;
       padding: 0 1rem; }
h1 { font-size: 1.6rem; margin-bottom: .2rem; } h2 { font-size: 1.15rem; margin-top: 2.2rem; }
.source { color: #555; margin-top: 0; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: .85rem; font-variant-numeric: tabular-nums; }
th, td { padding: .35rem .7rem; border-bottom: 1px solid #ddd; text-align: right; white-space: nowrap; }
th { white-space: normal; vertical-align: bottom; border-bottom: 2px solid #888; }
th:first-child, td:first-child { text-align: left; }
tr:hover td { background: #f5f7fa; }
.optimistic { color: #a64600; } .absent { color: #999; }
.stamp { background: #b00020; color: #fff; font-weight: 700; text-align: center; padding: .5rem; letter-spacing: .2em; }
.synthetic table { background: repeating-linear-gradient(-45deg, #fff, #fff 14px, #fdecee 14px, #fdecee 28px); }
figure { margin: 1.5rem 0; } figcaption { color: #444; font-size: .9rem; margin-bottom: .3rem; }
img { max-width: 100%; height: auto; border: 1px solid #eee; }
.notes { font-size: .85rem; color: #444; }
"""


def html(report: Report) -> str:
    """Return a table with its notes, details and pictures as one page."""
    summary, title = report.summary, report.main.title
    parts = [
        f"<h1>{escape(title)}</h1>",
        f'<p class="source">{escape(summary.table.source)}</p>',
        _table(report.main),
        '<ul class="notes">',
        *(f"<li>{escape(note)}</li>" for note in report.notes),
        "</ul>",
        *(f"<h2>{escape(table.title)}</h2>{_table(table)}" for table in report.details),
        *map(_figure, figures(summary)),
        *map(_figure, run_pictures(summary)),
    ]
    return _page(title, parts, summary.table.synthetic)


def index_html(reports: Sequence[Report]) -> str:
    """Return a page that holds the main table of every report and links to the reports beside it."""
    parts = ["<h1>Tables</h1>"]
    for report in reports:
        name, heading = quote(report.summary.table.name), escape(report.main.title)
        parts += [f'<h2><a href="{name}.html">{heading}</a></h2>', _table(report.main)]
    return _page("Tables", parts, any(report.summary.table.synthetic for report in reports))


def _page(title: str, parts: Sequence[str], synthetic: bool) -> str:
    stamp = f'<div class="stamp">{STAMP}</div>' if synthetic else ""
    body = "\n".join([stamp, *parts, stamp])
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>\n'
        f'<link rel="icon" href="data:,"><style>{_STYLE}</style></head>\n'
        f"<body{' class=synthetic' if synthetic else ''}>\n{body}\n</body></html>\n"
    )


def _table(table: TextTable) -> str:
    head = "".join(f"<th{_mark(name)}>{escape(name)}</th>" for name in table.header)
    rows = "\n".join(
        "<tr>"
        + "".join(f"<td{_mark(name, cell)}>{escape(cell)}</td>" for name, cell in zip(table.header, row, strict=True))
        + "</tr>"
        for row in table.rows
    )
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead>\n<tbody>{rows}</tbody></table></div>'


def _mark(name: str, cell: str = "") -> str:
    if cell in (NOT_RUN, NONE):
        return ' class="absent"'
    return ' class="optimistic"' if "optimistic" in name or "optimistic" in cell else ""


def _figure(figure: Figure) -> str:
    caption, png = figure
    data = base64.b64encode(png).decode("ascii")
    return (
        f'<figure><figcaption>{escape(caption)}</figcaption><img alt="{escape(caption)}" '
        f'src="data:image/png;base64,{data}"></figure>'
    )
