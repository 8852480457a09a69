"""A checkpoint of anybody as a model: nothing that it names is imported but classes of models and their parts."""

import importlib
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from error_texts import chain, first_line
from experiments.errors import UsageError
from experiments.results.opened.checkpoint import Checkpoint
from experiments.results.opened.strangers import (
    MOST_STEPS,
    Bounded,
    calibration_beside,
    check_calibration,
    check_kinds,
    check_weights,
    without_places,
)
from experiments.settings import class_paths
from experiments.settings.config import PROJECT
from experiments.settings.messages import Parser
from lightning_modules.base import EmotionTask
from lightning_modules.nn.encoders import fill

MOST_TIMES = 20  # what a model may ask for while it is built, in times of its own weights
# What an exported folder tells of its training.
_TOLD = {"experiment": str, "selection": str, "n_test": int, "score": dict, "baselines": dict, "calibration": dict}
LEAST_BOUND = 1 << 26  # values
# Arguments of a model that only its training uses, and what Lightning notes down.
OF_TRAINING = ("optimizer", "scheduler", "loss", "class_weights", "init_from", "_instantiator")


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
    check_weights(weights, path)
    for module in class_paths.modules(PROJECT):
        if module.startswith("lightning_modules."):
            importlib.import_module(module)
    try:
        bound = max(MOST_TIMES * sum(of.numel() for of in weights.values()), LEAST_BOUND)
        steps = MOST_STEPS + 100 * len(weights)
        with class_paths.guarded(allowed), warnings.catch_warnings(), Bounded(bound, steps):
            warnings.simplefilter("ignore")  # of Lightning, about parts that are kept in a checkpoint
            model = _instantiated(class_paths.update_class_paths(without_places(arguments)))
        check_kinds(model.state_dict(), weights)
        fill(model, weights, f"{path} does not fit {type(model).__name__}")
        model.describe_input(checkpoint.described.get("facts", {}))
        model.setup("predict")
    except Exception as error:
        cause = next((cause for cause in chain(error) if hasattr(cause, "exit_code")), error)
        raise UsageError(f"{path}: its model cannot be built: {first_line(cause, 200)}") from error
    return model.eval()


def check_fit(model: EmotionTask, modalities: Sequence[str], path: Path) -> None:
    """Refuse a description whose modalities are not those that the model reads."""
    if set(modalities) != set(model.input_shapes) - {"context"}:  # dialogues make it with their texts
        told = ", ".join(map(str, modalities))[:60] or "nothing"
        raise UsageError(
            f"{path}: its reading is damaged: it makes {told}, the model reads {', '.join(model.input_shapes)}"
        )


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
    found: dict[str, Any] = {
        "experiment": result.get("experiment"),
        "selection": name,
        "score": dict(selections.get(name or "", {})),
        "baselines": result.get("baselines", {}),
        "n_test": result.get("n_test"),
        "calibration": calibration_beside(checkpoint.path),
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
