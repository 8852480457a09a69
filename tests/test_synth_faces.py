"""The stand-in of the emotion corpora: formats, determinism, refusals, subjects apart, and the signal itself."""

import argparse
import csv
import json
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest

from datamodules.catalogues.faces.catalogue import Faces
from datamodules.errors import DataError
from datamodules.reading.stand_in import is_stand_in
from datamodules.recipe import load
from datamodules.standins import _stand_in, faces
from datamodules.store.preparation import prepare


def arguments(out, clips=120, seed=0):
    return argparse.Namespace(out=out, clips=clips, seed=seed, workers=1)


def snapshot(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    out = tmp_path_factory.mktemp("synth") / "faces"
    assert faces.run(arguments(out)) == 0
    return out


def test_formats(corpus):
    assert (corpus / "SYNTHETIC").read_text() == "affectzoo synth faces, version 1, seed 0, clips 120\n"
    assert sorted(path.name for path in corpus.iterdir()) == ["SYNTHETIC", "afew_va", "affectnet", "raf_db"]
    tables = {
        name: list(csv.DictReader((corpus / f"affectnet/{name}.csv").open())) for name in ("training", "validation")
    }
    rows = [row for table in tables.values() for row in table]
    assert len(rows) == 60
    for row in rows:
        image = cv2.imread(str(corpus / "affectnet/Manually_Annotated_Images" / row["subDirectory_filePath"]))
        assert image.shape == (96, 96, 3)
        x, y, width, height = (int(row[f"face_{side}"]) for side in ("x", "y", "width", "height"))
        assert 0 <= x < x + width < 96
        assert 0 <= y < y + height < 96
        assert min(width, height) > 40
        assert -1 <= float(row["valence"]) <= 1
        assert len(row["facial_landmarks"].split(";")) == 136
    assert {row["expression"] for row in tables["validation"]} == set("01234567")
    lines = [line.split() for line in (corpus / "raf_db/EmoLabel/list_patition_label.txt").read_text().splitlines()]
    assert len(lines) == 36
    assert {label for name, label in lines if name.startswith("test")} == set("1234567")
    for name, _ in lines:
        assert cv2.imread(str(corpus / f"raf_db/Image/aligned/{name[:-4]}_aligned.jpg")).shape == (72, 72, 3)
    clips = sorted((corpus / "afew_va").iterdir())
    assert len(clips) == 8
    for clip in clips:
        content = json.loads((clip / f"{clip.name}.json").read_text())
        assert sorted(content["frames"]) == [path.stem for path in sorted(clip.glob("*.png"))]
        for frame in content["frames"].values():
            assert len(frame["landmarks"]) == 68
            assert isinstance(frame["valence"], int)
            assert -10 <= frame["arousal"] <= 10


def test_bytes_are_a_function_of_the_seed(corpus, tmp_path):
    faces.run(arguments(tmp_path / "again"))
    assert snapshot(tmp_path / "again") == snapshot(corpus)
    faces.run(arguments(tmp_path / "other", seed=1))
    other, first = snapshot(tmp_path / "other"), snapshot(corpus)
    assert (
        other["raf_db/Image/aligned/train_00001_aligned.jpg"] != first["raf_db/Image/aligned/train_00001_aligned.jpg"]
    )


def test_there_already_and_refusals(corpus, tmp_path, capsys):
    before = snapshot(corpus)
    assert faces.run(arguments(corpus)) == 0
    assert "there already" in capsys.readouterr().out
    with pytest.raises(DataError, match="holds another corpus"):
        faces.run(arguments(corpus, seed=1))
    assert snapshot(corpus) == before
    (tmp_path / "real/raf_db").mkdir(parents=True)
    with pytest.raises(DataError, match="it may be the real corpus"):
        faces.run(arguments(tmp_path / "real"))
    (tmp_path / "file").write_text("x")
    with pytest.raises(DataError, match="is a file"):
        faces.run(arguments(tmp_path / "file"))
    with pytest.raises(DataError, match="--clips 3: give a number from 120"):
        faces.run(arguments(tmp_path / "few", clips=3))


@pytest.mark.parametrize("place", ["drawing", "moving"])
def test_stopped_it_is_never_taken_for_whole_and_ends_with_the_same_bytes(corpus, tmp_path, monkeypatch, place):
    out, calls = tmp_path / "out", []
    module, name = {"drawing": (faces, "paint"), "moving": (_stand_in.os, "replace")}[place]
    whole = getattr(module, name)

    def stop(*given):
        if place == "drawing" or Path(given[1]).match("out/raf_db/Image/aligned/*"):
            calls.append(given)
        if len(calls) == 20:
            raise KeyboardInterrupt
        return whole(*given)

    with monkeypatch.context() as patched:
        patched.setattr(module, name, stop)
        with pytest.raises(KeyboardInterrupt):
            faces.run(arguments(out))
    with pytest.raises(DataError, match="a stand-in that is not finished"):
        is_stand_in(out, "faces")
    assert faces.run(arguments(out)) == 0
    assert snapshot(out) == snapshot(corpus)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("faces")
    faces.run(arguments(folder, clips=900))
    return prepare(Faces(), load("static_emotion", {"face": {"size": 48}}), folder, folder, workers=1)


def test_it_prepares_without_a_loss(store):
    assert store.synthetic
    assert store.manifest["counts"] == {"used": 900, "skipped": 0, "padded": 0}
    assert Counter(id.split("/")[0] for id in store.ids) == {"affectnet": 450, "raf_db": 270, "afew_va": 180}
    splits = [int(store.read("split", i)[0]) for i in range(len(store))]
    for corpus, expected in (("affectnet", {0, 1}), ("raf_db", {0, 1, 2}), ("afew_va", {0, 1, 2})):
        assert {split for split, id in zip(splits, store.ids, strict=True) if id.startswith(corpus)} == expected
    assert len({group for group in store.groups if group.startswith("afew_va")}) == 30


def test_labels_can_be_read_off_the_pictures(store):
    """A ridge regression on the pixels, far less than a network, is well above chance for people never seen."""
    splits = np.array([int(store.read("split", i)[0]) for i in range(len(store))])
    faces_ = np.stack(
        [cv2.resize(store.read("face", i), (24, 24), interpolation=cv2.INTER_AREA) for i in range(len(store))]
    )
    pixels = faces_.mean(axis=3).reshape(len(store), -1) / 255
    pixels = (pixels - pixels.mean(axis=1, keepdims=True)) / pixels.std(axis=1, keepdims=True)
    affect = np.stack([store.read("affect", i) for i in range(len(store))])
    train, rest = splits == 0, splits > 0

    def fit(values, known):
        inputs = np.column_stack([pixels, np.ones(len(pixels))])
        a = inputs[train & known]
        weights = np.linalg.solve(a.T @ a + 30 * np.eye(a.shape[1]), a.T @ values[train & known])
        return inputs[rest & known] @ weights

    labelled = store.labels >= 0
    scores = fit(np.eye(8)[store.labels], labelled)
    assert (scores.argmax(axis=1) == store.labels[rest & labelled]).mean() > 0.35  # chance is 1/8
    known = ~np.isnan(affect[:, 1])
    assert np.corrcoef(fit(affect[:, 1], known), affect[rest & known, 1])[0, 1] > 0.5
