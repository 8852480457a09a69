"""Checkpoints that survive a kill at any moment."""

from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO

from callbacks.files import replacing


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes beside the target, syncs, then renames: the old checkpoint or the new one, never half of one.

    Lightning writes to the system's temporary folder and moves the file: across file systems that is a copy, and a kill
    during it destroys the previous checkpoint (Lightning-AI/pytorch-lightning#19970).
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None) -> None:
        """Saves a checkpoint.

        Args:
            checkpoint: What to save.
            path: Local path.
            storage_options: Not used.
        """
        try:
            with replacing(Path(path)) as temporary, temporary.open("wb") as file:
                torch.save(checkpoint, file)
        except BaseException as error:
            # The zip writer of torch turns Ctrl-C in the middle of a write into a RuntimeError.
            if isinstance(error.__context__, KeyboardInterrupt):
                raise error.__context__ from None
            raise
