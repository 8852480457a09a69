"""Several outputs from one head: the columns of plain logits become classes and values by task (contract 2).

A value's column is read in units of the training labels' standard deviation around their mean, so that the head starts
at the mean and no unit is too large for it; what leaves the model is in the unit of the label.
"""

import math
from typing import Any, cast

import torch
from torch import Tensor, nn

from lightning_modules.errors import TaskError


def check_tasks(tasks: dict[str, int], outputs: int, weights: dict[str, float], model: str, refusal: str) -> None:
    """Refuse tasks that a model cannot have, or that do not fit its head.

    Args:
        tasks: Number of classes by task, 0 for a value.
        outputs: Columns of the head.
        weights: Weight of the loss by task, of some of them.
        model: Name of the model's class.
        refusal: Why the model has no tasks but one of classes; empty where it may have any.

    Raises:
        TaskError: If so.
    """
    if tasks and refusal:
        values = ", ".join(name for name, classes in tasks.items() if not classes) or ", ".join(tasks)
        raise TaskError(f"{model} cannot learn {values}: {refusal}; take another model, or data with classes alone")
    if tasks and sum(classes or 1 for classes in tasks.values()) != outputs:
        raise TaskError(f"model.tasks {tasks}: {outputs} outputs are not one per class and one per value")
    if unknown := sorted(set(weights) - set(tasks)):
        has = ", ".join(tasks) or "one task alone, which needs no weight"
        raise TaskError(f"--model.task_weights names {', '.join(unknown)}; the data has {has}")
    if wrong := [name for name, weight in weights.items() if not (math.isfinite(weight) and weight >= 0)]:
        raise TaskError(f"--model.task_weights.{wrong[0]} {weights[wrong[0]]}: a number that is at least 0")


def keep_scales(module: nn.Module, tasks: dict[str, int], scales: dict[str, list[float]]) -> None:
    """Register mean and standard deviation of every value as buffers, which a checkpoint keeps; none without values.

    Args:
        module: The model.
        tasks: Number of classes by task, 0 for a value.
        scales: Mean and standard deviation of the training labels by task; 0 and 1 where not given.
    """
    if values := [name for name, classes in tasks.items() if not classes]:
        pairs = torch.tensor([scales.get(name, [0.0, 1.0]) for name in values], dtype=torch.float32)
        module.register_buffer("value_means", pairs[:, 0].clone())
        module.register_buffer("value_deviations", pairs[:, 1].clone())


def value_scale(module: nn.Module, tasks: dict[str, int], task: str) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation of the training labels of a value, scalars on the model's device."""
    place = [name for name, classes in tasks.items() if not classes].index(task)
    return cast(Tensor, module.value_means)[place], cast(Tensor, module.value_deviations)[place]


def split_output(module: nn.Module, arguments: Any, output: dict[str, Any]) -> dict[str, Any]:
    """Return a model's output with its logits by task: a forward hook.

    Args:
        module: The model, with its ``tasks``.
        arguments: Of its forward.
        output: With plain logits ``(B, outputs)``; logits that the model names by task itself stay.

    Returns:
        The output with classes ``(B, K)`` and values ``(B,)`` float32, in the unit of the label, by task.
    """
    logits = output["logits"]
    if isinstance(logits, dict):
        return output
    tasks: dict[str, int] = module.tasks  # type: ignore[assignment]
    named: dict[str, Tensor] = {}
    column = 0
    for task, classes in tasks.items():
        if classes:
            named[task] = logits[:, column : column + classes]
        else:
            mean, deviation = value_scale(module, tasks, task)
            named[task] = logits[:, column].float() * deviation + mean
        column += classes or 1
    return {**output, "logits": named}
