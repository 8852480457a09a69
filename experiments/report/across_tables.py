"""The report on models across corpora: a heat map, the same as a table, and what is behind each of its fields."""

from typing import TYPE_CHECKING

import numpy as np

from experiments.report.plots import grid
from experiments.report.text_table import NOT_RUN, Picture, TextTable, first, metric_name, titled
from experiments.results.quantities import NONE, percent
from experiments.results.stamps import TRANSDUCTIVE
from experiments.scores.across import CrossScore, cross_scores
from experiments.scores.column_score import Score
from experiments.scores.table_scores import Summary

if TYPE_CHECKING:  # see `plots`
    from matplotlib.axes import Axes

METRICS = {"UAR": "uar", "Accuracy": "accuracy"}


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


def heat_maps(summary: Summary) -> list[Picture]:
    """Draw UAR and accuracy by corpus of training and of test, a row of panels a model; nothing without such cells."""
    found = cross_scores(summary)
    models = list(dict.fromkeys(of.model for of in found))
    if not any(of.trained != of.tested for of in found) or summary.table.across is None:
        return []
    corpora, labels = summary.table.across.corpora, summary.table.across.models

    def draw(index: int, axes: "Axes") -> None:
        model, (name, metric) = models[index // 2], list(METRICS.items())[index % 2]
        values = np.full((len(corpora), len(corpora)), np.nan)
        own = [of for of in found if of.model == model]
        for of in own:
            at = corpora.index(of.trained), corpora.index(of.tested)
            values[at] = 100 * getattr(of.score, metric)
            text = f"{values[at]:.1f}\n{of.classes} classes\n{of.clips} clips"
            colour = "white" if values[at] > 55 else "black"
            axes.text(at[1], at[0], text, ha="center", va="center", color=colour, fontsize=8)
            if of.trained == of.tested:
                frame = [at[1] - 0.48, at[1] + 0.48], [at[0] - 0.48, at[0] + 0.48]
                (left, right), (top, bottom) = frame
                axes.plot([left, right, right, left, left], [top, top, bottom, bottom, top], color="#D55E00", lw=2.5)
        axes.set_facecolor("0.9")  # not run
        axes.imshow(values, cmap="Blues", vmin=0, vmax=100)
        axes.set_xticks(range(len(corpora)), corpora, fontsize=8)
        axes.set_yticks(range(len(corpora)), corpora, fontsize=8, rotation=90, va="center")
        axes.set_xlabel("tested on", fontsize=8)
        axes.set_ylabel("trained on", fontsize=8)
        stamp = f"{TRANSDUCTIVE}: " if any(of.row.transductive for of in own) else ""
        axes.set_title(f"{stamp}{labels[model]}: {name}, %", fontsize=9)

    side = 1.3 + 1.1 * len(corpora)
    caption = "Across corpora, over the classes that both have; framed: within the corpus, all of its classes (honest)"
    return [(caption, grid(summary, 2 * len(models), draw, across=2, size=(side, side)))]
