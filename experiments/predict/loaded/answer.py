"""What a model says of a clip."""

from dataclasses import asdict, dataclass, field, replace
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
        attention: Of models that have one, float32 and without the axis of the batch. CFN-SR: ``(T', H', W')``, for
            each part of the clip the shares that the places of its frames got, which sum to 1; over action units or the
            states of an encoder ``(places,)``. EmotiW: ``(T, S)``, for each step of the sound the shares that it took
            from the steps of the video, or of the sound itself where it has no other. None of others, and where what
            would be looked at is missing.
        seen: The frames of the video under it, a map or step each: uint8 ``(T', H, W, 3)`` or ``(S, H, W, 3)``, at most
            112 pixels wide; in memory alone.
        over_time: Of models of frames or windows, each of these: start, end and probabilities; the answer is the mean.
        person: Whose face it is of where there are several: ``1 of 3, the largest``, counted from the left.
        people: How many there are; 0 where that is not known.
        problem: Why there is no answer; empty where there is one.
        synthetic: Whether the model was trained on a stand-in, so that what it says means nothing.

    Example:
        >>> import affectzoo, json
        >>> answer = affectzoo.load("runs/cfnsr")("clip.mp4")
        >>> parts, height, width = answer.attention.shape
        >>> answer.seen.shape[0] == parts
        True
        >>> sorted(set(json.loads(json.dumps(answer.to_dict()))))[:3]
        ['confidence', 'face', 'file']
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
    attention: np.ndarray | None = field(default=None, repr=False, compare=False)
    seen: np.ndarray | None = field(default=None, repr=False, compare=False)
    over_time: tuple[dict[str, Any], ...] = ()
    person: str = ""
    people: int = 0
    problem: str = ""
    synthetic: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Return everything but `attention` and `seen`, as JSON values."""
        return {name: value for name, value in asdict(self).items() if name not in ("attention", "seen")}

    def lean(self) -> "Answer":
        """Return it without `attention` and `seen`, which would be much of many clips."""
        return replace(self, attention=None, seen=None)

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
        return f"{self.file}: {'; '.join(parts)}{' (SYNTHETIC)' * self.synthetic}"

    def plot(self) -> "Figure":
        """Return a picture of it: what was looked at, probabilities, values, weights, their course over time.

        A notebook shows it; ``plot().savefig(path)`` writes it.
        """
        from experiments.predict.picture import draw

        return draw(self)
