"""Finished cells under missing modalities: each trained model is scored again with one dropped from its test clips.

It is an evaluation, never a training: a cell is rebuilt from its command, takes the weights of the checkpoint that its
table reports, and a modality is dropped at a rate (`EmotionDataModule.set_missing_rates`). What is there already
costs nothing.
"""

import contextlib
import io
import logging
import sys
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from datamodules.errors import DataError
from error_texts import first_line
from experiments.reproduce.plan import Job
from experiments.reproduce.table import Table
from experiments.results.predictions import missing_predictions, subset_name, subset_of

REPORTED = {"paper": "last", "honest": "selected"}  # of the best epoch on the test fold no robustness is claimed
WHAT = "under missing modalities"
CHECKPOINTS = {"last": "last.ckpt", "selected": "best.ckpt"}


@dataclass(frozen=True)
class Evaluation:
    """Evaluations of one cell that are still to be made.

    Attributes:
        name: Where the cell stands, for messages.
        directory: Its folder.
        command: The command that trained it, without ``cli.py``.
        selection: Which checkpoint.
        losses: Modality and rate of each evaluation; in place of a modality what `subset_name` calls a subset.
        modalities: All that subsets are of.
    """

    name: str
    directory: Path
    command: list[str]
    selection: str
    losses: tuple[tuple[str, float], ...]
    modalities: tuple[str, ...] = ()


def pending(table: Table, jobs: Sequence[Job], done: Collection[Path]) -> list[Evaluation]:
    """Return the evaluations that a table asks for and that are not there yet.

    Args:
        table: The table; its ``missing`` says which rows, modalities and rates.
        jobs: Cells of the table.
        done: Folders of the finished ones.

    Returns:
        One entry per finished cell with something to do.
    """
    found = []
    modalities = tuple(dict.fromkeys(name for subset in table.subsets for name in subset))
    wanted = [(modality, rate) for modality, rates in table.missing.items() for rate in rates]
    wanted += [(subset_name(subset), 1.0) for subset in table.subsets if set(subset) != set(modalities)]
    for job in jobs:
        if job.directory not in done or job.row.rpartition("/")[2] not in table.missing_rows:
            continue
        selection = REPORTED[job.request["protocol"]]
        losses = tuple(
            (modality, rate)
            for modality, rate in wanted
            # Nothing lost is what the cell's own predictions say.
            if rate > 0 and not missing_predictions(job.directory, modality, rate, selection).exists()
        )
        if losses:
            found.append(Evaluation(job.name, job.directory, job.command, selection, losses, modalities))
    return found


def evaluate_all(
    evaluations: Sequence[Any], workers: int, of: Callable[[Any], None] | None = None, what: str = WHAT
) -> dict[str, str]:
    """Score cells, several at a time.

    Args:
        evaluations: Of `pending`, or others that have a name.
        workers: Number of processes.
        of: Makes one of the others.
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


def evaluate(evaluation: Any, of: Callable[[Any], None] | None = None) -> str:
    """Score one cell under everything that is still to do.

    Args:
        evaluation: The cell.
        of: Makes an evaluation that is none under missing modalities.

    Returns:
        What went wrong, empty if nothing did.
    """
    output = io.StringIO()
    logging.disable(logging.INFO)  # a line per file written
    try:
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
            (of or _evaluate)(evaluation)
    except Exception as error:  # one cell that fails must not end the others
        return first_line(error) if hasattr(error, "exit_code") else f"{type(error).__name__}: {first_line(error)}"
    finally:
        logging.disable(logging.NOTSET)
    return ""


def _evaluate(evaluation: Evaluation) -> None:
    import torch

    from callbacks.predictions import PredictionWriter
    from experiments.results.checkpoints import read_checkpoint
    from experiments.train.command import build
    from experiments.train.embed import use_frozen_encoders

    checkpoint, remedy = checkpoint_of(evaluation.directory, evaluation.selection)
    torch.set_num_threads(1)
    run = build(evaluation.command)
    run.model.load_state_dict(read_checkpoint(checkpoint, remedy=remedy)["state_dict"])
    use_frozen_encoders(run.model, run.datamodule, checkpoint)
    for modality, rate in evaluation.losses:
        left, known = subset_of(modality), run.datamodule.input_shapes
        # A row that reads fewer modalities than the table's subsets are of loses those that it reads.
        lost = [name for name in evaluation.modalities if name in known and name not in left] if left else [modality]
        if not left and modality not in known:
            raise DataError(f"missing: modalities: the data have no {modality!r}; correct the table")
        folder = missing_predictions(evaluation.directory, modality, rate, evaluation.selection).parent
        run.datamodule.set_missing_rates(dict.fromkeys(lost, rate))
        trainer = one_trainer(run.config.fit.trainer, folder, [PredictionWriter(evaluation.selection)])
        trainer.test(run.model, datamodule=run.datamodule, verbose=False)


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
