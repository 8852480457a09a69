"""Answers as they stand on the page: HTML in which everything that comes from elsewhere is escaped."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from PIL import Image

from experiments.predict.loaded.answer import Answer
from experiments.predict.loaded.model import Model
from experiments.predict.picture import draw_looked_at

TEMPLATES = Path(__file__).parents[1] / "templates"
SHOWN = 8  # pictures of a face
SIDE = 96  # pixels of each
WIDTH, HEIGHT = 640, 200  # of a curve


@dataclass(frozen=True)
class Said:
    """What is shown of a model's answer.

    Attributes:
        title: Of the model.
        model: Which.
        answer: About the clip.
        changes: What it says where one more modality is off.
        faces: What it saw, uint8 ``(T, H, W, 3)``.
    """

    title: str
    model: Model
    answer: Answer
    changes: dict[str, Answer] = field(default_factory=dict)
    faces: np.ndarray | None = None

    @property
    def bars(self) -> list[tuple[str, float]]:
        """Classes and their probabilities, the most probable first."""
        return sorted(self.answer.probabilities.items(), key=lambda pair: -pair[1])

    @property
    def threshold(self) -> float:
        """Below which it is unsure."""
        return float(self.model.about["calibration"].get("threshold", 0.0))

    @property
    def picture(self) -> str:
        """What it looked at, or some of the pictures that it saw, as a data URI; empty where it saw none."""
        file = io.BytesIO()
        if self.has_attention:
            draw_looked_at(self.answer).savefig(file, format="png", dpi=80)
            return _uri(file)
        if self.faces is None:
            return ""
        some = np.linspace(0, len(self.faces) - 1, min(SHOWN, len(self.faces))).round().astype(int)
        strip = Image.new("RGB", (SIDE * len(some), SIDE))
        for place, row in enumerate(some):
            strip.paste(Image.fromarray(self.faces[row]).resize((SIDE, SIDE)), (SIDE * place, 0))
        strip.save(file, "PNG")
        return _uri(file)

    @property
    def has_attention(self) -> bool:
        """Whether it says where it looked."""
        return self.answer.attention is not None and self.answer.seen is not None

    @property
    def curves(self) -> list[tuple[str, str]]:
        """Classes and the points of their curves over time, for an SVG; none of a clip of a single window."""
        course = self.answer.over_time
        if len(course) < 2:
            return []
        begin, end = course[0]["start"], course[-1]["end"]
        times = [((one["start"] + one["end"]) / 2 - begin) / (end - begin) * WIDTH for one in course]
        return [
            (name, " ".join(f"{x:.1f},{HEIGHT * (1 - one['probabilities'][name]):.1f}"
                            for x, one in zip(times, course, strict=True)))
            for name in self.answer.probabilities
        ]  # fmt: skip


def _uri(file: io.BytesIO) -> str:
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"


def html_of(said: Sequence[Said]) -> str:
    """Return the answers side by side."""
    return str(_environment().get_template("answers.html.j2").render(said=said, width=WIDTH, height=HEIGHT))


def html_of_problem(problem: str) -> str:
    """Return a message."""
    return str(_environment().get_template("problem.html.j2").render(problem=problem))


@cache
def _environment() -> Any:
    return Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
