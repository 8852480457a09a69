import argparse
import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from fabricated import make_project, make_store

import cli
from datamodules.errors import DataError
from experiments.report.command import report_on
from experiments.reproduce import command as reproduce
from experiments.reproduce.plan import Planner, Selection
from experiments.reproduce.tables.table_file import read_table
from experiments.results.cell import write_json
from experiments.results.request import request_from_command

PROJECT = Path(__file__).resolve().parents[1]
HERE = Path()
CELLS = 3 * (3 * 2 + 3)  # rows x (folds x seeds of paper + folds of honest)
SOME = ["--seeds", "1", "--protocol", "paper"]  # nine cells
ONE = ["--rows", "audio", "--folds", "0", *SOME]


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(make_project(tmp_path))
    monkeypatch.setattr("experiments.report.command.figures", lambda summary: [])  # drawn in test_report.py
    monkeypatch.setenv("PYTHONPATH", f"{PROJECT}{os.pathsep}{PROJECT / 'tests'}")  # for the fake cli.py
    return tmp_path


def options(*arguments):
    parser = argparse.ArgumentParser()
    reproduce.add_arguments(parser)
    return parser.parse_args(arguments)


def run(*arguments):
    return reproduce.run(options(*arguments), HERE, report_on)


def test_stand_ins_of_real_features_are_made_only_where_asked_for_alone(project, capsys):
    toy = Path("experiments/tables/toy.yaml")
    toy.with_name("features.yaml").write_text(f"real_features: true\n{toy.read_text()}")
    assert run("toy", "features", "--data", "synthetic", "--dry-run") == 0
    both = capsys.readouterr().out
    assert "features: left out, a table of real features" in both
    assert "run       features/" not in both
    assert run("features", "--data", "synthetic", "--dry-run") == 0
    assert "run       features/" in capsys.readouterr().out
    assert run("toy", "features", "--dry-run") == 0
    assert "left out" not in capsys.readouterr().out


def starts():
    """Cells that the fake cli.py was started for, in order, and whether it found something to continue."""
    path = Path("starts.txt")
    return [tuple(line.split()[:2]) for line in path.read_text().splitlines()] if path.exists() else []


def results():
    return {path: path.read_bytes() for path in sorted(Path("runs").rglob("result.json"))}


def half_done():
    """Whether some cell has a checkpoint and no result."""
    checkpoints = Path("runs").rglob("checkpoints/last.ckpt")
    return any(not (path.parents[1] / "result.json").exists() for path in checkpoints)


def in_background(*arguments, **environment):
    code = "import sys, argparse\nfrom pathlib import Path\nfrom experiments.reproduce import command as reproduce\n"
    code += "parser = argparse.ArgumentParser()\nreproduce.add_arguments(parser)\n"
    code += "sys.exit(reproduce.run(parser.parse_args(sys.argv[1:]), Path()))"
    return subprocess.Popen([sys.executable, "-c", code, *arguments], env={**os.environ, **environment},
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)  # fmt: skip


def wait_for(condition, seconds=60):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it did not happen"
        time.sleep(0.05)


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_every_cell_is_planned_after_those_it_needs(project):
    jobs = Planner(read_table("toy", project=HERE), Path("runs"), HERE).jobs(Selection())
    assert len(jobs) == len({job.directory for job in jobs}) == CELLS
    planned = [job.directory for job in jobs]
    for position, job in enumerate(jobs):
        assert len(job.needs) == (2 if "/pair/" in job.name else 0)
        assert set(job.needs) <= set(planned[:position])
        assert all(path.name == job.directory.name for path in job.needs)  # the same fold, seed and protocol


def test_a_row_is_run_under_its_own_protocols_alone(project):
    path = Path("experiments/tables/toy.yaml")
    text = path.read_text()
    path.write_text(text.replace("experiment: audio}", "experiment: audio, protocols: [honest]}"))
    with pytest.raises(DataError, match="row pair needs audio, which is not run under paper"):
        read_table(str(path))
    path.write_text(text.replace("    experiment: pair\n", "    experiment: pair\n    protocols: [honest]\n"))
    cells = Planner(read_table(str(path)), Path("runs"), HERE).jobs(Selection())
    assert len(cells) == CELLS - 3 * 2
    assert {job.request["protocol"] for job in cells if "/pair/" in job.name} == {"honest"}


def test_the_command_asks_for_what_was_planned(project):
    """P13: the command is the record; seed, fold and overrides get through."""
    jobs = Planner(read_table("toy", project=HERE), Path("runs"), HERE).jobs(Selection())
    for job in jobs:  # each after those it needs, whose requests it looks up
        write_json(job.directory / "request.json", job.request)
        assert request_from_command(job.command[1:], corpus="toy", project=HERE) == job.request
    pair = next(job for job in jobs if job.name == "toy/pair/paper-fold2-seed2")
    assert (pair.request["fold"], pair.request["seed"], pair.request["protocol"]) == (2, 2, "paper")
    assert pair.request["settings"]["model"]["init_args"] == {"lr": 0.001, "width": 64}
    where = pair.command.index("--model.init_args.init_from") + 1
    assert json.loads(pair.command[where]) == {
        "video": "runs/toy/video/paper-fold2-seed2/checkpoints/best.ckpt",
        "audio": "runs/toy/audio/paper-fold2-seed2/checkpoints/best.ckpt",
    }


def test_a_whole_table_and_again_for_nothing(project, capsys):
    selection = ["--folds", "0", "1", "--seeds", "1"]
    assert run("toy", *selection, "--workers", "4") == 0
    out = capsys.readouterr()
    assert len(starts()) == 3 * 2 * 2
    assert "12 cells: 0 done, 12 to run" in out.err
    assert "12/12 done, 0 running, 0 failed" in out.err
    assert "| Pair_50 % | 75.76 (reported) |" in out.out
    assert "not run" not in out.out
    assert "report: runs/report/toy.html" in out.out
    assert "epoch 1" in Path("runs/toy/pair/honest-fold0-seed1/log.txt").read_text()
    before = results()
    assert run("toy", *selection) == 0
    assert len(starts()) == 12
    assert results() == before
    assert "12 cells: 12 done, 0 to run" in capsys.readouterr().err


def test_a_table_that_is_given_twice_is_run_once(project):
    assert run("toy", "toy", *ONE, "--workers", "2") == 0
    assert [cell for cell, _ in starts()] == ["audio/paper-fold0-seed1"]


def test_a_cell_runs_as_soon_as_those_it_needs_are_done(project):
    assert run("toy", *SOME) == 0
    rows = [cell.split("/")[0] for cell, _ in starts()]
    assert rows == ["video", "audio", "pair"] * 3


def test_a_selection_brings_what_it_needs(project, capsys):
    assert run("toy", "--rows", "pair", "--folds", "1", "--seeds", "1", "--protocol", "honest") == 0
    assert [cell for cell, _ in starts()] == [f"{row}/honest-fold1-seed1" for row in ("video", "audio", "pair")]
    assert "(1/3 folds)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--rows", "text"], "no row 'text'; rows: video, audio, pair"),
        (["--folds", "3"], "--folds 3: the table has 0, 1, 2"),
        (["--seeds", "7"], "--seeds 7: the table has 1, 2"),
        (["--workers", "0"], "--workers 0: at least 1"),
    ],
)
def test_a_wrong_option_is_one_line(project, arguments, message):
    with pytest.raises(DataError) as caught:
        run("toy", *arguments)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert starts() == []


def test_dry_run_says_what_would_happen_and_does_nothing(project, capsys):
    assert run("toy", "--folds", "0", "--protocol", "honest", "--dry-run") == 0
    out = capsys.readouterr().out
    assert out.count("run       toy/") == 3
    assert "cli.py fit --config experiments/pair.yaml --data.fold 0 --data.protocol honest --seed_everything 1" in out
    assert "3 cells: 3 run" in out
    assert starts() == []
    assert not Path("runs").exists()


def test_a_failed_cell_is_named_and_does_not_stop_the_others(project, capsys, monkeypatch):
    monkeypatch.setenv("FAKE_FAILURE", "video/paper-fold1-seed1")
    assert run("toy", *SOME) == 1
    out = capsys.readouterr()
    assert len(results()) == 9 - 2
    assert "toy/video/paper-fold1-seed1: exit code 1; runs/toy/video/paper-fold1-seed1/log.txt:" in out.err
    assert "log.txt:\n    epoch 1\n    error: the loss is not finite in clip 17\n" in out.err
    assert "toy/pair/paper-fold1-seed1: needs toy/video/paper-fold1-seed1, which failed" in out.err
    assert "(2/3 folds)" in out.out
    monkeypatch.delenv("FAKE_FAILURE")
    assert run("toy", *SOME) == 0
    assert starts()[-2:] == [("video/paper-fold1-seed1", "resumed"), ("pair/paper-fold1-seed1", "fresh")]


def test_a_cell_whose_log_cannot_be_written_has_failed(project, capfd):
    log = Path("runs/toy/audio/paper-fold0-seed1/log.txt")
    log.mkdir(parents=True)
    assert run("toy", *ONE) == 1
    err = capfd.readouterr().err
    assert "Traceback" not in err
    assert f"toy/audio/paper-fold0-seed1: exit code 1; {log}:" in err
    log.rmdir()
    assert run("toy", *ONE) == 0


def test_a_full_disk_ends_it_in_one_line_and_it_carries_on(project):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
    try:
        with pytest.raises(OSError, match=r"request\.json") as caught:
            run("toy", *ONE)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    text, code = cli.explain(caught.value)
    assert text.endswith("request.json: File too large; make room, then run the same command")
    assert code == 1
    assert run("toy", *ONE) == 0


def test_a_changed_request_is_refused_with_what_changed(project, capsys):
    assert run("toy", *SOME) == 0
    before = results()
    path = Path("experiments/audio.yaml")
    path.write_text(path.read_text().replace("lr: 1e-3", "lr: 2e-3"))
    capsys.readouterr()
    assert run("toy", *SOME) == 1
    out = capsys.readouterr()
    assert "toy/audio/paper-fold0-seed1: refused: it was run with other settings" in out.err
    assert "model.init_args.lr: 0.001 -> 0.002" in out.err
    assert "toy/audio/paper-fold2-seed1: refused as toy/audio/paper-fold0-seed1 is" in out.err
    assert "needs.audio: changed" in out.err  # the pair starts from its checkpoints
    assert "delete runs/toy/audio/paper-fold0-seed1" in out.err
    assert results() == before
    assert len(starts()) == 9
    assert run("toy", *SOME, "--dry-run") == 0
    assert "6 refuse" in capsys.readouterr().out
    path.write_text("# as before\n" + path.read_text().replace("lr: 2e-3", "lr: 0.0010"))
    assert run("toy", *SOME) == 0


def test_new_data_or_a_new_split_is_refused(project, capsys):
    assert run("toy", *ONE) == 0
    Path("datamodules/splits/toy.csv").write_text("clip,speaker,fold\na,01,0\n")
    Path("data/toy/prepared/manifest.json").write_text(json.dumps({"fingerprint": "e" * 64, "synthetic": False}))
    assert run("toy", *ONE) == 1
    err = capsys.readouterr().err
    assert "data: changed" in err
    assert "split: changed" in err


def test_missing_data_is_said(project, capsys):
    (project / "data/toy/prepared/COMPLETE").unlink()
    assert run("toy") == 1
    out = capsys.readouterr()
    assert "toy: not run: no data at data/toy, see docs/data.md" in out.err
    assert "not run" in out.out
    assert starts() == []
    assert run("toy", "--dry-run") == 0
    assert capsys.readouterr().out.startswith("toy: not run: no data at data/toy, see docs/data.md\n")


def test_a_table_without_data_does_not_stop_another(project, capsys):
    text = Path("experiments/tables/toy.yaml").read_text().replace("experiment: audio", "experiment: other")
    Path("experiments/tables/second.yaml").write_text(text)
    Path("experiments/other.yaml").write_text("data: {init_args: {root: data/other}}\n")
    assert run("second", "toy", *ONE) == 1
    assert [cell for cell, _ in starts()] == ["audio/paper-fold0-seed1"]
    out = capsys.readouterr()
    assert "second: not run: no data at data/other, see docs/data.md" in out.err
    assert "report: runs/report/index.html" in out.out


def test_a_stand_in_cannot_fill_a_real_table(project):
    make_store(project / "data" / "toy", synthetic=True)
    with pytest.raises(DataError, match=r"data/toy holds a stand-in: .* cannot fill table toy"):
        run("toy")


def test_the_stand_in_is_made_where_there_is_none(project, capfd):
    assert run("toy", "--data", "synthetic", "--dry-run") == 0
    assert not Path("data/synthetic").exists()
    assert run("toy", "--data", "synthetic") == 0
    out = capfd.readouterr()
    assert "cli.py synth toy --out data/synthetic/toy --clips 8" in out.out
    assert "fake prepare toy --source data/synthetic/toy --out data/synthetic/toy --size 32" in out.out
    assert "SYNTHETIC: Toy" in out.out
    assert len(starts()) == 3 * 2 * 2  # rows x folds x protocols of the synthetic section
    assert all(path.parts[1] == "synthetic" for path in results())
    assert run("toy", "--data", "synthetic") == 0
    assert "fake" not in capfd.readouterr().out


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_p10_killed_anywhere_it_carries_on(project, number):
    process = in_background("toy", *SOME, "--workers", "3", FAKE_SECONDS="1")
    wait_for(lambda: len(results()) >= 3 and half_done())  # of the second three: one of the first may be about to end
    process.send_signal(number)
    output = process.communicate()[0]
    assert process.returncode == (-9 if number == signal.SIGKILL else 128 + number), output
    children = [int(line.split()[2]) for line in Path("starts.txt").read_text().splitlines()]
    wait_for(lambda: not any(map(alive, children)), seconds=10)
    before, begun = results(), len(starts())
    assert 3 <= len(before) < 9
    assert run("toy", *SOME, "--workers", "3") == 0
    assert len(results()) == 9
    assert {path: text for path, text in results().items() if path in before} == before
    again = starts()[begun:]
    finished = {f"{path.parts[2]}/{path.parts[3]}" for path in before}
    assert not finished & {cell for cell, _ in again}  # nothing finished is redone
    assert "resumed" in {how for _, how in again}
    assert set(Counter(again).values()) == {1}


def test_two_processes_share_the_work(project):
    first = in_background("toy", *SOME, "--folds", "0", "--workers", "2", FAKE_SECONDS="0.3")
    second = in_background("toy", *SOME, "--folds", "0", "--workers", "2", FAKE_SECONDS="0.3")
    outputs = [first.communicate()[0], second.communicate()[0]]
    assert (first.returncode, second.returncode) == (0, 0), outputs
    assert max(Counter(cell for cell, _ in starts()).values()) == 1
    assert len(starts()) == len(results()) == 3


def test_a_result_of_another_request_is_no_success(project, capsys):
    text = Path("cli.py").read_text()
    Path("cli.py").write_text(text.replace("fabricated.make_cell(", "request['seed'] += 1\nfabricated.make_cell("))
    assert run("toy", *ONE) == 1
    assert "its result is of another request" in capsys.readouterr().err
    Path("cli.py").write_text(text.replace("fabricated.make_cell(", "# "))
    assert run("toy", "--rows", "audio", "--folds", "1", *SOME) == 1
    assert "it ended without a result" in capsys.readouterr().err
