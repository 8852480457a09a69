"""Messages of the training commands: errors of one or two lines, without Lightning's advice that does not apply."""

import logging
import re
import warnings
from pathlib import Path
from typing import Any, NoReturn

from lightning.pytorch.cli import LightningArgumentParser

from experiments.errors import UsageError
from experiments.settings.class_paths import refusal
from experiments.settings.config import PROJECT
from experiments.settings.typehints import counts_before_shares
from option_parser import condense

# Advice of Lightning that does not apply here: clips are memory-mapped, folders and seeds are set on purpose.
NOISE = (
    r".*does not have many workers.*",
    r".*Checkpoint directory .* exists and is not empty.*",
    r".*number of training batches .* is smaller than the logging interval.*",
    r".*LightningCLI's args parameter.*",
    r".*was configured so `validation_step` will be skipped.*",
    r".*The `lightning.pytorch.*Trainer` class does not expose.*",
    r".*find_unused_parameters=True was specified.*",
    r".*isinstance\(treespec, LeafSpec\).*",
    r".*[Ll]it[Ll]ogger.*",
    r".*`weights_only` was not set.*",
    r".*module\(s\) in eval mode.*",
    r".*The dirpath has changed from.*",
)


# Lines of Lightning that say nothing a user needs at every start.
CHATTER = (
    "GPU available",
    "TPU available",
    "HPU available",
    "💡 Tip",
    "Restoring states",
    "Loaded model weights",
    "`Trainer.fit` stopped",
    "Seed set",
    "Running in `fast_dev_run` mode: will run the requested loop",
)


def worth_reading(record: logging.LogRecord) -> bool:
    """Return whether a log record is of use to a user."""
    return not record.getMessage().startswith(CHATTER)


_format_of_python = warnings.formatwarning


def _format_warning(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, line: str | None = None
) -> str:
    """Return a warning as text: ours without its line of source, those of libraries with the place they are from."""
    if Path(filename).is_relative_to(PROJECT) and "site-packages" not in filename:
        return f"warning: {message}\n"
    return _format_of_python(message, category, filename, lineno, line)


def quiet() -> None:
    """Hide the libraries' messages that do not apply here."""
    warnings.formatwarning = _format_warning
    for pattern in NOISE:
        warnings.filterwarnings("ignore", pattern)
    for name in ("lightning.pytorch", "lightning.pytorch.utilities.rank_zero", "lightning.fabric.utilities.seed"):
        logging.getLogger(name).addFilter(worth_reading)


class Parser(LightningArgumentParser):
    """Report what is wrong with an option in one or two lines, not a page of usage; take no abbreviations."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        # An abbreviated option would reach the parser and not the request that a run is compared by.
        super().__init__(*args, **{**kwargs, "allow_abbrev": False})

    def add_class_arguments(self, *args: Any, **kwargs: Any) -> list[str]:
        """Add the arguments of a class, a count before a share where both are allowed."""
        added: list[str] = super().add_class_arguments(*args, **{**kwargs, "sub_configs": False})
        counts_before_shares(self._actions)
        return added

    def add_subclass_arguments(self, *args: Any, **kwargs: Any) -> Any:
        """Add a class that settings name; what they name is never taken for a file that says more."""
        added = super().add_subclass_arguments(*args, **kwargs)
        for action in self._actions:
            if hasattr(action, "_enable_path"):
                action._enable_path = False
        return added

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Raise the condensed message."""
        raise UsageError(describe_error(message)) from None


def describe_error(message: str) -> str:
    """Return a message of jsonargparse in one line: option, complaint."""
    if denied := re.search(r"Importing '([\w.]+)' is not allowed", message):
        before = message[: denied.start()]
        option = re.findall(r'Parser key "(.+?)":', before) or re.findall(r"--([\w.+]+):", before)
        return f"--{'.'.join(option)}: {refusal(denied[1])}"
    names, complaint = condense(message)
    return f"{', '.join(f'--{name}' for name in names)}: {complaint}" if names else complaint
