"""A checkpoint of anybody as a model: nothing that it names is imported but classes of models and their parts."""

import importlib
import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from datamodules.errors import DataError
from datamodules.reading.files import sha256_file
from datamodules.reading.plain_json import read_object
from error_texts import chain, first_line
from experiments.errors import UsageError
from experiments.results.cell import read_result
from experiments.results.checkpoints import CALIBRATION, read_checkpoint
from experiments.settings import class_paths
from experiments.settings.config import PROJECT
from experiments.settings.messages import Parser
from lightning_modules.base import EmotionTask
from lightning_modules.nn.encoders import fill
from tensor_files import TensorFileError, archive_digest, read_safetensors

NAMES = ("best.ckpt", "last.ckpt")  # of a run's checkpoints, that which is taken first
CONFIG, PREPROCESSING, WEIGHTS = "config.json", "preprocessing.json", "model.safetensors"  # of an exported folder
_ANEW = "export it again"
MOST_TIMES = 20  # what a model may ask for while it is built, in times of its own weights
# What an exported folder tells of its training.
_TOLD = {"experiment": str, "selection": str, "n_test": int, "score": dict, "baselines": dict, "calibration": dict}
_CALIBRATED = ("temperature", "ece", "ece_calibrated", "threshold", "clips")
LEAST_BOUND = 1 << 26  # values
# Arguments of a model that only its training uses, and what Lightning notes down.
OF_TRAINING = ("optimizer", "scheduler", "loss", "class_weights", "init_from", "_instantiator")


@dataclass(frozen=True)
class Checkpoint:
    """What a checkpoint holds.

    Attributes:
        path: The file.
        arguments: Of the model, its class as ``_class_path``.
        weights: Tensors by name.
        described: What its DataModule left of its input.
        result: Of its run, where it lies in the run's folder; else empty.
        trained: What an exported folder says of the training; empty of a checkpoint.
    """

    path: Path
    arguments: dict[str, Any]
    weights: dict[str, Tensor]
    described: dict[str, Any]
    result: dict[str, Any] = field(default_factory=dict)
    trained: dict[str, Any] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """What tells it from other checkpoints."""
        return archive_digest(self.path) or sha256_file(self.path)


def open_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint, the selected one of a run's folder, or an exported folder.

    Raises:
        UsageError: There is none, or it does not say how its input was made.
    """
    if (path / CONFIG).is_file():
        return _open_exported(path)
    if path.is_dir():
        found = [path / "checkpoints" / name for name in NAMES if (path / "checkpoints" / name).is_file()]
        if not found:
            raise UsageError(f"{path}: no run's folder, it holds no checkpoints/{NAMES[0]}; name a checkpoint")
        path = found[0]
    content = read_checkpoint(path)
    described = [value for value in content.values() if isinstance(value, dict) and "prepared_by" in value]
    if described and described[0].get("normalize", "none") != "none":
        raise UsageError(
            f"{path} reads features of speakers standardised by all of their own clips (TRANSDUCTIVE), which a clip "
            "alone does not have: predict --config with --data.normalize speaker, on at least two clips of each of them"
        )
    if not described or not described[0].get("reading"):
        raise UsageError(
            f"{path} does not say how a raw file becomes its input: it is of an earlier version, or of features or "
            "tensors that were made elsewhere; train it again, or score it with predict --config"
        )
    if lost := content.get("lost_parts"):
        raise UsageError(
            f"{path} does not say how its {lost[0]} was built, as that was handed to the model as an object: build the "
            "model of plain arguments, or train it by cli.py fit"
        )
    return Checkpoint(path, content["hyper_parameters"], content["state_dict"], described[0], _result_of(path))


def _open_exported(folder: Path) -> Checkpoint:
    """Read an exported folder of anybody: plain JSON and tensors, every file as it was written."""
    try:
        config = read_object(folder / CONFIG, _ANEW)
        parts = {"class": str, "arguments": dict, "trained": dict, "sha256": dict}
        if wrong := [name for name, kind in parts.items() if not isinstance(config.get(name), kind)]:
            raise DataError(f"{folder / CONFIG} is damaged (no {wrong[0]}, or of another kind); {_ANEW}")
        for name in (WEIGHTS, PREPROCESSING):
            path = folder / name
            if not path.is_file() or sha256_file(path) != config["sha256"].get(name):
                raise DataError(f"{path} is missing, or not as it was exported; {_ANEW}")
        described = read_object(folder / PREPROCESSING, _ANEW)
        weights = read_safetensors(folder / WEIGHTS)
    except (DataError, TensorFileError) as error:
        raise UsageError(str(error)) from error
    arguments = {**config["arguments"], "_class_path": config["class"]}
    return Checkpoint(folder / WEIGHTS, arguments, weights, described, trained=config["trained"])


def _result_of(path: Path) -> dict[str, Any]:
    folder = path.absolute().parent.parent
    try:
        return dict(read_result(folder)) if (folder / "result.json").is_file() else {}
    except DataError:
        return {}


def build_model(checkpoint: Checkpoint, allowed: Sequence[str] = ()) -> EmotionTask:
    """Return the model of a checkpoint with its weights, in eval mode on the CPU.

    Args:
        checkpoint: Of anybody.
        allowed: The user's own packages, whose classes it may name.

    Raises:
        UsageError: It names what is no class of a model, or its weights do not fit or are not finite.
    """
    path = checkpoint.path
    arguments = {name: of for name, of in checkpoint.arguments.items() if name not in OF_TRAINING}
    odd = [name for name, of in checkpoint.weights.items() if of.is_floating_point() and not of.isfinite().all()]
    if odd:
        raise UsageError(f"{path}: its weights are damaged: {odd[0]} holds NaN or infinite values")
    for module in class_paths.modules(PROJECT):
        if module.startswith("lightning_modules."):
            importlib.import_module(module)
    try:
        bound = max(MOST_TIMES * sum(of.numel() for of in checkpoint.weights.values()), LEAST_BOUND)
        with class_paths.guarded(allowed), warnings.catch_warnings(), _Bounded(bound):
            warnings.simplefilter("ignore")  # of Lightning, about parts that are kept in a checkpoint
            model = _instantiated(class_paths.update_class_paths(arguments))
        fill(model, checkpoint.weights, f"{path} does not fit {type(model).__name__}")
        model.describe_input(checkpoint.described.get("facts", {}))
        model.setup("predict")
    except Exception as error:
        cause = next((cause for cause in chain(error) if hasattr(cause, "exit_code")), error)
        raise UsageError(f"{path}: its model cannot be built: {first_line(cause, 200)}") from error
    return model.eval()


class _Bounded(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Refuse tensors that are larger than any of a model with such weights: arguments of a stranger may ask for them.

    Args:
        bound: Values of one tensor.
    """

    def __init__(self, bound: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.bound = bound

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Look at the size that is asked for, then do what was to be done."""
        size = args[0] if args else ()
        whole = isinstance(size, list | tuple) and all(isinstance(of, int) for of in size)
        if whole and math.prod(size) > self.bound:
            raise UsageError(f"it asks for a tensor of {math.prod(size):,} values, far more than all its weights")
        return func(*args, **(kwargs or {}))


def _instantiated(arguments: dict[str, Any]) -> EmotionTask:
    parser = Parser(default_config_files=[])
    parser.add_lightning_class_args(EmotionTask, "model", subclass_mode=True)
    stored = arguments.pop("_class_path")
    config: Any = parser.parse_object({"model": {"class_path": stored, "init_args": arguments}})
    class_paths.check_classes(config)
    model: EmotionTask = parser.instantiate_classes(config).model
    return model


def _calibration_of(checkpoint: Checkpoint) -> dict[str, Any]:
    """Return the calibration that lies beside a checkpoint, if it is of that checkpoint; else nothing."""
    path = checkpoint.path.with_name(CALIBRATION)
    try:
        found = read_object(path, "") if path.is_file() else {}
    except DataError:
        return {}
    return _whole(found) if found.get("checkpoint") == archive_digest(checkpoint.path) else {}


def _whole(found: dict[str, Any]) -> dict[str, Any]:
    """Return a calibration of anybody; nothing where it is none."""
    numbers = {name: found.get(name) for name in _CALIBRATED}
    if not all(isinstance(value, int | float) for value in numbers.values()) or not found["temperature"] > 0:
        return {}
    return {**numbers, "split": str(found.get("split"))}


def about(checkpoint: Checkpoint) -> dict[str, Any]:
    """Return what a model was trained on and how it was scored, as far as it is known."""
    described, result = checkpoint.described, checkpoint.result
    selections: Mapping[str, Any] = result.get("selections", {})
    name = {"last.ckpt": "last", "best.ckpt": "best" if "best" in selections else "selected"}.get(checkpoint.path.name)
    found: dict[str, Any] = {
        "experiment": result.get("experiment"),
        "selection": name,
        "score": dict(selections.get(name or "", {})),
        "baselines": result.get("baselines", {}),
        "n_test": result.get("n_test"),
        "calibration": _calibration_of(checkpoint),
    }
    told: dict[str, Any] = {
        key: of for key, of in checkpoint.trained.items() if key in found and type(of) is _TOLD[key]
    }
    told["calibration"] = _whole(told.get("calibration", {})) or found["calibration"]
    for key in ("score", "baselines"):
        numbers: dict[str, Any] = told.get(key, {})
        told[key] = {of: value for of, value in numbers.items() if isinstance(value, int | float)} or found[key]
    return {
        **found,
        **told,
        "checkpoint": str(checkpoint.path),
        "corpus": described.get("corpus"),
        "protocol": described.get("protocol"),
        "fold": described.get("fold"),
        "synthetic": bool(described.get("synthetic", True)),
    }
