"""The numbers of a table, computed only from per-clip predictions.

Accuracy is the mean over folds of the seed means; UAR and macro F1 are computed on the clips of all folds together,
because small folds may lack classes. The seeds of a clip weigh as one clip: rows are compared by the mean over seeds of
every clip, and intervals resample seeds beside groups.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from experiments.reproduce.tables.table import COLUMNS, Cells, Row, Table
from experiments.results.cell import Cell
from experiments.results.predictions import Predictions
from experiments.results.stamps import stamped
from experiments.scores import subgroups, value_rows
from experiments.scores.column_score import Score, score_of
from experiments.scores.metrics import statistics
from experiments.scores.robustness import Robustness, curves, subset_means
from experiments.scores.run_score import Scored
from experiments.settings.config import Config

if TYPE_CHECKING:  # see `subgroups`
    import pandas as pd

_UNTESTED = statistics.SignFlips(np.nan)


@dataclass(frozen=True)
class RowSummary:
    """One row: scores by column, cells behind them, and the test against the row above.

    Attributes:
        row: The row of the table.
        cells: Its finished cells by protocol, fold and seed.
        scores: By column; a column without cells is left out.
        robustness: By modality.
        subsets: The metric by the modalities that are left, of the column of `robustness`.
        p: Holm-corrected p value against the nearest row above that has the column; NaN where not tested.
        drawn: Random sign patterns behind it; 0 where all were counted.
        values: Scores of values by column and task.
        apart: Whether it is of other clips, folds or seeds than most rows of a ranked table, and not ranked with them.
    """

    row: Row
    cells: dict[tuple[str, int, int], Cell]
    scores: dict[str, Score]
    robustness: dict[str, Robustness]
    subsets: dict[tuple[str, ...], float]
    p: float = np.nan
    drawn: int = 0
    values: dict[str, dict[str, Scored]] = field(default_factory=dict)
    apart: bool = False

    @property
    def transductive(self) -> bool:
        """Whether it stands apart: a model of it saw the clips of the test, without their labels."""
        return any(cell.result.get("transductive") for cell in self.cells.values())

    @property
    def class_names(self) -> list[str]:
        """Names of the classes; none without cells."""
        return next((cell.result["class_names"] for cell in self.cells.values()), [])

    def rank(self, column: str) -> float:
        """Return what a row is ranked by: the metric of a column, or the agreement of values; NaN where not run."""
        if column in self.scores:
            return self.scores[column].mean
        return value_rows.agreement(self.values.get(column, {}))

    def runs(self, column: str) -> dict[tuple[int, int], Predictions]:
        """Return the predictions of a column by fold and seed."""
        return _predictions_of(self.cells, column)

    def basis(self, column: str) -> frozenset[tuple[int, int, str]]:
        """Return the folds, seeds and clips behind a column: rows of different ones are not compared."""
        return frozenset((*key, clip) for key, run in self.runs(column).items() for clip in run.ids) or (
            value_rows.basis(self.cells, column)
        )

    def clips(self, column: str) -> "pd.DataFrame":
        """Return the clips of a column's predictions, by `subgroups.clips_of`."""
        return subgroups.clips_of([run for _, run in sorted(self.runs(column).items())], self.class_names)

    def optimism(self, column: str) -> float:
        """Return the metric of the best epoch on the test fold minus that of a column, over the folds both have."""
        best, other = self.scores.get("best"), self.scores.get(column)
        common = sorted(best.folds.keys() & other.folds.keys()) if best and other else []
        if not best or not other or not common:
            return np.nan
        return float(np.mean([best.folds[fold] - other.folds[fold] for fold in common]))


@dataclass(frozen=True)
class Summary:
    """A table with its numbers.

    Attributes:
        table: The table.
        rows: Those that the table prints, in its order or ranked, transductive ones after all others.
        headline: The column that UAR, F1, interval and tests are of.
        majority: The metric of always naming the most frequent class; NaN without cells, or if rows differ in classes.
        baselines: The same by what the table calls it, one for each set of classes that its rows have.
        group_name: What the groups are.
        notes: What a reader has to know beside the numbers.
    """

    table: Table
    rows: list[RowSummary]
    headline: str
    majority: float
    group_name: str
    baselines: dict[str, float] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def columns(self) -> list[str]:
        """The columns that the table's protocols have cells of."""
        return [column for column, (protocol, _) in COLUMNS.items() if protocol in self.table.protocols]


def summarise(table: Table, cells: Cells) -> Summary:
    """Compute the numbers of a table.

    Args:
        table: The table.
        cells: Its finished cells; those of the other kind (synthetic or not) are left out and counted in a note.

    Returns:
        The summary; everything in it is "not run" where there are no cells.
    """
    shown = [row for row in table.rows if row.shown]
    names = {row.name for row in shown}
    cells = {key: cell for key, cell in cells.items() if key[0] in names}
    fitting = {key: cell for key, cell in cells.items() if cell.result["synthetic"] == table.synthetic}
    rows = [_row_summary(table, row, fitting) for row in shown]
    headline = max(
        ("honest", "last", "best"), key=lambda column: sum(column in row.scores or column in row.values for row in rows)
    )
    if table.own:
        most = Counter(found for row in rows if (found := row.basis(headline)))
        usual = max(most, key=lambda found: (most[found], len(found)), default=frozenset())
        rows = [replace(row, apart=row.basis(headline) not in (usual, frozenset())) for row in rows]
        rows.sort(key=lambda row: (row.apart, -np.nan_to_num(row.rank(headline), nan=-np.inf)))
    rows.sort(key=lambda row: row.transductive)
    first: Config = next(iter(fitting.values())).result if fitting else {}
    apart = {row.row.name for row in rows if row.apart}  # whose windows or frames are no further clips
    together = {key: cell for key, cell in fitting.items() if key[0] not in apart}
    return Summary(
        table=table,
        rows=[
            row
            for kind in (False, True)  # no test across, and none counts for the other's correction
            for row in _with_tests([row for row in rows if row.transductive == kind], headline)
        ],
        headline=headline,
        majority=_majority(table, together),
        group_name=first.get("group_name", "groups"),
        baselines=_baselines(table, together),
        notes=_notes(table, cells, fitting),
    )


def _row_summary(table: Table, row: Row, cells: Cells) -> RowSummary:
    own = {key[1:]: cell for key, cell in cells.items() if key[0] == row.name}
    stamps = {name: any(cell.result.get(name) for cell in own.values()) for name in ("leaked", "transductive")}
    row = replace(row, label=stamped(stamps, row.label))
    scores = {}
    for column, (protocol, _) in COLUMNS.items():
        if chosen := _predictions_of(own, column):
            classes = len(next(iter(own.values())).result["class_names"])
            planned = len(table.folds) * len(table.seeds.get(protocol, ()))
            scores[column] = score_of(chosen, classes, planned, table.metric)
    values = value_rows.scores_of(own)
    return RowSummary(row, own, scores, curves(own, table.metric), subset_means(table, own), values=values)


def _predictions_of(cells: Mapping[tuple[str, int, int], Cell], column: str) -> dict[tuple[int, int], Predictions]:
    protocol, selection = COLUMNS[column]
    return {
        (fold, seed): cell.predictions[selection]
        for (name, fold, seed), cell in cells.items()
        if name == protocol and selection in cell.predictions
    }


def _with_tests(rows: list[RowSummary], column: str) -> list[RowSummary]:
    flips: list[statistics.SignFlips] = []
    above: RowSummary | None = None
    for row in rows:
        score = row.scores.get(column)
        # Hits among other classes, or by other trainings, are no comparison.
        alike = above is not None and above.class_names == row.class_names and above.basis(column) == row.basis(column)
        compared = _paired(score, above.scores[column]) if score and above and alike else _UNTESTED
        flips.append(compared)
        above = row if score else above
    corrected = statistics.holm([found.p for found in flips])
    return [replace(row, p=p, drawn=found.drawn) for row, p, found in zip(rows, corrected, flips, strict=True)]


def _paired(score: Score, above: Score) -> statistics.SignFlips:
    """Test two rows that were scored on the same clips."""
    differences: dict[str, float] = {}
    for clip, (group, hits) in score.hits.items():
        differences[group] = differences.get(group, 0.0) + hits - above.hits[clip][1]
    return statistics.sign_flip_test(np.array(list(differences.values())))


def _baselines(table: Table, cells: Cells) -> dict[str, float]:
    of_row = {key[0]: tuple(cell.result["class_names"]) for key, cell in cells.items()}
    if of_row and not any(of_row.values()):
        return {}
    if len(set(of_row.values())) < 2:
        return {"Most frequent class of the test clips" if table.own else "Majority class": _majority(table, cells)}
    first: dict[tuple[str, ...], str] = {}
    for row in table.rows:
        if row.name in of_row:
            first.setdefault(of_row[row.name], row.label)
    return {
        f"Majority class of {label}": _majority(table, {key: cells[key] for key in cells if of_row[key[0]] == names})
        for names, label in first.items()
    }


def _majority(table: Table, cells: Cells) -> float:
    targets = _targets(cells.values())
    if not len(targets) or len({tuple(cell.result["class_names"]) for cell in cells.values()}) > 1:
        return np.nan
    if table.metric == "uar":  # of one class everything is found, of the others nothing
        return 1 / len(np.unique(targets))
    return statistics.majority_baseline(targets)


def _targets(cells: Iterable[Cell]) -> npt.NDArray[np.int64]:
    known: dict[str, int] = {}
    for cell in cells:
        for predictions in cell.predictions.values():
            known.update(zip(predictions.ids, predictions.targets.tolist(), strict=True))
    return np.array(list(known.values()), dtype=np.int64)


def _notes(table: Table, cells: Cells, fitting: Cells) -> list[str]:
    notes = []
    if other := len(cells) - len(fitting):
        notes.append(f"{other} {'real' if table.synthetic else 'synthetic'} cells were left out.")
    corpora = len(table.across.corpora) if table.across else 1
    prints: dict[str, set[str]] = {}  # by store: what recipes keep of the same clips differs anyway
    for key, cell in fitting.items():
        store = table.row(key[0]).overrides.get("data.init_args.store", "")
        prints.setdefault(store, set()).add(cell.result["data_fingerprint"])
    if (most := max(map(len, prints.values()), default=0)) > corpora:
        notes.append(f"The cells were run on {most} different preparations of the data.")
    for (row, protocol, fold, seed), cell in fitting.items():
        for selection, recorded in cell.result["selections"].items():
            if selection not in cell.predictions:
                continue
            measured = statistics.metric_of(cell.predictions[selection], "accuracy")
            if abs(measured - recorded["accuracy"]) > 1e-3:
                notes.append(
                    f"{row} {protocol}-fold{fold}-seed{seed} ({selection}): the run recorded an accuracy of "
                    f"{100 * recorded['accuracy']:.2f}, its predictions give {100 * measured:.2f}."
                )
    return notes
