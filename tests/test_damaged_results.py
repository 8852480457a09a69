"""Result files that are not what a run wrote: every one is one line that names it, and nothing is reported of it."""

import argparse
import csv
import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
from fabricated import CLASSES, make_cell, make_project

import cli
from callbacks.history import History
from datamodules.errors import DataError
from experiments.report import command as report
from experiments.reproduce.plan import Planner
from experiments.reproduce.tables.committed import read_committed, write_committed
from experiments.reproduce.tables.finished_cells import read_cells
from experiments.reproduce.tables.table_file import read_table
from experiments.results.cell import read_cell, read_curves, read_json, state
from experiments.results.needs import recorded_request
from experiments.results.predictions import read_predictions
from experiments.results.request import data_fingerprint, data_manifest, request_from_command
from experiments.settings.config import PROJECT
from lightning_modules.errors import TaskError

REQUEST = {"fold": 0, "seed": 1, "protocol": "paper", "settings": {"data": {"init_args": {"root": "x"}}}}
OTHER_KINDS = ["[]", '"text"', "null", "3", "{", "", "\x00", '{"a": NaN}', "[" * 100_000, '{"a": ' + "1" * 5000 + "}"]


@pytest.fixture
def cell(tmp_path):
    make_cell(tmp_path / "cell", REQUEST, row="video")
    return tmp_path / "cell"


def one_line(call, *named):
    with pytest.raises(DataError) as caught:
        call()
    text = str(caught.value)
    assert "\n" not in text
    assert all(name in text for name in named), text
    return text


@pytest.mark.parametrize("text", OTHER_KINDS, ids=range(len(OTHER_KINDS)))
@pytest.mark.parametrize("name", ["result.json", "request.json"])
def test_another_kind_of_json_is_named(cell, name, text):
    (cell / name).write_text(text)
    reads = [lambda: state(cell, REQUEST), lambda: read_cell(cell)]
    if name == "request.json":
        (cell / "result.json").unlink()
        (cell / "checkpoints").mkdir()
        (cell / "checkpoints" / "last.ckpt").touch()
        reads = [lambda: state(cell, REQUEST), lambda: recorded_request(cell)]
        reads.append(lambda: started_from(cell / "checkpoints" / "last.ckpt"))
    for read in reads:
        one_line(read, name)


def started_from(checkpoint):
    """The request of a run that starts from a checkpoint: it holds the hash of that checkpoint's own."""
    config = PROJECT / "experiments" / "ravdess_features.yaml"
    options = ["--config", str(config), "--model.init_from", json.dumps({"video": str(checkpoint)})]
    return request_from_command(options, corpus="ravdess_features", data="x")


@pytest.mark.parametrize("settings", [[], {"data": []}, {"data": {"init_args": 3}}], ids=str)
def test_a_request_whose_settings_are_none_is_named(cell, settings):
    (cell / "request.json").write_text(json.dumps({**REQUEST, "settings": settings}))
    one_line(lambda: recorded_request(cell), "request.json")


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"class_names": ["a", "a", "b", "c"]}, "class_names"),
        ({"class_names": []}, "class_names"),
        ({"class_names": [1, 2, 3, 4]}, "class_names"),
        ({"selections": {"best": 3}}, "selections.best is 3"),
        ({"selections": {"best": {"epoch": "2", "accuracy": 0.5, "uar": 0.5, "f1": 0.5}}}, "epoch is '2'"),
        ({"selections": {"best": {"epoch": 2, "accuracy": "0.5", "uar": 0.5, "f1": 0.5}}}, "accuracy is '0.5'"),
        ({"parameters": {"total": "many", "trainable": 1, "stages": {}}}, "parameters.total is 'many'"),
        ({"parameters": {"total": 1, "trainable": 1, "stages": []}}, "parameters.stages"),
        ({"fold": True}, "fold is True"),
        ({"seconds": None}, "seconds is None"),
    ],
    ids=str,
)
def test_a_result_of_another_shape_is_named(cell, change, text):
    result = read_json(cell / "result.json")
    (cell / "result.json").write_text(json.dumps({**result, **change}))
    assert text in one_line(lambda: read_cell(cell), "result.json")


def test_predictions_cut_short_are_refused(cell, capsys):
    """Not reported with the n of the whole."""
    path = cell / "predictions-last.csv"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[:46]))
    text = one_line(lambda: read_cell(cell), str(path))
    assert "45 clips, the result says n_test 80" in text
    path.write_text("".join([*lines, lines[-1].replace("03-19", "03-20")]))
    assert "81 clips" in one_line(lambda: read_cell(cell), str(path))


def test_missing_predictions_cut_short_are_refused(cell):
    path = cell / "missing" / "audio-0.50" / "predictions-last.csv"
    path.parent.mkdir(parents=True)
    shutil.copy(cell / "predictions-last.csv", path)
    assert read_cell(cell).missing["audio"][0.5]["last"].ids == read_cell(cell).predictions["last"].ids
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-3]))
    assert "77 clips" in one_line(lambda: read_cell(cell), str(path))


def test_clips_without_a_label_count_among_all_and_are_scored_by_nobody(cell):
    path = cell / "predictions-last.csv"
    header, first, *rest = path.read_text().splitlines()
    name, group, _, *shares = first.split(",")
    path.write_text("\n".join([header, ",".join([name, group, "", *shares]), *rest]) + "\n")
    found = read_cell(cell).predictions["last"]
    assert len(found.ids) == 79
    assert found.unlabelled == 1


def test_a_foreign_folder_among_the_missing_is_named(cell):
    (cell / "missing" / "audio-half").mkdir(parents=True)
    one_line(lambda: read_cell(cell), "audio-half")


HEADER = "id,group,target,p_calm,p_happy,p_sad,p_angry\n"


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (HEADER + "a,01,4,1,0,0,0\n", "target"),
        (HEADER + "a,01,-1,1,0,0,0\n", "target"),
        (HEADER + "a,01," + "9" * 30 + ",1,0,0,0\n", "expected columns"),
        (HEADER + "a,01,sad,1,0,0,0\n", "expected columns"),
        (HEADER + "a,01\n", "another number of cells"),
        (HEADER + "a,01,0,1,0,0,0,0\n", "another number of cells"),
        (HEADER + "a,01,0,inf,0,0,0\n", "not finite"),
        (HEADER + "a,01,0,0.5,0,0,0\n", "add up to 1"),
        (HEADER + "a,01,,1,0,0,0\n", "no rows"),
        (HEADER.replace("target", "label") + "a,01,0,1,0,0,0\n", "expected columns"),
        (HEADER[:-1] + ",gate_audio\na,01,0,1,0,0,0,nan\n", "gate"),
        ("", "no rows"),
        (b"\xff\xfe\x00", "expected columns"),
        (HEADER.encode() + b'"' + b"a" * 200_000 + b"\n", "expected columns"),
    ],
)
def test_predictions_that_no_model_can_have_made_are_named(tmp_path, content, text):
    path = tmp_path / "predictions-last.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    assert text in one_line(lambda: read_predictions(path, CLASSES), str(path))


@pytest.mark.parametrize(
    "content",
    ["epoch,val_loss\n0,1\n1\n", "epoch,val_loss\n0,1,2\n", "epoch,val_loss\n0,much\n", b"\xff\xfe", "a\x00b\n"],
)
def test_damaged_curves_are_named(cell, content):
    path = cell / "metrics.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    if content != "a\x00b\n":  # a header alone has no rows to be wrong
        one_line(lambda: read_curves(path), "metrics.csv")
        one_line(lambda: read_cell(cell), "metrics.csv")


@pytest.mark.parametrize(
    "content", ["epoch,seconds\nx,1\n", "epoch\n0\n", "epoch,seconds\n0\n", "seconds\n1\n", b"\xff"]
)
def test_a_run_does_not_go_on_over_damaged_curves(tmp_path, content):
    path = tmp_path / "metrics.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(TaskError, match=r"metrics\.csv is damaged") as caught:
        History().on_train_start(SimpleNamespace(default_root_dir=tmp_path, current_epoch=1), None)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", [*OTHER_KINDS, "{}", '{"fingerprint": 3, "synthetic": false}', '{"fingerprint": "f"}'])
def test_a_damaged_manifest_is_named(tmp_path, text):
    (tmp_path / "prepared").mkdir()
    (tmp_path / "prepared" / "COMPLETE").touch()
    (tmp_path / "prepared" / "manifest.json").write_text(text)
    one_line(lambda: data_manifest(tmp_path), "manifest.json")
    one_line(lambda: data_fingerprint([tmp_path]), "manifest.json")


@pytest.fixture
def committed(tmp_path, monkeypatch):
    """A table and the committed results of its row ``audio``."""
    project = make_project(tmp_path)
    monkeypatch.chdir(project)
    planner = Planner(read_table("toy", project=Path()), Path("runs"), Path())
    for job in planner.jobs(SimpleNamespace(rows=["audio"], folds=None, seeds=None, protocols=None)):
        make_cell(job.directory, job.request, row="audio")
    (path,) = write_committed(planner.table, read_cells(planner.table, Path("runs")), Path("results"))
    return planner.table, path


def first_of(content, *names):
    for name in names:
        content = content[name]
    return content


CELL = ("cells", 0)
LAST = (*CELL, "predictions", "last")
COMMITTED = {
    "schema": (("schema",), 9),
    "cells": (("cells",), {"a": 1}),
    "cells null": (("cells",), None),
    "clips": (("clips",), []),
    "cell": (CELL, 3),
    "result": ((*CELL, "result"), []),
    "a field": ((*CELL, "result", "n_test"), "80"),
    "two cells of one place": (("cells", 1), "copy"),
    "n_test": ((*CELL, "result", "n_test"), 81),
    "predictions": ((*CELL, "predictions"), {}),
    "place of clips": ((*LAST, "clips"), 99),
    "negative place": ((*LAST, "clips"), -1),
    "no place": ((*LAST, "clips"), None),
    "predicted": ((*LAST, "predicted"), [0, 1]),
    "predicted class": ((*LAST, "predicted", 3), 4),
    "predicted word": ((*LAST, "predicted", 3), "sad"),
    "ragged probabilities": ((*LAST, "probabilities", 3), [1]),
    "no probabilities": ((*LAST, "probabilities", 3), None),
    "probabilities": ((*LAST, "probabilities", 3), [0, 0, 0, 0]),
    "target": (("clips", 0, "targets", 3), -1),
    "huge target": (("clips", 0, "targets", 3), 10**30),
    "ids": (("clips", 0, "ids"), "abc"),
    "an id": (("clips", 0, "ids", 3), 7),
    "an id twice": (("clips", 0, "ids", 3), "00-00"),
    "groups": (("clips", 0, "groups"), ["a"]),
    "curves": ((*CELL, "curves"), 3),
    "a curve": ((*CELL, "curves", "epoch"), ["one"]),
    "missing": ((*CELL, "missing"), []),
    "a rate": ((*CELL, "missing"), {"audio": {"half": {}}}),
}


@pytest.mark.parametrize("name", COMMITTED)
def test_damaged_committed_results_are_named(committed, name):
    table, path = committed
    whole = json.loads(path.read_text())
    assert len(read_committed(table, Path("results"))) == 9
    (*places, last), value = COMMITTED[name]
    first_of(whole, *places)[last] = whole["cells"][0] if value == "copy" else value
    path.write_text(json.dumps(whole))
    one_line(lambda: read_committed(table, Path("results")), str(path))


@pytest.mark.parametrize("text", OTHER_KINDS, ids=range(len(OTHER_KINDS)))
def test_committed_results_of_another_kind_are_named(committed, text):
    table, path = committed
    path.write_text(text)
    one_line(lambda: read_committed(table, Path("results")), str(path))


def test_committed_predictions_cut_short_are_refused(committed):
    table, path = committed
    whole = json.loads(path.read_text())
    for clips in whole["clips"]:
        for name in clips:
            clips[name] = clips[name][:45]
    for cell in whole["cells"]:
        for of in cell["predictions"].values():
            of.update({name: of[name][:45] for name in ("predicted", "probabilities")})
    path.write_text(json.dumps(whole))
    assert "45 clips, the result says n_test 80" in one_line(lambda: read_committed(table, Path("results")), str(path))


def test_committed_results_keep_how_many_clips_have_no_label(committed):
    table, _ = committed
    for folder in Path("runs").rglob("predictions-*.csv"):
        header, first, *rest = folder.read_text().splitlines()
        name, group, _, *shares = first.split(",")
        folder.write_text("\n".join([header, ",".join([name, group, "", *shares]), *rest]) + "\n")
    write_committed(table, read_cells(table, Path("runs")), Path("results"))
    assert all(of.unlabelled == 1 for cell in read_committed(table, Path("results")).values()
               for of in cell.predictions.values())  # fmt: skip


def test_the_committed_results_of_this_project_are_whole():
    found = [read_committed(read_table(path.name, project=PROJECT), path.parent)
             for path in sorted((PROJECT / "docs" / "results").iterdir())]  # fmt: skip
    assert sum(map(len, found)) >= 262


def test_a_report_is_not_made_of_a_damaged_cell(committed):
    path = next(Path("runs/toy/audio").glob("*/predictions-last.csv"))
    path.write_text(path.read_text()[:300])
    parser = argparse.ArgumentParser()
    report.add_arguments(parser)
    one_line(lambda: report.run(parser.parse_args(["toy"]), Path()), str(path))
    assert not Path("runs/report").exists()


@pytest.mark.usefixtures("unrendered")
def test_fewer_clips_than_the_fold_has_are_counted_as_scored(ravdess_features, tmp_path):
    fit = ["fit", "--config", "experiments/ravdess_features.yaml", "--data.root", str(ravdess_features)]
    fit += ["--trainer.max_epochs", "1", "--trainer.limit_test_batches", "0.5", "--data.batch_size", "4"]
    assert cli.main([*fit, "--trainer.default_root_dir", str(tmp_path)]) == 0
    with (tmp_path / "predictions-last.csv").open(newline="") as file:
        rows = len(list(csv.DictReader(file)))
    assert rows == 8
    assert read_cell(tmp_path).result["n_test"] == rows
