"""The scores of models on corpora that they were not trained on, beside those on their own."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from experiments.reproduce.tables.table import COLUMNS, Across
from experiments.results.label_map import Columns, shared_labels, shared_probabilities
from experiments.results.predictions import Predictions
from experiments.scores.column_score import Score, score_of
from experiments.scores.table_scores import RowSummary, Summary


@dataclass(frozen=True)
class CrossScore:
    """What a model of one corpus reaches on another, or within its own.

    Attributes:
        row: The row that trained it.
        model: Name of that row without its corpus.
        trained: Corpus.
        tested: Corpus, the same where it is the table's own column.
        classes: Number of classes that both have.
        score: Over them.
        left_out: Number of clips by class without a counterpart.
        own: Score of the same model of the tested corpus, within it, over the same classes; None without its cells.
    """

    row: RowSummary
    model: str
    trained: str
    tested: str
    classes: int
    score: Score
    left_out: dict[str, int] = field(default_factory=dict)
    own: Score | None = None

    @property
    def clips(self) -> int:
        """Number of clips behind it."""
        return len(self.score.hits)


def cross_scores(summary: Summary) -> list[CrossScore]:
    """Return every score within and across corpora that there are cells of, by row, then by corpus."""
    across = summary.table.across
    return [found for row in summary.rows for found in _of_row(summary, row, across)] if across else []


def _of_row(summary: Summary, row: RowSummary, across: Across) -> Iterator[CrossScore]:
    model, trained = across.place(row.row.name)
    protocol, selection = COLUMNS[summary.headline]
    metric, cells = summary.table.metric, {key: of for key, of in row.cells.items() if key[0] == protocol}
    for tested in across.corpora:
        if tested == trained:
            if score := row.scores.get(summary.headline):
                yield CrossScore(row, model, trained, tested, len(row.class_names), score)
            continue
        found = {key[1:]: of.across[tested] for key, of in cells.items() if tested in of.across}
        if not found:
            continue
        first = next(iter(found.values()))
        classes = len(first.classes)
        score = score_of({key: of.predictions for key, of in found.items()}, classes, len(cells), metric)
        within = next(other for other in summary.rows if other.row.name == f"{model}-{tested}")
        columns = across.between(trained, tested).columns(tested, within.class_names) if within.cells else {}
        kept = {key[1:]: of.predictions.get(selection) for key, of in within.cells.items() if key[0] == protocol}
        own = {key: restricted(of, columns) for key, of in kept.items() if of and of.probabilities is not None}
        own_score = score_of(own, classes, len(own), metric) if own else None
        yield CrossScore(row, model, trained, tested, classes, score, first.left_out, own_score)


def restricted(predictions: Predictions, columns: Columns) -> Predictions:
    """Return a cell's own predictions over the shared classes alone, clips of others left out."""
    targets = shared_labels(predictions.targets, columns)
    kept = np.flatnonzero(targets >= 0)
    assert predictions.probabilities is not None
    shares = shared_probabilities(predictions.probabilities[kept], columns)
    ids, groups = ([names[row] for row in kept] for names in (predictions.ids, predictions.groups))
    return Predictions(ids, groups, targets[kept], shares.argmax(1), shares)
