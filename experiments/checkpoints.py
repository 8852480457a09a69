"""Checkpoints of runs: opened safely, and found by selection."""

from pathlib import Path
from typing import Any

import torch

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
