"""What the training commands say: errors of one or two lines, and none of Lightning's advice that does not apply."""

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
    """Whether a log record tells a user something."""
    return not record.getMessage().startswith(CHATTER)


_format_of_python = warnings.formatwarning


def _format_warning(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, line: str | None = None
) -> str:
    """Our own warnings are for users, who have no use for a line of source; those of libraries say where they are."""
    if Path(filename).is_relative_to(PROJECT) and "site-packages" not in filename:
        return f"warning: {message}\n"
    return _format_of_python(message, category, filename, lineno, line)


def quiet() -> None:
    """Keeps what does not apply here off the screen."""
    warnings.formatwarning = _format_warning
    for pattern in NOISE:
        warnings.filterwarnings("ignore", pattern)
    for name in ("lightning.pytorch", "lightning.pytorch.utilities.rank_zero", "lightning.fabric.utilities.seed"):
        logging.getLogger(name).addFilter(worth_reading)


class Parser(LightningArgumentParser):
    """Tells what is wrong with an option in one or two lines instead of a page of usage; takes no abbreviations."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        # An abbreviated option would reach the parser and not the request that a run is compared by.
        super().__init__(*args, **{**kwargs, "allow_abbrev": False})

    def add_class_arguments(self, *args: Any, **kwargs: Any) -> list[str]:
        """Adds the arguments of a class, a count before a share where both are allowed."""
        added: list[str] = super().add_class_arguments(*args, **{**kwargs, "sub_configs": False})
        counts_before_shares(self._actions)
        return added

    def add_subclass_arguments(self, *args: Any, **kwargs: Any) -> Any:
        """Adds a class that settings name; what they name is never taken for a file that says more."""
        added = super().add_subclass_arguments(*args, **kwargs)
        for action in self._actions:
            if hasattr(action, "_enable_path"):
                action._enable_path = False
        return added

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Raises the condensed message."""
        raise UsageError(condense(message)) from None


def condense(message: str) -> str:
    """The part of a parser's message that a user can act on.

    jsonargparse tells what every type of a union said, nested by option; the first complaint that is not about the
    union itself is the cause.

    Args:
        message: As jsonargparse words it.

    Returns:
        One line: option, complaint.
    """
    option: list[str] = []
    if denied := re.search(r"Importing '([\w.]+)' is not allowed", message):
        before = message[: denied.start()]
        option = re.findall(r'Parser key "(.+?)":', before) or re.findall(r"--([\w.+]+):", before)
        return f"--{'.'.join(option)}: {refusal(denied[1])}"
    for line in message.splitlines():
        if inner := re.search(r"--([\w.]+): (.+)", line):  # already condensed by the parser of a class
            return f"--{'.'.join([*option, inner[1]])}: {inner[2]}"
        text = line.strip(" -")
        if key := re.fullmatch(r'Parser key "(.+)":\s*(.*)', text):
            option.append(key[1])
            text = key[2]
        if unknown := re.fullmatch(r"Option '(.+)' is not accepted", text):
            return f"--{'.'.join([*option, unknown[1]])}: there is no such option"
        if missing := re.fullmatch(r"Expected a dot import path string: (.+)", text):
            return f"--{'.'.join(option)}: there is no class {missing[1]}"
        if text and not re.match(
            r"Does not validate|Problem with given class_path '.+':$|Subtypes?\b|Subclass types|Errors:|"
            r"Expected a path but|Not a valid|Given value|a class path|a dict w",
            text,
        ):
            text = text.replace("Expected a ", "expected ")
            text = re.sub(r"<class '(\w+)'>|typing\.", r"\1", text)
            text = re.sub(r"Literal\[([^]]*)\]", lambda names: "one of " + names[1].replace("'", ""), text)
            given = re.search(r"Given value: (.{1,80})$", message)
            value = f". Got value: {given[1]}" if given and option and "Got value" not in text else ""
            return f"--{'.'.join(option)}: {text}{value}" if option else text
    return message.strip().splitlines()[0]
