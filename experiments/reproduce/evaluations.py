"""Evaluations of finished cells with other data than those of their test: several at a time, without any training."""

import contextlib
import io
import logging
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from datamodules.errors import DataError
from error_texts import first_line

REPORTED = {"paper": "last", "honest": "selected"}  # of the best epoch on the test fold no robustness is claimed
CHECKPOINTS = {"last": "last.ckpt", "selected": "best.ckpt"}


def evaluate_all(evaluations: Sequence[Any], workers: int, of: Callable[[Any], None], what: str) -> dict[str, str]:
    """Score cells, several at a time.

    Args:
        evaluations: What is to be done; each has a name.
        workers: Number of processes.
        of: Makes one of them.
        what: What they are, for messages.

    Returns:
        Reason by name of the cell for those that failed.
    """
    from datamodules.store.parallel import ordered  # heavier than a table without such evaluations needs

    count = sum(len(getattr(evaluation, "losses", " ")) for evaluation in evaluations)
    print(f"{count} evaluations {what} of {len(evaluations)} cells", file=sys.stderr, flush=True)
    failed = {}
    with contextlib.closing(ordered(partial(evaluate, of=of), evaluations, workers)) as reasons:
        for number, (evaluation, reason) in enumerate(zip(evaluations, reasons, strict=True), start=1):
            if reason:
                failed[evaluation.name] = f"{what}: {reason}"
            if sys.stderr.isatty() or number == len(evaluations):
                text = f"{number}/{len(evaluations)} cells evaluated, {len(failed)} failed"
                print(f"\r\033[K{text}" if sys.stderr.isatty() else text, end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return failed


def evaluate(evaluation: Any, of: Callable[[Any], None]) -> str:
    """Make the evaluations of one cell.

    Args:
        evaluation: The cell.
        of: Makes them.

    Returns:
        What went wrong, empty if nothing did.
    """
    output = io.StringIO()
    logging.disable(logging.INFO)  # a line per file written
    try:
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
            of(evaluation)
    except Exception as error:  # one cell that fails must not end the others
        return first_line(error) if hasattr(error, "exit_code") else f"{type(error).__name__}: {first_line(error)}"
    finally:
        logging.disable(logging.NOTSET)
    return ""


def checkpoint_of(directory: Path, selection: str) -> tuple[Path, str]:
    """Return the checkpoint of a finished cell, and what to do where it is damaged.

    Raises:
        DataError: It is not there.
    """
    checkpoint = directory / "checkpoints" / CHECKPOINTS[selection]
    remedy = f"; delete {directory} and run the cell again"
    if not checkpoint.exists():
        raise DataError(f"{checkpoint} is not there{remedy}")
    return checkpoint, remedy


def one_trainer(settings: Any, folder: Path, callbacks: list[Any]) -> Any:
    """Return a trainer for one evaluation of a cell.

    Args:
        settings: The trainer's in the cell's command.
        folder: Where callbacks write.
        callbacks: What records it.
    """
    from lightning.pytorch import Trainer

    return Trainer(
        accelerator=settings.accelerator,
        devices=1,
        precision=settings.precision,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=str(folder),
        callbacks=callbacks,
    )
