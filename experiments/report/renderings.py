"""A report as Markdown, LaTeX and HTML, by the templates beside this file.

Whatever a template shows is escaped by the rule of `markup` for the format that the template's name ends with: no
template says so, and none can forget it. Pages are self-contained: pictures inline, nothing loaded from anywhere.
"""

import base64
import functools
from collections.abc import Sequence
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, pass_context
from jinja2.runtime import Context
from markupsafe import Markup

from experiments.report import markup
from experiments.report.tables.text_table import NOT_RUN, STAMP, Picture, Report, RunReport, TextTable
from experiments.results.quantities import NONE

TEMPLATES = Path(__file__).with_name("templates")
_ESCAPES = {".md": markup.markdown, ".tex": markup.latex, ".html": markup.escape}


def markdown(table: TextTable) -> str:
    """Return a Markdown table, without its title."""
    return _rendered("table.md", table=table).rstrip("\n")


def whole_markdown(report: Report) -> str:
    """Return the whole report as Markdown, pictures left out."""
    return _rendered("report.md", report=report)


def readme_block(report: Report) -> str:
    """Return the text between a table's markers in a Markdown file."""
    return _rendered("readme.md", report=report).rstrip("\n")


def whole_latex(report: Report) -> str:
    """Return the tables of the report as LaTeX (booktabs)."""
    return _rendered("report.tex", report=report)


def html(report: Report, pictures: Sequence[Picture]) -> str:
    """Return a table with its notes, details and pictures as one page."""
    synthetic = report.summary.table.synthetic
    return _rendered("report.html", title=report.main.title, synthetic=synthetic, report=report, pictures=pictures)


def index_html(reports: Sequence[Report]) -> str:
    """Return a page that holds the main table of every report and links to the reports beside it."""
    synthetic = any(report.summary.table.synthetic for report in reports)
    return _rendered("index.html", title="Tables", synthetic=synthetic, reports=reports)


def run_markdown(report: RunReport) -> str:
    """Return the report on single runs as Markdown, pictures left out."""
    return _rendered("run.md", report=report)


def run_html(report: RunReport, pictures: Sequence[Picture]) -> str:
    """Return the report on single runs as one page."""
    return _rendered("run.html", title=report.title, synthetic=report.synthetic, report=report, pictures=pictures)


def _rendered(template: str, **values: object) -> str:
    return _environment().get_template(f"{template}.j2").render(values)


@functools.cache
def _environment() -> Environment:
    # Jinja's own escaping, which is for HTML alone, is on and finds everything escaped already.
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        finalize=_escaped,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.globals.update(ABSENT=(NONE, NOT_RUN), STAMP=STAMP)
    environment.filters["base64"] = lambda data: Markup(base64.b64encode(data).decode("ascii"))
    return environment


@pass_context
def _escaped(context: Context, value: object) -> object:
    """Render a template ``<name>.<format>.j2``, escaped for its format; the output of a macro is escaped already."""
    if isinstance(value, Markup):
        return value
    return Markup(_ESCAPES[Path(str(context.name)).with_suffix("").suffix](str(value)))
