"""The tables of a report as plain text cells."""

import math

from experiments.report.tables import across_tables, caveats, group_tables
from experiments.report.tables.cost_table import cost
from experiments.report.tables.text_table import (
    NOT_RUN,
    TITLES,
    Report,
    TextTable,
    first,
    metric_name,
    set_apart,
    title,
    titled,
)  # fmt: skip
from experiments.report.tables.value_table import value_table
from experiments.reproduce.tables.table import COLUMNS
from experiments.results.quantities import NONE, p_value, percent, quantity
from experiments.scores.column_score import Score
from experiments.scores.metrics import statistics
from experiments.scores.table_scores import RowSummary, Summary

_PROTOCOLS = {"paper": "paper protocol", "honest": "honest"}


def report_of(summary: Summary) -> Report:
    """Return the report on a table; tables without content are left out."""
    values = value_table(summary, titled(summary, "Values: agreement and error"))
    if values.rows and not any(row.scores for row in summary.rows):
        main, costs = set_apart(summary, value_table(summary, title(summary)), True), set_apart(summary, cost(summary))
        return Report(summary, main, [costs], caveats.notes(summary))
    others = [
        across_tables.matrix(summary), across_tables.details(summary), values,
        _by_corpus(summary), _detail(summary), _optimism(summary), group_tables.subsets(summary),
        group_tables.fairness(summary), group_tables.weights(summary), cost(summary), _robustness(summary),
    ]  # fmt: skip
    details = [set_apart(summary, table, table is values) for table in others if table.rows]
    return Report(summary, main_table(summary), details, caveats.notes(summary))


def main_table(summary: Summary) -> TextTable:
    """Return published and measured figures side by side, with what is needed to judge the difference."""
    headline = TITLES[summary.headline].split(" (")[0].lower()
    header = [
        first(summary),
        "Published (real data)" if summary.table.synthetic else "Published",
        *(TITLES[column] for column in summary.columns),
        f"95 % interval ({headline})",
        "p vs row above",
        "Accuracy" if summary.table.metric == "uar" else "UAR",
        "Macro F1",
        *(["Top-3"] if summary.table.top3 else []),
        *_sizes_header(summary),
        "Parameters (published)",
    ]
    rows = [_main_row(summary, row) for row in summary.rows if not row.transductive and not row.apart]
    blank = [NONE] * (len(header) - 2 - len(summary.columns))
    for name, chance in summary.baselines.items():
        rows.append([name, NONE, *[percent(chance)] * len(summary.columns), *blank])
    rows += [_main_row(summary, row) for row in summary.rows if row.transductive or row.apart]
    if summary.table.own:  # nobody published figures of these clips
        header[-1] = "Parameters"
        header, *rows = ([line[0], *line[2:]] for line in (header, *rows))
    return set_apart(summary, TextTable(title(summary), header, rows), ranked=True)


def published(summary: Summary, row: RowSummary) -> str:
    """Return the published figure of the table's metric and where it comes from."""
    figures, metric = row.row.published, summary.table.metric
    return f"{figures[metric]:.2f} ({figures['provenance']})" if metric in figures else summary.table.unpublished


def measured(summary: Summary, row: RowSummary, column: str) -> str:
    """Return the metric of one column with its spread, and how much of it was run."""
    score = row.scores.get(column)
    if not score:
        protocol = COLUMNS[column][0]
        return NOT_RUN if protocol in summary.table.protocols and row.row.runs_under(protocol) else NONE
    spread = score.seed_spread if len(summary.table.folds) == 1 else score.spread
    return f"{_with_spread(score.mean, spread)}{_coverage(summary, score)}"


def _main_row(summary: Summary, row: RowSummary) -> list[str]:
    score = row.scores.get(summary.headline)
    of_headline = [NONE] * (5 if summary.table.top3 else 4)
    if score:
        of_headline = [
            _interval(score),
            p_value(row.p),
            percent(score.accuracy if summary.table.metric == "uar" else score.uar),
            percent(score.f1),
            *([percent(score.top3)] if summary.table.top3 else []),
        ]
    columns = [measured(summary, row, column) for column in summary.columns]
    return [row.row.label, published(summary, row), *columns, *of_headline, *_sizes(summary, row), _parameters(row)]


def _sizes_header(summary: Summary) -> list[str]:
    """Return a column for the published figures, if there are any, and one per protocol: their numbers may differ."""
    which = [*(["published"] if _sizes_published(summary) else []), *_PROTOCOLS]
    which = [_PROTOCOLS.get(name, name) for name in which if name == "published" or name in summary.table.protocols]
    return [f"n train / test ({name})" for name in which] if len(which) > 1 else ["n train / test"]


def _sizes(summary: Summary, row: RowSummary) -> list[str]:
    told = [str(row.row.published.get("n", NONE))] if _sizes_published(summary) else []
    return told + [caveats.sizes(row, name) or NONE for name in _PROTOCOLS if name in summary.table.protocols]


def _sizes_published(summary: Summary) -> bool:
    return any("n" in row.row.published for row in summary.rows)


def _by_corpus(summary: Summary) -> TextTable:
    header = [first(summary), "Corpus", "Clips", "UAR", "Macro precision", "Macro F1", "Accuracy"]
    metrics = (statistics.uar, statistics.macro_precision, statistics.macro_f1, statistics.accuracy)
    rows = [
        [row.row.label, corpus, f"{confusion.sum():.0f}", *(percent(float(metric(confusion))) for metric in metrics)]
        for row in summary.rows
        if (score := row.scores.get(summary.headline)) and not summary.table.own  # whose folders are no corpora
        for corpus, confusion in score.corpora.items()
    ]
    return TextTable(titled(summary, f'By corpus, column "{TITLES[summary.headline]}"'), header, rows)


def _detail(summary: Summary) -> TextTable:
    header = [
        first(summary), "Column", "Cells", "n train / test", f"{metric_name(summary)}, mean over folds",
        "SD over folds", "SD over seeds", "95 % interval", "Accuracy", "UAR", "Macro F1",
    ]  # fmt: skip
    rows = [
        [
            row.row.label,
            TITLES[column],
            f"{score.cells}/{score.planned}",
            caveats.sizes(row, COLUMNS[column][0]),
            *map(percent, (score.mean, score.spread, score.seed_spread)),
            _interval(score),
            *map(percent, (score.accuracy, score.uar, score.f1)),
        ]
        for row in summary.rows
        for column, score in row.scores.items()
    ]
    return TextTable(titled(summary, "Every column"), header, rows)


def _optimism(summary: Summary) -> TextTable:
    header = [first(summary), "Best epoch - last epoch", "Best epoch - honest", "n train, paper protocol / honest"]
    rows = []
    for row in summary.rows:
        gaps = [row.optimism(column) for column in ("last", "honest")]
        if not all(map(math.isnan, gaps)):
            trained = [caveats.sizes(row, name, ["n_train"]) or NONE for name in _PROTOCOLS]
            shown = [NONE if math.isnan(gap) else f"{100 * gap:+.2f}" for gap in gaps]
            rows.append([row.row.label, *shown, " / ".join(trained)])
    text = "Optimism: points that choosing the epoch on the test fold adds; against honest, more training clips too"
    return TextTable(titled(summary, text), header, rows)


def _robustness(summary: Summary) -> TextTable:
    rates = sorted({rate for row in summary.rows for of in row.robustness.values() for rate in of.rates})
    header = [first(summary), "Modality that goes missing", "Column", "Area", *(f"{rate:.0%}" for rate in rates)]
    rows = []
    for row in summary.rows:
        for modality, curve in row.robustness.items():
            at = dict(zip(curve.rates, curve.values, strict=True))
            cells = [percent(at.get(rate, math.nan)) for rate in rates]
            rows.append([row.row.label, modality, TITLES[curve.column], percent(curve.area), *cells])
    return TextTable(
        titled(summary, f"{metric_name(summary)} under missing modalities, without retraining"), header, rows
    )


def _with_spread(mean: float, spread: float) -> str:
    return percent(mean) if math.isnan(spread) else f"{percent(mean)} \N{PLUS-MINUS SIGN} {percent(spread)}"


def _coverage(summary: Summary, score: Score) -> str:
    if score.cells == score.planned:
        return ""
    folds = len(summary.table.folds)
    if len(score.folds) < folds:
        return f" ({len(score.folds)}/{folds} folds)"
    return f" ({score.cells}/{score.planned} cells)"


def _interval(score: Score) -> str:
    low, high = score.interval
    return NONE if math.isnan(low) else f"{percent(low)} to {percent(high)}"


def _parameters(row: RowSummary) -> str:
    figures = {cell.result["parameters"]["total"] for cell in row.cells.values()}
    own = ", ".join(quantity(figure) for figure in sorted(figures)) or NONE
    known = row.row.published.get("parameters")
    return f"{own} ({quantity(known)})" if known else own
