"""What the figures of a table stand on: numbers of clips, training runs, tests, versions of the code."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from fabricated import alter, column, fill, make_cell, make_project, write_predictions

from experiments.report import renderings
from experiments.report.command import summary_of
from experiments.report.tables import caveats, report_tables
from experiments.reproduce.plan import Planner, Selection
from experiments.reproduce.tables.table_file import read_table
from experiments.results import quantities
from experiments.results.cell import read_cell, read_json, write_json

HERE = Path()


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(make_project(tmp_path))
    return tmp_path


def rows_of(planner):
    return {row.row.name: row for row in summary_of(planner).rows}


def by_speaker(row, other, protocol="honest", selection="selected", seeds=(1,)):
    """Difference of two rows in hits by speaker, the seeds of a clip averaged, from the files alone."""
    totals = {}
    for sign, name in ((1, row), (-1, other)):
        for fold in range(3):
            for seed in seeds:
                found = read_cell(Path(f"runs/toy/{name}/{protocol}-fold{fold}-seed{seed}")).predictions[selection]
                for speaker, hit in zip(found.groups, found.targets == found.predicted, strict=True):
                    totals[speaker] = totals.get(speaker, 0) + sign * Fraction(int(hit), len(seeds))
    return list(totals.values())


def exact_p(differences):
    """Share of sign patterns at least as far from 0, by counting the sums."""
    sums = {Fraction(0): 1}
    for value in differences:
        moved = {}
        for total, count in sums.items():
            for own in (total + value, total - value):
                moved[own] = moved.get(own, 0) + count
        sums = moved
    far = sum(count for total, count in sums.items() if abs(total) >= abs(sum(differences)))
    return far / 2 ** len(differences)


def test_a_row_is_compared_with_the_nearest_above_that_was_run(project):
    planner = fill(protocols=["honest"], rows=["video"])
    table = planner.table
    for job in planner.jobs(Selection(protocols=["honest"])):
        if job.directory.parent.name == "pair":
            make_cell(job.directory, job.request, row="pair", skill=0.55)
    expected = exact_p(by_speaker("pair", "video"))
    assert 0 < expected < 1
    rows = rows_of(planner)
    assert not rows["audio"].scores
    assert rows["pair"].p == pytest.approx(expected)
    for job in planner.jobs(Selection(protocols=["paper"])):  # run, but not in the column that is compared
        if job.directory.parent.name == "audio":
            make_cell(job.directory, job.request, row="audio")
    rows = rows_of(Planner(table, Path("runs"), HERE))
    assert set(rows["audio"].scores) == {"best", "last"}
    assert np.isnan(rows["audio"].p)
    assert rows["pair"].p == pytest.approx(expected)


def test_the_seeds_of_a_clip_are_averaged_before_rows_are_paired(project):
    planner = fill(protocols=["paper"], rows=["video", "audio"])
    assert summary_of(planner).headline == "last"
    expected = exact_p(by_speaker("audio", "video", "paper", "last", seeds=(1, 2)))
    assert rows_of(planner)["audio"].p == pytest.approx(expected)
    assert rows_of(planner)["audio"].drawn == 0


def test_the_interval_of_several_seeds_is_that_of_speakers_and_seeds(project):
    planner = fill(protocols=["paper"], rows=["video"])
    # The second run finds nothing: by speakers alone the interval would know nothing of it.
    for path in Path("runs/toy/video").glob("paper-fold*-seed2/predictions-last.csv"):
        header, *lines = path.read_text().splitlines()
        wrong = ["1,0" if int(line.split(",")[2]) != 2 else "0,1" for line in lines]
        cells = [[*line.split(",")[:3], "0", "0", shares] for line, shares in zip(lines, wrong, strict=True)]
        path.write_text("\n".join([header, *map(",".join, cells)]) + "\n")
    score = rows_of(planner)["video"].scores["last"]
    assert score.seeds == 2
    low, high = score.interval
    assert low < 0.02
    runs = [np.mean([hit for clip, (_, hit) in score.hits.items()])]
    assert high > 1.8 * runs[0]


def test_how_many_clips_every_column_trains_on_is_shown(project):
    planner = fill()
    text = renderings.markdown(report_tables.main_table(summary_of(planner)))
    assert column(text, "n train / test (paper protocol)")["Video alone"] == "160 / 80"
    assert column(text, "n train / test (honest)")["Video alone"] == "80 / 80"
    assert column(text, "n train / test (honest)")["Majority class"] == "-"
    assert "(published)" not in text.replace("Parameters (published)", "")
    said = "The protocols train on different numbers of clips (paper 160, honest 80)"
    assert said in "\n".join(caveats.notes(summary_of(planner)))
    (optimism,) = [
        sheet for sheet in report_tables.report_of(summary_of(planner)).tables if sheet.title.startswith("Optimism")
    ]
    assert [row[-1] for row in optimism.rows] == ["160 / 80"] * 3
    alter("audio", n_train=160)
    path = Path("experiments/tables/toy.yaml")
    path.write_text(path.read_text().replace("accuracy: 60.5,", "accuracy: 60.5, n: 1200 / 240,"))
    summary = summary_of(Planner(read_table("toy", project=HERE), Path("runs"), HERE))
    text = renderings.markdown(report_tables.main_table(summary))
    assert column(text, "n train / test (published)") == {
        "Video alone": "1200 / 240", "Audio alone": "-", "Pair_50 %": "-", "Majority class": "-",
    }  # fmt: skip
    assert column(text, "n train / test (honest)")["Audio alone"] == "160 / 80"
    assert "(paper 160, honest 80 to 160)" in "\n".join(caveats.notes(summary))
    assert (
        len({len(row) for row in (report_tables.main_table(summary).header, *report_tables.main_table(summary).rows)})
        == 1
    )


def test_a_table_of_one_protocol_has_one_column_of_clips(project):
    path = Path("experiments/tables/toy.yaml")
    text = path.read_text().replace("[paper, honest]", "[honest]")
    path.write_text(text.replace("seeds: {paper: [1, 2], honest: [1]}", "seeds: [1]"))
    summary = summary_of(fill())
    sheet = report_tables.main_table(summary)
    assert [title for title in sheet.header if title.startswith("n train")] == ["n train / test"]
    assert {len(row) for row in sheet.rows} == {len(sheet.header)}
    assert column(renderings.markdown(sheet), "n train / test")["Audio alone"] == "80 / 80"
    assert "The protocols train on different numbers" not in "\n".join(caveats.notes(summary))


def test_a_note_says_what_p_and_interval_are_conditional_on(project):
    planner = fill(protocols=["honest"])
    notes = "\n".join(caveats.notes(summary_of(planner)))
    assert "One training run per fold: interval and p are conditional on it" in notes
    assert "bootstrap of speakers, 10,000 resamples" in notes
    assert "all sign patterns counted (exact); corrected by Holm" in notes
    assert "Several seeds" not in notes
    for path in Path("runs/toy").rglob("honest-*"):
        path.rename(path.with_name(path.name.replace("honest", "aside")))
    fill(protocols=["paper"])
    notes = "\n".join(caveats.notes(summary_of(planner)))
    assert "bootstrap of speakers and seeds" in notes
    assert "averaged before rows are paired; p is conditional on the training runs that were made" in notes
    assert "One training run" not in notes
    assert "of the seed means (seeds: paper 2)" in notes
    for path in Path("runs/toy/audio").glob("paper-fold1-seed2"):
        path.rename(path.with_name("aside"))
    notes = "\n".join(caveats.notes(summary_of(planner)))
    assert "One training run per fold (Audio alone): the interval is conditional" in notes
    assert "No p where the row above has other folds, seeds or clips." in notes  # both neighbours have a run more
    assert "Several seeds" not in notes


def test_random_sign_patterns_are_told(project, monkeypatch):
    monkeypatch.setattr("experiments.scores.metrics.statistics._SUMS", 0)
    monkeypatch.setattr("experiments.scores.metrics.statistics._PAIRED", 0)
    notes = "\n".join(caveats.notes(summary_of(fill(protocols=["honest"]))))
    assert "(exact), but in Audio alone, Pair_50 %: 10,000 random ones" in notes


def test_a_note_counts_trainings_and_what_trains_nothing(project):
    planner = fill()
    assert "Behind the table: 27 cells, 27 trainings; 34 min one after the other (CPU)." in caveats.notes(
        summary_of(planner)
    )
    for path in Path("runs/toy/video").rglob("result.json"):  # the first epoch is a training too
        result = read_json(path)
        write_json(
            path, {**result, "selections": {name: {**of, "epoch": 0} for name, of in result["selections"].items()}}
        )
    for path in Path("runs/toy/pair").rglob("result.json"):
        result = read_json(path)
        chosen = {name: {**of, "epoch": None} for name, of in result["selections"].items()}
        write_json(path, {**result, "selections": chosen, "seconds": 0.0})
    said = "Behind the table: 27 cells, 18 trainings and 9 that train nothing; 22 min one after the other (CPU)."
    assert said in caveats.notes(summary_of(planner))


def test_a_row_of_another_version_of_the_code_says_so(project):
    planner = fill()
    assert "version of the code" not in "\n".join(caveats.notes(summary_of(planner)))
    alter("video", commit="aaaa")
    alter("audio", commit="bbbb")
    alter("pair", commit="aaaa")
    said = "Measured with another version of the code than the other rows (commit aaaa): Audio alone: commit bbbb."
    assert said in caveats.notes(summary_of(planner))
    later = Path("runs/toy/pair/honest-fold0-seed1/result.json")
    write_json(later, {**read_json(later), "commit": "cccc"})  # a row of two versions shares one with another row
    said = said.replace("commit aaaa)", "commit aaaa, cccc)")
    assert said in caveats.notes(summary_of(planner))


def test_an_empty_table_says_nothing_of_cells_it_has_not(project):
    notes = caveats.notes(summary_of(Planner(read_table("toy", project=HERE), Path("runs"), HERE)))
    assert len(notes) == 4  # measured, chosen, column, what was published


def test_a_table_of_recall_says_recall_of_robustness_too(project):
    path = Path("experiments/tables/toy.yaml")
    path.write_text(path.read_text().replace("corpus: toy", "corpus: toy\nmetric: uar"))
    planner = fill(rows=["audio"], seeds=[1])
    lost = project / "runs/toy/audio/honest-fold0-seed1/missing/audio-1.00/predictions-selected.csv"
    write_predictions(lost, 0, 0.2, np.random.default_rng(0))
    titles = [sheet.title for sheet in report_tables.report_of(summary_of(planner)).tables]
    assert "UAR under missing modalities, without retraining" in titles


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(float("nan"), "-"), (89.4, "89 s"), (90, "2 min"), (5399, "90 min"), (5400, "1.5 h"), (14_049, "3.9 h")],
)
def test_durations(seconds, told):
    assert quantities.duration(seconds) == told


@pytest.mark.parametrize(
    ("value", "told"),
    [(None, "-"), (999, "999 B"), (1000, "1.00 kB"), (45_800, "45.80 kB"), (2.5e6, "2.50 MB"), (1e9, "1.00 GB"),
     (3e12, "3.00 TB")],
)  # fmt: skip
def test_quantities(value, told):
    assert quantities.quantity(value, "B") == told


def test_small_p_values_are_told_as_less(project):
    planner = fill(protocols=["honest"])
    summary = summary_of(planner)
    cells = []
    for p in (0.00099, 0.001, 0.25, float("nan")):
        given = replace(summary, rows=[replace(row, p=p) for row in summary.rows])
        cells.append(column(renderings.markdown(report_tables.main_table(given)), "p vs")["Pair_50 %"])
    assert cells == ["< 0.001", "0.001", "0.250", "-"]


def test_the_column_that_p_is_of_is_the_one_that_most_rows_have_and_of_these_the_most_honest(project):
    planner = fill(protocols=["paper"])
    assert summary_of(planner).headline == "last"
    planner = fill(protocols=["honest"], rows=["audio"])
    assert summary_of(planner).headline == "last"
    planner = fill(protocols=["honest"])
    assert summary_of(planner).headline == "honest"
