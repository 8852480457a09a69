"""One file of a corpus that cannot be used costs one clip, with its reason, and changes nothing of the others."""

import csv
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from test_avamerg import SMALL, sound, three, write
from test_landmarks import openface
from test_media import RATE, one_sample_wav, tone, write_clip, write_wav
from test_prepare_engagement import box, film, write_boxes

import cli
from datamodules.catalogues.faces.corpus import Files
from datamodules.errors import MediaError
from datamodules.media.pictures import read_picture
from datamodules.reading.files import check_regular, plain, sha256_file

ROOT = Path(__file__).resolve().parents[1]
BAD = b"\xff\xfe"  # no UTF-8


@pytest.fixture(autouse=True)
def _no_waiting():
    """Whoever opens a FIFO or reads a device to its end waits for ever: that is a failure."""

    def late(*_):
        raise AssertionError("still waiting")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(30)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def ravdess(folder):
    for i, clip in enumerate(("01-01-01-01-01-01-01", "01-01-05-01-01-01-01")):
        (folder / "Actor_01").mkdir(parents=True, exist_ok=True)
        write_clip(folder / f"Actor_01/{clip}.mp4", frames=32, seconds=3.2 + i / 10, options={"qscale": str(2 + i)})
    (folder / "landmarks").mkdir()
    for clip in ("01-01-01-01-01-01-01", "01-01-03-01-01-01-01", "01-01-05-01-01-01-01"):
        openface(folder / f"landmarks/{clip}.csv", [(8, 6, 40, 40)] * 32)
    return folder / "Actor_01/01-01-03-01-01-01-01.mp4"


def ravdess_audio(folder):
    folder.mkdir()
    for i, clip in enumerate(("03-01-01-01-01-01-01", "03-01-05-01-01-01-01")):
        write_wav(folder / f"{clip}.wav", tone(3.2 + i / 10, RATE, 1) * 20000)
    return folder / "03-01-03-01-01-01-01.wav"


def vgaf(folder):
    for split, names in (("Train", "ac"), ("Val", "d")):
        (folder / split).mkdir(parents=True)
        for name in names:
            write_clip(folder / split / f"{name}.mp4", rate=16000, seconds=2.5 + ord(name) / 1000)
    (folder / "Train_labels.txt").write_text("Vid_name Label\na 1\nb 2\nc 3\n")
    (folder / "Val_labels.txt").write_text("Vid_name Label\nd 1\n")
    return folder / "Train/b.mp4"


def daisee(folder):
    labels = "ClipID,Boredom,Engagement,Confusion,Frustration\n"
    for split, clip in (("Train", "1100011001"), ("Validation", "1100021001"), ("Test", "1100031001")):
        film(folder / f"DataSet/{split}/{clip[:6]}/{clip}/{clip}.mp4", 5 + int(clip[5]), 5)
        (folder / "Labels").mkdir(exist_ok=True)
        more = "1100041001.avi,0,1,0,0\n" if split == "Train" else ""
        (folder / f"Labels/{split}Labels.csv").write_text(f"{labels}{clip}.avi,0,1,0,0\n{more}")
    clips = ("1100011001", "1100021001", "1100031001", "1100041001")
    write_boxes(folder / "boxes.csv", [{"video": clip, "time": 0} | box("face", 30, 20, 50, 40) for clip in clips])
    return folder / "DataSet/Train/110004/1100041001/1100041001.mp4"


def noxi(folder):
    for session, split in (("001", "train"), ("002", "val"), ("003", "test"), ("004", "train")):
        place = folder / split / session
        if session != "004":
            film(place / "Expert_video.mp4", 5 + int(session), 5)
        place.mkdir(exist_ok=True)
        (place / "annotation_expert.txt").write_text("0 0 1 0 0\n" * 50)
    rows = [{"video": f"00{i}/expert", "time": 0} | box("face", 30, 20, 50, 40) for i in range(1, 5)]
    write_boxes(folder / "boxes.csv", rows)
    return folder / "train/004/Expert_video.mp4"


def faces(folder):
    (folder / "mine").mkdir(parents=True)
    lines = ["path,arousal,valence,category,subject,split,left,top,right,bottom"]
    for name, split in (("a", "train"), ("b", "train"), ("c", "val"), ("d", "test")):
        lines.append(f"pictures/{name}.png,0,0,happy,{name},{split},0,0,20,20")
        (folder / "mine/pictures").mkdir(exist_ok=True)
        if name != "b":
            image = np.random.default_rng(ord(name)).integers(0, 255, (20, 20, 3), np.uint8)
            cv2.imwrite(str(folder / f"mine/pictures/{name}.png"), image)
    (folder / "mine/index.csv").write_text("\n".join(lines) + "\n")
    return folder / "mine/pictures/b.png"


def avamerg(folder):
    write(folder, **three())
    for dialogue in range(3):
        sound(folder / "data", f"dia0000{dialogue}utt0_0.wav")
    return folder / "data/dia00000utt1_1.wav"


CORPORA = {
    ravdess: ["--views.video.size", "16"],
    ravdess_audio: [],
    vgaf: ["--views.img.size", "32", "--views.spec.size", "106"],
    daisee: ["--views.people.face_size", "16", "--views.people.parts", "[face]"],
    noxi: ["--views.people.face_size", "16", "--views.people.parts", "[face]"],
    faces: ["--views.face.size", "16"],
    avamerg: SMALL,
}


def prepare(corpus, source, out):
    name = corpus.__name__.removesuffix("_audio")
    options = [*CORPORA[corpus], "--workers", "1"] + (["--max-skipped", "1"] if corpus is not avamerg else [])
    return cli.main(["prepare", name, "--source", str(source), "--out", str(out), *options])


def whole(path):
    """A file that could be used."""
    if path.suffix == ".png":
        cv2.imwrite(str(path), np.full((20, 20, 3), 90, np.uint8))
    elif path.suffix == ".wav":
        write_wav(path, tone(3.5, RATE, 1) * 20000)
    else:
        write_clip(path, frames=32, seconds=3.5, rate=16000)


def without_codec(path):
    """A header that is read but names a codec that nobody knows."""
    if path.suffix == ".wav":
        whole(path)
        known, unknown = b"fmt \x10\0\0\0\x01\0", b"fmt \x10\0\0\0\x34\x12"
    else:
        write_clip(path, codec="libx264", options={"crf": "20"})
        known, unknown = b"avc1", b"zzzz"
    assert known in path.read_bytes()
    path.write_bytes(path.read_bytes().replace(known, unknown))


def in_a_folder_without_a_name(path):
    """The right name in a folder whose own is no UTF-8."""
    place = path.parent / os.fsdecode(BAD)
    place.mkdir()
    whole(path)
    os.replace(path, place / path.name)
    for other in path.parent.glob("*.txt"):  # the annotation of a NoXi video goes with it
        os.replace(other, place / other.name)


KINDS = {
    "fifo": (os.mkfifo, "not a regular file"),
    "device": (lambda path: path.symlink_to("/dev/zero"), "not a regular file"),
    "folder": (lambda path: path.mkdir(), "not a regular file"),
    "dangling": (lambda path: path.symlink_to("nowhere"), "no such file"),
    "codec": (without_codec, "nothing here decodes its"),
    "name": (in_a_folder_without_a_name, "not UTF-8"),
    "sample": (one_sample_wav, "too short: 1 audio samples"),
}
NO_CASES = {  # no sound of its own; pictures; found by the folder's own files or by a path in a table
    "sample": (ravdess, vgaf, daisee, noxi, faces),
    "codec": (faces,),
    "name": (vgaf, faces),
}
CASES = [(corpus, kind) for corpus in CORPORA for kind in KINDS if corpus not in NO_CASES.get(kind, ())]


def reasons(out, corpus):
    name = "missing.csv" if corpus is avamerg else "skipped.csv"
    (path,) = out.glob(f"prepared/**/{name}")
    rows = list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))
    if corpus is avamerg:
        return [row["reason"] for row in rows if row["reason"] not in ("no such file", "the manifest names no file")]
    return [row["reason"] for row in rows]


def arrays(out):
    """Content of all arrays and tensors by their place below the folder."""
    kinds = (".u8", ".i16", ".i32", ".f32", ".pt")
    return {str(path.relative_to(out)): path.read_bytes() for path in out.rglob("*") if path.suffix in kinds}


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    """Copies of every corpus without the odd file, and where that belongs."""
    made = {}

    def of(corpus, target):
        if corpus not in made:
            made[corpus] = tmp_path_factory.mktemp("whole") / "raw"
            made[corpus, "odd"] = corpus(made[corpus]).relative_to(made[corpus])
        shutil.copytree(made[corpus], target)
        odd = target / made[corpus, "odd"]
        odd.parent.mkdir(parents=True, exist_ok=True)
        assert not odd.exists()
        return odd

    return of


@pytest.fixture(scope="module")
def expected(raw, tmp_path_factory):
    """Arrays of every corpus without the odd file."""
    found = {}

    def of(corpus):
        if corpus not in found:
            folder = tmp_path_factory.mktemp("whole")
            raw(corpus, folder / "raw")
            assert prepare(corpus, folder / "raw", folder / "out") == 0
            found[corpus] = arrays(folder / "out")
            assert found[corpus]
        return found[corpus]

    return of


@pytest.mark.parametrize(("corpus", "kind"), CASES, ids=lambda value: getattr(value, "__name__", value))
def test_one_odd_file_costs_one_clip(corpus, kind, raw, expected, tmp_path, capsys):
    make, reason = KINDS[kind]
    make(raw(corpus, tmp_path / "raw"))
    assert prepare(corpus, tmp_path / "raw", tmp_path / "out") == 0, capsys.readouterr().err
    if corpus is avamerg and kind in ("folder", "dangling"):  # not among the files of the folder
        assert reasons(tmp_path / "out", corpus) == []
    else:
        (said,) = reasons(tmp_path / "out", corpus)
        assert reason in said
    assert arrays(tmp_path / "out") == expected(corpus)
    assert prepare(corpus, tmp_path / "raw", tmp_path / "out") == 0, "a second run finds the same"
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize("corpus", [ravdess, ravdess_audio, vgaf, daisee])
def test_a_clip_whose_own_name_is_no_text(corpus, raw, tmp_path, capsys):
    path = raw(corpus, tmp_path / "raw")
    whole(path)
    os.rename(path, os.fsencode(path.with_suffix("")) + BAD + os.fsencode(path.suffix))
    assert prepare(corpus, tmp_path / "raw", tmp_path / "out") in (0, 1), capsys.readouterr().err
    (table,) = (tmp_path / "out").glob("prepared/**/skipped.csv")
    rows = list(csv.DictReader(table.read_text(encoding="utf-8").splitlines()))
    (row,) = [row for row in rows if "udcff" in row["file"]]
    assert row["file"].endswith(f"\\udcff\\udcfe{path.suffix}")


def test_a_landmark_file_that_is_a_fifo_costs_its_clip(raw, tmp_path):
    path = raw(ravdess, tmp_path / "raw")
    whole(path)
    landmarks = tmp_path / f"raw/landmarks/{path.stem}.csv"
    landmarks.unlink()
    os.mkfifo(landmarks)
    assert prepare(ravdess, tmp_path / "raw", tmp_path / "out") == 0
    (said,) = reasons(tmp_path / "out", ravdess)
    assert said.startswith("landmark file")


def test_an_annotation_that_is_a_fifo_costs_its_video(raw, tmp_path):
    path = raw(noxi, tmp_path / "raw")
    film(path, 10, 5)
    (path.parent / "annotation_expert.txt").unlink()
    os.mkfifo(path.parent / "annotation_expert.txt")
    assert prepare(noxi, tmp_path / "raw", tmp_path / "out") == 0
    (said,) = reasons(tmp_path / "out", noxi)
    assert said == "annotation_expert.txt is not a table of numbers (not a regular file)"


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to("/dev/zero"), lambda path: path.mkdir()])
def test_nothing_is_hashed_that_is_no_regular_file(tmp_path, make):
    make(tmp_path / "a")
    (tmp_path / "b").write_bytes(b"1")
    for paths in ((tmp_path / "a",), (tmp_path / "b", tmp_path / "a")):
        with pytest.raises(OSError, match="not a regular file"):
            sha256_file(*paths)
    check_regular(tmp_path / "b")
    (tmp_path / "c").symlink_to("b")
    assert sha256_file(tmp_path / "c") == sha256_file(tmp_path / "b")


def test_a_source_folder_whose_name_is_no_text(raw, tmp_path):
    source = tmp_path / os.fsdecode(BAD)
    raw(ravdess, source)
    command = ["prepare", "ravdess", "--source", str(source), "--out", str(tmp_path / "out"), "--workers", "1"]
    environment = {**os.environ, "PYTHONIOENCODING": "utf-8:strict", "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "cli.py", *command], cwd=ROOT, env=environment, capture_output=True)
    assert done.returncode == 1
    assert done.stderr.startswith(
        b"error: 2 clips cannot be used, the first Actor_01/01-01-01-01-01-01-01.mp4 (its name"
    )
    assert b"\\udcff" in done.stdout


def test_a_frame_of_a_drawn_clip_that_is_a_fifo(raw, tmp_path):
    raw(vgaf, tmp_path / "raw")
    for part, label in (("Positive", 0), ("Neutral", 1), ("Negative", 2)):
        for clip in ("x", "y") if part == "Positive" else ("x",):
            (tmp_path / f"raw/Synthetic/{part}/{clip}").mkdir(parents=True)
            for k in range(5):
                image = np.full((32, 32, 3), 40 * k, np.uint8)
                cv2.imwrite(str(tmp_path / f"raw/Synthetic/{part}/{clip}/{k}.png"), image)
        names = ["x", "y"] if part == "Positive" else ["x"]
        lines = ["Vid_name Label", *(f"{name} {label}" for name in names)]
        (tmp_path / f"raw/Synthetic/{part}_labels.txt").write_text("\n".join(lines) + "\n")
    whole(tmp_path / "raw/Train/b.mp4")
    (tmp_path / "raw/Synthetic/Positive/y/2.png").unlink()
    os.mkfifo(tmp_path / "raw/Synthetic/Positive/y/2.png")
    assert prepare(vgaf, tmp_path / "raw", tmp_path / "out") == 0
    assert reasons(tmp_path / "out", vgaf) == ["cannot be read (not a regular file)"]


def test_a_picture_and_its_still_whose_name_is_no_text(tmp_path):
    path = tmp_path / os.fsdecode(b"a\xff.png")
    path.write_bytes(b"1")
    with pytest.raises(MediaError, match="not UTF-8") as error:
        read_picture(path)
    assert str(error.value).isprintable()
    still = Files(tmp_path / "savee").still(os.fsdecode(b"D\xff/sa01"), path, subject=os.fsdecode(b"D\xff"))
    assert (still.id, still.group) == ("savee/D\\udcff/sa01", "savee/D\\udcff")


def test_names_are_written_so_that_utf_8_can_hold_them():
    assert plain("ünï.mp4") == "ünï.mp4"
    assert plain(os.fsdecode(b"a\xff.mp4")) == "a\\udcff.mp4"
    assert plain("\ud800") == "\\ud800"
