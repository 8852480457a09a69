"""Create a Weights & Biases sweep of ``experiments/sweeps/`` and start an agent: ``make sweep EXP=cfnsr``.

The options of a run reach it through the command line alone, so that they are on every rank and in its request.
"""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from datamodules.errors import DataError
from datamodules.reading.names import fault_in_name
from error_texts import first_line
from experiments.settings.config import PROJECT, SETTING, Config, read_yaml
from option_parser import OptionError, Parser

WANDB_PROJECT = "affectzoo"
PROGRAM, START = "cli.py", ["${env}", "${interpreter}", "${program}"]


def start(name: str) -> int:
    """Create the sweep and run an agent until it ends.

    Args:
        name: Stem of the sweep's file.

    Returns:
        The agent's exit code.

    Raises:
        DataError: If there is no such sweep, no key, or W&B does not take the sweep.
    """
    folder = PROJECT / "experiments" / "sweeps"
    path = folder / f"{name}.yaml"
    if fault_in_name(name) or not path.exists():
        known = ", ".join(sorted(file.stem for file in folder.glob("*.yaml")))
        raise DataError(f"no sweep {name!r}; sweeps: {known}, for example `make sweep EXP=cfnsr`")
    content = read_yaml(path)
    _check(content, path)
    from callbacks.wandb import has_key  # imports Lightning

    if not has_key():
        raise DataError(
            "a sweep needs a Weights & Biases server and your key: set WANDB_API_KEY or run `.venv/bin/wandb login`, "
            "then this again"
        )
    import wandb

    try:
        sweep = wandb.sweep(content, project=WANDB_PROJECT)
    except Exception as error:  # whatever the server or the network says
        raise DataError(f"W&B did not take {path.name}: {first_line(error)}") from error
    # The agent starts `python`: the one of this environment.
    paths = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    command = [sys.executable, "-m", "wandb", "agent", f"{WANDB_PROJECT}/{sweep}"]
    return subprocess.call(command, cwd=PROJECT, env={**os.environ, "PATH": paths})


def _check(content: Config, path: Path) -> None:
    """Refuse a sweep that would make the agent run anything but a training command of this project.

    Raises:
        DataError: If it does.
    """
    command, parameters = content.get("command"), content.get("parameters")
    words = command if isinstance(command, list) else []
    if content.get("program") != PROGRAM or words[:3] != START or words[3:4] not in (["fit"], ["validate"], ["test"]):
        raise DataError(f"{path}: expected program: {PROGRAM} and a command that begins {' '.join(START)} fit")
    given = [str(word).partition("=")[0].removeprefix("--") for word in words[4:] if str(word).startswith("-")]
    for name in [*given, *(parameters if isinstance(parameters, dict) else {})]:
        if not SETTING.fullmatch(str(name)):
            raise DataError(f"{path}: {name} is no setting of an experiment")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; errors are one line."""
    parser = Parser(prog="-m experiments.train.sweep", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("name", nargs="?", default="", metavar="EXP", help="file stem in experiments/sweeps/")
    try:
        return start(parser.parse_args(arguments).name)
    except (DataError, OptionError) as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
