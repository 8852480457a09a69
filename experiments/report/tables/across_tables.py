"""The tables of models across corpora: trained on one, tested on another, and what is behind each field."""

import numpy as np

from experiments.report.tables.cross_scores import CrossScore, cross_scores
from experiments.report.tables.text_table import NOT_RUN, TextTable, first, metric_name, titled
from experiments.results.quantities import NONE, percent
from experiments.scores.column_score import Score
from experiments.scores.table_scores import Summary


def matrix(summary: Summary) -> TextTable:
    """Return UAR and accuracy by corpus of training (rows) and of test (columns)."""
    found = cross_scores(summary)
    if not any(of.trained != of.tested for of in found) or summary.table.across is None:
        return TextTable("", [], [])
    corpora = summary.table.across.corpora
    rows = []
    for row in summary.rows:
        own = {of.tested: _field(of) for of in found if of.row is row}
        rows.append([row.row.label, *(own.get(corpus, NOT_RUN) for corpus in corpora)])
    text = "Across corpora: UAR (accuracy) in percent, over the classes that both have; [within the corpus]"
    return TextTable(titled(summary, text), [first(summary), *(f"Tested on {corpus}" for corpus in corpora)], rows)


def _field(of: CrossScore) -> str:
    text = f"{percent(of.score.uar)} ({percent(of.score.accuracy)})"
    return f"[{text}]" if of.trained == of.tested else text


def details(summary: Summary) -> TextTable:
    """Return what is behind every field off the diagonal."""
    header = [
        first(summary), "Tested on", "Classes", "Clips", "Left out, clips", "UAR",
        f"95 % interval ({metric_name(summary)})", "Accuracy", "Macro F1", "UAR of its own model, same classes",
    ]  # fmt: skip
    rows = [
        [
            of.row.row.label,
            of.tested,
            str(of.classes),
            str(of.clips),
            ", ".join(f"{name} {count}" for name, count in of.left_out.items()) or "none",
            percent(of.score.uar),
            _interval(of.score),
            percent(of.score.accuracy),
            percent(of.score.f1),
            percent(of.own.uar) if of.own else NONE,
        ]
        for of in cross_scores(summary)
        if of.trained != of.tested
    ]
    return TextTable(titled(summary, "Across corpora, all labelled clips of the other corpus"), header, rows)


def _interval(score: Score) -> str:
    low, high = score.interval
    return NONE if np.isnan(low) else f"{percent(low)} to {percent(high)}"
