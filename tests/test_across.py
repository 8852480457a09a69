"""Models of one corpus scored on another, over the classes that both have."""

import argparse
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn import metrics
from test_clips_data import write

import cli
from datamodules.catalogues.crema_d import CREMAD
from datamodules.errors import DataError
from datamodules.shapes.clips import ClipsDataModule
from datamodules.standins import crema_d
from experiments.report import heat_maps, renderings
from experiments.report.command import report_on, summary_of
from experiments.report.tables import report_tables
from experiments.report.tables.cross_scores import cross_scores, restricted
from experiments.reproduce import command as reproduce
from experiments.reproduce.across import evaluate_across, pending_across
from experiments.reproduce.evaluations import evaluate
from experiments.reproduce.plan import Planner, Selection
from experiments.reproduce.tables.committed import _packed, _unpacked
from experiments.reproduce.tables.table_file import read_table
from experiments.results.cell import read_cell
from experiments.results.label_map import LabelMap, shared_labels, shared_probabilities
from experiments.results.predictions import Predictions
from lightning_modules.ravdess_rivals import AudioOnly

ROOT = Path(__file__).resolve().parents[1]
ALPHA, BETA = ["calm", "glad", "cross"], ["sad", "angry", "happy"]
TABLE = """
title: Pair
source: nobody
corpus: alpha
folds: [0]
protocols: [honest]
metric: uar
rows:
  - name: mfcc
    label: MFCC CNN
    experiment: ravdess_audio
    overrides: {data.class_path: ClipsDataModule, trainer.max_epochs: 1}
across:
  corpora: [alpha, beta]
  maps:
    - {between: [alpha, beta], classes: MAP}
"""
MAP = "{calm: null, glad: happy, cross: angry}"


def store(root, classes, seed):
    def change(clip, arrays):
        mfcc = np.random.default_rng([seed, clip]).normal(size=(13, 60)).astype(np.float32)
        mfcc[clip % len(classes)] += 3
        return {"mfcc": mfcc}

    tasks = {"label": {"kind": "classes", "classes": classes}}
    write(root, ("mfcc",), tasks, change=change, label=lambda clip, speaker: clip % len(classes))


@pytest.fixture
def pair(tmp_path, monkeypatch):
    """Two small corpora and a table over both; the working folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setattr("experiments.report.command.figures", lambda summary: [])
    store(tmp_path / "data/synthetic/alpha", ALPHA, 1)
    store(tmp_path / "data/synthetic/beta", BETA, 2)
    Path("pair.yaml").write_text(TABLE.replace("MAP", MAP))
    return tmp_path


def run(*arguments):
    parser = argparse.ArgumentParser()
    reproduce.add_arguments(parser)
    return reproduce.run(parser.parse_args(["pair.yaml", "--data", "synthetic", *arguments]), ROOT, report_on)


def test_cells_are_scored_on_the_other_corpus_without_training(pair, monkeypatch, capsys):
    assert run("--dry-run") == 0
    assert "2 evaluations on other corpora" in capsys.readouterr().out
    assert run() == 0
    folder = Path("runs/synthetic/pair/mfcc-alpha/honest-fold0-seed1")
    cell = read_cell(folder)
    crossing = cell.across["beta"]
    data = ClipsDataModule("data/synthetic/beta", modalities=["audio"], protocol="honest")
    assert crossing.classes == ["happy", "angry"]
    assert crossing.left_out == {"sad": 8}
    said = crossing.predictions
    assert len(said.ids) == 16  # of every fold
    assert {data.store.labels[data.store.ids.index(clip)] for clip in said.ids} == {1, 2}
    assert [["happy", "angry"][target] for target in said.targets] == [
        BETA[data.store.labels[data.store.ids.index(clip)]] for clip in said.ids
    ]
    # What the trained model itself says of these clips.
    stored = torch.load(folder / "checkpoints/best.ckpt", weights_only=True)
    model = AudioOnly(num_classes=3, input_shapes=data.input_shapes).eval()
    model.load_state_dict(stored["state_dict"])
    rows = np.array([data.store.ids.index(clip) for clip in said.ids])
    batch = data.clips(rows, torch.zeros(len(rows))).__getitems__(list(range(len(rows))))
    with torch.no_grad():
        shares = model(batch)["logits"].double().softmax(1)[:, [1, 2]].numpy()
    np.testing.assert_allclose(said.probabilities, shares / shares.sum(1, keepdims=True), atol=2e-5)

    planner = Planner(read_table("pair.yaml", synthetic=True, project=ROOT), Path("runs"))
    summary = summary_of(planner)
    found = {(of.trained, of.tested): of for of in cross_scores(summary)}
    assert set(found) == {("alpha", "alpha"), ("alpha", "beta"), ("beta", "alpha"), ("beta", "beta")}
    off = found["alpha", "beta"]
    assert off.score.uar == pytest.approx(metrics.balanced_accuracy_score(said.targets, said.predicted))
    assert off.score.accuracy == pytest.approx(metrics.accuracy_score(said.targets, said.predicted))
    assert (off.clips, off.classes, found["beta", "beta"].classes) == (16, 2, 3)
    own = off.own
    assert own is not None
    assert own.confusion.sum() == pytest.approx(len(own.hits))
    text = renderings.whole_markdown(report_tables.report_of(summary))
    for shown in (text, Path("runs/synthetic/report/pair.md").read_text()):
        assert f"{100 * off.score.uar:.2f} ({100 * off.score.accuracy:.2f})" in shown
        assert "SYNTHETIC: Across corpora" in shown
        assert "sad 8" in shown
        assert "calm 8" in shown
    assert Path("runs/synthetic/report/pair.png").read_bytes()[:4] == b"\x89PNG"
    assert "framed: within the corpus" in Path("runs/synthetic/report/pair.html").read_text()
    assert len(heat_maps.heat_maps(summary)) == 1

    clips: list = []
    again = _unpacked(json.loads(json.dumps(_packed(cell, clips))), clips).across["beta"]
    assert (again.classes, again.left_out) == (crossing.classes, crossing.left_out)
    assert sorted(again.predictions.ids) == sorted(said.ids)

    # Nothing is done twice, and another map is another evaluation, no training.
    before = {path: path.stat().st_mtime_ns for path in Path("runs").rglob("*.ckpt")}
    with monkeypatch.context() as patch:
        patch.setattr(reproduce, "evaluate_all", lambda *_: pytest.fail("there was nothing to do"))
        assert run() == 0
    Path("pair.yaml").write_text(TABLE.replace("MAP", "{calm: sad, glad: happy, cross: angry}"))
    assert run() == 0
    assert read_cell(folder).across["beta"].left_out == {}
    assert len(read_cell(folder).across["beta"].predictions.ids) == 24
    assert {path: path.stat().st_mtime_ns for path in Path("runs").rglob("*.ckpt")} == before


@pytest.mark.parametrize(("content", "told"), [
    (TABLE.partition("  maps:")[0], "no map of classes between alpha and beta; add one under maps"),
    (TABLE.replace("MAP", "{calm: null}"), "across: map 1: classes: no class has a counterpart"),
    (TABLE.replace("MAP", "{calm: null, glad: joy, cross: angry}"), "joy is no class of beta; its classes are sad, an"),
    (TABLE.replace("MAP", "{calm: null, glad: happy, kind: sad, cross: angry}"), "kind is no class of alpha"),
    (TABLE.replace("MAP", "{calm: null, glad: happy}"), "cross is not mapped, to null where it has no match, of alpha"),
    (TABLE.replace("MAP", MAP).replace("between: [alpha", "between: [gamma"), "between: expected two of alpha, beta"),
    (TABLE.replace("MAP", MAP).replace("corpora: [alpha, beta]", "corpora: [alpha]"), "expected two or more, each"),
    (TABLE.replace("MAP", MAP).replace("  maps:", "  mops: 1\n  maps:"), "across: unknown key mops"),
])  # fmt: skip
def test_a_map_that_is_missing_or_wrong_is_refused_in_one_line_before_anything_is_trained(pair, content, told):
    Path("pair.yaml").write_text(content)
    with pytest.raises(DataError, match=told) as stop:
        run()
    assert stop.value.exit_code == 2
    assert "\n" not in str(stop.value)
    assert not Path("runs").exists()


def test_corpora_prepared_in_different_ways_are_told(pair):
    shutil.rmtree("data/synthetic/beta")
    tasks = {"label": {"kind": "classes", "classes": BETA}}
    write(Path("data/synthetic/beta"), ("mfcc",), tasks, label=lambda clip, speaker: clip % 3, change=_longer)
    planner = Planner(read_table("pair.yaml", synthetic=True, project=ROOT), Path("runs"))
    jobs = planner.jobs(Selection())
    first = pending_across(planner.table, jobs, [job.directory for job in jobs])[0]
    told = "clips of alpha are {'audio': [13, 60]}, of beta {'audio': [13, 80]}; prepare both by one recipe"
    assert evaluate(first, evaluate_across) == told


def _longer(clip, arrays):
    return {"mfcc": np.random.default_rng(clip).normal(size=(13, 80)).astype(np.float32)}


def test_classes_that_are_one_elsewhere_are_added_and_the_rest_is_left_out():
    label_map = LabelMap(("a", "b"), {"neutral": "neutral", "calm": "neutral", "joy": "happy", "awe": None})
    first = label_map.columns("a", ["awe", "neutral", "calm", "joy"])
    assert first == {"neutral": [1, 2], "happy": [3]}
    second = label_map.columns("b", ["happy", "fear", "neutral"])
    assert second == {"neutral": [2], "happy": [0]}
    assert shared_labels(np.array([0, 1, 2, 3]), first).tolist() == [-1, 0, 0, 1]
    shares = shared_probabilities(np.array([[0.5, 0.1, 0.2, 0.2], [1.0, 0, 0, 0]]), first)
    np.testing.assert_allclose(shares, [[0.6, 0.4], [0.5, 0.5]])
    said = Predictions(
        ["x", "y"], ["s", "s"], np.array([0, 1]), np.array([0, 1]), np.array([[0.6, 0.3, 0.1], [0.2, 0.5, 0.3]])
    )
    kept = restricted(said, second)
    assert (kept.ids, kept.targets.tolist(), kept.predicted.tolist()) == (["x"], [1], [1])
    np.testing.assert_allclose(kept.probabilities, [[1 / 7, 6 / 7]])


def test_the_stand_in_of_crema_d_is_read_as_the_corpus(tmp_path):
    names = crema_d.plan(240)
    assert len(set(crema_d.plan(1440))) == 1440
    assert names[:120] == crema_d.plan(120)
    out = tmp_path / "crema_d"
    assert cli.main(["synth", "crema_d", "--out", str(out), "--clips", "12"]) == 0
    scan = CREMAD().scan(out)
    assert sorted(entry.id for entry in scan.usable) == sorted(names[:12])
    assert not [entry for entry in scan.entries if entry.problem]
    again = tmp_path / "again"
    assert cli.main(["synth", "crema_d", "--out", str(again), "--clips", "12", "--workers", "2"]) == 0
    for path in out.rglob("*.wav"):
        assert path.read_bytes() == (again / path.relative_to(out)).read_bytes()
