"""Logistic regression beside the features table: what the README says of it is what its per-clip predictions give."""

import importlib.util
import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest

from experiments.reproduce.tables.committed import read_committed
from experiments.reproduce.tables.table_file import read_table

PROJECT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def linear():
    spec = importlib.util.spec_from_file_location("ravdess_linear", PROJECT / "benchmarks" / "ravdess_linear.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["ravdess_linear"] = module
    spec.loader.exec_module(module)
    return module


def test_ten_functionals_of_every_coefficient(linear):
    values = np.random.default_rng(0).gamma(2.0, size=(3, 13, 40))
    found = linear.functionals(values)
    assert found.shape == (3, 13 * 10)
    assert len(linear.FUNCTIONALS) == 10
    one = np.sort(values[2, 5])  # 40 values: the quarter lies a quarter of the way from the 10th to the 11th
    mean, spread = one.mean(), one.std()
    expected = [
        mean, spread, one[0], one[-1], 0.25 * one[9] + 0.75 * one[10], (one[19] + one[20]) / 2,
        0.75 * one[29] + 0.25 * one[30], one[-1] - one[0], np.mean((one - mean) ** 3) / spread**3,
        np.mean((one - mean) ** 4) / spread**4 - 3,
    ]  # fmt: skip
    np.testing.assert_allclose(found[2, 50:60], expected)


def test_what_the_readme_says_of_it_is_what_its_predictions_give(linear):
    result = json.loads(linear.RESULT.read_text())
    clips = {name: np.array(values) for name, values in result["clips"].items()}
    # The same clips in the same folds, with the same labels, as the table's own cells of the honest protocol.
    cells = read_committed(read_table("ravdess_features"), PROJECT / "docs" / "results")
    for fold in range(6):
        cell = cells["cfnsr", "honest", fold, 1]
        of, own = cell.predictions["selected"], clips["folds"] == fold
        mine = dict(zip(clips["ids"][own].tolist(), clips["targets"][own].tolist(), strict=True))
        assert mine == dict(zip(of.ids, of.targets.tolist(), strict=True))
        assert {result["folds"][fold][name] for name in ("n_test", "n_val")} == {240}
        assert result["folds"][fold]["n_train"] == cell.result["n_train"] == 960
        assert result["data_fingerprint"] == cell.result["data_fingerprint"]
    text = linear.paragraph(result, linear.table_summary())
    right = clips["targets"] == clips["predicted"]
    assert f"reaches {100 * np.mean(right):.2f} " in text  # folds of equal size
    table = read_table("ravdess_features")
    best = max(
        (np.mean([np.mean(of.targets == of.predicted) for of in found]), row.label)
        for row in table.rows
        if row.experiment == "ravdess_features"
        if (found := [of.predictions["selected"] for key, of in cells.items() if key[:2] == (row.name, "honest")])
    )
    assert f"The best row over these inputs below has {100 * best[0]:.2f} ({best[1]})" in text
    readme = (PROJECT / "README.md").read_text()
    block = re.search(r"<!-- table:ravdess_linear -->\n(.*?)\n<!-- /table:ravdess_linear -->", readme, re.DOTALL)
    assert block[1] == text, "run: python benchmarks/ravdess_linear.py --write"


def test_what_the_readme_says_of_the_rules_is_what_the_committed_results_give(linear, monkeypatch):
    monkeypatch.syspath_prepend(PROJECT / "benchmarks")
    import ravdess_rules

    summary = linear.table_summary()
    text = ravdess_rules.paragraph(summary)
    assert text in (PROJECT / "README.md").read_text(), "run: python benchmarks/ravdess_rules.py --write"
    scores = {row.row.name: row.scores["honest"] for row in summary.rows if "honest" in row.scores}
    for rule in ravdess_rules.RULES:
        assert f"| {100 * scores[f'same_{rule}'].mean:.2f} |" in text
    assert f"reaches {100 * scores['product'].mean:.2f} " in text


def test_the_search_never_holds_a_clip_of_a_test_speaker(tmp_path, monkeypatch):
    import cli

    monkeypatch.syspath_prepend(PROJECT / "benchmarks")
    import ravdess_search

    root = str(tmp_path)
    assert cli.main(["synth", "ravdess_voice", "--out", root, "--clips", "48", "--workers", "1"]) == 0
    assert cli.main(["prepare", "ravdess_voice", "--source", root, "--out", root, "--workers", "1"]) == 0
    index = (tmp_path / "prepared" / "index.csv").read_text().split()
    for fold in range(6):
        vectors, labels, train = ravdess_search.load(tmp_path, fold, "none")
        others = [line for line in index[1:] if not line.endswith(f",{fold}")]
        assert len(labels) == len(others) == 40
        held = [line for line in others if line.endswith(f",{(fold + 1) % 6}")]
        assert labels[train:].tolist() == [int(line.split(",")[2]) for line in held]
        assert {name: values.shape for name, values in vectors.items()} == {
            "units": (40, 35), "mfcc": (40, 130), "sound": (40, 1286), "voice": (40, 512)
        }  # fmt: skip


@pytest.mark.slow
@pytest.mark.realdata
def test_it_measures_the_committed_predictions(linear, realdata, tmp_path):
    import cli

    assert cli.main(["prepare", "ravdess_features", "--source", str(realdata / "ravdess"), "--out", str(tmp_path)]) == 0
    kept, found = json.loads(linear.RESULT.read_text()), linear.measure(tmp_path)
    assert found["folds"] == kept["folds"]
    assert found["clips"]["ids"] == kept["clips"]["ids"]
    same = np.array(found["clips"]["predicted"]) == np.array(kept["clips"]["predicted"])
    assert same.mean() > 0.995  # the solver stops a rounding error earlier or later on another machine
