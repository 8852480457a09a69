"""Fine-tuning: a run that begins with the weights of another training, of as many parts as fit (``--init_from``)."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from datamodules.base import EmotionDataModule
from error_texts import first_names
from experiments.errors import UsageError
from experiments.results.checkpoints import read_checkpoint
from experiments.results.needs import resolve_checkpoints, source_file
from experiments.results.opened.checkpoint import CONFIG, Checkpoint, open_checkpoint
from experiments.results.opened.strangers import check_weights
from experiments.results.result_check import STAND_IN
from experiments.settings import class_paths
from lightning_modules.base import EmotionTask

OPTION = "--init_from"


def open_source(path: Path) -> Checkpoint:
    """Read a checkpoint, the selected one of a run's folder, or an exported folder; nothing that it names is imported.

    Raises:
        UsageError: It is none, or damaged.
    """
    if (path / CONFIG).is_file():
        return open_checkpoint(path)
    if (file := source_file(path)).is_dir():
        raise UsageError(f"{OPTION} {path}: no exported folder, no run's folder; name one, or a checkpoint")
    content = read_checkpoint(file, f"{OPTION} ")
    described = [value for value in content.values() if isinstance(value, dict) and "corpus" in value]
    return Checkpoint(file, content["hyper_parameters"], content["state_dict"], described[0] if described else {})


def take(task: EmotionTask, data: EmotionDataModule, config: Any, checkpoint: str | None) -> tuple[str, str | None]:
    """Have a model begin with the weights of another training, by name and shape (`EmotionTask.initial`).

    What depends on the labels or on what words stand for stays new where these are others: the scales of values, the
    outputs, the tables of metadata.

    Args:
        task: The model.
        data: What it is to learn.
        config: Settings of the run: its seed, and what it begins with, if with anything.
        checkpoint: What it is to resume from besides.

    Returns:
        What is to be said of it, a line or two, and the corpus of that training, stamped where it was a stand-in; empty
        and None where there is nothing to begin with.

    Raises:
        UsageError: That holds another model, or nothing that fits.
    """
    if not config.init_from:
        return "", None
    place = {"fold": data.fold, "seed": config.seed_everything, "protocol": data.protocol}
    path = Path(resolve_checkpoints({"": config.init_from}, **place)[""])
    if checkpoint:
        raise UsageError(
            f"{OPTION} and --ckpt_path: a run begins with one of them; the same command without --ckpt_path carries on"
        )
    source = open_source(path)
    option, name = f"{OPTION} {path}", type(task).__name__
    stored = class_paths.update_class_paths(source.arguments)["_class_path"]
    if stored != f"{type(task).__module__}.{type(task).__qualname__}":
        raise UsageError(
            f"{option}: it holds a {stored.rpartition('.')[2]}, the settings ask for a {name}; a part of another model "
            "is taken by --model.init_from.PART"
        )
    if not any(parameters for parameters in task.stage_parameters().values()):
        raise UsageError(f"{option}: a {name} is fitted at once, to all clips: it has nothing to begin with")
    check_weights(source.weights, source.path)
    _check_words(source.described, data, option)
    own = task.state_dict()
    others = _other_meanings(task, source, data)
    fits = {key: of for key, of in source.weights.items() if key in own and of.shape == own[key].shape}
    task.initial = {key: of for key, of in fits.items() if key not in others}
    if not task.initial.keys() & dict(task.named_parameters()).keys():
        raise UsageError(f"{option}: nothing in it fits this {name}: it holds {first_names(list(source.weights))}")
    corpus = str(source.described.get("corpus") or "a corpus that it does not name")
    corpus += STAND_IN * bool(source.described.get("synthetic"))
    return f"from {path}: {_told(task, source)}{_shared(source.described, data)}", corpus


def _check_words(described: Mapping[str, Any], data: EmotionDataModule, option: str) -> None:
    """Refuse a model of words that another tokenizer numbered."""
    theirs, ours = (of.get("tokenizers") for of in (described, data.state_dict()))
    if theirs and ours and (not isinstance(theirs, dict) or list(theirs.values()) != list(ours.values())):
        raise UsageError(f"{option}: its words were numbered by another tokenizer; prepare with the one it has")


def _other_meanings(task: EmotionTask, source: Checkpoint, data: EmotionDataModule) -> set[str]:
    """Return the names of tensors whose numbers would mean something else here, whatever their shapes."""
    found = {"value_means", "value_deviations"}
    theirs = [source.arguments.get(name) or None for name in ("class_names", "tasks")]
    if theirs != [list(task.class_names), task.tasks or None]:
        _, last = [(stage, parts) for stage, parts in task.stages().items() if _tensors(parts)][-1]
        outputs = {id(of) for of in _tensors(last) if of.shape[:1] == (task.num_classes,)}
        found |= {key for key, of in task.state_dict(keep_vars=True).items() if id(of) in outputs}
    if source.described.get("vocabularies", {}) != getattr(data, "vocabularies", {}):
        tables = [f"{name}." for name, module in task.named_modules() if hasattr(module, "of_vocabulary")]
        found |= {key for key in task.state_dict() if key.startswith(tuple(tables))}
    return found


def _tensors(parts: Iterable[nn.Module | nn.Parameter]) -> list[Tensor]:
    return [
        of
        for part in parts
        for of in ([part] if isinstance(part, Tensor) else part.state_dict(keep_vars=True).values())
    ]


def _told(task: EmotionTask, source: Checkpoint) -> str:
    """Return which stages were taken and which are new."""
    taken = {id(of) for key, of in task.state_dict(keep_vars=True).items() if key in task.initial}
    shares = {
        stage: sum(id(of) in taken for of in tensors) / len(tensors)
        for stage, parts in task.stages().items()
        if (tensors := _tensors(parts))
    }
    whole, new = ([stage for stage, share in shares.items() if share == wanted] for wanted in (1, 0))
    part = [stage for stage, share in shares.items() if 0 < share < 1]
    classes = source.arguments.get("class_names")
    outputs = [len(of) if isinstance(of, list) else 0 for of in (classes, task.class_names)]
    change = f" ({outputs[0]} -> {outputs[1]} classes)" if outputs[0] != outputs[1] else ""
    partly = f"; in part: {', '.join(part)}" if part else ""
    return (
        f"{', '.join(whole) or 'no whole stage'} taken ({len(task.initial)} tensors){partly}; "
        f"new: {', '.join(new) or 'nothing else'}{change}"
    )


def _shared(described: Mapping[str, Any], data: EmotionDataModule) -> str:
    """Return a warning where both trainings are of one corpus, divided in another way."""
    theirs = [described.get(name) for name in ("corpus", "protocol", "fold")]
    if theirs[0] != data.corpus or theirs == [data.corpus, data.protocol, data.fold]:
        return ""
    return (
        f"\nit was trained on {theirs[0]} too, protocol {theirs[1]}, fold {theirs[2]}: what is held out here may have "
        "trained it; what is scored then says too much"
    )
