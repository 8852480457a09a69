"""docs/ask.ipynb: what is committed is small, stamped and of no machine, and comes out again."""

import json
import os
import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).resolve().parents[1]
PATH = ROOT / "docs" / "ask.ipynb"
SMALLER = {"--clips 48": "--clips 24", "size 96": "size 32", "frames 30": "frames 4", "epochs 4": "epochs 1"}


def cells():
    return [cell for cell in nbformat.read(PATH, 4).cells if cell.cell_type == "code"]


def printed(cell):
    return "".join(output.text for output in cell.outputs if output.get("name") == "stdout")


def pictures(cell):
    return [output for output in cell.outputs if "image/png" in output.get("data", {})]


def test_what_is_committed_is_whole_stamped_and_of_no_machine():
    text = PATH.read_text(encoding="utf-8")
    assert len(text) < 300_000
    assert [cell.execution_count for cell in cells()] == list(range(1, len(cells()) + 1))
    assert sum(len(pictures(cell)) for cell in cells()) == 1
    told = "".join(json.dumps(output.get("text", "")) for cell in cells() for output in cell.outputs)
    assert not re.search(r"(^|[\s\"'(])/[a-z]+/|site-packages|Warning|Traceback", told)
    (asked,) = [cell for cell in cells() if pictures(cell)]
    assert "(SYNTHETIC)" in printed(asked)


def test_its_cells_run_over_less(tmp_path, monkeypatch, unrendered):
    monkeypatch.chdir(tmp_path)
    names = {}
    for cell in cells():
        source = cell.source.replace("tempfile.mkdtemp()", repr(str(tmp_path)))
        for known, less in SMALLER.items():
            source = source.replace(known, less)
        exec(compile(source, PATH.name, "exec"), names)
    assert names["answer"].synthetic
    assert list(names["heard"].missing) == ["video"]


@pytest.mark.slow
def test_it_comes_out_again(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]))
    before, anew = cells(), nbformat.read(PATH, 4)
    NotebookClient(anew, timeout=1800).execute()
    after = [cell for cell in anew.cells if cell.cell_type == "code"]
    same = [place for place, cell in enumerate(before) if "same" in cell.metadata.get("tags", [])]
    assert len(same) == 3
    for place in same:
        assert printed(after[place]) == printed(before[place])
    for known, new in zip(before, after, strict=True):
        assert len(pictures(known)) == len(pictures(new))
        assert not [output for output in new.outputs if output.output_type == "error"]
