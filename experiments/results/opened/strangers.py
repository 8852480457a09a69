"""What a folder or a checkpoint of anybody is looked at for, before any of it is used."""

import math
import os
import unicodedata
from collections.abc import Iterable, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from datamodules.errors import DataError
from datamodules.reading.names import UNSHOWN
from datamodules.reading.plain_json import read_object
from experiments.errors import UsageError
from experiments.results.checkpoints import CALIBRATION
from tensor_archives import archive_digest

LARGEST_JSON = 1 << 26  # bytes; the tokenizer of a large vocabulary has half of it
MOST_VALUES = 200_000  # of the arguments of a model
MOST_DESCRIBED = 1 << 22  # of a description, which has the statistics of features
# Least and greatest value of what a calibration tells.
_CALIBRATED = {
    "temperature": (math.exp(-4.01), math.exp(4.01)),
    "ece": (0, 1),
    "ece_calibrated": (0, 1),
    "threshold": (0, 1),
    "clips": (1, math.inf),
}
DEPTH = 100
LARGEST_INPUT = 1 << 26  # values of a modality of one clip
MOST_STEPS = 20_000  # calls of torch while a model is built, and a hundred more for each of its tensors
# What a DataModule leaves in a checkpoint, as far as it is there.
DESCRIBED = {
    "corpus": str, "protocol": str, "fold": int, "synthetic": bool, "class_names": list, "outputs": dict, "facts": dict,
    "tokenizers": dict,
}  # fmt: skip
PLAIN = (str, int, float, bool, type(None))


def own_file(folder: Path, name: str, most: int = 0) -> Path:
    """Return the path of a file of an exported folder.

    Args:
        folder: The folder.
        name: Of the file.
        most: Bytes that it may have; those of the machine's memory where not given.

    Raises:
        UsageError: It is not there, no regular file, a link out of the folder, or too large.
    """
    path, here = folder / name, folder.resolve()
    if not path.is_file():
        raise UsageError(f"{path} is missing, or no file; export it again")
    # The cache of huggingface_hub keeps the files of a snapshot beside its snapshots.
    homes = (here, here.parent.parent / "blobs") if here.parent.name == "snapshots" else (here,)
    if path.resolve().parent not in homes:
        raise UsageError(f"{path} is a link out of its folder; copy the file into it")
    most = most or os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if (size := path.stat().st_size) > most:
        raise UsageError(f"{path} has {size:,} bytes, more than the {most:,} that can be read; it is none of an export")
    return path


def check_plain(content: Any, what: str, most: int = MOST_VALUES) -> None:
    """Refuse values that are not plain, too many, nested too deep, or that would move a terminal's cursor.

    Raises:
        UsageError: They are; `what` begins the message.
    """
    level, count = [content], 0
    for _ in range(DEPTH):
        count += len(level)
        if count > most:
            raise UsageError(f"{what} holds more than {most:,} values; it is none of an export")
        for one in level:
            if isinstance(one, str) and any(unicodedata.category(letter) in UNSHOWN for letter in one):
                raise UsageError(f"{what} holds a name with a control character: {one[:60]!r}")
            if not isinstance(one, (*PLAIN, Mapping, list, tuple)):
                raise UsageError(f"{what} holds a {type(one).__name__}, which is no plain value")
        inner = (item for one in level if isinstance(one, Mapping | list | tuple) for item in _items(one))
        if not (level := list(islice(inner, most - count + 1))):
            return
    raise UsageError(f"{what} is nested more than {DEPTH} levels deep")


def check_description(described: Mapping[str, Any], what: str) -> None:
    """Refuse a description of a model's input and outputs that holds other than it should.

    Raises:
        UsageError: It does; `what` begins the message.
    """
    odd = [name for name, kind in DESCRIBED.items() if name in described and not isinstance(described[name], kind)]
    if not odd:
        odd = [f"outputs, {name}" for name, of in described.get("outputs", {}).items() if not _is_output(of)]
    if odd:
        raise UsageError(f"{what} is damaged: {odd[0]} is of another kind than it should be")


def _is_output(of: Any) -> bool:
    """Return whether something says what an output means."""
    if not isinstance(of, Mapping) or not isinstance(of.get("kind"), str) or not isinstance(of.get("unit", ""), str):
        return False
    span, classes = of.get("range") or (None, None), of.get("classes", ())
    return (
        isinstance(span, list | tuple)
        and len(span) == 2
        and all(one is None or isinstance(one, int | float) for one in span)
        and isinstance(classes, list | tuple)
        and all(isinstance(name, str) for name in classes)
    )


def _items(container: Any) -> Iterable[Any]:
    return (item for pair in container.items() for item in pair) if isinstance(container, Mapping) else container


def check_places(value: Any, what: str) -> None:
    """Refuse arguments of an exported model by which a part of it would be read from elsewhere.

    Raises:
        UsageError: There is one; `what` begins the message.
    """
    for name, of in value.items() if isinstance(value, Mapping) else ():
        if name == "source" and isinstance(of, str) and set(of) & set("/\\:"):
            raise UsageError(f"{what} names a place on a machine: {of[:60]}")
        check_places(of, what)


def without_places(value: Any) -> Any:
    """Return the arguments of a model without the files that parts of it once started from: its weights are there."""
    if isinstance(value, Mapping):
        kept = {name: of for name, of in value.items() if name not in ("_name_or_path", "name_or_path")}
        return {name: None if name == "weights" else without_places(of) for name, of in kept.items()}
    return [without_places(of) for of in value] if isinstance(value, list | tuple) else value


def check_weights(weights: dict[str, Tensor], path: Path) -> None:
    """Refuse weights of a file that are no plain tensors, more than it holds, or not finite.

    Raises:
        UsageError: They are.
    """
    size = path.stat().st_size
    if strange := [name for name, of in weights.items() if not _is_plain(of) or of.nbytes > size]:
        raise UsageError(f"{path}: its weights are damaged: {strange[0]} is no plain tensor that the file can hold")
    odd = [name for name, of in weights.items() if of.is_floating_point() and not of.isfinite().all()]
    if odd:
        raise UsageError(f"{path}: its weights are damaged: {odd[0]} holds NaN or infinite values")


def _is_plain(tensor: Tensor) -> bool:
    odd = tensor.is_meta or tensor.is_quantized or tensor.is_nested or tensor.is_complex()
    return tensor.layout == torch.strided and not odd


def check_kinds(wanted: Mapping[str, Tensor], weights: dict[str, Tensor]) -> None:
    """Refuse whole numbers where a model has others, or the other way round; floats of another width are converted."""
    for name, own in wanted.items():
        given = weights.get(name, own)
        if given.dtype != own.dtype and not (given.is_floating_point() and own.is_floating_point()):
            raise UsageError(f"{name} is {given.dtype}, the model has {own.dtype}")


def calibration_beside(checkpoint: Path) -> dict[str, Any]:
    """Return the calibration that lies beside a checkpoint, if it is of that checkpoint; else nothing.

    Raises:
        UsageError: It is damaged.
    """
    path = checkpoint.with_name(CALIBRATION)
    if not path.exists():
        return {}
    try:
        found = read_object(own_file(path.parent, CALIBRATION, LARGEST_JSON), "delete it")
    except DataError as error:
        raise UsageError(str(error)) from error
    return check_calibration(found, path) if found.get("checkpoint") == archive_digest(checkpoint) else {}


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


class Bounded(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Refuse to build what is far larger than a model of some weights: arguments of a stranger may ask for it.

    Args:
        values: Of one tensor.
        steps: Calls of torch; all their results together may have four times the values.
    """

    def __init__(self, values: int, steps: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.values, self.steps, self.left = values, steps, 4 * values

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Look at the size that is asked for, then do what was to be done."""
        size = args[0] if args else ()
        if isinstance(size, list | tuple) and all(isinstance(of, int) for of in size):
            asked = 1
            for of in size:
                asked *= of
            if asked > self.values:
                raise UsageError(f"it asks for a tensor of {asked:,} values, far more than all its weights")
        result = func(*args, **(kwargs or {}))
        self.steps -= 1
        self.left -= getattr(result, "numel", int)()
        if self.steps < 0 or self.left < 0:
            raise UsageError("it asks for far more layers than it has weights")
        return result
