"""Heat maps of models across corpora."""

from typing import TYPE_CHECKING

import numpy as np

from experiments.report.plots import grid
from experiments.report.tables.cross_scores import cross_scores
from experiments.report.tables.text_table import Picture
from experiments.results.stamps import TRANSDUCTIVE
from experiments.scores.table_scores import Summary

if TYPE_CHECKING:  # see `plots`
    from matplotlib.axes import Axes

METRICS = {"UAR": "uar", "Accuracy": "accuracy"}


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
