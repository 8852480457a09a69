"""Checkpoints that survive a kill at any moment."""

from pathlib import Path
from typing import Any

from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO

from tensor_files import save_torch


class AtomicCheckpointIO(TorchCheckpointIO):
    """Write beside the target, sync, then rename: the old checkpoint or the new one, never half of one.

    Lightning writes to the system's temporary folder and moves the file: across file systems that is a copy, and a kill
    during it destroys the previous checkpoint (Lightning-AI/pytorch-lightning#19970).
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None) -> None:
        """Save a checkpoint.

        Args:
            checkpoint: What to save.
            path: Local path.
            storage_options: Not used.
        """
        save_torch(checkpoint, Path(path))
