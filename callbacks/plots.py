"""Pictures of one run: confusion matrix, values against labels, learning curves, attention over what the model saw."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from lightning.pytorch import Callback, LightningModule, Trainer
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure, FigureBase
from matplotlib.text import Text
from matplotlib.ticker import MaxNLocator
from torch import Tensor

from atomic_files import replacing
from lightning_modules.base import Batch, EmotionTask, select_clip


def stamp(figure: Figure, synthetic: bool, transductive: bool = False) -> None:
    """Say across a figure that it shows a stand-in, or that clips of the test were part of the input; once it is drawn.

    Args:
        figure: The figure.
        synthetic: Whether the data are a stand-in.
        transductive: Whether speakers were standardised by their clips of the test.
    """
    if transductive:
        figure.text(0.5, 0.005, "TRANSDUCTIVE", color="red", alpha=0.6, size=9, ha="center", va="bottom")
    if synthetic:
        figure.text(0.5, 0.5, "SYNTHETIC", color="red", alpha=0.2, size=28, rotation=20, ha="center", va="center")
    for text in figure.findobj(Text):
        text.set_parse_math(False)  # a class' name with dollars is no formula


def save(figure: Figure, path: Path, synthetic: bool, transductive: bool = False) -> None:
    """Write a figure as PNG, with its `stamp`."""
    FigureCanvasAgg(figure)
    stamp(figure, synthetic, transductive)
    with replacing(path, sync=False) as temporary:
        figure.savefig(temporary, dpi=80, format="png")


def draw_confusion(target: Tensor, predicted: Tensor, class_names: list[str]) -> Figure:
    """Draw the share of every class that went to every class.

    Args:
        target: ``(N,)`` class indices.
        predicted: ``(N,)`` class indices.
        class_names: Names in order of the index.

    Returns:
        The figure.
    """
    count = len(class_names)
    matrix = torch.bincount(target * count + predicted, minlength=count**2).view(count, count)
    share = (matrix / matrix.sum(1, keepdim=True).clamp_min(1)).numpy()
    figure = Figure(figsize=(1.5 + 0.55 * count, 1.2 + 0.55 * count), layout="constrained")
    axis = figure.subplots()
    axis.imshow(share, cmap="Blues", vmin=0, vmax=1)
    for row, column in np.ndindex(count, count):
        dark = share[row, column] > 0.5
        axis.text(column, row, str(int(matrix[row, column])), ha="center", va="center", color="w" if dark else "k")
    axis.set_xticks(range(count), class_names, rotation=45, ha="right")
    axis.set_yticks(range(count), class_names)
    axis.set(xlabel="predicted", ylabel="true", title=f"{len(target)} clips")
    return figure


def draw_values(values: dict[str, tuple[Tensor, Tensor]]) -> Figure:
    """Draw predicted against true values, one panel per task.

    Args:
        values: Predicted and true values ``(N,)`` by task, in the unit of the label, NaN where a clip has no label.

    Returns:
        The figure.
    """
    figure = Figure(figsize=(3.6 * len(values), 3.6), layout="constrained")
    axes = figure.subplots(1, len(values), squeeze=False)[0]
    for axis, (task, (predicted, true)) in zip(axes, values.items(), strict=True):
        known = ~true.isnan()
        said, meant = predicted[known].numpy(), true[known].numpy()
        axis.scatter(meant, said, s=12, alpha=0.5)
        if len(meant):
            ends = [float(min(said.min(), meant.min())), float(max(said.max(), meant.max()))]
            axis.plot(ends, ends, color="0.6", linewidth=1, zorder=0)
        axis.set(xlabel=f"{task}: true", ylabel="predicted", title=f"{int(known.sum())} clips")
    return figure


def draw_curves(history: list[dict[str, str]]) -> Figure:
    """Draw loss, accuracy, concordance of values and learning rates over the epochs, of what there is.

    Args:
        history: Rows of ``metrics.csv``.

    Returns:
        The figure.
    """
    panels = {"loss": ["train_loss", "val_loss"], "accuracy": ["train_accuracy", "val_accuracy", "val_uar"]}
    names = list(dict.fromkeys(name for row in history for name in row))
    if agreements := [name for name in names if name.startswith("val_ccc_")]:
        panels["concordance"] = agreements
        if not any(name in names for name in panels["accuracy"]):
            panels.pop("accuracy")
    panels["learning rate"] = [name for name in history[0] if name.startswith("lr/")]
    figure = Figure(figsize=(4 * len(panels), 3.4), layout="constrained")
    for axis, (title, names) in zip(figure.subplots(1, len(panels)), panels.items(), strict=True):
        colours: list[Any] = [f"C{number}" for number in range(len(names))]
        if len(names) > 10:  # stages from input to head; the default colours would come twice
            colours = [colormaps["viridis"](number / len(names)) for number in range(len(names))]
        for name, colour in zip(names, colours, strict=True):
            points = [(int(row["epoch"]) + 1, float(row[name])) for row in history if row.get(name)]
            marker = "." if len(points) < 30 else ""
            epochs, values = [epoch for epoch, _ in points], [value for _, value in points]
            axis.plot(epochs, values, marker=marker, color=colour, label=name.removeprefix("lr/"))
        axis.set(title=title, xlabel="epoch")
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        axis.grid(alpha=0.3)
        if len(names) > 6:  # beside the curves
            axis.legend(fontsize=6, loc="upper left", bbox_to_anchor=(1, 1))
        elif names:
            axis.legend(fontsize=7)
    return figure


def frames_of_parts(video: Tensor, parts: int) -> Tensor:
    """Return the middle frame of each part of every clip, stretched to the visible range.

    Args:
        video: ``(N, 3, T, H, W)`` as the model saw it.
        parts: How many equal parts a clip has.

    Returns:
        ``(N, parts, H, W, 3)`` between 0 and 1.
    """
    low, high = video.amin((1, 2, 3, 4), keepdim=True), video.amax((1, 2, 3, 4), keepdim=True)
    middles = [int((part + 0.5) * video.shape[2] / parts) for part in range(parts)]
    return ((video[:, :, middles] - low) / (high - low).clamp_min(1e-6)).permute(0, 2, 3, 4, 1)


def draw_attention(video: Tensor, attention: Tensor, titles: list[str]) -> Figure:
    """Draw each clip's attention maps over the frames that they belong to.

    Args:
        video: ``(N, 3, T, H, W)`` as the model saw it; stretched to the visible range here.
        attention: ``(N, T', H', W')``; map ``t`` covers the frames of the ``t``-th part of the clip.
        titles: One per clip.

    Returns:
        The figure.
    """
    clips, steps = attention.shape[:2]
    figure = Figure(figsize=(4 * steps, 2.2 * clips), layout="constrained")
    paint_attention(figure, frames_of_parts(video, steps), attention, titles)
    return figure


def paint_attention(place: FigureBase, frames: Tensor, attention: Tensor, titles: list[str]) -> None:
    """Draw in a part of a figure each clip's attention maps over their frames ``(N, T', H, W, 3)``."""
    steps = attention.shape[1]
    maps = F.interpolate(attention, tuple(frames.shape[2:4]), mode="bilinear")
    axes = place.subplots(len(frames), 2 * steps, squeeze=False)
    for row, title in enumerate(titles):
        for step in range(steps):
            frame = frames[row, step]
            plain, overlaid = axes[row][2 * step], axes[row][2 * step + 1]
            plain.imshow(frame)
            overlaid.imshow(frame.mean(-1), cmap="gray")
            overlaid.imshow(maps[row, step], cmap="inferno", alpha=0.6)
        axes[row][0].set_title(title, fontsize=9, loc="left")
    for axis in axes.flat:
        axis.axis("off")


def draw_matrices(attention: Tensor, titles: list[str]) -> Figure:
    """Draw which step of a sequence each clip's steps attended to.

    Args:
        attention: ``(N, T, S)``; rows sum to 1.
        titles: One per clip.

    Returns:
        The figure.
    """
    figure = Figure(figsize=(3.4 * len(titles), 3.4), layout="constrained")
    for axis, matrix, title in zip(figure.subplots(1, len(titles), squeeze=False)[0], attention, titles, strict=True):
        paint_matrix(axis, matrix)
        axis.set_title(title.replace(": ", ":\n", 1), fontsize=8)
    return figure


def paint_matrix(axis: Axes, matrix: Tensor) -> None:
    """Draw which step ``S`` each step ``T`` attended to, ``(T, S)``."""
    axis.imshow(matrix.numpy(), cmap="Blues", vmin=0, vmax=max(float(matrix.max()), 2 / matrix.shape[1]))
    axis.set(xlabel="step attended to", ylabel="attending step")


def plot_folder(trainer: Trainer) -> Path:
    """Return ``plots`` of the run; ``plots-test`` once it has a result: a later test must not replace its pictures."""
    folder = Path(trainer.default_root_dir)
    return folder / ("plots-test" if (folder / "result.json").exists() else "plots")


class ResultPlots(Callback):
    """Write ``plots/confusion.png`` of classes and ``plots/values.png`` of values after every test run.

    Where ``metrics.csv`` is, ``plots/curves.png`` too.
    """

    only_watches = True  # no part of what a run is: `experiments.results.elsewhere`
    leaves_files = True  # not in a trial run
    draws = True  # of the tests that end a run after the last alone

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Draw the table of the test run and the history of the run."""
        assert isinstance(pl_module, EmotionTask)
        if not trainer.is_global_zero:
            return
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        folder, table = plot_folder(trainer), pl_module.predictions
        if data.class_names:
            labelled = table.labels >= 0
            figure = draw_confusion(table.labels[labelled], table.scores.argmax(1)[labelled], data.class_names)
            save(figure, folder / "confusion.png", data.synthetic, data.transductive)
        if table.values:
            save(draw_values(table.values), folder / "values.png", data.synthetic, data.transductive)
        history = folder.with_name("metrics.csv")
        if folder.name == "plots" and history.exists():
            with history.open(newline="") as file:
                save(draw_curves(list(csv.DictReader(file))), folder / "curves.png", data.synthetic, data.transductive)


class AttentionPlot(Callback):
    """Write ``plots/attention.png`` after a test run of a model that gives ``aux["attention"]``.

    Maps ``(B, T', H', W')`` are drawn over the video, matrices ``(B, T, S)`` between steps as they are.

    Args:
        clips: How many clips to show, of different classes as far as they go.
    """

    only_watches = True  # no part of what a run is: `experiments.results.elsewhere`
    leaves_files = True  # not in a trial run
    draws = True  # of the tests that end a run after the last alone

    def __init__(self, clips: int = 4) -> None:
        self.clips = clips
        self._clips_to_draw: dict[int, Batch] = {}

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Forget the clips of an earlier test."""
        self._clips_to_draw = {}

    def on_test_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Keep the first clip of each of the first classes."""
        pictures = any(isinstance(value, Tensor) and value.ndim == 5 for value in batch.values())
        if not trainer.is_global_zero or not pictures or not isinstance(batch["target"], Tensor):
            return
        if batch["target"].ndim != 1:
            return
        for row, label in enumerate(batch["target"].tolist()):
            if label not in self._clips_to_draw and len(self._clips_to_draw) < self.clips:
                self._clips_to_draw[label] = select_clip(batch, row)

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Score the kept clips once more and draw them."""
        outputs = {label: pl_module(clip) for label, clip in sorted(self._clips_to_draw.items())}
        if not outputs or any("attention" not in output["aux"] for output in outputs.values()):
            return
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        titles = [
            f"{self._clips_to_draw[label]['id'][0]}: {data.class_names[label]}, "
            f"predicted {data.class_names[int(output['logits'].argmax())]}"
            for label, output in outputs.items()
        ]
        attention = torch.cat([output["aux"]["attention"] for output in outputs.values()]).float().cpu()
        if attention.ndim == 3:
            figure = draw_matrices(attention, titles)
        else:
            video = torch.cat([self._clips_to_draw[label]["video"] for label in outputs]).float().cpu()
            figure = draw_attention(video, attention, titles)
        save(figure, plot_folder(trainer) / "attention.png", data.synthetic, data.transductive)
