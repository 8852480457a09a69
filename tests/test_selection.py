"""An epoch is called selected only where one was: refused at the start, or said to be unselected at the end."""

import contextlib
import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from fabricated import make_project
from jsonargparse import ArgumentParser
from test_elsewhere import classes

import cli
from experiments.reproduce.plan import Planner, Selection
from experiments.reproduce.tables.table_file import read_table
from experiments.results.cell import read_cell

ROOT = Path(__file__).resolve().parents[1]
AUDIO = ["fit", "--config", str(ROOT / "experiments" / "ravdess_audio.yaml"), "--trainer.max_epochs", "3"]
STOPPING = {"monitor": "train_loss", "stopping_threshold": 1e9, "check_on_train_epoch_end": True}
KEEPS_NONE = [
    {"class_path": "ModelCheckpoint", "init_args": {"monitor": "val_score", "filename": "best", "save_top_k": 0}}
]
STOP = ["--trainer.callbacks+", json.dumps({"class_path": "EarlyStopping", "init_args": STOPPING})]


@pytest.fixture
def fit(ravdess, tmp_path, monkeypatch, capsys, unrendered):
    monkeypatch.setattr("callbacks.profile.ModelProfile._measure", lambda *_: None, raising=False)

    def call(*options):
        where = ["--data.root", str(ravdess), "--trainer.default_root_dir", str(tmp_path)]
        code = cli.main([*AUDIO, *where, *options])
        return code, *capsys.readouterr()

    return call


@pytest.mark.parametrize("options", [
    ["--trainer.limit_val_batches", "0"],
    ["--trainer.limit_val_batches", "0.0"],
    ["--trainer.check_val_every_n_epoch", "4"],
    ["--trainer.max_steps", "3"],
    ["--trainer.max_steps", "3", "--data.protocol", "paper"],
    ["--trainer.max_steps", "9", "--trainer.check_val_every_n_epoch", "3"],
    ["--trainer.callbacks", "[]"],
    ["--trainer.callbacks", json.dumps(KEEPS_NONE)],
    ["--trainer.limit_train_batches", "0"],
    ["--trainer.max_steps", "0"],
    ["--trainer.val_check_interval", "99"],
    ["--trainer.val_check_interval", "99", "--trainer.check_val_every_n_epoch", "null"],
], ids=" ".join)  # fmt: skip
def test_a_run_that_can_never_select_is_refused(fit, tmp_path, options):
    code, out, err = fit("--data.protocol", "honest", "--data.batch_size", "16", *options)
    assert code == 2
    reason = err.partition("error: ")[2]
    assert options[0] in reason
    assert len(reason.splitlines()) <= 2
    assert "Traceback" not in err
    assert "selected," not in out
    assert not (tmp_path / "result.json").exists()
    assert not list(tmp_path.glob("checkpoints/*"))


def test_a_run_that_ends_before_its_first_validation_says_so(fit, tmp_path):
    code, out, _ = fit("--data.protocol", "honest", "--trainer.check_val_every_n_epoch", "2", *STOP)
    assert code == 0
    assert "\nnot selected, epoch 1: accuracy" in f"\n{out}"
    assert "selected: not selected, no epoch was validated" in out
    cell = read_cell(tmp_path)
    assert {name: of["epoch"] for name, of in cell.result["selections"].items()} == {"unselected": 0}
    assert list(cell.predictions) == ["unselected"]
    assert not (tmp_path / "predictions-selected.csv").exists()


def test_under_paper_the_last_epoch_stays_a_result(fit, tmp_path):
    code, out, _ = fit("--trainer.check_val_every_n_epoch", "2", *STOP)
    assert code == 0
    assert "best: not selected" in out
    assert {name: of["epoch"] for name, of in read_cell(tmp_path).result["selections"].items()} == {"last": 0}


def test_epochs_that_were_not_validated_have_no_scores(fit, tmp_path):
    code, out, _ = fit("--data.protocol", "honest", "--trainer.check_val_every_n_epoch", "2")
    assert code == 0
    assert "selected, epoch 2: accuracy" in out
    with (tmp_path / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [bool(row["val_score"]) for row in rows] == [False, True, False]
    assert {name for name, value in rows[2].items() if not value} == {
        name for name in rows[2] if name.startswith("val_")
    }
    assert all(row["train_loss"] for row in rows)


@pytest.mark.parametrize("option", [["--trainer.max_steps", "5"], ["--trainer.max_steps", "7"]], ids=" ".join)
def test_training_that_stops_inside_a_later_epoch_tells_true_epochs(fit, tmp_path, option):
    code, out, _ = fit(*option, "--data.batch_size", "16")
    assert code == 0
    steps = int(option[1])
    with (tmp_path / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    # No epoch repeats what an earlier one said: of one that training stopped inside there is nothing to say.
    assert [bool(row["train_loss"]) for row in rows] == [True, False][: len(rows)]
    assert [bool(row["val_loss"]) for row in rows] == [True, False][: len(rows)]
    assert f"last, epoch {-(-steps // 5)}: accuracy" in out
    assert "best, epoch 1 (" in out
    assert {name: of["epoch"] for name, of in read_cell(tmp_path).result["selections"].items()} == {
        "best": 0,
        "last": -(-steps // 5) - 1,
    }


def test_a_run_that_keeps_no_last_checkpoint_tells_true_epochs(fit, tmp_path):
    selecting = {"monitor": "val_score", "mode": "max", "filename": "best", "save_on_train_epoch_end": True}
    checkpoint = {"class_path": "lightning.pytorch.callbacks.ModelCheckpoint", "init_args": selecting}
    code, out, _ = fit("--trainer.callbacks", json.dumps([checkpoint]))
    assert code == 0
    assert "last, epoch 3: accuracy" in out
    assert (tmp_path / "predictions-best.csv").exists()  # what a result is made of records without being named


LIMITS = ("limit_train_batches", "limit_val_batches", "limit_test_batches", "limit_predict_batches")
COUNTS = (*LIMITS, "overfit_batches", "val_check_interval")
PARSE = """
import sys, json
{before}
from experiments.train.command import import_all
from experiments.train.emotion_cli import EmotionCLI
import_all()
class Parsed(Exception): pass
class Parsing(EmotionCLI):
    def instantiate_classes(self): raise Parsed(self.config)
for words in json.loads(sys.argv[1]):
    try:
        Parsing(["fit", *words])
    except Parsed as parsed:
        given = parsed.args[0].fit.trainer
        print(json.dumps([given[name] for name in {names!r}]))
"""


@pytest.mark.parametrize(
    "before",
    [
        pytest.param("", id="nothing", marks=pytest.mark.slow),
        pytest.param(
            "import typing; typing.Optional[typing.Union[float, int]]; import transformers", id="transformers"
        ),
    ],
)
def test_one_batch_is_one_batch_whatever_was_imported_before(tmp_path, before):
    (tmp_path / "counts.yaml").write_text("trainer: {" + ", ".join(f"{name}: 1" for name in COUNTS) + "}")
    ways = [[word for name in COUNTS for word in (f"--trainer.{name}", text)] for text in ("1", "1.0", "0.5")]
    ways = [[*AUDIO[1:3], *way] for way in [*ways, ["--config", "counts.yaml"]]]
    command = [sys.executable, "-W", "ignore", "-c", PARSE.format(before=before, names=COUNTS), json.dumps(ways)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("[")]
    expected = [(int, 1), (float, 1.0), (float, 0.5), (int, 1)]
    assert [{(type(value), value) for value in values} for values in found] == [{one} for one in expected]


def test_a_table_gives_one_batch_as_a_count(tmp_path):
    """Overrides of a row reach the cell as options."""
    path = tmp_path / "experiments" / "tables" / "toy.yaml"
    make_project(tmp_path)
    path.write_text(path.read_text().replace("overrides: {", "overrides: {trainer.limit_val_batches: 1, "))
    planner = Planner(read_table("toy", project=tmp_path), Path("runs"), tmp_path)
    command = next(job for job in planner.jobs(Selection()) if "/pair/" in job.name).command
    assert command[command.index("--trainer.limit_val_batches") + 1] == "1"


def test_no_argument_of_ours_takes_a_share_before_a_count():
    """The parser takes the first type that fits."""
    for package in ("lightning_modules", "datamodules", "callbacks"):
        for kind in classes(package, object):
            parser = ArgumentParser(exit_on_error=False)
            with contextlib.suppress(ValueError):  # errors, which are not made from options
                parser.add_class_arguments(kind, "x", fail_untyped=False)
            for action in parser._actions:
                kinds = getattr(getattr(action, "_typehint", None), "__args__", ())
                assert not {int, float} <= set(kinds) or kinds.index(int) < kinds.index(float), (kind, action.dest)
