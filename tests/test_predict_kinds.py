"""Every kind of model asked about the raw files of its own corpus says what its run said of them."""

import csv
import json
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import official, read_experiment
from PIL import Image

import affectzoo
import cli
from datamodules import recipe as recipes
from datamodules.errors import DataError
from datamodules.standins._drawing.face import landmarks, make_person, paint
from datamodules.store.plan import plan
from experiments.predict.export import export

EXPERIMENTS = {
    "emotiw_video": False, "emotiw_audio": True, "emotiw_fusion": True, "static_engagement_face": False,
    "static_engagement_kinesics": True, "engagement_fusion": True, "static_emotion": False, "empathetic_text": False,
    "gated_fusion": False, "gated_late": True, "gated_audio_text": True,
}  # fmt: skip


def entries_of(corpus, root):
    """The entries of a stand-in, as its preparation has them, without their labels."""
    catalogue = recipes.catalogue_class(corpus)
    recipe = recipes.load(catalogue.recipe, synthetic=True, catalogue=catalogue)
    return [replace(entry, labels={}, split="") for entry in plan(catalogue(), recipe, root).scan.usable]


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow if slow else ()) for name, slow in EXPERIMENTS.items()]
)
def test_answers_are_those_of_the_run(name, trained, stand_in_root, tmp_path):
    checkpoint = Path(trained(name, "honest"))
    with next(checkpoint.parent.parent.glob("predictions-*.csv")).open(newline="") as file:
        said = list(csv.DictReader(file))
    data = read_experiment(name, overlay=True)["data"]["init_args"]
    roots = [Path(root).name for root in data.get("roots", [data.get("root")])]
    places = dict(zip(roots, _listed(stand_in_root(name)[1]), strict=True))
    entries = [entry for corpus, root in places.items() for entry in entries_of(corpus, Path(root))]
    rows = defaultdict(list)
    for row in said:
        rows[row["id"].partition("@")[0]].append(row)
    model = affectzoo.load(checkpoint)
    asked = [replace(entry, id=called(entry)) for entry in entries if called(entry) in rows]
    assert len(asked) == len(rows)
    for entry, answer in model.of_entries([with_facts(entry, model) for entry in asked[:40]], batch_size=16):
        assert not answer.problem
        found = [answer.probabilities] if not answer.over_time else [one["probabilities"] for one in answer.over_time]
        assert len(found) == len(rows[entry.id])
        for row, probabilities in zip(in_time(rows[entry.id]), found, strict=True):
            for label, value in probabilities.items():
                assert value == pytest.approx(float(row[f"p_{label}"]), abs=2e-6)
        for gate, value in answer.weights.items():
            assert value == pytest.approx(float(rows[entry.id][0][f"gate_{gate}"]), abs=2e-6)
        for task, value in answer.values.items():
            assert value == pytest.approx(float(rows[entry.id][0][f"pred_{task}"]), abs=2e-5)
    assert official(name) or model.about["protocol"] == "honest"
    if name == "static_engagement_face":  # of whose clips enough select the epoch
        check_calibration(checkpoint, model, model.of_entries([with_facts(asked[0], model)]))
    export(checkpoint, tmp_path / "exported")
    assert affectzoo.load(tmp_path / "exported").about["calibration"] == model.about["calibration"]
    first = [with_facts(asked[0], model)]
    ((_, again),) = affectzoo.load(tmp_path / "exported").of_entries(first)
    ((_, before),) = model.of_entries(first)
    assert (again.probabilities, again.values, again.weights) == (before.probabilities, before.values, before.weights)


def check_calibration(checkpoint, model, answers):
    of = model.about["calibration"]
    told = json.loads((checkpoint.parent.parent / "result.json").read_text())["calibration"]
    assert of == told
    assert of["split"] == "val"
    assert of["clips"] >= 20
    ((_, answer),) = answers
    scaled = [np.array(list(one["probabilities"].values())) ** (1 / of["temperature"]) for one in answer.over_time]
    mean = np.mean([one / one.sum() for one in scaled], axis=0)
    assert answer.confidence == pytest.approx(mean[model.classes.index(answer.label)], abs=1e-6)
    assert answer.unsure == (answer.confidence < of["threshold"])


def _listed(words):
    return words.strip("[]").replace("'", "").split(", ")


def with_facts(entry, model):
    """The entry with what the model may know of it, as a clip of anybody has it."""
    return replace(entry, columns={f"meta_{name}": entry.columns.get(name, "") for name in model.fields})


def called(entry):
    """The id that the run has of an entry: VGAF's tensors are read by the names of their clips."""
    part = entry.columns.get("part")
    return entry.id if part is None else entry.group if part == "Val" else ""


def in_time(rows):
    if len(rows) == 1:
        return rows
    return sorted(rows, key=lambda row: float(row["id"].rpartition("@")[2].partition("-")[0]))


def test_a_picture_is_asked_about(trained, tmp_path):
    model = affectzoo.load(trained("static_emotion", "honest"))
    Image.fromarray(drawn_face()).save(tmp_path / "face.png")
    answer = model(tmp_path / "face.png")
    assert answer.label in model.classes
    assert answer.values.keys() == {"arousal", "valence"}
    assert answer.seconds == 0
    Image.fromarray(np.full((64, 64, 3), 90, np.uint8)).save(tmp_path / "blank.png")
    blank, again = model([tmp_path / "blank.png", tmp_path / "face.png"])
    assert "no face" in blank.problem
    assert again.values == pytest.approx(answer.values, abs=1e-5)


def drawn_face():
    person = make_person(np.random.default_rng(0))
    points = landmarks(person, np.zeros((1, 6)))[0]
    return paint(person, points, np.array([160.0, 110, 60, 0, 0]), (320, 240))


def test_a_text_is_asked_about(trained, tmp_path, capsys):
    checkpoint = trained("empathetic_text", "honest")
    model = affectzoo.load(checkpoint)
    answer = model(text="i was so happy when my friend came")
    assert answer.label in model.classes
    assert answer.file == "i was so happy when my friend came"
    with pytest.raises(DataError, match="no text"):
        model(text=" ")
    table = tmp_path / "texts.csv"
    table.write_text("text\ni was so happy when my friend came\n")
    assert cli.main(["predict", "--ckpt_path", checkpoint, "--clips", str(table), "--out", str(tmp_path / "out")]) == 0
    assert answer.label in capsys.readouterr().out


def test_a_video_on_a_grid_is_asked_about(trained, daisee):
    model = affectzoo.load(trained("static_engagement_face", "honest"))
    entry = entries_of("daisee", daisee)[0]
    ((_, known),) = model.of_entries([entry])
    answer = model(entry.media["video"].path)  # boxes.csv lies above
    assert answer.over_time == known.over_time
    assert len(answer.over_time) > 1
    assert answer.probabilities == pytest.approx(known.probabilities)


def test_a_clip_is_asked_about_with_its_text_and_who_speaks(trained, avamerg):
    model = affectzoo.load(trained("gated_fusion", "honest"))
    part = next(
        part
        for entry in entries_of("avamerg", avamerg)
        for part in entry.parts
        if {"video", "audio"} <= part.media.keys()
    )
    asked = {"file": part.media["video"].path, "audio": part.media["audio"].path}
    bare = model(asked)
    assert list(bare.missing) == ["text"]
    age = model.fields["speaker_age"][0]
    whole = model(asked, text="i am so glad", age=age)
    assert not whole.missing
    assert whole.probabilities != pytest.approx(bare.probabilities, abs=1e-6)
    assert sum(whole.weights.values()) == pytest.approx(1, abs=0.01)
    assert "was not in training" in model(asked, age="ancient").missing["speaker_age"]
    assert model(asked, text="i am so glad", speaker_age=age).probabilities == whole.probabilities
