"""The options that a table may give: settings of experiments and sizes of stand-ins, no paths and no code."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from datamodules.errors import DataError
from datamodules.renamed import successor
from experiments.results.request import read_config
from experiments.settings.config import SETTING, Config

_NOT_OF_A_TABLE = {"boxes", "detector", "landmarks", "out", "preview", "source", "tokenizer", "workers"}
# An option of a command, or one of one view; a view as a whole could hold any of them.
_OPTION = re.compile(r"[a-z][a-z-]*|views\.[a-z_]+\.[a-z_]+|sink\.[a-z_]+")
# What a runner says of every cell: another value would be another cell, or in another place.
_OF_THE_RUNNER = (
    "ckpt_path", "data.init_args.fold", "data.init_args.protocol", "model.init_args.init_from", "overwrite",
    "seed_everything", "trainer.default_root_dir",
)  # fmt: skip


def check_settings(settings: Mapping[Any, Any], path: Path, where: str) -> None:
    """Refuse names that are no settings, as options of the command line only, or that a table must not set.

    Args:
        settings: What the table calls settings, by name.
        path: The table.
        where: Where in it, for the message.

    Raises:
        DataError: If one is none.
    """
    if not isinstance(settings, Mapping):
        raise DataError(f"{path}: {where}: expected a mapping, found {settings!r}")
    for name in settings:
        if not isinstance(name, str) or not SETTING.fullmatch(name) or name == "config":
            raise DataError(f"{path}: {where}: {name} is no setting of an experiment")
    merged = read_config((), settings)
    for name in _OF_THE_RUNNER:
        value: Any = merged
        for part in name.split("."):
            value = value.get(part) if isinstance(value, dict) else None
        if value is not None:
            raise DataError(f"{path}: {where}: {name} is no setting of a table: `reproduce` says it of every cell")


def making(entry: Any, path: Path, command: str, corpus: str) -> Config:
    """Return the options that make a stand-in, or those of several corpora under their names.

    Args:
        entry: What the table says.
        path: The table.
        command: ``synth`` or ``prepare``.
        corpus: Whose they are where they are not those of several.

    Raises:
        DataError: If they are no options, name a place or code, or have another name now.
    """
    where = f"{path}: synthetic: {command}"
    several = isinstance(entry, dict) and any(isinstance(value, dict) for value in entry.values())
    for whose, options in entry.items() if several else [(corpus, entry)]:
        if not isinstance(options, dict):
            raise DataError(f"{where}: expected a mapping, found {options!r}")
        for name in options:
            last = str(name).rpartition(".")[2]
            if not isinstance(name, str) or not _OPTION.fullmatch(name) or last in _NOT_OF_A_TABLE:
                raise DataError(f"{where}: {name} is no option that a table can give")
            if command == "prepare" and (moved := successor(whose, [f"--{name}"])):
                raise DataError(f"{where}: {moved}")
    return dict(entry)
