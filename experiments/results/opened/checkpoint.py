"""A checkpoint of anybody, a run's or an exported folder, opened: read and looked at, and nothing of it imported."""

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeGuard

from torch import Tensor

from datamodules.errors import DataError
from datamodules.reading.files import sha256_file
from datamodules.reading.plain_json import read_object
from experiments.errors import UsageError
from experiments.results.cell import read_result
from experiments.results.checkpoints import read_checkpoint
from experiments.results.needs import EXPORTED, SELECTED, source_file
from experiments.results.opened.strangers import (
    LARGEST_INPUT,
    LARGEST_JSON,
    MOST_DESCRIBED,
    check_description,
    check_places,
    check_plain,
    own_file,
)
from tensor_archives import TensorFileError, archive_digest
from tensor_files import read_safetensors

CONFIG, PREPROCESSING, WEIGHTS = EXPORTED, "preprocessing.json", "model.safetensors"  # of an exported folder
_ANEW = "export it again"
SCHEMA = 1  # of an exported folder


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
    if (path := source_file(path)).is_dir():
        raise UsageError(f"{path}: no run's folder, it holds no checkpoints/{SELECTED[0]}; name a checkpoint")
    content = read_checkpoint(path)
    described = [value for value in content.values() if isinstance(value, dict) and "prepared_by" in value] or [{}]
    parts = content["hyper_parameters"], content["state_dict"], described[0]
    checkpoint = _checked(Checkpoint(path, *parts, _result_of(path)))
    if lost := content.get("lost_parts"):
        raise UsageError(
            f"{path} does not say how its {lost[0]} was built, as that was handed to the model as an object: build the "
            "model of plain arguments, or train it by cli.py fit"
        )
    return checkpoint


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
