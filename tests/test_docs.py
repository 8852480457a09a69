"""What README and docs say to type can be typed: commands, their options, files and links are there."""

import importlib
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import create_autospec

import pytest

import cli
from datamodules.store.preparation import prepare

PROJECT = Path(cli.__file__).parent
PAGES = [*sorted(PROJECT.glob("*.md")), *sorted((PROJECT / "docs").rglob("*.md"))]
PAGES.remove(PROJECT / "CHANGELOG.md")  # tells of what there was
OF_DATA = [page for page in PAGES if page.match("docs/data/*.md") or page.match("docs/data.md")]
NAMES = [str(page.relative_to(PROJECT)) for page in PAGES]
COMMAND = re.compile(r"(?:\.venv/bin/)?python cli\.py ((?:prepare|synth) [a-z].*)")
FOLDERS = (*cli.PACKAGES, "docs", "tests", "benchmarks")
FENCE = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)


def code(page: Path) -> Iterator[str]:
    """Lines of the blocks of a page, then what stands between backticks outside of them."""
    text = page.read_text(encoding="utf-8")
    for block in FENCE.findall(text):
        yield from block.splitlines()[1:-1]
    for span in re.findall(r"`([^`]+)`", FENCE.sub("", text)):
        yield " ".join(span.split())


def commands(page: Path) -> list[str]:
    found = (COMMAND.fullmatch(line.strip()) for line in code(page))
    return [shlex.join(shlex.split(match[1], comments=True)) for match in found if match]


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """Whether a command line is understood: everything up to the work itself is done."""
    monkeypatch.chdir(tmp_path)
    Path("DIR").mkdir()  # what an option that takes a folder is given

    def only_check(catalogue, recipe, source, out=None, **kwargs):
        for name, view in recipe.views.items():
            view.check(f"--views.{name}")

    monkeypatch.setattr("datamodules.prepare_command.prepare", only_check)
    for folder in ("prepare", "standins"):
        for path in sorted((PROJECT / "datamodules" / folder).glob("[!_]*.py")):
            module = importlib.import_module(f"datamodules.{folder}.{path.stem}")
            monkeypatch.setattr(module, "run", lambda args, **kwargs: 0)

    def parse(command: str) -> bool:
        try:
            return cli.main(shlex.split(command)) == 0
        except SystemExit as stopped:
            return stopped.code == 0

    return parse


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_commands_of_prepare_and_synth_are_understood(page, parsed, capsys):
    for command in commands(page):
        assert parsed(command), f"{page.name}: {command}: {capsys.readouterr().err}"


@pytest.mark.parametrize("page", OF_DATA, ids=lambda page: page.stem)
def test_options_in_tables_are_those_of_a_command_of_the_page(page, parsed, capsys):
    rows = [line for line in page.read_text(encoding="utf-8").splitlines() if line.startswith("| `--")]
    options = [option for row in rows for option in re.findall(r"`(--[^`]+)`", row.split(" | ")[0])]
    for option in options:
        assert any(parsed(f"{command} {option}") for command in commands(page)), f"{page.name}: {option}"


def test_the_test_sees_what_it_is_about(parsed, capsys):
    found = [command for page in PAGES for command in commands(page)]
    assert {line.split()[0] for line in found} == {"prepare", "synth"}
    assert len(found) > 20
    assert not parsed("prepare ravdess --source RAVDESS --views.video.sizes 64")
    assert not parsed("prepare ravdess --source RAVDESS --views.video.size big")
    assert not parsed("prepare ravdess --source RAVDESS --views.video.size 4")
    assert not parsed("prepare ravdess --source RAVDESS --recipe none")
    assert not parsed("synth ravdess --clipping 3")


def test_the_lines_of_python_run(monkeypatch):
    blocks = re.findall(
        r"^```python\n(.*?)^```", (PROJECT / "docs" / "data.md").read_text("utf-8"), re.DOTALL | re.MULTILINE
    )
    called = create_autospec(prepare)  # refuses arguments that it does not have
    monkeypatch.setattr("datamodules.store.preparation.prepare", called)
    for block in blocks:
        exec(compile(block, "docs/data.md", "exec"), {"__name__": "__main__"})
    assert called.call_args.args[1].views["video"].size == 64


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_files_and_links_are_there(page):
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#]+)\)", text):
        assert "://" in target or (page.parent / target).exists(), f"{page.name}: {target}"
    for span in code(page):
        if re.fullmatch(rf"(?:{'|'.join(FOLDERS)})/[\w./*-]*", span):
            assert any(PROJECT.glob(span.rstrip("/"))), f"{page.name}: {span}"
