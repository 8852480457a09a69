"""What a report says of groups of people and of gates, from made-up predictions."""

import numpy as np
import pytest
from fabricated import CLASSES, make_project

from experiments.report.command import summary_of
from experiments.report.plots import figures
from experiments.report.tables import group_tables
from experiments.reproduce.plan import Planner
from experiments.reproduce.tables.table_file import read_table
from experiments.results.cell import Cell
from experiments.results.predictions import Predictions, read_predictions, subset_name, subset_of
from experiments.scores import robustness, subgroups
from experiments.scores.metrics import statistics
from lightning_modules.nn.gates import reachable

AGES = ["young", "old", "young", "old", ""]
HEADER = "id,group,target,p_calm,p_happy,p_sad,p_angry,gate_text,gate_video,abstain,attr_age\n"


def run(predicted, gates=None, ages=AGES):
    ids = [f"c{row}" for row in range(len(predicted))]
    return Predictions(
        ids,
        ids,
        np.array([0, 1, 2, 3, 0][: len(predicted)]),
        np.array(predicted),
        gates={name: np.array(of) for name, of in (gates or {}).items()},
        attributes={"age": ages[: len(predicted)]},
    )


def test_accuracy_of_a_group_counts_every_clip_once():
    runs = [run([0, 0, 2, 3, 0]), run([0, 1, 0, 3, 0])]
    found = subgroups.accuracies(subgroups.clips_of(runs, CLASSES))
    assert list(found) == [("age", "old"), ("age", "young")]
    clips, mean, half = found["age", "young"]
    assert (clips, mean) == (2, 0.75)
    assert half == pytest.approx(1.96 * np.std([1, 0.5], ddof=1) / np.sqrt(2))
    assert found["age", "old"][:2] == (2, 0.75)
    assert subgroups.accuracies(subgroups.clips_of([], CLASSES)) == {}


def test_weights_leave_out_clips_that_lack_the_modality():
    gates = {"text": [0.6, 0.0, 0.2, 0.5, 0.5], "video": [0.4, 1.0, 0.8, 0.5, 0.5]}
    by = subgroups.weights(subgroups.clips_of([run([0, 1, 2, 3, 0], gates)], CLASSES), CLASSES)
    assert list(by) == [*(("class", name) for name in CLASSES), ("age", "old"), ("age", "young")]
    assert by["age", "young"]["text"].tolist() == [0.6, 0.2]
    assert by["age", "old"]["text"].tolist() == [0.5]
    assert by["age", "old"]["video"].tolist() == [1.0, 0.5]
    assert subgroups.heaviest(by["age", "old"]) == "video"
    assert subgroups.heaviest({"text": np.array([]), "video": np.array([0.1])}) == "video"


def of(targets, predicted, ids=None):
    ids = ids or [f"c{row}" for row in range(len(targets))]
    return Predictions(ids, ids, np.array(targets), np.array(predicted))


def finished(own, selection, missing=None):
    return Cell({}, {selection: own}, missing=missing or {})


def test_the_curve_is_of_the_most_honest_column_and_of_rates_that_all_cells_have():
    right, half, none = of([0, 1, 1, 0], [0, 1, 1, 0]), of([0, 1, 1, 0], [0, 1, 0, 1]), of([0, 1, 1, 0], [1, 0, 0, 1])
    paper = Cell({}, {"best": right, "last": half}, missing={"audio": {1.0: {"best": none, "last": none}}})
    cells = {("paper", 0, 1): paper, ("paper", 1, 1): paper}
    found = robustness.curves(cells, "accuracy")["audio"]
    assert (found.column, found.rates, found.values) == ("last", [0.0, 1.0], [0.5, 0.0])
    assert found.area == pytest.approx(0.25)
    cells["honest", 0, 1] = finished(right, "selected", {"audio": {0.5: {"selected": half}, 1.0: {"selected": none}}})
    cells["honest", 1, 1] = finished(right, "selected", {"audio": {1.0: {"selected": half}}})
    cells["honest", 2, 1] = finished(none, "selected", {"audio": {}, "only_text": {1.0: {"selected": none}}})
    ((modality, found),) = robustness.curves(
        cells, "accuracy"
    ).items()  # a cell without rates is no curve, a subset none
    assert (modality, found.column, found.rates, found.values) == ("audio", "honest", [0.0, 1.0], [1.0, 0.25])
    assert robustness.Robustness("honest", [0.5, 1.0], [0.8, 0.4]).area == pytest.approx(0.6)
    assert np.isnan(robustness.Robustness("honest", [0.0], [0.8]).area)


def test_the_metric_knows_classes_that_are_only_predicted_or_only_there():
    assert statistics.metric_of(of([0, 1, 1], [0, 1, 5]), "uar") == 0.75
    assert statistics.metric_of(of([0, 5, 5], [0, 5, 1]), "uar") == 0.75


def test_modalities_alone_are_averaged_where_every_cell_has_them(tmp_path, monkeypatch):
    monkeypatch.chdir(make_project(tmp_path))
    path = tmp_path / "experiments" / "tables" / "toy.yaml"
    path.write_text(path.read_text() + "missing: {subsets: [[text], [video], [text, video]], rows: [pair]}\n")
    table = read_table("toy", project=tmp_path)
    right, half = of([0, 1], [0, 1]), of([0, 1], [0, 0])
    text = {"only_text": {1.0: {"selected": half}}}
    cells = {
        ("honest", 0, 1): finished(right, "selected", {**text, "only_video": {1.0: {"selected": half}}}),
        ("honest", 1, 1): finished(half, "selected", text),
    }
    paper = {("paper", 0, 1): Cell({}, {"last": half}, missing={"only_text": {1.0: {"last": right}}})}
    found = robustness.subset_means(table, {**paper, **cells})
    assert found == {("text",): 0.5, ("text", "video"): 0.75}  # one cell lacks the video alone
    found = robustness.subset_means(table, paper)
    assert found == {("text",): 1.0, ("text", "video"): 0.5}  # where nothing is more honest


def test_weights_differ_from_clip_to_clip_or_are_a_few_values():
    ages = ["young"] * 6
    same = run([0] * 5, {"text": [0.5, 0.6, 1.0, 0.0, 0.50001], "video": [0.5, 0.4, 0.0, 1.0, 0.49999]})
    assert not subgroups.adaptive(
        subgroups.clips_of([same], CLASSES)
    )  # two gates, and what is left of them where a modality is absent
    many = Predictions(ages, ages, np.zeros(6, int), np.zeros(6, int), gates={"text": np.linspace(0.1, 0.6, 6)})
    both = subgroups.clips_of([same, many], CLASSES)
    assert subgroups.adaptive(both)
    assert {name: of.tolist() for name, of in subgroups.overall(both).items()} == {
        "text": [0.5, 0.6, 1.0, 0.50001, *np.linspace(0.1, 0.6, 6).tolist()],
        "video": [0.5, 0.4, 1.0, 0.49999],
    }


def test_one_clip_of_a_group_has_no_interval():
    found = subgroups.clips_of([run([0, 0, 0, 0, 0], ages=["young", *["old"] * 4])], CLASSES)
    clips, mean, half = subgroups.accuracies(found)["age", "young"]
    assert (clips, mean) == (1, 1.0)
    assert np.isnan(half)


def test_the_bounds_are_those_of_the_gates():
    for count in (2, 3, 5):
        assert subgroups.bounds(count) == pytest.approx(reachable(count))


def test_columns_of_gates_and_attributes_are_read(tmp_path):
    path = tmp_path / "predictions-selected.csv"
    path.write_text(HEADER + "a,a,1,0.1,0.7,0.1,0.1,0.25,0.75,0,young\nb,b,0,0.1,0.7,0.1,0.1,0,0,1,\n")
    found = read_predictions(path, CLASSES)
    assert found.gates["video"].tolist() == [0.75, 0.0]
    assert found.attributes == {"age": ["young", ""]}


def test_names_of_subsets_are_no_names_of_modalities():
    assert subset_of(subset_name(["text", "audio"])) == ("text", "audio")
    assert subset_of("audio") == ()


@pytest.fixture
def summary(tmp_path, monkeypatch):
    """A table whose one row has gates, attributes and a subset."""
    monkeypatch.chdir(make_project(tmp_path))
    path = tmp_path / "experiments" / "tables" / "toy.yaml"
    path.write_text(path.read_text() + "missing: {subsets: [[text], [text, video]], rows: [pair]}\n")
    from fabricated import make_cell

    rng = np.random.default_rng(0)
    folder = tmp_path / "runs/toy/pair/honest-fold0-seed1"
    table = read_table("toy", project=tmp_path)
    planner = Planner(table, tmp_path / "runs", tmp_path)
    data = dict.fromkeys(("video", "audio", "pair"), "f" * 64)
    make_cell(folder, planner.request(table.row("pair"), "honest", 0, 1, data), row="pair")
    file = folder / "predictions-selected.csv"
    lines = file.read_text().splitlines()
    wider = [lines[0] + ",gate_text,gate_video,attr_age"]
    for place, line in enumerate(lines[1:]):
        old = place % 2
        gate = rng.uniform(0.6, 0.73) if old else rng.uniform(0.27, 0.4)
        wider.append(f"{line},{gate:.4f},{1 - gate:.4f},{('young', 'old')[old]}")
    file.write_text("\n".join(wider) + "\n")
    alone = folder / "missing" / "only_text-1.00" / "predictions-selected.csv"
    alone.parent.mkdir(parents=True)
    alone.write_text("\n".join(lines) + "\n")
    return summary_of(planner)


def test_the_report_shows_groups_weights_and_subsets(summary):
    fairness, weights, subsets = (
        of(summary) for of in (group_tables.fairness, group_tables.weights, group_tables.subsets)
    )
    assert [row[:2] for row in fairness.rows] == [["age: old", "40"], ["age: young", "40"]]
    heaviest = {row[1]: row[-1] for row in weights.rows}
    assert heaviest["age: old"] == "text"
    assert heaviest["age: young"] == "video"
    assert subsets.header[1:] == ["text", "all"]
    assert subsets.rows[0][1] == subsets.rows[0][2]  # the same file twice
    assert not summary.rows[-1].robustness
    captions = [caption for caption, _ in figures(summary)]
    assert any("Weights of the modalities" in caption for caption in captions)


def test_committed_results_keep_gates_and_attributes(summary, tmp_path):
    from experiments.reproduce.tables.committed import read_committed, write_committed
    from experiments.reproduce.tables.finished_cells import read_cells

    cells = read_cells(summary.table, tmp_path / "runs")
    write_committed(summary.table, cells, tmp_path / "results")
    again = read_committed(summary.table, tmp_path / "results")
    (key,) = cells
    own, kept = (of[key].predictions["selected"] for of in (cells, again))
    order = np.argsort(own.ids)
    assert kept.attributes["age"] == [own.attributes["age"][row] for row in order]
    np.testing.assert_allclose(kept.gates["text"], own.gates["text"][order], atol=1e-4)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("{rates: [0, 1]}", "give rates and modalities, or subsets"),
        ("{rows: [pair]}", "give rates and modalities, or subsets"),
        ("{subsets: [text]}", r"subsets: expected a list\. Got value: text"),
    ],
)
def test_a_table_that_asks_for_half_of_it_is_one_line(entry, message, tmp_path, monkeypatch):
    monkeypatch.chdir(make_project(tmp_path))
    path = tmp_path / "experiments" / "tables" / "toy.yaml"
    path.write_text(path.read_text() + f"missing: {entry}\n")
    with pytest.raises(Exception, match=message):
        read_table("toy", project=tmp_path)
