"""The pictures of a report, as PNG bytes; every one says SYNTHETIC where the table is."""

import io
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from experiments.report.tables.text_table import METRICS, STAMP, TITLES, Picture, metric_name
from experiments.reproduce.tables.table import COLUMNS
from experiments.results.cell import Cell
from experiments.results.stamps import TRANSDUCTIVE
from experiments.scores import subgroups
from experiments.scores.column_score import Score
from experiments.scores.metrics import statistics
from experiments.scores.table_scores import RowSummary, Summary

if TYPE_CHECKING:  # importing matplotlib costs a second: only who draws pays for it
    from matplotlib.axes import Axes

COLOURS = {"best": "#D55E00", "last": "#0072B2", "honest": "#009E73"}
_CYCLE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000", "#999933")


def figures(summary: Summary) -> list[Picture]:
    """Draw everything that the cells of a table allow; nothing without cells."""
    headline, name = TITLES[summary.headline], metric_name(summary)
    scored = [(row, row.scores[summary.headline]) for row in summary.rows if summary.headline in row.scores]
    run = [row for row in summary.rows if row.cells]
    curves = [row for row in run if any(f"val_{summary.table.metric}" in cell.curves for cell in row.cells.values())]
    drawn: list[Picture] = []
    if any(row.scores for row in run):
        drawn.append((f"{name} per fold; the bar is the mean over folds", _fold_dots(summary, run)))
    if scored:
        drawn += [
            (f"Confusion matrices, all folds, rows sum to 100 % ({headline})", _confusions(summary, scored)),
            (f"Recall per class, all folds ({headline})", _recalls(summary, scored)),
        ]
    if curves:
        drawn.append(
            ("Learning curves: the metric above, loss below; thin: one cell, thick: mean", _curves(summary, curves))
        )
    if any(row.robustness for row in run):
        drawn.append((f"{name} under missing modalities, without retraining", _robustness(summary, run)))
    gated = [(row, by) for row in run if (by := _gates(summary, row))]
    drawn += [
        (
            f"Weights of the modalities that are there, {row.row.label} ({headline}); bar: mean, dots: clips; lines: "
            "between which weights the softmax of sigmoids keeps three modalities (dense) and two (loose)",
            _weights(summary, by),
        )
        for row, by in gated
    ]
    return drawn


def _gates(summary: Summary, row: RowSummary) -> dict[subgroups.Group, dict[str, subgroups.Values]]:
    """Return the weights by class and group; none for a model whose weights are the same for all."""
    clips = row.clips(summary.headline)
    return subgroups.weights(clips, row.class_names) if subgroups.adaptive(clips) else {}


def run_pictures(summary: Summary) -> list[Picture]:
    """Return pictures that the runs themselves left: those of the first cell of every row."""
    pictures = []
    for row in summary.rows:
        for (protocol, fold, seed), cell in sorted(row.cells.items()):
            if cell.plots:
                where = f"{row.row.label}, {protocol} protocol, fold {fold}, seed {seed}"
                stamp = f"{STAMP}: " if summary.table.synthetic else ""
                pictures += [(f"{stamp}{path.stem} ({where})", path.read_bytes()) for path in cell.plots]
                break
    return pictures


def grid(
    summary: Summary, count: int, draw: Callable[[int, "Axes"], None], *, across: int = 4, size: tuple[float, float]
) -> bytes:
    """Draw panels in a grid and return the PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure as Canvas
    from matplotlib.text import Text

    across = min(across, count)
    down = math.ceil(count / across)
    figure = Canvas(figsize=(across * size[0], down * size[1]), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(down, across, squeeze=False).ravel()
    for index in range(count):
        draw(index, axes[index])
    for spare in axes[count:]:
        spare.set_axis_off()
    if summary.table.synthetic:
        figure.text(
            0.5, 0.5, STAMP, fontsize=16 * figure.get_figwidth() / 4, color="red", alpha=0.16, rotation=20,
            ha="center", va="center", weight="bold", zorder=10,
        )  # fmt: skip
    for text in figure.findobj(Text):
        text.set_parse_math(False)  # a label with dollars is no formula
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def _fold_dots(summary: Summary, rows: Sequence[RowSummary]) -> bytes:
    def draw(_: int, axes: "Axes") -> None:
        for place, row in enumerate(rows):
            for shift, column in zip((-0.24, 0.0, 0.24), COLUMNS, strict=True):
                if score := row.scores.get(column):
                    values = 100 * np.array(list(score.folds.values()))
                    label = TITLES[column] if column not in named else None
                    named.add(column)
                    axes.scatter([place + shift] * len(values), values, s=18, color=COLOURS[column], label=label)
                    axes.hlines(values.mean(), place + shift - 0.1, place + shift + 0.1, color=COLOURS[column], lw=2)
        axes.axhline(100 * summary.majority, color="grey", ls=":", lw=1, label="Majority class")
        apart = sum(not row.transductive for row in rows)
        if apart < len(rows):
            axes.axvspan(apart - 0.5, len(rows) - 0.5, color="red", alpha=0.07, label=TRANSDUCTIVE)
        axes.set_xticks(range(len(rows)), [row.row.label for row in rows], rotation=20, ha="right")
        axes.set_ylabel(f"{METRICS[summary.table.metric]}, %")
        axes.grid(axis="y", alpha=0.3)
        axes.legend(fontsize=7, loc="best")

    named: set[str] = set()
    return grid(summary, 1, draw, size=(max(6.0, 1.4 * len(rows)), 4.2))


def _confusions(summary: Summary, scored: Sequence[tuple[RowSummary, Score]]) -> bytes:
    def draw(index: int, axes: "Axes") -> None:
        row, score = scored[index]
        names = row.class_names
        total = score.confusion.sum(1, keepdims=True)
        share = 100 * np.divide(score.confusion, total, out=np.zeros_like(score.confusion), where=total > 0)
        axes.imshow(share, cmap="Blues", vmin=0, vmax=100)
        for true in range(len(names)):
            for guess in range(len(names)) if total[true, 0] else ():
                colour = "white" if share[true, guess] > 55 else "black"
                axes.text(guess, true, f"{share[true, guess]:.0f}", ha="center", va="center", color=colour, fontsize=7)
        axes.set_xticks(range(len(names)), names, rotation=45, ha="right", fontsize=7)
        axes.set_yticks(range(len(names)), names, fontsize=7)
        axes.set_title(row.row.label, fontsize=9)
        if index == 0:
            axes.set_xlabel("predicted", fontsize=8)
            axes.set_ylabel("true", fontsize=8)

    return grid(summary, len(scored), draw, across=3, size=(3.9, 3.7))


def _recalls(summary: Summary, scored: Sequence[tuple[RowSummary, Score]]) -> bytes:
    def draw(index: int, axes: "Axes") -> None:
        row, score = scored[index]
        names = row.class_names
        axes.bar(range(len(names)), 100 * np.nan_to_num(statistics.recalls(score.confusion)), color=COLOURS["honest"])
        axes.axhline(100 * score.uar, color="black", lw=1, ls="--")
        axes.set_xticks(range(len(names)), names, rotation=45, ha="right", fontsize=7)
        axes.set_ylim(0, 100)
        axes.set_title(f"{row.row.label}: UAR {100 * score.uar:.1f}", fontsize=9)
        axes.set_ylabel("recall, %", fontsize=8)

    return grid(summary, len(scored), draw, across=3, size=(3.9, 2.8))


def _curves(summary: Summary, rows: Sequence[RowSummary]) -> bytes:
    from matplotlib.ticker import MaxNLocator

    across = min(3, len(rows))

    # Panels go row by row: accuracies of up to three models, then their losses, then the next three.
    def draw(index: int, axes: "Axes") -> None:
        block, place = divmod(index, 2 * across)
        below, column = divmod(place, across)
        number = block * across + column
        if number >= len(rows):
            axes.set_axis_off()
            return
        row = rows[number]
        if below:
            _curve(axes, row, "train_loss", "train, ", ls="--")
            _curve(axes, row, "val_loss", "", ls="-")
            axes.set_ylabel("loss", fontsize=8)
        else:
            _curve(axes, row, f"val_{summary.table.metric}", "", ls="-", scale=100)
            axes.set_title(row.row.label, fontsize=9)
            axes.set_ylabel(f"{METRICS[summary.table.metric]}, %", fontsize=8)
        axes.set_xlabel("epoch", fontsize=8)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.3)
        if axes.get_legend_handles_labels()[0]:
            axes.legend(fontsize=6)

    count = 2 * across * math.ceil(len(rows) / across)
    return grid(summary, count, draw, across=across, size=(3.9, 2.8))


def _curve(axes: "Axes", row: RowSummary, name: str, prefix: str, *, scale: float = 1, **style: Any) -> None:
    for protocol, label, colour in (
        ("paper", "on the test fold (paper)", COLOURS["best"]),
        ("honest", "on validation (honest)", COLOURS["honest"]),
    ):
        lines = [_points(cell, name) for (own, _, _), cell in sorted(row.cells.items()) if own == protocol]
        lines = [line for line in lines if len(line)]
        if not lines:
            continue
        for line in lines if len(lines) > 1 else ():
            axes.plot(line[:, 0], scale * line[:, 1], color=colour, alpha=0.25, lw=0.6, **style)
        epochs = sorted(set.intersection(*(set(line[:, 0]) for line in lines)))
        mean = [np.mean([line[line[:, 0] == epoch, 1][-1] for line in lines]) for epoch in epochs]
        named = f"{protocol}, training" if prefix else label
        axes.plot(epochs, scale * np.array(mean), color=colour, lw=1.8, label=named, **style)


def _points(cell: Cell, name: str) -> np.ndarray[Any, np.dtype[np.float64]]:
    values = cell.curves.get(name, [])
    epochs = cell.curves.get("epoch", list(range(len(values)))) if values else []  # a baseline has no training loss
    pairs = [(epoch + 1, value) for epoch, value in zip(epochs, values, strict=True) if not math.isnan(value)]
    return np.array(pairs, dtype=np.float64).reshape(-1, 2)


def _weights(summary: Summary, by: dict[subgroups.Group, dict[str, subgroups.Values]]) -> bytes:
    names = list(dict.fromkeys(name for name, _ in by))
    modalities = list(next(iter(by.values())))

    def draw(index: int, axes: "Axes") -> None:
        values = [value for name, value in by if name == names[index]]
        for place, modality in enumerate(modalities):
            shown = [by[names[index], value][modality] for value in values]
            middle = np.arange(len(values)) + (place - (len(modalities) - 1) / 2) * 0.26
            means = [of.mean() if len(of) else np.nan for of in shown]
            axes.bar(middle, means, width=0.24, color=_CYCLE[place], alpha=0.6, label=modality)
            for at, of in zip(middle, shown, strict=True):
                axes.scatter(np.linspace(at - 0.09, at + 0.09, len(of)), of, s=2, color="black", alpha=0.35)
        for count, style in ((len(modalities), ":"), (2, (0, (1, 4)))):
            for bound in subgroups.bounds(count):
                axes.axhline(bound, color="grey", ls=style, lw=1)
        clips = [max(len(of) for of in by[names[index], value].values()) for value in values]
        labels = [f"{value}\n{count}" for value, count in zip(values, clips, strict=True)]
        axes.set_xticks(range(len(values)), labels, fontsize=7)
        axes.set_ylim(0, 1)
        axes.set_title(f"by {names[index]}", fontsize=9)
        axes.set_ylabel("weight", fontsize=8)
        if index == 0:
            axes.legend(fontsize=7, loc="upper right")

    return grid(summary, len(names), draw, across=2, size=(5.4, 3.2))


def _robustness(summary: Summary, rows: Sequence[RowSummary]) -> bytes:
    modalities = sorted({modality for row in rows for modality in row.robustness})

    def draw(index: int, axes: "Axes") -> None:
        for place, row in enumerate(rows):
            if curve := row.robustness.get(modalities[index]):
                label = f"{row.row.label}: area {100 * curve.area:.1f}"
                style: dict[str, Any] = {"marker": "o", "ms": 3, "color": _CYCLE[place % len(_CYCLE)]}
                style["ls"] = "--" if row.transductive else "-"
                axes.plot(curve.rates, 100 * np.array(curve.values), label=label, **style)
        axes.axhline(100 * summary.majority, color="grey", ls=":", lw=1)
        axes.set_xlabel(f"share of clips without {modalities[index]}", fontsize=8)
        axes.set_ylabel(f"{METRICS[summary.table.metric]}, %", fontsize=8)
        axes.set_ylim(0, 100)
        axes.legend(fontsize=7)

    return grid(summary, len(modalities), draw, across=3, size=(4.2, 3.4))
