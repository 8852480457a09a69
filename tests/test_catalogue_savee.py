"""datamodules/catalogues/savee.py: the sounds of SAVEE as they are released, and as people have them."""

import shutil
from pathlib import Path
from zlib import crc32

import numpy as np
import pytest
from test_media import RATE, tone, write_wav

import cli
from datamodules.catalogues.savee import SAVEE
from datamodules.errors import DataError
from datamodules.store.reader import Store

LETTERS = {"a": 0, "d": 1, "f": 2, "h": 3, "n": 4, "sa": 5, "su": 6}


def sound(path, seconds=1.7):
    """Write a tone whose pitch no other path has."""
    path.parent.mkdir(parents=True, exist_ok=True)
    hz = 200 + crc32("/".join(path.parts[-2:]).encode()) % 4000
    return write_wav(path, 20_000 * tone(seconds, rate=RATE, channels=1, hz=hz))


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Every emotion of two speakers in folders, another speaker's two clips flat, and what is no sound."""
    folder = tmp_path_factory.mktemp("savee")
    for speaker in ("KL", "DC"):
        for letters in LETTERS:
            sound(folder / f"AudioData/{speaker}/{letters}01.wav")
    sound(folder / "JE_n30.wav", seconds=3.2)
    sound(folder / "JE_sa07.WAV")
    (folder / "AudioData/Info.txt").write_text("Speakers")
    (folder / "AudioData/DC/._a01.wav").write_text("left by a Mac")
    return folder


@pytest.fixture
def copy(corpus, tmp_path):
    return shutil.copytree(corpus, tmp_path / "copy")


def run(source, out, *more):
    return cli.main(["prepare", "savee", "--source", str(source), "--out", str(out), "--workers", "1", *more])


def bad(source):
    return {entry.id: entry.problem for entry in SAVEE().scan(source).entries if entry.problem}


def test_speakers_emotions_and_their_order(corpus):
    scan = SAVEE().scan(corpus)
    assert [entry.id for entry in scan.entries] == [
        *(f"DC_{letters}01" for letters in LETTERS),
        "JE_n30",
        "JE_sa07",
        *(f"KL_{letters}01" for letters in LETTERS),
    ]
    assert [entry.group for entry in scan.entries] == ["DC"] * 7 + ["JE"] * 2 + ["KL"] * 7
    assert [entry.label for entry in scan.entries] == [*range(7), 4, 5, *range(7)]
    assert scan.entries[0].name == "AudioData/DC/a01.wav"
    assert SAVEE.classes == ("anger", "disgust", "fear", "happiness", "neutral", "sadness", "surprise")
    assert not scan.ignored
    assert not bad(corpus)


def test_the_store_holds_waves_and_coefficients(corpus, tmp_path, capsys):
    assert run(corpus, tmp_path) == 0
    store = Store(tmp_path / "prepared")
    assert {name: str(kind) for name, kind in store.arrays.items()} == {"wave": "int16", "mfcc": "float32"}
    assert len(store.ids) == 16
    assert store.groups == [id[:2] for id in store.ids]
    assert store.labels.tolist() == [LETTERS[id[3:-2]] for id in store.ids]
    short, long = store.ids.index("DC_a01"), store.ids.index("JE_n30")
    assert store.shape("wave", short) == (round(1.7 * RATE),)
    for row, steps in ((short, 1 + int(1.7 * RATE) // 512), (long, 212)):
        coefficients = store.read("mfcc", row)
        assert coefficients.shape == (13, 212)
        assert np.abs(coefficients[:, :steps]).sum(0).all()
        assert not coefficients[:, steps:].any()
    assert not store.synthetic
    assert "16 clips used, 0 skipped" in capsys.readouterr().out


def test_the_recipe_of_a_paper_goes_without_pictures_into_its_own_folder(corpus, tmp_path, capsys):
    assert run(corpus, tmp_path, "--recipe", "cfnsr") == 0
    said = capsys.readouterr().out
    assert "without the views video" in said
    assert "16 clips used, 0 skipped, 15 padded" in said  # too short for MFCCs of 2.45 s after 0.5 s, save one
    store = Store(tmp_path / "prepared-cfnsr")
    assert set(store.arrays) == {"wave", "mfcc"}
    assert [id for id, row in zip(store.ids, store.rows, strict=True) if row["padded"] == "0"] == ["JE_n30"]


@pytest.mark.parametrize("place", ["AudioData", "AudioData/DC"])
def test_a_folder_of_the_corpus_can_be_the_source(corpus, place, monkeypatch):
    ids = [f"{speaker}_{letters}01" for speaker in ("DC", "KL") for letters in LETTERS]
    wanted = [id for id in ids if place == "AudioData" or id.startswith("DC")]
    assert [entry.id for entry in SAVEE().scan(corpus / place).entries] == wanted
    monkeypatch.chdir(corpus / place)
    assert [entry.id for entry in SAVEE().scan(Path()).entries] == wanted


@pytest.mark.parametrize(("name", "reason"), [
    ("AudioData/DC/x01.wav", "not named like a SAVEE clip"),
    ("AudioData/DC/a1.wav", "not named like a SAVEE clip"),
    ("AudioData/DC/s01.wav", "not named like a SAVEE clip"),
    ("AudioData/DC/a\u0660\u0661.wav", "not named like a SAVEE clip"),
    ("XY_a01.wav", "not named like a SAVEE clip"),
    ("AudioData/XY/a01.wav", "neither its name nor its folder says which of DC, JE, JK, KL speaks"),
    ("a01.wav", "neither its name nor its folder says which of DC, JE, JK, KL speaks"),
    ("AudioData/DC/KL_a02.wav", "named after KL, in the folder of DC"),
    ("more/KL/a01.wav", "same clip as AudioData/KL/a01.wav"),
])  # fmt: skip
def test_odd_names_are_told(copy, tmp_path, capsys, name, reason):
    sound(copy / name, seconds=2.0)
    assert bad(copy) == {name: reason}
    assert run(copy, tmp_path / "out") == 1
    assert f"1 clips cannot be used, the first {name} ({reason})" in capsys.readouterr().err


def test_a_clip_that_comes_in_a_folder_and_flat_counts_once(copy):
    for path in sorted(copy.glob("AudioData/*/*.wav")):
        if not path.name.startswith("."):
            shutil.copy(path, copy / f"{path.parent.name}_{path.name}")
    scan = SAVEE().scan(copy)
    assert dict(scan.ignored) == {"copies": 14}
    assert len(scan.entries) == 16


@pytest.mark.parametrize(("other", "message"), [
    ("AudioData/KL/a02.wav", "of DC and of KL"),
    ("AudioData/DC/su02.wav", "labelled differently"),
])  # fmt: skip
def test_one_recording_under_two_speakers_or_emotions_is_refused(copy, other, message):
    shutil.copy(copy / "AudioData/DC/a01.wav", copy / other)
    with pytest.raises(DataError, match=rf"are the same recording, but {message}"):
        SAVEE().scan(copy)


@pytest.mark.parametrize("content", [b"", b"not found\n" * 40])
def test_a_file_that_cannot_be_read_costs_one_clip(copy, tmp_path, capsys, content):
    (copy / "AudioData/KL/h01.wav").write_bytes(content)
    assert run(copy, tmp_path / "out") == 1
    said = capsys.readouterr().err
    assert "1 clips cannot be used, the first AudioData/KL/h01.wav" in said
    assert len(said.splitlines()) <= 3
    assert run(copy, tmp_path / "out", "--max-skipped", "1") == 0
    assert "KL_h01" not in Store(tmp_path / "out/prepared").ids


@pytest.mark.parametrize("what", ["nothing", "films"])
def test_a_folder_without_its_sounds_is_refused(tmp_path, capsys, what):
    (tmp_path / "DC").mkdir()
    if what == "films":
        (tmp_path / "DC/sa01.avi").write_bytes(b"RIFF")
    assert run(tmp_path, tmp_path / "out") == 2
    said = capsys.readouterr().err
    assert "no SAVEE clip among 0 sound files" in said
    assert "prepare faces" in said
    assert len(said.splitlines()) == 2
