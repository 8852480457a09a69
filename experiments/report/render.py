"""Reports as Markdown, LaTeX and HTML, by the templates beside this file.

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
from experiments.report.document import Document
from experiments.report.text_table import ABSENT, STAMP, TextTable

TEMPLATES = Path(__file__).with_name("templates")
_ESCAPES = {".md": markup.markdown, ".tex": markup.latex, ".html": markup.escape}


def markdown(document: Document) -> str:
    """Return the whole report as Markdown, without pictures."""
    return _render("report.md", **vars(document))


def latex(document: Document) -> str:
    """Return the tables of a report as LaTeX (booktabs)."""
    return _render("report.tex", **vars(document))


def html(document: Document) -> str:
    """Return the whole report as one page."""
    return _render("report.html", **vars(document), pictures=document.pictures())


def index_html(documents: Sequence[Document]) -> str:
    """Return a page that holds the main table of every report and links to the reports beside it."""
    synthetic = any(document.synthetic for document in documents)
    return _render("index.html", title="Tables", reports=documents, synthetic=synthetic)


def markdown_table(table: TextTable) -> str:
    """Return a table as Markdown, without its title."""
    return _render("table.md", table=table).rstrip("\n")


def readme_block(document: Document) -> str:
    """Return what stands between a table's markers in a Markdown file."""
    return _render("readme.md", **vars(document)).rstrip("\n")


def _render(template: str, **values: object) -> str:
    return _environment().get_template(f"{template}.j2").render(values)


@functools.cache
def _environment() -> Environment:
    # Jinja's own escaping is for HTML alone: it is on, and finds everything escaped already.
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        finalize=_escaped,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.globals.update(ABSENT=ABSENT, STAMP=STAMP)
    environment.filters["base64"] = lambda data: Markup(base64.b64encode(data).decode("ascii"))
    return environment


@pass_context
def _escaped(context: Context, value: object) -> object:
    """Return a value of a template in the format of its name, ``<what>.<format>.j2``; what a macro made is ready."""
    if isinstance(value, Markup):
        return value
    return Markup(_ESCAPES[Path(str(context.name)).with_suffix("").suffix](str(value)))
