"""Score the checkpoints that a run selected on its test fold."""

from pathlib import Path
from typing import Any

from callbacks.predictions import PredictionWriter
from datamodules.base import EmotionDataModule
from experiments.results.cell import UNSELECTED
from experiments.results.checkpoints import DAMAGED, read_checkpoint, same_selection
from lightning_modules.base import EmotionTask


def score_selections(trainer: Any, task: EmotionTask, data: EmotionDataModule) -> dict[str, dict[str, Any]]:
    """Test every checkpoint whose predictions are results.

    Args:
        trainer: After its training.
        task: The model.
        data: What it was trained on.

    Returns:
        Epoch, counted from 0 and None where nothing was trained, and metrics by selection. Where the run ended before
        its first validation there is no selected epoch, and the last one stands under `UNSELECTED`.
    """
    folder = Path(trainer.default_root_dir) / "checkpoints"
    writer = next(callback for callback in trainer.callbacks if isinstance(callback, PredictionWriter))
    trained = trainer.current_epoch  # the epoch that training stopped inside counts
    chosen = {name: folder / ("last.ckpt" if name == "last" else "best.ckpt") for name in data.selections}
    if trained and not (folder / "best.ckpt").exists():
        chosen = {"last" if "last" in chosen else UNSELECTED: folder / "last.ckpt"}
    found: dict[str, dict[str, Any]] = {}
    callbacks = trainer.callbacks
    for selection, path in reversed(chosen.items()):  # the selected one last: it is the one that is drawn
        last = selection == next(iter(chosen))
        trainer.callbacks = [callback for callback in callbacks if last or not getattr(callback, "draws", False)]
        if trainer.max_epochs == 0:  # nothing was trained: every selection is made of that selection of its parts
            task.start({part: same_selection(source, path) for part, source in task.init_from.items()})
            trainer.save_checkpoint(path, weights_only=False)
        elif not path.exists():
            trainer.save_checkpoint(path)
        # A checkpoint that is written after the last epoch says one too many.
        epoch = min(read_checkpoint(path, "", DAMAGED)["epoch"], trained - 1)
        writer.selection = selection
        metrics = trainer.test(task, datamodule=data, ckpt_path=str(path), verbose=False)[0]
        found[selection] = {"epoch": epoch if trained else None} | {
            name.removeprefix("test_"): value for name, value in metrics.items() if name != "test_loss"
        }
    return {selection: found[selection] for selection in chosen}
