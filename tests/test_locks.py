"""Two runs in one folder: the second is told, a killed one leaves nothing behind that blocks."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import torch

import cli
from atomic_files import replacing, unfinished, write_atomic
from callbacks.checkpoints import AtomicCheckpointIO
from datamodules.errors import Busy
from datamodules.locks import HANDED_ON, hold, wait_and_hold
from experiments.results.cell import read_json

ROOT = Path(__file__).resolve().parents[1]
HOLDER = """
import os, sys, time
from pathlib import Path
from datamodules.locks import hold
lock = hold(Path(sys.argv[1]))
if not os.fork():  # as the workers of a DataLoader are
    print(os.getpid(), flush=True)  # from the worker: by now it has let go of the lock that it was born with
time.sleep(600)
"""
AUDIO = ["fit", "--config", str(ROOT / "experiments" / "ravdess_audio.yaml"), "--trainer.max_epochs", "1"]


@contextlib.contextmanager
def elsewhere(folder):
    """Another process that holds the lock of a folder; a process of its own outlives it."""
    process = subprocess.Popen([sys.executable, "-c", HOLDER, str(folder)], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    loader = int(process.stdout.readline())
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        os.kill(loader, signal.SIGKILL)
        process.stdout.close()


def test_a_lock_ends_with_its_holder_however_it_ends(tmp_path):
    with elsewhere(tmp_path / "run") as process:
        with pytest.raises(Busy):
            hold(tmp_path / "run")
        process.send_signal(signal.SIGKILL)
        process.wait()
        lock = hold(tmp_path / "run")  # the file is there still
        with pytest.raises(Busy):
            hold(tmp_path / "run")  # of this process too
        lock.release()
    with wait_and_hold(tmp_path / "run"), pytest.raises(Busy):
        hold(tmp_path / "run")
    hold(tmp_path / "run").release()


@pytest.mark.usefixtures("unrendered")
def test_a_second_fit_on_a_folder_is_told_and_one_after_a_kill_goes_on(ravdess, tmp_path, capsys):
    run = tmp_path / "run"
    fit = [*AUDIO, "--data.root", str(ravdess), "--trainer.default_root_dir", str(run)]
    with elsewhere(run):
        assert cli.main([*fit, "--overwrite", "true"]) == 2
        err = capsys.readouterr().err
        assert [line for line in err.splitlines() if "error" in line] == [err.splitlines()[-1]]
        assert f"{run}: another run is at work there" in err
        assert {path.name for path in run.iterdir()} == {"lock"}
    (run / "checkpoints").mkdir()
    (run / "checkpoints" / ".last.ckpt.1.ab.tmp").write_bytes(b"half of a file")
    assert cli.main(fit) == 0
    assert read_json(run / "result.json")["seed"] == 0
    assert not list(run.rglob(".*.tmp"))
    assert "finished" not in capsys.readouterr().out
    assert cli.main(fit) == 0  # the first has let go
    assert "holds the finished run" in capsys.readouterr().out


@pytest.mark.slow
def test_two_fits_at_once_make_one_run(ravdess, tmp_path):
    fit = [
        *AUDIO,
        "--data.root",
        str(ravdess),
        "--trainer.default_root_dir",
        str(tmp_path),
        "--trainer.max_epochs",
        "3",
    ]
    command = [sys.executable, "cli.py", *fit]
    options = {"cwd": ROOT, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    both = [subprocess.Popen(command, env={**os.environ, "OMP_NUM_THREADS": "1"}, **options) for _ in range(2)]
    outputs = [process.communicate()[0] for process in both]
    codes = [process.returncode for process in both]
    # The later one comes while the other is at work, or after its end.
    assert 0 in codes
    assert [("another run is at work" in text, "finished run" in text) for text in outputs].count((False, False)) == 1
    assert sorted(codes) == [0, 2] or any("finished run" in text for text in outputs), outputs
    assert len((tmp_path / "metrics.csv").read_text().splitlines()) == 4
    assert "Traceback" not in "".join(outputs)


@pytest.mark.usefixtures("unrendered")
def test_a_cell_that_reproduce_starts_has_the_lock_of_its_runner(ravdess, tmp_path, monkeypatch, capsys):
    lock = hold(tmp_path)
    fit = [*AUDIO, "--data.root", str(ravdess), "--trainer.default_root_dir", str(tmp_path)]
    monkeypatch.setenv(HANDED_ON, str(tmp_path.parent))
    assert cli.main(fit) == 2
    monkeypatch.setenv(HANDED_ON, str(tmp_path))
    assert cli.main(fit) == 0
    with pytest.raises(Busy):
        hold(tmp_path)
    lock.release()


def test_names_of_files_being_written_are_never_shared(tmp_path):
    path = tmp_path / "a.txt"
    names = {unfinished(path) for _ in range(99)}
    assert len(names) == 99
    assert {name.parent for name in names} == {tmp_path}
    assert all(name.match(".a.txt.*.tmp") for name in names)
    with replacing(path) as one, replacing(path) as other:
        assert one != other
        one.write_text("first")
        other.write_text("second")
    assert path.read_text() == "first"
    assert [left.name for left in tmp_path.iterdir()] == ["a.txt"]


@pytest.mark.parametrize("write", [
    lambda path, text: write_atomic(path, text),
    lambda path, text: AtomicCheckpointIO().save_checkpoint({"text": text}, path),
], ids=["text", "checkpoint"])  # fmt: skip
def test_writers_of_one_file_do_not_disturb_each_other(tmp_path, write):
    path, failed = tmp_path / "file", []

    def work(number):
        try:
            for _ in range(20):
                write(path, str(number) * 2000)
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    text = path.read_text() if write.__code__.co_names[0] == "write_atomic" else torch.load(path)["text"]
    assert len(text) == 2000
    assert len(set(text)) == 1
    assert [left.name for left in tmp_path.iterdir()] == ["file"]


def test_what_fails_leaves_the_old_file_and_nothing_else(tmp_path):
    (tmp_path / "a").write_text("old")
    with pytest.raises(ZeroDivisionError), replacing(tmp_path / "a") as name:
        name.write_text(str(1 // 0))
    assert (tmp_path / "a").read_text() == "old"
    assert [left.name for left in tmp_path.iterdir()] == ["a"]


def test_no_name_of_a_file_being_written_is_made_by_hand():
    for package in ("callbacks", "datamodules", "experiments", "lightning_modules"):
        for path in (ROOT / package).rglob("*.py"):
            assert '.tmp"' not in path.read_text().replace('.*.tmp"', "").replace('.*tmp"', ""), path
