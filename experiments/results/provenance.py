"""Provenance of a result: the device, and the version of the code."""

import platform
import subprocess
from pathlib import Path

import torch
from lightning.pytorch import Trainer

HERE = Path(__file__).parent


def device_name(trainer: Trainer) -> str:
    """Return the name of the device that the run used."""
    if trainer.strategy.root_device.type == "cuda":
        return f"{trainer.world_size} x {torch.cuda.get_device_name()}"
    return f"CPU {platform.machine()}, {torch.get_num_threads()} threads x {trainer.world_size}"


def commit() -> str | None:
    """Return the version of the project's code, marked where files differ from it; None outside its repository."""
    git = ["git", "-C", str(HERE)]
    try:
        # An installed copy may lie inside a repository that is somebody else's.
        subprocess.run([*git, "ls-files", "--error-unmatch", Path(__file__).name], capture_output=True, check=True)
        command = [*git, "describe", "--always", "--dirty", "--abbrev=12"]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None
