"""The table over anybody's clips: its folds are the store's, rows without their arrays say so, values have one too."""

import math
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from fabricated import alter, fill, make_project
from test_any_recipe import full_paths
from test_clips_data import CLASSES_TASK, VALENCE, write

import cli
from experiments.report.tables import report_tables
from experiments.report.tables.text_table import UNRANKED
from experiments.reproduce.estimate import Estimate, seconds_of
from experiments.reproduce.plan import Planner, Selection
from experiments.reproduce.tables.finished_cells import read_cells
from experiments.reproduce.tables.table_file import read_table
from experiments.results.cell import state
from experiments.scores.table_scores import summarise
from experiments.settings.config import PROJECT
from experiments.train.command import import_all
from experiments.train.pairing import class_of

ROWS = [
    {"name": "majority", "label": "Majority", "experiment": "baseline_majority", "reads": ["mfcc"]},
    {"name": "logistic", "label": "Logistic", "experiment": "baseline_logistic", "reads": ["mfcc"],
     "overrides": {"data.init_args.modalities": ["audio"]}},
    {"name": "faces", "label": "Faces", "experiment": "baseline_svm", "reads": ["video"],
     "overrides": {"data.init_args.modalities": ["video"]}},
    {"name": "product", "label": "Product", "experiment": "baseline_product", "reads": ["mfcc", "spec"],
     "one_set": True, "overrides": {"data.init_args.modalities": ["audio", "spec"]}},
    {"name": "elsewhere", "label": "Elsewhere", "experiment": "baseline_svm",
     "overrides": {"data.init_args.store": "prepared-sound"}},
    {"name": "behind", "label": "Behind", "experiment": "ravdess_averaging", "one_set": True,
     "needs": {"video": "faces", "audio": "logistic"}},
]  # fmt: skip


@pytest.fixture
def table(tmp_path, monkeypatch) -> Path:
    """A small table in an empty working folder."""
    monkeypatch.chdir(tmp_path)
    content = {"title": "Mine", "source": "here", "corpus": "clips", "own": True, "protocols": ["honest"], "rows": ROWS}
    Path("mine.yaml").write_text(yaml.safe_dump(content))
    return Path("mine.yaml")


def reproduce(*options: str) -> int:
    return cli.main(["reproduce", "mine.yaml", "--data", "synthetic", *options])


def run_cells() -> None:
    """Every planned cell, as its command says, in this process."""
    planner = Planner(read_table("mine.yaml", synthetic=True), Path("runs"))
    for job in planner.jobs(Selection()):
        assert cli.main(job.command) == 0
        assert state(job.directory, job.request) == "done", job.name


def test_the_committed_table_has_rows_for_every_model_and_says_what_they_read():
    import_all()
    whole, small = read_table("clips"), read_table("clips", synthetic=True)
    assert len(small.rows) >= 20
    assert small.folds == (0,)
    assert {row.name for row in small.rows} < {row.name for row in whole.rows}
    planner = Planner(whole, Path("runs"))
    for row in whole.rows:
        assert row.overrides["data.init_args.root"] == "data/clips"
        assert row.reads, row.name
        model = class_of(full_paths(planner._config[row.name]["model"])["class_path"])
        assert row.one_set == bool(model.single_task), row.name


def test_how_long_it_takes_is_told_with_what_says_so(table):
    write(Path("data/synthetic/clips"), arrays=("mfcc",))
    jobs = Planner(read_table("mine.yaml", synthetic=True), Path("runs")).jobs(
        Selection(["majority", "logistic"], [0, 1])
    )
    assert Estimate().told([], 1) == ""
    assert Estimate().told(jobs, 1) == "; how long is told when it runs"
    known = {"mine/majority": [50.0, 70.0]}
    told = ", about 4 min going by the 2 that are done"
    assert Estimate({**known, "mine/logistic": [60.0]}).told(jobs, 1) == told.replace("2", "3")
    assert Estimate(known).told(jobs, 1) == f"{told}; rows without any (1) count as the mean of the others"
    assert Estimate(known).told(jobs, 2).startswith(", about 2 min going")
    both = Estimate(known, {"mine/logistic": 120.0})
    assert both.told(jobs, 1) == ", about 6 min going by the 2 that are done and a few batches of 1 rows"
    both.measured["mine/logistic"] = [60.0]  # a cell that ends counts for more than its first batches
    assert both.told(jobs, 1) == told.replace("2", "3")


def test_a_few_batches_tell_how_long_a_cell_takes_and_leave_nothing(table):
    write(Path("data/synthetic/clips"), arrays=("mfcc",))
    (job,) = Planner(read_table("mine.yaml", synthetic=True), Path("runs")).jobs(Selection(["logistic"], [0]))
    there = set(Path().rglob("*"))
    once = seconds_of(replace(job, command=[*job.command, "--trainer.max_epochs", "1"]))
    often = seconds_of(replace(job, command=[*job.command, "--trainer.max_epochs", "10000"]))
    assert 0 < 2 * once < often
    assert set(Path().rglob("*")) == there
    assert math.isnan(seconds_of(replace(job, command=[*job.command, "--data.init_args.fold", "9"])))


@pytest.mark.slow
def test_before_the_first_cell_it_is_told_about_how_long_all_take(table, capfd, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(PROJECT))  # of the processes of cells, which begin in an empty folder
    write(Path("data/synthetic/clips"), arrays=("mfcc",))
    assert reproduce("--rows", "majority", "logistic", "--folds", "0", "--workers", "2") == 0
    first, second, *_ = capfd.readouterr().err.splitlines()
    assert first == "timing a few batches of 2 rows, to tell how long all take"
    assert re.fullmatch(r"2 cells: 0 done, 2 to run, about \d+ (s|min) going by a few batches of 2 rows", second)


def test_folds_are_those_of_the_store_and_no_store_is_told(table, capsys):
    assert read_table("mine.yaml", synthetic=True).folds == (0,)
    assert cli.main(["reproduce", "mine.yaml"]) == 1
    assert "mine: not run: no data at data/clips, see docs/own-data.md" in capsys.readouterr().err
    write(Path("data/synthetic/clips"), arrays=("mfcc",))
    assert read_table("mine.yaml", synthetic=True).folds == (0, 1, 2)


def test_a_row_whose_arrays_are_not_there_says_so_before_and_after_and_stops_no_other(table, capsys):
    write(Path("data/synthetic/clips"), arrays=("mfcc", "video"), lacking=lambda clip, name: name == "video")
    assert reproduce("--dry-run") == 0
    said = capsys.readouterr().out
    reasons = {
        "faces": "no clip of data/synthetic/clips/prepared has video",
        "product": "data/synthetic/clips/prepared holds no spec",
        "elsewhere": "no data/synthetic/clips/prepared-sound; `python cli.py prepare clips --source DIR",
        "behind": "it needs faces, which cannot run",
    }
    for row, reason in reasons.items():
        assert f"mine/{row}: not run: {reason}" in said
    assert "6 cells: 6 run" in said
    run_cells()
    capsys.readouterr()
    assert reproduce() == 1
    out = capsys.readouterr()
    assert "6 cells: 6 done, 0 to run" in out.err
    assert "mine/faces: not run: no clip of" in out.err
    report = Path("runs/synthetic/report/mine.md").read_text()
    assert "- Faces: not run: no clip of data/synthetic/clips/prepared has video." in report
    rows = [line.split("|")[1].strip() for line in report.splitlines() if line.startswith("|")][2:]
    assert set(rows[:2]) == {"Majority", "Logistic"}  # those that were run come first
    assert reproduce("--rows", "majority") == 0


def test_clips_that_were_prepared_anew_are_not_mixed_in(table, tmp_path, capsys):
    write(Path("data/synthetic/clips"), arrays=("mfcc",))
    run_cells()
    (tmp_path / "data/synthetic/clips").rename(tmp_path / "before")
    write(Path("data/synthetic/clips"), arrays=("mfcc",), label=lambda clip, speaker: (clip + speaker) % 2)
    capsys.readouterr()
    assert reproduce("--rows", "majority") == 1
    error = capsys.readouterr().err
    assert "mine/majority/honest-fold0-seed1: refused: it was run with other settings" in error
    assert "data: changed" in error


def test_only_rows_of_the_same_folds_seeds_and_clips_are_ranked_and_tested(tmp_path, monkeypatch):
    monkeypatch.chdir(make_project(tmp_path))
    table = replace(fill(protocols=["honest"]).table, own=True)
    for fold in (1, 2):  # the best row ran on one fold of three
        shutil.rmtree(f"runs/toy/pair/honest-fold{fold}-seed1")
    summary = summarise(table, read_cells(table, Path("runs")))
    assert summary.rows[2].rank("honest") > summary.rows[0].rank("honest") > summary.rows[1].rank("honest")
    assert [(row.row.name, row.apart) for row in summary.rows][2] == ("pair", True)
    assert [math.isnan(row.p) for row in summary.rows] == [True, False, True]
    alone = summarise(table, {key: cell for key, cell in read_cells(table, Path("runs")).items() if key[0] != "pair"})
    assert summary.baselines == alone.baselines
    *_, baseline, heading, last = report_tables.main_table(summary).rows
    assert baseline[0] == "Most frequent class of the test clips"
    assert heading == [UNRANKED]
    assert "(1/3 folds)" in "".join(last)


def test_stores_of_two_recipes_are_no_different_preparations(tmp_path, monkeypatch):
    monkeypatch.chdir(make_project(tmp_path))
    table = fill(protocols=["honest"]).table
    alter("pair", data_fingerprint="e" * 64)
    cells = read_cells(table, Path("runs"))
    assert "The cells were run on 2 different preparations of the data." in summarise(table, cells).notes
    other = {"data.init_args.store": "prepared-other"}
    rows = tuple(replace(row, overrides=other) if row.name == "pair" else row for row in table.rows)
    assert not any("preparations" in note for note in summarise(replace(table, rows=rows), cells).notes)


def test_values_get_a_table_of_their_own(table, capsys):
    columns = {"fold": lambda clip, speaker: str(speaker % 3), "value_valence": lambda clip, speaker: str(clip % 7)}
    write(
        Path("data/synthetic/clips"), arrays=("mfcc", "video", "spec_5"), tasks=VALENCE, label=lambda clip, speaker: -1,
        columns=lambda clip, speaker: {name: of(clip, speaker) for name, of in columns.items()},
    )  # fmt: skip
    assert reproduce("--dry-run") == 0
    refused = "it learns one set of classes and nothing else; the clips have values (valence)"
    assert f"mine/product: not run: {refused}" in capsys.readouterr().out
    run_cells()
    assert reproduce() == 1
    report = Path("runs/synthetic/report/mine.md").read_text()
    header = next(line for line in report.splitlines() if line.startswith("| SYNTHETIC"))
    assert [name.strip() for name in header.split("|")[1:-1]] == [
        "SYNTHETIC", "CCC", "95 % interval", "MAE", "Pearson", "p vs row above", "Clips", "Parameters",
    ]  # fmt: skip
    main = report[report.index(header) :].split("\n\n")[0].splitlines()[2:]
    ccc = {line.split("|")[1].strip(): line.split("|")[2].strip() for line in main}
    assert abs(float(ccc["Majority"])) < 0.1
    assert ccc["Product"] == "not run"
    known = [float(ccc[label]) for label in ccc if ccc[label][-1:].isdigit()]
    assert known == sorted(known, reverse=True)
    assert "accuracy in percent" not in report
    assert "Values: of the column" in report
    assert cli.main(["report", "mine.yaml", "--data", "synthetic"]) == 0
    assert Path("runs/synthetic/report/mine.html").is_file()


def test_classes_and_values_have_both_tables(table):
    columns = {"fold": lambda clip, speaker: str(speaker % 3), "value_valence": lambda clip, speaker: str(clip % 7)}
    write(
        Path("data/synthetic/clips"), arrays=("mfcc",), tasks={**CLASSES_TASK, **VALENCE},
        columns=lambda clip, speaker: {name: of(clip, speaker) for name, of in columns.items()},
    )  # fmt: skip
    run_cells()
    assert reproduce() == 1
    report = Path("runs/synthetic/report/mine.md").read_text()
    assert "| Most frequent class of the test clips |" in report
    assert "Values: agreement and error" in report
