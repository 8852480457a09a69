"""What a command takes from the checkpoint that it is given: the model, and how its data were read."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from experiments.errors import UsageError
from experiments.results import request
from experiments.results.checkpoints import restore_data_options, stored_model


def model_of_checkpoint(command: str, path: str | None, config: Any, arguments: Sequence[str]) -> dict[str, Any]:
    """Return the class path and arguments of a checkpoint's model; options of its data are laid under those given.

    Args:
        command: ``fit``, which resumes, or another.
        path: The checkpoint.
        config: Parsed settings of the command; those of the data are changed.
        arguments: As the command was given them.

    Returns:
        Nothing without a checkpoint.

    Raises:
        UsageError: It is needed and not given, is damaged or of another model, or options would change the model.
    """
    changed = [key for key in request.parse_command(arguments)[1] if key.split(".")[0] == "model"]
    if path and changed:
        raise UsageError(
            f"--{changed[0]} has no effect with --ckpt_path: the checkpoint says what the model is.\n"
            "What can vary at evaluation is --data.* and callbacks; to train with it, fit without --ckpt_path"
        )
    if command != "fit" and not path and not config.trainer.fast_dev_run:
        raise UsageError(f"{command} needs --ckpt_path <run>/checkpoints/best.ckpt")
    if not path:
        return {}
    model = stored_model(Path(path), config.model.class_path, resume=command == "fit")
    if command != "fit":
        given = request.read_command(arguments).get("data", {})
        restore_data_options(Path(path), config.data.class_path, config.data.init_args, given.get("init_args", {}))
    return model
