"""What the outputs of a model mean, and what it was trained on, in words."""

from typing import Any

from experiments.predict.loaded.model import Model
from experiments.predict.loaded.windows import LONG, usual_window


def legend(model: Model, window: float | None = None) -> list[str]:
    """Return the lines that say what every output means, what the model was trained on, and how it was scored.

    Args:
        model: That was asked.
        window: Seconds of the windows that longer files were cut into; by the recipe where not given.
    """
    about, lines = model.about, []
    if model.classes:
        lines.append(f"label: the most probable of {', '.join(model.classes)}, with the model's own probability")
        lines.append(_calibration(about["calibration"]))
    for name, of in model.outputs.items():
        if of.get("kind") == "value":
            low, high = of.get("range") or (None, None)
            unit = f", in {of['unit']}" if of.get("unit") else ""
            span = f", labels from {low:g} to {high:g}" if low is not None and high is not None else ""
            lines.append(f"{name}: a value{unit}{span}")
    if model.task.gate_names():
        lines.append("weights: the share that the model's gate gave each modality of the clip")
    if hasattr(model.reader.shape, "step_kinds"):
        lines.append("an answer is the mean over the frames or windows of a clip; predictions.json has each of them")
    elif model.reader.media:
        usual = usual_window(model.reader)
        longer, cut = (LONG * usual, usual) if window is None else (window, window)
        lines.append(f"the answer about a file longer than {longer:g} s is the mean over its windows of {cut:g} s; "
                     "curves has each of them")  # fmt: skip
    if any(getattr(view, "face", "") == "landmarks" for view in model.reader.views.values()):
        lines.append("faces: as in training by files of landmarks, landmarks/NAME.csv beside a clip; one without "
                     "is asked without its face (docs/predict.md)")  # fmt: skip
    if model.reader.person:
        lines.append("person: of several people the one whose face it is, counted from the left")
    lines.append(f"without: the model had to go without a modality; it reads {', '.join(model.modalities)}")
    trained = f"trained on {about['corpus']}, protocol {about['protocol']}, fold {about['fold']}"
    lines.append(f"model: {type(model.task).__name__}, {trained}{_score(model)}")
    if about["synthetic"]:
        lines.append("SYNTHETIC: trained on a stand-in of drawn faces and voices; what it says of a real person means "
                     "nothing")  # fmt: skip
    return lines


def _calibration(of: dict[str, Any]) -> str:
    """Return what a calibrated probability is, and from when on an answer is unsure."""
    if not of:
        return "calibrated: the run has kept no calibration; the model's own probabilities may be too high"
    tested = of.get("split") == "test"
    where = "clips of the test itself, which is optimistic" if tested else "clips that select the epoch"
    threshold = of["threshold"]
    unsure = f"unsure: below {threshold:.1%}, where more of its answers were wrong than right"
    if not threshold:
        unsure = "unsure: never, as at no probability more of its answers were wrong than right"
    return (
        f"calibrated: as sure as it was right on {of.get('clips')} {where} (temperature {of['temperature']:.2f}; "
        f"calibration error {of['ece']:.3f} before, {of['ece_calibrated']:.3f} after); {unsure}"
    )


def _score(model: Model) -> str:
    about = model.about
    score = about["score"]
    if not score:
        return "; its score is not known, as no result.json lies beside it"
    told = [
        f"{title} {100 * score[name]:.1f} %"
        for name, title in (("accuracy", "accuracy"), ("uar", "UAR"))
        if name in score
    ]
    told += [
        f"CCC of {name.removeprefix('ccc_')} {value:.3f}" for name, value in score.items() if name.startswith("ccc_")
    ]
    usual = about["baselines"].get("accuracy")
    against = f" (the most frequent class: {100 * usual:.1f} %)" if usual is not None and "accuracy" in score else ""
    optimistic = ", the epoch chosen on the same clips: optimistic" if about["selection"] == "best" else ""
    return f"; {', '.join(told)}{against} on {about['n_test']} clips of people that it was not trained on{optimistic}"
