"""Tables of a report against class probabilities that others published."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from datamodules.errors import DataError
from error_texts import first_names
from experiments.report.tables.text_table import TextTable
from experiments.results.posteriors import read_posteriors
from experiments.results.predictions import Predictions
from experiments.results.quantities import NONE, p_value, percent
from experiments.scores.against import Compared, compare, corrected
from experiments.scores.metrics import statistics

OPTION = "--against"
Runs = Mapping[tuple[int, int], Predictions]  # by fold and seed


def against(paths: Sequence[Path], rows: Mapping[str, tuple[Sequence[str], Runs]], groups: str) -> list[TextTable]:
    """Return a table per file of others: their figures beside ours, on the clips that both have.

    Args:
        paths: Their files.
        rows: Class names and predictions of ours by label; without figures where it has none, or other classes.
        groups: What groups of clips are called.

    Raises:
        DataError: If a file cannot be read, has other classes, or no clip of ours.
    """
    class_names = next((names for names, runs in rows.values() if runs), [])
    if not class_names:
        raise DataError(f"{OPTION} {paths[0]}: nothing to compare it with: no clip of ours has a predicted class")
    alike = {label: runs if list(names) == list(class_names) else {} for label, (names, runs) in rows.items()}
    return [_table(path, class_names, alike, groups) for path in paths]


def _table(path: Path, class_names: Sequence[str], rows: Mapping[str, Runs], groups: str) -> TextTable:
    ids = dict.fromkeys(clip for runs in rows.values() for run in runs.values() for clip in run.ids)
    theirs = read_posteriors(path, class_names, ids, OPTION)
    compared = {label: compare(runs, theirs.predicted, len(class_names)) for label, runs in rows.items()}
    found = corrected({label: one for label, one in compared.items() if one})
    header = ["Ours", "Clips", groups.capitalize(), "Their accuracy", "Our accuracy", "Their UAR", "Our UAR", "p"]
    shown = [[label, *(_figures(found[label]) if label in found else [NONE] * (len(header) - 1))] for label in rows]
    title = f"Against {path.name}, on the clips that both have; p: paired test of the accuracy over {groups}, by Holm"
    if theirs.unknown:
        title += f"; {len(theirs.unknown)} of its clips are not ours: {first_names(theirs.unknown)}"
    return TextTable(title, header, shown)


def _figures(one: Compared) -> list[str]:
    metrics = [metric(of) for metric in (statistics.accuracy, statistics.uar) for of in (one.theirs, one.ours)]
    return [str(one.clips), str(one.groups), *(percent(float(value)) for value in metrics), p_value(one.p)]
