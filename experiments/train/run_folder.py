"""The folder of a run: which it is, and at a fresh start nothing finished is lost, nothing changed is mixed in."""

import contextlib
import os
import shutil
from pathlib import Path

from datamodules.errors import Busy
from datamodules.locks import hold, is_held_by_parent
from datamodules.reading.names import check_name
from experiments.errors import Finished, UsageError
from experiments.results import cell as results
from experiments.results import request
from experiments.results.needs import recorded_request
from experiments.settings.config import Config


def enter(folder: Path, held: contextlib.ExitStack) -> None:
    """Hold the lock of a run's folder.

    Args:
        folder: Folder of the run.
        held: Lets it go.

    Raises:
        UsageError: If another run is at work there, or the folder cannot be written.
    """
    if is_held_by_parent(folder):
        return
    try:
        held.callback(hold(folder).release)
    except Busy:
        raise UsageError(
            f"--trainer.default_root_dir {folder}: another run is at work there; wait for its end or name another"
        ) from None
    except OSError as error:
        if not (folder / "result.json").exists():  # a finished run is left as it is, wherever it is kept
            raise UsageError(f"--trainer.default_root_dir {folder}: {error.strerror}") from error


def folder_of(checkpoint: Path) -> Path:
    """Return the folder of the run that a checkpoint is of; its own, where it lies elsewhere."""
    return checkpoint.parent.parent if checkpoint.parent.name == "checkpoints" else checkpoint.parent


def sweep_folder(experiment: str) -> Path | None:
    """Return the folder of a sweep's run: each has its own, as they differ in settings alone."""
    sweep, run = os.environ.get("WANDB_SWEEP_ID"), os.environ.get("WANDB_RUN_ID")
    if not sweep or not run:
        return None
    names = check_name(sweep, "WANDB_SWEEP_ID"), check_name(run, "WANDB_RUN_ID")
    return Path("runs", "sweeps", experiment, *names)


def begin(folder: Path, wanted: Config, *, overwrite: bool) -> results.State:
    """Prepare the folder of a run, and record the run's request in it.

    Args:
        folder: Folder of the run.
        wanted: Its request.
        overwrite: Throw away what an earlier run left there.

    Returns:
        ``missing`` for a run that starts, ``partial`` for one that resumes.

    Raises:
        Finished: If the folder holds the finished run.
        UsageError: If it holds a run with other settings or a cluster's own checkpoint, or cannot be written.
    """
    if stray := sorted(folder.glob("hpc_ckpt*")):
        raise UsageError(
            f"{stray[0]}: left by a cluster in the middle of an epoch, and Lightning would start from it without a "
            "word;\nruns carry on from checkpoints/last.ckpt: move it away, then type the same command"
        )
    if overwrite and (folder / "request.json").exists():  # never in a folder that is no run's
        for pattern in ("result.json", "request.json", "metrics.csv", "predictions*.csv", "report.*"):
            for path in folder.glob(pattern):
                path.unlink()
        shutil.rmtree(folder / "checkpoints", ignore_errors=True)
    state = results.state(folder, wanted)
    if state == "done":
        raise Finished(f"{folder} holds the finished run; --overwrite true runs it again")
    if state == "changed":
        raise UsageError(
            f"{folder} holds a run with other settings:\n"
            f"{request.difference(recorded_request(folder), wanted)}\n"
            "Use --trainer.default_root_dir DIR for a new one, or --overwrite true to throw that one away"
        )
    for name in ("missing", "across"):  # of another training
        shutil.rmtree(folder / name, ignore_errors=True)
    for left in folder.glob("checkpoints/.*.tmp"):  # by a run that was killed
        left.unlink()
    try:
        results.write_json(folder / "request.json", wanted)
    except OSError as error:
        raise UsageError(f"--trainer.default_root_dir {folder}: {error.strerror}") from error
    return state
