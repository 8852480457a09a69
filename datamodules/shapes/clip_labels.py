"""Labels of clips as targets by task, out of the columns of a store's index."""

from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from datamodules.errors import DataError
from datamodules.recipe import catalogue_class
from datamodules.store.reader import Store


class ClipLabels:
    """Labels of the clips of a store: classes (the column ``label``), shares ``soft_<class>``, ``value_<task>``.

    Args:
        store: The store.

    Attributes:
        classes: Names of the classes; none where there are values alone.
        tasks: Meaning of each task as the manifest has it; empty where the corpus is labelled with its classes alone.

    Raises:
        DataError: Nobody says what the classes are, or no clip has a label.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        settings = store.manifest["settings"]
        made_by = settings.get("catalogue", {"name": settings.get("corpus")})
        self.tasks: dict[str, dict[str, Any]] = made_by.get("tasks", {})
        self.classes: list[str] = list(made_by.get("classes") or [])
        if not self.classes and not self.tasks:
            self.classes = list(catalogue_class(made_by["name"]).classes) if made_by.get("name") else []
            if not self.classes:
                raise DataError(f"{store.folder}: nobody says what its classes are; prepare it again")
        if not self.known.any():
            raise DataError(f"{store.folder}: no clip has a label; prepare it again with a table of labels")

    def _column(self, name: str) -> np.ndarray:
        return np.array([float(row[name] or "nan") for row in self.store.rows], np.float32)

    @cached_property
    def by_task(self) -> dict[str, np.ndarray]:
        """Labels of every clip by task: classes int64, -1 where missing; shares and values float32, then NaN."""
        found = {}
        for task, about in (self.tasks or {"label": {"kind": "classes"}}).items():
            if about["kind"] == "classes":
                found[task] = self.store.labels
            elif about["kind"] == "soft":
                found[task] = np.stack([self._column(f"soft_{name}") for name in about["classes"]], 1)
            else:
                found[task] = self._column(f"value_{task}")
        return found

    @cached_property
    def known(self) -> np.ndarray:
        """Which clips have a label of some task, bool ``(N,)``."""
        return np.any([_is_known(labels) for labels in self.by_task.values()], axis=0)

    @cached_property
    def indices(self) -> np.ndarray:
        """Class, or most probable class, of every clip, int64 ``(N,)``; -1 without one."""
        for task, labels in self.by_task.items():
            if labels.ndim == 2:
                return np.where(_is_known(labels), labels.argmax(1), -1)
            if self.tasks.get(task, {"kind": "classes"})["kind"] == "classes":
                return np.asarray(labels)
        return np.full(len(self.store), -1)

    @property
    def sizes(self) -> dict[str, int]:
        """Number of classes by task, 0 for a value; empty where the target is one set of classes."""
        sizes = {task: len(about.get("classes", ())) for task, about in self.tasks.items()}
        return {} if [size > 0 for size in sizes.values()] == [True] else sizes

    @property
    def values(self) -> dict[str, np.ndarray]:
        """Labels of every clip by task, of the values alone."""
        return {task: self.by_task[task] for task, size in self.sizes.items() if not size}

    @cached_property
    def targets(self) -> Tensor | dict[str, Tensor]:
        """Targets of every clip: of one set of classes ``(N,)`` or ``(N, K)``, otherwise by task."""
        found = {task: torch.from_numpy(labels) for task, labels in self.by_task.items()}
        return found if self.sizes else next(iter(found.values()))


def _is_known(labels: np.ndarray) -> np.ndarray:
    if labels.dtype == np.int64:
        return np.asarray(labels >= 0)
    return np.asarray(~np.isnan(labels) if labels.ndim == 1 else ~np.isnan(labels).any(1))
