"""Arrays and embeddings of a prepared stand-in as features: what is written is what was stored, and trains a model."""

import csv
import json
import shlex

import numpy as np
import pytest
from conftest import leave_blank

import cli
from datamodules.errors import DataError
from datamodules.shapes.clips import ClipsDataModule
from datamodules.shapes.precomputed import PrecomputedTensorDataModule
from datamodules.store.reader import Store
from experiments.predict.feature_folder import export_features


def exported(root, out, *words):
    return cli.main(["export-features", "--root", str(root), "--out", str(out), *map(str, words)])


@pytest.fixture
def unpictured(monkeypatch):
    monkeypatch.setattr("callbacks.plots.save", leave_blank)


@pytest.mark.usefixtures("unpictured")
def test_a_model_of_features_trains_on_what_was_exported(clips, tmp_path, capsys):
    assert exported(clips, tmp_path / "out", "--arrays", "mfcc", "wave") == 0
    told = capsys.readouterr().out
    fit = shlex.split(told.split("train on them: python cli.py ")[1])
    assert fit[-4:] == ["--data.time_last", "[mfcc]", "--model.time_last", "[mfcc]"]
    fit += ["--data.features", "{mfcc: mfcc}"]
    assert cli.main([*fit, "--trainer.max_epochs", "1", "--trainer.default_root_dir", str(tmp_path / "run")]) == 0
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert result["synthetic"]
    about = result["provenance"]["mfcc"]
    assert about["tool"] == "affectzoo"
    store = Store(clips / "prepared-cfnsr")
    assert about["settings"]["store"] == store.fingerprint
    assert about["settings"]["sha256"] == store.manifest["arrays"]["mfcc"]["sha256"]
    assert about["settings"]["made_by"] == store.manifest["settings"]["views"]["mfcc"]
    assert about["unit"]


def test_what_is_written_is_what_was_stored(clips, tmp_path):
    found = export_features(clips, tmp_path / "out", ["video", "mfcc", "wave"])
    data, store = ClipsDataModule(str(clips)), Store(clips / "prepared-cfnsr")
    assert found.classes == data.class_names
    with (tmp_path / "out" / "index.csv").open(newline="") as file:
        rows = {row["id"]: row for row in csv.DictReader(file)}
    kind, places, _ = data.division
    seen = [place for place in range(len(store)) if 0 not in store.shape("video", place)]
    assert list(rows) == [store.ids[place].replace("/", "__") for place in seen]
    assert f"left out, as they lack one of them: {len(store) - len(seen)} clips" in found.told[1]
    for place, (name, row) in zip(seen, rows.items(), strict=True):
        assert (row["group"], row[kind]) == (store.groups[place], places[place])
        assert int(row["target"]) == store.labels[place]
        video, mfcc, wave = (np.load(tmp_path / "out" / of / f"{name}.npy") for of in ("video", "mfcc", "wave"))
        assert np.array_equal(video, store.read("video", place))
        assert np.array_equal(mfcc, store.read("mfcc", place))
        assert wave.dtype == np.float32
        assert np.array_equal((wave * 32767).round(), store.read("wave", place))
    read = PrecomputedTensorDataModule(str(tmp_path / "out"), features={"mfcc": "mfcc"}, class_names=found.classes)
    assert read.synthetic
    assert read.provenance["mfcc"]["settings"]["order"]


@pytest.mark.usefixtures("unpictured")
def test_embeddings_of_a_frozen_encoder_are_those_that_training_read(trained, empathetic, tmp_path):
    trained("empathetic_text", "honest")
    folder = min((empathetic / "embeddings").glob("*/text.f32")).parent  # other tests embed too
    assert exported(empathetic, tmp_path / "out", "--embeddings", folder) == 0
    manifest = json.loads((folder / "manifest.json").read_text())
    values = np.fromfile(folder / "text.f32", np.float32).reshape(manifest["items"], -1)
    store = Store(empathetic / "prepared")
    for place in (0, len(store) - 1):
        assert np.array_equal(np.load(tmp_path / "out" / "text" / f"{store.ids[place]}.npy"), values[place])
    about = json.loads((tmp_path / "out" / "features.json").read_text())["text"]
    assert about["settings"]["made_by"]["key"] == manifest["key"]
    fit = ["fit", "--config", "experiments/features.yaml", "--data.root", str(tmp_path / "out"), "--data.protocol"]
    run = ["honest", "--trainer.max_epochs", "1", "--trainer.default_root_dir", str(tmp_path / "run")]
    assert cli.main([*fit, *run]) == 0


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], "name what to export: --arrays video"),
        (["--arrays", "nothing"], "--arrays nothing: "),
        (["--arrays", "mfcc", "mfcc"], "two of what is exported are called mfcc"),
        (["--arrays", "mfcc", "--store", "prepared-all"], "prepared-all"),
        (["--embeddings", "absent"], "absent/manifest.json"),
    ],
)
def test_what_cannot_be_exported_is_one_line(clips, tmp_path, capsys, words, told):
    assert exported(clips, tmp_path / "out", *words) == 2
    error = capsys.readouterr().err
    assert told in error
    assert "Traceback" not in error
    assert not (tmp_path / "out").exists()


def test_ids_of_tokens_and_a_folder_that_is_there_are_refused(empathetic, tmp_path):
    with pytest.raises(DataError, match="indices and no features"):
        export_features(empathetic, tmp_path / "out", ["text"])
    (tmp_path / "x").touch()
    with pytest.raises(DataError, match="is there already"):
        export_features(empathetic, tmp_path, ["text"])


def test_embeddings_of_another_store_are_refused(clips, empathetic, trained, tmp_path):
    trained("empathetic_text", "honest")
    folder = min((empathetic / "embeddings").glob("*/text.f32")).parent  # other tests embed too
    with pytest.raises(DataError, match="of another store"):
        export_features(clips, tmp_path / "out", embeddings=[folder])
