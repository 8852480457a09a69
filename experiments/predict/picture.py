"""A picture of an answer: what the model looked at, what it said, what its gates weighed, and the course over time."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from matplotlib.figure import Figure, FigureBase, SubFigure
from torch import Tensor

from callbacks.plots import frames_of_parts, paint_attention, paint_matrix, stamp

if TYPE_CHECKING:
    from experiments.predict.loaded.answer import Answer

SIDE = 112  # pixels of a frame that is kept
MOST = 10  # classes that are shown
WIDTH = 8.0
OVER_TIME = {"probabilities": "probability", "weights": "weight", "values": "value"}


class Picture(Figure):
    """A figure that a notebook shows."""

    def _repr_png_(self) -> bytes:
        file = BytesIO()
        self.savefig(file, dpi=80, format="png")
        return file.getvalue()


def frames_seen(batch: dict[str, Any], attention: Tensor) -> np.ndarray | None:
    """Return the frames that a model looked at, one for each map or step of its attention; None without a video.

    Args:
        batch: As the model saw it: ``video`` ``(B, 3, T, H, W)`` under maps, ``(B, N, 3, H, W)`` under matrices.
        attention: Maps ``(B, T', H', W')``, or matrices ``(B, T, S)`` over S steps of the video.

    Returns:
        uint8 ``(B, T', H, W, 3)``, or with S.
    """
    video = batch.get("video")
    if not isinstance(video, Tensor) or video.ndim != 5 or attention.ndim not in (3, 4):
        return None
    maps = attention.ndim == 4
    frames = frames_of_parts(
        video.float() if maps else video.float().transpose(1, 2), attention.shape[1 if maps else 2]
    )
    if (longer := max(frames.shape[2:4])) > SIDE:
        size = [max(1, of * SIDE // longer) for of in frames.shape[2:4]]
        small = F.interpolate(frames.flatten(0, 1).permute(0, 3, 1, 2), size, mode="area")
        frames = small.permute(0, 2, 3, 1).reshape(*frames.shape[:2], *size, 3)
    return np.asarray((frames * 255).round().to(torch.uint8).cpu())


def draw(answer: "Answer") -> Picture:
    """Return the picture of an answer, stamped where the model was trained on a stand-in."""
    parts: list[tuple[float, Callable[[SubFigure], None]]] = []
    if answer.attention is not None:
        parts.append((2.2, partial(_looked_at, answer=answer)))
    bars = {"probability": answer.probabilities, "value": answer.values, "weight of a modality": answer.weights}
    for title, of in bars.items():
        if of:
            parts.append((0.7 + 0.25 * min(len(of), MOST), partial(_bars, title=title, of=of)))
    for part, title in OVER_TIME.items():
        if len(answer.over_time) > 1 and any(one.get(part) for one in answer.over_time):
            parts.append((2.4, partial(_curves, over_time=answer.over_time, part=part, title=title)))
    heights = [height for height, _ in parts] or [1.0]
    figure = Picture(figsize=(WIDTH, 0.6 + sum(heights)), layout="constrained")
    figure.suptitle(_title(answer), fontsize=10)
    places: Any = figure.subfigures(len(heights), 1, squeeze=False, height_ratios=heights)
    for place, (_, paint) in zip(places.flat, parts, strict=False):
        paint(place)
    stamp(figure, answer.synthetic)
    return figure


def draw_looked_at(answer: "Answer") -> Picture:
    """Return the picture of what the model looked at, of an answer that has its attention."""
    figure = Picture(figsize=(WIDTH, 2.2), layout="constrained")
    _looked_at(figure, answer)
    return figure


def _title(answer: "Answer") -> str:
    name = Path(answer.file).name
    said = str(replace(answer, weights={})).removeprefix(f"{answer.file}: ")  # they have bars of their own
    return f"{name if len(name) <= 60 else f'{name[:57]}...'}\n{said if len(said) <= 110 else f'{said[:107]}...'}"


def _looked_at(place: FigureBase, answer: "Answer") -> None:
    attention = torch.from_numpy(np.asarray(answer.attention, np.float32))
    if attention.ndim == 1:
        axis = place.subplots()
        axis.bar(range(len(attention)), attention.numpy())
        axis.set(xlabel="place", ylabel="attention")
        return
    frames = answer.seen
    if attention.ndim == 3 and frames is not None:
        low, high = float(attention.min()), float(attention.max())
        told = (
            f"a frame of each part of the clip, and where the model looked: a place of it got {low:.1%} to {high:.1%}"
        )
        place.suptitle(told, fontsize=8)
        paint_attention(place, torch.from_numpy(frames / 255)[None], attention[None], [""])
    elif attention.ndim == 2:
        halves: Any = place.subfigures(1, 2, width_ratios=[1, 2.4])
        matrix, strip = halves
        paint_matrix(matrix.subplots(), attention)
        if frames is not None:
            share = attention.mean(0)
            strip.suptitle("share of the attention that each step of the video got", fontsize=8)
            for axis, frame, of in zip(strip.subplots(1, len(frames), squeeze=False)[0], frames, share, strict=True):
                axis.imshow(frame)
                axis.set_title(f"{of:.0%}", fontsize=8)
                axis.axis("off")


def _bars(place: SubFigure, title: str, of: dict[str, float]) -> None:
    shown = dict(sorted(of.items(), key=lambda item: -item[1])[:MOST]) if len(of) > MOST else of
    axis = place.subplots()
    share = title != "value"
    rects = axis.barh(list(shown), list(shown.values()), height=0.6)
    axis.bar_label(rects, [f"{of:.1%}" if share else f"{of:.3g}" for of in shown.values()], padding=3, fontsize=8)
    axis.invert_yaxis()
    axis.margins(x=0.12)
    if share:
        axis.set_xlim(0, 1.12)
    axis.set_xlabel(title + f" (the {MOST} largest of {len(of)})" * (len(of) > MOST))


def _curves(place: SubFigure, over_time: tuple[dict[str, Any], ...], part: str, title: str) -> None:
    """Draw what was said of windows or frames, a curve per name, over the middle of each."""
    times = [(one["start"] + one["end"]) / 2 for one in over_time]
    names = list(dict.fromkeys(name for one in over_time for name in one.get(part) or {}))
    courses = {name: [(one.get(part) or {}).get(name, np.nan) for one in over_time] for name in names}
    if len(names) > MOST:
        names = sorted(names, key=lambda name: -float(np.nanmean(courses[name])))[:MOST]
    axis = place.subplots()
    for name in names:
        axis.plot(times, courses[name], marker="." if len(times) < 60 else "", label=name)
    axis.set(xlabel="seconds", ylabel=title)
    if title != "value":
        axis.set_ylim(0, 1)
    axis.grid(alpha=0.3)
    axis.legend(fontsize=7, loc="upper left", bbox_to_anchor=(1, 1))
