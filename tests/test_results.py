import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from fabricated import CLASSES, make_cell, write, write_predictions

from datamodules.errors import DataError
from experiments.results.cell import read_cell, read_json, run_directory, state, write_json, write_result
from experiments.results.predictions import read_predictions

REQUEST = {"fold": 0, "seed": 1, "protocol": "paper", "settings": {"lr": 0.001}}
OTHER = {**REQUEST, "settings": {"lr": 0.002}}


@pytest.fixture
def cell(tmp_path):
    make_cell(tmp_path / "cell", REQUEST, row="video")
    return tmp_path / "cell"


def test_run_directories():
    assert run_directory("cfnsr", "paper", 3, 1, row="video") == Path("runs/cfnsr/video/paper-fold3-seed1")
    assert run_directory("cfnsr", "honest", 0, 2, synthetic=True) == Path("runs/synthetic/cfnsr/honest-fold0-seed2")


def test_states(cell, tmp_path):
    assert state(cell, REQUEST) == "done"
    assert state(cell, OTHER) == "changed"
    assert state(tmp_path / "nowhere", REQUEST) == "missing"
    (cell / "result.json").unlink()
    assert state(cell, REQUEST) == "missing"  # nothing to continue from
    write(cell / "checkpoints" / "last.ckpt", "")
    assert state(cell, REQUEST) == "partial"
    assert state(cell, OTHER) == "changed"
    (cell / "request.json").unlink()
    assert state(cell, REQUEST) == "changed"  # a checkpoint of unknown origin is not continued


def test_a_cell_reads_back(cell):
    rng = np.random.default_rng(0)
    write_predictions(cell / "missing" / "audio-0.50" / "predictions-last.csv", 0, 0.3, rng)
    write(cell / "plots" / "attention.png", "")
    (cell / "plots" / "passwords.png").symlink_to("../../elsewhere.png")  # of a folder that came from somebody else
    os.mkfifo(cell / "plots" / "endless.png")
    write(cell / "predictions-test.csv", "left by a test run")
    read = read_cell(cell)
    assert set(read.predictions) == {"best", "last"}
    assert read.result["schema"] == 1
    assert read.curves["val_accuracy"] == pytest.approx([0.2, 0.3, 0.4, 0.5])
    assert list(read.missing) == ["audio"]
    assert list(read.missing["audio"][0.5]) == ["last"]
    assert [path.name for path in read.plots] == ["attention.png"]
    best = read.predictions["best"]
    assert best.probabilities.shape == (80, len(CLASSES))
    assert np.mean(best.targets == best.predicted) == pytest.approx(read.result["selections"]["best"]["accuracy"])


def test_p9_a_repeated_clip_counts_once(cell):
    path = cell / "predictions-last.csv"
    before = read_predictions(path, CLASSES)
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines, *lines[1:6]]) + "\n")
    after = read_predictions(path, CLASSES)
    assert after.ids == before.ids
    np.testing.assert_array_equal(after.predicted, before.predicted)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"fold": "0"}, "fold is '0'"),
        ({"seconds": None}, "seconds is None"),
        ({"synthetic": 1}, "synthetic is 1"),
        ({"surprise": 1}, "unknown field surprise"),
        ({"parameters": {"total": 1}}, "parameters.trainable"),
        ({"selections": {"best": {"epoch": 1}}}, "selections.best lacks accuracy"),
        ({"request_hash": "0" * 64}, "request_hash"),
        ({"latency_ms": float("nan")}, "not JSON compliant"),
    ],
)
def test_a_wrong_result_is_not_written(cell, change, message):
    result = {**read_json(cell / "result.json"), **change}
    (cell / "result.json").unlink()
    with pytest.raises(ValueError, match=message):
        write_result(cell, result)
    assert not (cell / "result.json").exists()


def test_a_result_needs_all_fields_and_its_predictions(cell):
    result = read_json(cell / "result.json")
    with pytest.raises(ValueError, match="device is missing"):
        write_result(cell, {name: value for name, value in result.items() if name != "device"})
    (cell / "predictions-last.csv").unlink()
    with pytest.raises(ValueError, match=r"predictions-last\.csv is not there"):
        write_result(cell, result)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("result.json", "{"),
        ("result.json", '{"schema": 99}'),
        ("predictions-best.csv", "id,group,target\na,01,0\n"),
        ("predictions-best.csv", "id,group,target,p_calm,p_happy,p_sad,p_angry\n"),
        ("predictions-best.csv", "id,group,target,p_calm,p_happy,p_sad,p_angry\na,01,0,nan,0,0,0\n"),
        ("predictions-best.csv", "id,group,target,p_calm,p_happy,p_sad,p_angry\na,01,0,0.5\n"),
    ],
)
def test_a_damaged_cell_is_named(cell, name, text):
    (cell / name).write_text(text)
    with pytest.raises(DataError, match=name) as caught:
        read_cell(cell)
    assert "\n" not in str(caught.value)


def test_write_json_keeps_the_old_file_when_it_fails(tmp_path):
    path = tmp_path / "x.json"
    write_json(path, {"a": 1})
    with pytest.raises(ValueError, match="JSON"):
        write_json(path, {"a": float("inf")})
    assert json.loads(path.read_text()) == {"a": 1}
    assert [entry.name for entry in tmp_path.iterdir()] == ["x.json"]


def test_a_copied_cell_keeps_its_numbers(cell, tmp_path):
    shutil.copytree(cell, tmp_path / "copy")
    assert read_cell(tmp_path / "copy").result == read_cell(cell).result
