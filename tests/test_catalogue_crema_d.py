"""datamodules/catalogues/crema_d.py: films and sounds named as the corpus names them, made here; no real file."""

import shutil

import numpy as np
import pytest
from test_catalogue_savee import sound
from test_media import RATE, tone, write_clip, write_wav

import cli
from datamodules.catalogues.crema_d import CREMAD, EMOTIONS
from datamodules.errors import DataError
from datamodules.store.reader import Store

IDS = [f"{actor}_{name}" for actor in (1001, 1091) for name in ("IEO_ANG_HI", "ITH_SAD_X", "TSI_NEU_XX")]


@pytest.fixture(scope="module")
def sounds(tmp_path_factory):
    """Three clips of two actors as the repository has them, twice: WAV and, as far as names go, MP3."""
    folder = tmp_path_factory.mktemp("crema_d")
    for id in IDS:
        sound(folder / f"AudioWAV/{id}.wav", seconds=1.3)
        sound(folder / f"AudioMP3/{id}.mp3", seconds=1.3)
    (folder / "VideoDemographics.csv").write_text("ActorID,Age,Sex,Race,Ethnicity\n1001,51,Male,,\n")
    return folder


@pytest.fixture(scope="module")
def films(sounds, tmp_path_factory):
    """The same with films: 15 frames a second of 1.4 s, sound inside."""
    folder = tmp_path_factory.mktemp("films") / "crema_d"
    shutil.copytree(sounds, folder)
    (folder / "VideoFlash").mkdir()
    for place, id in enumerate(IDS):
        write_clip(
            folder / f"VideoFlash/{id}.flv", 21, 15, codec="flv1", audio="aac", seconds=1.4 + place / 50, rate=44_100
        )
    return folder


def run(source, out, *more):
    return cli.main(["prepare", "crema_d", "--source", str(source), "--out", str(out), "--workers", "1", *more])


def bad(source):
    return {entry.id: entry.problem for entry in CREMAD().scan(source).entries if entry.problem}


def test_names_tell_actor_emotion_sentence_and_level(sounds):
    scan = CREMAD().scan(sounds)
    assert [entry.id for entry in scan.entries] == IDS
    assert [entry.group for entry in scan.entries] == ["1001"] * 3 + ["1091"] * 3
    assert [CREMAD.classes[entry.label] for entry in scan.entries] == ["anger", "sad", "neutral"] * 2
    assert scan.entries[1].columns == {"fold": "0", "sentence": "ITH", "level": "X"}
    assert [entry.columns["fold"] for entry in scan.entries] == ["0"] * 3 + ["1"] * 3
    assert scan.facts == {
        "classes": list(CREMAD.classes),
        "folds": {"source": "made", "count": 2, "seed": None},
    }
    assert [list(entry.media) for entry in scan.entries] == [["audio"]] * 6
    assert scan.ignored == {"compressed sounds": 6}
    assert len(EMOTIONS) == 6


def test_actors_are_dealt_into_five_folds(tmp_path):
    for actor in range(1001, 1092):
        (tmp_path / f"{actor}_IEO_ANG_HI.wav").write_bytes(bytes(actor))
    entries = CREMAD().scan(tmp_path).entries
    assert [entry.columns["fold"] for entry in entries] == [str(place % 5) for place in range(91)]


def test_sounds_alone_are_prepared_short_ones_padded(sounds, tmp_path, capsys):
    assert run(sounds, tmp_path) == 0
    said = capsys.readouterr().out
    assert "6 clips, without the views video" in said
    assert "6 clips used, 0 skipped, 6 padded" in said
    assert "6 compressed sounds ignored" in said
    store = Store(tmp_path / "prepared")
    assert store.manifest["settings"]["recipe"] == "cfnsr"
    assert store.shape("mfcc", 0) == (13, 212)
    assert store.shape("wave", 0) == (round(1.3 * RATE),)
    steps = 1 + round(1.3 * RATE) // 512
    coefficients = store.read("mfcc", 0)
    assert np.abs(coefficients[:, :steps]).sum(0).all()
    assert not coefficients[:, steps:].any()
    assert [row["level"] for row in store.rows] == ["HI", "X", "XX"] * 2


def test_films_go_before_sounds_and_give_frames_and_their_own_sound(films, tmp_path, capsys):
    scan = CREMAD().scan(films)
    assert scan.ignored == {"sounds": 6, "compressed sounds": 6}
    assert {medium.path.suffix for entry in scan.entries for medium in entry.media.values()} == {".flv"}
    assert run(films, tmp_path, "--views.video.face", "none", "--views.video.size", "16") == 0
    store = Store(tmp_path / "prepared")
    assert store.ids == IDS
    assert store.shape("video", 0) == (30, 16, 16, 3)
    assert store.shape("mfcc", 0) == (13, 212)
    assert 1.3 * RATE < store.shape("wave", 0)[0] <= 1.45 * RATE


def test_clips_without_a_film_are_told_and_those_without_a_wav_have_their_mp3(films, tmp_path, capsys):
    copy = shutil.copytree(films, tmp_path / "copy")
    (copy / f"VideoFlash/{IDS[0]}.flv").unlink()
    assert [entry.id for entry in CREMAD().scan(copy).entries] == IDS[1:]
    assert f"{copy}: 1 clip without a film ({IDS[0]})" in capsys.readouterr().out
    shutil.rmtree(copy / "VideoFlash")
    (copy / f"AudioWAV/{IDS[0]}.wav").unlink()
    scan = CREMAD().scan(copy)
    assert [entry.media["audio"].path.suffix for entry in scan.entries] == [".mp3"] + [".wav"] * 5
    assert scan.ignored == {"compressed sounds": 5}


def test_a_face_that_is_not_found_costs_the_frames_alone(films, tmp_path, capsys):
    assert run(films, tmp_path) == 0
    assert "6 without video (missing.csv)" in capsys.readouterr().out
    store = Store(tmp_path / "prepared")
    assert store.shape("video", 0) == (0, 224, 224, 3)
    assert store.shape("mfcc", 0) == (13, 212)
    assert (tmp_path / "prepared/missing.csv").read_text().count("no face found") == 6


@pytest.mark.parametrize("name", [
    "1001_IEO_ANG.wav", "2001_IEO_ANG_HI.wav", "1001_XXX_ANG_HI.wav", "1001_IEO_JOY_HI.wav", "1001_IEO_ANG_UP.wav",
    "100\u0661_IEO_ANG_HI.wav",
])  # fmt: skip
def test_odd_names_are_told(sounds, tmp_path, name):
    copy = shutil.copytree(sounds, tmp_path / "copy")
    sound(copy / "AudioWAV" / name)
    assert bad(copy) == {f"AudioWAV/{name}": "not named like a CREMA-D clip"}


def test_second_files_count_where_they_are_copies_and_are_told_where_they_differ(sounds, tmp_path):
    copy = shutil.copytree(sounds, tmp_path / "copy")
    (copy / "more").mkdir()
    shutil.copy(copy / f"AudioWAV/{IDS[0]}.wav", copy / "more")
    sound(copy / f"more/{IDS[1]}.wav", seconds=2.0)
    scan = CREMAD().scan(copy)
    assert scan.ignored == {"copies": 1, "compressed sounds": 6}
    assert bad(copy) == {f"more/{IDS[1]}.wav": f"same clip as AudioWAV/{IDS[1]}.wav"}


def test_one_recording_of_two_actors_is_refused(sounds, tmp_path):
    copy = shutil.copytree(sounds, tmp_path / "copy")
    shutil.copy(copy / f"AudioWAV/{IDS[0]}.wav", copy / f"AudioWAV/{IDS[3]}.wav")
    with pytest.raises(DataError, match="are the same recording, but of actor 1001 and of actor 1091"):
        CREMAD().scan(copy)


def test_a_folder_without_a_clip_is_refused(tmp_path, capsys):
    assert run(tmp_path, tmp_path / "out") == 2
    said = capsys.readouterr().err
    assert "no CREMA-D clip among 0 media files" in said
    assert len(said.splitlines()) == 2


def test_a_silent_clip_has_no_wave_and_that_is_told(sounds, tmp_path, capsys):
    copy = shutil.copytree(sounds, tmp_path / "copy")
    write_wav(copy / f"AudioWAV/{IDS[2]}.wav", 0 * tone(1.5, rate=RATE, channels=1))
    assert run(copy, tmp_path / "out") == 0
    assert "1 without wave (missing.csv)" in capsys.readouterr().out
    store = Store(tmp_path / "out/prepared")
    assert [store.shape("wave", row)[0] > 0 for row in range(6)] == [True, True, False, True, True, True]
    assert f"AudioWAV/{IDS[2]}.wav" in (tmp_path / "out/prepared/missing.csv").read_text()


def test_what_git_has_in_place_of_a_file_is_told(sounds, tmp_path, capsys):
    copy = shutil.copytree(sounds, tmp_path / "copy")
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12345\n"
    (copy / f"AudioWAV/{IDS[2]}.wav").write_text(pointer)
    assert run(copy, tmp_path / "out") == 1
    assert f"{IDS[2]}.wav (only a pointer to the file, which `git lfs pull` fetches)" in capsys.readouterr().err


VOTES = """"","FileName","VoiceVote","VoiceLevel","FaceVote","FaceLevel","MultiModalVote","MultiModalLevel"
"1","1001_IEO_ANG_HI","A:D","37.2:58.6","A","45.5","A","44.2"
"2","1001_ITH_SAD_XX","N","70","S","61","S","60"
"3","1001_TSI_NEU_XX","A:D:N","39:89:83.67","N","77","N","76"
"4","1091_IEO_ANG_HI","D","67","A","65","F","63"
"5","1091_ITH_SAD_XX","N","70","F:S","61:60","S","60"
"6","1091_TSI_NEU_XX","N","70","N","77","N","76"
"""


@pytest.fixture
def voted(sounds, tmp_path):
    copy = shutil.copytree(sounds, tmp_path / "copy")
    (copy / "processedResults").mkdir()
    (copy / "processedResults/summaryTable.csv").write_text(VOTES)
    return copy


def test_votes_of_raters_are_shares_of_the_classes(voted, tmp_path, capsys):
    assert CREMAD().scan(voted).columns == ()
    scan = CREMAD(label="voice").scan(voted)
    third = np.float32(1 / 3)
    expected = [
        [0.5, 0.5, 0, 0, 0, 0], [0, 0, 0, 0, 1, 0], [third, third, 0, 0, third, 0],
        [0, 1, 0, 0, 0, 0], [0, 0, 0, 0, 1, 0], [0, 0, 0, 0, 1, 0],
    ]  # fmt: skip
    np.testing.assert_array_equal([entry.labels["emotion"].values[0] for entry in scan.entries], expected)
    face = [entry.labels["emotion"].values[0] for entry in CREMAD(label="face").scan(voted).entries]
    np.testing.assert_array_equal(np.nonzero(face[4])[0], [2, 5])
    assert scan.facts["tasks"] == {"emotion": {"kind": "soft", "classes": list(CREMAD.classes)}}
    assert run(voted, tmp_path / "out", "--label", "both") == 0
    store = Store(tmp_path / "out/prepared")
    assert [CREMAD.classes[label] for label in store.labels] == ["anger", "sad", "neutral", "fear", "sad", "neutral"]
    assert [row["soft_fear"] for row in store.rows] == ["0.0", "0.0", "0.0", "1.0", "0.0", "0.0"]


def test_a_clip_without_votes_is_listed_and_a_table_with_other_letters_refused(voted, tmp_path, capsys):
    table = voted / "processedResults/summaryTable.csv"
    table.write_text(VOTES.replace("1091_IEO_ANG_HI", "1091_IEO_ANG_LO"))
    assert {e.id: e.problem for e in CREMAD(label="face").scan(voted).entries if e.problem} == {
        "1091_IEO_ANG_HI": "no row in the table of votes"
    }
    assert run(voted, tmp_path / "out", "--label", "face") == 1
    table.write_text(VOTES.replace('"F:S"', '"F;S"'))
    with pytest.raises(DataError, match=r"line 6: FaceVote is 'F;S', not letters of A:D:F:H:N:S"):
        CREMAD(label="face").scan(voted)
    table.unlink()
    with pytest.raises(DataError, match=r"no summaryTable\.csv in it"):
        CREMAD(label="face").scan(voted)
