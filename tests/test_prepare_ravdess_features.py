"""Joining the two feature files of RAVDESS by trial."""

import argparse
import csv
import json

import numpy as np
import pytest

import cli
from datamodules.errors import DataError
from datamodules.prepare import ravdess_features as prepare
from datamodules.shapes.precomputed import PrecomputedTensorDataModule
from datamodules.standins import ravdess_features as synth

UNITS, SOUND = prepare.FILES


@pytest.fixture
def raw(tmp_path):
    """Stand-in in the raw format: 96 trials."""
    synth.run(argparse.Namespace(out=tmp_path / "raw", clips=96, seed=0, workers=1))
    return tmp_path / "raw"


def run(raw, out):
    return prepare.run(argparse.Namespace(source=raw, out=out, workers=1))


def change(path, **arrays):
    content = dict(np.load(path))
    np.savez(path, **{name: values for name, values in {**content, **arrays}.items() if values is not None})


def content_of(folder):
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_rows_are_joined_by_trial(raw, tmp_path):
    run(raw, tmp_path)
    joined = np.load(tmp_path / "prepared" / "features.npz")
    units, sound = np.load(raw / UNITS), np.load(raw / SOUND)
    with (tmp_path / "prepared" / "index.csv").open() as file:
        index = list(csv.DictReader(file))
    assert [row["id"] for row in index] == joined["id"].tolist()
    assert len(index) == 96
    for position, row in enumerate(index):
        trial = row["id"].split("-", 1)[1]
        first = [name.split("-", 1)[1] for name in units["names"].tolist()].index(trial)
        second = [name.split("-", 1)[1] for name in sound["clip_id"].tolist()].index(trial)
        np.testing.assert_array_equal(joined["au"][position], units["au"][first])
        np.testing.assert_array_equal(joined["mfcc"][position], sound["mfcc"][second])
        assert int(row["target"]) == units["emotion"][first] == int(trial[3:5]) - 1
        assert row["group"] == trial[-2:]
        assert int(row["fold"]) == (int(row["group"]) - 1) // 4


def test_joining_by_row_would_be_wrong(raw):
    """The trap: as many rows, the same trials, another order."""
    units, sound = np.load(raw / UNITS)["names"], np.load(raw / SOUND)["clip_id"]
    by_row = [a.split("-", 1)[1] == b.split("-", 1)[1] for a, b in zip(units.tolist(), sound.tolist(), strict=True)]
    assert np.mean(by_row) < 0.2


def test_run_again_changes_no_byte_and_other_files_are_refused(raw, tmp_path, capsys):
    run(raw, tmp_path / "a")
    before = content_of(tmp_path / "a")
    run(raw, tmp_path / "a")
    assert "already" in capsys.readouterr().out
    assert content_of(tmp_path / "a") == before
    run(raw, tmp_path / "b")
    assert content_of(tmp_path / "b") == before
    change(raw / UNITS, au=np.load(raw / UNITS)["au"] + 1)
    with pytest.raises(DataError, match="other files"):
        run(raw, tmp_path / "a")


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("features.npz", b"x", r"features\.npz was damaged"),
        ("features.npz", None, r"features\.npz is missing"),
        ("manifest.json", b"{", r"manifest\.json is damaged"),
        ("manifest.json", None, r"manifest\.json is missing"),
    ],
)
def test_damage_is_found_when_run_again(raw, tmp_path, file, content, message):
    run(raw, tmp_path / "a")
    path = tmp_path / "a" / "prepared" / file
    path.unlink() if content is None else path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        run(raw, tmp_path / "a")


def test_an_out_that_cannot_be_written(raw, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="--out: cannot write"):
        run(raw, tmp_path / "file")


def test_half_written_is_replaced(raw, tmp_path):
    run(raw, tmp_path / "a")
    run(raw, tmp_path / "b")
    (tmp_path / "a" / "prepared" / "COMPLETE").unlink()
    (tmp_path / "a" / "prepared" / "features.npz").write_bytes(b"half")
    (tmp_path / "a" / ".prepared.tmp").mkdir()
    (tmp_path / "a" / ".prepared.tmp" / "rest").touch()
    run(raw, tmp_path / "a")
    assert content_of(tmp_path / "a") == content_of(tmp_path / "b")


def test_what_is_wrong_is_named(raw, tmp_path, capsys):
    units, sound = dict(np.load(raw / UNITS)), dict(np.load(raw / SOUND))

    def message(file, **arrays):
        original = (raw / file).read_bytes()
        change(raw / file, **arrays)
        with pytest.raises(DataError) as raised:
            run(raw, tmp_path / "out")
        (raw / file).write_bytes(original)
        assert not (tmp_path / "out" / "prepared").exists()
        assert str(raised.value).count("\n") <= 1
        return str(raised.value)

    emotion = units["emotion"].copy()
    emotion[5] = (emotion[5] + 1) % 8
    assert f"trial {units['names'][5][3:]} is labelled" in message(UNITS, emotion=emotion)
    actor = units["actor"].copy()
    actor[7] += 1
    assert f"trial {units['names'][7][3:]} is labelled" in message(UNITS, actor=actor)
    names = units["names"].copy()
    names[1] = names[0]
    assert "rows 0 and 1 are both" in message(UNITS, names=names)
    names[1] = "clip one"
    assert "'clip one'" in message(UNITS, names=names)
    less = {name: values[:-1] for name, values in sound.items()}
    assert "1 of 96 trials are not in it" in message(SOUND, **less)
    assert "no array mfcc" in message(SOUND, mfcc=None)
    assert "expected 96 rows and 2 dimensions" in message(UNITS, au=units["au"][:-1])
    assert "expected 96 rows and 3 dimensions" in message(SOUND, mfcc=sound["mfcc"][:, 0], clip_id=sound["clip_id"])
    assert "not finite" in message(UNITS, au=np.where(units["au"] > 1, np.nan, units["au"]))
    (raw / "SYNTHETIC").unlink()  # a real source has to be whole
    with pytest.raises(DataError, match="1344 of 1440 trials"):
        run(raw, tmp_path / "out")
    (raw / SOUND).write_bytes(b"no zip")
    with pytest.raises(DataError, match="not a plain"):
        run(raw, tmp_path / "out")
    (raw / SOUND).unlink()
    assert cli.main(["prepare", "ravdess_features", "--source", str(raw)]) == 2
    assert cli.main(["prepare", "ravdess_features", "--source", str(raw / "nowhere")]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert all(line.startswith("error: ") for line in lines)


@pytest.mark.parametrize("change", [lambda m: m.update(corpus="../../x"), lambda m: m["files"].update({"../x": "0"})])
def test_a_manifest_names_no_place_outside(raw, tmp_path, change):
    run(raw, tmp_path)
    path = tmp_path / "prepared" / "manifest.json"
    manifest = json.loads(path.read_text())
    change(manifest)
    path.write_text(json.dumps(manifest))
    with pytest.raises(DataError, match=r"manifest.json: .* cannot be the name of a file: it holds a path separator"):
        PrecomputedTensorDataModule(root=str(tmp_path / "prepared"), features={"audio": "features.npz:mfcc"})


def test_datamodule_takes_name_kind_and_fingerprint_from_the_preparation(raw, tmp_path):
    run(raw, tmp_path)
    manifest = json.loads((tmp_path / "prepared" / "manifest.json").read_text())
    options = {"features": {"video": "features.npz:au", "audio": "features.npz:mfcc"}, "standardize": ["video"]}
    data = PrecomputedTensorDataModule(root=str(tmp_path / "prepared"), **options)
    assert (data.corpus, data.synthetic, data.fingerprint) == ("ravdess_features", True, manifest["fingerprint"])
    alone = PrecomputedTensorDataModule(root=str(tmp_path / "prepared"), features={"audio": "features.npz:mfcc"})
    assert alone.fingerprint == data.fingerprint
    assert data.input_shapes == {"video": [35], "audio": [13, 212]}
    train = data.tables["video"][data.rows["train"]]
    np.testing.assert_allclose(train.mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(train.std(0, correction=0), 1, atol=1e-5)
    with (tmp_path / "prepared" / "features.npz").open("ab") as file:
        file.write(b"x")
    with pytest.raises(DataError, match="not what was prepared"):
        PrecomputedTensorDataModule(root=str(tmp_path / "prepared"), **options)


@pytest.mark.realdata
def test_all_real_trials_are_joined(realdata, tmp_path):
    source = realdata / "ravdess"
    run(source, tmp_path)
    joined = np.load(tmp_path / "prepared" / "features.npz")
    assert joined["au"].shape == (1440, 35)
    assert joined["mfcc"].shape == (1440, 13, 212)
    with (tmp_path / "prepared" / "index.csv").open() as file:
        index = list(csv.DictReader(file))
    assert np.bincount([int(row["fold"]) for row in index]).tolist() == [240] * 6
    assert np.bincount([int(row["target"]) for row in index]).tolist() == [96, *[192] * 7]
    # The sound that both files describe is the same: the first one has a loudness per frame of its own.
    units, sound = np.load(source / UNITS), np.load(source / SOUND)
    loudness = dict(zip([name[3:] for name in units["names"].tolist()], units["mfcc"].mean(1), strict=True))
    own = np.array([loudness[clip[3:]] for clip in joined["id"].tolist()])
    ours, by_row = joined["mfcc"][:, 0].mean(1), sound["mfcc"][:, 0].mean(1)
    assert np.corrcoef(own, ours)[0, 1] > 0.5
    assert np.corrcoef(units["mfcc"].mean(1), by_row)[0, 1] < 0.2


def test_worded_labels_and_no_rows_are_one_line(raw, tmp_path):
    units, sound = dict(np.load(raw / UNITS)), dict(np.load(raw / SOUND))
    for file, arrays, text in (
        (UNITS, {"emotion": np.array(["happy"] * len(units["emotion"]))}, "emotion holds <U5, expected whole numbers"),
        (UNITS, {"emotion": units["emotion"] + 0.5}, "emotion holds float64, expected whole numbers"),
        (UNITS, {"au": units["au"].astype("U")}, "expected numbers"),
        (UNITS, {"names": np.arange(len(units["names"]))}, "names holds int64, expected texts"),
        (UNITS, {name: values[:0] for name, values in units.items()}, "has no rows"),
        (SOUND, {name: values[:0] for name, values in sound.items()}, "has no rows"),
        (UNITS, {name: values[0] for name, values in units.items()}, "expected"),
    ):
        original = (raw / file).read_bytes()
        change(raw / file, **arrays)
        with pytest.raises(DataError, match=file) as raised:
            run(raw, tmp_path / "out")
        (raw / file).write_bytes(original)
        assert text in str(raised.value)
        assert "\n" not in str(raised.value)


def test_a_flipped_bit_is_found(raw, tmp_path):
    whole = bytearray((raw / SOUND).read_bytes())
    whole[len(whole) // 2] ^= 1
    (raw / SOUND).write_bytes(whole)
    with pytest.raises(DataError, match=r"mfcc_44k\.npz.*Bad CRC-32"):
        run(raw, tmp_path / "out")


@pytest.mark.parametrize("text", ["[]", "null", "3", "{}", '{"settings": [], "files": [], "synthetic": 0}'])
def test_another_kind_of_manifest_is_one_line(raw, tmp_path, text):
    run(raw, tmp_path / "a")
    (tmp_path / "a" / "prepared" / "manifest.json").write_text(text)
    with pytest.raises(DataError, match=r"manifest\.json is damaged") as raised:
        run(raw, tmp_path / "a")
    assert "\n" not in str(raised.value)
