"""Checkpoints of runs: opened safely, found by selection, evaluated on what their run held out."""

from collections.abc import Mapping, MutableMapping
from importlib import import_module
from pathlib import Path
from typing import Any

import torch

from experiments import results
from experiments.messages import UsageError


def read_checkpoint(path: Path, option: str = "", remedy: str = "") -> dict[str, Any]:
    """Opens a checkpoint without running anything in it; its tensors stay on disk until they are used.

    Args:
        path: The file.
        option: What named it, for the message.
        remedy: What to do about a damaged one, for the message.

    Returns:
        Its content.

    Raises:
        UsageError: If there is no such file, or it is no whole checkpoint of a task.
    """
    if not path.is_file():
        raise UsageError(f"{option}{path}: there is no such file; runs keep theirs in <run>/checkpoints/")
    try:
        content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        if not {"state_dict", "hyper_parameters", "epoch"} <= content.keys():
            raise ValueError("no checkpoint of a task")
    except Exception as error:  # torch raises a dozen kinds for a damaged file
        raise UsageError(f"{option}{path}: not a whole checkpoint of this project{remedy}") from error
    return content


def same_selection(source: str, target: Path) -> str:
    """The checkpoint beside ``source`` that is of the same selection as ``target``; ``source`` where it is neither."""
    path = Path(source)
    return str(path.with_name(target.name)) if path.name in ("best.ckpt", "last.ckpt") else source


def keep_to_its_run(
    checkpoint: Path, data_class: str, options: MutableMapping[str, Any], given: Mapping[str, Any]
) -> None:
    """Scores a checkpoint on the speakers that its run held out, not on those that trained it, and as it was trained.

    Args:
        checkpoint: The checkpoint, in the folder of its run.
        data_class: Full name of the DataModule's class.
        options: The DataModule's resolved options; those that must be the run's are set here.
        given: The options that the user gave.

    Raises:
        UsageError: If the user gave such an option another value than the run has.
    """
    recorded = results.recorded_request(checkpoint.parent.parent)
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
