"""Whether some data have what a model reads: the kinds that the one declares and the other gives."""

import importlib
import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from datamodules.base import EmotionDataModule
from datamodules.recipe import keeping
from datamodules.shapes.divided import DividedDataModule
from experiments.errors import UsageError
from lightning_modules.base import EmotionTask


def class_of(path: str) -> Any:
    """Return a class by its full path, which has been imported."""
    module, _, name = path.rpartition(".")
    return getattr(importlib.import_module(module), name)


def tell_data(config: Any) -> dict[str, str]:
    """Hand what the model reads to data that choose by it; return it: kind by modality.

    Args:
        config: Parsed settings of a command.
    """
    model: type[EmotionTask] = class_of(config.model.class_path)
    reads = model.reads(**config.as_dict()["model"].get("init_args", {}))
    options = config.data.get("init_args", {})
    if "reads" in options and options["reads"] is None:
        options["reads"] = reads
    return reads


def check_pair(model: type[EmotionTask], reads: Mapping[str, str], data: EmotionDataModule) -> None:
    """Refuse data that lack what a model reads, or have it of another kind.

    Args:
        model: The model.
        reads: Kind by modality that it reads; one that is empty may be any.
        data: The data; unchecked where they do not say what they give.

    Raises:
        UsageError: They do.
    """
    gives = data.input_kinds
    if not gives and not isinstance(data, DividedDataModule):
        return
    for modality, kind in reads.items():
        found = gives.get(modality)
        if found is not None and (not kind or not found or found == kind):
            continue
        wanted = f"{modality} ({kind})" if kind else modality
        there = ", ".join(f"{name} ({of})" if of else name for name, of in gives.items()) or "nothing of it"
        folder = data.folder if isinstance(data, DividedDataModule) else data.root
        raise UsageError(
            f"{model.__name__} reads {wanted}; {type(data).__name__} of {folder} gives {there}: "
            + "; ".join(_ways(model, modality, kind, data))
        )


def _ways(model: type[EmotionTask], modality: str, kind: str, data: EmotionDataModule) -> list[str]:
    """Return what can be done about it."""
    ways = []
    own = data.views_of_kinds.get(kind)
    others = {of: of.views_of_kinds[kind] for of in subclasses(DividedDataModule) if kind in of.views_of_kinds}
    if own and isinstance(data, DividedDataModule):
        recipe = data.prepared_by.get("recipe")
        recipes = [name for name in keeping(own) if name != recipe]
        if any(view.get("view") == own for view in data.prepared_by.get("views", {}).values()) or recipe in keeping(own):
            ways.append(f"nothing in its source gave any; name another --data.root")
        else:
            ways.append(f"`prepare {data.corpus} --recipe {' or '.join(recipes)}` keeps it")
    elif others:
        name, view = next((of.__name__, view) for of, view in others.items())
        ways.append(f"--data {name} gives it, of `prepare {data.corpus} --recipe {' or '.join(keeping(view))}`")
    if len(inspect.signature(model).parameters) and "modalities" in inspect.signature(model).parameters:
        ways.append("or leave it out of --model.modalities")
    return ways or ["name other --data"]


def subclasses(base: type[DividedDataModule]) -> list[type[DividedDataModule]]:
    return [one for cls in base.__subclasses__() for one in (cls, *subclasses(cls))]
