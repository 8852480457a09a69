"""Hostile inputs, a case each: one clear line, the file named, everything else as if they were not there.

A case damages one file of a small stand-in, or writes one broken input, and runs the command line in this process, so
that an exception that escapes fails the test with its traceback.
"""

import contextlib
import errno
import json
import multiprocessing
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from fabricated import make_cell
from hostile_clips import ABSENT, REFUSED, SKIPPED, TOLD, Mistake, make, own_clip
from hostile_media import ODD_SOUNDS, SOUNDS, VIDEOS, int16, tone, wav
from hostile_results import ANY_FILE, HARMLESS, MANIFESTS, OWN
from hostile_settings import CONFIGS, MIDDLE, OPTIONS
from hostile_tables import BROKEN, FINE, INDEXES, NAMES, ROW_NAMES, SAME, TABLE, TABLE_FILES
from hostile_tensors import (
    BAD_ARRAYS,
    BAD_TABLES_OF_ARRAYS,
    BAD_TENSORS,
    CHECKPOINTS,
    RESUMED,
    features,
)

import cli
from datamodules.store.reader import Store, read_own_table
from datamodules.store.writer import StoreWriter
from experiments.reproduce.plan import Planner, Selection
from experiments.reproduce.tables.table_file import read_table

MOST_LINES = 3
PATIENCE = 60  # seconds; a command that waits for a pipe would wait for ever


class Hangs(BaseException):
    """Passes through every handler of errors."""


def give_up(*_: object) -> None:
    raise Hangs


@dataclass(frozen=True)
class Outcome:
    """How a command ended, and what it said on the screen."""

    code: int
    out: str
    err: str


@pytest.fixture
def command(capsys) -> Callable[..., Outcome]:
    """Runs the command line; whatever it says is at most three lines and no traceback."""

    def run(*words: object) -> Outcome:
        capsys.readouterr()
        before = signal.signal(signal.SIGALRM, give_up)
        signal.alarm(PATIENCE)
        try:
            code = cli.main([str(word) for word in words])
        except SystemExit as stop:  # argparse's way out
            code = stop.code if isinstance(stop.code, int) else 1
        finally:
            signal.alarm(0)
            signal.signal(signal.SIGALRM, before)
        said = capsys.readouterr()
        assert "Traceback" not in said.out + said.err
        lines = [line for line in said.err.splitlines() if line.strip()]
        assert len(lines) <= MOST_LINES, said.err
        return Outcome(code, said.out, said.err)

    return run


# --- a damaged file among good ones -----------------------------------------------------------------------------------

RAVDESS_CLIP, RAVDESS_SOUND = "Actor_02/01-01-08-02-02-01-02.mp4", "Actor_02/03-01-08-02-02-01-02.wav"
CORPORA = {
    "ravdess": ("--views.video.size", "16", "--views.video.face", "none"),
    "daisee": ("--views.people.face_size", "16", "--views.people.body_size", "16"),
    "noxi": ("--views.people.face_size", "16", "--views.people.body_size", "16"),
    "vgaf": ("--views.img.size", "16"),
    "faces": ("--views.face.size", "16"),
    "avamerg": ("--views.video.size", "16"),
    "empathetic": (),
    "sounds": ("--views.wave.rate", "16000"),
}
COUNTS = {"ravdess": 3, "daisee": 9, "noxi": 6, "vgaf": 9, "faces": 120, "avamerg": 35, "empathetic": 96}


def prepared(corpus: str, source: Path, out: Path, *more: str) -> list[object]:
    name = "ravdess" if corpus == "sounds" else corpus
    return ["prepare", name, "--source", source, "--out", out, "--workers", "1", *CORPORA[corpus], *more]


@pytest.fixture(scope="session")
def sources(tmp_path_factory) -> Callable[[str], Path]:
    """The raw stand-in of a corpus, made once; a case works on a copy."""
    folder = tmp_path_factory.mktemp("raw")

    def source(corpus: str) -> Path:
        place = folder / corpus
        if place.exists():
            return place
        if corpus == "sounds":
            for actor in range(1, 4):
                path = place / f"Actor_{actor:02d}" / f"03-01-08-02-02-01-{actor:02d}.wav"
                path.parent.mkdir(parents=True)
                path.write_bytes(wav(int16(tone(3.5, hz=200.0 + actor))))
            return place
        assert cli.main(["synth", corpus, "--out", str(place), "--clips", str(COUNTS[corpus]), "--workers", "1"]) == 0
        return place

    return source


@pytest.fixture(scope="session")
def clean(sources, tmp_path_factory) -> Callable[[str], dict[str, bytes]]:
    """Every clip of a corpus as it is prepared without anything hostile."""
    known: dict[str, dict[str, bytes]] = {}

    def arrays(corpus: str) -> dict[str, bytes]:
        if corpus not in known:
            out = tmp_path_factory.mktemp("clean") / corpus
            assert cli.main([str(word) for word in prepared(corpus, sources(corpus), out)]) == 0
            known[corpus] = clips(out / "prepared")
        return known[corpus]

    return arrays


def clips(folder: Path) -> dict[str, bytes]:
    store = Store(folder)
    return {
        clip: b"".join(store.read(name, place).tobytes() for name in store.arrays)
        for place, clip in enumerate(store.ids)
    }


FILES = {
    "ravdess": RAVDESS_CLIP,
    "daisee": "DataSet/Train/110004/1100041002/1100041002.mp4",
    "noxi": "train/001_2016-03-17_Drawn/Expert_video.mp4",
}
SLOW = {("noxi", name) for name in VIDEOS}


def media_cases(corpora: list[str], damages: dict) -> list:
    return [
        pytest.param(corpus, name, id=f"{corpus}: {name}", marks=[pytest.mark.slow] * ((corpus, name) in SLOW))
        for corpus in corpora
        for name in damages
    ]


def check_one_skipped(command, clean, sources, tmp_path, corpus, file, damage) -> None:
    """One clip is skipped with its reason, the others are what they were, to the byte."""
    raw, out = tmp_path / "raw", tmp_path / "out"
    shutil.copytree(sources(corpus), raw, symlinks=True)
    damage(raw / file)
    refused = command(*prepared(corpus, raw, out))
    assert refused.code == 1, refused
    assert Path(file).name in refused.err
    assert "--max-skipped 1" in refused.err
    accepted = command(*prepared(corpus, raw, out, "--max-skipped", "1"))
    assert accepted.code == 0, accepted
    (skipped,) = read_own_table(out / "prepared" / "skipped.csv")
    assert skipped["reason"]
    assert "\n" not in skipped["reason"]
    assert Path(file).name in skipped["file"]
    found = clips(out / "prepared")
    assert len(found) == len(clean(corpus)) - 1
    assert found.items() <= clean(corpus).items()


@pytest.mark.parametrize(("corpus", "name"), media_cases(list(FILES), VIDEOS))
def test_a_bad_video_is_one_skipped_clip(command, clean, sources, tmp_path, corpus, name):
    check_one_skipped(command, clean, sources, tmp_path, corpus, FILES[corpus], VIDEOS[name])


@pytest.mark.parametrize("name", SOUNDS)
def test_a_bad_sound_is_one_skipped_clip(command, clean, sources, tmp_path, name):
    check_one_skipped(command, clean, sources, tmp_path, "sounds", RAVDESS_SOUND, SOUNDS[name])


@pytest.mark.parametrize("name", ODD_SOUNDS)
def test_an_odd_sound_is_read(command, clean, sources, tmp_path, name):
    raw, out = tmp_path / "raw", tmp_path / "out"
    shutil.copytree(sources("sounds"), raw)
    (raw / RAVDESS_SOUND).write_bytes(ODD_SOUNDS[name])
    outcome = command(*prepared("sounds", raw, out))
    assert outcome.code == 0, outcome
    found, other = clips(out / "prepared"), Path(RAVDESS_SOUND).stem
    assert found.keys() == clean("sounds").keys()
    assert {clip for clip in found if found[clip] != clean("sounds")[clip]} <= {other}


def test_a_name_that_is_not_utf8_is_one_skipped_clip(command, clean, sources, tmp_path):
    raw, out = tmp_path / "raw", tmp_path / "out"
    shutil.copytree(sources("sounds"), raw)
    os.rename(os.fsencode(raw / RAVDESS_SOUND), os.fsencode(raw) + b"/Actor_02/\xff\xfe.wav")
    assert command(*prepared("sounds", raw, out)).code == 1
    assert command(*prepared("sounds", raw, out, "--max-skipped", "1")).code == 0
    assert clips(out / "prepared").items() <= clean("sounds").items()


# --- tables -----------------------------------------------------------------------------------------------------------

TABLES = {
    "daisee": "Labels/TrainLabels.csv",
    "vgaf": "Train_labels.txt",
    "empathetic": "train.csv",
    "avamerg": "train.json",
}


@pytest.mark.parametrize(
    ("corpus", "name"), [pytest.param(c, n, id=f"{c}: {n}") for c in TABLES for n in BROKEN if (c, n) not in FINE]
)
def test_a_broken_table_stops_the_preparation_in_one_line(command, sources, tmp_path, corpus, name):
    raw, out = tmp_path / "raw", tmp_path / "out"
    shutil.copytree(sources(corpus), raw)
    BROKEN[name](raw / TABLES[corpus])
    outcome = command(*prepared(corpus, raw, out))
    assert outcome.code in (1, 2), outcome
    assert Path(TABLES[corpus]).stem in outcome.err, outcome
    assert not (out / "prepared" / "COMPLETE").exists()


@pytest.mark.parametrize("name", SAME)
def test_the_same_labels_written_otherwise_are_the_same(command, clean, sources, tmp_path, name):
    raw, out = tmp_path / "raw", tmp_path / "out"
    shutil.copytree(sources("daisee"), raw)
    SAME[name](raw / TABLES["daisee"])
    outcome = command(*prepared("daisee", raw, out))
    assert outcome.code == 0, outcome
    assert clips(out / "prepared") == clean("daisee")


@pytest.mark.parametrize(
    "value", ["4", "-1", "3.0", "", "happy", "nan", "1e400", "9" * 5000, "\u0663", "0x1", "\ud7ff"]
)
def test_a_label_out_of_range_is_one_skipped_clip(command, clean, sources, tmp_path, value):
    def damage(path: Path) -> None:
        labels = raw_of(path) / TABLES["daisee"]
        clip = "1100041002"
        lines = [f"{clip}.mp4,0,{value},0,0" if clip in line else line for line in labels.read_text().splitlines()]
        labels.write_text("\n".join(lines) + "\n")

    check_one_skipped(command, clean, sources, tmp_path, "daisee", FILES["daisee"], damage)


def raw_of(path: Path) -> Path:
    return next(parent for parent in path.parents if parent.name == "raw")


def test_a_clip_labelled_twice_differently_is_refused(command, sources, tmp_path):
    for corpus, line, clip in (("daisee", "1100041002.mp4,0,{},0,0", "1100041002"), ("vgaf", "1_1 {}", "1_1")):
        raw = tmp_path / corpus
        shutil.copytree(sources(corpus), raw)
        labels = raw / TABLES[corpus]
        labels.write_text(labels.read_text() + "".join(line.format(label) + "\n" for label in (1, 2)))
        outcome = command(*prepared(corpus, raw, tmp_path / f"out-{corpus}"))
        assert outcome.code == 2
        assert clip in outcome.err
        assert labels.name in outcome.err


@pytest.mark.parametrize("name", NAMES)
def test_a_name_that_would_leave_its_folder_is_refused(command, sources, tmp_path, name):
    raw, out = tmp_path / "raw", tmp_path / "deep" / "er" / "out"
    shutil.copytree(sources("vgaf"), raw)
    labels = raw / TABLES["vgaf"]
    labels.write_text(labels.read_text() + f"{name} 1\n")
    before = {path for path in tmp_path.rglob("*") if raw not in path.parents and path != raw}
    outcome = command(*prepared("vgaf", raw, out))
    assert outcome.code == 2, outcome
    assert labels.name in outcome.err
    after = {path for path in tmp_path.rglob("*") if raw not in path.parents and path != raw}
    assert not {path for path in after - before if path.is_file()}


# --- clips of one's own -----------------------------------------------------------------------------------------------


def prepared_own(command, tmp_path, mistake: Mistake, *more: str) -> Outcome:
    source = make(tmp_path / "own", mistake)
    options = ["--recipe", "sound", "--workers", "1", *mistake.options, *more]
    return command("prepare", "clips", "--source", source, "--out", tmp_path / "out", *options)


@pytest.mark.parametrize("name", REFUSED)
def test_a_mistake_with_own_clips_is_one_line(command, tmp_path, name):
    outcome = prepared_own(command, tmp_path, REFUSED[name])
    assert outcome.code == 2, outcome
    assert REFUSED[name].says in outcome.err, outcome
    assert len(outcome.err.splitlines()) == 1
    assert not list(tmp_path.rglob("COMPLETE"))


@pytest.mark.parametrize("name", TOLD)
def test_what_is_odd_with_own_clips_is_told(command, tmp_path, name):
    outcome = prepared_own(command, tmp_path, TOLD[name])
    assert outcome.code == 0, outcome
    assert TOLD[name].says in outcome.out
    assert (tmp_path / "out/prepared-sound/COMPLETE").exists()


@pytest.mark.parametrize("name", SKIPPED)
def test_a_bad_clip_among_own_ones_is_skipped_with_its_reason(command, tmp_path, name):
    refused = prepared_own(command, tmp_path / "a", Mistake("", then=SKIPPED[name]))
    assert refused.code == 1, refused
    assert own_clip(3) in refused.err
    assert "--max-skipped 1" in refused.err
    accepted = prepared_own(command, tmp_path / "b", Mistake("", then=SKIPPED[name]), "--max-skipped", "1")
    assert accepted.code == 0, accepted
    (skipped,) = read_own_table(tmp_path / "b/out/prepared-sound/skipped.csv")
    assert skipped["file"] == own_clip(3)
    assert skipped["reason"] in refused.err
    assert len(Store(tmp_path / "b/out/prepared-sound")) == 7


@pytest.mark.parametrize("name", ABSENT)
def test_an_own_clip_that_lacks_something_is_listed(command, tmp_path, name):
    outcome = prepared_own(command, tmp_path, Mistake("", then=ABSENT[name]))
    assert outcome.code == 0, outcome
    assert "1 without wave (missing.csv)" in outcome.out
    (missing,) = read_own_table(tmp_path / "out/prepared-sound/missing.csv")
    assert (missing["modality"], missing["file"]) == ("wave", own_clip(3))
    assert len(Store(tmp_path / "out/prepared-sound")) == 8


# --- tensors ----------------------------------------------------------------------------------------------------------
FIT = """
trainer: {fast_dev_run: true, accelerator: cpu}
model: {class_path: AudioOnly}
data:
  class_path: PrecomputedTensorDataModule
  init_args: {root: ROOT, features: {audio: FEATURES}, batch_size: 4}
"""


def fit(command, root: Path, source: str = "sound", *more: str) -> Outcome:
    config = root / "run.yaml"
    config.write_text(FIT.replace("ROOT", str(root)).replace("FEATURES", source))
    return command("fit", "--config", config, *more)


def test_the_features_of_these_tests_are_good_without_damage(command, tmp_path):
    for suffix in (".pt", ".npy"):
        outcome = fit(command, features(tmp_path / suffix, suffix))
        assert outcome.code == 0, outcome


@pytest.mark.parametrize(
    ("suffix", "name"), [(".pt", name) for name in BAD_TENSORS] + [(".npy", name) for name in BAD_ARRAYS]
)
def test_a_bad_feature_stops_before_the_first_step(command, tmp_path, monkeypatch, suffix, name):
    monkeypatch.chdir(tmp_path)
    root = features(tmp_path / "data", suffix)
    {".pt": BAD_TENSORS, ".npy": BAD_ARRAYS}[suffix][name](root / "sound" / f"s1-2{suffix}")
    with warnings.catch_warnings(record=True) as told:  # one of another length may be meant
        outcome = fit(command, root)
    assert outcome.code == 2, outcome
    assert "s1-2" in outcome.err + "".join(str(one.message) for one in told), outcome
    assert not (tmp_path / "was-here").exists()


@pytest.mark.parametrize("name", BAD_TABLES_OF_ARRAYS)
def test_a_bad_archive_stops_before_the_first_step(command, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    root = features(tmp_path / "data")
    np.savez_compressed(root / "sound.npz", **BAD_TABLES_OF_ARRAYS[name])
    outcome = fit(command, root, "sound.npz:audio")
    assert outcome.code == 2, outcome
    assert "sound.npz" in outcome.err, outcome
    assert not (tmp_path / "was-here").exists()


@pytest.mark.parametrize("name", INDEXES)
def test_a_bad_index_stops_before_the_first_step(command, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    root = features(tmp_path / "data")
    text = INDEXES[name]
    if not text.startswith("id,"):
        lines = (root / "index.csv").read_text().splitlines()
        text = "\n".join(text if line.startswith("s1-2,") else line for line in lines) + "\n"
    (root / "index.csv").write_text(text)
    outcome = fit(command, root)
    assert outcome.code == 2, outcome
    assert "index.csv" in outcome.err, outcome


# --- options and configs ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", OPTIONS)
def test_a_wrong_option_is_one_line(command, tmp_path, monkeypatch, name):
    root = features(tmp_path / "data")
    words = OPTIONS[name].replace("experiments/", f"{Path(cli.__file__).parent}/experiments/").split()
    monkeypatch.chdir(tmp_path)
    outcome = fit(command, root, "sound", *words)
    assert outcome.code == 2, outcome
    assert outcome.err.startswith("error: "), outcome


FILES_OF_THEIR_OWN = {
    "--trainer": "max_epochs: 1",
    "--model": "class_path: AudioOnly",
    "--model.loss": "class_path: CrossEntropy",
    "--model.audio": "class_path: MFCCNet",
    "--model.optimizer": "class_path: Adam",
    "--data": "class_path: PrecomputedTensorDataModule\ninit_args: {root: ROOT, features: {audio: sound}}",
    "--trainer.callbacks": "class_path: Warmup\ninit_args: {steps: 2}",
    "--trainer.logger": "class_path: CSVLogger\ninit_args: {save_dir: logs}",
}


@pytest.mark.parametrize("option", FILES_OF_THEIR_OWN)
def test_settings_come_from_no_file_that_a_run_is_not_compared_by(command, tmp_path, monkeypatch, option):
    root = features(tmp_path / "data")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "settings").write_text(FILES_OF_THEIR_OWN[option].replace("ROOT", str(root)))
    outcome = fit(command, root, "sound", option, "settings")
    assert outcome.code == 2, outcome
    assert f"error: {option}" in outcome.err, outcome


def test_settings_come_from_no_variable_that_a_run_is_not_compared_by(command, tmp_path, monkeypatch):
    root = features(tmp_path / "data")
    monkeypatch.setenv("JSONARGPARSE_DEFAULT_ENV", "true")
    monkeypatch.setenv("PL_FIT__TRAINER__ACCUMULATE_GRAD_BATCHES", "2")
    outcome = fit(command, root)
    assert outcome.code == 2, outcome
    assert outcome.err.startswith("error: JSONARGPARSE_DEFAULT_ENV: "), outcome


@pytest.mark.parametrize("name", CONFIGS)
def test_a_hostile_config_is_one_line_and_nothing_in_it_runs(command, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "foreign.py").write_text("open('was-here', 'w')\nclass Net: ...\n")
    root = features(tmp_path / "data")
    (tmp_path / "hostile.yaml").write_text(CONFIGS[name])
    outcome = fit(command, root, "sound", "--config", "hostile.yaml")
    assert outcome.code == 2, outcome
    assert outcome.err.startswith("error: "), outcome
    assert not (tmp_path / "was-here").exists()


# --- checkpoints ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def trained(tmp_path_factory) -> Path:
    """A finished run over the features above."""
    folder = tmp_path_factory.mktemp("trained")
    root = features(folder / "data")
    (folder / "run.yaml").write_text(
        FIT.replace("ROOT", str(root)).replace("FEATURES", "sound").replace("fast_dev_run: true", "max_epochs: 1")
    )
    place = ["--trainer.default_root_dir", str(folder / "run")]
    assert cli.main(["fit", "--config", str(folder / "run.yaml"), *place]) == 0
    return folder


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_a_bad_checkpoint_is_one_line_and_nothing_in_it_runs(command, trained, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "foreign.py").write_text("open('was-here', 'w')\nclass Net: ...\nAudioOnly = MFCCNet = Net\n")
    shutil.copytree(trained / "run", tmp_path / "run")
    checkpoint = tmp_path / "run" / "checkpoints" / "best.ckpt"
    CHECKPOINTS[name](checkpoint)
    words = ["--config", trained / "run.yaml", "--ckpt_path", checkpoint]
    outcome = command("test", *words, "--trainer.default_root_dir", tmp_path / "out")
    assert outcome.code in (1, 2), outcome
    assert outcome.err.startswith("error: "), outcome
    assert not (tmp_path / "was-here").exists()
    assert not list((tmp_path / "out").rglob("predictions*.csv"))


@pytest.mark.parametrize("name", RESUMED)
def test_a_bad_checkpoint_is_not_resumed(command, trained, tmp_path, name):
    shutil.copytree(trained / "run", tmp_path / "run")
    (tmp_path / "run" / "result.json").unlink()
    last = tmp_path / "run" / "checkpoints" / "last.ckpt"
    RESUMED[name](last)
    words = ["--config", trained / "run.yaml", "--trainer.default_root_dir", tmp_path / "run"]
    outcome = command("fit", *words)
    assert outcome.code in (1, 2), outcome
    assert "last.ckpt" in outcome.err, outcome
    assert not (tmp_path / "run" / "result.json").exists()


# --- results ----------------------------------------------------------------------------------------------------------


def results(folder: Path) -> tuple[Path, Path]:
    """A table file and the folder of its one finished cell."""
    table, runs = folder / "hostile.yaml", folder / "runs"
    table.write_text(TABLE)
    (job,) = Planner(read_table(str(table)), runs).jobs(Selection())
    make_cell(job.directory, job.request, row="audio")
    return table, job.directory


@pytest.mark.parametrize(
    ("file", "name"),
    [
        pytest.param(file, name, id=f"{file}: {name}")
        for file in OWN
        for name in {**ANY_FILE, **OWN[file]}
        if (file, name) not in HARMLESS
    ],
)
def test_a_damaged_result_is_one_line(command, tmp_path, monkeypatch, file, name):
    monkeypatch.chdir(tmp_path)
    table, cell = results(tmp_path)
    {**ANY_FILE, **OWN[file]}[name](cell / file)
    outcome = command("report", table, "--runs", tmp_path / "runs")
    assert outcome.code == 2, outcome
    # Of two files that disagree either may be named.
    named = (file, "predictions-selected.csv") if "test clips" in name or "values alone" in name else (file,)
    assert any(one in outcome.err for one in named), outcome


@pytest.mark.parametrize("name", ANY_FILE)
def test_a_damaged_request_is_one_line(command, trained, tmp_path, name):
    shutil.copytree(trained / "run", tmp_path / "run")
    (tmp_path / "run" / "result.json").unlink()
    ANY_FILE[name](tmp_path / "run" / "request.json")
    before = {path: path.read_bytes() for path in (tmp_path / "run").rglob("*.ckpt")}
    outcome = command("fit", "--config", trained / "run.yaml", "--trainer.default_root_dir", tmp_path / "run")
    assert outcome.code == 2, outcome
    assert "request.json" in outcome.err, outcome
    assert {path: path.read_bytes() for path in (tmp_path / "run").rglob("*.ckpt")} == before


@pytest.mark.parametrize("file", ["manifest.json", "index.csv"])
@pytest.mark.parametrize("name", MANIFESTS)
def test_a_damaged_store_is_one_line(command, sources, clean, tmp_path, file, name):
    out = tmp_path / "out"
    assert command(*prepared("sounds", sources("sounds"), out)).code == 0
    MANIFESTS[name](out / "prepared" / file)
    words = ["--config", Path(cli.__file__).parent / "experiments" / "ravdess_audio.yaml", "--data.root", out]
    outcome = command("fit", *words, "--trainer.fast_dev_run", "true")
    assert outcome.code == 2, outcome
    assert file in outcome.err, outcome


@pytest.mark.parametrize("name", ROW_NAMES)
def test_a_row_whose_name_is_no_folder_is_refused(command, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    table = tmp_path / "hostile.yaml"
    table.write_text(TABLE.replace("name: audio", f"name: {json.dumps(name)}"))
    for words in (["report"], ["reproduce", "--dry-run"]):
        outcome = command(words[0], table, *words[1:], "--runs", tmp_path)
        assert outcome.code == 2, outcome
        assert "hostile.yaml" in outcome.err, outcome


@pytest.mark.parametrize("name", TABLE_FILES)
def test_a_bad_table_file_is_one_line(command, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    table = tmp_path / "hostile.yaml"
    table.write_text(TABLE_FILES[name])
    outcome = command("reproduce", table, "--dry-run", "--runs", tmp_path / "runs")
    assert outcome.code == 2, outcome
    assert outcome.err.startswith("error: "), outcome


# --- the machine ------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def files_up_to(size: int) -> Iterator[None]:
    """Lets no file grow beyond so many bytes: the system then refuses a write as it does on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def check_full(outcome: Outcome, folder: Path) -> None:
    assert outcome.code == 1, outcome
    (line,) = [line for line in outcome.err.splitlines() if line.startswith("error: ")]
    assert str(folder) in line, outcome
    assert "File too large" in line, outcome


def of_run(folder: Path) -> dict[str, object]:
    """What of a run is the same in every run of these settings."""
    result = json.loads((folder / "result.json").read_text())
    same = {name: result[name] for name in ("selections", "n_train", "parameters", "request_hash")}
    return same | {path.name: path.read_bytes() for path in folder.glob("predictions*.csv")}


# Bytes that a file may have: too few for the request, the settings, the picture, the checkpoint.
SIZES = [0, 100, 1000, 2000, 5000, 20_000, 80_000, 150_000, 250_000]


QUICK_SIZES = (0, 2000, 20_000)


@pytest.mark.parametrize(
    "size", [pytest.param(size, marks=[pytest.mark.slow] * (size not in QUICK_SIZES)) for size in SIZES]
)
def test_a_full_disk_ends_a_run_in_one_line_and_it_carries_on(command, trained, tmp_path, size):
    run = tmp_path / "run"
    words = ["fit", "--config", trained / "run.yaml", "--trainer.default_root_dir", run]
    with files_up_to(size):
        outcome = command(*words)
    check_full(outcome, run)
    assert not (run / "result.json").exists()
    assert not [path for path in run.rglob("*") if path.name.endswith(".tmp")]
    assert command(*words).code == 0
    assert of_run(run) == of_run(trained / "run")


@pytest.mark.parametrize("size", [0, 400, 3000, 70_000])
def test_a_full_disk_ends_a_preparation_in_one_line_and_it_carries_on(command, sources, clean, tmp_path, size):
    words = prepared("sounds", sources("sounds"), tmp_path / "out")
    clean("sounds")
    with files_up_to(size):
        outcome = command(*words)
    check_full(outcome, tmp_path / "out")
    assert command(*words).code == 0
    assert clips(tmp_path / "out" / "prepared") == clean("sounds")


SLOW_TO_MAKE = ("noxi", "avamerg")  # it is made twice


@pytest.mark.parametrize(
    ("corpus", "size"),
    [
        ("empathetic", 0),
        *(pytest.param(name, 2000, marks=[pytest.mark.slow] * (name in SLOW_TO_MAKE)) for name in COUNTS),
    ],
)
def test_a_full_disk_ends_a_stand_in_in_one_line_and_it_carries_on(command, sources, tmp_path, corpus, size):
    words = ["synth", corpus, "--out", tmp_path / corpus, "--clips", COUNTS[corpus], "--workers", 1]
    whole = sources(corpus)
    with files_up_to(size):
        outcome = command(*words)
    check_full(outcome, tmp_path / corpus)
    assert command(*words).code == 0
    files = {path.relative_to(whole): path.read_bytes() for path in whole.rglob("*") if path.is_file()}
    made = {path.relative_to(tmp_path / corpus): path for path in (tmp_path / corpus).rglob("*") if path.is_file()}
    assert {name: path.read_bytes() for name, path in made.items()} == files


@pytest.mark.parametrize("size", [0, 1000])
def test_a_full_disk_ends_a_report_in_one_line(command, tmp_path, monkeypatch, size):
    monkeypatch.chdir(tmp_path)
    table, _ = results(tmp_path)
    words = ["report", table, "--runs", tmp_path / "runs", "--out", tmp_path / "report"]
    with files_up_to(size):
        outcome = command(*words)
    check_full(outcome, tmp_path / "report")
    assert command(*words).code == 0
    assert (tmp_path / "report" / "hostile.md").read_text().startswith("# Hostile")


def test_a_full_disk_is_told_by_the_workers_too(command, tmp_path):
    with files_up_to(2000):
        outcome = command("synth", "vgaf", "--out", tmp_path / "vgaf", "--clips", 9, "--workers", 2)
    check_full(outcome, tmp_path / "vgaf")


@pytest.mark.parametrize("workers", [1, 2])
def test_no_temporary_folder_is_one_line_where_one_is_needed(command, sources, tmp_path, monkeypatch, workers):
    def full(*_: object, **__: object) -> str:
        raise OSError(errno.ENOSPC, "No space left on device", "full/made")

    monkeypatch.setattr(tempfile, "mkdtemp", full)
    monkeypatch.setattr(tempfile, "mkstemp", full)
    monkeypatch.setattr(tempfile, "TemporaryDirectory", full)
    outcome = command(*prepared("sounds", sources("sounds"), tmp_path / "out", "--workers", str(workers)))
    assert outcome.code == 0, outcome
    monkeypatch.setitem(multiprocessing.current_process()._config, "tempdir", None)
    outcome = fit(command, features(tmp_path / "data"), "sound", "--data.num_workers", workers - 1)
    assert (outcome.code, "full/made: No space left" in outcome.err) == ((0, False) if workers == 1 else (1, True))


PLACES = ["/proc/nowhere/x", "/dev/null/x", "/sys/x"]  # where nobody may make a folder, root included


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("what", ["fit", "prepare", "synth", "report"])
def test_a_folder_that_cannot_be_made_is_one_line(command, trained, sources, tmp_path, monkeypatch, place, what):
    monkeypatch.chdir(tmp_path)
    words = {
        "fit": ["fit", "--config", trained / "run.yaml", "--trainer.default_root_dir", place],
        "prepare": prepared("sounds", sources("sounds"), Path(place)),
        "synth": ["synth", "empathetic", "--out", place, "--clips", 96],
        "report": ["report", results(tmp_path)[0], "--runs", tmp_path / "runs", "--out", place],
    }[what]
    outcome = command(*words)
    assert outcome.code == 2, outcome
    assert Path(place).parent.name in outcome.err, outcome


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC, errno.ENOTCONN])
def test_an_error_of_the_system_without_a_file_is_one_line(command, monkeypatch, number):
    def fail(_: object) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(cli, "dispatch", fail)
    outcome = command("report")
    assert outcome.code == 1
    assert outcome.err.startswith(f"error: {os.strerror(number)}")


@pytest.mark.parametrize("error", [RuntimeError("ours"), KeyError("ours"), ImportError("ours"), AssertionError("ours")])
def test_a_bug_keeps_its_traceback(command, trained, tmp_path, monkeypatch, error):
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr("lightning_modules.ravdess_rivals.AudioOnly.forward", fail)
    words = ["--config", trained / "run.yaml", "--ckpt_path", trained / "run" / "checkpoints" / "best.ckpt"]
    with pytest.raises(type(error), match="ours"):
        command("test", *words, "--trainer.default_root_dir", tmp_path)


# --- the wrong Python -------------------------------------------------------------------------------------------------

COMMANDS = [
    "fit", "fit --help", "fit --config experiments/cfnsr.yaml", "test --help", "reproduce cfnsr --dry-run", "report",
    "report --help", "prepare ravdess --help", "prepare vgaf --source x", "synth faces", "synth daisee --help",
]  # fmt: skip


@pytest.mark.parametrize("how", ["-S", "-IS"])
@pytest.mark.parametrize("words", COMMANDS)
def test_a_python_without_packages_is_told_where_they_are(words, how):
    root = Path(cli.__file__).parent
    done = subprocess.run(
        [sys.executable, how, "cli.py", *words.split()], cwd=root, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2, done
    assert done.stderr.startswith(f"error: this Python ({sys.executable}) has no ")
    assert ".venv/bin/activate" in done.stderr or "make" in done.stderr
    assert len(done.stderr.splitlines()) == 2
    assert not done.stdout


def test_a_python_without_packages_tells_what_there_is():
    root = Path(cli.__file__).parent
    for words in (["--help"], ["prepare", "--help"]):
        subprocess.run([sys.executable, "-S", "cli.py", *words], cwd=root, check=True, capture_output=True)


def test_an_old_python_is_told_its_age(command, monkeypatch):
    monkeypatch.setattr(cli, "OLDEST", (99, 0))
    outcome = command("fit", "--help")
    assert outcome.code == 2
    assert outcome.err.startswith("error: Python 99.0 or newer is needed; this is 3.")


def test_a_module_of_ours_that_is_not_there_is_a_bug(monkeypatch):
    def fail(_: object) -> int:
        raise ModuleNotFoundError("No module named 'datamodules.nonesuch'", name="datamodules.nonesuch")

    monkeypatch.setattr(cli, "dispatch", fail)
    with pytest.raises(ModuleNotFoundError):
        cli.main(["report"])


# --- options that show in the middle of a run -------------------------------------------------------------------------


@pytest.mark.parametrize("name", MIDDLE)
def test_an_option_that_shows_in_the_middle_is_one_line(command, trained, tmp_path, name):
    outcome = command(
        "fit", "--config", trained / "run.yaml", "--trainer.default_root_dir", tmp_path / "run", *MIDDLE[name]
    )
    assert outcome.code == 2, outcome
    assert "error: " in outcome.err
    assert not (tmp_path / "run" / "result.json").exists()


# --- one class --------------------------------------------------------------------------------------------------------


def test_features_of_one_class_are_refused(command, tmp_path):
    root = features(tmp_path / "data")
    lines = (root / "index.csv").read_text().splitlines()
    cells = [line.split(",") for line in lines[1:]]
    one = "".join(f"{clip},{group},0,{fold}\n" for clip, group, _, fold in cells)
    (root / "index.csv").write_text(f"{lines[0]}\n{one}")
    outcome = fit(command, root)
    assert outcome.code == 2
    assert f"{root}: one class alone" in outcome.err


ONE_CLASS = {
    "daisee": (
        "static_engagement_face",
        "Labels/*.csv",
        r"(?m)^(\w+.mp4),\d,\d,",
        r"\1,0,2,",
        ("--views.people.face_size", "32"),
    ),
    "vgaf": ("emotiw_audio", "*_labels.txt", r"(?m)^(\w+) \d$", r"\1 1", ()),
    "empathetic": ("empathetic_text", "*.csv", r"(?m)^(hit:\w+:\w+,\d+),\w+", r"\1,sad", ()),
    "avamerg": ("gated_audio_text", "*.json", r'("\w*emotion\w*": )"\w+"', r'\1"sad"', ()),
    "ravdess": ("ravdess_audio", "", "", "", ()),
}


@pytest.mark.parametrize("corpus", ONE_CLASS)
def test_a_corpus_of_one_class_is_told(command, sources, tmp_path, request, corpus):
    experiment, pattern, old, new, more = ONE_CLASS[corpus]
    root = tmp_path / corpus
    if corpus == "ravdess":
        writer = StoreWriter(root / "prepared", {"mfcc": "f32"}, {}, True)
        for actor in range(1, 25):
            clip = f"03-01-03-01-01-01-{actor:02d}"
            writer.add(clip, f"{actor:02d}", 2, {"mfcc": np.ones((13, 212), np.float32)}, source_sha256=clip)
        writer.finish()
    else:
        shutil.copytree(sources(corpus), root)
        for path in root.glob(pattern):
            text = path.read_text()
            path.write_text(re.sub(old, new, text))
        made = command("prepare", corpus, "--source", root, "--out", root, "--workers", 1, *more)
        if corpus == "vgaf":  # whose synthetic clips need a sound of every class
            assert (made.code, "no training clip of" in made.err) == (2, True)
            return
        assert made.code == 0, made
    folder = Path(cli.__file__).parent / "experiments"
    words = ["--config", folder / f"{experiment}.yaml", "--config", folder / "synthetic" / f"{experiment}.yaml"]
    option = "--data.roots" if corpus == "daisee" else "--data.root"
    words += [option, f"[{root}]" if corpus == "daisee" else root, "--trainer.fast_dev_run", "true"]
    with pytest.warns(UserWarning, match="every training clip is of the class"):
        assert cli.main(["fit", *map(str, words)]) == 0


# --- signals ----------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("signals", [[signal.SIGTERM], [signal.SIGTERM] * 2, [signal.SIGINT], [signal.SIGKILL]])
def test_a_run_that_is_ended_carries_on_to_the_same_result(command, trained, tmp_path, signals):
    words = ["--config", str(trained / "run.yaml"), "--trainer.max_epochs", "11"]
    straight = ["fit", *words, "--trainer.default_root_dir", str(tmp_path / "straight")]
    assert cli.main(straight) == 0
    ended = ["fit", *words, "--trainer.default_root_dir", str(tmp_path / "ended")]
    process = subprocess.Popen(
        [sys.executable, "cli.py", *ended], cwd=Path(cli.__file__).parent, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("epoch 2/"):
            break
    for number in signals:
        process.send_signal(number)
    said = process.stderr.read()
    assert process.wait() in (143, 130, -signal.SIGKILL, -signal.SIGTERM)
    assert "Traceback" not in said
    assert not (tmp_path / "ended" / "result.json").exists()
    assert cli.main(ended) == 0
    assert of_run(tmp_path / "ended") == of_run(tmp_path / "straight")
