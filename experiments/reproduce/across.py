"""Finished cells on other corpora: a model of one corpus is scored on the clips of another, over shared classes.

It is an evaluation as under missing modalities: never a training. All labelled clips of the other corpus are scored, as
nobody in it has trained the model.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from atomic_files import write_atomic
from datamodules.errors import DataError
from datamodules.reading.plain_json import read_object
from datamodules.recipe import catalogue_class
from experiments.reproduce.evaluations import REPORTED, checkpoint_of, one_trainer
from experiments.reproduce.plan import Job
from experiments.reproduce.tables.table import Table
from experiments.results.label_map import ABOUT, FOLDER, PREDICTIONS, LabelMap, shared_labels, shared_probabilities
from experiments.results.needs import request_hash
from experiments.results.request import data_manifest
from experiments.settings.config import Config


@dataclass(frozen=True)
class CrossEvaluation:
    """The evaluation of one cell on the clips of another corpus.

    Attributes:
        name: Where the cell stands, for messages.
        directory: Its folder.
        command: The command that trained it, without ``cli.py``.
        other: The command of the cell whose data are scored.
        corpora: Of the two.
        selection: Which checkpoint.
        map: Which class is which.
        request: What the evaluation is asked to be.
    """

    name: str
    directory: Path
    command: list[str]
    other: list[str]
    corpora: tuple[str, str]
    selection: str
    map: LabelMap
    request: Config

    @property
    def folder(self) -> Path:
        """Where it goes."""
        return self.directory / FOLDER / self.corpora[1]


def check_classes(table: Table) -> None:
    """Refuse maps that do not speak of the classes of the prepared corpora, before anything is trained.

    Raises:
        DataError: One does not.
    """
    for label_map in table.across.maps.values() if table.across else ():
        for corpus in label_map.between:
            manifest = data_manifest(table.data.parent / corpus)
            if manifest is not None:
                made_by: Mapping[str, Any] = manifest.get("settings", {}).get("catalogue", {})
                names = made_by.get("classes") or (made_by.get("name") and catalogue_class(made_by["name"]).classes)
                label_map.columns(corpus, list(names or ()))


def pending_across(table: Table, jobs: Sequence[Job], done: Collection[Path]) -> list[CrossEvaluation]:
    """Return the evaluations on other corpora that a table asks for and that are not there as they are asked for.

    Args:
        table: The table.
        jobs: Cells of the table.
        done: Folders of the finished ones.
    """
    if table.across is None:
        return []
    by_place = {(job.row.rpartition("/")[2], job.directory.name): job for job in jobs}
    found = []
    for (row, cell), job in by_place.items():
        model, corpus = table.across.place(row)
        for other in table.across.corpora if job.directory in done else ():
            target = by_place.get((f"{model}-{other}", cell))
            if other == corpus or target is None:
                continue
            label_map = table.across.between(corpus, other)
            request = {
                "cell": request_hash(job.request),
                "data": target.request["data"],
                "between": list(label_map.between),
                "classes": label_map.classes,
            }
            evaluation = CrossEvaluation(
                f"{job.name} on {other}", job.directory, job.command, target.command, (corpus, other),
                REPORTED[job.request["protocol"]], label_map, request,
            )  # fmt: skip
            path = evaluation.folder / ABOUT
            if not path.is_file() or read_object(path, f"delete {path.parent}").get("request") != request:
                found.append(evaluation)
    return found


def evaluate_across(evaluation: CrossEvaluation) -> None:
    """Score one cell on another corpus, and write what it says.

    Raises:
        DataError: Its checkpoint is gone, or the two corpora were prepared in different ways.
    """
    import torch

    from callbacks.predictions import write_rows
    from experiments.results.checkpoints import read_checkpoint
    from experiments.train.command import build
    from experiments.train.embed import use_frozen_encoders

    torch.set_num_threads(1)
    own, other = build(evaluation.command), build(evaluation.other)
    data, trained = other.datamodule, own.datamodule
    if trained.input_shapes != data.input_shapes:
        raise DataError(
            f"clips of {evaluation.corpora[0]} are {trained.input_shapes}, of {evaluation.corpora[1]} "
            f"{data.input_shapes}; prepare both by one recipe"
        )
    checkpoint, remedy = checkpoint_of(evaluation.directory, evaluation.selection)
    # Nobody of that corpus has trained the model: all of its clips are scored.
    data.rows = {**data.rows, "test": np.sort(np.concatenate(list(data.rows.values())))}
    content = read_checkpoint(checkpoint, remedy=remedy)
    own.model.load_state_dict(content["state_dict"])
    data.scale_as(content[type(trained).__qualname__])
    own.model.describe_input(data.input_facts)
    use_frozen_encoders(own.model, data, checkpoint)
    trainer = one_trainer(own.config.fit.trainer, evaluation.folder, [])
    trainer.predict(own.model, datamodule=data, return_predictions=False)
    table = own.model.predictions
    first, second = (
        evaluation.map.columns(corpus, of.class_names)
        for corpus, of in zip(evaluation.corpora, (trained, data), strict=True)
    )
    labels = shared_labels(table.labels.numpy(), second)
    shares = shared_probabilities(table.scores.double().softmax(1).numpy(), first)
    kept = np.flatnonzero(labels >= 0)
    lost = np.bincount(table.labels.numpy()[labels < 0], minlength=len(data.class_names)).tolist()
    columns = {"target": labels[kept].tolist()}
    columns |= {f"p_{name}": [f"{share:.6g}" for share in shares[kept, place]] for place, name in enumerate(second)}
    ids, groups = ([names[row] for row in kept] for names in (table.ids, table.groups))
    write_rows(evaluation.folder / PREDICTIONS, ids, groups, columns)
    about = {
        "request": evaluation.request,
        "classes": list(second),
        "left_out": {name: count for name, count in zip(data.class_names, lost, strict=True) if count},
    }
    write_atomic(evaluation.folder / ABOUT, json.dumps(about, indent=1) + "\n")
