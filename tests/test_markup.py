"""What others wrote means nothing in a report: no element, link, command, formula, or end of a cell."""

import csv
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import fabricated
import pytest
import yaml
from fabricated import alter, fill, make_project

from callbacks import plots
from experiments.report import command, markup, renderings
from experiments.report.command import summary_of, write_report
from experiments.report.plots import _fold_dots
from experiments.report.readme import stale_blocks, update_readme
from experiments.report.renderings import readme_block
from experiments.report.tables import caveats, report_tables
from experiments.report.tables.text_table import Report, TextTable

HOSTILE = {
    "script": "<script>alert(1)</script>",
    "image": "<img src=x onerror=alert(1)>",
    "comment": "<!-- /table:toy --> <!--",
    "cell": "a | b \\| c \\",
    "line": "a\nb\r\n\n# c\n\n| d |\u2028e\x1b[31m\x00",
    "link": "[a](javascript:alert(1)) ![b](http://example.org/x.png) [c][d] <http://example.org>",
    "code": "`a` ``<b>`` *c* **d**",
    "entity": "&lt;script&gt; &#60; &amp",
    "formula": "$x^$ and $y_{$",
    "command": r"\input{/etc/passwd} \write18{ls} % ~ ^ # & _ { }",
    "length": "[3cm] *",
    "direction": "a\u202eb\u2066c",
    "surrogate": "a\ud800b",
    "quote": '" onmouseover="alert(1)" \'',
}


def rendered(text):
    """The HTML of a Markdown file and the text that it shows."""
    markdown_it = pytest.importorskip("markdown_it")
    page = markdown_it.MarkdownIt("commonmark").enable("table").render(text)
    return page, Page(page)


class Page(HTMLParser):
    """Elements, attributes and text of a page."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.attributes, self.links, self.text, self.cells = set(), set(), [], "", []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.elements.add(tag)
        self.attributes |= {name for name, _ in attrs}
        self.links += [value for name, value in attrs if name in ("href", "src")]
        self.cells += [""] * (tag in ("td", "th"))
        self.inside = tag

    def handle_data(self, data):
        self.text += data
        if self.cells and self.inside in ("td", "th"):
            self.cells[-1] += data


def seen(text):
    """A text as a reader sees it."""
    return " ".join(markup.one_line(text).split())


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_text_is_shown_in_markdown_as_it_was_written(kind):
    text = HOSTILE[kind]
    page, found = rendered(f"- {markup.markdown(text)}\n\n| x | {markup.markdown(text)} |\n| --- | --- |\n| 1 | 2 |\n")
    assert found.elements <= {"ul", "li", "table", "thead", "tbody", "tr", "th", "td"}, page
    assert [" ".join(cell.split()) for cell in found.cells] == ["x", seen(text), "1", "2"]


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_text_is_shown_in_html_as_it_was_written(kind):
    text = markup.escape(HOSTILE[kind])
    found = Page(f'<p title="{text}">{text}</p>')
    assert found.elements == {"p"}
    assert found.attributes == {"title"}
    assert " ".join(found.text.split()) == seen(HOSTILE[kind])
    assert text.encode()


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_text_in_latex_is_no_command(kind):
    text = markup.latex(HOSTILE[kind])
    assert "\n" not in text
    assert text.encode()
    assert set(re.findall(r"\\([A-Za-z]+|.)", text)) <= {"textbackslash", "textbar", "textasciitilde",
                                                         "textasciicircum", *"&%$#_{}"}  # fmt: skip
    assert not text.startswith(("[", "*"))  # after the end of a line


def test_ordinary_text_stays_as_it_is():
    for text in (
        "< 0.001", "61.09 \N{PLUS-MINUS SIGN} 7.58", "Concat + FC (d = 1024, hidden 256)", "x86_64, 95 % of #1",
        "https://arxiv.org/abs/2111.02172", "a & b > c", "na\N{LATIN SMALL LETTER I WITH DIAERESIS}ve",
    ):  # fmt: skip
        assert markup.markdown(text) == markup.one_line(text) == text


@pytest.fixture
def summary(tmp_path, monkeypatch):
    """A finished table in which every text that somebody gives is a hostile one."""
    kinds = sorted(HOSTILE, key=lambda kind: kind != "length")  # one that means something where a line begins
    text = " ".join(HOSTILE[kind] for kind in kinds if kind != "surrogate")  # which no table can hold
    monkeypatch.chdir(make_project(tmp_path))
    table = yaml.safe_load(fabricated.TABLE)
    table |= {"title": f"T {text}", "source": f"S {text}", "unpublished": f"U {text}"}
    for row in table["rows"]:
        row["label"] = f"{text} {row['name']}"
        row.setdefault("published", {"provenance": "reported"})["note"] = f"N {text}"
    table["synthetic"].update(folds=[0])
    table |= {"folds": [0], "seeds": [1]}
    Path("experiments/tables/toy.yaml").write_text(yaml.safe_dump(table))
    name = markup.one_line(text)
    monkeypatch.setattr(fabricated, "CLASSES", [f"{place} {name}" for place in range(4)])
    planner = fill()
    for path in Path("runs").rglob("predictions-*.csv"):
        header, *rows = csv.reader(path.open(newline=""))
        with path.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow([*header, f"attr_A {name}", f"gate_x {name}", "gate_y"])
            writer.writerows([*row, f"V {name}", 0.2 + index % 7 / 10, 0.8 - index % 7 / 10]
                             for index, row in enumerate(rows))  # fmt: skip
    alter("video", device=f"D {text}")
    return text, summary_of(planner)


def test_a_whole_report_shows_what_was_written(summary, tmp_path, monkeypatch):
    text, summary = summary
    assert _fold_dots(summary, summary.rows)  # a formula in a label would not be drawn
    monkeypatch.setattr(command, "figures", lambda _: [(f"F {text}", b"")])  # seconds
    whole = report_tables.report_of(summary)
    lines = write_report([whole, whole], tmp_path / "report")
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f\u2028]", "".join(lines))
    name = Path(tmp_path / "report" / "toy")
    page, found = rendered(name.with_suffix(".md").read_text())
    assert found.elements <= {"h1", "h2", "p", "ul", "li", "table", "thead", "tbody", "tr", "th", "td"}, page
    assert f"{seen(text)} video" in [" ".join(cell.split()) for cell in found.cells]
    for place in (f"T {text}", f"S {text}", f"N {text}"):
        assert seen(place) in " ".join(found.text.split())
    for file in (name.with_suffix(".html"), name.with_name("index.html")):
        found = Page(re.sub(r"<style>.*?</style>", "", file.read_text(), flags=re.DOTALL))
        assert not found.elements & {"script", "b", "strong", "em", "code"}
        assert found.attributes <= {"lang", "charset", "rel", "href", "class", "alt", "src"}
        assert all(link.startswith("data:") or link == "toy.html" for link in found.links)
        assert f"{seen(text)} video" in [" ".join(cell.split()) for cell in found.cells]
    tex = name.with_suffix(".tex").read_text()
    assert not re.search(r"\\(input|write|script)", tex)
    columns = len(whole.main.header)
    main = tex[tex.index(r"\midrule") : tex.index(r"\bottomrule")].splitlines()[1:]
    assert len(main) == len(summary.rows) + len(summary.baselines)
    assert all(len(re.findall(r"(?<!\\)&", line)) == columns - 1 and line.endswith(r" \\") for line in main)
    readme = tmp_path / "README.md"
    readme.write_text("before\n\n<!-- table:toy -->\nold\n<!-- /table:toy -->\n\nafter\n")
    for _ in range(2):  # the second finds the same markers
        update_readme(readme, "toy", readme_block(whole))
        assert readme.read_text().startswith("before\n\n<!-- table:toy -->\n**T")
        assert readme.read_text().endswith("<!-- /table:toy -->\n\nafter\n")
        assert readme.read_text().count("<!--") == 2
    assert stale_blocks(readme, {"toy": readme_block(whole)}) == []


@pytest.mark.parametrize("kind", HOSTILE)
def test_every_format_escapes_by_its_own_rule(summary, kind):
    text = HOSTILE[kind]
    table = TextTable(text, [text, "n"], [[text, "1"]])
    report = Report(replace(summary[1], table=replace(summary[1].table, source=text)), table, [table], [text])
    for rule, shown, times in (
        (markup.markdown, renderings.whole_markdown(report), 8),
        (markup.latex, renderings.whole_latex(report), 6),
        (markup.escape, renderings.html(report, [(text, b"")]), 11),
        (markup.escape, renderings.index_html([report]), 3),
        (markup.markdown, readme_block(report), 5),
        (markup.markdown, renderings.markdown(table), 2),
    ):
        assert shown.count(rule(text)) == times
        assert shown.encode()


def test_templates_leave_escaping_to_the_format_in_their_name():
    templates = list(renderings.TEMPLATES.glob("*.j2"))
    assert {path.with_suffix("").suffix for path in templates} == {".md", ".tex", ".html"}
    for path in templates:
        words = set(re.findall(r"\w+", " ".join(re.findall(r"{[{%].*?[%}]}", path.read_text(), re.DOTALL))))
        assert not words & {"safe", "e", "escape", "forceescape", "autoescape", "join", "tojson"}, path.name


def test_the_tables_of_a_report_are_made_once(summary, tmp_path, monkeypatch):
    made = []
    monkeypatch.setattr(command, "figures", lambda _: [])
    for module, name in ((report_tables, "main_table"), (report_tables, "cost"), (caveats, "notes")):
        own = getattr(module, name)
        monkeypatch.setattr(module, name, lambda of, own=own, name=name: made.append(name) or own(of))
    report = report_tables.report_of(summary[1])
    write_report([report, report], tmp_path)
    assert readme_block(report)
    assert sorted(made) == ["cost", "main_table", "notes"]


def test_a_class_with_dollars_is_drawn(tmp_path):
    import torch

    figure = plots.draw_confusion(torch.tensor([0, 1]), torch.tensor([0, 1]), ["$x^$", r"$\frac{$"])
    plots.save(figure, tmp_path / "x.png", synthetic=True)
    assert (tmp_path / "x.png").stat().st_size > 1000
