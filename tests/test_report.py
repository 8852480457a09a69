import argparse
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fabricated import alter, column, fill, make_project, make_store, write, write_predictions
from sklearn import metrics

from datamodules.errors import DataError
from experiments.report import command as report
from experiments.report import renderings
from experiments.report.command import summary_of
from experiments.report.readme import stale_blocks
from experiments.report.tables import caveats, report_tables, text_table
from experiments.reproduce.plan import Planner
from experiments.reproduce.tables.committed import read_committed, write_committed
from experiments.reproduce.tables.finished_cells import read_cells
from experiments.reproduce.tables.table import table_names
from experiments.reproduce.tables.table_file import read_table
from experiments.results.cell import read_cell, read_json, write_json
from experiments.scores.table_scores import summarise

PROJECT = Path(__file__).resolve().parents[1]
HERE = Path()


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(make_project(tmp_path))
    return tmp_path


def options(*arguments):
    parser = argparse.ArgumentParser()
    report.add_arguments(parser)
    return parser.parse_args(arguments)


def test_the_numbers_are_those_of_the_predictions(project):
    planner = fill()
    table = planner.table
    summary = summary_of(planner)
    by_fold = []
    for fold in table.folds:
        cells = [read_cell(Path(f"runs/toy/video/paper-fold{fold}-seed{seed}")) for seed in (1, 2)]
        seeds = [np.mean(cell.predictions["last"].targets == cell.predictions["last"].predicted) for cell in cells]
        by_fold.append((np.mean(seeds), np.std(seeds, ddof=1)))
    means, spreads = np.array(by_fold).T
    score = summary.rows[0].scores["last"]
    assert score.mean == pytest.approx(means.mean())
    assert score.spread == pytest.approx(np.std(means, ddof=1))
    assert score.seed_spread == pytest.approx(spreads.mean())
    assert score.confusion.sum() == pytest.approx(3 * 80)  # two seeds of a clip weigh as one clip
    assert score.interval[0] < score.mean < score.interval[1]
    text = renderings.markdown(report_tables.main_table(summary))
    shown = f"{100 * means.mean():.2f} \N{PLUS-MINUS SIGN} {100 * np.std(means, ddof=1):.2f}"
    assert column(text, "Paper protocol, last")["Video alone"] == shown
    assert column(text, "Honest")["Majority class"] == f"{100 * summary.majority:.2f}"
    assert column(text, "Published") == {
        "Video alone": "60.50 (secondary)",
        "Audio alone": "-",
        "Pair_50 %": "75.76 (reported)",
        "Majority class": "-",
    }
    assert column(text, "Parameters")["Pair_50 %"] == "25.88 M (26.30 M)"
    assert column(text, "n train / test (honest)")["Video alone"] == "80 / 80"
    assert "optimistic" in text


def test_rows_that_need_a_row_of_another_corpus_are_not_outdated(project, monkeypatch):
    monkeypatch.setattr(Planner, "_fingerprint", lambda self, row: "faces" if row.name == "video" else "windows")
    planner = fill(protocols=["honest"])
    for path in Path("runs/toy").rglob("result.json"):
        own = "faces" if path.parents[1].name == "video" else "windows"
        write_json(path, {**read_json(path), "data_fingerprint": own})
    assert "video" in planner.table.row("pair").needs.values()
    assert not [note for note in summary_of(planner).notes if "other settings" in note]


def test_optimism_compares_the_folds_that_both_have(project):
    fill(protocols=["paper"])
    fill(protocols=["honest"], folds=[1])
    row = summary_of(Planner(read_table("toy", project=HERE), Path("runs"), HERE)).rows[0]
    best, honest = row.scores["best"].folds, row.scores["honest"].folds
    assert row.optimism("honest") == pytest.approx(best[1] - honest[1])
    assert row.optimism("last") == pytest.approx(row.scores["best"].mean - row.scores["last"].mean)


def test_rows_scored_on_other_clips_are_not_paired(project):
    fill(protocols=["honest"])
    for path in Path("runs/toy/pair").rglob("predictions-*.csv"):
        path.write_text("\n".join(path.read_text().splitlines()[:-1]) + "\n")  # one clip less
        result = read_json(path.with_name("result.json"))
        write_json(path.with_name("result.json"), result | {"n_test": result["n_test"] - 1})
    rows = {row.row.name: row for row in summary_of(Planner(read_table("toy", project=HERE), Path("runs"), HERE)).rows}
    assert np.isfinite(rows["audio"].p)
    assert np.isnan(rows["pair"].p)


def test_a_real_difference_is_significant_and_none_is_not(project):
    rows = {row.row.name: row for row in summary_of(fill()).rows}
    assert np.isnan(rows["video"].p)
    assert rows["pair"].p < 0.01  # 80 against 45 percent
    assert rows["audio"].p > rows["pair"].p


def test_what_was_not_run_is_said(project):
    fill(rows=["audio"], folds=[0, 2], seeds=[1])
    text = renderings.markdown(
        report_tables.main_table(summary_of(Planner(read_table("toy", project=HERE), Path("runs"), HERE)))
    )
    assert column(text, "Honest")["Video alone"] == "not run"
    assert column(text, "Honest")["Audio alone"].endswith("(2/3 folds)")
    fill(rows=["audio"], folds=[1], seeds=[1])
    text = renderings.markdown(
        report_tables.main_table(summary_of(Planner(read_table("toy", project=HERE), Path("runs"), HERE)))
    )
    assert column(text, "Paper protocol, last")["Audio alone"].endswith("(3/6 cells)")
    assert "(" not in column(text, "Honest")["Audio alone"]


def test_a_report_without_any_cell(project, capsys):
    assert report.run(options("toy"), HERE) == 0
    out = capsys.readouterr().out
    assert out.count("not run") == 9
    assert Path("runs/report/toy.html").exists()


def test_the_report_files(project, capsys):
    fill()
    write(project / "experiments" / "tables" / "second.yaml", (project / "experiments/tables/toy.yaml").read_text())
    picture = b"\x89PNG left by a run"
    (project / "runs/toy/pair/paper-fold0-seed1/plots").mkdir()
    (project / "runs/toy/pair/paper-fold0-seed1/plots/attention.png").write_bytes(picture)
    assert report.run(options(), HERE) == 0
    out = capsys.readouterr().out
    assert "report: runs/report/index.html" in out
    assert "| Video alone |" in out
    folder = Path("runs/report")
    page = (folder / "toy.html").read_text()
    # Self-contained: whatever is loaded is inline. PNG signature in base64: iVBORw0KGgo.
    assert not re.findall(r'(?:src|href)="(?!data:)', page)
    assert not re.search(r"@import|url\(|<script", page)
    assert page.count("data:image/png;base64,iVBORw0KGgo") == 4
    assert page.count("data:image/png;base64,") == 5
    assert "attention (Pair_50 %, paper protocol, fold 0, seed 1)" in page
    assert "SYNTHETIC" not in page
    tex = (folder / "toy.tex").read_text()
    assert r"Pair\_50 \%" in tex
    assert tex.count(r"\begin{tabular}") == 4
    assert "## Optimism" in (folder / "toy.md").read_text()
    index = (folder / "index.html").read_text()
    assert 'href="toy.html"' in index
    assert 'href="second.html"' in index


def test_synthetic_is_written_across_what_is_synthetic(project, capsys):
    planner = fill(synthetic=True)
    assert report.run(options("toy", "--data", "synthetic"), HERE) == 0
    out = capsys.readouterr().out
    assert out.startswith("SYNTHETIC: Toy")
    assert "| SYNTHETIC | Published (real data) |" in out
    assert "runs/synthetic/report/toy.html" in out
    for sheet in report_tables.report_of(summary_of(planner)).tables:
        assert sheet.title.startswith("SYNTHETIC")
        assert sheet.header[0] == "SYNTHETIC"
    for name in ("toy.md", "toy.tex", "toy.html"):
        assert "SYNTHETIC" in (Path("runs/synthetic/report") / name).read_text()


def test_synthetic_cells_never_fill_a_real_table(project):
    planner = fill()
    cells = read_cells(planner.table, Path("runs"))
    key = ("video", "honest", 0, 1)
    cells[key].result["synthetic"] = True
    summary = summarise(planner.table, cells)
    assert summary.rows[0].scores["honest"].cells == 2
    assert "1 synthetic cells were left out." in summary.notes


def test_contradictions_are_noted(project):
    planner = fill()
    folder = project / "runs/toy/audio/honest-fold0-seed1"
    result = read_json(folder / "result.json")
    result["selections"]["selected"]["accuracy"] += 0.05
    result["data_fingerprint"] = "e" * 64
    write_json(folder / "result.json", result)
    notes = "\n".join(summary_of(planner).notes)
    assert "audio honest-fold0-seed1 (selected): the run recorded" in notes
    assert "2 different preparations" in notes


def test_cells_of_other_settings_are_noted(project):
    fill()
    planner = Planner(read_table("toy", project=HERE), Path("runs"), HERE)
    assert summary_of(planner).notes == []
    path = project / "experiments/video.yaml"
    path.write_text(path.read_text().replace("batch_size: 16", "batch_size: 8"))
    notes = summary_of(Planner(planner.table, Path("runs"), HERE)).notes
    assert [note.split(":")[0] for note in notes] == [
        "Video alone",
        "Pair_50 %",
    ]  # the pair starts from the video cells


def name_corpora(project, name):
    """Puts a corpus before every clip's id: ``name`` of the clip's number."""
    for path in (project / "runs").rglob("predictions-*.csv"):
        header, *rows = path.read_text().splitlines()
        named = [f"{name(int(row.split(',')[0].split('-')[1]))}/{row}" for row in rows]
        path.write_text("\n".join([header, *named]) + "\n")


def test_several_corpora_have_a_table_of_their_own(project):
    planner = fill(rows=["video", "audio"])
    name_corpora(project, lambda clip: "noxi" if clip % 4 == 0 else "daisee")
    summary = summary_of(planner)
    assert summary.headline == "honest"
    main, ours, *_ = report_tables.report_of(summary).tables
    assert ours.title == 'By corpus, column "Honest"'
    assert [row[:3] for row in ours.rows] == [
        [label, corpus, str(clips)]
        for label in ("Video alone", "Audio alone")
        for corpus, clips in (("daisee", 3 * 60), ("noxi", 3 * 20))
    ]
    found = [read_cell(Path(f"runs/toy/video/honest-fold{fold}-seed1")).predictions["selected"] for fold in range(3)]
    targets, predicted = (np.concatenate([getattr(of, name) for of in found]) for name in ("targets", "predicted"))
    noxi = np.array([clip.startswith("noxi/") for of in found for clip in of.ids])
    targets, predicted = targets[noxi], predicted[noxi]
    labels = np.unique(targets)
    expected = [
        metric(targets, predicted, labels=labels, average="macro", zero_division=0)
        for metric in (metrics.recall_score, metrics.precision_score, metrics.f1_score)
    ]
    expected.append(metrics.accuracy_score(targets, predicted))
    assert ours.header[3:] == ["UAR", "Macro precision", "Macro F1", "Accuracy"]
    assert ours.rows[1][3:] == [f"{100 * value:.2f}" for value in expected]
    assert main.rows[0][0] == "Video alone"
    own = replace(summary, table=replace(summary.table, own=True))  # clips in folders, which are no corpora
    assert not any(table.title.startswith("By corpus") for table in report_tables.report_of(own).tables)
    assert report.run(options("toy"), HERE) == 0
    for name in ("toy.md", "toy.tex", "toy.html"):
        text = (Path("runs/report") / name).read_text()
        assert text.index("Majority class") < text.index("By corpus") < text.index("Every column")
        assert "noxi" in text


def test_two_seeds_of_a_clip_weigh_as_one_in_its_corpus(project):
    planner = fill(rows=["video"], protocols=["paper"])
    name_corpora(project, lambda clip: "noxi" if clip % 4 == 0 else "daisee")
    score = summary_of(planner).rows[0].scores["last"]
    assert {corpus: confusion.sum() for corpus, confusion in score.corpora.items()} == {"daisee": 180, "noxi": 60}
    np.testing.assert_allclose(sum(score.corpora.values()), score.confusion)


@pytest.mark.parametrize("name", [None, lambda clip: "daisee"])
def test_one_corpus_has_no_table_by_corpus(project, name):
    planner = fill(rows=["video"])
    if name:
        name_corpora(project, name)
    assert not [sheet for sheet in report_tables.report_of(summary_of(planner)).tables if "corpus" in sheet.title]


def test_robustness(project):
    planner = fill(rows=["audio"], seeds=[1])
    rng = np.random.default_rng(0)
    accuracies = {}
    for fold in planner.table.folds:
        cell = project / f"runs/toy/audio/honest-fold{fold}-seed1"
        accuracies.setdefault(0.0, []).append(read_json(cell / "result.json")["selections"]["selected"]["accuracy"])
        for rate in (0.25, 1.0):
            path = cell / f"missing/audio-{rate:.2f}/predictions-selected.csv"
            accuracies.setdefault(rate, []).append(write_predictions(path, fold, 0.5 - rate / 2, rng))
    summary = summary_of(planner)
    curve = next(row for row in summary.rows if row.row.name == "audio").robustness["audio"]
    assert curve.rates == [0.0, 0.25, 1.0]
    means = [np.mean(accuracies[rate]) for rate in curve.rates]
    assert curve.values == pytest.approx(means)
    assert curve.area == pytest.approx((means[0] + means[1]) / 2 * 0.25 + (means[1] + means[2]) / 2 * 0.75)
    assert curve.column == "honest"
    assert report.run(options("toy"), HERE) == 0
    assert "under missing modalities" in Path("runs/report/toy.html").read_text()


def test_committed_results_rebuild_the_report(project, capsys):
    planner = fill()
    rng = np.random.default_rng(0)
    write_predictions(project / "runs/toy/pair/paper-fold0-seed1/missing/audio-1.00/predictions-last.csv", 0, 0.2, rng)
    assert report.run(options("toy", "--commit"), HERE) == 0
    from_runs = Path("runs/report/toy.md").read_text()
    pictures = Path("runs/report/toy.html").read_text()
    committed = Path("docs/results/toy/pair.json")
    first = committed.read_bytes()
    assert "docs/results/toy/pair.json" in capsys.readouterr().out
    write_committed(planner.table, read_committed(planner.table, Path("docs/results")), Path("docs/results"))
    assert committed.read_bytes() == first  # nothing is lost twice
    for path in sorted(Path("runs").rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    for arguments in (["--results", "docs/results"], []):  # without runs the committed ones are what there is
        Path("runs/report/toy.md").unlink(missing_ok=True)
        assert report.run(options("toy", *arguments), HERE) == 0
        assert Path("runs/report/toy.md").read_text() == from_runs
    assert "the committed results in docs/results/toy" in capsys.readouterr().out
    assert Path("runs/report/toy.html").read_text() == pictures
    cells = read_committed(planner.table, Path("docs/results"))
    probabilities = cells["pair", "paper", 0, 1].predictions["best"].probabilities
    assert probabilities.sum(1) == pytest.approx(np.ones(80), abs=4e-4)


def test_synthetic_results_are_not_committed(project):
    fill(synthetic=True, rows=["audio"])
    with pytest.raises(DataError, match="not committed"):
        report.run(options("toy", "--data", "synthetic", "--commit"), HERE)
    assert not Path("docs").exists()


def blocks(*planners, results=None):
    """Block of every table by its name."""
    reports = [report_tables.report_of(summary_of(planner, results)) for planner in planners]
    return {report.summary.table.name: renderings.readme_block(report) for report in reports}


def test_the_readme_is_renewed_and_checked(project):
    planner = fill()
    write(project / "README.md", "# Toy\n\n<!-- table:toy -->\nyesterday's\n<!-- /table:toy -->\n\nthe end\n")
    assert stale_blocks(Path("README.md"), blocks(planner)) == ["toy"]
    report.run(options("toy", "--readme"), HERE)
    text = Path("README.md").read_text()
    assert text.startswith("# Toy\n\n<!-- table:toy -->\n**Toy** (somebody, somewhere)\n\n| Row |")
    assert text.endswith("<!-- /table:toy -->\n\nthe end\n")
    assert "yesterday" not in text
    assert stale_blocks(Path("README.md"), blocks(planner)) == []
    report.run(options("toy", "--readme"), HERE)
    assert Path("README.md").read_text() == text
    number = re.search(r"\d\d\.\d\d \N{PLUS-MINUS SIGN}", text)[0]
    Path("README.md").write_text(text.replace(number, "99.99 \N{PLUS-MINUS SIGN}", 1))
    assert stale_blocks(Path("README.md"), blocks(planner)) == ["toy"]


def test_a_readme_without_markers(project):
    write(project / "README.md", "# Toy\n")
    with pytest.raises(DataError, match="<!-- table:toy -->"):
        report.run(options("toy", "--readme"), HERE)
    assert report.run(options("--readme"), HERE) == 0  # every table: those it has no place for are left out
    with pytest.raises(DataError, match="no such file"):
        report.run(options("toy", "--readme", "OTHER.md"), HERE)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--runs", "nowhere"], "--runs nowhere: no such folder"),
        (["--results", "nowhere"], "--results nowhere: no such folder"),
        (["--readme", "nowhere"], "--readme nowhere: no such file"),
        (["--out", "file"], "cannot write file: File exists; name another folder with --out"),
        (["--out", "file/below"], "cannot write file/below: Not a directory; name another folder with --out"),
    ],
)
def test_a_wrong_path_is_one_line(project, arguments, message):
    write(project / "file", "")
    with pytest.raises(DataError) as caught:
        report.run(options(*arguments), HERE)
    assert str(caught.value) == message
    assert not Path("nowhere").exists()


def test_the_projects_own_readme_is_up_to_date():
    readme, results = PROJECT / "README.md", PROJECT / "docs" / "results"
    names = re.findall(r"<!-- table:(\w+) -->", readme.read_text())
    named = [name for name in names if name in table_names() and (results / name).is_dir()]
    assert {path.name for path in results.iterdir()} <= set(named), "a table with committed results is not shown"
    assert set(names) - set(named) == {"ravdess_linear", "ravdess_rules"}, "a block that nothing makes"  # test_linear
    planners = [Planner(read_table(name), Path("runs")) for name in named]
    assert stale_blocks(readme, blocks(*planners, results=results)) == [], (
        "run: python cli.py report --results docs/results --readme"
    )


def test_every_committed_result_is_a_row_of_its_table_under_its_settings():
    results = PROJECT / "docs" / "results"
    counts = {}
    for folder in sorted(results.iterdir()):
        table = read_table(folder.name)
        assert {path.stem for path in folder.iterdir()} <= {row.name for row in table.rows if row.shown}
        cells = read_committed(table, results)
        assert Planner(table, Path("runs")).outdated(cells) == []
        counts |= {(table.name, name): sum(key[0] == name for key in cells) for name, *_ in cells}
    # The published network's hidden layer of 256 units and what was measured without it.
    for row, hidden in (("concat_hidden", 492_520), ("concat", 45_800)):
        assert counts["ravdess_features", row] == 36
        own = read_json(results / "ravdess_features" / f"{row}.json")["cells"]
        assert {cell["result"]["parameters"]["total"] for cell in own} == {hidden}
        assert {cell["result"]["row"] for cell in own} == {row}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("experiment: audio}", "experiment: audio, colour: red}"), "unknown key colour"),
        (
            ("provenance: secondary", "provenance: heard"),
            "row video, published: provenance: expected one of reported, authors' log",
        ),
        (("audio: audio}", "audio: voice}"), "row pair needs voice"),
        (("name: audio, label", "name: video, label"), "two rows have the same name"),
        (("folds: [0, 1, 2]", "folds: 3"), "folds: expected a list"),
        (("folds: [0, 1, 2]", "folds: [0, 1, 0]"), "folds: 0 comes twice and would count twice"),
        (("accuracy: 60.5", "accuracy: .nan"), "published accuracy is nan, no number"),
        (("{model.init_args.width: 64}", "[model.init_args.width]"), "row pair: overrides: expected a mapping"),
        (("corpus: toy\n", ""), "table: corpus: required"),
        (("[paper, honest]", "[paper, rude]"), "protocols: expected one of paper, honest. Got value: rude"),
        (("label: Audio alone, ", "label: Audio alone, needs: {x: pair}, "), "rows need each other: audio, pair"),
        (("experiment: audio}", "experiment: sound}"), "sound.yaml: No such file"),
        (("rows:", "rows: none\nextra:"), "unknown key extra"),
        (("  - {name: video", "  -- {name: video"), "not valid YAML"),
        (("synthetic:", "missing: {rates: [0.5]}\nsynthetic:"), "missing: give rates and modalities"),
        (("synthetic:", "missing: {rates: [2], modalities: [audio]}\nsynthetic:"), "numbers from 0 to 1"),
        (("synthetic:", "missing: {rates: [1], modalities: [audio], rows: [x]}\nsynthetic:"), "x is no row"),
    ],
)
def test_a_wrong_table_is_one_line(project, change, message):
    path = project / "experiments/tables/toy.yaml"
    text = path.read_text()
    assert change[0] in text
    path.write_text(text.replace(*change))
    with pytest.raises(DataError) as caught:
        report.run(options("toy"), HERE)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_table_may_be_of_recall_and_keep_rows_back(project):
    path = Path("experiments/tables/toy.yaml")
    text = (
        path.read_text()
        .replace("corpus: toy", "corpus: toy\nmetric: uar\nunpublished: lost")
        .replace("[paper, honest]", "[honest]")
    )
    text = text.replace("seeds: {paper: [1, 2], honest: [1]}", "seeds: [1]").replace(
        "name: audio,", "name: audio, shown: false,"
    )
    path.write_text(text)
    summary = summary_of(fill())
    assert [row.row.name for row in summary.rows] == ["video", "pair"]
    means = []
    for fold in range(3):
        found = read_cell(Path(f"runs/toy/video/honest-fold{fold}-seed1")).predictions["selected"]
        right = found.targets == found.predicted
        means.append(np.mean([right[found.targets == label].mean() for label in np.unique(found.targets)]))
    score = summary.rows[0].scores["honest"]
    assert score.mean == pytest.approx(np.mean(means))
    assert score.interval[0] < score.uar < score.interval[1]
    assert summary.majority == 1 / len(np.unique(found.targets))
    added = [share for _, share in score.hits.values()]
    assert sum(added) == pytest.approx(sum(means))  # every clip adds its part to the recall of its fold
    sheet = report_tables.main_table(summary)
    assert sheet.header[2] == "Honest"
    assert sheet.rows[0][1] == "lost"  # an accuracy was published, no recall
    assert "Accuracy" in sheet.header
    assert "unweighted average recall" in "".join(caveats.notes(summary))
    path.write_text(text.replace("metric: uar", "metric: luck"))
    with pytest.raises(DataError, match=r"metric: expected one of accuracy, uar\. Got value: luck"):
        read_table("toy", project=HERE)


def test_top_3_is_that_of_the_probabilities(project):
    path = Path("experiments/tables/toy.yaml")
    text = path.read_text()
    path.write_text(text.replace("corpus: toy", "corpus: toy\ntop3: true"))
    summary = summary_of(fill())
    found = []
    for fold in range(3):
        of = read_cell(Path(f"runs/toy/video/honest-fold{fold}-seed1")).predictions["selected"]
        found.append(metrics.top_k_accuracy_score(of.targets, of.probabilities, k=3, labels=range(4)))
    assert summary.rows[0].scores["honest"].top3 == pytest.approx(np.mean(found))
    text = renderings.markdown(report_tables.main_table(summary))
    assert column(text, "Top-3")["Video alone"] == f"{100 * np.mean(found):.2f}"
    assert column(text, "Top-3")["Majority class"] == "-"
    path.write_text(path.read_text().replace("top3: true", "top3: perhaps"))
    with pytest.raises(DataError, match="top3: expected true or false"):
        read_table("toy", project=HERE)


def test_of_many_classes_the_three_most_probable_are_committed(project, monkeypatch):
    planner = fill(rows=["audio"], protocols=["honest"])
    cells = read_cells(planner.table, Path("runs"))
    monkeypatch.setattr("experiments.reproduce.tables.committed._MANY", 3)
    (path,) = write_committed(planner.table, cells, Path("results"))
    assert "probabilities" not in path.read_text()
    whole, kept = (
        summarise(planner.table, cells),
        summarise(planner.table, read_committed(planner.table, Path("results"))),
    )
    assert kept.rows[1].scores["honest"].top3 == pytest.approx(whole.rows[1].scores["honest"].top3)
    assert kept.rows[1].scores["honest"].mean == whole.rows[1].scores["honest"].mean


def test_one_fold_shows_the_spread_over_seeds(project):
    path = Path("experiments/tables/toy.yaml")
    path.write_text(path.read_text().replace("folds: [0, 1, 2]", "folds: [1]"))
    summary = summary_of(fill(rows=["audio"], protocols=["paper"]))
    seeds = [read_cell(Path(f"runs/toy/audio/paper-fold1-seed{seed}")).result["selections"]["last"] for seed in (1, 2)]
    spread = np.std([of["accuracy"] for of in seeds], ddof=1)
    text = renderings.markdown(report_tables.main_table(summary))
    assert column(text, "Paper protocol, last")["Audio alone"].endswith(f"\N{PLUS-MINUS SIGN} {100 * spread:.2f}")
    assert "standard deviation over seeds" in caveats.notes(summary)[0]


def test_rows_with_other_classes_have_a_baseline_of_their_own_and_are_not_compared(project):
    planner = fill(protocols=["honest"])
    for path in Path("runs/toy/pair").rglob("predictions-*.csv"):
        path.write_text(path.read_text().replace("p_calm", "p_still"))
    alter("pair", class_names=["still", "happy", "sad", "angry"])
    summary = summary_of(planner)
    assert np.isnan(summary.majority)
    assert np.isfinite(summary.rows[1].p)
    assert np.isnan(summary.rows[2].p)
    targets = read_cell(Path("runs/toy/video/honest-fold0-seed1")).predictions["selected"].targets
    share = max(np.bincount(targets)) / len(targets)  # the toy's folds hold the same labels
    assert summary.baselines == pytest.approx(
        {f"Majority class of {name}": share for name in ("Video alone", "Pair_50 %")}
    )
    text = renderings.markdown(report_tables.main_table(summary))
    assert column(text, "Honest")["Majority class of Pair_50 %"] == f"{100 * share:.2f}"


def test_what_leaked_is_stamped_wherever_it_is_shown(project, capsys):
    planner = fill()
    assert "LEAKED" not in renderings.markdown(report_tables.main_table(summary_of(planner)))
    alter("audio", leaked=True)
    summary = summary_of(planner)
    for sheet in report_tables.report_of(summary).tables:
        assert not any(row[0] == "Audio alone" for row in sheet.rows)
    assert "LEAKED" in text_table.title(summary)
    assert report.run(options("toy"), HERE) == 0
    assert "LEAKED: Audio alone" in capsys.readouterr().out
    for name in ("toy.md", "toy.tex", "toy.html"):
        text = (Path("runs/report") / name).read_text()
        assert text.count("Audio alone") == text.count("LEAKED: Audio alone")


def test_a_result_of_before_the_stamp_did_not_leak(project):
    fill(rows=["audio"])
    for path in Path("runs/toy/audio").rglob("result.json"):
        write_json(path, {name: value for name, value in read_json(path).items() if name != "leaked"})
    assert read_cell(path.parent).result["leaked"] is False


def test_rows_may_stand_once_per_value_of_an_option(project):
    text = Path("experiments/tables/toy.yaml").read_text()
    vary = 'vary: {option: data.window, values: [1, 8], label: "{label}, {value} s", rows: [audio]}\n'
    overlay = text.replace("synthetic:\n", f"{vary}synthetic:\n  values: [2]\n").replace(", audio: audio}", "}")
    Path("experiments/tables/toy.yaml").write_text(overlay)
    table = read_table("toy", project=HERE)
    assert [row.name for row in table.rows] == ["video", "pair", "audio-1", "audio-8"]
    assert table.row("audio-8").label == "Audio alone, 8 s"
    assert table.row("audio-8").overrides == {"data.window": 8}
    assert [row.name for row in read_table("toy", synthetic=True, project=HERE).rows] == ["video", "pair", "audio-2"]
    Path("experiments/tables/toy.yaml").write_text(overlay.replace("rows: [audio]", "rows: [radio]"))
    with pytest.raises(DataError, match="radio is no row"):
        read_table("toy", project=HERE)


def test_the_stand_in_may_have_some_rows_alone(project):
    text = Path("experiments/tables/toy.yaml").read_text()
    Path("experiments/tables/toy.yaml").write_text(text.replace("synthetic:\n", "synthetic:\n  rows: [audio]\n"))
    assert [row.name for row in read_table("toy", synthetic=True, project=HERE).rows] == ["audio"]
    assert len(read_table("toy", project=HERE).rows) == 3
    for wrong, message in (
        ("[radio]", "some of video, audio, pair"),
        ("audio", "rows: expected a list"),
        ("[pair]", "is no row"),
    ):
        Path("experiments/tables/toy.yaml").write_text(text.replace("synthetic:\n", f"synthetic:\n  rows: {wrong}\n"))
        with pytest.raises(DataError, match=message):
            read_table("toy", synthetic=True, project=HERE)


def test_a_missing_table_lists_those_there_are(project):
    with pytest.raises(DataError, match=r"no table 'nope' .*; tables: toy"):
        report.run(options("nope"), HERE)


@pytest.mark.parametrize("name", ["../../x", "..", ".", '""', '" x"', '"a\\nb"', "/etc/x", "a\\b", '"a\\0"'])
@pytest.mark.parametrize(
    ("old", "new", "where"),
    [
        ("{name: audio,", "{{name: {name},", "name of a row"),
        ("corpus: toy", "corpus: {name}", "corpus"),
        ("experiment: audio", "experiment: {name}", "experiment"),
    ],
)
def test_a_name_of_a_table_is_no_path(project, name, old, new, where):
    path = Path("experiments/tables/toy.yaml")
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new.format(name=name), 1))
    with pytest.raises(DataError, match=rf"tables/toy.yaml: .*{where}: .* cannot be the name of a file: ") as caught:
        read_table("toy", project=HERE)
    assert "\n" not in str(caught.value)


def test_values_modalities_and_the_tables_own_name_are_no_paths_either(project):
    path = Path("experiments/tables/toy.yaml")
    text = path.read_text()
    vary = 'vary: {option: data.window, values: [../../x], label: "{label}", rows: [audio]}\n'
    for more, where in (
        (vary, "name of a row: 'audio-../../x'"),
        ("missing: {rates: [0.5], modalities: [../audio]}\n", "missing: modality: '../audio'"),
        ("missing: {subsets: [[audio, ../../x]]}\n", "missing: modality: '../../x'"),
    ):
        path.write_text(text.replace(", audio: audio}", "}").replace("synthetic:\n", f"{more}synthetic:\n"))
        with pytest.raises(DataError, match=f"{re.escape(where)} cannot be the name of a file"):
            read_table("toy", project=HERE)
    for name in ("a\nb.yaml", "...yaml", " a.yaml"):
        path.with_name(name).write_text(text)
        with pytest.raises(DataError, match=r"the table's own name: .* cannot be the name of a file"):
            read_table(str(path.with_name(name)))


def test_the_projects_tables_are_whole():
    assert "cfnsr" in table_names()
    for name in table_names():
        for synthetic in (False, True):
            table = read_table(name, synthetic=synthetic)
            assert table.synthetic == synthetic
            for row in table.rows:
                assert (PROJECT / "experiments" / f"{row.experiment}.yaml").exists(), row.name


def test_tables_and_reports_do_not_import_torch(project):
    fill(rows=["audio"])
    make_store(project / "data" / "toy", synthetic=False)
    code = """
import sys, argparse
from pathlib import Path
from experiments.report import command as report
from experiments.reproduce import command as reproduce
parser = argparse.ArgumentParser()
reproduce.add_arguments(parser)
assert reproduce.run(parser.parse_args(["toy", "--dry-run"]), Path()) == 0
parser = argparse.ArgumentParser()
report.add_arguments(parser)
args = parser.parse_args(["toy"])
heavy = {"torch", "lightning", "pandas", "torchmetrics", "matplotlib"} & set(sys.modules)
assert not heavy, heavy
assert report.run(args, Path()) == 0
heavy = {"torch", "lightning", "torchmetrics", "matplotlib.pyplot"} & set(sys.modules)  # its tables group with pandas
assert not heavy, heavy
"""
    process = subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": str(PROJECT), "PATH": ""},
                             capture_output=True, text=True)  # fmt: skip
    assert process.returncode == 0, process.stderr
