"""The one place where weights load from files. Nothing here runs code that a file brings along."""

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn


class TaskError(ValueError):
    """A mistake of the user on the model's side: one or two lines that name the option or file and the next step."""

    exit_code = 2


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def read_weights(path: str | Path) -> dict[str, Tensor]:
    """Reads the tensors of a checkpoint.

    Args:
        path: A Lightning checkpoint, a plain state dict, or a ``.safetensors`` file.

    Returns:
        Names to tensors on the CPU, memory-mapped where the format allows it.

    Raises:
        TaskError: If the file is missing, damaged, or holds more than plain weights.
    """
    path = Path(path)
    if not path.is_file():
        raise TaskError(f"weights: there is no file {path}; train it first or correct the path")
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        content: Any = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except Exception as error:  # torch raises many kinds, by where the damage is
        raise TaskError(
            f"weights: {path} is damaged, or not a checkpoint that can be read without running code"
        ) from error
    state = content.get("state_dict", content) if isinstance(content, dict) else None
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise TaskError(f"weights: {path} holds no state dict; name a Lightning checkpoint or a saved state dict")
    return state


def load_weights(module: nn.Module, path: str | Path, prefix: str = "") -> None:
    """Fills a module from a checkpoint; every tensor must be there and fit.

    Args:
        module: The module to fill.
        path: A Lightning checkpoint, a plain state dict, or a ``.safetensors`` file.
        prefix: What the names of the module's tensors start with in the file; the file's other tensors are left out.

    Raises:
        TaskError: If the file is unusable, or its names or shapes differ from the module's.
    """
    state = read_weights(path)
    given = {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
    if not given:
        raise TaskError(f"weights: {path} holds nothing named {prefix}*; it holds {_some(list(state))}")
    wanted = module.state_dict()
    problems = {
        "lacks": [key for key in wanted if key not in given],
        "has besides": [key for key in given if key not in wanted],
        "differs in shape at": [
            f"{key} {list(given[key].shape)} (here {list(wanted[key].shape)})"
            for key in wanted
            if key in given and given[key].shape != wanted[key].shape
        ],
    }
    found = "; ".join(f"{what} {_some(keys)}" for what, keys in problems.items() if keys)
    if found:
        raise TaskError(f"weights: {path} does not fit {prefix.rstrip('.') or 'the model'}: it {found}")
    module.load_state_dict(given)
