"""datamodules/catalogues/faces: every reader on a tiny fixture in its corpus' documented format, and the store."""

import csv
import json
import subprocess
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from av import VideoFrame
from scipy.io import savemat
from test_media import write_clip

import cli
from datamodules.catalogues.faces import index
from datamodules.catalogues.faces.catalogue import Faces, corpora
from datamodules.catalogues.faces.corpus import CATEGORIES, SHARES, Files
from datamodules.catalogues.faces.emotic import FIRST, THEN, category_of
from datamodules.catalogues.faces.splits import assign_splits
from datamodules.entries import Entry, Media
from datamodules.errors import DataError
from datamodules.media.clip import read_clip
from datamodules.media.letterbox import letter_box
from datamodules.media.pictures import frames_at, read_picture
from datamodules.store.decoding import Stills, jobs_of
from datamodules.store.making import prepare_job
from datamodules.store.reader import Store
from datamodules.store.writer import StoreWriter
from datamodules.views.face import Face


def picture(path, seed=0, size=(40, 30), side=7):
    """A smooth random picture of ``(width, height)``; PNG keeps its pixels."""
    path.parent.mkdir(parents=True, exist_ok=True)
    small = np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)
    image = cv2.resize(small, size, interpolation=cv2.INTER_CUBIC)
    cv2.imwrite(str(path), image)
    return image[:, :, ::-1]


def told(entry):
    """What a corpus says of a still, NaN for labels that it lacks."""
    corpus, _, clip = entry.id.partition("/")
    medium = entry.media["picture"]
    return SimpleNamespace(
        clip=clip,
        path=medium.path,
        category=entry.label,
        arousal=entry.labels.get("arousal", np.nan),
        valence=entry.labels.get("valence", np.nan),
        group=entry.group,
        subject=entry.group.removeprefix(f"{corpus}/"),
        split=entry.split,
        time=medium.time,
        box=medium.box,
        detect=medium.search,
        reason=entry.problem,
    )


def entries_of(folder):
    ignored = Counter()
    return list(corpora()[folder.name].stills(Files(folder), ignored)), ignored


def parse(folder):
    entries, ignored = entries_of(folder)
    return [told(entry) for entry in entries], ignored


def divided(folder):
    entries, _ = entries_of(folder)
    return [told(entry) for entry in assign_splits(entries, corpora()[folder.name].shares)]


def scan(folder):
    found = Faces().scan(folder)
    return [told(entry) for entry in found.entries], found.ignored


def labels(stills):
    return [(s.clip, CATEGORIES[s.category] if s.category >= 0 else None, s.arousal, s.valence) for s in stills]


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_the_ten_corpora_are_found_by_their_files():
    names = "afew_va affectnet emotic expw fer_plus raf_db recola savee semaine sewa"
    assert sorted(corpora()) == names.split()


AFFECTNET = "subDirectory_filePath,face_x,face_y,face_width,face_height,facial_landmarks,expression,valence,arousal\n"


@pytest.mark.parametrize("header", [AFFECTNET, ""])
def test_affectnet(tmp_path, header):
    folder = tmp_path / "affectnet"
    codes = [f"1/p{code}.jpg,4,5,20,21,1;2,{code},0.{code},-0.5\n" for code in range(11)]
    write(folder / "training.csv", header + "".join(codes) + "1/p.bmp,0,0,9,9,1;2,1,0,0\n")
    write(folder / "validation.csv", header + "2/q.png,NULL,NULL,NULL,NULL,NULL,1,-2,-2\n")
    picture(folder / "Manually_Annotated_Images/1/p3.jpg")
    stills, ignored = parse(folder)
    assert [still.category for still in stills] == [*range(8), 1]
    assert [CATEGORIES[still.category] for still in stills[:8]] == list(CATEGORIES)
    assert (stills[3].arousal, stills[3].valence) == (-0.5, 0.3)
    assert stills[3].box == (4, 5, 24, 26)
    assert stills[3].path == folder / "Manually_Annotated_Images/1/p3.jpg"
    assert not stills[3].detect
    assert [still.split for still in stills] == ["train"] * 8 + ["val"]
    assert np.isnan([stills[8].arousal, stills[8].valence]).all()
    assert stills[8].detect
    assert ignored == {"affectnet pictures of no expression": 3, "affectnet pictures neither jpg nor png": 1}


def annotate(folder, name, **values):
    """Write the annotations of a picture of AffectNet's release of 2021: numpy's zero-dimensional texts."""
    (folder / "annotations").mkdir(parents=True, exist_ok=True)
    for short, value in values.items():
        np.save(folder / f"annotations/{name}_{short}.npy", value)


@pytest.mark.parametrize("kind", [str, np.float64, lambda one: np.array([one]), lambda one: np.bytes_(str(one))])
def test_affectnet_since_2021(tmp_path, capsys, kind):
    folder = tmp_path / "affectnet"
    for name, place, exp, val, aro in (
        ("0", "train_set", 3, 0.25, -0.5),
        ("12", "train_set", 9, -2, -2),
        ("13", "train_set", 7, -2, -2),
        ("0", "val_set", 0, 1, -1),
    ):
        annotate(folder / place, name, exp=kind(exp), val=kind(val), aro=kind(aro), lnd=np.zeros(136))
        picture(folder / place / f"images/{name}.jpg", seed=len(place) + int(name))
    (folder / "train_set/images/13.jpg").unlink()
    picture(folder / "val_set/images/99.jpg")
    stills, ignored = scan(tmp_path)
    assert [(s.clip, CATEGORIES[s.category], s.split) for s in stills] == [
        ("train_set/0", "surprise", "train"),
        ("train_set/13", "contempt", "train"),
        ("val_set/0", "neutral", "val"),
    ]
    assert (stills[0].valence, stills[0].arousal) == (0.25, -0.5)
    assert np.isnan([stills[1].valence, stills[1].arousal]).all()
    assert (stills[2].valence, stills[2].arousal) == (1, -1)
    assert stills[2].path == folder / "val_set/images/0.jpg"
    assert not any(still.detect or still.box for still in stills)
    assert ignored == {"affectnet pictures of no expression": 1}
    assert (
        "affectnet: 1 label without a file (train_set/images/13.jpg), 1 file without a label (val_set/images/99.jpg)"
        in capsys.readouterr().out
    )


class Ran(Exception):
    """What an annotation that runs code would raise."""

    def __reduce__(self):
        return exec, ("raise SystemExit('ran')",)


@pytest.mark.parametrize(("values", "message"), [
    ({"exp": np.array(Ran(), object)}, "0_exp.npy is not a plain .npy file"),
    ({"exp": "12", "aro": "0", "val": "0"}, "expression '12' is not one of"),
    ({"exp": ["1", "2"]}, r"of shape \(2,\), not one value"),
    ({"exp": "1"}, "0_aro.npy: there is no such file"),
    ({"exp": "1", "aro": "0.5", "val": "high"}, "0_val.npy: 'high' is not a number"),
    ({"exp": "1", "aro": "0.5", "val": "3"}, "3 is not between -2 and 1"),
    ({"exp": "1", "aro": 1j}, "complex128 of shape"),
])  # fmt: skip
def test_what_is_wrong_with_an_annotation_of_affectnet_is_said(tmp_path, values, message):
    annotate(tmp_path / "affectnet/train_set", "0", **values)
    picture(tmp_path / "affectnet/train_set/images/0.jpg")
    with pytest.raises(DataError, match=message) as error:
        scan(tmp_path)
    assert len(str(error.value).splitlines()) == 1


def test_annotations_of_affectnet_that_are_in_no_set_are_refused(tmp_path):
    annotate(tmp_path / "affectnet", "0", exp="1", aro="0", val="0")
    with pytest.raises(DataError, match=r"0_exp\.npy: not in train_set or val_set/annotations"):
        scan(tmp_path)


def test_raf_db_keeps_the_official_test(tmp_path):
    folder = tmp_path / "raf_db"
    lines = [f"train_{i:05d}.jpg {i % 7 + 1}" for i in range(1, 41)] + ["test_0001.jpg 4", "test_0002.jpg 7"]
    write(folder / "EmoLabel/list_patition_label.txt", "\n".join(lines) + "\n")
    picture(folder / "Image/aligned/train_00001_aligned.jpg")
    picture(folder / "Image/original/train_00002.jpg")
    stills, _ = parse(folder)
    named = {s.clip: CATEGORIES[s.category] for s in stills}
    assert [named[f"train_{i:05d}"] for i in (7, 1, 2, 3, 4, 5, 6)] == [
        "surprise",
        "fear",
        "disgust",
        "happy",
        "sad",
        "anger",
        "neutral",
    ]
    assert (named["test_0001"], named["test_0002"]) == ("happy", "neutral")
    assert stills[0].path.name == "train_00001_aligned.jpg"
    assert not stills[0].detect
    assert stills[1].path == folder / "Image/original/train_00002.jpg"
    assert stills[1].detect
    split = Counter((s.clip.split("_")[0], s.split) for s in divided(folder))
    assert split == {("train", "train"): 36, ("train", "val"): 4, ("test", "test"): 2}


def test_expw_takes_the_first_face_by_its_own_box(tmp_path):
    folder = tmp_path / "expw"
    lines = [f"a{label}.jpg 0 10 20 30 40 0.9 {label}" for label in range(7)] + ["a0.jpg 1 1 2 3 4 0.9 6"]
    write(folder / "label/label.lst", "\n".join(lines))
    stills, ignored = parse(folder)
    expected = ["anger", "disgust", "fear", "happy", "sad", "surprise", "neutral"]
    assert [CATEGORIES[s.category] for s in stills] == expected
    assert {s.box for s in stills} == {(20, 10, 30, 40)}  # the file has top, left, right, bottom
    assert ignored == {"expw faces after the first": 1}


def test_fer_plus_with_and_without_usage(tmp_path):
    folder = tmp_path / "fer_plus"
    pixels = " ".join(str(i % 256) for i in range(48 * 48))
    write(folder / "train.csv", f"emotion,pixels\n0,{pixels}\n6,{pixels}\n3,1 2 3\n")
    stills, _ = parse(folder)
    assert [CATEGORIES[s.category] for s in stills] == ["anger", "neutral", "happy"]
    assert [s.split for s in divided(folder)] == ["train"] * 3
    assert [s.reason for s in stills] == ["", "", "not 48 x 48 grey values"]
    entry = entries_of(folder)[0][0]
    image = Stills([entry]).image(entry, entry.media["picture"])
    np.testing.assert_array_equal(image, np.repeat((np.arange(2304) % 256).reshape(48, 48, 1), 3, axis=2))
    rows = [f"{i % 7},{pixels},{usage}" for i, usage in enumerate(("Training", "PublicTest", "PrivateTest"))]
    write(folder / "fer2013.csv", "emotion,pixels,Usage\n" + "\n".join(rows))
    assert [s.split for s in parse(folder)[0]] == ["train", "val", "test"]


def test_savee_every_twentieth_frame_and_split_by_speaker(tmp_path):
    folder = tmp_path / "savee"
    names = ["a01", "d02", "f03", "h04", "n05", "sa06", "su07"]
    (folder / "AudioVisualClip/DC").mkdir(parents=True)
    for name in names:
        write_clip(folder / f"AudioVisualClip/DC/{name}.avi", frames=41, fps=25, audio=None)
    for speaker in ("JE", "JK", "KL"):
        (folder / f"AudioVisualClip/{speaker}").mkdir()
        (folder / f"AudioVisualClip/{speaker}/sa1.avi").write_bytes(b"")
    write_clip(folder / "AudioVisualClip/DC/holiday.avi", frames=3, audio=None)
    stills, ignored = parse(folder)
    shown = {s.clip: (CATEGORIES[s.category], s.time) for s in stills if s.subject == "DC"}
    expected = ["anger", "disgust", "fear", "happy", "neutral", "sad", "surprise"]
    assert [shown[f"DC/{name}/0000.80"] for name in names] == [(label, 0.8) for label in expected]
    assert len(shown) == 21
    assert ignored == {"savee videos not named like a clip": 1}
    assert {s.reason for s in stills if s.subject != "DC"} == {"empty file (0 bytes)"}
    splits = {s.subject: s.split for s in divided(folder)}
    assert sorted(splits.values()) == ["test", "train", "train", "val"]


@pytest.mark.parametrize(
    ("corpus", "prefix", "recording", "stem", "every"),
    [
        ("recola", "REC", "REC0016", "P16", 8),
        ("semaine", "SEM", "SEM1", "SEM1", 17),
        ("sewa", "SEW", "SEW1101", "SEW1101", 17),
    ],
)
def test_gold_standard_by_time_and_whole_name(tmp_path, corpus, prefix, recording, stem, every):
    folder = tmp_path / corpus
    (folder / "videos").mkdir(parents=True)
    write_clip(folder / f"videos/{stem}.mp4", frames=50, fps=25, audio=None)
    write_clip(folder / f"videos/{stem}0.mp4", frames=50, fps=25, audio=None)  # its name begins with the other
    for axis, sign in (("arousal", 1), ("valence", -1)):
        lines = [f"{recording}_{t / 100:.2f},{sign * t / 1000}" for t in range(0, 120)]
        lines += [f"{recording}0_{t / 100:.2f},{sign * 0.9}" for t in range(0, 200)]
        write(folder / f"{prefix}_labels_{axis}_100Hz_gold_shifted.csv", "name,label\n" + "\n".join(lines) + "\n")
    stills, ignored = parse(folder)
    mine = [s for s in stills if s.subject == stem]
    times = [k / 25 for k in range(0, 50, every) if k / 25 < 1.2]
    assert [s.time for s in mine] == pytest.approx(times)
    assert [s.arousal for s in mine] == pytest.approx([t / 10 for t in times])
    assert [s.valence for s in mine] == pytest.approx([-t / 10 for t in times])
    assert {s.arousal for s in stills if s.subject == f"{stem}0"} == {0.9}
    assert ignored[f"{corpus} frames without labels"] == len(range(0, 50, every)) - len(times)
    assert {s.category for s in stills} == {-1}
    assert all(s.detect and s.split == "" for s in stills)


def test_a_recording_without_its_video_is_one_row_with_the_reason(tmp_path):
    for axis in ("arousal", "valence"):
        write(tmp_path / f"recola/REC_labels_{axis}_100Hz_gold_shifted.csv", "REC0016_0.00,0.1\nREC0016_0.01,0.1\n")
    stills, _ = parse(tmp_path / "recola")
    assert [(s.clip, s.reason) for s in stills] == [("P16", "no such file")]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("../x_0.00,0.1\n", r"line 1: '../x' cannot be the name of a file"),
        ("REC0016_0.00,0.1\nREC0016_0.00,0.2\n", r"line 2: .*REC0016.* is '0.2', but '0.1' in .*line 1"),
        ("name,value\nREC0016_x,0.1\n", "line 2: 'REC0016_x' is not like"),
        ("REC0016_0.00,0.1,3\n", "line 1: 3 values for 2 columns"),
    ],
)
def test_a_gold_standard_says_one_thing_and_names_no_place_outside(tmp_path, rows, message):
    for axis in ("arousal", "valence"):
        write(tmp_path / f"recola/REC_labels_{axis}_100Hz_gold_shifted.csv", rows)
    with pytest.raises(DataError, match=message):
        parse(tmp_path / "recola")


def test_afew_va_boxes_actors_and_scale(tmp_path):
    folder = tmp_path / "afew_va"
    frame = {"landmarks": [[5.0, 6.0], [25.0, 7.0], [9.0, 28.0]], "valence": -10, "arousal": 4}
    for clip, actor in (("001", "Ann"), ("002", "Ann"), ("010", "")):
        content = {"video_id": clip, "actor": actor, "frames": {"00000": frame, "00001": {"valence": 0, "arousal": 10}}}
        write(folder / f"data/{clip}/{clip}.json", json.dumps(content))
        picture(folder / f"data/{clip}/00000.png")
    write(folder / "data/001/other.json", "{}")
    stills, _ = parse(folder)
    assert labels(stills)[:2] == [("001/00000", None, 0.4, -1.0), ("001/00001", None, 1.0, 0.0)]
    assert stills[0].box == (5, 6, 25, 28)
    assert [s.detect for s in stills] == [False, True] * 3
    assert [s.group for s in stills[::2]] == ["afew_va/Ann", "afew_va/Ann", "afew_va/010"]


def person(categories, valence=10.0, arousal=1.0, box=(2, 3, 30, 28)):
    return {
        "body_bbox": np.array(box, float),
        "annotations_categories": {"categories": np.array(categories, object)},
        "annotations_continuous": {"valence": valence, "arousal": arousal, "dominance": 5.0},
    }


def struct(items):
    array = np.empty((1, len(items)), object)
    array[0, :] = items
    return array


def test_emotic(tmp_path):
    folder = tmp_path / "emotic"
    several = np.empty(2, object)
    several[:] = [person(["Anger"]), person(["Anger"])]
    opinions = person(["Esteem"], 5.5, 7.75)
    second = np.empty(2, object)
    second[:] = [{"categories": np.array(["Esteem"], object)}, {"categories": np.array(["Peace", "Fear"], object)}]
    opinions["annotations_categories"] = second

    def item(name, who):
        return {"filename": name, "folder": "mscoco/images", "person": who}

    content = {
        "train": struct([item("a.jpg", person(["Engagement", "Peace", "Sadness"])), item("b.jpg", several)]),
        "val": struct([item("c.jpg", opinions), item("d.jpg", person(["Esteem", "Engagement"]))]),
        "test": struct(
            [item("e.jpg", person(["Esteem", "Esteem", "Esteem", "Anger"])), item("f.jpg", person(["Fear"]))]
        ),
    }
    folder.mkdir()
    savemat(folder / "CVPR17_Annotations.mat", content)
    picture(folder / "cvpr_emotic/mscoco/images/a.jpg")
    stills, ignored = parse(folder)
    assert [(s.clip[-5:], CATEGORIES[s.category], s.split) for s in stills] == [
        ("a.jpg", "sad", "train"),
        ("c.jpg", "fear", "val"),
        ("f.jpg", "fear", "test"),
    ]
    assert [(s.valence, s.arousal) for s in stills] == [(1.0, -1.0), (0.0, 0.5), (1.0, -1.0)]
    assert stills[0].path == folder / "cvpr_emotic/mscoco/images/a.jpg"
    assert stills[0].box == (2, 3, 30, 28)
    assert all(s.detect for s in stills)
    assert ignored == {"emotic pictures of several people": 1, "emotic people of no expression": 2}


def test_emotic_categories_classic_ones_first():
    assert category_of(["Pleasure", "Surprise"]) == "surprise"
    assert category_of(["Disapproval", "Yearning"]) == "contempt"
    assert category_of(["Suffering"]) is None
    assert len(FIRST) == 6
    assert len(THEN) == 8


INDEX = "path,arousal,valence,category,subject,split"


def test_index_of_any_corpus(tmp_path):
    folder = tmp_path / "own"
    rows = ["a.png,0.1,,happy,s1,,1,2,9,12", "b.png,,,Su,s2,,,,,", "c.png,,,,s3,,,,,", "d.png,,-1,,s3,,,,,"]
    write(folder / "index.csv", f"{INDEX},left,top,right,bottom\n" + "\n".join(rows) + "\n")
    ignored = Counter()
    stills = [told(entry) for entry in index.stills(Files(folder), ignored)]
    assert labels(stills)[0][1:3] == ("happy", 0.1)
    assert np.isnan(stills[0].valence)
    assert [s.box for s in stills] == [(1, 2, 9, 12), None, None]
    assert [s.detect for s in stills] == [False, True, True]
    assert CATEGORIES[stills[1].category] == "surprise"
    assert ignored == {"own rows without any label": 1}


@pytest.mark.parametrize(
    ("corpus", "file", "text", "message"),
    [
        ("own", "index.csv", "path,arousal\na,0\n", "no column valence, category, subject, split"),
        ("own", "index.csv", f"{INDEX}\na.png,2,0,,,\n", r"line 2: 2 is not between -1 and 1"),
        ("own", "index.csv", f"{INDEX}\na.png,high,0,,,\n", "'high' is not a number"),
        ("own", "index.csv", f"{INDEX}\na.png,,,joy,,\n", "expression 'joy' is not one of"),
        ("own", "index.csv", f"{INDEX}\na.png,0,0,,,dev\n", "split 'dev' is not one of train, val, test"),
        ("own", "index.csv", f"{INDEX}\na.png,0\n", "line 2: 2 values for 6 columns"),
        ("own", "index.csv", f"{INDEX}\na.png,0,0,,,train\nb.png,0,0,,,\n", "has no split"),
        (
            "own",
            "index.csv",
            f"{INDEX}\na.png,0,0,,x,train\nb.png,0,0,,x,test\n",
            "subject x is in both train and test",
        ),
        ("own", "index.csv", f"{INDEX}\n", "no usable row"),
        (
            "own",
            "index.csv",
            f"{INDEX}\na.png,0,0,,s,\nb.png,0,0,,s,\n",
            "own: all 2 stills are of one participant, 's'",
        ),
        ("own", "index.csv", f"{INDEX}\na.png,0,0,,,\na.png,0.5,0,,,\n", r"line 3: 'own/a.png' has arousal '0.5', but"),
        ("own", "index.csv", f"{INDEX}\na.png,0,0,,,test\na.png,0,0,,,train\n", r"has split .*train.*test.*line 2"),
        ("own", "index.csv", f"{INDEX}\na.png,0,0,,x,\n./a.png,0,0,,y,\n", r"line 3: 'own/a.png' has subject"),
        ("own", "index.csv", f"{INDEX}\n../a.png,0,0,,,\n", r"line 2: '../a.png' cannot be the path of a file in the"),
        ("own", "index.csv", f"{INDEX}\nb/../../a.png,0,0,,,\n", "it means a folder"),
        ("own", "index.csv", f"{INDEX}\n..\\a.png,0,0,,,\n", "it means a folder"),
        ("own", "index.csv", f"{INDEX}\n/tmp/a.png,0,0,,,\n", "it does not begin in the folder"),
        ("own", "index.csv", f"{INDEX}\n,0,0,,,\n", "it is empty"),
        ("affectnet", "training.csv", "../../a.jpg,1,1,2,2,,1,0,0\n", r"line 1: '../../a.jpg' cannot be the path"),
        (
            "raf_db",
            "list_patition_label.txt",
            "train_../../x.jpg 5\n",
            r"line 1: 'train_../../x.jpg' cannot be the path",
        ),
        ("expw", "label.lst", "../a.jpg 0 10 20 30 40 0.9 1\n", r"line 1: '../a.jpg' cannot be the path"),
        ("expw", "label.lst", "a.jpg 0 1 2 3 4 0.9 1\na.jpg 0 1 2 3 4 0.9 2\n", r"line 2: 'expw/a.jpg' has category"),
        (
            "afew_va",
            "001/001.json",
            '{"frames": {"../0": {"valence": 1, "arousal": 0}}}',
            "frame ../0: '../0' cannot be",
        ),
        ("affectnet", "training.csv", AFFECTNET + "a.jpg,1,1,2,2,,12,0,0\n", "expression '12' is not one of"),
        ("affectnet", "training.csv", AFFECTNET, "no validation.csv"),
        ("raf_db", "list_patition_label.txt", "a.jpg 5\n", "is not like 'train_00001.jpg 5'"),
        ("expw", "label.lst", "a.jpg 0 1\n", "3 columns instead of 8"),
        ("savee", "x.txt", "", "no SAVEE clip"),
        ("afew_va", "001/001.json", "{", "not the labels of an AFEW-VA clip"),
        ("afew_va", "001/001.json", '{"frames": {"0": {"valence": 11, "arousal": 0}}}', "11 is not between"),
        ("emotic", "CVPR17_Annotations.mat", "no", "not EMOTIC's annotations"),
        ("recola", "a.txt", "", "no REC_labels_arousal_100Hz_gold_shifted.csv"),
        ("Own Corpus", "index.csv", f"{INDEX}\na.png,0,0,,,\n", "name the folder of a corpus by"),
    ],
)
def test_what_is_wrong_with_a_label_file_is_said(tmp_path, corpus, file, text, message):
    write(tmp_path / corpus / file, text)
    with pytest.raises(DataError, match=message) as error:
        scan(tmp_path)
    assert len(str(error.value).splitlines()) <= 2


def test_an_index_written_in_another_way_gives_the_same_stills(tmp_path):
    rows = ["sub/a.png,0.1,,happy,s1,train", "b.png,,0.5,,s2,test"]
    write(tmp_path / "one/own/index.csv", f"{INDEX}\n" + "\n".join(rows) + "\n")
    other = ["; ".join(row.split(",")) for row in [INDEX, rows[0].replace("sub/", ".\\sub\\"), *rows, ",,,,,"]]
    (tmp_path / "two/own").mkdir(parents=True)
    (tmp_path / "two/own/index.csv").write_bytes(("\ufeff" + "\r\n".join(other)).encode())
    one, two = (Faces().scan(tmp_path / name) for name in ("one", "two"))
    assert [(s.id, s.digest({})) for s in two.entries] == [(s.id, s.digest({})) for s in one.entries]
    assert len({s.digest({}) for s in one.entries}) == 2
    assert (one.ignored, two.ignored) == ({}, {"own rows that come twice": 1})


def test_what_lacks_its_other_half_is_counted_and_told(tmp_path, capsys):
    picture(tmp_path / "own/a.png")
    picture(tmp_path / "own/sub/c.png")
    write(tmp_path / "own/index.csv", f"{INDEX}\na.png,0,0,,s1,\nb.png,0,0,,s2,\nd.png,0,0,,s3,\n")
    picture(tmp_path / "affectnet/pictures/1/a.jpg")
    picture(tmp_path / "affectnet/pictures/1/none.jpg")
    picture(tmp_path / "affectnet/pictures/1/lost.jpg")
    write(tmp_path / "affectnet/training.csv", "1/a.jpg,1,1,2,2,,1,0,0\n1/none.jpg,1,1,2,2,,8,0,0\n")
    write(tmp_path / "affectnet/validation.csv", "1/v.jpg,1,1,2,2,,1,0,0\n")
    picture(tmp_path / "raf_db/Image/aligned/train_00001_aligned.jpg")
    picture(tmp_path / "raf_db/Image/original/train_00001.jpg")
    write(tmp_path / "raf_db/list_patition_label.txt", "train_00001.jpg 5\n")
    scan(tmp_path)
    assert capsys.readouterr().out.splitlines() == [
        "  affectnet: 1 label without a file (1/v.jpg), 1 file without a label (pictures/1/lost.jpg)",
        "  own: 2 labels without a file (b.png, d.png), 1 file without a label (sub/c.png)",
        "  corpora: affectnet, own, raf_db",
    ]


def test_one_clip_in_two_places_is_one_where_the_files_are_equal(tmp_path):
    for frames, place, clip in ((4, "DC", "a01"), (6, "DC", "d01"), (7, "JE", "a01"), (4, "copy/DC", "a01")):
        (tmp_path / "savee" / place).mkdir(parents=True, exist_ok=True)
        write_clip(tmp_path / f"savee/{place}/{clip}.avi", frames=frames, fps=25, audio=None)
    stills, ignored = scan(tmp_path)
    assert [still.clip for still in stills] == [f"{clip}/0000.00" for clip in ("DC/a01", "DC/d01", "JE/a01")]
    assert ignored == {"savee rows that come twice": 1}
    write_clip(tmp_path / "savee/copy/DC/a01.avi", frames=5, fps=25, audio=None)
    with pytest.raises(
        DataError, match=r"copy/DC/a01.avi: 'savee/DC/a01/0000.00' has content .* in .*savee/DC/a01.avi"
    ):
        scan(tmp_path)


def test_two_videos_of_one_recording_are_refused_unless_equal(tmp_path):
    for axis in ("arousal", "valence"):
        write(tmp_path / f"recola/REC_labels_{axis}_100Hz_gold_shifted.csv", "REC0016_0.00,0.1\nREC0017_0.00,0.1\n")
    for path in ("a/P16.mp4", "b/P16.mp4", "P17.mp4"):
        (tmp_path / "recola" / path).parent.mkdir(exist_ok=True)
        write_clip(tmp_path / "recola" / path, frames=4, fps=25, audio=None)
    assert [still.clip for still in parse(tmp_path / "recola")[0]] == ["P16/0000.00", "P17/0000.00"]
    write_clip(tmp_path / "recola/b/P16.mp4", frames=5, fps=25, audio=None)
    with pytest.raises(DataError, match=r"b/P16.mp4: 'P16' is .*, but .* in .*a/P16.mp4"):
        parse(tmp_path / "recola")


def test_no_subject_is_in_two_splits_and_names_are_compared_whole():
    names = ["S1/a1", "S1/a10", "S1/a11", "S1/a"] + [f"p{i}" for i in range(36)]
    stills = [Entry(f"x/{name}/{i}", f"x/{name}") for name in names for i in range(5)]
    given = assign_splits(stills, SHARES)
    held = {split: {s.group for s in given if s.split == split} for split in ("train", "val", "test")}
    assert [len(held[split]) for split in ("train", "val", "test")] == [32, 4, 4]
    assert sum(map(len, held.values())) == len(set.union(*held.values())) == 40
    assert given == assign_splits(stills[::-1], SHARES)[::-1]  # by name, whatever the order


def run(source, out, *more, size=24):
    """Exit code of the command line."""
    where = ["--source", str(source), "--out", str(out)] if out else ["--source", str(source)]
    return cli.main(["prepare", "faces", *where, "--workers", "1", "--views.face.size", str(size), *more])


def prepare(source, out, *more):
    assert run(source, out, *more) == 0
    return Store(out / "prepared")


def everything(folder):
    return {path.name: path.read_bytes() for path in sorted((folder / "prepared").iterdir())}


@pytest.fixture
def source(tmp_path):
    """Two corpora: twelve pictures of six subjects with boxes, and a video of three annotated frames."""
    folder = tmp_path / "source"
    lines = [f"{INDEX},left,top,right,bottom,time"]
    for i in range(12):
        picture(folder / f"own/pictures/{i:02d}.png", seed=i)
        lines.append(f"pictures/{i:02d}.png,{i / 20},,{CATEGORIES[i % 8]},s{i // 2},,12,12,28,20,")
    write(folder / "own/index.csv", "\n".join(lines) + "\n")
    write_clip(folder / "film.mp4", frames=50, fps=25, audio=None)
    lines = [f"{INDEX},left,top,right,bottom,time"]
    lines += [f"film.mp4,{t / 10},0,,,train,0,0,60,40,{t}" for t in (0.0, 0.5, 1.96)]
    write(folder / "film/index.csv", "\n".join(lines) + "\n")
    (folder / "film.mp4").rename(folder / "film/film.mp4")
    (folder / "notes").mkdir()
    return folder


def test_store(source, tmp_path, capsys):
    store = prepare(source, tmp_path / "out")
    assert store.ids == sorted(store.ids)
    assert store.ids[0] == "film/film.mp4/0000.00"
    assert {name: str(kind) for name, kind in store.arrays.items()} == {
        "face": "uint8",
        "affect": "float32",
        "split": "uint8",
        "thumbnail": "uint8",
    }
    i = store.ids.index("own/pictures/05.png")
    whole = read_picture(source / "own/pictures/05.png")
    part = np.ascontiguousarray(whole[2:30, 2:38])  # the box 12..28 x 12..20 and 10 pixels around it, clipped
    np.testing.assert_array_equal(store.read("face", i), letter_box(part, 24))
    assert store.read("affect", i)[0] == np.float32(0.25)
    assert np.isnan(store.read("affect", i)[1])
    assert (store.groups[i], store.labels[i]) == ("own/s2", 5)
    assert store.labels[0] == -1
    frames = read_clip(source / "film/film.mp4", lambda _: np.array([0.0, 0.5, 1.96])).frames
    for row, frame in enumerate(frames):
        image = frame.to_ndarray(format="rgb24")[:50, :70]
        np.testing.assert_array_equal(store.read("face", row), letter_box(np.ascontiguousarray(image), 24))
    said = capsys.readouterr().out
    assert "corpora: film, own\n15 stills\n" in said
    assert "15 stills used, 0 skipped, film (3 train, 0 val, 0 test), own (8 train, 2 val, 2 test)" in said
    settings = store.manifest["settings"]
    assert settings["views"]["face"] == {"view": "face", "size": 24, "margin": 10}
    assert settings["catalogue"] == {
        "name": "faces",
        "categories": list(CATEGORIES),
        "splits": ["train", "val", "test"],
        "seed": 101095,
    }


def test_workers_change_no_byte_and_a_second_run_neither(source, tmp_path):
    prepare(source, tmp_path / "one")
    prepare(source, tmp_path / "two", "--workers", "2")
    first = everything(tmp_path / "one")
    assert everything(tmp_path / "two") == first
    prepare(source, tmp_path / "one")
    assert everything(tmp_path / "one") == first
    for _ in range(2):  # the store may lie in the source's own folder
        prepare(source, source)
    assert everything(source) == first


@pytest.mark.parametrize("count", [0, 2, 9])
def test_stopped_it_carries_on_to_the_same_bytes(source, tmp_path, count, monkeypatch, capsys):
    prepare(source, tmp_path / "straight")
    done = Store(tmp_path / "straight/prepared").ids[3 + count]
    write_row, rows = StoreWriter.add, []

    def stopped(writer, id, *given):
        if id == done and not rows:
            rows.append(id)
            raise KeyboardInterrupt
        write_row(writer, id, *given)

    monkeypatch.setattr(StoreWriter, "add", stopped)
    assert run(source, tmp_path / "out") == 130
    assert f"stopped after {3 + count} of 15 stills" in capsys.readouterr().err
    assert not (tmp_path / "out/prepared/COMPLETE").exists()
    prepare(source, tmp_path / "out")
    assert everything(tmp_path / "out") == everything(tmp_path / "straight")


def spoil(folder):
    (folder / "own/pictures/00.png").write_bytes(b"")
    (folder / "own/pictures/01.png").write_text("not a picture")
    path = folder / "own/pictures/02.png"
    path.write_bytes(path.read_bytes()[:-40])
    (folder / "own/pictures/03.png").unlink()
    path = folder / "own/index.csv"
    path.write_text(
        path.read_text().replace("s2,,12,12,28,20", "s2,,,,,").replace("s3,,12,12,28,20", "s3,,90,12,99,20")
    )


REASONS = {
    "own/pictures/00.png": "empty file (0 bytes)",
    "own/pictures/01.png": "not a picture",
    "own/pictures/03.png": "no such file",
    "own/pictures/04.png": "no face found",
    "own/pictures/05.png": "no face found",
    "own/pictures/06.png": "the box of the face is outside the picture",
    "own/pictures/07.png": "the box of the face is outside the picture",
}


@pytest.mark.parametrize(("recipe", "view"), [("emotiw", "img is made of video"), ("cfnsr", "video is made of video")])
def test_stills_feed_no_recipe_of_films(source, tmp_path, capsys, recipe, view):
    words = ["--source", str(source), "--out", str(tmp_path / "out"), "--workers", "1", "--recipe", recipe]
    assert cli.main(["prepare", "faces", *words]) == 2
    assert f"--recipe {recipe}: {view}, which no still of {source} has" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_unusable_stills_must_be_accounted_for(source, tmp_path, capsys):
    spoil(source)
    assert run(source, tmp_path / "out", "--max-skipped", "7") == 1
    said = capsys.readouterr().err
    assert said.startswith("error: 8 stills cannot be used, the first own/pictures/00.png (empty file (0 bytes))")
    assert "--max-skipped 8" in said
    assert len(said.strip().splitlines()) == 2
    store = prepare(source, tmp_path / "out", "--max-skipped", "8")
    rows = list(csv.DictReader((tmp_path / "out/prepared/skipped.csv").open()))
    reasons = {row["id"]: row["reason"] for row in rows}
    assert reasons.pop("own/pictures/02.png").startswith("damaged picture")
    assert reasons == REASONS
    assert rows[0]["file"] == "own/pictures/00.png"
    assert store.manifest["counts"] == {"used": 7, "skipped": 8, "padded": 0}


def test_a_repaired_picture_is_done_again(source, tmp_path):
    path = source / "own/pictures/05.png"
    whole = path.read_bytes()
    path.write_bytes(whole[:50])
    assert run(source, tmp_path / "out") == 1
    path.write_bytes(whole)
    prepare(source, tmp_path / "out")
    prepare(source, tmp_path / "straight")
    assert everything(tmp_path / "out") == everything(tmp_path / "straight")


@pytest.mark.parametrize("what", ["picture", "video", "label", "more", "fewer", "settings"])
def test_a_finished_store_of_something_else_is_refused(source, tmp_path, what, capsys):
    prepare(source, tmp_path / "out")
    own, options = source / "own/index.csv", []
    if what == "picture":
        picture(source / "own/pictures/05.png", seed=99)
    elif what == "video":
        write_clip(source / "film/film.mp4", frames=51, fps=25, audio=None)
    elif what == "label":
        own.write_text(own.read_text().replace("05.png,0.25", "05.png,0.26"))
    elif what == "more":
        own.write_text(own.read_text() + "pictures/05b.png,0,0,,s5,,,,,,\n")
    elif what == "fewer":
        own.write_text("\n".join(own.read_text().splitlines()[:-1]) + "\n")
    else:
        options = ["--views.face.margin", "3"]
    before = everything(tmp_path / "out")
    assert run(source, tmp_path / "out", *options) == 2
    assert ("margin was 10, now 3" if options else "other source files") in capsys.readouterr().err
    assert everything(tmp_path / "out") == before


def test_synthetic_source_is_marked_and_an_unfinished_one_refused(source, tmp_path, monkeypatch, capsys):
    (source / "SYNTHETIC").write_text("somebody (incomplete)\n")
    monkeypatch.chdir(tmp_path)
    assert run(source, None) == 2
    assert "a stand-in that is not finished" in capsys.readouterr().err
    (source / "SYNTHETIC").write_text("somebody\n")
    assert run(source, None) == 0
    assert Store(tmp_path / "data/synthetic/faces/prepared").synthetic
    assert "SYNTHETIC" in capsys.readouterr().out
    (source / "SYNTHETIC").unlink()
    assert run(source, None) == 0
    assert not Store(tmp_path / "data/faces/prepared").synthetic


def test_near_duplicates_across_splits_are_counted(source, tmp_path, capsys):
    rows = [f"{INDEX},left,top,right,bottom"]
    for i, split in enumerate(("train", "train", "val", "test")):
        picture(source / f"own/pictures/{i:02d}.png", seed=40 + i)
        rows.append(f"pictures/{i:02d}.png,0,0,,,{split},0,0,40,30")
    subprocess.run(["cp", source / "own/pictures/03.png", source / "own/pictures/00.png"], check=True)
    write(source / "own/index.csv", "\n".join(rows) + "\n")
    store = prepare(source, tmp_path / "out")
    assert len(store) == 7  # the store holds them all; who trains leaves them out
    assert "near-duplicates across splits: 1 of train and 0 of val" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--source", "nowhere"], "--source nowhere: no such folder"),
        (["--source", "EMPTY"], "no corpus in it; wanted are folders named"),
        (["--views.face.size", "0"], "--views.face.size 0: give a number from 8"),
        (["--views.face.margin=-1"], "--views.face.margin -1: give a number from 0"),
        (["--views.face.margin", "much"], "views.face.margin"),
        (["--size", "64"], "--size is called --views.face.size now"),
        (["--margin=3"], "--margin is called --views.face.margin now"),
        (["--workers", "0"], "--workers 0: at least 1"),
        (["--max-skipped", "-1"], "--max-skipped -1: at least 0"),
    ],
)
def test_wrong_options(source, tmp_path, options, message, capsys):
    (tmp_path / "empty").mkdir()
    options = [str(tmp_path / "empty") if option == "EMPTY" else option for option in options]
    assert run(source, tmp_path / "out", *options) == 2
    said = capsys.readouterr().err
    assert message in said
    assert len(said.strip().splitlines()) <= 2
    assert not (tmp_path / "out").exists()


def test_frames_at_any_time_equal_those_of_the_whole_clip(tmp_path):
    path = tmp_path / "a.mp4"
    write_clip(path, frames=100, fps=25, audio=None)
    times = [0.0, 0.04, 1.0, 2.5, 3.2, 3.96]
    expected = [frame.pts for frame in read_clip(path, lambda _: np.array(times)).frames]
    assert [frame.pts for frame in frames_at(path, times)] == expected
    for time, pts in zip(times, expected, strict=True):
        assert [frame.pts for frame in frames_at(path, [time])] == [pts]
    with pytest.raises(DataError, match=r"ends before 9\.00 s"):
        list(frames_at(path, [0.0, 9.0]))


def stills_of(path, times):
    return [Entry(f"x/{i:03d}", media={"picture": Media(Path(path), time=time)}) for i, time in enumerate(times)]


def test_frames_of_one_video_are_read_some_at_a_time():
    stills = [*stills_of("a", np.arange(70) / 5), *stills_of("b", [None, None]), *stills_of("a", [0.1])]
    assert [len(job) for job in jobs_of(stills)] == [32, 32, 6, 1, 1, 1]
    assert [entry for job in jobs_of(stills) for entry in job] == stills
    assert [len(job) for job in jobs_of([*stills_of("a", [0.2, 0.4]), *stills_of("c", [0.5])])] == [2, 1]


def test_a_video_whose_stills_go_back_in_time_is_read_once_more(tmp_path):
    path = tmp_path / "a.mp4"
    write_clip(path, frames=50, fps=25, audio=None)
    stills = stills_of(path, [1.0, 1.2, 0.4, 0.4, 0.8])
    jobs = jobs_of(stills)
    assert [len(job) for job in jobs] == [2, 3]
    found = [pictures.image(one, one.media["picture"]) for job in jobs for pictures in [Stills(job)] for one in job]
    wanted = read_clip(path, lambda _: np.array([one.media["picture"].time for one in stills])).frames
    for image, frame in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(image, frame.to_ndarray(format="rgb24"))


def test_a_still_of_a_video_is_there_again_and_others_may_be_passed_over(tmp_path):
    path = tmp_path / "a.mp4"
    write_clip(path, frames=50, fps=25, audio=None)
    first, second, third, late, later = stills_of(path, [0.0, 0.4, 0.8, 9.0, 9.5])
    pictures = Stills([first, second, third, late, later])
    one = pictures.image(first, first.media["picture"])
    np.testing.assert_array_equal(pictures.image(first, first.media["picture"]), one)
    other = pictures.image(third, third.media["picture"])
    wanted = read_clip(path, lambda _: np.array([0.8])).frames[0]
    np.testing.assert_array_equal(other, wanted.to_ndarray(format="rgb24"))
    for entry in (late, late, later):
        with pytest.raises(DataError, match=r"ends before 9\.00 s"):
            pictures.image(entry, entry.media["picture"])


def test_an_error_of_the_disk_is_that_of_all_later_stills_of_the_video(monkeypatch):
    def unreadable(path, times):
        yield VideoFrame.from_ndarray(np.zeros((4, 4, 3), np.uint8))
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("datamodules.store.decoding.frames_at", unreadable)
    made = prepare_job(stills_of("a", [0.0, 1.0, 2.0]), {"face": Face(size=8)})
    assert [one.reason for one in made] == ["", *["cannot be read (Input/output error)"] * 2]


@pytest.mark.realdata
def test_detector_finds_real_faces(realdata, tmp_path):
    pictures = sorted(path for path in (realdata / "ravdess/face_stills").rglob("*") if path.suffix in (".jpg", ".png"))
    assert pictures
    lines = [f"{path.name},0,0,,," for path in pictures]
    write(tmp_path / "source/own/index.csv", "\n".join([INDEX, *lines]) + "\n")
    for path in pictures:
        (tmp_path / "source/own" / path.name).symlink_to(path)
    store = prepare(tmp_path / "source", tmp_path / "out", "--max-skipped", str(len(pictures) // 2))
    for i in range(len(store)):
        mean = store.read("face", i)[6:18, 6:18].mean(axis=(0, 1))
        assert mean[0] > mean[2]  # skin is warm
