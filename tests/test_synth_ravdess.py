"""The stand-in RAVDESS: names and plan, files in the raw format, determinism, resuming, refusals, the signal itself."""

import argparse
import contextlib
import csv
import io
import itertools
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import av
import numpy as np
import pytest

from datamodules.errors import DataError
from datamodules.standins import _ravdess_trials, ravdess
from datamodules.standins._drawing.draws import rng_of
from datamodules.standins._drawing.face import Expression, landmarks, make_person, place
from datamodules.standins._drawing.openface import HEADER, openface_table
from datamodules.standins._drawing.voice import Manner, Speaker, speak

ROOT = Path(ravdess.__file__).parents[2]
NAME = "01-01-08-02-01-02-03"


def arguments(out, clips=5, seed=0, workers=1):
    return argparse.Namespace(out=out, clips=clips, seed=seed, workers=workers)


def snapshot(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def running(group):
    """Processes of a group, without those that ended and wait to be reaped."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, _, owner = stat.read_text().rpartition(")")[2].split()[:3]
            if int(owner) == group and state != "Z":
                found.append(stat.parent.name)
    return found


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    out = tmp_path_factory.mktemp("synth") / "ravdess"
    assert ravdess.run(arguments(out)) == 0
    return out


def test_full_plan_is_the_whole_of_ravdess():
    names = _ravdess_trials.plan(1440, seed=0)
    assert len(set(names)) == 1440
    assert all(re.fullmatch(r"01-01-0[1-8]-0[12]-0[12]-0[12]-\d\d", name) for name in names)
    assert Counter(name[6:8] for name in names) == {"01": 96} | {f"0{e}": 192 for e in range(2, 9)}
    assert set(Counter(name[-2:] for name in names).values()) == {60}
    assert not any(name.startswith("01-01-01-02") for name in names)


def test_small_plans_are_even_and_nested():
    names = _ravdess_trials.plan(384, seed=0)
    assert _ravdess_trials.plan(1440, seed=0)[:384] == names
    assert set(Counter(name[-2:] for name in names[:24]).values()) == {1}
    assert set(Counter(name[6:8] for name in names[:24]).values()) == {3}
    for start in (0, 192):
        assert len({(name[-2:], name[6:8]) for name in names[start : start + 192]}) == 192
    for field in (3, 4, 5):  # intensity, statement, repetition vary
        values = Counter(name.split("-")[field] for name in names if name[6:8] != "01")
        assert min(values.values()) > 0.3 * sum(values.values())
    assert _ravdess_trials.plan(192, seed=1) != names[:192]


def test_no_two_emotions_share_look_and_sound_and_each_modality_is_ambiguous():
    assert len(set(_ravdess_trials.SIGNAL.values())) == 8
    for modality in (0, 1):
        shared = Counter(pair[modality] for pair in _ravdess_trials.SIGNAL.values())
        assert sum(count for count in shared.values() if count > 1) == 6
        assert len(shared) == 5
    assert {look for look, _ in _ravdess_trials.SIGNAL.values()} == set(_ravdess_trials.LOOKS)
    assert {sound for _, sound in _ravdess_trials.SIGNAL.values()} == set(_ravdess_trials.SOUNDS)


def test_clips_are_ravdess_shaped(corpus):
    assert (corpus / "SYNTHETIC").read_text() == "affectzoo synth ravdess, version 1, seed 0, clips 5\n"
    for name in _ravdess_trials.plan(5, seed=0):
        with av.open(str(corpus / f"Actor_{name[-2:]}" / f"{name}.mp4")) as clip:
            video, audio = clip.streams.video[0], clip.streams.audio[0]
            assert (video.codec_context.name, audio.codec_context.name) == ("mpeg4", "aac")
            assert (video.width, video.height, audio.rate, audio.codec_context.channels) == (320, 180, 48000, 2)
            assert 3.0 <= float(video.duration * video.time_base) <= 4.0
            assert float(audio.duration * audio.time_base) == pytest.approx(
                float(video.duration * video.time_base), abs=0.001
            )
            frames = sum(1 for _ in clip.decode(video=0))
        with (corpus / "landmarks" / f"{name}.csv").open() as file:
            rows = list(csv.DictReader(file))
        assert len(rows) == frames
        assert [row["frame"] for row in rows] == [str(i + 1) for i in range(frames)]
        assert float(rows[15]["timestamp"]) == 1.0
        xs = np.array([[float(row[f"x_{i}"]) for i in range(68)] for row in rows])
        ys = np.array([[float(row[f"y_{i}"]) for i in range(68)] for row in rows])
        assert 0 < xs.min() < xs.max() < 320
        assert 0 < ys.min() < ys.max() < 180


def test_openface_header_is_the_712_columns_of_ravdess():
    assert len(HEADER) == len(set(HEADER)) == 712
    assert HEADER[297:365] == [f"x_{i}" for i in range(68)]  # where the CFN-SR paper reads them
    assert HEADER[365:433] == [f"y_{i}" for i in range(68)]
    assert all(len(line.split(",")) == 712 for line in openface_table(np.ones((3, 68, 2)), 15).decode().splitlines())


@pytest.mark.realdata
def test_openface_header_equals_the_real_one(realdata):
    with (realdata / "ravdess/01-01-01-01-01-01-01.first_row.csv").open() as file:
        assert next(csv.reader(file)) == HEADER


def test_landmarks_lie_on_the_drawn_face():
    movie, points = ravdess.make_clip(NAME, seed=0)
    rows = list(csv.DictReader(io.StringIO(points.decode())))
    with av.open(io.BytesIO(movie)) as clip:
        pictures = [frame.to_ndarray(format="rgb24").astype(int) for frame in clip.decode(video=0)]
    person = make_person(rng_of(_ravdess_trials.VERSION, 0, "face", 3), long_hair=False)
    for i in (5, 25, 40):
        at = {k: (round(float(rows[i][f"y_{k}"])), round(float(rows[i][f"x_{k}"]))) for k in (8, 29, 51, 57)}
        mouth = pictures[i][(at[51][0] + at[57][0]) // 2, (at[51][1] + at[57][1]) // 2]
        tip, below_chin = pictures[i][at[29]], pictures[i][at[8][0] + 3, at[8][1]]
        assert tip.sum() > below_chin.sum() > 0  # the neck is in shadow
        assert mouth.sum() < 0.6 * tip.sum()  # an open mouth: this clip shows surprise
        assert np.abs(tip / tip.sum() - np.array(person.skin) / sum(person.skin)).max() < 0.05


def test_expressions_move_the_points_they_name():
    person = make_person(np.random.default_rng(0), long_hair=False)._replace(rest=Expression())

    def points(**muscles):
        return landmarks(person, np.array([Expression(**muscles)]))[0]

    rest, smile, sorrow, scowl, wide = (
        points(**_ravdess_trials.LOOKS[look]._asdict()) for look in _ravdess_trials.LOOKS
    )
    assert smile[[48, 54], 1].max() < rest[[48, 54], 1].min() < sorrow[[48, 54], 1].min()  # y grows downwards
    assert sorrow[21, 1] < rest[21, 1] < scowl[21, 1]
    assert wide[66, 1] - wide[62, 1] > rest[66, 1] - rest[62, 1] + 0.1
    assert wide[19, 1] < rest[19, 1]
    assert np.ptp(wide[36:42, 1]) > 1.3 * np.ptp(rest[36:42, 1])
    mirrored = rest[[*range(16, -1, -1)]] * (-1, 1)
    np.testing.assert_allclose(mirrored, rest[:17], atol=1e-9)


def test_place_turns_scales_and_shifts():
    placed = place(np.array([[[1.0, 0.0], [0.0, 1.0]]]), np.array([[100.0, 50.0, 10.0, np.pi / 2, 0.0]]))
    np.testing.assert_allclose(placed[0], [[100, 60], [90, 50]], atol=1e-9)


@pytest.mark.parametrize(("pitch", "semitones"), [(110.0, 0.0), (200.0, 5.0)])
def test_voice_has_the_pitch_and_the_level_asked_for(pitch, semitones):
    manner = Manner(pitch=semitones, breath=0.0, level=-6.0)
    speaker = Speaker(pitch, 1.0, Manner(*[0.0] * 8))
    sound = speak(speaker, manner, 3.0, (0.5, 2.5), 48_000, np.random.default_rng(0))
    assert sound.shape == (144_000,)
    assert np.abs(sound[:20_000]).max() < 1e-3
    voiced = sound[24_000:120_000]
    assert np.sqrt(np.mean(voiced**2)) == pytest.approx(0.11 * 10 ** (-6 / 20), rel=0.02)
    echo = np.fft.irfft(np.abs(np.fft.rfft(voiced, 2 * len(voiced))) ** 2)  # autocorrelation
    lags = slice(48_000 // 400, 48_000 // 80)
    period = lags.start + int(np.argmax(echo[lags]))
    assert 48_000 / period == pytest.approx(pitch * 2 ** (semitones / 12), rel=0.03)


def test_sounds_differ_in_loudness_and_tempo_in_the_finished_clip():
    def loudness(name):
        with av.open(io.BytesIO(ravdess.make_clip(name, seed=0)[0])) as clip:
            return np.std(np.concatenate([frame.to_ndarray() for frame in clip.decode(audio=0)], axis=1))

    for actor in ("01", "14"):
        assert loudness(f"01-01-05-02-01-01-{actor}") > 3 * loudness(f"01-01-04-02-01-01-{actor}")  # angry, sad


def test_clip_depends_on_seed_and_name_alone(corpus, tmp_path):
    name = _ravdess_trials.plan(5, seed=0)[-1]
    movie, points = ravdess.make_clip(name, seed=0)
    assert (corpus / f"Actor_{name[-2:]}" / f"{name}.mp4").read_bytes() == movie
    assert (corpus / "landmarks" / f"{name}.csv").read_bytes() == points
    other, moved = ravdess.make_clip(name, seed=1)
    assert other != movie
    assert moved != points
    assert b"Lavf" not in movie  # no version, no date in the container


def test_workers_do_not_change_a_byte(corpus, tmp_path):
    assert ravdess.run(arguments(tmp_path / "two", workers=2)) == 0
    assert snapshot(tmp_path / "two") == snapshot(corpus)


def test_second_call_keeps_and_a_lost_file_comes_back(corpus, tmp_path, monkeypatch, capsys):
    before = snapshot(corpus)
    made = []
    make = ravdess.make_clip
    monkeypatch.setattr(ravdess, "make_clip", lambda name, seed: made.append(name) or make(name, seed))
    assert ravdess.run(arguments(corpus)) == 0
    assert made == []
    assert "already" in capsys.readouterr().out
    lost = _ravdess_trials.plan(5, seed=0)[2]
    (corpus / "landmarks" / f"{lost}.csv").unlink()
    assert ravdess.run(arguments(corpus)) == 0
    assert made == [lost]
    assert snapshot(corpus) == before


def test_interrupted_corpus_says_so_and_carries_on(corpus, tmp_path, monkeypatch):
    out, make, calls = tmp_path / "ravdess", ravdess.make_clip, itertools.count()

    def stop_at_third(name, seed):
        if next(calls) == 2:
            raise KeyboardInterrupt
        return make(name, seed)

    monkeypatch.setattr(ravdess, "make_clip", stop_at_third)
    with pytest.raises(KeyboardInterrupt):
        ravdess.run(arguments(out))
    assert "incomplete" in (out / "SYNTHETIC").read_text()
    assert not [path for path in out.rglob("*") if path.suffix in (".mp4", ".csv")]
    done = next(iter((out / ".partial").rglob("*.mp4.part")))
    (done.parent / f".{done.name}.1.tmp").write_bytes(b"half a file")
    assert ravdess.run(arguments(out)) == 0
    assert next(calls) == 6  # two clips were kept, three were made after the interruption
    assert snapshot(out) == snapshot(corpus)


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="reads /proc to see the workers end")
def test_killed_with_its_workers_it_carries_on(corpus, tmp_path):
    out = tmp_path / "ravdess"
    code = (
        "import argparse, pathlib, sys; from datamodules.standins import ravdess\n"
        "sys.exit(ravdess.run(argparse.Namespace(out=pathlib.Path(sys.argv[1]), clips=5, seed=0, workers=2)))"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(out)], cwd=ROOT, start_new_session=True)
    deadline = time.monotonic() + 60
    while not list(out.rglob("*.csv.part")) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    assert len(running(group=process.pid)) >= 3
    process.kill()
    process.wait()
    while time.monotonic() < deadline:  # the workers follow by themselves
        if not running(group=process.pid):
            break
        time.sleep(0.05)
    else:
        os.killpg(process.pid, signal.SIGKILL)
        pytest.fail("workers outlived their parent")
    assert ravdess.run(arguments(out)) == 0
    assert snapshot(out) == snapshot(corpus)


@pytest.mark.parametrize("change", [{"seed": 1}, {"clips": 6}])
def test_another_corpus_in_the_folder_is_refused(corpus, change):
    before = snapshot(corpus)
    with pytest.raises(DataError, match="holds another corpus") as caught:
        ravdess.run(arguments(corpus, **change))
    assert str(corpus) in str(caught.value)
    assert len(str(caught.value).splitlines()) <= 2
    assert snapshot(corpus) == before


@pytest.mark.parametrize(
    "file", ["Actor_01/01-01-01-01-01-01-01.mp4", "03-01-05-02-01-01-12.wav", "Video_Speech_Actor_07/readme"]
)
def test_real_looking_clips_are_never_mixed_with(tmp_path, file):
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).write_bytes(b"real")
    with pytest.raises(DataError, match="no SYNTHETIC file"):
        ravdess.run(arguments(tmp_path))
    assert snapshot(tmp_path) == {file: b"real"}


def test_wrong_options_are_named(tmp_path):
    for clips in (0, 1441):
        with pytest.raises(DataError, match=rf"--clips {clips}: give a number from 1 to 1440"):
            ravdess.run(arguments(tmp_path, clips=clips))
    for workers in (0, -1):
        with pytest.raises(DataError, match=rf"--workers {workers}: at least 1"):
            ravdess.run(arguments(tmp_path, workers=workers))
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="is a file: name a folder"):
        ravdess.run(arguments(tmp_path / "file"))
    with pytest.raises(DataError, match="cannot write"):
        ravdess.run(arguments(tmp_path / "file" / "below"))


def test_needs_no_torch():
    code = "import sys, datamodules.standins.ravdess; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0
