"""Finished cells under missing modalities: each trained model is scored again with one dropped from its test clips.

It is an evaluation, never a training: a cell is rebuilt from its command, takes the weights of the checkpoint that its
table reports, and a modality is dropped at a rate (`EmotionDataModule.set_missing_rates`). What is there already
costs nothing.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from datamodules.errors import DataError
from experiments.reproduce.evaluations import REPORTED, checkpoint_of, one_trainer
from experiments.reproduce.plan import Job
from experiments.reproduce.tables.table import Table
from experiments.results.predictions import missing_predictions, subset_name, subset_of


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


def evaluate_missing(evaluation: Evaluation) -> None:
    """Score one cell under everything that is still to do."""
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
