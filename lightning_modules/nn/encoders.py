"""The one place where files of weights are read; networks of timm. No code that a file brings along is run.

What loads through transformers is in `lightning_modules.nn.networks.transformers_networks`.
"""

import difflib
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from error_texts import first_line, first_names
from lightning_modules.errors import TaskError
from tensor_archives import TensorFileError
from tensor_files import read_safetensors, read_torch


def read_weights(path: str | Path) -> dict[str, Tensor]:
    """Read the tensors of a checkpoint.

    Args:
        path: A Lightning checkpoint, a plain state dict, or a ``.safetensors`` file.

    Returns:
        Names to tensors on the CPU, memory-mapped where the format allows it.

    Raises:
        TaskError: If the file is missing, damaged, or holds more than plain weights.
    """
    path = Path(path)
    content = _read(path)
    state = content.get("state_dict", content) if isinstance(content, dict) else None
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise TaskError(f"weights: {path} holds no state dict; name a Lightning checkpoint or a saved state dict")
    return state


def read_hyper_parameters(path: str | Path) -> dict[str, Any]:
    """Read the arguments of the model that a Lightning checkpoint holds.

    Returns:
        Arguments by name; none where the file records none.

    Raises:
        TaskError: If the file is missing, damaged, or holds more than plain values and weights.
    """
    content = _read(Path(path))
    arguments = content.get("hyper_parameters") if isinstance(content, dict) else None
    return dict(arguments) if isinstance(arguments, dict) else {}


def _read(path: Path) -> Any:
    if not path.is_file():
        raise TaskError(f"weights: there is no file {path}; train it first, fetch it, or correct the path")
    try:
        # Many published weights are files of the time before torch 1.6.
        return read_safetensors(path) if path.suffix == ".safetensors" else read_torch(path, old=True)
    except TensorFileError as error:
        raise TaskError(f"weights: {error}; fetch it or make it anew") from error


def load_weights(module: nn.Module, path: str | Path, prefix: str = "", other: str = "") -> None:
    """Fill a module from a checkpoint; every tensor must be there and fit.

    Args:
        module: The module to fill.
        path: A Lightning checkpoint, a plain state dict, or a ``.safetensors`` file.
        prefix: What the names of the module's tensors start with in the file; the file's other tensors are left out.
        other: What they start with where none starts so.

    Raises:
        TaskError: If the file is unusable, or its names or shapes differ from the module's.
    """
    state = read_weights(path)
    if other and not any(key.startswith(prefix) for key in state) and any(key.startswith(other) for key in state):
        prefix = other
    given = {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
    if not given:
        raise TaskError(f"weights: {path} holds nothing named {prefix}*; it holds {first_names(list(state))}")
    fill(module, given, f"{path} does not fit {prefix.rstrip('.') or 'the model'}")


def fill(module: nn.Module, given: dict[str, Tensor], refusal: str) -> None:
    """Fill a module from tensors by name.

    Args:
        module: The module.
        given: Its tensors, all of them and no others.
        refusal: What an error message begins with.

    Raises:
        TaskError: If names or shapes differ; the module is as it was.
    """
    for name, part in module.named_modules():
        if take_shapes := getattr(part, "take_shapes", None):  # what was fitted, of any size
            take_shapes(given, f"{name}.")
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
    found = "; ".join(f"{what} {first_names(keys)}" for what, keys in problems.items() if keys)
    if found:
        raise TaskError(f"weights: {refusal}: it {found}")
    module.load_state_dict(given)


# Options of `timm.create_model` that read files or fetch them; some releases unpickle what they read.
_TIMM_FILES = {"cache_dir", "checkpoint_path", "pretrained", "pretrained_cfg", "pretrained_cfg_overlay"}


def timm_backbone(name: str, **options: Any) -> nn.Module:
    """Return a network of timm without its classifier and without weights: `load_backbone_weights` fills it.

    Args:
        name: Its name in timm.
        **options: Other arguments of `timm.create_model`.

    Returns:
        The network: images ``(N, 3, S, S)`` to pooled features ``(N, network.head_hidden_size)``.

    Raises:
        TaskError: If timm has no such network, or it does not take the options.
    """
    import timm  # seconds of import that runs without it do not pay

    if files := sorted(options.keys() & _TIMM_FILES):
        raise TaskError(f"backbone: options: {files[0]} is not for options; name a file of weights in `weights`")
    if not timm.is_model(name):
        near = difflib.get_close_matches(name, timm.list_models(), 3)
        raise TaskError(f"backbone: timm has no {name!r}" + (f"; did you mean {', '.join(near)}?" if near else ""))
    try:
        network: nn.Module = timm.create_model(name, **{"num_classes": 0, **options})
    except (TypeError, ValueError, AssertionError) as error:
        raise TaskError(f"backbone: timm cannot build {name} with options {options}: {first_line(error)}") from error
    return network


def load_backbone_weights(network: nn.Module, weights: str) -> None:
    """Fill a network of `timm_backbone` with pretrained weights; those of a classifier are left out.

    Args:
        network: The network.
        weights: A file with timm's names, or with torchvision's where both libraries have the same network
            (EfficientNet); ``timm`` fetches timm's own from the Hugging Face hub, or from its cache.

    Raises:
        TaskError: If the weights cannot be had, or do not fit.
    """
    cfg: dict[str, Any] = network.pretrained_cfg  # type: ignore[assignment]
    state = _hub_weights(cfg) if weights == "timm" else read_weights(weights)
    wanted = network.state_dict()
    if "features.0.0.weight" in state and "conv_stem.weight" in wanted:
        state = _torchvision_renamed(state, list(wanted))
    names = cfg.get("classifier") or ()
    dropped = tuple(f"{part}." for part in ([names] if isinstance(names, str) else names))
    given = {key: value for key, value in state.items() if key in wanted or not key.startswith(dropped)}
    fill(network, given, f"{weights} does not fit timm's {cfg['architecture']}")


def _hub_weights(cfg: dict[str, Any]) -> dict[str, Tensor]:
    import timm

    name = ".".join(filter(None, (cfg["architecture"], cfg.get("tag"))))
    try:
        return dict(timm.create_model(name, pretrained=True).state_dict())
    except Exception as error:  # the hub's client raises many kinds
        raise TaskError(
            f"weights: those of timm's {name} could not be fetched from the hub.\n"
            "Fetch them once where there is a network, or name a local file in `weights`"
        ) from error


def _torchvision_renamed(state: dict[str, Tensor], wanted: list[str]) -> dict[str, Tensor]:
    """Return torchvision weights under timm's names: both list the layers in one order; unchanged where they do not."""
    given = {key: value for key, value in state.items() if not key.startswith("classifier.")}
    kinds = [[key.rpartition(".")[2] for key in keys] for keys in (given, wanted)]
    return dict(zip(wanted, given.values(), strict=True)) if kinds[0] == kinds[1] else state
