"""A checkpoint of anybody as a model: nothing that it names is imported but classes of models and their parts."""

import importlib
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from datamodules.errors import DataError
from error_texts import chain, first_line
from experiments.errors import UsageError
from experiments.results.cell import read_result
from experiments.results.checkpoints import read_checkpoint
from experiments.settings import class_paths
from experiments.settings.config import PROJECT
from experiments.settings.messages import Parser
from lightning_modules.base import EmotionTask
from lightning_modules.nn.encoders import fill

NAMES = ("best.ckpt", "last.ckpt")  # of a run's checkpoints, that which is taken first
# Arguments of a model that only its training uses, and what Lightning notes down.
_OF_TRAINING = ("optimizer", "scheduler", "loss", "class_weights", "init_from", "_instantiator")


@dataclass(frozen=True)
class Checkpoint:
    """What a checkpoint holds.

    Attributes:
        path: The file.
        arguments: Of the model, its class as ``_class_path``.
        weights: Tensors by name.
        described: What its DataModule left of its input.
        result: Of its run, where it lies in the run's folder; else empty.
    """

    path: Path
    arguments: dict[str, Any]
    weights: dict[str, Tensor]
    described: dict[str, Any]
    result: dict[str, Any] = field(default_factory=dict)


def open_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint, or the selected one of a run's folder.

    Raises:
        UsageError: There is none, or it does not say how its input was made.
    """
    if path.is_dir():
        found = [path / "checkpoints" / name for name in NAMES if (path / "checkpoints" / name).is_file()]
        if not found:
            raise UsageError(f"{path}: no run's folder, it holds no checkpoints/{NAMES[0]}; name a checkpoint")
        path = found[0]
    content = read_checkpoint(path)
    described = [value for value in content.values() if isinstance(value, dict) and "prepared_by" in value]
    if not described or not described[0].get("reading"):
        raise UsageError(
            f"{path} does not say how a raw file becomes its input: it is of an earlier version, or of features or "
            "tensors that were made elsewhere; train it again, or score it with predict --config"
        )
    return Checkpoint(path, content["hyper_parameters"], content["state_dict"], described[0], _result_of(path))


def _result_of(path: Path) -> dict[str, Any]:
    folder = path.absolute().parent.parent
    try:
        return dict(read_result(folder)) if (folder / "result.json").is_file() else {}
    except DataError:
        return {}


def build_model(checkpoint: Checkpoint) -> EmotionTask:
    """Return the model of a checkpoint with its weights, in eval mode on the CPU.

    Raises:
        UsageError: It names what is no class of a model, or its weights do not fit or are not finite.
    """
    path = checkpoint.path
    arguments = {name: of for name, of in checkpoint.arguments.items() if name not in _OF_TRAINING}
    odd = [name for name, of in checkpoint.weights.items() if of.is_floating_point() and not of.isfinite().all()]
    if odd:
        raise UsageError(f"{path}: its weights are damaged: {odd[0]} holds NaN or infinite values")
    for module in class_paths.modules(PROJECT):
        if module.startswith("lightning_modules."):
            importlib.import_module(module)
    try:
        with class_paths.guarded([]), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of Lightning, about parts that are kept in a checkpoint
            model = _instantiated(class_paths.update_class_paths(arguments))
        fill(model, checkpoint.weights, f"{path} does not fit {type(model).__name__}")
        model.describe_input(checkpoint.described.get("facts", {}))
        model.setup("predict")
    except Exception as error:
        cause = next((cause for cause in chain(error) if hasattr(cause, "exit_code")), error)
        raise UsageError(f"{path}: its model cannot be built: {first_line(cause, 200)}") from error
    return model.eval()


def _instantiated(arguments: dict[str, Any]) -> EmotionTask:
    parser = Parser(default_config_files=[])
    parser.add_lightning_class_args(EmotionTask, "model", subclass_mode=True)
    stored = arguments.pop("_class_path")
    config: Any = parser.parse_object({"model": {"class_path": stored, "init_args": arguments}})
    class_paths.check_classes(config)
    model: EmotionTask = parser.instantiate_classes(config).model
    return model


def about(checkpoint: Checkpoint) -> dict[str, Any]:
    """Return what a model was trained on and how it was scored, as far as it is known."""
    described, result = checkpoint.described, checkpoint.result
    selections: Mapping[str, Any] = result.get("selections", {})
    name = {"last.ckpt": "last", "best.ckpt": "best" if "best" in selections else "selected"}.get(checkpoint.path.name)
    return {
        "checkpoint": str(checkpoint.path),
        "experiment": result.get("experiment"),
        "corpus": described.get("corpus"),
        "protocol": described.get("protocol"),
        "fold": described.get("fold"),
        "synthetic": bool(described.get("synthetic", True)),
        "selection": name,
        "score": dict(selections.get(name or "", {})),
        "baselines": result.get("baselines", {}),
        "n_test": result.get("n_test"),
    }
