"""The file that every reported number is computed from."""

import csv
import errno
import os
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from tiny import CLASSES, PER_SPEAKER, TinyData, TinyTask, trainer

from callbacks.predictions import PredictionWriter, write_predictions
from experiments.results.predictions import read_predictions
from lightning_modules.nn.metrics import PredictionTable

NAMES = ["low", "mid", "high"]


def task_with(logits, target=None, ids=None, groups=None):
    ids = ids or [f"clip-{row}" for row in range(len(logits))]
    groups = groups or ["01"] * len(ids)
    labels = torch.empty(0) if target is None else torch.tensor(target)
    return SimpleNamespace(predictions=PredictionTable(ids, groups, torch.tensor(logits), labels))


def read(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_one_row_per_clip_with_probabilities(tmp_path):
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 6, (50, 3)).astype(np.float32)
    ids = [f"clip-{number:02d}" for number in rng.permutation(50)]
    target = rng.integers(0, 3, 50)
    path = tmp_path / "run" / "predictions-best.csv"  # the folder is made
    write_predictions(path, task_with(logits, target, ids, [f"g{clip}" for clip in ids]), NAMES)
    assert path.read_text().splitlines()[0] == "id,group,target,p_low,p_mid,p_high"
    rows = read(path)
    assert [row["id"] for row in rows] == sorted(ids)
    for row in rows:
        place = ids.index(row["id"])
        assert row["group"] == f"g{row['id']}"
        assert row["target"] == str(target[place])
        expected = np.exp(logits[place].astype(float) - logits[place].max())
        expected /= expected.sum()
        found = [float(row[f"p_{name}"]) for name in NAMES]
        np.testing.assert_allclose(found, expected, rtol=1e-5)
        assert np.argmax(found) == logits[place].argmax()


def test_predictions_of_clips_that_lost_a_modality_have_a_file_of_their_own(tmp_path):
    task, run = TinyTask(), trainer(tmp_path, 1, [PredictionWriter()])
    run.test(task, datamodule=TinyData(missing={"audio": 0.5}), verbose=False)
    assert [path.name for path in tmp_path.glob("*.csv")] == ["predictions-test-audio-missing-0.5.csv"]
    run.predict(task, datamodule=TinyData(missing={"audio": 1.0}), return_predictions=False)
    assert (tmp_path / "predictions-audio-missing-1.csv").exists()


def test_ids_with_commas_and_quotes_come_back(tmp_path):
    ids = ['a,b "c"', "d\ne", "é"]
    write_predictions(tmp_path / "p.csv", task_with(np.eye(3), [0, 1, 2], ids), NAMES)
    assert {row["id"]: row["target"] for row in read(tmp_path / "p.csv")} == dict(zip(ids, "012", strict=True))


def test_of_a_clip_that_comes_twice_the_first_row_counts(tmp_path):
    """The padding of a distributed sampler comes last; files of other programs are read the same way."""
    path = tmp_path / "p.csv"
    path.write_text("id,group,target,p_low,p_mid,p_high\na,1,0,1,0,0\nb,1,1,0,1,0\na,2,2,0,0,1\n")
    found = read_predictions(path, NAMES)
    assert (found.ids, found.groups) == (["a", "b"], ["1", "1"])
    assert found.targets.tolist() == found.predicted.tolist() == [0, 1]


def test_without_labels_the_target_is_empty(tmp_path):
    write_predictions(tmp_path / "p.csv", task_with(np.eye(3)), NAMES)
    assert [row["target"] for row in read(tmp_path / "p.csv")] == ["", "", ""]


def test_soft_targets_are_written_as_the_most_probable_class(tmp_path):
    soft = [[0.1, 0.9, 0.0], [0.8, 0.1, 0.1], [0.2, 0.2, 0.6]]
    write_predictions(tmp_path / "p.csv", task_with(np.eye(3), soft), NAMES)
    assert [row["target"] for row in read(tmp_path / "p.csv")] == ["1", "0", "2"]


@pytest.mark.parametrize("place", ["fsync", "replace"])
def test_a_kill_leaves_the_file_that_was_there(tmp_path, monkeypatch, place):
    path = tmp_path / "p.csv"
    write_predictions(path, task_with(np.eye(3), [0, 1, 2]), NAMES)
    before = path.read_bytes()

    def killed(*args):
        raise OSError(errno.EIO, "killed")

    with monkeypatch.context() as patch:
        patch.setattr(os, place, killed)
        with pytest.raises(OSError, match="killed"):
            write_predictions(path, task_with(-np.eye(3), [0, 1, 2]), NAMES)
    assert path.read_bytes() == before
    write_predictions(path, task_with(-np.eye(3), [0, 1, 2]), NAMES)
    assert path.read_bytes() != before
    assert [file.name for file in tmp_path.iterdir()] == ["p.csv"]


@pytest.mark.parametrize("size", [1, 3])
def test_test_run_writes_its_selection(tmp_path, size):
    task, data = TinyTask(), TinyData(batch_size=size, fold=2)
    writer = PredictionWriter("best")
    run = trainer(tmp_path, callbacks=[writer])
    metrics = run.test(task, datamodule=data, verbose=False)[0]
    writer.selection = "last"
    run.test(task, datamodule=data, verbose=False)
    assert sorted(path.name for path in tmp_path.glob("*.csv")) == ["predictions-best.csv", "predictions-last.csv"]
    rows = read(tmp_path / "predictions-best.csv")
    assert [row["id"] for row in rows] == [clip for clip in data.ids if clip.startswith("02-")]
    assert {row["group"] for row in rows} == {"02"}
    assert [int(row["target"]) for row in rows] == data.targets[data.rows["test"]].tolist()
    hits = [np.argmax([float(row[f"p_{name}"]) for name in NAMES]) == int(row["target"]) for row in rows]
    assert metrics["test_accuracy"] == pytest.approx(np.mean(hits))


def test_validation_writes_nothing(tmp_path):
    trainer(tmp_path, callbacks=[PredictionWriter()]).validate(TinyTask(), datamodule=TinyData(), verbose=False)
    assert not list(tmp_path.glob("*"))


def test_predict_run_writes_predictions_and_embeddings(tmp_path):
    task, data = TinyTask(), TinyData(batch_size=3)
    run = trainer(tmp_path, callbacks=[PredictionWriter()])
    for _ in range(2):  # a second run starts anew
        run.predict(task, datamodule=data, return_predictions=False)
    task.eval()
    with torch.no_grad():
        expected = task({"audio": data.values[:PER_SPEAKER]})
    rows = read(tmp_path / "predictions.csv")
    assert [row["id"] for row in rows] == data.ids[:PER_SPEAKER]
    found = [[float(row[f"p_{name}"]) for name in NAMES] for row in rows]
    np.testing.assert_allclose(found, expected["logits"].softmax(1), rtol=1e-4)
    saved = torch.load(tmp_path / "embeddings.pt", weights_only=True)
    assert saved["id"] == data.ids[:PER_SPEAKER]
    torch.testing.assert_close(saved["embedding"], expected["aux"]["embedding"])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["embeddings.pt", "predictions.csv"]


def test_no_embedding_no_file(tmp_path):
    class Bare(TinyTask):
        def forward(self, batch):
            return {"logits": super().forward(batch)["logits"], "aux": {}}

    run = trainer(tmp_path, callbacks=[PredictionWriter()])
    run.predict(Bare(), datamodule=TinyData(), return_predictions=False)
    assert [path.name for path in tmp_path.iterdir()] == ["predictions.csv"]
    assert len(read(tmp_path / "predictions.csv")[0]) == 3 + CLASSES
