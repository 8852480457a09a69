"""datamodules/catalogues/meld.py: made tables and films in the layout of the release; no real utterance."""

import shutil

import numpy as np
import pytest
from test_catalogue_savee import sound
from test_media import own_bytes, write_clip

import cli
from datamodules.catalogues.meld import CLASSES, MELD
from datamodules.errors import DataError
from datamodules.store.reader import Store

HEADER = "Sr No.,Utterance,Speaker,Emotion,Sentiment,Dialogue_ID,Utterance_ID,Season,Episode,StartTime,EndTime"
FOLDERS = {"train": "train_splits", "dev": "dev_splits_complete", "test": "output_repeated_splits_test"}
ROWS = {
    "train": [
        '1,"Oh, no, it\x92s \x93fine\x94.",Ann,neutral,neutral,0,0,1,1,"00:00:01,000","00:00:02,000"',
        '2,Look!,Bob,surprise,positive,0,1,1,1,"00:00:02,000","00:00:03,000"',
        '3,Go away,Ann,anger,negative,1,0,1,1,"00:00:04,000","00:00:05,000"',
    ],
    "dev": ['1,Yes,Bob,joy,positive,0,0,1,2,"00:00:01,000","00:00:02,000"'],
    "test": ['1,Hm,Ann,sadness,negative,0,0,1,3,"00:00:01,000","00:00:02,000"'],
}
IDS = ["train_dia0_utt0", "train_dia0_utt1", "train_dia1_utt0", "dev_dia0_utt0", "test_dia0_utt0"]


@pytest.fixture(scope="module")
def release(tmp_path_factory):
    """Five utterances in three splits, as MELD.Raw is unpacked."""
    folder = tmp_path_factory.mktemp("meld") / "MELD.Raw"
    for word, rows in ROWS.items():
        (folder / FOLDERS[word]).mkdir(parents=True)
        (folder / f"{word}_sent_emo.csv").write_text("\n".join([HEADER, *rows]) + "\n", encoding="utf-8")
    for id in IDS:
        word, name = id.split("_", 1)
        own_bytes(write_clip(folder / FOLDERS[word] / f"{name}.mp4", 12, 12, seconds=1.0))
    (folder / "train_splits/._dia0_utt0.mp4").write_text("left by a Mac")
    return folder


@pytest.fixture
def copy(release, tmp_path):
    return shutil.copytree(release, tmp_path / "copy")


def run(source, out, *more):
    small = ("--views.img.size", "16") if "--recipe" not in more else ()
    return cli.main(["prepare", "meld", "--source", str(source), "--out", str(out), "--workers", "1", *small, *more])


def bad(source):
    return {entry.id: entry.problem for entry in MELD().scan(source).entries if entry.problem}


def test_an_utterance_has_its_text_speaker_labels_and_split_and_its_dialogue_is_the_group(release):
    scan = MELD().scan(release)
    assert [entry.id for entry in scan.entries] == IDS
    assert [entry.group for entry in scan.entries] == [id.rpartition("_")[0] for id in IDS]
    assert [entry.split for entry in scan.entries] == ["train"] * 3 + ["val", "test"]
    assert [MELD.classes[entry.label] for entry in scan.entries] == ["neutral", "surprise", "anger", "joy", "sadness"]
    first = scan.entries[0]
    assert first.texts == {"prompt": "Oh, no, it\u2019s \u201cfine\u201d."}
    assert first.columns == {"meta_speaker": "Ann", "emotion": "neutral", "sentiment": "neutral"}
    assert first.name == "train_splits/dia0_utt0.mp4"
    assert set(first.media) == {"audio", "video"}
    assert not scan.ignored
    assert scan.facts == {"classes": list(CLASSES["emotion"]), "metadata": ["speaker"]}


def test_sentiments_can_be_the_classes(release):
    scan = MELD(label="sentiment").scan(release)
    assert [CLASSES["sentiment"][entry.label] for entry in scan.entries] == [
        "neutral", "positive", "negative", "positive", "negative",
    ]  # fmt: skip
    assert scan.facts["classes"] == ["neutral", "positive", "negative"]


def test_the_store_holds_whole_frames_spectrograms_and_splits(release, tmp_path, capsys):
    assert run(release, tmp_path) == 0
    assert "5 utterances used (3 train, 1 val, 1 test), 0 skipped" in capsys.readouterr().out
    store = Store(tmp_path / "prepared")
    assert store.ids == IDS
    assert store.shape("img_5", 0) == (5, 3, 16, 16)
    assert store.shape("spec_5", 0) == (5, 1, 128, 128)
    assert [row["split"] for row in store.rows] == ["train"] * 3 + ["val", "test"]
    assert [row["meta_speaker"] for row in store.rows] == ["Ann", "Bob", "Ann", "Bob", "Ann"]
    assert run(release, tmp_path, "--label", "sentiment") == 2
    assert "label" in capsys.readouterr().err


def test_very_short_sounds_alone_are_padded(copy, tmp_path):
    for path in sorted(copy.rglob("dia*.mp4")):
        sound(path.with_suffix(".wav"), seconds=0.3)
        path.unlink()
    assert run(copy, tmp_path / "out", "--recipe", "cfnsr") == 0
    store = Store(tmp_path / "out/prepared-cfnsr")
    assert store.ids == IDS
    coefficients = store.read("mfcc", 0)
    assert coefficients.shape == (13, 212)
    assert np.abs(coefficients[:, :20]).sum(0).all()
    assert not coefficients[:, 30:].any()


def test_clips_of_the_test_that_were_cut_again_and_sounds_beside_films(copy):
    folder = copy / FOLDERS["test"]
    again = own_bytes(write_clip(folder / "final_videos_testdia0_utt0.mp4", 12, 12, seconds=1.0))
    sound(folder / "dia0_utt0.wav")
    scan = MELD().scan(copy)
    assert scan.entries[-1].media["video"].path == again
    assert scan.ignored == {"further files of an utterance": 2}
    assert len(scan.entries) == 5


def test_what_lacks_its_other_half_is_told(copy, capsys):
    (copy / "train_splits/dia0_utt1.mp4").rename(copy / "train_splits/dia9_utt9.mp4")
    assert [entry.id for entry in MELD().scan(copy).entries] == [IDS[0], *IDS[2:]]
    said = capsys.readouterr().out
    assert "train: 1 row without a clip (train_dia0_utt1), 1 clip without a row (train_dia9_utt9)" in said


def test_files_that_are_no_utterance_have_to_be_accepted(copy, tmp_path, capsys):
    shutil.copy(copy / "train_splits/dia0_utt0.mp4", copy / "dia0_utt0.mp4")
    shutil.copy(copy / "train_splits/dia0_utt0.mp4", copy / "train_splits/trailer.mp4")
    assert bad(copy) == {
        "dia0_utt0.mp4": "in no folder of train, dev or test",
        "train_splits/trailer.mp4": "not named like a MELD clip",
    }
    assert run(copy, tmp_path / "out") == 1
    assert "2 utterances cannot be used" in capsys.readouterr().err


def test_a_damaged_film_is_told_with_its_reason(copy, tmp_path, capsys):
    film = copy / "train_splits/dia1_utt0.mp4"
    film.write_bytes(film.read_bytes()[:500])
    assert run(copy, tmp_path / "out", "--max-skipped", "1") == 0
    told = "".join((tmp_path / f"out/prepared/{name}.csv").read_text() for name in ("missing", "skipped"))
    assert "train_splits/dia1_utt0.mp4" in told
    assert "dia0_utt0" not in told


def test_clips_cut_out_alike_stay_in_one_split_and_are_refused_in_two(copy, capsys):
    shutil.copy(copy / "train_splits/dia0_utt0.mp4", copy / "train_splits/dia1_utt0.mp4")
    assert len(MELD().scan(copy).entries) == 5
    shutil.copy(copy / "train_splits/dia0_utt0.mp4", copy / FOLDERS["test"] / "dia0_utt0.mp4")
    with pytest.raises(DataError, match="are the same recording, but of train and of test"):
        MELD().scan(copy)


@pytest.mark.parametrize(("old", "new", "message"), [
    ("anger,negative", "rage,negative", r"train_sent_emo.csv, line 4: 'rage' is none of neutral, surprise"),
    ("anger,negative", "anger,bad", "line 4: 'bad' is none of neutral, positive, negative"),
    (",1,0,1,1,", ",one,0,1,1,", "line 4: Dialogue_ID is 'one', not a number"),
    ("negative,1,0,", "negative,0,0,", "line 4: 'train_dia0_utt0' has text 'Go away', but "),
    ("Utterance_ID", "Utterance", "column 'Utterance' comes twice"),
    ("Emotion", "Feeling", "no column Emotion"),
])  # fmt: skip
def test_what_is_wrong_with_a_table_is_said(copy, old, new, message):
    table = copy / "train_sent_emo.csv"
    text = table.read_text(encoding="utf-8")
    assert old in text
    table.write_text(text.replace(old, new), encoding="utf-8")
    with pytest.raises(DataError, match=message) as error:
        MELD().scan(copy)
    assert len(str(error.value).splitlines()) == 1


def test_a_table_saved_again_says_the_same(copy):
    first = [(entry.id, entry.digest({})) for entry in MELD().scan(copy).entries]
    table = copy / "dev_sent_emo.csv"
    table.write_bytes(
        "\ufeffUtterance_ID;Dialogue_ID;Sentiment;Emotion;Speaker;Utterance\r\n0;0;positive;joy;Bob;Yes\r\n".encode()
    )
    assert [(entry.id, entry.digest({})) for entry in MELD().scan(copy).entries] == first


@pytest.mark.parametrize(("gone", "message"), [
    ("dev_sent_emo.csv", r"no dev_sent_emo\.csv in it"),
    ("*/*.mp4", "no MELD clip among 0 media files"),
])  # fmt: skip
def test_a_folder_that_lacks_a_part_is_refused(copy, tmp_path, capsys, gone, message):
    for path in copy.glob(gone):
        path.unlink()
    with pytest.raises(DataError, match=message):
        MELD().scan(copy)
    assert run(copy, tmp_path / "out") == 2
    assert len(capsys.readouterr().err.splitlines()) <= 2
