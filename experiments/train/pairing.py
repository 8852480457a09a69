"""Whether some data have what a model reads: the kinds that the one declares and the other gives."""

import importlib
import inspect
from collections.abc import Iterator, Mapping
from typing import Any

from datamodules.base import EmotionDataModule
from datamodules.recipe import keeping
from datamodules.shapes.divided import DividedDataModule
from datamodules.shapes.stored import StoredDataModule
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
        if found is not None and kind in ("", found):
            continue
        wanted = f"{modality} ({kind})" if kind else modality
        there = ", ".join(f"{name} ({of})" for name, of in gives.items()) or "nothing of the kind"
        place = data.folder if isinstance(data, StoredDataModule) else data.root
        ways = " or ".join(_ways(model, modality, kind, data)) or "name other --data"
        raise UsageError(f"{model.__name__} reads {wanted}; {type(data).__name__} of {place} gives {there}: {ways}")


def _ways(model: type[EmotionTask], modality: str, kind: str, data: EmotionDataModule) -> Iterator[str]:
    """Yield what can be done about it."""
    known = not kind or not data.views_of_kinds or kind in data.views_of_kinds  # else no option of this data gives it
    if known and isinstance(data.modalities, list) and modality not in data.modalities:
        yield f"add {modality} to --data.modalities"
        return
    others = (of for of in subclasses(DividedDataModule) if kind in of.views_of_kinds)
    give = type(data) if kind in data.views_of_kinds else next(others, None)
    if give is not None:
        recipes = keeping(give.views_of_kinds[kind])
        prepared = f"`prepare {data.corpus} --recipe {'|'.join(recipes)}`"
        if not isinstance(data, give):
            yield f"give --data {give.__name__} of what {prepared} makes"
        elif data.prepared_by.get("recipe") in recipes:
            yield "name another --data.root, as its source has none"
        else:
            yield f"name the --data.store that {prepared} makes"
    if "modalities" in inspect.signature(model).parameters:
        yield f"leave {modality} out of --model.modalities"


def subclasses(base: Any) -> list[type[DividedDataModule]]:
    """Return all subclasses of a class that have been imported, less those that settings cannot name."""
    found = [one for cls in base.__subclasses__() for one in (cls, *subclasses(cls))]
    return [one for one in found if not one.__name__.startswith("_")]
