"""The classes that a YAML, an option or a checkpoint may name; anything else is refused before it is imported.

A class path is a bare name or the full path of a class, in this project's packages or in the modules of libraries that
are listed here. Of this project's the last name counts, whatever module it had when the path was written. A user's own
package is named on the command line, which nobody but the user writes.
"""

import contextlib
import importlib
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from yaml import YAMLError

from datamodules.errors import DataError
from experiments.settings.plain_yaml import limited

OPTION = "--allow-import"
HELP = "a package of your own, whose classes may be named; from the working directory too; can be repeated"
PACKAGES = ("lightning_modules", "datamodules", "callbacks")
_OWN = re.compile(rf"(?:{'|'.join(PACKAGES)})(?:\.\w+)*\.([A-Z]\w*)")  # full path of a class of ours
# Where the library defines what can be named here: modules, optimizers, schedulers, metrics, and parts of a trainer.
LIBRARIES = (
    "lightning.Callback", "lightning.fabric.plugins", "lightning.pytorch.accelerators", "lightning.pytorch.callbacks",
    "lightning.pytorch.cli.ReduceLROnPlateau", "lightning.pytorch.loggers", "lightning.pytorch.plugins",
    "lightning.pytorch.profilers", "lightning.pytorch.strategies",
    "timm.layers", "timm.loss", "timm.models", "timm.optim", "timm.scheduler",
    "torch.nn", "torch.optim", "torchmetrics", "torchvision.models", "torchvision.ops", "transformers",
)  # fmt: skip
# Options that take a class path as well as a short name.
_PARTS = ("trainer.accelerator", "trainer.plugins", "trainer.precision", "trainer.profiler", "trainer.strategy")


def modules(project: Path) -> list[str]:
    """Return the names of all modules whose classes can be named, found by a walk over the packages' folders.

    Args:
        project: Folder that holds the packages.
    """
    paths = [path for package in PACKAGES for path in sorted((project / package).rglob("*.py"))]
    return [".".join(path.relative_to(project).with_suffix("").parts) for path in paths if path.stem != "__init__"]


def split(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Take ``--allow-import`` out of a command line, so that it is in no parser, request, config or checkpoint.

    Args:
        arguments: A command line.

    Returns:
        The packages that may be imported, and the other arguments.

    Raises:
        DataError: If an option has no value, or one that is no name of a package.
    """
    allowed: list[str] = []
    others: list[str] = []
    rest = list(arguments)
    while rest:
        word = rest.pop(0)
        name, equals, value = word.partition("=")
        if name != OPTION:
            others.append(word)
            continue
        if not equals:
            value = rest.pop(0) if rest and not rest[0].startswith("-") else ""
        allowed.append(package(value))
    return allowed, others


def package(name: str) -> str:
    """Return the value of one ``--allow-import``.

    Args:
        name: As it was typed.

    Raises:
        DataError: If it is no name of a package.
    """
    if not all(part.isidentifier() for part in name.split(".")):
        raise DataError(f"{OPTION} {name}".rstrip() + ": expected the name of a package, for example my_models")
    return name


@contextlib.contextmanager
def guarded(allowed: Sequence[str]) -> Iterator[None]:
    """Keep jsonargparse, which imports whatever a value names while it parses, to the modules that are listed.

    Args:
        allowed: The user's own packages, which are imported.

    Raises:
        DataError: If one of them cannot be imported.
    """
    from jsonargparse import _common, get_loader, set_loader, set_parsing_settings

    before, loader = dict(_common.parsing_settings), get_loader("yaml")
    try:
        for name in allowed:
            _import(name)
        set_parsing_settings(
            import_path_denylist=["*"],
            import_path_allowlist=[*PACKAGES, *LIBRARIES, *allowed],
            instantiate_subclass_spec_in_any=False,  # a mapping stays one where no class is asked for
        )
        # Of files and of options.
        set_loader("yaml", limited(lambda text: update_class_paths(loader(text))), (YAMLError,))
        yield
    finally:
        set_loader("yaml", loader, (YAMLError,))
        _common.parsing_settings.update(before)


def _import(name: str) -> None:
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())
    try:
        importlib.import_module(name)
    except Exception as error:  # it is the user's code
        raise DataError(f"{OPTION} {name}: cannot be imported ({type(error).__name__}: {error})") from error


def refusal(path: str) -> str:
    """Return why a class path is refused, and what to do about it."""
    top = path.partition(".")[0]
    return f"{path} is no class of this project or of its libraries; where you trust it, add {OPTION} {top}"


def check_classes(value: Any, name: str = "") -> None:
    """Check that settings name only classes: a function that returns the right type would be called.

    Args:
        value: Parsed settings; what they name has been imported.
        name: Option that they belong to.

    Raises:
        DataError: If something in them is a function, or a string where Lightning would look one up.
    """
    if isinstance(value, Mapping):
        items = list(value.items())
    elif hasattr(value, "__dict__") and type(value).__name__ == "Namespace":
        items = list(vars(value).items())
    elif isinstance(value, list | tuple | set):
        for item in value:
            check_classes(item, name)
        return
    elif isinstance(value, str) and name in _PARTS and (path := re.search(r"[^\W\d]\w*(\.\w+)+", value)):
        raise DataError(f"--{name}: {refusal(path[0])}")  # was taken for the name of one that Lightning knows
    elif callable(value) and not isinstance(value, type | os.PathLike):
        raise DataError(f"--{name}: {getattr(value, '__name__', value)} is no class; a class path names a class")
    else:
        return
    for key, item in items:
        if key == "class_path" and isinstance(item, str) and not isinstance(_loaded(item), type | None):
            raise DataError(f"--{name}: {item} is no class; a class path names a class")
        check_classes(item, f"{name}.{key}" if name else str(key))


def _loaded(path: str) -> Any:
    """Return the object of a dotted path, if its module is loaded; nothing is imported."""
    parts = path.split(".")
    for length in range(len(parts) - 1, 0, -1):
        found = sys.modules.get(".".join(parts[:length]))
        if found is not None:
            for part in parts[length:]:
                found = getattr(found, part, None)
            return found
    return None


def current_class_path(path: Any) -> Any:
    """Return the current full path of a class of this project, found by its last name whatever module it names.

    Args:
        path: A class path as a checkpoint, a YAML or an option has it.

    Returns:
        The path; as it came where it is none of this project's, or no such class is loaded.
    """
    if not (name := _own_name(path)):
        return path
    modules = [module for known, module in list(sys.modules.items()) if known.partition(".")[0] in PACKAGES]
    found = [vars(module).get(name) for module in modules]
    own = {one.__module__ for one in found if isinstance(one, type) and one.__module__.split(".")[0] in PACKAGES}
    return f"{own.pop()}.{name}" if len(own) == 1 else path


def update_class_paths(value: Any) -> Any:
    """Return settings, or the stored arguments of a model, with current class paths."""
    return _each_text(value, current_class_path)


def update_command_line(words: Sequence[str]) -> list[str]:
    """Return a command line whose words and values have current class paths."""
    pairs = [word.partition("=") if word.startswith("-") else ("", "", word) for word in words]
    return [f"{name}{equals}{current_class_path(value)}" for name, equals, value in pairs]


def shorten_class_paths(value: Any) -> Any:
    """Return settings with the classes of this project by their last names, as a request holds them.

    Args:
        value: Settings, or a part of them.
    """
    return _each_text(value, lambda text: _own_name(text) or text)


def _own_name(path: Any) -> str:
    """Return the last name of a full path of a class of this project; empty of anything else."""
    found = _OWN.fullmatch(path) if isinstance(path, str) else None
    return found[1] if found else ""


def _each_text(value: Any, change: Callable[[str], str]) -> Any:
    if isinstance(value, dict):
        return {key: _each_text(item, change) for key, item in value.items()}
    if type(value) in (list, tuple):
        return type(value)(_each_text(item, change) for item in value)
    return change(value) if isinstance(value, str) else value
