"""The answer about a clip, out of what a model said of it or of each of its frames or windows."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from datamodules.asked import Reader
from datamodules.entries import Entry
from datamodules.media.people_in_picture import PERSON, RULES
from datamodules.shapes.grids.window_rules import FPS
from datamodules.store.making import Prepared
from experiments.predict.loaded.answer import Answer


def no_answer(entry: Entry, problem: str, about: Mapping[str, Any]) -> Answer:
    """Return what is said of an entry that has a problem by a model that is about something."""
    return Answer(entry.name, problem=problem, synthetic=about["synthetic"])


def clip_answer(
    entry: Entry,
    prepared: Prepared,
    data: Any,
    said: Sequence[Mapping[str, Any]],
    reader: Reader,
    about: Mapping[str, Any],
) -> Answer:
    """Return the answer of a clip: what was said of it, or the mean of what was said of its frames or windows.

    Args:
        entry: The clip.
        prepared: Its arrays.
        data: What handed them over to the model.
        said: Of the clip, or of each of its frames or windows: scores by part of an answer, ``there``, the modalities
            that it had, ``span``, and what was looked at.
        reader: What the model reads.
        about: What it was trained on, and its calibration.
    """
    told = {of: reason for _, of, _, reason in prepared.missing}
    there = set().union(*(one["there"] for one in said))
    seen = [name for name in reader.modalities if name in there]
    missing = {
        name: told.get(reader.view_of(name), told.get(name, f"no {name}"))
        for name in reader.modalities
        if name not in seen and name != "meta"
    }
    if not said:
        why = next(iter(told.values()), _why_none(data, prepared, reader.modalities))
        return no_answer(entry, why, about)
    if not set(seen) - {"meta"} and set(reader.modalities) - {"meta"}:
        return no_answer(entry, "; ".join(f"{name}: {reason}" for name, reason in missing.items()), about)
    mean: dict[str, Any] = {
        part: {key: float(np.mean([one[part][key] for one in said])) for key in said[0][part]}
        for part in ("probabilities", "calibrated", "values", "weights")
    }
    if not all(np.isfinite(value) for by in mean.values() for value in by.values()):
        return no_answer(entry, "the model's scores are not finite", about)
    certain = [of for name, of in prepared.arrays.items() if name.endswith("_confidence") and len(of)]
    label = max(mean["probabilities"], key=mean["probabilities"].__getitem__, default="")
    calibrated, calibration = mean.pop("calibrated"), about["calibration"]
    confidence = calibrated[label] if label and calibration.get("temperature") else None
    return Answer(
        entry.name,
        label=label,
        confidence=confidence,
        unsure=confidence is not None and confidence < calibration["threshold"],
        **mean,
        missing=missing,
        face=float(np.concatenate(certain).mean()) if certain else None,
        attention=said[0]["attention"] if len(said) == 1 else None,
        seen=said[0]["seen"] if len(said) == 1 else None,
        **_whose(entry, prepared, reader.person),
        over_time=tuple(_timed(one, prepared) for one in said) if hasattr(data, "grid") else (),
        synthetic=about["synthetic"],
    )


def _whose(entry: Entry, prepared: Prepared, default: str) -> dict[str, Any]:
    """Return which of how many people it is of, where there are several; by a default rule where none is asked for."""
    number, people = prepared.person or (0, 0)
    rule = entry.columns.get(PERSON) or default
    why = f", the {'most ' if rule == 'central' else ''}{rule}" if rule in RULES else ""
    return {"person": f"{number or 'one'} of {people}{why}" if people > 1 else "", "people": people}


def _why_none(data: Any, prepared: Prepared, modalities: Sequence[str]) -> str:
    """Return why there is no frame or window of a clip."""
    steps = max((len(of) for name, of in prepared.arrays.items() if name.endswith("_seen")), default=0)
    length = getattr(data, "length", 1)
    if steps < length:
        return f"it lasts {steps / FPS:g} s, shorter than a window of {length / FPS:g} s"
    return f"too little of {' and '.join(modalities)} is seen in it"


def _timed(one: Mapping[str, Any], prepared: Prepared) -> dict[str, Any]:
    """Return what is said of a frame or window, with its start and end by its id."""
    start, _, end = one["span"].partition("-")
    begin = float(start)
    until = float(end) if end else begin + 1 / FPS
    certain = prepared.arrays.get("face_confidence", np.empty(0))[round(begin * FPS) : round(until * FPS)]
    said = {name: one[name] for name in ("probabilities", "weights", "values")}
    return {"start": begin, "end": until, **said, "face": float(certain.mean()) if len(certain) else None}
