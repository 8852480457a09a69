"""Checkpoints of runs: opened safely, found by selection, evaluated on what their run held out."""

import traceback
from collections.abc import Mapping, MutableMapping
from importlib import import_module
from pathlib import Path
from typing import Any

from torch import Tensor

from experiments.errors import UsageError
from experiments.results.needs import recorded_request
from experiments.settings import class_paths
from tensor_archives import TensorFileError
from tensor_files import read_torch

CALIBRATION = "calibration.json"  # beside the checkpoint that it is of
DAMAGED = "; delete the folder to start again"
_PARTS = {"state_dict": dict, "hyper_parameters": dict, "epoch": int}
_TRAINING = {"global_step": int, "loops": dict, "callbacks": dict, "optimizer_states": list, "lr_schedulers": list}


def read_checkpoint(path: Path, option: str = "", remedy: str = "", *, resume: bool = False) -> dict[str, Any]:
    """Return the content of a checkpoint without running anything in it; its tensors stay on disk until they are used.

    Args:
        path: The file.
        option: What named it, for the message.
        remedy: What to do about a damaged one, for the message.
        resume: Whether a training resumes from it, which takes more than weights.

    Raises:
        UsageError: If there is no such file, or it is no whole checkpoint of a task.
    """
    if not path.is_file():
        raise UsageError(f"{option}{path}: there is no such file; runs keep theirs in <run>/checkpoints/")
    whole = f"{option}{path}: not a whole checkpoint of this project"
    try:
        content = read_torch(path)
    except TensorFileError as error:
        reason = str(error).removeprefix(f"{path} ")
        raise UsageError(f"{whole}: it {reason}{remedy}") from error
    if not isinstance(content, dict):
        raise UsageError(f"{whole}: it holds a {type(content).__name__}{remedy}")
    if wrong := [name for name, kind in _PARTS.items() if not isinstance(content.get(name), kind)]:
        raise UsageError(f"{whole}: no {', '.join(wrong)} in it, or of another kind{remedy}")
    if odd := [name for name, value in content["state_dict"].items() if not isinstance(value, Tensor)]:
        raise UsageError(f"{whole}: state_dict holds {odd[0]!r}, which is no tensor{remedy}")
    if not isinstance(content["hyper_parameters"].get("_class_path"), str):
        raise UsageError(f"{whole}: its hyper_parameters do not name a model (_class_path){remedy}")
    lacking = [name for name, kind in _TRAINING.items() if not isinstance(content.get(name), kind)]
    if not lacking and content["global_step"] and not content["optimizer_states"]:
        lacking = ["optimizer_states"]  # Lightning would begin with new ones and say nothing
    if resume and lacking:
        raise UsageError(
            f"{option}{path}: it holds a model but not where its training was: no {', '.join(lacking)}{remedy}"
        )
    return content


def stored_model(path: Path, asked: str, *, resume: bool) -> dict[str, Any]:
    """Return the model of the checkpoint of ``--ckpt_path``: its class, and all of its arguments.

    Args:
        path: The file.
        asked: Class path that the settings ask for.
        resume: Whether a training resumes from it.

    Raises:
        UsageError: If it is no whole checkpoint, or holds another model.
    """
    content = read_checkpoint(path, "--ckpt_path ", resume=resume)
    arguments = class_paths.update_class_paths(content["hyper_parameters"])
    stored = arguments.pop("_class_path")
    if stored != (asked := class_paths.current_class_path(asked)):
        raise UsageError(f"--ckpt_path {path}: it holds a {stored}, the settings ask for a {asked}")
    arguments.pop("_instantiator", None)  # never called
    return {"class_path": stored, "dict_kwargs": arguments}


def restore_problem(error: Exception) -> str:
    """Return why a checkpoint could not be restored; empty where the error has another cause, or names it itself.

    Args:
        error: What ended a command that was given a checkpoint.
    """
    if hasattr(error, "exit_code"):
        return ""
    lines = [line.strip() for line in str(error).splitlines()] or [""]
    if "loading state_dict" in lines[0]:  # torch's, when other options made a model of another shape
        return (
            f"it does not fit the model that these options make ({lines[1] if lines[1:] else lines[0]}).\n"
            "Give the --data options that it was trained with"
        )
    names = [
        frame.f_code.co_name
        for frame, _ in traceback.walk_tb(error.__traceback__)
        if frame.f_code.co_filename.endswith("checkpoint_connector.py")
    ]
    if not any(name.startswith(("restore", "resume")) for name in names):
        return ""
    return f"its state cannot be restored ({type(error).__name__}: {lines[0][:120]}); do without it"


def same_selection(source: str, target: Path) -> str:
    """Return the checkpoint beside ``source`` of the same selection as ``target``; ``source`` where it is neither."""
    path = Path(source)
    return str(path.with_name(target.name)) if path.name in ("best.ckpt", "last.ckpt") else source


def restore_data_options(
    checkpoint: Path, data_class: str, options: MutableMapping[str, Any], given: Mapping[str, Any]
) -> None:
    """Set the data options of a checkpoint's run, so that it is scored on the speakers that the run held out.

    Args:
        checkpoint: The checkpoint, in the folder of its run.
        data_class: Full name of the DataModule's class.
        options: The DataModule's resolved options; those that must be the run's are set here.
        given: The options that the user gave.

    Raises:
        UsageError: If the user gave such an option another value than the run has.
    """
    recorded = recorded_request(checkpoint.resolve().parent.parent)  # also where a link leads to it
    trained = recorded.get("settings", {}).get("data", {}).get("init_args", {})
    module, _, name = data_class.rpartition(".")
    for option in getattr(import_module(module), name).leak_options:
        there = bool(trained.get(option))
        if bool(given.get(option, there)) != there:
            raise UsageError(
                f"--data.{option}: the checkpoint's run had {str(there).lower()} there; "
                "evaluate it on what it was trained on"
            )
        options[option] = there
    for option in ("fold", "protocol"):
        if option not in recorded or option not in options:
            continue
        if given.get(option, recorded[option]) != recorded[option]:
            raise UsageError(
                f"--data.{option} {given[option]}: the checkpoint's run has {option} {recorded[option]}; "
                "other speakers would be speakers that trained it"
            )
        options[option] = recorded[option]
