"""One recording under two names: copies of a clip count once, two people or two labels are refused, in every corpus."""

import argparse

import numpy as np
import pytest
from test_media import own_bytes, tone, write_clip, write_wav
from test_prepare_engagement import film
from test_prepare_engagement import prepare as prepare_engagement

import cli
from datamodules.catalogues.daisee import SPLITS
from datamodules.catalogues.faces.catalogue import Faces
from datamodules.errors import DataError
from datamodules.prepare import ravdess_features
from datamodules.reading import recordings
from datamodules.reading.recordings import duplicate_hashes
from datamodules.recipe import catalogue_class
from datamodules.standins import ravdess_features as synth
from datamodules.store.reader import Store

RATE = 48_000


def spoken(path, level=1.0):
    path.parent.mkdir(parents=True, exist_ok=True)
    write_wav(path, tone(3.2, RATE, 1) * 32767 * level)
    return path


@pytest.fixture
def actors(tmp_path):
    """Two actors, two emotions each, sound alone."""
    folder = tmp_path / "RAVDESS"
    for number, clip in enumerate(("03-01-01-01-01-01-01", "03-01-03-01-01-01-01", "03-01-01-01-01-01-02")):
        spoken(folder / f"Actor_{clip[-2:]}/{clip}.wav", 0.5 + number / 10)
    return folder


def prepare(source, out):
    return cli.main(["prepare", "ravdess", "--source", str(source), "--out", str(out), "--workers", "1"])


def test_kaggles_ravdess_has_every_file_twice(actors, tmp_path, capsys):
    assert prepare(actors, tmp_path / "once") == 0
    for path in sorted(actors.rglob("*.wav")):
        again = actors / "audio_speech_actors_01-24" / path.relative_to(actors)
        again.parent.mkdir(parents=True, exist_ok=True)
        again.write_bytes(path.read_bytes())
    capsys.readouterr()
    assert prepare(actors, tmp_path / "twice") == 0
    assert "3 clips used, 0 skipped, 3 copies ignored" in capsys.readouterr().out
    for path in (tmp_path / "once/prepared").iterdir():
        assert path.read_bytes() == (tmp_path / "twice/prepared" / path.name).read_bytes(), path.name


def test_two_different_files_of_one_clip_have_to_be_accounted_for(actors, tmp_path, capsys):
    spoken(actors / "more/03-01-01-01-01-01-01.wav", 0.9)
    assert prepare(actors, tmp_path / "out") == 1
    assert "same clip as Actor_01/03-01-01-01-01-01-01.wav" in capsys.readouterr().err


@pytest.mark.parametrize(("clip", "message"), [
    ("03-01-01-01-01-01-03", "but of actor 01 and of actor 03; take out the wrong one"),
    ("03-01-04-01-01-01-01", "but labelled differently"),
])  # fmt: skip
def test_one_recording_of_two_actors_or_emotions_is_refused(actors, tmp_path, capsys, clip, message):
    path = actors / "Actor_01/03-01-01-01-01-01-01.wav"
    (actors / f"{clip}.wav").write_bytes(path.read_bytes())
    assert prepare(actors, tmp_path / "out") == 2
    error = capsys.readouterr().err
    assert message in error
    assert f"{clip}.wav" in error
    assert "Actor_01/03-01-01-01-01-01-01.wav" in error
    assert len(error.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_two_takes_with_the_same_bytes_are_kept_and_told(actors, tmp_path, capsys):
    """As 03-01-03-01-02-01-07 and 03-01-03-01-02-02-07 of the real corpus."""
    path = actors / "Actor_01/03-01-01-01-01-01-01.wav"
    (actors / "Actor_01/03-01-01-01-01-02-01.wav").write_bytes(path.read_bytes())
    assert prepare(actors, tmp_path / "out") == 0
    assert "1 files with the bytes of another one of the same person and label, kept" in capsys.readouterr().out
    assert len(Store(tmp_path / "out/prepared")) == 4


def test_what_is_no_recording_is_nobodys(actors, tmp_path, capsys):
    """Two downloads that ended with the same page of an error are two clips without sound, not one person twice."""
    for actor in (3, 4):
        (actors / f"03-01-01-01-01-01-{actor:02d}.wav").write_text("<html>not found</html>")
        (actors / f"03-01-02-01-01-01-{actor:02d}.wav").write_bytes(b"")
    assert prepare(actors, tmp_path / "out") == 1
    assert "4 clips cannot be used" in capsys.readouterr().err


def test_files_of_one_size_alone_are_read(tmp_path, monkeypatch):
    sizes = {"a": 1.0, "b": 1.0, "c": 0.5}
    paths = [spoken(tmp_path / f"{name}.wav", level) for name, level in sizes.items()]
    longer = tmp_path / "longer.wav"
    write_wav(longer, tone(3.3, RATE, 1))
    read = []
    monkeypatch.setattr(recordings, "sha256_file", lambda path: read.append(path) or path.read_bytes().hex())
    assert set(duplicate_hashes([*paths, longer, tmp_path / "none.wav"])) == set(paths[:2])
    assert read == paths


def engagement(folder, corpus, people):
    """A corpus of one video per entry: split, person, name, content (a number of frames)."""
    lines = {split: ["ClipID,Engagement"] for split in SPLITS}
    for split, person, clip, frames in people:
        if corpus == "noxi":
            path = film(folder / f"{split.lower()}/{person}/{clip}_video.mp4", frames, 25)
            path.with_name(f"annotation_{clip.lower()}.txt").write_text("0 0 1 0 0\n" * 25)
        else:
            film(folder / f"DataSet/{split}/{person}/{clip}/{clip}.mp4", frames, 25)
            lines[split].append(f"{clip}.avi,2")
    if corpus == "daisee":
        (folder / "Labels").mkdir()
        for split, rows in lines.items():
            (folder / f"Labels/{split}Labels.csv").write_text("\n".join(rows) + "\n")
    return folder


def scan(corpus, source):
    return catalogue_class(corpus)().scan(source)


BOX = "video,time,face_left,face_top,face_right,face_bottom\n{},0,1,1,30,30\n{},0,1,1,30,30\n"
BOXES = {
    "daisee": BOX.format("1100011002", "1100021001"),
    "noxi": BOX.format("001/expert", "002/expert"),
}
PEOPLE = {
    "daisee": [("Train", "110001", "1100011002", 25), ("Test", "110002", "1100021001", 30)],
    "noxi": [("Train", "001", "Expert", 25), ("Test", "002", "Expert", 30)],
}


@pytest.mark.parametrize("corpus", PEOPLE)
def test_one_video_of_two_people_is_refused(tmp_path, corpus):
    (*first, _), (*second, frames) = PEOPLE[corpus]
    source = engagement(tmp_path / "raw", corpus, [(*first, frames), (*second, frames)])
    with pytest.raises(DataError, match=f"are the same recording, but of {first[1]} and of {second[1]}"):
        prepare_engagement(corpus, source, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_one_video_of_two_levels_is_refused(tmp_path):
    source = engagement(tmp_path / "raw", "daisee", [*PEOPLE["daisee"], ("Train", "110001", "1100011003", 25)])
    labels = source / "Labels/TrainLabels.csv"
    labels.write_text(labels.read_text().replace("1100011003.avi,2", "1100011003.avi,0"))
    with pytest.raises(DataError, match=r"1100011003\.mp4 are the same recording, but labelled differently"):
        prepare_engagement("daisee", source, tmp_path / "out")


@pytest.mark.parametrize("corpus", PEOPLE)
def test_copies_of_a_video_count_once(tmp_path, capsys, corpus):
    source = engagement(tmp_path / "raw", corpus, PEOPLE[corpus])
    found = [video.id for video in scan(corpus, source).entries]
    first = next(path for path in sorted(source.rglob("*.mp4")) if "rain" in str(path))
    above, own = first.parents[1], first.parent.name
    again = (above / "again" / own if corpus == "noxi" else above.parent / "again" / above.name) / first.name
    again.parent.mkdir(parents=True)
    again.write_bytes(first.read_bytes())
    for path in first.parent.glob("*.txt"):
        again.with_name(path.name).write_bytes(path.read_bytes())
    (source / "boxes.csv").write_text(BOXES[corpus])
    prepare_engagement(corpus, source, tmp_path / "out")
    assert "2 videos used (1 train, 0 val, 1 test), 0 skipped, 1 copies of a video ignored" in capsys.readouterr().out
    assert [(video.id, video.reason) for video in scan(corpus, source).entries] == [(id, "") for id in found]
    own_bytes(again)
    (reason,) = [video.reason for video in scan(corpus, source).entries if video.reason]
    assert reason.startswith("same session and role as " if corpus == "noxi" else "same clip as ")
    if corpus == "noxi":
        again.write_bytes(first.read_bytes())
        next(again.parent.glob("*.txt")).write_text("1 0 0 0 0\n" * 25)
        (reason,) = [video.reason for video in scan(corpus, source).entries if video.reason]
        assert reason.startswith("same session and role as ")


def test_a_video_outside_the_splits_costs_none_of_its_name(tmp_path):
    source = engagement(tmp_path / "raw", "noxi", PEOPLE["noxi"])
    first = source / "train/001/Expert_video.mp4"
    other = source / "unsorted/001/Expert_video.mp4"
    other.parent.mkdir(parents=True)
    other.write_bytes(first.read_bytes())
    reasons = {video.id: video.reason for video in scan("noxi", source).entries}
    assert reasons == {
        "noxi/001/expert": "",
        "noxi/002/expert": "",
        "noxi/unsorted/001/Expert_video.mp4": "same session and role as train/001/Expert_video.mp4",
    }


def test_one_video_of_two_subjects_is_refused(tmp_path):
    own = tmp_path / "raw/own"
    own.mkdir(parents=True)
    write_clip(own / "a.mp4", frames=10, audio=None)
    write_clip(own / "c.mp4", frames=12, audio=None)
    (own / "b.mp4").write_bytes((own / "a.mp4").read_bytes())
    header, boxed = "path,arousal,valence,category,subject,split,time", ",left,top,right,bottom"
    rows = [
        "a.mp4,0.1,0,happy,{0},,0.1",
        "a.mp4,0.1,0,sad,{0},,0.3",
        "b.mp4,0.1,0,happy,{1},,0.1",
        "c.mp4,0,0,,s3,,0.1",
    ]
    index = own / "index.csv"
    index.write_text("\n".join([header, *rows]).format("s1", "s2") + "\n")
    with pytest.raises(DataError, match=r"own/a\.mp4 and own/b\.mp4 are the same recording, but of s1 and of s2"):
        Faces().scan(tmp_path / "raw")
    index.write_text("\n".join([header, *rows]).format("s1", "s1") + "\n")
    assert len(Faces().scan(tmp_path / "raw").entries) == 4
    index.write_text("\n".join([header + boxed, *(row + ",1,2,30,40" for row in rows)]).format("s1", "s2") + "\n")
    assert len(Faces().scan(tmp_path / "raw").entries) == 4  # two people in one picture


@pytest.mark.parametrize(("file", "name"), [("au_mfcc.npz", "au"), ("mfcc_44k.npz", "mfcc")])
def test_the_same_features_of_two_actors_are_refused(tmp_path, file, name):
    """The joined features of RAVDESS, whose files nobody has."""
    synth.run(argparse.Namespace(out=tmp_path / "raw", clips=96, seed=0, workers=1))
    content = dict(np.load(tmp_path / "raw" / file))
    ids = content["names" if name == "au" else "clip_id"].tolist()
    actors = [clip[-2:] for clip in ids]
    other = next(place for place, actor in enumerate(actors) if actor != actors[0])
    content[name][other] = content[name][0]
    np.savez(tmp_path / "raw" / file, **content)
    with pytest.raises(DataError, match=f"{name} of .* and {name} of .* are the same recording, but of actor") as error:
        ravdess_features.run(argparse.Namespace(source=tmp_path / "raw", out=tmp_path / "out", workers=1))
    assert len(str(error.value).splitlines()) == 1
