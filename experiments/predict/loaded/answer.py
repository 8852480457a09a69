"""What a model says of a clip."""

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Answer:
    """What a model says of a clip.

    Attributes:
        file: Which.
        label: The most probable class; empty of a model of values alone, and where there is a problem.
        probabilities: By class.
        confidence: Calibrated probability of the label; None where the run has kept no calibration.
        unsure: Whether that is less than the threshold below which more answers were wrong than right.
        values: By name, in the unit of the label.
        weights: What a gate gave each modality, of models that have one.
        missing: Why the model had to go without a modality, by modality.
        seconds: Length of the clip; 0 of a picture or a text, and where the file does not say.
        face: How certain the finder of faces was, mean over the frames; None of a finder that does not say.
        attention: Of models that have one, as they give it, without the axis of the batch.
        over_time: Of models of frames or windows, each of these: start, end and probabilities; the answer is the mean.
        person: Whose face it is of where there are several: ``1 of 3, the largest``, counted from the left.
        people: How many there are; 0 where that is not known.
        problem: Why there is no answer; empty where there is one.
        synthetic: Whether the model was trained on a stand-in, so that what it says means nothing.
    """

    file: str
    label: str = ""
    probabilities: dict[str, float] = field(default_factory=dict)
    confidence: float | None = None
    unsure: bool = False
    values: dict[str, float] = field(default_factory=dict)
    weights: dict[str, float] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    face: float | None = None
    attention: np.ndarray | None = None
    over_time: tuple[dict[str, Any], ...] = ()
    person: str = ""
    people: int = 0
    problem: str = ""
    synthetic: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Return everything but the attention, as JSON values."""
        return {name: value for name, value in asdict(self).items() if name != "attention"}

    def __str__(self) -> str:
        """Return the answer in one line."""
        if self.problem:
            return f"{self.file}: no answer: {self.problem}"
        parts = [f"{self.label} {self.probabilities[self.label]:.1%}"] if self.label else []
        if self.confidence is not None:
            parts[0] += f" (calibrated {self.confidence:.1%}{', unsure' * self.unsure})"
        parts += [f"{name} {value:.4g}" for name, value in self.values.items()]
        if self.weights:
            parts.append("weights " + ", ".join(f"{name} {value:.2f}" for name, value in self.weights.items()))
        parts += [f"person {self.person}"] if self.person else []
        parts += [f"without {name} ({reason})" for name, reason in self.missing.items()]
        return f"{self.file}: {'; '.join(parts)}"

    def plot(self) -> "Figure":
        """Return a picture of it: probabilities, weights, the course over time, as far as there are any."""
        from matplotlib.figure import Figure

        shown = [("probability", self.probabilities), ("value", self.values), ("weight", self.weights)]
        panels = [(title, of) for title, of in shown if of]
        figure = Figure(figsize=(8, 1 + 2.2 * (len(panels) + bool(self.over_time))), layout="constrained")
        axes = figure.subplots(len(panels) + bool(self.over_time), 1, squeeze=False)[:, 0]
        for axis, (title, of) in zip(axes, panels, strict=False):
            axis.barh(list(of), list(of.values()))
            axis.invert_yaxis()
            axis.set_xlabel(title)
        if self.over_time:
            times = [(one["start"] + one["end"]) / 2 for one in self.over_time]
            for name in self.probabilities:
                axes[-1].plot(times, [one["probabilities"][name] for one in self.over_time], label=name)
            axes[-1].set(xlabel="seconds", ylabel="probability", ylim=(0, 1))
            axes[-1].legend(fontsize="small")
        figure.suptitle(f"{self.file}{' (SYNTHETIC)' * self.synthetic}")
        return figure
