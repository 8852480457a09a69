"""What a result was made on, and by which version of the code."""

import platform
import subprocess
from pathlib import Path

import torch
from lightning.pytorch import Trainer

HERE = Path(__file__).parent


def device_name(trainer: Trainer) -> str:
    """What the run ran on, in words."""
    if trainer.strategy.root_device.type == "cuda":
        return f"{trainer.world_size} x {torch.cuda.get_device_name()}"
    return f"CPU {platform.machine()}, {torch.get_num_threads()} threads x {trainer.world_size}"


def commit() -> str | None:
    """The version of the project's code, marked where files differ from it; None outside a repository."""
    command = ["git", "-C", str(HERE), "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None
