"""`report --against`: class probabilities that others published beside ours, paired over speakers."""

import csv
import shutil
from pathlib import Path

import numpy as np
import pytest
from fabricated import CLASSES, fill, make_project
from test_report import options

from datamodules.errors import DataError
from experiments.report import command
from experiments.report.tables.against_tables import against
from experiments.results.posteriors import read_posteriors
from experiments.results.predictions import Predictions, read_predictions
from experiments.scores.against import compare
from experiments.scores.metrics import statistics

TRIALS = [f"-01-{emotion:02d}-01-01-01-{actor:02d}" for emotion in range(1, 9) for actor in (1, 2)]
NAMES = ["neutral", "calm", "happy", "sad", "angry", "fearful", "disgust", "surprised"]


def written(path, header, rows):
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return path


def certain(label, count=8):
    return [0.93 if at == label else 0.07 / (count - 1) for at in range(count)]


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(make_project(tmp_path))
    return Path()


@pytest.mark.parametrize(
    ("id_column", "header", "name"),
    [
        ("id", NAMES, "03{}"),
        ("Name", [f"p_{name}" for name in NAMES], "01{}.mp4"),
        ("file", [str(number) for number in range(1, 9)], "Actor_01/02{}.npy"),
        ("video_name", [f"embs{number}" for number in range(8)], "C:\\clips\\01{}.csv"),
        ("path", [name.title() for name in NAMES], "01{}"),
    ],
)
def test_what_a_clip_and_a_class_may_be_called(tmp_path, id_column, header, name):
    order = np.random.default_rng(0).permutation(8)
    rows = [[name.format(trial), *np.array(certain(int(trial[4:6]) - 1))[order]] for trial in TRIALS]
    path = written(tmp_path / "theirs.csv", [id_column, *np.array(header)[order]], rows)
    found = read_posteriors(path, NAMES, [f"01{trial}" for trial in TRIALS])
    assert found.predicted == {f"01{trial}": int(trial[4:6]) - 1 for trial in TRIALS}
    assert not found.unknown


def test_ids_nobody_has_are_named(tmp_path):
    path = written(tmp_path / "theirs.csv", ["id", "a", "b"], [["x", 1, 0], ["y", 0, 1], ["dir/z.wav", 0, 1]])
    found = read_posteriors(path, ["a", "b"], ["y", "w"])
    assert found.predicted == {"y": 1}
    assert found.unknown == ["x", "dir/z.wav"]


@pytest.mark.parametrize(
    ("header", "rows", "message"),
    [
        (["id", "a", "b"], [["x", 0.5, 0.6]], "line 2: 'x' has values from 0.5 that add up to 1.1; expected prob"),
        (["id", "a", "b"], [["x", 1.5, -0.5]], "line 2: 'x' has values from -0.5 that add up to 1;"),
        (["id", "a", "b"], [["x", "nan", 1]], "line 2: 'x' has a value that is no finite number; expected prob"),
        (["id", "a", "b"], [["x", "inf", 0]], "line 2: 'x' has a value that is no finite number"),
        (["id", "a", "b"], [["x", "high", 1]], "line 2: could not convert string to float: 'high'"),
        (["id", "a", "b"], [["x", 1, 0], ["d/x.mp4", 0, 1]], "line 3: 'd/x.mp4' is the clip of line 2 again"),
        (["id", "a", "b", "joy"], [["x", 1, 0, 0]], "column 'joy' is none of our classes (a, b)"),
        (["id", "a"], [["x", 1]], "no column of the class b"),
        (["id", "1"], [["x", 1]], "column '1' is none of our classes"),
        (["a", "b"], [[1, 0]], "no row or no column of ids; it is called id, name, file"),
        (["id", "a", "b"], [], "no row or no column of ids"),
        (["id", "a", "b"], [["q", 1, 0]], "no clip of it is ours: it has q, ours are x, y"),
    ],
)
def test_what_is_wrong_is_one_line(tmp_path, header, rows, message):
    path = written(tmp_path / "theirs.csv", header, rows)
    with pytest.raises(DataError) as error:
        read_posteriors(path, ["a", "b"], ["x", "y"], "--against")
    assert message in str(error.value)
    assert f"--against {path}" in str(error.value)
    assert "\n" not in str(error.value)


def test_a_missing_file_is_one_line(tmp_path):
    with pytest.raises(DataError, match=r"--against .*theirs.csv: no such file; name one that is there"):
        read_posteriors(tmp_path / "theirs.csv", ["a"], ["x"], "--against")


def of(said, clips="abcdef", groups="112233", truth=(0, 1, 0, 1, 0, 1)):
    return Predictions(list(clips), list(groups), np.array(truth), np.array(said))


def test_the_figures_are_those_of_the_clips_that_both_have():
    """Of a clip with two seeds each weighs half, and the test is the one of the table, over speakers."""
    runs = {(0, 1): of([0, 1, 0, 0, 1, 0]), (0, 2): of([0, 1, 1, 1, 1, 0])}
    theirs = {"a": 1, "b": 1, "c": 0, "d": 1, "f": 0, "elsewhere": 1}
    found = compare(runs, theirs, 2)
    assert (found.clips, found.groups) == (5, 3)
    assert found.ours.sum() == found.theirs.sum() == 5
    assert statistics.accuracy(found.ours) == pytest.approx(3 / 5)
    assert statistics.accuracy(found.theirs) == pytest.approx(3 / 5)
    assert statistics.uar(found.theirs) == pytest.approx((1 / 2 + 2 / 3) / 2)
    assert found.p == statistics.sign_flip_test(np.array([1.0, -1.0, 0.0])).p
    assert compare(runs, {"elsewhere": 0}, 2) is None


def test_a_table_is_compared_in_every_format(project, capsys):
    fill()
    cells = [*Path("runs/toy").glob("pair/honest-fold*-seed1/predictions-selected.csv")]
    rows = [
        [clip, *shares]
        for cell in sorted(cells)
        for ours in [read_predictions(cell, CLASSES)]
        for clip, shares in zip(ours.ids, ours.probabilities.tolist(), strict=True)
    ]
    path = written(Path("theirs.csv"), ["file", *CLASSES], [*rows[5:], ["nobody", *certain(0, len(CLASSES))]])
    shutil.copy(path, "again.csv")
    assert command.run(options("toy", "--against", "theirs.csv", "again.csv"), project) == 0
    told = capsys.readouterr().out
    assert "Against theirs.csv, on the clips that both have" in told
    text, page = (Path(f"runs/report/toy.{kind}").read_text() for kind in ("md", "html"))
    assert text.count("## Against ") == page.count("<h2>Against ") == 2
    assert "1 of its clips are not ours: nobody" in text
    assert "Against again.csv" in Path("runs/report/toy.tex").read_text()
    part = text.split("## Against theirs.csv")[1].split("##")[0]
    lines = [line.strip("| ").split(" | ") for line in part.split("\n") if line.startswith("| ")]
    table = {line[0]: dict(zip(lines[0], line, strict=True)) for line in lines[2:]}
    own = next(of for label, of in table.items() if of["Our accuracy"] == of["Their accuracy"])
    assert own["Clips"] == str(len(rows) - 5)
    assert own["p"] == "1.000"  # with itself
    assert sum(of["p"] != "1.000" for of in table.values()) >= 1


def test_rows_of_other_classes_have_no_figures(tmp_path):
    path = written(tmp_path / "theirs.csv", ["id", "x", "y"], [[clip, 1, 0] for clip in "abcdef"])
    rows = {"one": (["x", "y"], {(0, 1): of([0] * 6)}), "other": (["y", "z"], {(0, 1): of([0] * 6)}), "none": ([], {})}
    (table,) = against([path], rows, "speakers")
    assert [row[1] for row in table.rows] == ["6", "-", "-"]
    assert table.rows[0][3:] == ["50.00", "50.00", "50.00", "50.00", "1.000"]
    with pytest.raises(DataError, match="nothing to compare it with"):
        against([path], {"none": ([], {})}, "speakers")


@pytest.mark.parametrize("words", [["toy", "--against", "x.csv", "--readme"], ["--against", "x.csv"]])
def test_one_table_is_named(project, words):
    Path("README.md").touch()
    Path("experiments/tables/other.yaml").write_text(Path("experiments/tables/toy.yaml").read_text())
    with pytest.raises(DataError, match="name one table, or --run DIR, and no --readme"):
        command.run(options(*words), project)
