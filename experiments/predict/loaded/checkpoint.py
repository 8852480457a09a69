"""A checkpoint of anybody as a model: nothing that it names is imported but classes of models and their parts."""

import importlib
import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeGuard

import torch
from torch import Tensor

from datamodules.errors import DataError
from datamodules.reading.files import sha256_file
from datamodules.reading.plain_json import read_object
from error_texts import chain, first_line
from experiments.errors import UsageError
from experiments.predict.loaded.strangers import (
    LARGEST_INPUT,
    LARGEST_JSON,
    MOST_DESCRIBED,
    MOST_STEPS,
    Bounded,
    check_description,
    check_places,
    check_plain,
    own_file,
    without_places,
)
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
SCHEMA = 1  # of an exported folder
MOST_TIMES = 20  # what a model may ask for while it is built, in times of its own weights
# What an exported folder tells of its training.
_TOLD = {"experiment": str, "selection": str, "n_test": int, "score": dict, "baselines": dict, "calibration": dict}
# Least and greatest value of what a calibration tells.
_CALIBRATED = {
    "temperature": (math.exp(-4.01), math.exp(4.01)),
    "ece": (0, 1),
    "ece_calibrated": (0, 1),
    "threshold": (0, 1),
    "clips": (1, math.inf),
}
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
    described = [value for value in content.values() if isinstance(value, dict) and "prepared_by" in value] or [{}]
    parts = content["hyper_parameters"], content["state_dict"], described[0]
    return _checked(Checkpoint(path, *parts, _result_of(path)))


def _open_exported(folder: Path) -> Checkpoint:
    """Read an exported folder of anybody: plain JSON and tensors, every file as it was written."""
    try:
        config = read_object(own_file(folder, CONFIG, LARGEST_JSON), _ANEW)
        if config.get("schema") != SCHEMA:
            raise DataError(f"{folder / CONFIG} has no schema {SCHEMA}; {_ANEW}, or take the version that wrote it")
        parts = {"class": str, "arguments": dict, "trained": dict, "sha256": dict}
        if wrong := [name for name, kind in parts.items() if not isinstance(config.get(name), kind)]:
            raise DataError(f"{folder / CONFIG} is damaged (no {wrong[0]}, or of another kind); {_ANEW}")
        for name, most in ((WEIGHTS, 0), (PREPROCESSING, LARGEST_JSON)):
            if sha256_file(path := own_file(folder, name, most)) != config["sha256"].get(name):
                raise DataError(f"{path} is not as it was exported; {_ANEW}")
        described = read_object(folder / PREPROCESSING, _ANEW)
        weights = read_safetensors(folder / WEIGHTS)
    except (DataError, TensorFileError) as error:
        raise UsageError(str(error)) from error
    arguments = {**config["arguments"], "_class_path": config["class"]}
    path = folder / WEIGHTS
    check_places(arguments, f"{path}: its arguments")
    return _checked(Checkpoint(path, arguments, weights, described, trained=config["trained"]))


def _checked(checkpoint: Checkpoint) -> Checkpoint:
    """Return a checkpoint of anybody after a look at everything that it says of itself.

    Raises:
        UsageError: It is nothing that this project writes.
    """
    path, described = checkpoint.path, checkpoint.described
    shown = {name: of for name, of in described.items() if name not in ("tokenizers", "vocabularies")}
    check_plain(checkpoint.arguments, f"{path}: its arguments")
    check_plain([shown, checkpoint.trained], f"{path}: its description", MOST_DESCRIBED)
    check_description(described, f"{path}: its description")
    shapes = checkpoint.arguments.get("input_shapes")
    if not _are_shapes(shapes) or any(math.prod(shape) > LARGEST_INPUT for shape in shapes.values()):
        raise UsageError(f"{path}: its input_shapes are no shapes of a clip: {str(shapes)[:100]}")
    if described.get("normalize", "none") != "none":
        raise UsageError(
            f"{path} reads features of speakers standardised by all of their own clips (TRANSDUCTIVE), which a clip "
            "alone does not have: predict --config with --data.normalize speaker, on at least two clips of each of them"
        )
    if not described.get("reading"):
        raise UsageError(
            f"{path} does not say how a raw file becomes its input: it is of an earlier version, or of features or "
            "tensors that were made elsewhere; train it again, or score it with predict --config"
        )
    return checkpoint


def _are_shapes(value: Any) -> TypeGuard[dict[str, list[int]]]:
    return isinstance(value, dict) and all(
        isinstance(shape, list) and all(type(size) is int and size >= 0 for size in shape) for shape in value.values()
    )


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
    path, weights = checkpoint.path, checkpoint.weights
    arguments = {name: of for name, of in checkpoint.arguments.items() if name not in OF_TRAINING}
    size = path.stat().st_size
    if strange := [name for name, of in weights.items() if not _is_plain(of) or of.nbytes > size]:
        raise UsageError(f"{path}: its weights are damaged: {strange[0]} is no plain tensor that the file can hold")
    odd = [name for name, of in weights.items() if of.is_floating_point() and not of.isfinite().all()]
    if odd:
        raise UsageError(f"{path}: its weights are damaged: {odd[0]} holds NaN or infinite values")
    for module in class_paths.modules(PROJECT):
        if module.startswith("lightning_modules."):
            importlib.import_module(module)
    try:
        bound = max(MOST_TIMES * sum(of.numel() for of in weights.values()), LEAST_BOUND)
        steps = MOST_STEPS + 100 * len(weights)
        with class_paths.guarded(allowed), warnings.catch_warnings(), Bounded(bound, steps):
            warnings.simplefilter("ignore")  # of Lightning, about parts that are kept in a checkpoint
            model = _instantiated(class_paths.update_class_paths(without_places(arguments)))
        _check_kinds(model, weights)
        fill(model, weights, f"{path} does not fit {type(model).__name__}")
        model.describe_input(checkpoint.described.get("facts", {}))
        model.setup("predict")
    except Exception as error:
        cause = next((cause for cause in chain(error) if hasattr(cause, "exit_code")), error)
        raise UsageError(f"{path}: its model cannot be built: {first_line(cause, 200)}") from error
    return model.eval()


def check_fit(model: EmotionTask, modalities: Sequence[str], path: Path) -> None:
    """Refuse a description whose modalities are not those that the model reads."""
    if set(modalities) != set(model.input_shapes):
        told = ", ".join(map(str, modalities))[:60] or "nothing"
        raise UsageError(
            f"{path}: its reading is damaged: it makes {told}, the model reads {', '.join(model.input_shapes)}"
        )


def _is_plain(tensor: Tensor) -> bool:
    odd = tensor.is_meta or tensor.is_quantized or tensor.is_nested or tensor.is_complex()
    return tensor.layout == torch.strided and not odd


def _check_kinds(model: EmotionTask, weights: dict[str, Tensor]) -> None:
    """Refuse whole numbers where a model has others, or the other way round; floats of another width are converted."""
    for name, own in model.state_dict().items():
        given = weights.get(name, own)
        if given.dtype != own.dtype and not (given.is_floating_point() and own.is_floating_point()):
            raise UsageError(f"{name} is {given.dtype}, the model has {own.dtype}")


def _instantiated(arguments: dict[str, Any]) -> EmotionTask:
    parser = Parser(default_config_files=[])
    parser.add_lightning_class_args(EmotionTask, "model", subclass_mode=True)
    stored = arguments.pop("_class_path")
    config: Any = parser.parse_object({"model": {"class_path": stored, "init_args": arguments}})
    class_paths.check_classes(config)
    model: EmotionTask = parser.instantiate_classes(config).model
    return model


def _calibration_of(checkpoint: Checkpoint) -> dict[str, Any]:
    """Return the calibration that lies beside a checkpoint, if it is of that checkpoint; else nothing.

    Raises:
        UsageError: It is damaged.
    """
    path = checkpoint.path.with_name(CALIBRATION)
    if not path.exists():
        return {}
    try:
        found = read_object(own_file(path.parent, CALIBRATION, LARGEST_JSON), "delete it")
    except DataError as error:
        raise UsageError(str(error)) from error
    return check_calibration(found, path) if found.get("checkpoint") == archive_digest(checkpoint.path) else {}


def check_calibration(found: Any, path: Path) -> dict[str, Any]:
    """Return a calibration of anybody, what is known of it alone.

    Raises:
        UsageError: It is none: a temperature that no fit gives, an error or a threshold that is no share.
    """
    numbers = {name: found.get(name) for name in _CALIBRATED} if isinstance(found, dict) else {}
    for name, (least, most) in _CALIBRATED.items():
        value = numbers.get(name)
        if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
            raise UsageError(f"{path}: its calibration is damaged: {name} is {str(value)[:40]}; fit the model again")
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
    if of := told.get("calibration"):
        told["calibration"] = check_calibration(of, checkpoint.path)
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
