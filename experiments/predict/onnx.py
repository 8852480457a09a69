"""A trained model as an ONNX file: exported strictly, and compared with torch before it is kept.

The graph takes a batch as the model's forward sees it (contract 1, flat): ``video``, ``mask_video``, ``length_audio``.
"""

import contextlib
import io
import logging
import re
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from error_texts import chain, first_line
from experiments.errors import UsageError
from experiments.settings.class_paths import update_class_paths
from lightning_modules.base import EmotionTask

NAME = "model.onnx"
EXTRA = "--format onnx needs onnx, onnxscript and onnxruntime: pip install -c constraints.txt -e '.[onnx]'"
EXAMPLE = 2  # clips that the graph is traced with
SIZES = (1, 3, 7)  # that it is compared at
TOLERANCE = 1e-5  # of logits and gates, of their size where that is above 1
TOLERANCES = {"ERANN": 5e-4}  # its spectrogram's logarithm magnifies how two FFTs round
PARTS = ("mask", "length", "seen", "utterance_mask")  # of a batch, by modality


@dataclass(frozen=True)
class Inputs:
    """What a model's forward takes, as far as its settings tell.

    Args:
        task: The model.
        kinds: Of its modalities, as `EmotionTask.reads` gives them.
    """

    task: EmotionTask
    kinds: Mapping[str, str]

    @property
    def shapes(self) -> dict[str, list[int]]:
        """Shape of one clip by modality, in the order of the data; 0 where it varies."""
        shapes = self.task.input_shapes
        return {name: shape for name, shape in shapes.items() if name in {*(self.kinds or shapes), "context"}}

    @property
    def talk(self) -> int:
        """Utterances of a dialogue; 0 of a clip."""
        return next((self.shapes[name][0] for name, kind in self.kinds.items() if kind.startswith("utterances")), 0)

    def varies(self, name: str) -> bool:
        """Return whether a modality has any number of steps: its first axis after that of the batch."""
        task: Any = self.task
        encoders = getattr(task, "encoders", None) or {}
        listed = isinstance(encoders, nn.ModuleList)
        by_name = dict(zip(task.modalities, encoders, strict=True)) if listed else dict(encoders.items())
        return getattr(by_name.get(name), "reads_length", False) or not self.shapes[name][0]

    def batch(self, size: int, seed: int, missing: str = "", steps: int = 5) -> dict[str, Tensor]:
        """Return clips of noise, padded and without some of their modalities, by the names of the graph.

        Args:
            size: How many.
            seed: Of the noise.
            missing: The modality that none has; without one all clips have everything.
            steps: Length of what has any.
        """
        draw = torch.Generator().manual_seed(seed)
        found: dict[str, Tensor] = {}
        for name, shape in self.shapes.items():
            whole = [steps, *shape[1:]] if self.varies(name) else shape
            found[name] = self._values(name, [size, *whole], draw)
            present = (torch.rand(size, generator=draw) < 0.7) | (not missing)
            found[f"mask_{name}"] = present & (name != missing)
            length = whole[-1] if self.kinds.get(name) == "MFCCs" else whole[0]
            found[f"length_{name}"] = torch.randint(1, length + 1, (size,), generator=draw)
            found[f"seen_{name}"] = torch.rand(size, whole[0], generator=draw) < 0.8
            if self.talk:
                found[f"utterance_mask_{name}"] = torch.rand(size, self.talk, generator=draw) < 0.8
        if self.talk:
            found["length_utterances"] = torch.randint(1, self.talk + 1, (size,), generator=draw)
            found["role"] = torch.randint(0, 3, (size, self.talk), generator=draw)
        return found

    def _values(self, name: str, shape: list[int], draw: torch.Generator) -> Tensor:
        kind = "tokens" if name == "context" else self.kinds.get(name, "")
        if kind == "facts":
            columns = [
                torch.randint(0, rows, shape[:1], generator=draw) for rows in self.task.vocabulary_sizes.values()
            ]
            return torch.stack(columns, 1)
        if kind.endswith("tokens"):
            known: list[Any] = [getattr(module, "vocabulary", None) for module in self.task.modules()]
            most = min((of for of in known if isinstance(of, int)), default=2)
            values = torch.randint(1, most, shape, generator=draw)
        else:
            values = torch.randn(shape, generator=draw)
        if kind.endswith(("tokens", "wave", "waves")):  # zeros after their end
            ends = torch.randint(1, shape[-1] + 1, shape[:-1], generator=draw)
            values = values.masked_fill(torch.arange(shape[-1]) >= ends.unsqueeze(-1), 0)
        return values


class Noted(dict[str, Any]):
    """A part of a batch that notes which of its entries are read."""

    def __init__(self) -> None:
        super().__init__()
        self.read: set[str] = set()

    def __getitem__(self, name: str) -> Any:
        """Return an entry."""
        self.read.add(name)
        return super().__getitem__(name)

    def get(self, name: str, default: Any = None) -> Any:
        """Return an entry, or what stands in place of it."""
        self.read.add(name)
        return super().get(name, default)


def nested(flat: Mapping[str, Tensor], kind: type[dict[str, Any]] = dict) -> dict[str, Any]:
    """Return a batch of contract 1 from its flat names, of dicts of some kind."""
    batch = kind()
    batch.update(length=kind(), mask=kind())
    for name, values in flat.items():
        part = next((part for part in PARTS if name.startswith(f"{part}_")), "")
        if part:
            batch.setdefault(part, kind())[name.removeprefix(f"{part}_")] = values
        else:
            batch[name] = values
    return batch


def named(output: Mapping[str, Any]) -> dict[str, Tensor]:
    """Return what is compared of a model's output, by the names of the graph: logits and gates."""
    logits, gate = output["logits"], output.get("aux", {}).get("gate")
    found = {f"logits_{name}": of for name, of in logits.items()} if isinstance(logits, dict) else {"logits": logits}
    return found if gate is None else {**found, "gate": gate}


def read_by(task: EmotionTask, flat: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], list[str]]:
    """Return those inputs that a model reads, and the names of its outputs."""
    batch: Any = nested(flat, Noted)
    batch["id"] = [""] * EXAMPLE
    outputs = list(named(task(batch)))
    read = batch.read | {f"{part}_{name}" for part in PARTS for name in dict.get(batch, part, Noted()).read}
    return {name: of for name, of in flat.items() if name in read}, outputs


class Graph(nn.Module):
    """A model with flat inputs and outputs.

    Args:
        task: The model.
    """

    def __init__(self, task: EmotionTask) -> None:
        super().__init__()
        self.task = task

    def forward(self, flat: dict[str, Tensor]) -> tuple[Tensor, ...]:
        """Return logits and gates."""
        return tuple(named(self.task(nested(flat))).values())


def write(task: EmotionTask, arguments: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """Write a model as an ONNX file; return what a folder tells of it: inputs, outputs, the largest difference.

    Args:
        task: The model, in eval mode on the CPU.
        arguments: That it was built with, as its checkpoint has them.
        path: Of the file.

    Raises:
        UsageError: A package is missing, the model cannot be exported, or the file says something else than it.
    """
    try:
        import onnxruntime
        import onnxscript  # noqa: F401
    except ImportError:
        raise UsageError(EXTRA) from None
    # Of a recurrent layer over any number of steps.
    torch.compiler.allow_in_graph(torch.onnx.ops.symbolic)  # type: ignore[no-untyped-call]
    inputs = Inputs(task, type(task).reads(**update_class_paths(dict(arguments))))
    example = inputs.batch(EXAMPLE, seed=0)
    with torch.no_grad(), _quiet():
        example, names = read_by(task, example)
        if not example:
            raise UsageError(f"--format onnx: {type(task).__name__} reads no input, there is nothing to export")
        try:
            program = torch.export.export(Graph(task), (example,), dynamic_shapes=_shapes(inputs, example), strict=True)
            made = torch.onnx.export(
                program,
                dynamo=True,
                dynamic_shapes=_shapes(inputs, example),
                input_names=list(example),
                output_names=names,
                verbose=False,
            )
        except Exception as error:
            raise UsageError(f"--format onnx: {type(task).__name__} cannot be exported: {_reason(error)}") from error
    assert made is not None
    for unused in [of for of in made.model.graph.inputs if not of.uses()]:
        made.model.graph.inputs.remove(unused)
    made.save(path)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    try:
        largest = _compare(task, inputs, session)
    except Exception as error:
        for part in path.parent.glob(f"{path.name}*"):
            part.unlink()
        raise UsageError(f"--format onnx: {type(task).__name__}: {first_line(error, 200)}") from error
    return {
        "inputs": {of.name: {"dtype": of.type.removeprefix("tensor(").removesuffix(")"), "shape": of.shape}
                   for of in session.get_inputs()},
        "outputs": {of.name: of.shape for of in session.get_outputs()},
        "opset": made.model.opset_imports[""],
        "largest_difference": largest,
    }  # fmt: skip


def _shapes(inputs: Inputs, example: Mapping[str, Tensor]) -> tuple[dict[str, dict[int, Any]]]:
    """Return which axes of every input may be of any length."""
    clips = torch.export.Dim("batch")
    found: dict[str, dict[int, Any]] = {name: {0: clips} for name in example}
    for name in inputs.shapes:
        if inputs.varies(name):
            steps = torch.export.Dim(f"{name}_steps")
            for shown in {name, f"seen_{name}"} & set(found):
                found[shown][1] = steps
    return (found,)


def _compare(task: EmotionTask, inputs: Inputs, session: Any) -> float:
    """Return the largest difference between file and model, over batches of several sizes that lack what they may.

    Raises:
        UsageError: It is too large.
    """
    taken, largest = [of.name for of in session.get_inputs()], 0.0
    outputs = [of.name for of in session.get_outputs()]
    for seed, size in enumerate(SIZES, 1):
        for missing in ("", *inputs.shapes):
            flat = inputs.batch(size, seed, missing, steps=size)
            with torch.inference_mode():
                said = {name: of.numpy() for name, of in named(task(nested(flat))).items()}
            found = session.run(outputs, {name: flat[name].numpy() for name in taken})
            for name, of in zip(outputs, found, strict=True):
                if of.shape != said[name].shape:
                    raise UsageError(
                        f"of {size} clips the file gives {name} of shape {of.shape}, not {said[name].shape}"
                    )
                far = float(np.max(np.abs(of - said[name]) / np.maximum(1, np.abs(said[name]))))
                if not far <= TOLERANCES.get(type(task).__name__, TOLERANCE):
                    lack = f" without {missing}" * bool(missing)
                    raise UsageError(f"the file's {name} of {size} clips{lack} differ by {far:.1e} from the model's")
                largest = max(largest, far)
    return largest


def _reason(error: BaseException) -> str:
    """Return the first line of an error, and the line of this project that it came from."""
    places = re.findall(r'(lightning_modules/\S+)", line (\d+)', "\n".join(map(str, chain(error))))
    return first_line(error, 200) + (f" ({':'.join(places[-1])})" if places else "")


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep what exporters say of their own work from the screen, and attention to operators that they know."""
    level, fast = logging.root.manager.disable, torch.backends.mha.get_fastpath_enabled()
    logging.disable(logging.ERROR)
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)
        torch.backends.mha.set_fastpath_enabled(fast)
