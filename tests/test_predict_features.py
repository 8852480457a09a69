"""Models of features made elsewhere, asked about files and arrays of single clips."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

import affectzoo
import cli
from datamodules.asking.kinds import reader_of
from datamodules.catalogues.vgaf.layout import KINDS
from datamodules.errors import DataError
from datamodules.reading.feature_csv import choose_columns
from datamodules.vgaf import VGAFDataModule
from experiments.errors import UsageError


@pytest.fixture(scope="module")
def checkpoint(trained):
    return Path(trained("features", "honest"))


@pytest.fixture(scope="module")
def model(checkpoint):
    return affectzoo.load(checkpoint)


@pytest.fixture(scope="module")
def said(checkpoint):
    """What the run said of a clip that it was tested on: its id and its probabilities."""
    with (checkpoint.parent.parent / "predictions-selected.csv").open(newline="") as file:
        row = next(csv.DictReader(file))
    return row["id"], {name: float(row[f"p_{name}"]) for name in ("low", "middle", "high")}


@pytest.fixture
def clip(features, said, tmp_path):
    """The files of that clip, and its vector."""
    name, _ = said
    shutil.copy(features / "face" / f"{name}.csv", tmp_path / "a.csv")
    shutil.copy(features / "voice" / f"{name}.npy", tmp_path / "a.npy")
    words = np.load(features / "words.npz")
    vector = words["words"][words["id"].tolist().index(name)]
    np.save(tmp_path / "words.npy", vector)
    return tmp_path, vector


def agrees(answer, said):
    assert answer.probabilities == pytest.approx(said[1], abs=2e-6)
    assert not answer.missing


def test_arrays_in_memory_and_files_by_name(model, clip, said, features):
    folder, vector = clip
    voice = np.load(folder / "a.npy")
    for words in (vector, vector.astype(np.float64), torch.from_numpy(vector), folder / "words.npy",
                  features / "words.npz"):  # fmt: skip
        given = {"face": str(folder / "a.csv"), "voice": voice, "words": words}
        agrees(model(features=given, id=said[0]), said)
    bare = model(features={"voice": voice})
    assert bare.missing == {"face": "not given", "words": "not given"}
    assert sum(bare.probabilities.values()) == pytest.approx(1)


def test_a_table_of_clips_and_a_folder(model, clip, said, features, checkpoint, tmp_path, capsys):
    folder, _ = clip
    (folder / "asked.csv").write_text("id,face,voice,words\none,a.csv,a.npy,words.npy\ntwo,,a.npy,\n")
    out = tmp_path / "out"
    command = ["predict", "--ckpt_path", str(checkpoint), "--out", str(out), "--clips"]
    assert cli.main([*command, str(folder / "asked.csv"), str(features)]) == 0
    told = capsys.readouterr().out
    assert "two: " in told
    assert "without face (not given), words (not given)" in told or "without face (not given)" in told
    with (out / "predictions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 + 36
    of_clip = next(row for row in rows if Path(row["file"]).name == said[0])
    for row in (rows[0], of_clip):
        assert {name: float(row[f"p_{name}"]) for name in said[1]} == pytest.approx(said[1], abs=2e-6)
    assert cli.main([*command, str(folder / "asked.csv"), str(features)]) == 0
    assert "38 of 38 clips were answered before" in capsys.readouterr().out


def test_files_of_one_modality_are_told_by_columns_folder_or_shape(model, clip, features):
    folder, vector = clip
    by_name = model(features={"face": folder / "a.csv"})
    assert model(folder / "a.csv").probabilities == by_name.probabilities
    assert by_name.missing.keys() == {"voice", "words"}
    voice = model(features={"voice": np.load(folder / "a.npy")})
    assert model(folder / "a.npy").probabilities == voice.probabilities
    torch.save(torch.from_numpy(vector), folder / "x.pt")
    words = model(features={"words": vector})
    assert model(folder / "x.pt").probabilities == words.probabilities
    np.savez(folder / "one.npz", voice=np.load(folder / "a.npy"), words=vector)
    assert model(folder / "one.npz").missing.keys() == {"face"}
    with pytest.raises(DataError, match=r"holds 36 clips; name one by id"):
        model(features / "words.npz")
    assert model(features / "words.npz", id="clip0003").missing.keys() == {"face", "voice"}


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"voice": np.zeros((4, 22), np.float32)}, r"voice is float32 \(4, 22\); .* floats \(T, 23\)"),
        ({"words": np.zeros(12, np.int64)}, r"words is int64 \(12\); the model was trained on floats \(12\)"),
        ({"words": np.full(12, np.nan)}, "words is not finite"),
        ({"words": np.full(12, 1e300)}, "words is not finite"),
        ({"sound": np.zeros(12)}, r"of face \(T, 17\), voice \(T, 23\), words \(12\)"),
        ({"words": [[1.0], [2.0, 3.0]]}, "words is no array|words is object"),
        ({"words": "absent.npy"}, r"absent\.npy"),
        ({"words": "absent.npz:words"}, r"absent\.npz"),
        ([1.0], "give arrays or files by name"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_one_line(model, given, told):
    with pytest.raises(DataError, match=told) as stop:
        model(features=given)
    assert "\n" not in str(stop.value)
    good = {"words": np.zeros(12, np.float32)}
    bad, fine = model([{"features": given}, {"features": good}])
    assert bad.problem
    assert fine.probabilities == pytest.approx(model(features=good).probabilities, abs=1e-6)


def test_files_that_are_none_are_one_line(model, clip, tmp_path):
    folder, _ = clip
    (folder / "other.csv").write_text("frame,AU01_r\n1,0.5\n")
    (folder / "words.mp4").write_text("no film")
    (folder / "empty.npz").touch()
    np.save(folder / "odd.npy", np.zeros((3, 3, 3)))
    for name, told in {"other.csv": "no column AU", "words.mp4": "holds no features; the model reads face", "odd.npy":
                       "cannot be told", "empty.npz": "empty.npz", "absent.npy": "absent.npy"}.items():  # fmt: skip
        with pytest.raises(DataError, match=told) as stop:
            model(folder / name)
        assert "\n" not in str(stop.value)


def test_what_made_them_has_to_be_the_same(model, clip, features):
    folder, _ = clip
    told = json.loads((features / "features.json").read_text())
    assert choose_columns(folder / "a.csv", told["face"]["columns"]) == told["face"]["columns"]
    (folder / "features.json").write_text(json.dumps(told))
    assert not model(folder / "a.csv").problem
    told["face"]["unit"] = "presence, 0 or 1"
    (folder / "features.json").write_text(json.dumps(told))
    with pytest.raises(DataError, match="the unit of face is not what the model was trained on"):
        model(folder / "a.csv")


def changed(checkpoint, path, change):
    content = torch.load(checkpoint, weights_only=True)
    change(content["PrecomputedTensorDataModule"])
    torch.save(content, path)
    return path


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda of: of.update(reading={}), "does not say how a raw file becomes its input"),
        (lambda of: of.update(normalize="speaker"), "TRANSDUCTIVE"),
        (lambda of: of["reading"]["options"].pop("sizes"), "what it says of its features is damaged"),
        (lambda of: of["reading"]["options"]["sources"].update(face="../face"), "is damaged"),
        (lambda of: of["reading"]["options"]["sources"].update(face="/etc"), "is damaged"),
        (lambda of: of["reading"]["options"]["statistics"].update(words=[[0.0] * 12]), "is damaged"),
        (lambda of: of["reading"]["options"]["statistics"].update(words=[[0.0] * 12, [0.0] * 12]), "damaged"),
        (lambda of: of["reading"]["options"]["statistics"].update(words=[[0.0], [1.0]]), "damaged"),
        (lambda of: of["reading"]["options"]["statistics"].update(words=[[float("nan")] * 12, [1.0] * 12]), "damaged"),
        (lambda of: of["reading"].update(arrays=["face"]), "by what recipe"),
    ],
)  # fmt: skip
def test_a_strangers_description_is_refused_in_one_line(checkpoint, tmp_path, change, told):
    path = changed(checkpoint, tmp_path / "strange.ckpt", change)
    with pytest.raises(UsageError, match=told) as stop:
        affectzoo.load(path)
    assert len(str(stop.value).splitlines()) == 1


def test_the_sound_of_a_clip_is_enough_where_a_recipe_made_its_features(trained, ravdess_voice, tmp_path):
    model = affectzoo.load(trained("ravdess_voice_networks", "honest"))
    wav = next(ravdess_voice.glob("speech_16k/*/*.wav"))
    answer = model(wav)
    assert answer.missing == {"video": "no recipe here makes these features: give a file of them"}
    trial = wav.stem[2:]
    (row,) = [row for row in model.reader.rows(ravdess_voice) if row["id"][2:] == trial]
    of_features = {name: of for name, of in row["features"].items() if name != "video"}
    same = model(features=of_features, id=row["id"])
    assert answer.probabilities == pytest.approx(same.probabilities, abs=1e-6)


def test_sound_is_no_feature_where_no_recipe_is_known(trained, ravdess_voice):
    model = affectzoo.load(trained("ravdess_features", "honest"))
    with pytest.raises(DataError, match=r"holds no features; the model reads video \(35\), audio \(13, 212\)"):
        model(next(ravdess_voice.glob("speech_16k/*/*.wav")))


def test_tensors_of_vgaf_made_elsewhere_are_read_as_in_training(vgaf, tmp_path):
    for name in ("Train_labels.txt", "Val_labels.txt", "SYNTHETIC"):
        shutil.copy(vgaf / name, tmp_path / name)
    shutil.copytree(vgaf / "VGAF_Tensors_all_5", tmp_path / "VGAF_Tensors_all_5")
    data = VGAFDataModule(str(tmp_path), protocol="honest")
    assert not data.prepared_by
    clips = data.dataset("test")
    wanted = data.on_after_batch_transfer(clips.__getitems__(list(range(len(clips)))), 0)
    reader = reader_of(json.loads(json.dumps(data.state_dict())))
    rows = []
    for clip in (data.clips[row] for row in clips.rows):
        files = {name: clip.place(tmp_path, 5) / clip.file(kind, 5) for name, kind in KINDS.items()}
        for name, file in files.items():
            assert reader.rows(file)[0]["features"].keys() == {name}
        rows.append({"features": files})
    entries = [reader.given(row, str(place)) for place, row in enumerate(rows)]
    found = reader.read(entries, list(reader.prepare(entries)))
    batch = found.on_after_batch_transfer(found.everything().__getitems__(list(range(len(rows)))), 0)
    for name in ("video", "audio"):
        torch.testing.assert_close(batch[name], wanted[name], rtol=0, atol=0)
        assert torch.equal(batch["mask"][name], wanted["mask"][name])
