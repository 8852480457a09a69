"""The tables of a report on single runs, as plain text cells."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from experiments.report.tables.text_table import STAMP, RunReport, TextTable
from experiments.results.predictions import Predictions
from experiments.results.quantities import NONE, duration, percent, quantity
from experiments.results.result_check import valued
from experiments.results.run import Run
from experiments.results.stamps import MEANINGS, stamped
from experiments.scores.metrics import statistics
from experiments.scores.run_score import Measured, Scored, score_classes, score_values

SELECTIONS = {
    "selected": "Epoch selected on validation clips",
    "last": "Last epoch",
    "best": "Best epoch on the test clips (optimistic)",
    "unselected": "No epoch was selected: the last one",
}
_PROTOCOLS = {
    "honest": "honest: the epoch is selected on clips that are in neither train nor test",
    "paper": "paper: trained on all but the test clips, on which the best epoch is selected too",
}
_ERRORS = ("MAE", "RMSE")


def report_of(runs: Sequence[Run]) -> RunReport:
    """Return the report on the folds and seeds of one experiment."""
    first = runs[0].result
    selections = selections_of(runs)
    scored = {name: _scored(runs, name) for name in selections}
    headline = selections[0] if selections else ""
    stamps = {name.lower(): any(run.result[name.lower()] for run in runs) for name in MEANINGS}
    tables = [_what(runs), _metrics(scored, first["group_name"])]
    of_classes = scored[headline].get("") if headline else None
    if of_classes:
        tables += [_per_class(of_classes, first["class_names"]), _confusion(of_classes, first["class_names"])]
    tables += [_values(runs, headline, scored), _runs(runs, headline)]
    predictions = [str(run.folder / f"predictions-{name}.csv") for run in runs for name in run.result["selections"]]
    return RunReport(
        f"{STAMP}: " * first["synthetic"] + stamped(stamps, f"{first['experiment']} on {first['corpus']}"),
        first["synthetic"],
        [table for table in tables if table.rows],
        list(_notes(runs, selections)),
        predictions,
    )


def selections_of(runs: Sequence[Run]) -> list[str]:
    """Return the selections that all runs have, the one to name first first."""
    return [name for name in SELECTIONS if all(name in run.result["selections"] for run in runs)]


def classes_of(runs: Sequence[Run], selection: str) -> dict[tuple[int, int], Predictions]:
    """Return the predicted classes of a selection by fold and seed."""
    return {run.key: run.classes[selection] for run in runs if selection in run.classes}


def _scored(runs: Sequence[Run], selection: str) -> dict[str, Scored]:
    """Return the scores of the classes, under an empty name, and of each value."""
    found = {}
    if of_classes := classes_of(runs, selection):
        found[""] = score_classes(of_classes, len(runs[0].result["class_names"]))
    for task in valued(runs[0].result):
        if of_task := {run.key: run.values[selection][task] for run in runs if task in run.values[selection]}:
            known = {run.key: run.result["baselines"].get(f"mean_{task}") for run in runs if run.key in of_task}
            means = {} if None in known.values() else known
            output = runs[0].result["outputs"][task]
            sentiment = output["range"][1] if output.get("scale") == "sentiment" else 0.0
            found[task] = score_values(of_task, means, sentiment)
    return found


def _what(runs: Sequence[Run]) -> TextTable:
    first, settings = runs[0].result, runs[0].settings
    results = [run.result for run in runs]

    def all_of(name: str) -> str:
        return ", ".join(dict.fromkeys(str(result[name]) for result in results))

    def class_of(section: str) -> str:
        return str(settings.get(section, {}).get("class_path", NONE)).rpartition(".")[2]

    rows: list[list[str]] = [
        ["Model", f"{class_of('model')}, {quantity(first['parameters']['total'])} parameters"],
        ["Data", f"{first['corpus']} ({class_of('data')}){', a stand-in: SYNTHETIC' if first['synthetic'] else ''}"],
        *([["Classes", ", ".join(first["class_names"])]] if first["class_names"] else []),
        *([f"Value {task}", _meaning(first["outputs"][task])] for task in valued(first)),
        ["Protocol", _PROTOCOLS.get(first["protocol"], str(first["protocol"]))],
        ["Folds; seeds", f"{all_of('fold')}; {all_of('seed')}"],
        ["Clips: train / validation / test", "; ".join(dict.fromkeys(_sizes(result) for result in results))],
        *([f"Features: {name}", _told(of)] for name, of in first["provenance"].items()),
        ["Data fingerprint", ", ".join(dict.fromkeys(result["data_fingerprint"][:12] for result in results))],
        ["Trained on", f"{all_of('device')}, {duration(sum(result['seconds'] for result in results))} in all"],
        ["Versions", _told(first["versions"])],
        *([["Commit", all_of("commit")]] if first["commit"] else []),
    ]
    return TextTable("What was trained on what", ["What", f"{len(runs)} run{'s' * (len(runs) > 1)}"], rows)


def _sizes(result: Mapping[str, Any]) -> str:
    return " / ".join(str(result[f"n_{split}"]) for split in ("train", "val", "test"))


def _meaning(output: Mapping[str, Any]) -> str:
    low, high = output.get("range") or (None, None)
    parts = [str(output.get("unit") or ""), "" if low is None else f"from {low:g} to {high:g}"]
    return ", ".join(filter(None, parts)) or "in the unit of its labels"


def _told(content: Any) -> str:
    if isinstance(content, dict):
        return ", ".join(f"{name} {_told(value)}" for name, value in content.items())
    return ", ".join(map(_told, content)) if isinstance(content, list) else str(content)


def _number(metric: str, value: float) -> str:
    if math.isnan(value):
        return NONE
    if metric in ("Pearson", "CCC"):
        return f"{value:.3f}"
    return f"{value:.4g}" if metric in _ERRORS else f"{percent(value)} %"


def _metrics(scored: Mapping[str, Mapping[str, Scored]], groups: str) -> TextTable:
    header = ["Checkpoint", "Metric", "Test", f"95 % interval over {groups}", "Clips", groups.capitalize(), "Baseline"]
    rows = [
        [
            SELECTIONS[selection],
            f"{task}: {of.metric}" if task else of.metric,
            _number(of.metric, of.value),
            _interval(of),
            str(score.clips),
            str(score.groups),
            _number(of.metric, of.baseline),
        ]
        for selection, tasks in scored.items()
        for task, score in tasks.items()
        for of in (*score.metrics, *score.more)
    ]
    return TextTable("Scores", header, rows)


def _interval(of: Measured) -> str:
    low, high = of.interval
    return NONE if math.isnan(low) else f"{_number(of.metric, low)} to {_number(of.metric, high)}"


def _per_class(score: Scored, names: Sequence[str]) -> TextTable:
    matrix = score.total
    shares = np.stack([metric(matrix) for metric in (statistics.precisions, statistics.recalls, statistics.f1s)], 1)
    counted = zip(names, matrix.sum(1), shares.tolist(), strict=True)
    rows = [[name, f"{clips:g}", *map(percent, own)] for name, clips, own in counted]
    return TextTable("By class, %", ["Class", "Clips", "Precision", "Recall", "F1"], rows)


def _confusion(score: Scored, names: Sequence[str]) -> TextTable:
    shown = [[name, *(f"{count:.4g}" for count in row)] for name, row in zip(names, score.total.tolist(), strict=True)]
    return TextTable(
        "Confusion matrix: true class by row, predicted class by column, clips", ["True class", *names], shown
    )


def _values(runs: Sequence[Run], selection: str, scored: Mapping[str, Mapping[str, Scored]]) -> TextTable:
    header = ["Value", "Clips", "Labels: mean", "SD", "Predictions: mean", "SD", *(_ERRORS), "Pearson", "CCC"]
    rows = []
    for task, score in scored.get(selection, {}).items():
        if task:
            of = [run.values[selection][task] for run in runs if task in run.values[selection]]
            true, said = (np.concatenate(parts) for parts in ([o.targets for o in of], [o.predicted for o in of]))
            figures = [f"{figure:.4g}" for figure in (true.mean(), true.std(), said.mean(), said.std())]
            rows.append([task, str(score.clips), *figures, *(_number(m.metric, m.value) for m in score.metrics)])
    return TextTable("Values", header, rows)


def _runs(runs: Sequence[Run], selection: str) -> TextTable:
    """Return one line a run where there are several."""
    if len(runs) < 2 or not selection:
        return TextTable("", [], [])
    values = valued(runs[0].result)
    classes = {"Accuracy": "accuracy", "UAR": "uar", "Macro F1": "f1"} if runs[0].result["class_names"] else {}
    named = classes | {f"{task}: {name}": f"{name.lower()}_{task}" for task in values for name in ("MAE", "CCC")}
    rows = []
    for run in runs:
        metrics = run.result["selections"][selection]
        epoch = NONE if metrics["epoch"] is None else str(metrics["epoch"] + 1)
        figures = [_number(name.rpartition(": ")[2], metrics.get(key, math.nan)) for name, key in named.items()]
        rows.append([*map(str, run.key), epoch, _sizes(run.result), *figures])
    return TextTable("By run", ["Fold", "Seed", "Epoch", "Train / validation / test", *named], rows)


def _notes(runs: Sequence[Run], selections: Sequence[str]) -> Iterator[str]:
    first = runs[0].result
    groups = first["group_name"]
    if first["synthetic"]:
        yield f"{STAMP}: the data are a stand-in; no figure says anything about real clips."
    for stamp, meaning in MEANINGS.items():
        if any(run.result[stamp.lower()] for run in runs):
            yield f"{stamp}: {meaning}."
    yield f"Interval: bootstrap of {groups}, {statistics.RESAMPLES:,} resamples; none where there is one alone."
    if groups == "clips":
        yield "No speaker is known: where clips of one person are in train and test, the figures flatter the model."
    if first["class_names"]:
        yield "Baseline of classes: always the most frequent class of the test clips."
    if valued(first):
        if any(output.get("scale") == "sentiment" for output in first["outputs"].values()):
            yield "Negative or positive: clips labelled 0 are left out. Acc-7: both rounded. F1: weighted by class."
        yield "Baseline of values: always the mean of the training labels; it has no correlation and no concordance."
        yield "Errors are in the unit of the label; a correlation of 0 also stands where all predictions are the same."
    if len(runs) > 1:
        yield "Figures are on the clips of all folds together; the seeds of a clip weigh as one clip."
    if "best" in selections:
        yield "The best epoch was chosen on the clips that it is scored on: optimistic."
    left = [name for name in SELECTIONS if name not in selections and any(name in r.result["selections"] for r in runs)]
    if left:
        yield f"Not every run has {' and '.join(left)}: left out."
