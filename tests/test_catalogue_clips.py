"""datamodules/catalogues/clips: which files are clips, what they are called, and the store that comes of them."""

import json
import shutil

import av
import cv2
import numpy as np
import pytest
from clip_folders import entries, folder, scanned, table
from PIL import Image
from test_media import RATE, own_bytes, tone, write_clip, write_wav

import cli
from datamodules.catalogues.ravdess import EMOTIONS
from datamodules.errors import DataError
from datamodules.reading.tables import read_table
from datamodules.store.reader import Store


def sound(path, seconds=1.0, hz=220.0):
    path.parent.mkdir(parents=True, exist_ok=True)
    return write_wav(path, 20_000 * tone(seconds, rate=RATE, channels=1, hz=hz))


def run(source, out, *more):
    return cli.main(["prepare", "clips", "--source", str(source), "--out", str(out), "--workers", "1", *more])


def test_ids_are_places_without_endings_unless_two_would_be_one(tmp_path):
    files = ("x.mp4", "sub/x.mp4", "y.avi", "y.mp4", "p.q.wav", "anna happy 1.MOV", "z.mkv", "z.webm", "s.m4a", "s.ogg")
    rows = [f"{name},{'joy' if place % 2 else 'rage'}" for place, name in enumerate(files)]
    found = entries(folder(tmp_path, *files, labels_csv=table("file,label", *rows)))
    assert list(found) == [
        "anna happy 1", "p.q", "s.m4a", "s.ogg", "sub/x", "x", "y.avi", "y.mp4", "z.mkv", "z.webm",
    ]  # fmt: skip
    assert found["sub/x"].media["video"].path == tmp_path / "sub/x.mp4"


def test_the_sound_beside_a_video_is_its_own_and_no_clip(tmp_path, capsys):
    files = ("a.mp4", "a.wav", "b.mp4", "c.wav", "thumb.jpg")
    rows = ("a.mp4,joy", "b.mp4,rage", "c.wav,joy")
    root = folder(tmp_path, *files, labels_csv=table("file,label", *rows))
    scan = scanned(root)
    found = {entry.id: entry for entry in scan.entries}
    assert {name: medium.path.name for name, medium in found["a"].media.items()} == {"video": "a.mp4", "audio": "a.wav"}
    assert {name: medium.path.name for name, medium in found["b"].media.items()} == {"video": "b.mp4", "audio": "b.mp4"}
    assert {name: medium.path.name for name, medium in found["c"].media.items()} == {"audio": "c.wav"}
    assert scan.beside["unmatched.csv"] == "what,name,where,reason\n"
    assert "1 videos have the sound that lies beside them" in capsys.readouterr().out


def test_a_sound_with_a_row_of_its_own_is_a_clip(tmp_path):
    root = folder(tmp_path, "a.mp4", "a.wav", labels_csv=table("file,label", "a.mp4,joy", "a.wav,rage"))
    found = entries(root)
    assert {id: [one.path.name for one in entry.media.values()] for id, entry in found.items()} == {
        "a.mp4": ["a.mp4", "a.mp4"], "a.wav": ["a.wav"],
    }  # fmt: skip


def test_video_and_audio_have_columns_of_their_own(tmp_path):
    rows = ("v/1.mp4,w/one.wav,joy", "v/2.mp4,,rage", ",w/three.wav,joy")
    root = folder(tmp_path, "v/1.mp4", "v/2.mp4", "w/one.wav", "w/three.wav",
                  labels_csv=table("video,audio,label", *rows))  # fmt: skip
    found = entries(root)
    assert list(found) == ["v/1", "v/2", "w/three"]
    assert found["v/1"].media["audio"].path == root / "w/one.wav"


@pytest.mark.parametrize(("name", "wanted"), [
    ("in/a.mp4", "in/a"), ("in\\a.mp4", "in/a"), ("in/a", "in/a"), ("a.mp4", "in/a"), ("a", "in/a"),
    ("./in//a.mp4", "in/a"),
])  # fmt: skip
def test_a_row_may_name_its_file_in_several_ways(tmp_path, name, wanted):
    rows = (f"{name},joy", "b.mp4,rage")
    assert list(entries(folder(tmp_path, "in/a.mp4", "b.mp4", labels_csv=table("file,label", *rows)))) == ["b", wanted]


def test_folders_that_names_begin_with_need_not_be_there(tmp_path):
    rows = ("/other/data/in/a.mp4,joy", "/other/data/b.mp4,rage", "/other/data/in/c.mp4,rage")
    root = folder(tmp_path, "in/a.mp4", "b.mp4", "c.mp4", labels_csv=table("file,label", *rows))
    scan = scanned(root, max_missing=1)  # c.mp4 is somewhere else than the table says: another clip, perhaps
    assert [entry.id for entry in scan.entries] == ["b", "in/a"]


@pytest.mark.parametrize(("name", "reason"), [
    ("x.mp4", "it may be one/x.mp4 or two/x.mp4"),
    ("notes.txt", "its ending is that of no video, sound or picture"),
    ("../a.mp4", "its name does not stay in the folder"),
    ("other/a.mp4", "no such file"),
])  # fmt: skip
def test_a_name_that_means_no_file_or_two_is_told(tmp_path, name, reason):
    text = table("file,label", "a.mp4,joy", f"{name},rage")
    root = folder(tmp_path, "one/x.mp4", "two/x.mp4", "notes.txt", "a.mp4", labels_csv=text)
    scan = scanned(root)
    assert f"the first {name!r} ({reason})" in scan.fault
    assert scan.entries == []


def test_a_name_that_cannot_be_an_id_costs_one_clip(tmp_path):
    folder(tmp_path, "happy/good.wav", "sad/also good.wav", "sad/tab\there.wav", "sad/blank .wav")
    problems = {entry.id: entry.problem for entry in scanned(tmp_path).entries if entry.problem}
    assert set(problems) == {"sad/tab\there", "sad/blank "}
    assert "it begins or ends with a blank; rename it" in problems["sad/blank "]


def test_stills_are_pictures_whose_face_is_searched_for(tmp_path):
    root = folder(tmp_path, "happy/1.jpg", "sad/2.PNG", "happy/3.webp")
    found = entries(root)
    assert {id: dict(entry.media)["picture"].search for id, entry in found.items()} == {
        "happy/1": True, "happy/3": True, "sad/2": True,
    }  # fmt: skip
    assert not entries(root, face="whole")["happy/1"].media["picture"].search
    (root / "labels.csv").write_text(table("file,label,start", "happy/1.jpg,x,2", "sad/2.PNG,y,", "happy/3.webp,x,"))
    assert entries(root)["happy/1@2-"].problem == "a still has no start or end"


def test_windows_cut_longer_clips_and_lose_nothing(tmp_path):
    sound(tmp_path / "long.wav", 2.5)
    sound(tmp_path / "short.wav", 0.9, hz=300)
    (tmp_path / "labels.csv").write_text(table("file,label,fold", "long.wav,joy,1", "short.wav,rage,2"))
    found = scanned(tmp_path, window=1.0)
    assert [entry.id for entry in found.entries] == ["long@0-1", "long@1-2", "long@1.5-2.5", "short"]
    assert {entry.group for entry in found.entries[:3]} == {"long"}
    assert [entry.label for entry in found.entries] == [0, 0, 0, 1]
    assert [entry.columns["fold"] for entry in found.entries] == ["0", "0", "0", "1"]
    assert [entry.id for entry in scanned(tmp_path, window=1.0, hop=0.5).entries[:-1]] == [
        "long@0-1", "long@0.5-1.5", "long@1-2", "long@1.5-2.5",
    ]  # fmt: skip
    (tmp_path / "labels.csv").write_text(table("file,start,end,label", "long.wav,0.25,,joy", "short.wav,,0.5,rage"))
    media = [entry.media["audio"] for entry in scanned(tmp_path, window=1.0).entries]
    assert [(one.start, one.end) for one in media] == [(0.25, 1.25), (1.25, 2.25), (1.5, 2.5), (None, 0.5)]


def test_parts_of_a_sound_are_those_of_the_whole(tmp_path):
    sound(tmp_path / "long.wav", 3.0)
    sound(tmp_path / "b.wav", 1.0, hz=300)
    rows = ("long.wav,0.5,1.5,joy,s1", "long.wav,1.5,,rage,s1", "b.wav,,,joy,s2")
    (tmp_path / "labels.csv").write_text(table("file,start,end,label,speaker", *rows))
    assert run(tmp_path, tmp_path / "out", "--recipe", "sound") == 0
    parts = Store(tmp_path / "out/prepared-sound")
    assert parts.ids == ["b", "long@0.5-1.5", "long@1.5-"]
    (tmp_path / "labels.csv").write_text(table("file,label", "long.wav,joy", "b.wav,rage"))
    assert run(tmp_path, tmp_path / "all", "--recipe", "sound") == 0
    whole = Store(tmp_path / "all/prepared-sound").read("wave", 1)
    np.testing.assert_array_equal(parts.read("wave", 1), whole[22_050:66_150])
    np.testing.assert_array_equal(parts.read("wave", 2), whole[66_150:])


def test_the_same_bytes_under_two_speakers_or_labels_are_refused(tmp_path, capsys):
    sound(tmp_path / "a.wav")
    sound(tmp_path / "b.wav", hz=300)
    shutil.copy(tmp_path / "a.wav", tmp_path / "again.wav")
    text = table("file,label,speaker", "a.wav,joy,s1", "b.wav,rage,s2", "again.wav,joy,{}")
    (tmp_path / "labels.csv").write_text(text.format("s2"))
    with pytest.raises(DataError, match=r"a\.wav and again\.wav are the same recording, but of s1 and of s2"):
        scanned(tmp_path)
    (tmp_path / "labels.csv").write_text(text.format("s1"))
    assert not [entry for entry in scanned(tmp_path).entries if entry.reason]
    assert "1 files with the bytes of another one of the same person and label, kept" in capsys.readouterr().out
    (tmp_path / "labels.csv").write_text(table("file,label", "a.wav,joy", "b.wav,rage", "again.wav,joy"))
    assert {entry.id: entry.dropped for entry in scanned(tmp_path).entries if entry.dropped} == {
        "again": "same bytes as another clip",
    }  # fmt: skip
    (tmp_path / "labels.csv").write_text(table("file,label", "a.wav,joy", "b.wav,rage", "again.wav,rage"))
    with pytest.raises(DataError, match="the same recording, but labelled differently"):
        scanned(tmp_path)


def test_sounds_and_their_table_become_a_store(tmp_path, capsys):
    root, out = tmp_path / "in", tmp_path / "out"
    for place in range(6):
        sound(root / f"take {place}.wav", 3.0, 200 + 50 * place)
    (root / "take 6.wav").write_bytes(b"no sound")
    rows = [f"take {place}.wav,{'joy' if place % 2 else 'rage'},s{place % 3},{place / 10},{20 + place}"
            for place in range(7)]  # fmt: skip
    (root / "labels.csv").write_text(table("file,label,speaker,valence,age", *rows))
    assert run(root, out, "--folds", "3", "--fold-seed", "4", "--max-skipped", "1") == 0
    said = capsys.readouterr().out
    assert "  3 folds made of 3 speakers, by class, from seed 4: folds.csv, for --splits\n" in said
    assert "6 clips used, 1 skipped" in said
    store = Store(out / "prepared")
    assert store.ids == [f"take {place}" for place in range(6)]
    assert store.labels.tolist() == [1, 0, 1, 0, 1, 0]
    assert store.groups == ["s0", "s1", "s2"] * 2
    assert [row["value_valence"] for row in store.rows] == ["0.0", "0.1", "0.2", "0.3", "0.4", "0.5"]
    assert [row["meta_age"] for row in store.rows] == ["20", "21", "22", "23", "24", "25"]
    assert {row["split"] for row in store.rows} == {""}
    settings = store.manifest["settings"]["catalogue"]
    assert settings["name"] == "clips"
    assert settings["classes"] == ["joy", "rage"]
    assert settings["tasks"] == {
        "label": {"kind": "classes", "classes": ["joy", "rage"]},
        "valence": {"kind": "value", "unit": "", "range": None},
    }
    assert settings["speakers"] is True
    assert settings["metadata"] == ["age"]
    assert {key: settings["folds"][key] for key in ("source", "count", "seed")} == {
        "source": "made", "count": 3, "seed": 4,
    }  # fmt: skip
    folds = {row["clip"]: (row["speaker"], row["fold"]) for row in read_table(out / "folds.csv")}
    assert folds.items() >= {row["id"]: (row["group"], row["fold"]) for row in store.rows}.items()
    assert str(root) not in json.dumps(store.manifest)
    assert run(root, out, "--folds", "3", "--fold-seed", "4", "--max-skipped", "1") == 0  # and again: nothing changes
    assert run(root, out, "--max-skipped", "1", "--fold_seed", "5") == 2
    assert "made with other settings" in capsys.readouterr().err


def test_videos_are_prepared_with_what_every_model_needs(tmp_path, capsys):
    for place in range(3):
        own_bytes(write_clip(tmp_path / f"c{place}.mp4", seconds=3.2, frames=32))
    rows = ("c0.mp4,joy,s1,hello there", "c1.mp4,rage,s2,", "c2.mp4,joy,s3,again")
    (tmp_path / "labels.csv").write_text(table("file,label,speaker,text", *rows))
    small = ["--views.video.face", "none", "--views.video.size", "16", "--views.img.size", "16"]
    assert run(tmp_path, tmp_path / "out", *small, "--preview", str(tmp_path / "sheet.png")) == 0
    store = Store(tmp_path / "out/prepared")
    assert {"video", "wave", "mfcc", "img_5", "spec_5"} <= set(store.arrays)
    assert store.read("video", 0).shape == (30, 16, 16, 3)
    assert (tmp_path / "sheet.png").is_file()
    assert run(tmp_path, tmp_path / "out", *small) == 0  # the sheet is no clip of the folder


def test_every_form_of_clip_is_read(tmp_path):
    for name, codec in {"a.mp4": "libx264", "b.mov": "libx264", "c.mkv": "libx264", "d.webm": "libvpx-vp9",
                        "e.avi": "mpeg4"}.items():  # fmt: skip
        write_clip(tmp_path / name, codec=codec, audio=None if codec == "libvpx-vp9" else "aac")
    for name, codec in {"f.mp3": "libmp3lame", "g.m4a": "aac", "h.ogg": "libopus", "i.flac": "flac"}.items():
        encode(tmp_path / name, codec, tone(1.0, channels=1, hz=200 + ord(name[0])))
    sound(tmp_path / "j.wav")
    rows = [f"{path.name},{path.suffix < '.m'}" for path in sorted(tmp_path.iterdir())]
    (tmp_path / "labels.csv").write_text(table("file,label", *rows))
    more = ["--views.video.face", "none", "--views.video.size", "16", "--views.img.size", "16"]
    assert run(tmp_path, tmp_path / "out", *more) == 0
    store = Store(tmp_path / "out/prepared")
    assert store.ids == list("abcdefghij")
    assert [len(store.read("video", row)) for row in range(10)] == [30] * 5 + [0] * 5
    seconds = [len(store.read("wave", row)) / 44_100 for row in range(10)]
    np.testing.assert_allclose(seconds, [3, 3, 3, 0, 3, 1, 1, 1, 1, 1], atol=0.06)


def encode(path, codec, samples, rate=48_000):
    """Write mono sound, float ``(1, n)``."""
    with av.open(str(path), "w") as out:
        stream = out.add_stream(codec, rate=rate)
        stream.layout = "mono"
        frame = av.AudioFrame.from_ndarray(samples, "fltp", "mono")
        frame.sample_rate = rate
        size = stream.codec_context.frame_size or 1024
        made = av.AudioResampler(stream.codec_context.format.name, "mono", rate, size)
        for part in [*made.resample(frame), *made.resample(None)]:
            out.mux(stream.encode(part))
        out.mux(stream.encode(None))
    return path


def test_films_without_sound_are_prepared_without_it(tmp_path, capsys):
    for place in range(2):
        own_bytes(write_clip(tmp_path / f"c{place}.mp4", audio=None))
    (tmp_path / "labels.csv").write_text(table("file,label", "c0.mp4,joy", "c1.mp4,rage"))
    assert run(tmp_path, tmp_path / "out", "--recipe", "cfnsr", "--views.video.face", "none") == 0
    assert "without the views wave, mfcc" in capsys.readouterr().out
    assert set(Store(tmp_path / "out/prepared-cfnsr").arrays) == {"video"}


def test_a_sheet_of_clips_without_classes_names_none(tmp_path):
    for place in range(2):
        own_bytes(write_clip(tmp_path / f"c{place}.mp4", audio=None))
    (tmp_path / "labels.csv").write_text(table("file,valence", "c0.mp4,0.5", "c1.mp4,-1"))
    small = ["--recipe", "cfnsr", "--views.video.face", "none", "--views.video.size", "16"]
    assert run(tmp_path, tmp_path / "out", *small, "--preview", str(tmp_path / "sheet.png")) == 0
    assert Store(tmp_path / "out/prepared-cfnsr").labels.tolist() == [-1, -1]


def test_several_speakers_of_one_file_are_told(tmp_path, capsys):
    rows = ("a.mp4,joy,s1,0,2", "a.mp4,rage,s2,2,4", "b.mp4,joy,s3,,")
    scanned(folder(tmp_path, "a.mp4", "b.mp4", labels_csv=table("file,label,speaker,start,end", *rows)))
    assert "1 files have parts of several speakers (a.mp4), whose folds may differ" in capsys.readouterr().out


def test_stills_with_values_and_splits_are_those_of_the_static_model(tmp_path):
    rng = np.random.default_rng(0)
    for place in range(6):
        (tmp_path / "in").mkdir(exist_ok=True)
        Image.fromarray(rng.integers(0, 255, (40, 40, 3), np.uint8)).save(tmp_path / f"in/{place}.png")
    splits = ("train", "train", "train", "dev", "test", "test")
    rows = [f"{place}.png,{'joy' if place % 2 else 'rage'},0.5,{split}" for place, split in enumerate(splits)]
    (tmp_path / "in/labels.csv").write_text(table("file,label,valence,split", *rows))
    more = ["--recipe", "static_emotion", "--face", "whole", "--views.face.size", "16"]
    assert run(tmp_path / "in", tmp_path / "out", *more) == 0
    store = Store(tmp_path / "out/prepared-static_emotion")
    assert [row["split"] for row in store.rows] == ["train", "train", "train", "val", "test", "test"]
    assert [store.read("split", row).item() for row in range(6)] == [0, 0, 0, 1, 2, 2]
    np.testing.assert_array_equal(store.read("affect", 0), np.array([np.nan, 0.5], np.float32))
    assert "folds.csv" in {path.name for path in (tmp_path / "out").iterdir()}
    assert store.manifest["settings"]["catalogue"]["folds"]["source"] == "split"


def test_a_broken_sound_among_films_is_skipped_for_what_it_is(tmp_path):
    own_bytes(write_clip(tmp_path / "c0.mp4", seconds=3.2, frames=32))
    own_bytes(write_clip(tmp_path / "c1.mp4", seconds=3.2, frames=32))
    (tmp_path / "c2.wav").write_bytes(b"no sound at all")
    (tmp_path / "labels.csv").write_text(table("file,label", "c0.mp4,joy", "c1.mp4,rage", "c2.wav,joy"))
    small = ["--recipe", "cfnsr", "--views.video.size", "16", "--max-skipped", "1"]
    assert run(tmp_path, tmp_path / "out", *small) == 0
    (skipped,) = read_table(tmp_path / "out/prepared-cfnsr/skipped.csv")
    assert (skipped["file"], skipped["reason"]) == ("c2.wav", "not a media file, or cut off before its header")


def test_a_sheet_shows_stills_under_any_name(tmp_path):
    names = [f"Größe/{'sehr ' * 20}müde {place}.png" for place in range(3)]
    for place, name in enumerate(names):
        (tmp_path / "in/Größe").mkdir(parents=True, exist_ok=True)
        picture = np.full((40, 40, 3), 60 * place, np.uint8)
        (tmp_path / "in" / name).write_bytes(cv2.imencode(".png", picture)[1].tobytes())
    (tmp_path / "in/labels.csv").write_text(table("file,label", *(f"{name},{name[-5]}" for name in names)))
    more = ["--face", "whole", "--views.still.size", "16", "--preview", str(tmp_path / "sheet.png")]
    assert run(tmp_path / "in", tmp_path / "out", *more) == 0
    sheet = cv2.imread(str(tmp_path / "sheet.png"))
    assert sheet.shape == (3 * 96, 300 + 96, 3)
    assert [int(sheet[48 + 96 * row, 348].max()) for row in range(3)] == [0, 60, 120]
    assert (sheet[:, :4] == 255).all()  # captions keep clear of both edges
    assert (sheet[:, 296:300] == 255).all()
    assert all((sheet[96 * row : 96 * row + 96, :300] < 128).any() for row in range(3))


def test_a_sheet_leaves_room_for_a_clip_without_a_face(tmp_path, capsys):
    for place in range(2):
        own_bytes(write_clip(tmp_path / f"c{place}.mp4", seconds=3.2, frames=32))
    (tmp_path / "labels.csv").write_text(table("file,label", "c0.mp4,joy", "c1.mp4,rage"))
    small = ["--recipe", "cfnsr", "--views.video.size", "16", "--preview", str(tmp_path / "sheet.png")]
    assert run(tmp_path, tmp_path / "out", *small) == 0
    assert "2 without video (missing.csv)" in capsys.readouterr().out
    sheet = cv2.imread(str(tmp_path / "sheet.png"))
    assert sheet.shape == (2 * 96, 300 + 8 * 96, 3)
    assert (sheet[:, 300:] == 255).all()


@pytest.mark.realdata
def test_real_recordings_under_free_names_are_those_of_ravdess(realdata, tmp_path):
    speech = sorted(realdata.glob("ravdess/speech_16k/Actor_0[12]/*.flac"), key=lambda path: path.stem)
    for place, path in enumerate(speech):
        for copy in (tmp_path / "named" / path.parent.name / path.name, tmp_path / f"free/my take {place:03}.flac"):
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, copy)
    rows = [f"my take {place:03}.flac,{EMOTIONS[int(path.stem[6:8]) - 1]},{path.stem[-2:]}"
            for place, path in enumerate(speech)]  # fmt: skip
    (tmp_path / "free/labels.csv").write_text(table("file,label,speaker", *rows))
    more = ["--recipe", "cfnsr", "--classes", ",".join(EMOTIONS)]
    assert run(tmp_path / "free", tmp_path / "own", *more) == 0
    line = ["--source", str(tmp_path / "named"), "--out", str(tmp_path / "theirs"), "--workers", "1"]
    assert cli.main(["prepare", "ravdess", *line]) == 0
    own, theirs = Store(tmp_path / "own/prepared-cfnsr"), Store(tmp_path / "theirs/prepared")
    assert own.groups == theirs.groups
    assert own.labels.tolist() == theirs.labels.tolist()
    for name in ("wave", "mfcc"):
        assert own.manifest["arrays"][name] == theirs.manifest["arrays"][name]


def test_folds_of_values_are_by_number_of_clips(tmp_path, capsys):
    rows = ("a.mp4,0.5,s1", "b.mp4,0.1,s2", "c.mp4,-1,s3")
    scanned(folder(tmp_path, "a.mp4", "b.mp4", "c.mp4", labels_csv=table("file,valence,speaker", *rows)))
    assert "  3 folds made of 3 speakers, by number of clips, from seed 0" in capsys.readouterr().out


def test_two_labels_of_one_file_are_told_of_it_by_its_name(tmp_path):
    rows = ("a.mp4,joy,s1", "a.mp4,rage,s1", "b.mp4,joy,s2")
    with pytest.raises(DataError, match=r"a\.mp4' has label 'rage', but 'joy' in "):
        scanned(folder(tmp_path, "a.mp4", "b.mp4", labels_csv=table("file,label,speaker", *rows)))
