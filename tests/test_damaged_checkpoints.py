"""Checkpoints that are damaged, odd or another's: one line that names the file, in every command that opens one."""

import copy
import json
import shutil
import struct
import zipfile
from pathlib import Path

import pytest
import torch
from conftest import leave_blank

import cli
from experiments.errors import UsageError
from experiments.reproduce import missing
from experiments.reproduce.evaluations import evaluate
from experiments.results.checkpoints import read_checkpoint, restore_problem

CONFIG = ["--config", "experiments/ravdess_features.yaml", "--model.hidden", "8"]


@pytest.fixture(scope="module")
def finished(ravdess_features, tmp_path_factory):
    """A finished run of one epoch, and the options that made it."""
    folder = tmp_path_factory.mktemp("run") / "paper-fold0-seed0"
    options = [*CONFIG, "--data.root", str(ravdess_features), "--trainer.max_epochs", "1"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("callbacks.plots.save", leave_blank)
        assert cli.main(["fit", *options, "--trainer.default_root_dir", str(folder)]) == 0
    return folder, options


@pytest.fixture
def run(finished, tmp_path):
    """A copy of it."""
    shutil.copytree(finished[0], tmp_path / "run")
    return tmp_path / "run", finished[1]


def command(name, folder, options):
    own = options[: options.index("--model.hidden")] + options[options.index("--data.root") :]
    return [name, *own, "--ckpt_path", str(folder / "checkpoints" / "best.ckpt"), "--trainer.default_root_dir",
            str(folder / "out")]  # fmt: skip


def refusal(capsys, *arguments):
    """The lines of a command that has to end with exit code 2 and no traceback."""
    capsys.readouterr()
    assert cli.main(list(arguments)) == 2
    found = capsys.readouterr().err
    assert "Traceback" not in found
    lines = found[found.index("error: ") :].strip().splitlines()
    assert len(lines) <= 2
    return "\n".join(lines)


def flip(path, at=0.5):
    """Flips one bit of the largest member of an archive, where values are."""
    with zipfile.ZipFile(path) as archive:
        largest = max(archive.infolist(), key=lambda member: member.file_size)
    content = bytearray(path.read_bytes())
    name, extra = struct.unpack("<HH", content[largest.header_offset + 26 : largest.header_offset + 30])
    content[largest.header_offset + 30 + name + extra + int(largest.file_size * at)] ^= 4
    path.write_bytes(content)


@pytest.mark.parametrize("name", ["test", "predict", "validate", "fit"])
def test_a_flipped_bit_is_found_by_every_command(run, capsys, name):
    folder, options = run
    flip(folder / "checkpoints" / "best.ckpt")
    text = refusal(capsys, *command(name, folder, options))
    assert str(folder / "checkpoints" / "best.ckpt") in text
    assert "Bad CRC-32" in text
    assert not list((folder / "out").glob("predictions*"))


def test_a_flipped_bit_in_the_checkpoint_that_a_killed_run_goes_on_from_says_what_to_do(run, capsys):
    folder, options = run
    (folder / "result.json").unlink()
    flip(folder / "checkpoints" / "last.ckpt")
    text = refusal(capsys, "fit", *options, "--trainer.default_root_dir", str(folder))
    assert str(folder / "checkpoints" / "last.ckpt") in text
    assert "Bad CRC-32" in text
    assert "delete the folder to start again" in text


def test_a_flipped_bit_in_weights_to_start_from_is_found(run, capsys, tmp_path):
    folder, options = run
    flip(folder / "checkpoints" / "best.ckpt")
    source = json.dumps({"audio": str(folder / "checkpoints" / "best.ckpt")})
    fit = ["fit", *options, "--model.init_from", source, "--trainer.default_root_dir", str(tmp_path / "new")]
    text = refusal(capsys, *fit)
    assert "--model.init_from.audio" in text
    assert "Bad CRC-32" in text


def test_a_flipped_bit_is_found_by_evaluations_under_missing_modalities(run):
    folder, options = run
    flip(folder / "checkpoints" / "last.ckpt")
    asked = missing.Evaluation("cell", folder, ["fit", *options], "last", (("audio", 0.5),))
    reason = evaluate(asked, missing.evaluate_missing)
    assert "last.ckpt" in reason
    assert "run the cell again" in reason
    assert not (folder / "missing").exists()


@pytest.fixture(scope="module")
def content(finished):
    return torch.load(finished[0] / "checkpoints" / "best.ckpt", weights_only=True)


ABSENT = object()
ODD = {
    "no model": ("state_dict", ABSENT, "no state_dict"),
    "a list for a model": ("state_dict", [1, 2], "no state_dict"),
    "words for a model": ("state_dict", {"a": "b"}, "'a', which is no tensor"),
    "no hyper-parameters": ("hyper_parameters", ABSENT, "no hyper_parameters"),
    "a list of hyper-parameters": ("hyper_parameters", ["a"], "no hyper_parameters"),
    "hyper-parameters without a model": ("hyper_parameters", {}, "do not name a model"),
    "a number for a model": ("hyper_parameters", {"_class_path": 3}, "do not name a model"),
    "no epoch": ("epoch", ABSENT, "no epoch"),
    "a word for an epoch": ("epoch", "last", "no epoch"),
}
TRAINING = ("optimizer_states", "lr_schedulers", "loops", "global_step", "callbacks")


def saved(content, path, name, value):
    changed = {**content, name: value}
    torch.save({key: of for key, of in changed.items() if of is not ABSENT}, path)
    return path


@pytest.mark.parametrize("name", ODD)
def test_what_is_no_checkpoint_of_a_task_is_named(content, tmp_path, name):
    field, value, text = ODD[name]
    path = saved(content, tmp_path / "best.ckpt", field, value)
    with pytest.raises(UsageError, match="not a whole checkpoint of this project") as caught:
        read_checkpoint(path, "--ckpt_path ", "; delete it")
    assert text in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("value", [ABSENT, None, "x", 3.5], ids=["absent", "null", "word", "number"])
@pytest.mark.parametrize("name", TRAINING)
def test_a_training_goes_on_only_from_the_whole_of_its_state(content, tmp_path, name, value):
    path = saved(content, tmp_path / "best.ckpt", name, value)
    assert read_checkpoint(path)["epoch"] == content["epoch"]
    with pytest.raises(UsageError, match=f"no {name}") as caught:
        read_checkpoint(path, resume=True)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("value", [[1, 2], "text", None, torch.ones(3)], ids=["list", "text", "None", "tensor"])
def test_another_kind_of_content_is_named(tmp_path, value):
    torch.save(value, tmp_path / "best.ckpt")
    with pytest.raises(UsageError, match=f"holds a {type(value).__name__}"):
        read_checkpoint(tmp_path / "best.ckpt")


def test_weights_alone_can_be_scored_but_not_trained_on(run, content, capsys):
    folder, options = run
    saved(content, folder / "checkpoints" / "best.ckpt", "optimizer_states", ABSENT)
    assert cli.main(command("test", folder, options)) == 0
    assert "no optimizer_states" in refusal(capsys, *command("fit", folder, options), "--trainer.max_epochs", "2")


def changed(content, *names, value):
    content = copy.deepcopy(content)
    inner = content
    for name in names[:-1]:
        inner = inner[name]
    inner[names[-1]] = value
    return content


INSIDE = {
    "loops": (("loops", "fit_loop"), 3),
    "optimizer": (("optimizer_states", 0), {"state": {}, "param_groups": []}),
    "callbacks": (("callbacks", "CollapseGuard"), 3),
    "version": (("pytorch-lightning_version",), "x"),
    "data": (("PrecomputedTensorDataModule",), [1]),
    "meta": (("state_dict", "head.0.bias"), torch.empty(8, device="meta")),
    "size": (("hyper_parameters", "hidden"), -3),
    "type": (("hyper_parameters", "hidden"), [3]),
    "dropout": (("hyper_parameters", "head_dropout"), None),
}


@pytest.mark.parametrize("name", INSIDE)
def test_what_is_odd_deeper_inside_is_one_line_too(run, content, capsys, name):
    folder, options = run
    names, value = INSIDE[name]
    path = folder / "checkpoints" / "best.ckpt"
    torch.save(changed(content, *names, value=value), path)
    kind = "fit" if name in ("loops", "optimizer", "callbacks") else "test"
    text = refusal(capsys, *command(kind, folder, options), *(["--trainer.max_epochs", "2"] if kind == "fit" else []))
    assert "best.ckpt" in text or name == "type"  # what the parser itself refuses names the option


def test_errors_of_something_else_are_not_blamed_on_the_checkpoint():
    with pytest.raises(RuntimeError) as caught:
        torch.ones(2) @ torch.ones(3)
    assert restore_problem(caught.value) == ""
    assert restore_problem(UsageError("said already")) == ""


def test_a_cluster_s_own_checkpoint_is_not_taken_in_silence(finished, tmp_path, capsys, monkeypatch):
    """Under SLURM Lightning starts a run without --ckpt_path from any file of that name in its folder."""
    monkeypatch.setenv("SLURM_NTASKS", "1")
    monkeypatch.setenv("SLURM_JOB_NAME", "train")
    folder = tmp_path / "run"
    folder.mkdir()
    for name in ("hpc_ckpt_1.ckpt", "hpc_ckpt_.ckpt"):
        shutil.copy(finished[0] / "checkpoints" / "best.ckpt", folder / name)
        text = refusal(capsys, "fit", *finished[1], "--trainer.default_root_dir", str(folder))
        assert name in text
        assert "move it away" in text
        assert {path.name for path in folder.iterdir()} - {"lock"} == {name}
        (folder / name).unlink()


def test_a_link_to_a_checkpoint_is_scored_on_what_its_run_held_out(run, tmp_path, capsys):
    folder, options = run
    (tmp_path / "elsewhere").mkdir()
    link = tmp_path / "elsewhere" / "best.ckpt"
    link.symlink_to(folder / "checkpoints" / "best.ckpt")
    words = command("test", folder, options)
    words[words.index("--ckpt_path") + 1] = str(link)
    assert "--data.fold 1: the checkpoint's run has fold 0" in refusal(capsys, *words, "--data.fold", "1")


def test_a_finished_run_is_finished_where_nothing_can_be_written(finished, capsys, monkeypatch):
    def refused(folder):
        raise PermissionError(13, "Permission denied", str(folder))

    monkeypatch.setattr("experiments.train.run_folder.hold", refused)
    folder, options = finished
    words = ["fit", *options, "--trainer.default_root_dir", str(folder)]
    assert cli.main(words) == 0
    assert "holds the finished run" in capsys.readouterr().out
    assert cli.main([*words, "--trainer.max_epochs", "2"]) == 2
    assert "holds a run with other settings" in capsys.readouterr().err


def test_a_finished_run_is_still_finished(finished, capsys):
    """And nothing above changed it."""
    before = {path: path.read_bytes() for path in Path(finished[0]).rglob("*") if path.is_file()}
    assert cli.main(["fit", *finished[1], "--trainer.default_root_dir", str(finished[0])]) == 0
    assert {path: path.read_bytes() for path in before} == before
