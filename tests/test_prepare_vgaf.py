"""prepare vgaf, end to end over small films that the tests make."""

import csv
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from test_media import number, picture, tone, write_clip

import cli
from datamodules import recipe as recipes
from datamodules.catalogues.vgaf.catalogue import VGAF
from datamodules.catalogues.vgaf.labels import read_sources
from datamodules.catalogues.vgaf.layout import Clip
from datamodules.errors import DataError
from datamodules.media.clip import read_clip
from datamodules.media.frames import to_rgb
from datamodules.media.letterbox import letter_box
from datamodules.media.spectrogram import FFT, RATE, spectrograms
from datamodules.sinks.base import StoreSink
from datamodules.store import preparation
from datamodules.store.reader import Store
from datamodules.store.writer import StoreWriter
from datamodules.vgaf import VGAFDataModule
from datamodules.views.base import Times
from experiments.results.request import data_fingerprint

ROOT = Path(__file__).resolve().parents[1]
OPTIONS = ["--views.img.size", "32", "--views.spec.size", "106", "--workers", "1"]
FRAMES_75 = ["--views.img.frames", "75", "--views.spec.segments", "[5, 75]"]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Six films to train, three to validate, of 3 s and 30 numbered frames, and three synthetic clips."""
    folder = tmp_path_factory.mktemp("raw")
    for split, count in (("Train", 6), ("Val", 3)):
        (folder / split).mkdir()
        for i in range(count):
            write_clip(folder / split / f"{split[0]}_{i}.mp4", options={"qscale": str(2 + i)}, rate=16000)
        lines = [f"{split[0]}_{i} {i % 3 + 1}" for i in range(count)]
        (folder / f"{split}_labels.txt").write_text("\n".join(["Vid_name Label", *lines]) + "\n")
    for label, part in enumerate(("Positive", "Neutral", "Negative")):
        clip = folder / f"Synthetic/{part}/bar_Video_0"
        clip.mkdir(parents=True)
        for k in range(12):
            cv2.imwrite(str(clip / f"{k}.png"), picture(k, 96, 96)[..., ::-1])
        (folder / f"Synthetic/{part}_labels.txt").write_text(f"Vid_name Label\nbar_Video_0 {label}\n")
    (folder / "Synthetic/sources.csv").write_text("clip,kind,file,source\nPositive/bar_Video_0,face,a.png,T_0\n")
    return folder


@pytest.fixture
def copy(corpus, tmp_path):
    """The same, to be spoilt."""
    return Path(shutil.copytree(corpus, tmp_path / "copy"))


def run(source, out, *more):
    return cli.main(["prepare", "vgaf", "--source", str(source), "--out", str(out), *OPTIONS, *more])


def everything(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def message(capsys, *arguments, code=2):
    assert cli.main([str(word) for word in arguments]) == code
    text = capsys.readouterr().err.strip()
    assert text.startswith("error:")
    assert len(text.splitlines()) <= 2
    return text


@pytest.fixture(scope="module")
def prepared(corpus, tmp_path_factory):
    out = tmp_path_factory.mktemp("out") / "vgaf"
    assert run(corpus, out) == 0
    assert run(corpus, out, *FRAMES_75) == 0
    return out


def test_the_layout_is_the_released_one(prepared):
    for ending, names in ((5, ["img.5", "spec.5"]), (75, ["img.75", "spec.5", "spec.75"])):
        for split, count in (("Train", 6), ("Val", 3)):
            found = sorted(path.name for path in (prepared / f"VGAF_Tensors_all_{ending}" / split).iterdir())
            assert found == sorted(f"{split[0]}_{i}.mp4.{name}.pt" for i in range(count) for name in names)
        folder = prepared / f"Synthetic2661_all_{ending}/Neutral"
        assert sorted(path.name for path in folder.iterdir()) == [f"bar_Video_0.synt.{name}.pt" for name in names]
    assert (prepared / "Val_labels.txt").read_text().splitlines()[:2] == ["Vid_name Label", "V_0 1"]
    assert (prepared / "Synthetic2661_all_75/Negative_labels.txt").read_text() == "Vid_name Label\nbar_Video_0 2\n"


def test_frames_are_those_at_the_middles_of_equal_segments(corpus, prepared):
    for count in (5, 75):
        frames = torch.load(prepared / f"VGAF_Tensors_all_{count}/Train/T_1.mp4.img.{count}.pt")
        assert frames.dtype == torch.uint8
        assert frames.shape == (count, 3, 32, 32)
        clip = read_clip(corpus / "Train/T_1.mp4", Times(count, 0.5))
        numbers = [number(to_rgb(frame)) for frame in clip.frames]
        assert numbers == [int((i + 0.5) * 30 / count) for i in range(count)]
        for frame, stored in zip(clip.frames, frames, strict=True):
            small = cv2.resize(to_rgb(frame), (32, 32), interpolation=cv2.INTER_AREA)
            np.testing.assert_array_equal(stored.permute(1, 2, 0), small)


def test_spectrograms_are_of_the_clips_sound(corpus, prepared):
    wave = read_clip(corpus / "Train/T_1.mp4", Times(5, 0.5), [RATE]).waves[RATE]
    for folder, count in ((5, 5), (75, 5), (75, 75)):
        stored = torch.load(prepared / f"VGAF_Tensors_all_{folder}/Train/T_1.mp4.spec.{count}.pt")
        assert stored.dtype == torch.float32
        np.testing.assert_array_equal(stored, spectrograms(wave, count, 106))
        assert abs(float(stored.mean())) < 1e-4
        assert float(stored.std()) == pytest.approx(1, abs=1e-3)


def test_synthetic_clips_get_frames_spread_over_theirs_and_the_sound_of_a_training_clip_of_their_class(prepared):
    frames = torch.load(prepared / "Synthetic2661_all_5/Neutral/bar_Video_0.synt.img.5.pt")
    expected = [cv2.resize(picture(k, 96, 96), (32, 32), interpolation=cv2.INTER_AREA) for k in (1, 3, 6, 8, 10)]
    np.testing.assert_array_equal(frames.permute(0, 2, 3, 1), np.stack(expected))
    rows = read_sources(prepared / "Synthetic2661_all_5")
    assert rows[0] == dict.fromkeys(rows[0], "") | {
        "clip": "Positive/bar_Video_0", "kind": "face", "file": "a.png", "source": "T_0"
    }  # fmt: skip
    for row, label in zip(rows[1:], (0, 1, 2), strict=True):
        assert row["kind"] == "sound"
        assert int(row["source"][2:]) % 3 == label
        part, name = row["clip"].split("/")
        sound = prepared / f"Synthetic2661_all_5/{part}/{name}.synt.spec.5.pt"
        assert sound.read_bytes() == (prepared / f"VGAF_Tensors_all_5/Train/{row['source']}.mp4.spec.5.pt").read_bytes()


def test_the_data_module_reads_it_and_the_planner_knows_its_fingerprint(prepared):
    for frames in ({}, {"video": 75}, {"video": 75, "audio": 75}):
        data = VGAFDataModule(str(prepared), frames=frames, synth_rate=1 / 3)
        assert data.split_sizes() == {"val": 0, "train": 9, "test": 3}
        assert data.fingerprint == data_fingerprint([prepared])
        assert not data.synthetic
    manifest = json.loads((prepared / "prepared/manifest.json").read_text())
    assert manifest["sets"]["75"]["counts"] == {"used": 12, "skipped": 0, "padded": 0}
    assert manifest["sets"]["75"]["settings"] == {
        "catalogue": {"name": "vgaf"},
        "recipe": "emotiw",
        "views": {
            "img": {"view": "whole_frames", "frames": 75, "size": 32, "fit": "squash", "dtype": "uint8"},
            "spec": {"view": "spectrograms", "segments": [5, 75], "size": 106},
        },
        "sink": {"seed": 2023},
    }


def test_workers_change_no_byte_and_a_second_run_neither(corpus, tmp_path, capsys):
    assert run(corpus, tmp_path / "one") == 0
    assert "12 clips of 5 frames (0 skipped): 24 tensors, 3 of the clips synthetic" in capsys.readouterr().out
    assert run(corpus, tmp_path / "two", "--workers", "2") == 0
    first = everything(tmp_path / "one")
    assert everything(tmp_path / "two") == first
    stamps = {path: path.stat().st_mtime_ns for path in (tmp_path / "one").rglob("*.pt")}
    assert run(corpus, tmp_path / "one") == 0
    assert everything(tmp_path / "one") == first
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "one").rglob("*.pt")} == stamps


def test_stopped_it_is_not_taken_for_whole_and_ends_with_the_same_bytes(corpus, tmp_path, monkeypatch, capsys):
    assert run(corpus, tmp_path / "straight") == 0
    whole, calls = preparation.prepare_job, []

    def stop(entries, views):
        calls.append(entries)
        if len(calls) == 5:
            raise KeyboardInterrupt
        return whole(entries, views)

    with monkeypatch.context() as patched:
        patched.setattr(preparation, "prepare_job", stop)
        assert run(corpus, tmp_path / "out") == 130
    assert "stopped after 4 of 12 clips" in capsys.readouterr().err
    with pytest.raises(DataError, match="not finished"):
        VGAFDataModule(str(tmp_path / "out")).split_sizes()
    torch.save(torch.zeros(3), tmp_path / "out/VGAF_Tensors_all_5/Train/T_5.mp4.img.5.pt")  # half of a clip
    (tmp_path / "out/VGAF_Tensors_all_5/Train/.T_4.mp4.img.5.pt.99.tmp").write_bytes(b"half of a file")
    assert run(corpus, tmp_path / "out") == 0
    assert "carrying on after 4 clips" in capsys.readouterr().out
    assert everything(tmp_path / "out") == everything(tmp_path / "straight")


@pytest.mark.slow
def test_killed_with_its_workers_it_carries_on_to_the_same_bytes(corpus, tmp_path):
    assert run(corpus, tmp_path / "straight", *FRAMES_75) == 0
    command = [sys.executable, "cli.py", "prepare", "vgaf", "--source", corpus, "--out", tmp_path / "out", *OPTIONS]
    process = subprocess.Popen(
        [*map(str, command), *FRAMES_75, "--workers", "2"], cwd=ROOT, start_new_session=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    journal, deadline = tmp_path / "out/prepared/frames-75/journal.jsonl", time.monotonic() + 60
    while not (journal.exists() and journal.read_bytes().count(b"\n") > 2):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.001)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "out/prepared/COMPLETE").exists()
    assert run(corpus, tmp_path / "out", *FRAMES_75) == 0
    assert everything(tmp_path / "out") == everything(tmp_path / "straight")


def test_letterboxed_floats(corpus, tmp_path):
    assert run(corpus, tmp_path, "--views.img.fit", "letterbox", "--views.img.dtype", "float32") == 0
    frames = torch.load(tmp_path / "VGAF_Tensors_all_5/Val/V_0.mp4.img.5.pt")
    clip = read_clip(corpus / "Val/V_0.mp4", Times(5, 0.5))
    expected = np.stack([letter_box(to_rgb(frame), 32) for frame in clip.frames])
    np.testing.assert_allclose(frames.permute(0, 2, 3, 1), expected / 255, atol=1e-7)
    assert VGAFDataModule(str(tmp_path)).split_sizes()["train"] == 6


def test_unusable_clips_are_listed_and_left_out_on_demand(copy, tmp_path, capsys):
    (copy / "Train/T_2.mp4").write_bytes(b"")
    (copy / "Val/V_1.mp4").unlink()
    write_clip(copy / "Train/T_9.mp4")
    write_clip(copy / "Train/T_3.mp4", audio=None)
    text = message(capsys, "prepare", "vgaf", "--source", copy, "--out", tmp_path / "out", *OPTIONS, code=1)
    assert "4 clips cannot be used, the first Train/T_2.mp4 (empty file (0 bytes))" in text
    assert "--max-skipped 4" in text
    assert run(copy, tmp_path / "out", "--max-skipped", "4") == 0
    with (tmp_path / "out/prepared/frames-5/skipped.csv").open() as file:
        reasons = {row["id"]: row["reason"] for row in csv.DictReader(file)}
    assert reasons == {
        "Train/T_2": "empty file (0 bytes)", "Train/T_3": "no audio stream",
        "Train/T_9": "no label in Train_labels.txt", "Val/V_1": "no such file",
    }  # fmt: skip
    data = VGAFDataModule(str(tmp_path / "out"))
    assert data.split_sizes() == {"val": 0, "train": 4, "test": 2}
    assert data.dataset("train")[0]["id"] == ["T_0"]


def test_a_record_of_schema_1_is_read_on(copy, tmp_path):
    """Tensors of 75 frames that an earlier version prepared stay, with those that it skipped, when 5 frames come."""
    out = tmp_path / "out"
    assert run(copy, out, *FRAMES_75) == 0
    rows = Store(out / "prepared/frames-75").rows
    shutil.rmtree(out / "prepared")
    for path in out.rglob("T_4.mp4.*"):
        path.unlink()
    settings = {"recipe": 1, "rate": RATE, "fft": FFT, "frames": 75, "size": 32, "spectrogram_size": 106, "seed": 2023}
    writer = StoreWriter(out / "prepared/frames-75", {}, settings, False, ("part",), schema=1)
    for row in rows:
        if row["id"] == "Train/T_4":
            writer.skip(row["id"], "Train/T_4.mp4", "empty file (0 bytes)")
        else:
            writer.add(row["id"], row["group"], int(row["label"]), {}, columns={"part": row["part"]})
    writer.finish()
    assert run(copy, out) == 0
    sets = json.loads((out / "prepared/manifest.json").read_text())["sets"]
    assert [sets[frames]["counts"]["used"] for frames in ("5", "75")] == [12, 11]
    assert sets["75"]["settings"] == settings
    assert VGAFDataModule(str(out), frames={"video": 75, "audio": 75}).split_sizes()["train"] == 5
    assert VGAFDataModule(str(out)).split_sizes()["train"] == 6


def test_a_drawn_clip_that_cannot_be_used_says_why(copy, tmp_path, capsys):
    (copy / "Synthetic/Positive/bar_Video_0/3.png").write_bytes(b"none")
    shutil.rmtree(copy / "Synthetic/Neutral/bar_Video_0")
    (copy / "Synthetic/Negative_labels.txt").write_text("Vid_name Label\nbar_Video_0 1\n")
    assert run(copy, tmp_path / "out", "--max-skipped", "3") == 0
    with (tmp_path / "out/prepared/frames-5/skipped.csv").open() as file:
        reasons = {row["id"]: row["reason"] for row in csv.DictReader(file)}
    assert reasons == {
        "Positive/bar_Video_0": "3.png: not a picture", "Neutral/bar_Video_0": "no numbered .png frames",
        "Negative/bar_Video_0": "labelled 1 in the folder Negative",
    }  # fmt: skip
    assert not (tmp_path / "out/Synthetic2661_all_5").exists()
    assert VGAFDataModule(str(tmp_path / "out")).split_sizes()["train"] == 6


def test_another_corpus_and_another_sink_keep_the_arrays_in_a_store(corpus, prepared, tmp_path):
    recipe = recipes.load("emotiw", {"img": {"size": 32}, "spec": {"size": 106}})
    store = preparation.prepare(VGAF(), replace(recipe, sink=StoreSink()), corpus, tmp_path / "vgaf", workers=1)
    for i, row in enumerate(store.rows):
        clip = Clip(row["group"], row["part"], int(row["label"]))
        frames = torch.load(clip.place(prepared, 5) / clip.file("img", 5))
        np.testing.assert_array_equal(store.read("img_5", i), frames)
        if clip.synthetic:
            assert store.shape("spec_5", i) == (0, 1, 106, 106)
        else:
            sound = torch.load(clip.place(prepared, 5) / clip.file("spec", 5))
            np.testing.assert_array_equal(store.read("spec_5", i), sound)
    acted = tmp_path / "ravdess/Actor_01/01-01-05-01-01-01-01.mp4"
    acted.parent.mkdir(parents=True)
    shutil.copy(corpus / "Train/T_1.mp4", acted)
    assert cli.main(["prepare", "ravdess", "--recipe", "emotiw", "--source", str(tmp_path / "ravdess"), *OPTIONS,
                     "--out", str(tmp_path / "out")]) == 0  # fmt: skip
    store = Store(tmp_path / "out/prepared-emotiw")
    np.testing.assert_array_equal(
        store.read("img_5", 0), torch.load(prepared / "VGAF_Tensors_all_5/Train/T_1.mp4.img.5.pt")
    )


def test_what_lacks_its_other_half_is_counted_and_told(copy, tmp_path, capsys):
    (copy / "Val/V_1.mp4").unlink()
    (copy / "Train/T_9.mp4").write_bytes(b"")
    with (copy / "Train_labels.txt").open("a") as file:
        file.write("T_0 1\nT_0 1\n")
    (copy / "Synthetic/Neutral/beach").mkdir()
    assert run(copy, tmp_path / "out", "--max-skipped", "2") == 0
    said = capsys.readouterr().out
    assert "  Train: 1 video without a label (T_9)\n" in said
    assert "  Val: 1 label without a video (V_1)\n" in said
    assert "  Synthetic/Neutral: 1 folder without a label (beach)\n" in said
    assert ", 2 lines of Train_labels.txt that come twice ignored;" in said


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("../../x 1", "'../../x' cannot be the name of a file: it holds a path separator"),
        ("../Val/V_0 1", "'../Val/V_0' cannot be the name of a file"),
        ("/etc/x 1", "'/etc/x' cannot be the name of a file"),
        ("..\\x 1", "cannot be the name of a file"),
        (".. 1", "'..' cannot be the name of a file: it means a folder"),
        ("a\x1bb 1", "it holds a control character"),
        ("T_0 2", "'T_0' is '2', but '1' in"),
        ("V_0 1", "1 clips are in both Train and Val: V_0"),
    ],
)
def test_a_label_file_names_no_place_outside_and_says_one_thing(copy, tmp_path, capsys, line, text):
    with (copy / "Train_labels.txt").open("a") as file:
        file.write(f"{line}\n")
    (tmp_path / "x.mp4").write_bytes((copy / "Train/T_0.mp4").read_bytes())
    before = everything(tmp_path)
    assert text in message(capsys, "prepare", "vgaf", "--source", copy, "--out", tmp_path / "out", *OPTIONS)
    assert everything(tmp_path) == before
    # The same names in a folder of tensors, which no preparation has seen.
    (copy / "VGAF_Tensors_all_5/Train").mkdir(parents=True)
    with pytest.raises(DataError, match=re.escape(text)):
        VGAFDataModule(str(copy)).split_sizes()


def test_synthetic_label_files_name_no_place_outside(copy, tmp_path, capsys):
    (copy / "Synthetic/Neutral_labels.txt").write_text("Vid_name Label\nbar_Video_0 1\n../../../x 1\n")
    text = message(capsys, "prepare", "vgaf", "--source", copy, "--out", tmp_path / "out", *OPTIONS)
    assert "Neutral_labels.txt: line 3: '../../../x' cannot be the name of a file" in text


def test_tensors_made_elsewhere_are_indexed_where_they_are(prepared, tmp_path, capsys):
    folder = Path(shutil.copytree(prepared, tmp_path / "theirs"))
    shutil.rmtree(folder / "prepared")
    assert cli.main(["prepare", "vgaf", "--source", str(folder)]) == 0
    assert "tensors made elsewhere: 60 tensors" in capsys.readouterr().out
    assert VGAFDataModule(str(folder)).fingerprint == VGAFDataModule(str(prepared)).fingerprint
    shutil.copy(folder / "VGAF_Tensors_all_5/Val/V_0.mp4.img.5.pt", folder / "VGAF_Tensors_all_5/Val/V_7.mp4.img.5.pt")
    assert cli.main(["prepare", "vgaf", "--source", str(folder)]) == 0
    assert "  VGAF_Tensors_all_5/Val: 1 tensor without a label (V_7)\n" in capsys.readouterr().out
    text = message(capsys, "prepare", "vgaf", "--source", folder, "--out", tmp_path / "other")
    assert "tensors are indexed where they are" in text
    path = folder / "VGAF_Tensors_all_5/Train/T_0.mp4.img.5.pt"
    path.write_bytes(path.read_bytes()[:-99])
    assert "T_0.mp4.img.5.pt is no plain tensor file" in message(capsys, "prepare", "vgaf", "--source", folder)


def test_other_settings_or_sources_are_refused(copy, tmp_path, capsys):
    out = tmp_path / "out"
    assert run(copy, out) == 0
    base = ["prepare", "vgaf", "--source", copy, "--out", out, *OPTIONS]
    assert "size was 32, now 48" in message(capsys, *base, "--views.img.size", "48")
    film, drawn = copy / "Train/T_1.mp4", copy / "Synthetic/Neutral/bar_Video_0/11.png"  # not one of the five shown
    for path, id in ((drawn, "Neutral/bar_Video_0"), (film, "Train/T_1")):
        before = path.read_bytes()
        path.write_bytes(before + b"0")
        assert f"the file of clip {id} changed" in message(capsys, *base)
        path.write_bytes(before)
    assert run(copy, out) == 0
    write_clip(copy / "Train/T_1.mp4", options={"qscale": "9"})
    assert "the file of clip Train/T_1 changed" in message(capsys, *base)


def test_a_tensor_that_went_away_is_named(corpus, tmp_path, capsys):
    assert run(corpus, tmp_path / "out") == 0
    (tmp_path / "out/VGAF_Tensors_all_5/Train/T_1.mp4.img.5.pt").unlink()
    text = message(capsys, "prepare", "vgaf", "--source", corpus, "--out", tmp_path / "out", *OPTIONS)
    assert "T_1.mp4.img.5.pt was made and is gone; delete" in text
    shutil.rmtree(tmp_path / "out/prepared/frames-5")
    shutil.rmtree(tmp_path / "out/VGAF_Tensors_all_5")
    shutil.rmtree(tmp_path / "out/Synthetic2661_all_5")
    assert run(corpus, tmp_path / "out") == 0


def test_tensors_of_somebody_else_are_never_overwritten(copy, prepared, capsys):
    shutil.copytree(prepared / "VGAF_Tensors_all_5", copy / "VGAF_Tensors_all_5")
    text = message(capsys, "prepare", "vgaf", "--source", copy, "--out", copy, *OPTIONS)
    assert "T_0.mp4.img.5.pt is there, one of 9 that this command did not make" in text
    assert run(copy, copy, *FRAMES_75) == 0


@pytest.mark.parametrize(
    ("more", "text"),
    [
        (["--views.img.frames", "0"], "--views.img.frames 0"),
        (["--views.img.size", "8"], "--views.img.size 8"),
        (["--views.spec.size", "100"], "needs at least 106"),
        (["--views.spec.segments", "[5, 5]"], "--views.spec.segments [5, 5]"),
        (["--views.spec.segments", "[]"], "--views.spec.segments []"),
        (["--max-skipped", "-1"], "--max-skipped -1"),
        (["--workers", "0"], "--workers 0"),
        (["--synthetic", "nowhere"], "--synthetic nowhere"),
        (["--sink.seed", "-2"], "--sink.seed -2"),
        (["--frames", "75"], "--frames is called --views.img.frames now, one number a command;"),
        (["--spectrogram-size=106"], "--spectrogram-size is called --views.spec.size now"),
        (["--seed", "1"], "--seed is called --sink.seed now"),
    ],
)
def test_wrong_options(corpus, tmp_path, capsys, more, text):
    assert text in message(capsys, "prepare", "vgaf", "--source", corpus, "--out", tmp_path, *OPTIONS, *more)


def test_wrong_sources(copy, tmp_path, capsys):
    assert "no such folder" in message(capsys, "prepare", "vgaf", "--source", tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    assert "neither videos" in message(capsys, "prepare", "vgaf", "--source", tmp_path / "empty")
    (copy / "SYNTHETIC").write_text("affectzoo synth vgaf (incomplete)\n")
    assert "not finished" in message(capsys, "prepare", "vgaf", "--source", copy)
    (copy / "SYNTHETIC").unlink()
    (copy / "Val_labels.txt").unlink()
    assert "Val_labels.txt: no such label file" in message(capsys, "prepare", "vgaf", "--source", copy)


def test_a_tone_is_a_line_at_its_pitch_in_every_segment_it_lasts():
    """1 kHz for the first half of 5 s, nothing after: bands from low to high, time in order."""
    wave = np.zeros(5 * RATE, np.int16)
    wave[: len(wave) // 2] = 8000 * np.sin(2 * np.pi * 1000 * np.arange(len(wave) // 2) / RATE)
    pictures = spectrograms(wave, 5)
    assert pictures.shape == (5, 1, 128, 128)
    line = pictures[:, 0].argmax(1)  # band by segment and instant
    mel = 15 / (15 + 27 * np.log(8) / np.log(6.4))  # where 1 kHz lies between 0 and 8 kHz
    assert np.abs(line[:2] - (mel * 129 - 1)).max() <= 1
    assert pictures[0].max() > pictures[4].max() + 3
    assert (pictures[2, 0, :, :60].max(0) > 1).all()
    assert (pictures[2, 0, :, 70:].max(0) < 0).all()


def test_spectrograms_equal_librosa(tmp_path):
    librosa = pytest.importorskip("librosa")
    wave = (tone(5, RATE, 1)[0] * 9000).astype(np.int16) + np.random.default_rng(0).integers(
        -500, 500, 5 * RATE, np.int16
    )
    # An instant is the middle of its hop of 125 samples; librosa's frames are centred at multiples of it.
    shifted = np.pad(wave[62:] / 32768, (0, 62))
    mel = librosa.feature.melspectrogram(
        y=shifted, sr=RATE, n_fft=FFT, hop_length=125, n_mels=128, pad_mode="constant"
    )[:, : 5 * 128]
    decibel = librosa.power_to_db(mel, ref=1.0, top_db=80)
    expected = (decibel - decibel.mean()) / decibel.std()
    ours = spectrograms(wave, 5)[:, 0].transpose(1, 0, 2).reshape(128, 640)
    np.testing.assert_allclose(ours[:, 8:-8], expected[:, 8:-8], atol=6e-3)  # edges shift the mean


def test_silence_and_short_sound():
    assert not spectrograms(np.zeros(RATE, np.int16), 5).any()
    rng = np.random.default_rng(0)
    short = spectrograms(rng.integers(-99, 99, 300).astype(np.int16), 75, 106)
    assert short.shape == (75, 1, 106, 106)
    assert np.isfinite(short).all()


@pytest.mark.realdata
def test_real_films_become_tensors(realdata, tmp_path):
    """Real clips under VGAF's names, and odd files, of which the broken ones are skipped with a reason."""
    clips = sorted((realdata / "ravdess/av_clips").glob("*.mp4"))[:4]
    odd = sorted((realdata / "media/odd").glob("*.mp4"))
    for split, files in (("Train", [*clips, *odd]), ("Val", clips[:1])):
        (tmp_path / split).mkdir()
        for i, path in enumerate(files):
            (tmp_path / split / f"{split}_{i}.mp4").write_bytes(path.read_bytes())
        lines = [f"{split}_{i} {i % 3 + 1}" for i in range(len(files))]
        (tmp_path / f"{split}_labels.txt").write_text("\n".join(["Vid_name Label", *lines]) + "\n")
    out = tmp_path / "out"
    assert run(tmp_path, out, "--views.img.size", "224", "--views.spec.size", "128", "--max-skipped", "99") == 0
    with (out / "prepared/frames-5/skipped.csv").open() as file:
        skipped = {row["id"]: row["reason"] for row in csv.DictReader(file)}
    assert skipped
    assert len(skipped) < len(odd)
    assert all(skipped.values())
    assert not any(f"Train/Train_{i}" in skipped for i in range(len(clips)))
    data = VGAFDataModule(str(out))
    assert data.input_shapes == {"video": [5, 3, 224, 224], "audio": [5, 1, 128, 128]}
    batch = data.dataset("train").__getitems__([0, 1, 2, 3])
    assert (batch["video"].float().std((1, 2, 3, 4)) > 20).all()
    for sound in batch["audio"]:
        torch.testing.assert_close(sound.std(), torch.tensor(1.0), atol=1e-3, rtol=0)
    for i, path in enumerate(clips):
        frame = read_clip(path, Times(5, 0.5)).frames[2]
        small = cv2.resize(to_rgb(frame), (224, 224), interpolation=cv2.INTER_AREA)
        assert np.abs(batch["video"][i, 2].permute(1, 2, 0).numpy().astype(int) - small).mean() < 3
