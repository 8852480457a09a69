"""The command line as a user meets it: wrong input is one or two lines and exit code 2."""

import gc
import json
import shutil
import sys
import warnings

import pytest
import torch
from lightning.pytorch.cli import LightningCLI
from test_plain_yaml import ALIASES
from tiny import spoil

import cli
from datamodules.errors import DataError
from experiments.settings.config import PROJECT
from experiments.settings.messages import quiet

BASE = ["fit", "--config", "experiments/cfnsr.yaml"]


def run(capsys, *arguments):
    code = cli.main(list(arguments))
    out, err = capsys.readouterr()
    return code, out, err


def test_help_lists_commands_corpora_and_experiments(capsys):
    code, out, _ = run(capsys, "--help")
    assert code == 0
    for word in ("fit", "prepare", "synth", "reproduce", "report", "ravdess", "cfnsr"):
        assert word in out


def test_no_command_is_wrong_usage(capsys):
    assert run(capsys)[0] == 2
    code, _, err = run(capsys, "fitt")
    assert code == 2
    assert "fitt" in err


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (["prepare", "nonsense", "--source", "."], ["'nonsense'", "ravdess"]),
        (["prepare", "ravdess"], ["--source", "python cli.py prepare ravdess --help"]),
        (["synth", "vgaf-frames"], ["--faces", "python cli.py synth vgaf-frames --help"]),
        (["report", "--data", "nope"], ["--data", "'nope'", "synthetic"]),
        (["report", "--dat", "real"], ["--dat", "python cli.py report --help"]),
        (["report", "--out"], ["--out", "expected one argument"]),
        (["reproduce"], ["TABLE: required", "python cli.py reproduce --help"]),
        (["reproduce", "cfnsr", "--folds", "0", "a"], ["--folds: expected a whole number", "a;"]),
        (["synth", "vgaf-frames"], ["--backgrounds, --faces: required"]),
        (["synth", "vgaf-frames", "--backgrounds", ".", "--faces", ".", "--videos-per-bg", "x"], ["--videos-per-bg: "]),
        (["synth", "ravdess", "--clips", "9" * 5000], ["--clips: a number of 5000 digits"]),
        (["synth", "ravdess", "--clips", "[" * 5000], ["--clips: nested more than 100 levels"]),
        (["synth", "ravdess", f"--clips={ALIASES}"], ["--clips: more than 100,000 values"]),
        (["reproduce", "cfnsr", "--folds", "0", ALIASES], ["--folds: more than 100,000 values"]),
    ],
)
def test_a_light_command_says_in_one_line_what_is_wrong(command, words, capsys):
    assert cli.main(command) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert len(error.splitlines()) == 1
    assert len(error) < 400
    assert all(word in error for word in words)


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        (["--data.foldd", "3"], ["--data.foldd", "no such option"]),
        (["--model.residul", "false"], ["--model.residul", "no such option"]),
        (["--trainer.max_epochs", "many"], ["--trainer.max_epochs", "many"]),
        (["--traner.max_epochs", "3"], ["--traner.max_epochs"]),
        (["--trainer.callbacks+=Warmupp"], ["--trainer.callbacks", "Warmupp"]),
        (["--trainer.callbacks+={class_path: Warmup, init_args: {stepps: 3}}"], ["stepps"]),
        (["--trainer.callbacks+={class_path: Warmup, init_args: {steps: 0}}"], ["steps is 0"]),
        (["--data.fold", "7"], ["--data.fold 7", "0 to 5"]),
        (["--data.protocol", "best"], ["--data.protocol: expected one of paper, honest. Got value: best"]),
        (["--data.missing", "{audio: 2}"], ["missing", "between 0 and 1"]),
        (["--data.missing", "{face: 0.5}"], ["missing", "face"]),
        (["--data.modalities", "[audio]"], ["video"]),
        (["--model.num_classes", "4"], ["--model.num_classes", "data.num_outputs"]),
        (["--model.init_args.input_shapes", "{}"], ["--model.input_shapes", "data.input_shapes"]),
        (["--trainer.max_epoch", "1"], ["--trainer.max_epoch"]),
        (["--seed_everything", "-3"], ["--seed_everything", "from 0"]),
        (["--seed_everything", "true"], ["--seed_everything", "from 0"]),
        (["--trainer.devices", "0"], ["--trainer"]),
        (["--trainer.accelerator", "foo"], ["--trainer"]),
        (["--model.optimizer.init_args.lr", "-1"], ["--model.optimizer", "-1"]),
        (["--data.splits", "experiments"], ["splits"]),
        (["--config", "experiments/nope.yaml"], ["experiments/nope.yaml", "no such file"]),
        (["--ckpt_path", "nope.ckpt"], ["nope.ckpt", "no such file"]),
        (["--model.init_from", "{video: nope.ckpt}", "--trainer.max_epochs", "1"], ["nope.ckpt"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_wrong_option_is_one_or_two_lines(ravdess, tmp_path, capsys, extra, words):
    code, _, err = run(
        capsys, *BASE, "--data.root", str(ravdess), "--trainer.default_root_dir", str(tmp_path / "run"), *extra
    )
    assert code == 2
    lines = [line for line in err.splitlines() if "error:" in line]
    message = err[err.index("error:") :].strip()
    assert len(lines) == 1
    assert len(message.splitlines()) <= 2, message
    for word in words:
        assert word in message
    assert "Traceback" not in err


def test_warnings_of_the_project_are_one_line_and_those_of_libraries_say_where(capsys, monkeypatch):
    monkeypatch.setattr(warnings, "formatwarning", warnings.formatwarning)
    quiet()
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        monkeypatch.setattr(warnings, "showwarning", lambda *w, **_: sys.stderr.write(warnings.formatwarning(*w[:4])))
        warnings.warn_explicit("two things", UserWarning, str(PROJECT / "lightning_modules" / "x.py"), 3)
        warnings.warn_explicit("a third", UserWarning, str(PROJECT / ".venv" / "site-packages" / "x.py"), 3)
    ours, theirs = capsys.readouterr().err.splitlines()
    assert ours == "warning: two things"
    assert theirs.endswith("x.py:3: UserWarning: a third")


def test_data_that_is_not_prepared_names_both_ways_on(tmp_path, capsys):
    code, _, err = run(capsys, *BASE, "--data.root", str(tmp_path))
    assert code == 2
    assert "docs/data.md" in err
    assert "cli.py synth ravdess" in err


def test_evaluation_needs_a_checkpoint(ravdess, capsys):
    code, _, err = run(capsys, "test", *BASE[1:], "--data.root", str(ravdess))
    assert code == 2
    assert "--ckpt_path" in err


@pytest.mark.parametrize("content", [b"PK\x03\x04 not a checkpoint", b"", b"# text\n", {"a": 1}], ids=str)
@pytest.mark.parametrize("command", ["fit", "test"])
def test_broken_checkpoint_is_named(ravdess, tmp_path, capsys, content, command):
    broken = tmp_path / "broken.ckpt"
    torch.save(content, broken) if isinstance(content, dict) else broken.write_bytes(content)
    code, _, err = run(capsys, command, *BASE[1:], "--data.root", str(ravdess), "--ckpt_path", str(broken))
    assert code == 2
    assert "broken.ckpt: not a whole checkpoint" in err


@pytest.fixture(scope="module")
def audio_run(ravdess, tmp_path_factory):
    """A finished run of the audio network on fold 0."""
    folder = tmp_path_factory.mktemp("audio")
    assert cli.main([*AUDIO, "--data.root", str(ravdess), "--trainer.default_root_dir", str(folder)]) == 0
    return folder


AUDIO = ["fit", "--config", "experiments/ravdess_audio.yaml", "--trainer.max_epochs", "1", "--data.fold", "2"]


def test_a_checkpoint_is_scored_on_the_speakers_its_run_held_out(ravdess, audio_run, tmp_path, capsys):
    checkpoint = str(audio_run / "checkpoints" / "best.ckpt")
    test = ["test", *AUDIO[1:3], "--data.root", str(ravdess), "--ckpt_path", checkpoint]
    test += ["--trainer.default_root_dir", str(tmp_path)]
    assert run(capsys, *test)[0] == 0
    assert (tmp_path / "predictions-test.csv").read_text() == (audio_run / "predictions-best.csv").read_text()
    code, _, err = run(capsys, *test, "--data.fold", "0")
    assert code == 2
    assert "--data.fold 0" in err
    assert "fold 2" in err


@pytest.mark.parametrize("command", ["validate", "test", "predict"])
def test_weights_that_are_no_numbers_give_no_result(ravdess, audio_run, tmp_path, capsys, command):
    path = tmp_path / "checkpoints" / "best.ckpt"
    shutil.copytree(audio_run, tmp_path, dirs_exist_ok=True, ignore=shutil.ignore_patterns("*.csv", "plots"))
    spoil(path)
    code, out, err = run(capsys, command, *AUDIO[1:3], "--data.root", str(ravdess), "--ckpt_path", str(path))
    assert code == 1
    assert "accuracy" not in out
    error = [line for line in err.splitlines() if line.startswith("error:")]
    assert len(error) == 1
    assert "16 of 16 clips are not finite (01-01-" in error[0]
    assert err.splitlines()[-1] == error[0]
    assert not [*tmp_path.rglob("*.csv"), *tmp_path.rglob("*.pt")]


def test_a_resumed_run_of_weights_that_are_no_numbers_has_no_result(ravdess, audio_run, tmp_path, capsys):
    """It was killed between its last epoch and its test."""
    shutil.copytree(audio_run, tmp_path, dirs_exist_ok=True)
    for path in [tmp_path / "result.json", *tmp_path.glob("predictions*.csv")]:
        path.unlink()
    for name in ("best", "last"):
        spoil(tmp_path / "checkpoints" / f"{name}.ckpt")
    code, out, err = run(capsys, *AUDIO, "--data.root", str(ravdess), "--trainer.default_root_dir", str(tmp_path))
    assert code == 1
    assert "16 of 16 clips are not finite" in err.splitlines()[-1]
    assert "accuracy" not in out
    assert not list(tmp_path.glob("predictions*.csv"))
    assert not (tmp_path / "result.json").exists()


def test_a_checkpoint_that_the_data_options_do_not_fit_is_named(ravdess, audio_run, capsys, monkeypatch):
    checkpoint = str(audio_run / "checkpoints" / "best.ckpt")
    monkeypatch.setattr("lightning_modules.ravdess_rivals.AudioOnly.load_state_dict", _refuse_shapes)
    test = ["test", *AUDIO[1:3], "--data.root", str(ravdess), "--ckpt_path", checkpoint]
    code, _, err = run(capsys, *test)
    assert code == 2
    assert checkpoint in err
    assert "size mismatch for head.weight" in err
    assert "Traceback" not in err


def _refuse_shapes(self, state, **options):
    raise RuntimeError("Error(s) in loading state_dict for AudioOnly:\n\tsize mismatch for head.weight: [8] and [9]")


def test_a_checkpoint_of_another_model_is_refused(ravdess, audio_run, capsys):
    checkpoint = str(audio_run / "checkpoints" / "best.ckpt")
    code, _, err = run(capsys, "test", *BASE[1:], "--data.root", str(ravdess), "--ckpt_path", checkpoint)
    assert code == 2
    assert "AudioOnly" in err
    assert "CFNSR" in err


def test_short_and_long_form_of_config_are_the_same_request(ravdess, audio_run, capsys):
    short = ["fit", "-c", *AUDIO[2:], "--data.root", str(ravdess), "--trainer.default_root_dir", str(audio_run)]
    code, out, _ = run(capsys, *short)
    assert code == 0
    assert "finished" in out
    assert run(capsys, *short, "-c=experiments/_bf16.yaml")[0] == 2


def test_damaged_last_checkpoint_of_a_killed_run_is_named(ravdess, tmp_path, capsys):
    fit = [*AUDIO, "--data.root", str(ravdess), "--trainer.default_root_dir", str(tmp_path)]
    assert run(capsys, *fit)[0] == 0
    (tmp_path / "result.json").unlink()
    last = tmp_path / "checkpoints" / "last.ckpt"
    last.write_bytes(last.read_bytes()[:1000])
    code, _, err = run(capsys, *fit)
    assert code == 2
    assert "last.ckpt" in err
    assert "delete the folder" in err


def test_run_folder_that_cannot_be_made_is_named(ravdess, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    fit = [*AUDIO, "--data.root", str(ravdess), "--trainer.default_root_dir", str(tmp_path / "file" / "run")]
    code, _, err = run(capsys, *fit)
    assert code == 2
    assert "file" in err


def test_finished_run_is_kept_and_a_changed_one_refused(ravdess, tmp_path, capsys):
    arguments = [
        *["fit", "--config", "experiments/ravdess_audio.yaml", "--data.root", str(ravdess)],
        *["--trainer.max_epochs", "1", "--trainer.default_root_dir", str(tmp_path / "run")],
    ]
    assert run(capsys, *arguments)[0] == 0
    result = (tmp_path / "run" / "result.json").read_text()
    code, out, _ = run(capsys, *arguments)
    assert code == 0
    assert "finished" in out
    code, _, err = run(capsys, *arguments, "--model.optimizer.init_args.lr", "0.5")
    assert code == 2
    assert "0.001 -> 0.5" in err
    assert (tmp_path / "run" / "result.json").read_text() == result
    code, _, _ = run(capsys, *arguments, "--model.optimizer.init_args.lr", "0.0005", "--overwrite", "true")
    assert code == 0
    assert (tmp_path / "run" / "result.json").read_text() != result
    request = json.loads((tmp_path / "run" / "request.json").read_text())
    assert request["settings"]["model"]["init_args"]["optimizer"]["init_args"]["lr"] == 0.0005


def test_run_killed_between_its_last_epoch_and_its_test_is_completed(ravdess, tmp_path, capsys):
    arguments = [
        *["fit", "--config", "experiments/ravdess_audio.yaml", "--data.root", str(ravdess)],
        *["--trainer.max_epochs", "2", "--trainer.default_root_dir", str(tmp_path)],
    ]
    assert run(capsys, *arguments)[0] == 0
    whole = json.loads((tmp_path / "result.json").read_text())
    history = (tmp_path / "metrics.csv").read_text()
    for name in ("result.json", "predictions-last.csv", "predictions-best.csv"):
        (tmp_path / name).unlink()
    assert run(capsys, *arguments)[0] == 0
    again = json.loads((tmp_path / "result.json").read_text())
    assert again["selections"] == whole["selections"]
    assert again["seconds"] == whole["seconds"] > 0
    assert (tmp_path / "metrics.csv").read_text() == history


def test_overwrite_throws_nothing_away_where_the_start_is_refused(ravdess, tmp_path, capsys):
    run_folder = tmp_path / "run"
    (run_folder / "checkpoints").mkdir(parents=True)
    kept = [run_folder / name for name in ("request.json", "result.json", "metrics.csv", "checkpoints/best.ckpt")]
    for path in kept:
        path.write_text("{}")
    fit = ["fit", "--config", "experiments/ravdess_audio.yaml", "--data.root", str(ravdess)]
    fit += ["--trainer.default_root_dir", str(run_folder), "--overwrite", "true"]
    for wrong in (("--trainer.sync_batchnorm", "true"), ("--trainer.limit_test_batches", "0")):
        assert run(capsys, *fit, *wrong)[0] == 2
        assert all(path.exists() for path in kept)
    (run_folder / "hpc_ckpt_1.ckpt").touch()
    assert run(capsys, *fit)[0] == 2
    assert all(path.exists() for path in kept)


def test_overwrite_touches_nothing_in_a_folder_that_is_no_run(ravdess, tmp_path, capsys):
    (tmp_path / "mine.csv").write_text("keep")
    (tmp_path / "metrics.csv").write_text("epoch,step\n")
    fit = ["fit", "--config", "experiments/ravdess_audio.yaml", "--data.root", str(ravdess), "--data.fold", "9"]
    assert run(capsys, *fit, "--overwrite", "true", "--trainer.default_root_dir", str(tmp_path))[0] == 2
    fit = [*fit[:-1], "1", "--trainer.max_epochs", "1", "--overwrite", "true"]
    assert run(capsys, *fit, "--trainer.default_root_dir", str(tmp_path))[0] == 0
    assert (tmp_path / "mine.csv").read_text() == "keep"


def test_fast_dev_run_leaves_nothing_behind(ravdess, tmp_path, capsys):
    before = {path.name for path in tmp_path.parent.iterdir()}
    fit = [*BASE[:2], "experiments/ravdess_audio.yaml", "--data.root", str(ravdess), "--trainer.fast_dev_run", "true"]
    assert run(capsys, *fit, "--trainer.default_root_dir", str(tmp_path))[0] == 0
    assert not list(tmp_path.iterdir())
    assert {path.name for path in tmp_path.parent.iterdir()} == before


def test_what_goes_wrong_in_a_loader_is_one_line_too(capsys, monkeypatch):
    """torch wraps the traceback of its process around the message."""

    def refuse(arguments):
        raise DataError(
            "Caught DataError in DataLoader worker process 0.\nOriginal Traceback (most recent call last):\n"
            '  File "x.py", line 3, in f\n    raise DataError("y")\ndatamodules.store.DataError: video.u8 was damaged\n'
        )

    monkeypatch.setattr(cli, "dispatch", refuse)
    code, _, err = run(capsys, "fit")
    assert code == 2
    assert err == "error: video.u8 was damaged\n"


def test_damage_that_a_loader_finds_is_one_line(ravdess, tmp_path, capsys):
    shutil.copytree(ravdess, tmp_path / "data")
    path = tmp_path / "data" / "prepared" / "mfcc.f32"
    whole = bytearray(path.read_bytes())
    for byte in range(0, len(whole), 1000):
        whole[byte] ^= 1
    path.write_bytes(whole)
    fit = [*AUDIO, "--data.root", str(tmp_path / "data"), "--data.num_workers", "1"]
    code, _, err = run(capsys, *fit, "--trainer.default_root_dir", str(tmp_path / "run"))
    assert code == 2
    assert "Traceback" not in err
    assert f"error: {path} was damaged after preparing, at clip" in err


def test_what_is_built_is_built_apart_from_the_collector(ravdess, tmp_path, monkeypatch):
    """A finalizer that imports a module while jsonargparse walks over all of them would end the command."""
    seen, build = [], LightningCLI.instantiate_classes

    def watched(self):
        seen.append(gc.isenabled())
        build(self)

    monkeypatch.setattr(LightningCLI, "instantiate_classes", watched)
    words = ["--config", str(PROJECT / "experiments" / "ravdess_audio.yaml"), "--data.root", str(ravdess)]
    assert cli.main(["fit", *words, "--trainer.fast_dev_run", "true"]) == 0
    assert seen == [False]
    assert gc.isenabled()
