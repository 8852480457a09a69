"""Trained cells scored again under missing modalities."""

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from fabricated import make_project
from tiny import spoil

import cli
from experiments.report.command import report_on
from experiments.reproduce import command as reproduce
from experiments.reproduce import missing
from experiments.reproduce.evaluations import evaluate
from experiments.reproduce.plan import Planner, Selection
from experiments.reproduce.tables.table_file import read_table
from experiments.results.cell import read_cell, read_json

ROOT = Path(__file__).resolve().parents[1]
TABLE = """
title: Tiny
source: nobody
corpus: ravdess_features
folds: [2]
seeds: [1]
protocols: [paper, honest]
rows:
  - {name: audio, label: Audio, experiment: ravdess_features, overrides: {model.class_path: AudioOnly, SIZE}}
  - {name: concat, label: Concat, experiment: ravdess_features, overrides: {model.class_path: ConcatFC, SIZE}}
missing: {rates: [0, 0.5, 1], modalities: [video, audio], subsets: [[video], [video, audio]], rows: [concat]}
"""


def run(*arguments):
    parser = argparse.ArgumentParser()
    reproduce.add_arguments(parser)
    return reproduce.run(parser.parse_args(arguments), ROOT, report_on)


def test_trained_cells_are_scored_without_retraining(ravdess_features, tmp_path, monkeypatch, capsys):
    """Through the real command line; a cell's files equal those of `cli.py test --data.missing`."""
    monkeypatch.chdir(ROOT)
    table, runs = tmp_path / "tiny.yaml", tmp_path / "runs"
    size = f'trainer.max_epochs: 2, data.init_args.root: "{ravdess_features}"'
    table.write_text(TABLE.replace("SIZE", size) + "synthetic: {}\n")
    assert run(str(table), "--data", "synthetic", "--runs", str(runs), "--dry-run") == 0
    assert "10 evaluations under missing modalities of 2 cells" in capsys.readouterr().out
    concat = [str(table), "--rows", "concat", "--data", "synthetic", "--runs", str(runs)]
    with monkeypatch.context() as patch:  # at the end it is drawn
        patch.setattr("experiments.report.command.figures", lambda summary: [])
        assert run(*concat) == 0
    cells = runs / "synthetic" / "tiny" / "concat"
    folder = cells / "paper-fold2-seed1"
    found = read_cell(folder)
    assert found.missing.keys() == {"video", "audio", "only_video"}
    # With the video alone is without the audio.
    alone, without = (folder / "missing" / f"{name}-1.00" for name in ("only_video", "audio"))
    assert [path.read_text() for path in alone.iterdir()] == [path.read_text() for path in without.iterdir()]
    for rates in (found.missing[modality] for modality in ("video", "audio")):
        assert rates.keys() == {0.5, 1.0}  # at 0 the cell's own predictions stand
        for of in rates.values():
            assert of.keys() == {"last"}
            assert of["last"].ids == found.predictions["last"].ids
    assert found.missing["audio"][1.0]["last"].probabilities.std(0).max() > 0  # the video still tells
    half, whole = (found.missing["audio"][rate]["last"].probabilities for rate in (0.5, 1.0))
    lost = (half == whole).all(1)
    kept = (half == found.predictions["last"].probabilities).all(1)
    assert (lost | kept).all()
    assert 0 < lost.sum() < len(lost)
    assert read_cell(cells / "honest-fold2-seed1").missing["video"][0.5].keys() == {"selected"}

    command = ["test", "--config", "experiments/ravdess_features.yaml"]
    command += ["--data.root", str(ravdess_features), "--data.fold", "2", "--data.missing.audio", "0.5"]
    command += ["--trainer.default_root_dir", str(tmp_path / "test")]
    assert cli.main([*command, "--ckpt_path", str(folder / "checkpoints" / "last.ckpt")]) == 0
    expected = (tmp_path / "test" / "predictions-test-audio-missing-0.5.csv").read_text()
    assert (folder / "missing" / "audio-0.50" / "predictions-last.csv").read_text() == expected

    # Each selection is scored with its own checkpoint: the other one of the cell is made useless first.
    for cell, other in ((folder, "best.ckpt"), (cells / "honest-fold2-seed1", "last.ckpt")):
        scored = {path.name: path.read_bytes() for path in (cell / "missing" / "audio-0.50").iterdir()}
        content = torch.load(cell / "checkpoints" / other, weights_only=True)
        content["state_dict"] = {name: torch.zeros_like(value) for name, value in content["state_dict"].items()}
        torch.save(content, cell / "checkpoints" / other)
        shutil.rmtree(cell / "missing")
        with monkeypatch.context() as patch:
            patch.setattr("experiments.report.command.figures", lambda summary: [])
            assert run(*concat) == 0
        assert {path.name: path.read_bytes() for path in (cell / "missing" / "audio-0.50").iterdir()} == scored

    sick = shutil.copytree(folder, tmp_path / "sick", ignore=shutil.ignore_patterns("missing"))
    spoil(sick / "checkpoints" / "last.ckpt")
    planner = Planner(read_table(str(table), synthetic=True, project=ROOT), runs)
    job = next(job for job in planner.jobs(Selection()) if job.directory == folder)
    reason = evaluate(
        missing.Evaluation("sick", sick, job.command, "last", (("audio", 0.5),)), missing.evaluate_missing
    )
    clips = len(found.predictions["last"].ids)
    assert reason.startswith(f"the scores of {clips} of {clips} clips are not finite (")
    assert not list(sick.rglob("missing/*/*.csv"))

    before = {
        path: path.stat().st_mtime_ns for path in runs.rglob("*") if path.is_file() and "report" not in path.parts
    }
    monkeypatch.setattr(reproduce, "evaluate_missing", lambda evaluation: pytest.fail("there was nothing to do"))
    assert run(*concat) == 0
    after = {path: path.stat().st_mtime_ns for path in runs.rglob("*") if path.is_file() and "report" not in path.parts}
    assert before == after
    assert "under missing modalities" in (runs / "synthetic" / "report" / "tiny.html").read_text()


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(make_project(tmp_path))
    monkeypatch.setattr("experiments.report.command.figures", lambda summary: [])
    monkeypatch.setenv("PYTHONPATH", f"{ROOT}:{ROOT / 'tests'}")
    path = tmp_path / "experiments" / "tables" / "toy.yaml"
    path.write_text(path.read_text() + "missing: {rates: [0, 1], modalities: [audio, video], rows: [pair]}\n")
    return tmp_path


def planned(done):
    planner = Planner(read_table("toy", project=Path()), Path("runs"), Path())
    jobs = planner.jobs(Selection(folds=[0], seeds=[1]))
    return missing.pending(planner.table, jobs, [job.directory for job in jobs if done in job.name])


def test_only_finished_cells_of_the_named_rows_are_pending(project):
    assert planned("nothing") == planned("audio") == []
    paper, honest = planned("pair")
    assert paper.losses == honest.losses == (("audio", 1.0), ("video", 1.0))
    assert (paper.selection, honest.selection) == ("last", "selected")
    path = project / paper.directory / "missing" / "audio-1.00" / "predictions-last.csv"
    path.parent.mkdir(parents=True)
    path.touch()
    assert planned("pair")[0].losses == (("video", 1.0),)


def test_a_subset_is_all_others_lost_and_the_whole_set_is_there_already(project):
    path = project / "experiments" / "tables" / "toy.yaml"
    subsets = "subsets: [[audio], [video], [audio, video]]"
    text = path.read_text().replace("rates: [0, 1], modalities: [audio, video]", subsets)
    path.write_text(text)
    paper, _ = planned("pair")
    assert paper.losses == (("only_audio", 1.0), ("only_video", 1.0))
    assert paper.modalities == ("audio", "video")


def test_a_cell_that_fails_is_named_and_stops_no_other(project, capsys):
    """The made-up cells have no checkpoint that could be read."""
    options = ["toy", "--rows", "pair", "--folds", "0", "--seeds", "1"]
    parser = argparse.ArgumentParser()
    reproduce.add_arguments(parser)
    assert reproduce.run(parser.parse_args(options), Path(), report_on) == 1
    error = capsys.readouterr().err
    assert "4 evaluations under missing modalities of 2 cells" in error
    assert "2/2 cells evaluated, 2 failed" in error
    assert error.count("under missing modalities: ") == 2
    assert "toy/pair/honest-fold0-seed1: under missing modalities" in error
    assert read_json(Path("runs/toy/pair/honest-fold0-seed1/result.json"))["fold"] == 0  # the cell itself is done


def test_lost_clips_depend_on_clip_and_modality_alone(ravdess_features):
    from datamodules.shapes.precomputed import PrecomputedTensorDataModule

    def masks(data):
        dataset = data.dataset("test")
        return dataset[slice(0)] if len(dataset) == 0 else dataset.__getitems__(list(range(len(dataset))))["mask"]

    options = {
        "root": str(ravdess_features),
        "index": "prepared/index.csv",
        "features": {"video": "prepared/features.npz:au", "audio": "prepared/features.npz:mfcc"},
    }
    data = PrecomputedTensorDataModule(**options)
    assert masks(data)["audio"].all()
    data.set_missing_rates({"audio": 0.5})
    given = PrecomputedTensorDataModule(**options, missing={"audio": 0.5})
    np.testing.assert_array_equal(masks(data)["audio"], masks(given)["audio"])
    assert 0 < masks(data)["audio"].sum() < len(masks(data)["audio"])
    assert masks(data)["video"].all()
    data.set_missing_rates({})
    assert masks(data)["audio"].all()


def test_nothing_pending_imports_nothing_heavy():
    code = "import sys, experiments.reproduce.missing; sys.exit(any(name in sys.modules for name in ('torch', 'cv2')))"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0
