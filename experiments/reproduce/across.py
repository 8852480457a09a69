"""Finished cells on other corpora: a model of one corpus is scored on the clips of another, over shared classes.

It is an evaluation as under missing modalities: never a training. All labelled clips of the other corpus are scored, as
nobody in it has trained the model.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from atomic_files import write_atomic
from datamodules.errors import DataError
from datamodules.reading.plain_json import read_object
from datamodules.recipe import catalogue_class
from experiments.reproduce.missing import REPORTED, checkpoint_of, one_trainer
from experiments.reproduce.plan import Job
from experiments.reproduce.table import Across, Row, Table
from experiments.reproduce.table_entries import AcrossEntry, MapEntry, read_entry
from experiments.results.crossing import ABOUT, FOLDER, PREDICTIONS, LabelMap, shared_labels, shared_probabilities
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


def read_across(content: Any, rows: Sequence[Row], path: Path, *, synthetic: bool) -> tuple[Across, list[Row]]:
    """Return the part ``across`` of a table, and its rows once per corpus, ``<row>-<corpus>``.

    Args:
        content: The part: ``corpora``, and ``maps`` of ``between`` two of them and ``classes``.
        rows: Rows of the table.
        path: The table.
        synthetic: Whether the stand-ins are read.

    Raises:
        DataError: Two corpora have no map, or something is none.
    """
    where = f"{path}: across"
    entry = read_entry(AcrossEntry, content, where)
    if len(set(entry.corpora)) < max(2, len(entry.corpora)):
        raise DataError(f"{where}: corpora: expected two or more, each once, found {entry.corpora!r}")
    maps = {}
    for number, part in enumerate(entry.maps, start=1):
        one = read_entry(MapEntry, part, f"{where}: map {number}")
        if len(set(one.between)) != 2 or not set(one.between) <= set(entry.corpora):
            raise DataError(f"{where}: map {number}: between: expected two of {', '.join(entry.corpora)}")
        texts = {str(own): None if other is None else str(other) for own, other in one.classes.items()}
        if not any(texts.values()):
            raise DataError(f"{where}: map {number}: classes: no class has a counterpart")
        told = f"{where}: map between {' and '.join(one.between)}"
        maps[frozenset(one.between)] = LabelMap((one.between[0], one.between[1]), texts, told)
    for place, first in enumerate(entry.corpora):
        for second in entry.corpora[place + 1 :]:
            if frozenset((first, second)) not in maps:
                raise DataError(
                    f"{where}: no map of classes between {first} and {second}; add one under maps: every class of "
                    f"{first} and its counterpart in {second}, null where it has none"
                )
    models = {row.name: row.label for row in rows}
    if needy := [row.name for row in rows if row.needs]:
        raise DataError(f"{where}: row {needy[0]} needs other rows, which stand once per corpus here; leave it out")

    def on(row: Row, corpus: str) -> Row:
        root = Path("data", *(["synthetic"] if synthetic else []), corpus)
        overrides = {**row.overrides, "data.init_args.root": str(root)}
        label = f"{row.label}, trained on {corpus}"
        return replace(row, name=f"{row.name}-{corpus}", label=label, overrides=overrides, corpus=corpus)

    # Rows of one corpus together: they are compared with the row above.
    return Across(tuple(entry.corpora), models, maps), [on(row, corpus) for corpus in entry.corpora for row in rows]


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
    own.model.load_state_dict(read_checkpoint(checkpoint, remedy=remedy)["state_dict"])
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
