"""Tables of a report by groups of people in the clips and by modality."""

import math

from experiments.report.tables.text_table import METRICS, TextTable, first, titled
from experiments.results.quantities import percent
from experiments.scores import subgroups
from experiments.scores.table_scores import Summary


def subsets(summary: Summary) -> TextTable:
    """Return the table of the metric with subsets of the modalities."""
    shown = [subset for subset in summary.table.subsets if any(subset in row.subsets for row in summary.rows)]
    whole = {name for subset in shown for name in subset}
    named = ["all" if set(subset) == whole else " + ".join(subset) for subset in shown]
    rows = [
        [row.row.label, *(percent(row.subsets.get(subset, math.nan)) for subset in shown)]
        for row in summary.rows
        if row.subsets
    ]
    title = "Modalities that are there, all others lost, without retraining"
    return TextTable(titled(summary, f"{title}: {METRICS[summary.table.metric]}"), [first(summary), *named], rows)


def fairness(summary: Summary) -> TextTable:
    """Return the accuracy of every row by age, gender and whatever else is known of the people in clips."""
    people = {row.row.label: subgroups.accuracies(row.clips(summary.headline)) for row in summary.rows if row.cells}
    people = {label: of for label, of in people.items() if of}
    rows = []
    for name, value in dict.fromkeys(group for of in people.values() for group in of):
        cells = [of.get((name, value), (0, math.nan, math.nan)) for of in people.values()]
        shown = [
            percent(mean) + ("" if math.isnan(half) else f" \N{PLUS-MINUS SIGN} {100 * half:.1f}")
            for _, mean, half in cells
        ]
        rows.append([f"{name}: {value}", f"{max(count for count, _, _ in cells)}", *shown])
    title = "Accuracy by group of people, with half of a 95 % interval over clips, of these training runs alone"
    return TextTable(titled(summary, title), [first(summary), "Clips", *people], rows)


def weights(summary: Summary) -> TextTable:
    """Return the mean weights of the modalities, by class and group of people where they differ from clip to clip."""
    rows: list[list[str]] = []
    modalities: dict[str, None] = {}
    found = []
    for row in [row for row in summary.rows if row.cells]:
        clips = row.clips(summary.headline)
        if every := subgroups.overall(clips):
            modalities.update(dict.fromkeys(every))
            found.append((row.row.label, "all", every))
        if subgroups.adaptive(clips):
            of = subgroups.weights(clips, row.class_names).items()
            found += [(row.row.label, f"{name}: {value}", by) for (name, value), by in of]
    for label, group, by in found:
        means = [percent(float(by[m].mean()) if len(by.get(m, ())) else math.nan) for m in modalities]
        rows.append([label, group, *means, subgroups.heaviest(by)])
    header = [first(summary), "Clips of", *modalities, "Heaviest"]
    return TextTable(titled(summary, "Mean weight of a modality where it is there, percent"), header, rows)
