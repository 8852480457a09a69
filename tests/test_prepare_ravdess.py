"""RAVDESS through catalogue, views and the one loop, end to end over small clips that the tests make."""

import csv
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import librosa
import numpy as np
import pytest
from test_landmarks import openface
from test_media import RATE, own_bytes, tone, write_clip, write_wav

import cli
from datamodules.entries import Entry, Media
from datamodules.errors import DataError, MediaError
from datamodules.media.clip import Clip, read_clip
from datamodules.prepare_command import main
from datamodules.store.making import prepare_job
from datamodules.store.reader import Store
from datamodules.store.writer import StoreWriter
from datamodules.views.base import Times as spread
from datamodules.views.faces import Faces
from datamodules.views.mfcc import MFCC
from option_parser import OptionError

ROOT = Path(__file__).resolve().parents[1]
CLIPS = [f"01-01-0{emotion}-01-01-01-{actor:02d}" for emotion in (1, 5, 8) for actor in (1, 24)]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Six clips of 3.2 s with landmarks, one video-only clip, and files that are none of ours."""
    folder = tmp_path_factory.mktemp("corpus")
    (folder / "landmarks").mkdir()
    for i, clip in enumerate(CLIPS):
        actor = folder / f"Actor_{clip[-2:]}"
        actor.mkdir(exist_ok=True)
        own_bytes(write_clip(actor / f"{clip}.mp4", frames=32, seconds=3.2))
        openface(folder / f"landmarks/{clip}.csv", [(8 + i, 6, 40, 40)] * 32)
    write_clip(folder / "Actor_01/02-01-01-01-01-01-01.mp4", frames=2, audio=None)
    (folder / "Actor_01/notes.txt").write_text("not a clip")
    (folder / "Actor_01/._01-01-01-01-01-01-01.mp4").write_text("left by a Mac")
    return folder


@pytest.fixture
def copy(corpus, tmp_path):
    """The same, to be spoilt."""
    folder = tmp_path / "corpus"
    subprocess.run(["cp", "-r", corpus, folder], check=True)
    return folder


def arguments(source, out, *more):
    return ["--source", str(source), "--out", str(out), "--workers", "1", "--views.video.size", "16", *more]


def run(source, out, *more):
    return cli.main(["prepare", "ravdess", *arguments(source, out, *more)])


def prepare(source, out, *more):
    assert run(source, out, *more) == 0
    return Store(out / "prepared")


def everything(folder):
    return {path.name: path.read_bytes() for path in sorted((folder / "prepared").iterdir())}


def test_store_of_an_audio_video_corpus(corpus, tmp_path, capsys):
    store = prepare(corpus, tmp_path)
    assert store.ids == sorted(CLIPS)
    assert store.groups == [clip[-2:] for clip in store.ids]
    assert store.labels.tolist() == [int(clip[6:8]) - 1 for clip in store.ids]
    assert {name: str(kind) for name, kind in store.arrays.items()} == {
        "video": "uint8",
        "wave": "int16",
        "mfcc": "float32",
    }
    assert not store.synthetic
    for i, clip in enumerate(store.ids):
        assert store.shape("video", i) == (30, 16, 16, 3)
        assert store.shape("mfcc", i) == (13, 212)
        path = corpus / f"Actor_{clip[-2:]}/{clip}.mp4"
        wave = read_clip(path, spread(1), [RATE]).waves[RATE]
        np.testing.assert_array_equal(store.read("wave", i), wave)
        part = wave[22050 : 22050 + 108045] / np.float32(32768)
        np.testing.assert_allclose(store.read("mfcc", i), librosa.feature.mfcc(y=part, sr=RATE, n_mfcc=13), atol=1e-3)
    said = capsys.readouterr().out
    assert "faces from the landmarks in" in said
    assert "6 clips used, 0 skipped, 1 video-only clips ignored" in said
    assert store.fingerprint[:12] in said


def test_video_is_the_crop_of_the_frames_shown(corpus, tmp_path):
    store = prepare(corpus, tmp_path, "--views.video.size", "48")
    path = corpus / "Actor_24/01-01-08-01-01-01-24.mp4"
    i = store.ids.index(path.stem)
    left = 8 + CLIPS.index(path.stem)
    for frame, image in zip(read_clip(path, spread(30)).frames, store.read("video", i), strict=True):
        whole = frame.to_ndarray(format="rgb24")
        np.testing.assert_array_equal(image, cv2.resize(whole[6:40, left:40], (48, 48), interpolation=cv2.INTER_LINEAR))


def test_the_rule_for_landmark_rows_is_recorded_and_not_mixed(corpus, tmp_path):
    default = prepare(corpus, tmp_path / "time")
    paper = prepare(corpus, tmp_path / "paper", "--views.video.rows", "paper", "--views.video.confidence", "0.5")
    for store, rule in ((default, ("time", 0.7)), (paper, ("paper", 0.5))):
        settings = store.manifest["settings"]["views"]["video"]
        assert (settings["rows"], settings["confidence"]) == rule
    assert default.fingerprint != paper.fingerprint
    with pytest.raises(DataError, match=r"views\.video\.rows was 'paper', now 'time'"):
        main("ravdess", arguments(corpus, tmp_path / "paper"))
    whole = prepare(corpus, tmp_path / "whole", "--views.video.face", "none")
    assert not {"rows", "confidence"} & whole.manifest["settings"]["views"]["video"].keys()


@pytest.mark.parametrize("rule", ["time", "paper"])
def test_crops_follow_the_rule_for_landmark_rows(copy, tmp_path, rule):
    clip = CLIPS[0]
    rows = [(8, 6, 40, 40)] * 20 + [(20, 10, 60, 44)] * 12
    stamps = [i / 10 for i in range(32)]  # of a clip of 10 frames a second
    keep = [i for i in range(32) if i not in range(4, 12)]  # rows are missing
    openface(
        copy / f"landmarks/{clip}.csv",
        [rows[i] for i in keep],
        frame=[i + 1 for i in keep],
        timestamp=[stamps[i] for i in keep],
    )
    store = prepare(copy, tmp_path, "--views.video.size", "32", "--views.video.rows", rule)
    read = read_clip(copy / f"Actor_01/{clip}.mp4", spread(30))
    late = [time > 1.95 for time in read.times] if rule == "time" else [math.ceil(i * 24 / 30) >= 12 for i in range(30)]
    assert sum(late) == (11 if rule == "time" else 16)
    for frame, image, moved in zip(read.frames, store.read("video", store.ids.index(clip)), late, strict=True):
        left, top, right, bottom = (20, 10, 60, 44) if moved else (8, 6, 40, 40)
        whole = frame.to_ndarray(format="rgb24")[top:bottom, left:right]
        np.testing.assert_array_equal(image, cv2.resize(whole, (32, 32), interpolation=cv2.INTER_AREA))


def test_whole_frames_and_squashed_crops(corpus, tmp_path, capsys):
    whole = prepare(corpus, tmp_path / "a", "--views.video.face", "none")
    assert "whole frames" in capsys.readouterr().out
    frame = read_clip(corpus / "Actor_01/01-01-01-01-01-01-01.mp4", spread(30)).frames[0]
    expected = cv2.resize(frame.to_ndarray(format="rgb24"), (16, 16), interpolation=cv2.INTER_AREA)
    np.testing.assert_array_equal(whole.read("video", 0)[0], expected)
    squashed = prepare(corpus, tmp_path / "b", "--views.video.crop", "squashed")
    assert squashed.fingerprint != whole.fingerprint
    assert squashed.manifest["settings"]["views"]["video"]["crop"] == "squashed"


def test_detector_is_said_and_its_failures_are_listed(copy, tmp_path, capsys):
    subprocess.run(["rm", "-r", copy / "landmarks"], check=True)
    assert run(copy, tmp_path / "out") == 1
    assert "built-in detector" in capsys.readouterr().out
    rows = list(csv.DictReader((tmp_path / "out/prepared/skipped.csv").open()))
    assert [row["id"] for row in rows] == sorted(CLIPS)
    assert {row["reason"] for row in rows} == {"no face found in 15 of 15 frames"}


def test_audio_rate_is_of_the_wave_alone(corpus, tmp_path):
    store = prepare(corpus, tmp_path / "a", "--views.wave.rate", "16000")
    assert store.shape("wave", 0) == pytest.approx((3.2 * 16000,), abs=2)
    full = prepare(corpus, tmp_path / "b")
    np.testing.assert_array_equal(store.read("mfcc", 0), full.read("mfcc", 0))


def test_workers_change_no_byte_and_a_second_run_neither(corpus, tmp_path, capsys):
    prepare(corpus, tmp_path / "one")
    prepare(corpus, tmp_path / "two", "--workers", "2")
    first = everything(tmp_path / "one")
    assert everything(tmp_path / "two") == first
    stamps = {path: path.stat().st_mtime_ns for path in (tmp_path / "one/prepared").iterdir()}
    prepare(corpus, tmp_path / "one")
    assert everything(tmp_path / "one") == first
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "one/prepared").iterdir()} == stamps


PROGRAM = """
import sys
sys.path[:0] = [sys.argv[1], sys.argv[1] + "/tests"]
if __name__ == "__main__":
    from test_prepare_ravdess import run
    sys.exit(run(sys.argv[2], sys.argv[3], "--workers", "2", "--views.video.size", "224"))
"""


def start(source, out):
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", PROGRAM, str(ROOT), str(source), str(out)]
    return subprocess.Popen(
        command, start_new_session=True, env=environment, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def wait_for_clips(process, out, count):
    journal = out / "prepared/journal.jsonl"
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        if journal.exists() and journal.read_bytes().count(b"\n") > count:
            return
        time.sleep(0.001)
    pytest.fail(f"no {count} clips before the end: {process.communicate()}")


@pytest.fixture
def many(corpus, tmp_path):
    """Forty clips, so that a run can be met half way."""
    folder = tmp_path / "many"
    folder.mkdir()
    source = corpus / f"Actor_01/{CLIPS[0]}.mp4"
    (folder / "landmarks").mkdir()
    for i in range(40):
        clip = f"01-01-02-01-0{i % 2 + 1}-0{i // 20 + 1}-{i // 2 % 10 + 1:02d}"
        (folder / f"{clip}.mp4").write_bytes(source.read_bytes())
        own_bytes(folder / f"{clip}.mp4")
        openface(folder / f"landmarks/{clip}.csv", [(i, 6, 50, 40)] * 32)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("count", [1, 9])
def test_killed_with_all_its_workers_it_carries_on_to_the_same_bytes(many, tmp_path, count):
    prepare(many, tmp_path / "straight", "--views.video.size", "224")
    process = start(many, tmp_path / "killed")
    wait_for_clips(process, tmp_path / "killed", count)
    os.killpg(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    process.communicate()
    assert not (tmp_path / "killed/prepared/COMPLETE").exists()
    prepare(many, tmp_path / "killed", "--views.video.size", "224", "--workers", "2")
    assert everything(tmp_path / "killed") == everything(tmp_path / "straight")


@pytest.mark.slow
def test_workers_of_a_killed_parent_go_away(many, tmp_path):
    process = start(many, tmp_path / "out")
    wait_for_clips(process, tmp_path / "out", 1)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    assert children
    process.kill()
    process.communicate()
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and any(Path(f"/proc/{child}/exe").exists() for child in children):
        time.sleep(0.05)
    assert not [child for child in children if Path(f"/proc/{child}/exe").exists()]


@pytest.mark.slow
def test_ctrl_c_is_one_line_and_can_be_carried_on(many, tmp_path):
    process = start(many, tmp_path / "out")
    wait_for_clips(process, tmp_path / "out", 1)
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert "Traceback" not in said
    assert "the same command carries on" in said
    prepare(many, tmp_path / "straight", "--views.video.size", "224")
    prepare(many, tmp_path / "out", "--views.video.size", "224")
    assert everything(tmp_path / "out") == everything(tmp_path / "straight")


def spoil(folder):
    """Every kind of file that cannot be used, one each."""
    good = folder / f"Actor_01/{CLIPS[0]}.mp4"
    (folder / "01-01-02-01-01-01-01.mp4").write_bytes(b"")
    (folder / "01-01-02-01-01-01-02.mp4").write_bytes(good.read_bytes()[:2000])
    write_clip(folder / "01-01-02-01-01-01-03.mp4", audio=None)
    write_clip(folder / "01-01-02-01-01-01-04.mp4", frames=15, seconds=3.2)
    write_clip(folder / "01-01-02-01-01-01-05.mp4", frames=32, seconds=3.2)
    (folder / "01-01-09-01-01-01-01.mp4").write_bytes(good.read_bytes())
    (folder / "holiday.mp4").write_bytes(good.read_bytes())
    (folder / good.name).write_bytes(good.read_bytes())
    own_bytes(folder / good.name)  # another file of that name, not the same one again
    for actor in range(1, 5):
        openface(folder / f"landmarks/01-01-02-01-01-01-{actor:02d}.csv", [(8, 6, 40, 40)] * 32)


REASONS = {
    "01-01-02-01-01-01-01": "empty file (0 bytes)",
    "01-01-02-01-01-01-02": "not a media file, or cut off before its header",
    "01-01-02-01-01-01-03": "no audio stream",
    "01-01-02-01-01-01-04": "1.50 s of audio give 87 of the 212 MFCC steps",
    "01-01-02-01-01-01-05": "no landmark file of that name",
    "01-01-09-01-01-01-01.mp4": "not named like a RAVDESS clip",
    "Actor_01/01-01-01-01-01-01-01.mp4": "same clip as 01-01-01-01-01-01-01.mp4",
    "holiday.mp4": "not named like a RAVDESS clip",
}


def test_unusable_clips_must_be_accounted_for(copy, tmp_path, capsys):
    spoil(copy)
    count = len(REASONS)
    for allowed in ([], ["--max-skipped", str(count - 1)]):
        assert run(copy, tmp_path / "out", *allowed) == 1
        said = capsys.readouterr().err
        assert said.startswith("error: 8 clips cannot be used")
        assert "skipped.csv" in said
        assert f"--max-skipped {count}" in said
        assert len(said.strip().splitlines()) == 2
        assert not (tmp_path / "out/prepared/COMPLETE").exists()
    store = prepare(copy, tmp_path / "out", "--max-skipped", str(count))
    rows = list(csv.DictReader((tmp_path / "out/prepared/skipped.csv").open()))
    assert {row["id"]: row["reason"] for row in rows} == REASONS
    assert store.ids == sorted(CLIPS)
    assert store.manifest["counts"] == {"used": 6, "skipped": 8, "padded": 0}
    assert prepare(copy, tmp_path / "out").fingerprint == store.fingerprint


def test_a_repaired_clip_is_done_again(copy, tmp_path):
    path = copy / "Actor_01" / f"{CLIPS[2]}.mp4"
    whole = path.read_bytes()
    path.write_bytes(whole[:1000])
    assert run(copy, tmp_path / "out") == 1
    path.write_bytes(whole)
    prepare(copy, tmp_path / "out")
    prepare(copy, tmp_path / "straight")
    assert everything(tmp_path / "out") == everything(tmp_path / "straight")


@pytest.mark.parametrize("what", ["clip", "landmarks", "more", "fewer", "settings"])
def test_a_finished_store_of_something_else_is_refused(copy, tmp_path, what):
    prepare(copy, tmp_path / "out")
    options = []
    if what == "clip":
        write_clip(copy / f"Actor_01/{CLIPS[0]}.mp4", frames=33, seconds=3.3)
    elif what == "landmarks":
        openface(copy / f"landmarks/{CLIPS[0]}.csv", [(9, 6, 40, 40)] * 32)
    elif what == "more":
        write_clip(copy / "01-01-02-01-01-01-01.mp4", frames=32, seconds=3.2)
    elif what == "fewer":
        (copy / f"Actor_01/{CLIPS[0]}.mp4").unlink()
    else:
        options = ["--views.video.margin", "0.25"]
    before = everything(tmp_path / "out")
    with pytest.raises(
        DataError, match=r"views\.video\.margin was 0\.0, now 0\.25" if options else "other source files"
    ):
        main("ravdess", arguments(copy, tmp_path / "out", *options))
    assert everything(tmp_path / "out") == before


def test_audio_only(tmp_path, capsys):
    folder = tmp_path / "Actor_02"
    folder.mkdir()
    for i, seconds in enumerate((3.2, 2.936, 2.9)):
        samples = tone(seconds, RATE, 1) * 32767
        write_wav(folder / f"03-01-0{i + 3}-01-01-01-02.wav", samples)
    write_clip(folder / "03-01-08-01-01-01-02.flac", frames=0, audio="flac", seconds=3.2)
    write_wav(folder / "03-01-07-01-01-01-02.wav", np.zeros((1, 4 * RATE)))
    write_wav(folder / "01-01-07-01-01-01-02.wav", tone(3.2, RATE, 1))
    write_wav(folder / "03-02-07-01-01-01-02.wav", tone(3.2, RATE, 1))
    store = prepare(tmp_path, tmp_path / "out", "--max-skipped", "3")
    assert store.arrays.keys() == {"wave", "mfcc"}
    assert store.ids == ["03-01-03-01-01-01-02", "03-01-04-01-01-01-02", "03-01-08-01-01-01-02"]
    assert store.manifest["counts"] == {"used": 3, "skipped": 3, "padded": 1}
    assert [row["padded"] for row in store.rows] == ["0", "2", "0"]
    assert not store.read("mfcc", 1)[:, 210:].any()
    assert store.read("mfcc", 1)[0, 209] != 0
    reasons = [row["reason"] for row in csv.DictReader((tmp_path / "out/prepared/skipped.csv").open())]
    assert reasons == [
        "2.90 s of audio give 207 of the 212 MFCC steps",
        "audio is silent: every sample is zero",
        "modality 01 in a .wav file",
    ]
    assert "1 songs ignored" in capsys.readouterr().out


@pytest.mark.parametrize("finished", [True, False])
def test_a_store_of_an_earlier_version_is_told_and_left_as_it_is(corpus, tmp_path, capsys, finished):
    old = {"corpus": "ravdess", "recipe": 1, "video": True, "face": "none", "size": 16, "audio": 44100}
    dtypes = {"video": "u8", "wave": "i16", "mfcc": "f32"}
    writer = StoreWriter(tmp_path / "prepared", dtypes, old, False, schema=1)
    writer.add(CLIPS[0], "01", 0, {"video": np.ones(9, np.uint8), "wave": np.ones(9, "i2"), "mfcc": np.ones(9, "f4")})
    if finished:
        writer.finish()
    writer.close()
    before = everything(tmp_path)
    assert run(corpus, tmp_path) == 2
    said = capsys.readouterr().err
    assert f"{tmp_path / 'prepared'} was {'prepared by an earlier' if finished else 'begun by another'} version" in said
    assert "delete that folder, or write elsewhere with --out" in said
    assert len(said.splitlines()) == 2
    assert everything(tmp_path) == before
    if finished:
        assert Store(tmp_path / "prepared").setting("wave", "rate", old="audio") == 44100


def test_audio_video_goes_before_audio_only(copy, tmp_path, capsys):
    write_wav(copy / "03-01-01-01-01-01-01.wav", tone(3.2, RATE, 1))
    assert prepare(copy, tmp_path / "out").ids == sorted(CLIPS)
    assert "1 audio-only clips ignored" in capsys.readouterr().out


def test_synthetic_source_is_marked(copy, tmp_path, monkeypatch, capsys):
    (copy / "SYNTHETIC").write_text("seed 0\n")
    monkeypatch.chdir(tmp_path)
    words = ["prepare", "ravdess", "--source", str(copy), "--workers", "1", "--views.video.size", "16"]
    assert cli.main(words) == 0
    assert Store(tmp_path / "data/synthetic/ravdess/prepared").synthetic
    assert "SYNTHETIC" in capsys.readouterr().out
    (copy / "SYNTHETIC").unlink()
    assert cli.main(words) == 0
    assert not Store(tmp_path / "data/ravdess/prepared").synthetic


def test_preview(corpus, tmp_path):
    store = prepare(corpus, tmp_path, "--preview", str(tmp_path / "sheets/a.png"))
    sheet = cv2.imread(str(tmp_path / "sheets/a.png"))[:, :, ::-1]
    height = sheet.shape[0] // len(store)
    first = cv2.resize(store.read("video", 0)[0], (height, height), interpolation=cv2.INTER_AREA)
    left = sheet.shape[1] - 8 * height
    np.testing.assert_array_equal(sheet[:height, left : left + height], first)
    assert (sheet[:, :left] < 128).any()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--source", "nowhere"], "--source nowhere: no such folder"),
        (["--source", "EMPTY"], "no RAVDESS clip among 0 media files"),
        (["--views.video.landmarks", "nowhere"], "--views.video.landmarks nowhere: no such folder"),
        (["--views.video.landmarks", "EMPTY"], "no CSV file in"),
        (["--views.video.landmarks", "EMPTY", "--views.video.face", "none"], "exclude each other"),
        (["--views.video.size", "0"], "--views.video.size 0"),
        (["--views.wave.rate", "44"], "--views.wave.rate 44"),
        (["--views.video.margin", "-1"], "--views.video.margin -1"),
        (["--views.video.confidence", "70"], "--views.video.confidence 70"),
        (["--views.video.confidence", "nan"], "--views.video.confidence: expected a number"),
        (["--workers", "0"], "--workers 0: at least 1"),
        (["--max-skipped", "-1"], "--max-skipped -1: at least 0"),
        (["--source", "AUDIO", "--preview", "a.png"], "no pictures are kept"),
    ],
)
def test_wrong_options(corpus, tmp_path, options, message):
    (tmp_path / "empty").mkdir()
    (tmp_path / "audio").mkdir()
    write_wav(tmp_path / "audio/03-01-01-01-01-01-01.wav", tone(3.2, RATE, 1))
    places = {"EMPTY": str(tmp_path / "empty"), "AUDIO": str(tmp_path / "audio")}
    with pytest.raises((DataError, OptionError), match=message) as error:
        main("ravdess", arguments(corpus, tmp_path / "out", *[places.get(option, option) for option in options]))
    assert len(str(error.value).splitlines()) <= 2
    assert not (tmp_path / "out").exists()


def test_landmark_files_of_no_clip_are_told_and_two_that_differ_refused(copy, tmp_path, capsys):
    (copy / "landmarks/other").mkdir()
    (copy / f"landmarks/other/{CLIPS[0]}.csv").write_bytes((copy / f"landmarks/{CLIPS[0]}.csv").read_bytes())
    (copy / "landmarks/01-02-01-01-01-01-01.csv").write_text("of a song")
    (copy / "landmarks/._x.csv").write_text("left by a Mac")
    prepare(copy, tmp_path / "out")
    said = capsys.readouterr().out
    assert f"  {copy / 'landmarks'}: 1 landmark file without a clip (01-02-01-01-01-01-01)\n" in said
    openface(copy / f"landmarks/other/{CLIPS[0]}.csv", [(9, 6, 40, 40)] * 32)
    with pytest.raises(DataError, match=rf"other/{CLIPS[0]}.csv: '{CLIPS[0]}' is .*, but .* in .*landmarks/{CLIPS[0]}"):
        main("ravdess", arguments(copy, tmp_path / "again"))


def test_landmarks_asked_for_but_not_there(copy, tmp_path):
    subprocess.run(["rm", "-r", copy / "landmarks"], check=True)
    with pytest.raises(DataError, match=r"--views\.video\.landmarks DIR"):
        main("ravdess", arguments(copy, tmp_path / "out", "--views.video.face", "landmarks"))


@pytest.mark.parametrize(("samples", "padded"), [(154350, 0), (129058, 2), (129057, 3), (20000, 212)])
def test_short_audio_is_padded_by_two_steps_at_most(samples, padded):
    clip = Clip(1.0, [], np.empty(0), np.empty(0), {44100: np.full(samples, 100, np.int16)})
    if padded <= 2:
        coefficients, steps = MFCC().make(Entry("a"), clip)
        assert (coefficients.shape, steps) == ((13, 212), padded)
    else:
        with pytest.raises(MediaError, match=f"{212 - padded} of the 212"):
            MFCC().make(Entry("a"), clip)


def test_an_unreadable_file_is_a_reason(corpus, monkeypatch):
    def denied(*args, **kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("datamodules.store.decoding.read_clip", denied)
    path = corpus / f"Actor_01/{CLIPS[0]}.mp4"
    (made,) = prepare_job([Entry("a", media={"video": Media(path)})], {"video": Faces(face="none")})
    assert made.reason == "cannot be read (Permission denied)"


def test_split_file():
    rows = list(csv.DictReader((ROOT / "datamodules/splits/ravdess.csv").open()))
    assert len(rows) == 1440
    assert len({row["clip"] for row in rows}) == 1440
    speakers = {fold: {row["speaker"] for row in rows if row["fold"] == fold} for fold in "012345"}
    assert [sum(row["fold"] == fold for row in rows) for fold in "012345"] == [240] * 6
    assert sum(len(group) for group in speakers.values()) == len(set.union(*speakers.values())) == 24
    assert speakers["0"] == {"01", "02", "03", "04"}
    assert speakers["5"] == {"21", "22", "23", "24"}
    for row in rows:
        channel, emotion, intensity, statement, repetition, actor = row["clip"].split("-")
        assert (row["speaker"], row["sentence"], row["repetition"]) == (actor, statement, repetition)
        assert channel == "01"
        assert (emotion, intensity) != ("01", "02")


@pytest.mark.realdata
def test_split_file_holds_the_real_trials(realdata):
    rows = list(csv.DictReader((ROOT / "datamodules/splits/ravdess.csv").open()))
    real = {path.stem[3:] for path in (realdata / "ravdess/speech_16k").rglob("*.flac")}
    assert {row["clip"] for row in rows} == real


@pytest.mark.realdata
@pytest.mark.slow
def test_real_audio_video_clips(realdata, tmp_path):
    store = prepare(realdata / "ravdess/av_clips", tmp_path, "--views.video.face", "detector", "--max-skipped", "3")
    assert store.manifest["counts"] == {"used": 11, "skipped": 3, "padded": 1}
    # The crops are faces: warm in colour and lit.
    for i in range(len(store)):
        mean = store.read("video", i)[:, 4:12, 4:12].mean(axis=(0, 1, 2))
        assert mean[0] > mean[2] > 20


@pytest.mark.realdata
def test_real_audio(realdata, tmp_path):
    (tmp_path / "source").symlink_to(realdata / "ravdess/speech_16k/Actor_13")
    store = prepare(tmp_path / "source", tmp_path / "out")
    assert store.manifest["counts"] == {"used": 60, "skipped": 0, "padded": 1}
    assert [row["id"] for row in store.rows if row["padded"] != "0"] == ["03-01-02-01-02-02-13"]
    with np.load(realdata / "ravdess/mfcc_44k.npz") as file:
        places, reference = {clip: i for i, clip in enumerate(file["clip_id"])}, file["mfcc"]
    for i, clip in enumerate(store.ids):
        # The reference has the band above 8 kHz too; what both hold moves together.
        ours, theirs = store.read("mfcc", i)[0], reference[places[clip], 0]
        assert np.corrcoef(ours, theirs)[0, 1] > 0.95
