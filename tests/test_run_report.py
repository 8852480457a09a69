"""`report --run`: a run on own clips, and several folds of it, as Markdown and as one page."""

import csv
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from test_tasks import NAMES, OwnClips, made, recorded

import cli
from datamodules.ravdess import RAVDESSDataModule
from experiments.results.predictions import Values
from experiments.results.run import read_runs
from experiments.scores.metrics import statistics, value_score
from experiments.scores.run_score import score_classes, score_values
from lightning_modules.nn.metrics import value_metrics


def run(capsys, *words):
    code = cli.main(["report", "--run", *map(str, words)])
    return code, capsys.readouterr()


@pytest.fixture(scope="module")
def folds(tmp_path_factory):
    """Two folds of a run on classes and a value."""
    root = tmp_path_factory.mktemp("runs") / "own"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(OwnClips, "provenance", {"audio": {"tool": "openSMILE", "version": "3.0"}})
        for fold in (0, 1):
            data, task = made("AudioOnly", "both", {"fold": fold})
            (root / f"honest-fold{fold}-seed0").mkdir(parents=True)
            recorded(root / f"honest-fold{fold}-seed0", data, task)
    return root


@pytest.fixture
def copy(folds, tmp_path):
    """A copy that a test may change."""
    shutil.copytree(folds, tmp_path / "own")
    return tmp_path / "own"


def tables(text):
    """Rows of every Markdown table by the heading above it."""
    found = {}
    for part in text.split("\n## ")[1:]:
        lines = [line.strip("| ").split(" | ") for line in part.split("\n") if line.startswith("|")]
        found[part.split("\n")[0]] = lines[:1] + lines[2:]
    return found


def test_runs_are_compared_with_what_others_published(copy, tmp_path, capsys):
    rows = [
        row
        for fold in (0, 1)
        for row in csv.DictReader((copy / f"honest-fold{fold}-seed0/predictions-last.csv").open())
    ]
    theirs = [
        [row["id"], *(float(name == NAMES[int(row["target"])]) for name in NAMES)] for row in rows if row["target"]
    ]
    with (tmp_path / "theirs.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["clip", *NAMES], *theirs])
    code, said = run(capsys, copy, "--against", tmp_path / "theirs.csv")
    assert code == 0
    assert said.out.startswith((copy / "report.md").read_text().rstrip())
    (title,) = [name for name in tables(said.out) if name.startswith("Against theirs.csv")]
    compared, scores = tables(said.out)[title], {row[1]: row for row in tables(said.out)["Scores"][1:]}
    assert compared[1][1:3] == [str(len(theirs)), "2"]
    assert compared[1][3] == "100.00"
    assert f"{compared[1][4]} %" == scores["Accuracy"][2]
    assert title in (copy / "report.html").read_text()
    code, said = run(capsys, copy, "--against", tmp_path / "elsewhere.csv")
    assert code == 2
    assert len(said.err.splitlines()) == 1
    assert f"--against {tmp_path / 'elsewhere.csv'}" in said.err


def test_a_run_is_reported_beside_it(copy, capsys):
    folder = copy / "honest-fold0-seed0"
    code, said = run(capsys, folder)
    assert code == 0
    assert said.out.rstrip().endswith(f"report: {folder / 'report.html'}")
    text = (folder / "report.md").read_text()
    assert text.startswith("# SYNTHETIC: own on own\n")
    found = tables(text)
    what = dict(row[:2] for row in found["What was trained on what"])
    assert what["Classes"] == ", ".join(NAMES)
    assert what["Value valence"] == "points"
    assert what["Clips: train / validation / test"] == "18 / 0 / 6"
    assert what["Features: audio"] == "tool openSMILE, version 3.0"
    result = json.loads((folder / "result.json").read_text())
    metrics = result["selections"]["last"]
    scores = {row[1]: row for row in found["Scores"][1:]}
    assert scores["Accuracy"][2] == f"{100 * metrics['accuracy']:.2f} %"
    assert scores["UAR"][2] == f"{100 * metrics['uar']:.2f} %"
    assert scores["Macro F1"][2] == f"{100 * metrics['f1']:.2f} %"
    assert scores["valence: MAE"][2] == f"{metrics['mae_valence']:.4g}"
    assert float(scores["valence: CCC"][2]) == pytest.approx(metrics["ccc_valence"], abs=1e-3)
    assert scores["valence: CCC"][6] == "0.000"
    assert scores["valence: MAE"][6] == f"{result['baselines']['mae_valence']:.4g}"
    assert scores["Accuracy"][6] == f"{100 * result['baselines']['accuracy']:.2f} %"
    assert scores["Accuracy"][3] == "-"  # one speaker
    assert scores["Accuracy"][4:6] == ["4", "1"]
    matrix = np.array(
        [row[1:] for row in found["Confusion matrix: true class by row, predicted class by column, clips"][1:]]
    )
    assert matrix.astype(float).sum() == 4
    assert [row[0] for row in found["By class, %"][1:]] == NAMES
    assert str(folder / "predictions-last.csv") in text


def test_the_page_holds_everything_and_loads_nothing(copy, capsys):
    folder = copy / "honest-fold0-seed0"
    assert run(capsys, folder)[0] == 0
    page = (folder / "report.html").read_text()
    assert page.count("data:image/png;base64,") == 3  # confusion, values, curves
    assert not re.search(r"""(src|href)=["'](?!data:)""", page)
    assert page.count("SYNTHETIC") >= 3


def test_folds_of_one_experiment_are_one_report_on_all_their_clips(copy, capsys):
    assert run(capsys, copy)[0] == 0  # the folder that holds them
    text = (copy / "report.md").read_text()
    found = tables(text)
    runs = read_runs([copy / "honest-fold1-seed0", copy / "honest-fold0-seed0"])
    assert [one.key for one in runs] == [(0, 0), (1, 0)]
    right = np.concatenate([one.classes["last"].targets == one.classes["last"].predicted for one in runs])
    scores = {row[1]: row for row in found["Scores"][1:]}
    assert scores["Accuracy"][2] == f"{100 * right.mean():.2f} %"
    assert scores["Accuracy"][4:6] == [str(len(right)), "2"]
    assert " to " in scores["Accuracy"][3]
    assert " to " in scores["valence: CCC"][3]
    assert [row[:2] for row in found["By run"][1:]] == [["0", "0"], ["1", "0"]]
    values = [one.values["last"]["valence"] for one in runs]
    said_all, true_all = (np.concatenate([getattr(of, name) for of in values]) for name in ("predicted", "targets"))
    assert scores["valence: MAE"][2] == f"{np.abs(said_all - true_all).mean():.4g}"
    both = str(copy / "honest-fold0-seed0"), str(copy / "honest-fold1-seed0")
    assert run(capsys, *both, "--out", copy / "elsewhere")[0] == 0
    assert (copy / "elsewhere" / "report.html").exists()


def test_a_report_of_values_alone_has_no_classes(tmp_path, capsys):
    data, task = made("AudioOnly", "values")
    recorded(tmp_path, data, task)
    capsys.readouterr()
    assert run(capsys, tmp_path)[0] == 0
    text = (tmp_path / "report.md").read_text()
    assert "Confusion" not in text
    assert "Accuracy" not in text
    assert "arousal: Pearson" in text
    assert "most frequent class" not in text


def test_text_of_others_means_nothing_in_a_page(copy, capsys):
    folder = copy / "honest-fold0-seed0"
    result = json.loads((folder / "result.json").read_text())
    result["provenance"] = {"<script>alert(1)</script>": "<b>|"}
    (folder / "result.json").write_text(json.dumps(result))
    assert run(capsys, folder)[0] == 0
    assert "<script" not in (folder / "report.html").read_text()
    assert "<script" not in (folder / "report.md").read_text()


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda own: shutil.rmtree(own / "honest-fold0-seed0"), ["no such folder"]),
        (lambda own: (own / "honest-fold0-seed0" / "result.json").unlink(), ["no result.json", "type its fit again"]),
        (lambda own: (own / "honest-fold0-seed0" / "result.json").write_text("{"), ["result.json"]),
        (
            lambda own: (own / "honest-fold0-seed0" / "predictions-last.csv").write_text("id\n"),
            ["predictions-last.csv"],
        ),
        (lambda own: (own / "honest-fold0-seed0" / "predictions-last.csv").unlink(), ["predictions-last.csv"]),
        (lambda own: cut(own / "honest-fold0-seed0" / "predictions-last.csv"), ["predictions-last.csv"]),
        (
            lambda own: change(own / "honest-fold0-seed0" / "predictions-last.csv", "pred_valence", "x"),
            ["pred_valence"],
        ),
        (
            lambda own: change(own / "honest-fold0-seed0" / "predictions-last.csv", "pred_valence", "inf"),
            ["not finite"],
        ),
    ],
)
def test_what_is_no_whole_run_is_one_or_two_lines(spoil, words, copy, capsys):
    spoil(copy)
    code, said = run(capsys, copy / "honest-fold0-seed0")
    assert code == 2
    assert len(said.err.strip().split("\n")) <= 2
    assert said.err.startswith("error: ")
    assert all(word in said.err for word in words)


def cut(path):
    path.write_text("\n".join(path.read_text().split("\n")[:-2]) + "\n")


def change(path, column, value):
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        row[column] = value
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def test_runs_that_are_no_folds_of_one_experiment_are_refused(copy, capsys):
    path = copy / "honest-fold1-seed0" / "result.json"
    result = json.loads(path.read_text())
    path.write_text(json.dumps({**result, "corpus": "other"}))
    code, said = run(capsys, copy)
    assert code == 2
    assert "its corpus is other, that of" in said.err
    path.write_text(json.dumps({**result, "fold": 0}))
    code, said = run(capsys, copy)
    assert code == 2
    assert "two runs of fold 0 and seed 0" in said.err
    code = cli.main(["report", "cfnsr", "--run", str(copy)])
    assert code == 2
    assert "--run reports on single runs, TABLE is about tables" in capsys.readouterr().err


def test_a_report_imports_no_torch(copy):
    words = ["report", "--run", str(copy / "honest-fold0-seed0")]
    code = f"import sys, cli; assert cli.main({words!r}) == 0; assert 'torch' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", code], cwd=Path(cli.__file__).parent, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def of_values(generator, groups, clips):
    true = generator.normal(50, 10, groups * clips)
    said = 0.5 * true + generator.normal(20, 5, groups * clips)
    return Values([str(i) for i in range(groups * clips)], [str(i // clips) for i in range(groups * clips)], true, said)


def test_metrics_from_sums_are_those_of_the_clips():
    values = of_values(np.random.default_rng(0), 5, 8)
    scored = score_values({(0, 0): values}, {(0, 0): 48.0})
    expected = value_metrics(torch.tensor(values.predicted), torch.tensor(values.targets))
    found = {of.metric.lower(): of.value for of in scored.metrics}
    assert found == pytest.approx(expected, rel=1e-6)
    baseline = {of.metric: of.baseline for of in scored.metrics}
    assert baseline["MAE"] == pytest.approx(np.abs(values.targets - 48).mean())
    assert baseline["CCC"] == baseline["Pearson"] == 0
    assert all(low <= of.value <= high for of in scored.metrics for low, high in [of.interval])


def test_an_interval_of_values_is_that_of_groups_drawn_again():
    values = of_values(np.random.default_rng(1), 6, 5)
    scored = score_values({(0, 0): values}, {})
    groups = np.array(values.groups)
    draws = np.random.default_rng(2).integers(6, size=(4000, 6))
    errors = [np.abs(values.targets - values.predicted)[groups == str(group)].sum() for group in range(6)]
    means = np.array([sum(errors[group] for group in draw) / 30 for draw in draws])
    interval = scored.metrics[0].interval
    assert interval == pytest.approx(tuple(np.quantile(means, [0.025, 0.975])), rel=0.05)
    assert np.isnan(scored.metrics[0].baseline)


def test_constant_values_do_not_correlate():
    one = Values(["a", "b", "c"], ["s", "s", "t"], np.array([0.1, 0.4, 0.7]), np.full(3, 0.3))
    found = {of.metric: of.value for of in score_values({(0, 0): one}, {}).metrics}
    assert found["CCC"] == found["Pearson"] == 0
    assert value_score.lowest([one]) == 0.1


def test_seeds_of_a_clip_weigh_as_one(folds):
    runs = read_runs([folds])
    twice = {(0, 0): runs[0].classes["last"], (0, 1): runs[0].classes["last"]}
    once = score_classes({(0, 0): runs[0].classes["last"]}, 3)
    again = score_classes(twice, 3)
    assert np.array_equal(once.total, again.total)
    assert once.clips == again.clips
    assert statistics.accuracy(again.total) == once.metrics[0].value


def give_tasks(patch):
    """Makes RAVDESS a corpus of classes and of a value, the brightness that its stand-in has by class."""
    value = {"kind": "value", "unit": "", "range": [0, 8]}
    patch.setattr(RAVDESSDataModule, "tasks", property(lambda self: {"emotion": 8, "brightness": 0}))
    patch.setattr(
        RAVDESSDataModule,
        "outputs",
        property(lambda self: {"emotion": {"kind": "classes", "classes": self.class_names}, "brightness": value}),
    )
    patch.setattr(
        RAVDESSDataModule,
        "train_values",
        property(lambda self: {"brightness": self.store.labels[self.rows["train"]].astype(np.float32)}),
    )

    def targets(self):
        labels = torch.from_numpy(self.store.labels)
        return {"emotion": labels, "brightness": labels.float()}

    patch.setattr(RAVDESSDataModule, "targets", property(targets))


def test_a_fit_ends_with_the_command_that_reports_it(ravdess, tmp_path, monkeypatch, capsys):
    give_tasks(monkeypatch)
    folder = tmp_path / "a run"  # the command quotes it
    words = ["--config", "experiments/ravdess_audio.yaml", "--data.root", str(ravdess), "--trainer.max_epochs", "2"]
    place = ["--trainer.default_root_dir", str(folder), "--model.value_loss", "ccc"]
    assert cli.main(["fit", *words, *place, "--model.task_weights", "{brightness: 0.5}"]) == 0
    said = capsys.readouterr().out
    assert "brightness MAE" in said
    command = next(line for line in said.split("\n") if line.startswith("report: "))
    assert command == f"report: python cli.py report --run '{folder}'"
    assert "fit the others with --data.fold" in said
    assert cli.main(["report", "--run", str(folder)]) == 0
    assert "brightness: CCC" in capsys.readouterr().out
    checkpoint = folder / "checkpoints" / "best.ckpt"
    before = (folder / "predictions-best.csv").read_text()
    evaluate = ["test", "--config", "experiments/ravdess_audio.yaml", "--data.root", str(ravdess)]
    assert cli.main([*evaluate, "--ckpt_path", str(checkpoint)]) == 0
    assert (folder / "predictions-test.csv").read_text() == before
    capsys.readouterr()
    assert cli.main(["fit", *words, *place[:2], "--model.tasks", "{a: 2}", "--overwrite", "true"]) == 2
    assert "--model.tasks is taken from the data (data.tasks)" in capsys.readouterr().err
