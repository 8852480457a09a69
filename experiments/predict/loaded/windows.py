"""Long files: the windows over time that they are answered in, and the answer about all of them."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np

from datamodules.asked import Reader
from datamodules.errors import DataError, MediaError
from datamodules.media.container import length_of
from datamodules.media.segments import LEAST, Span, Windows
from datamodules.reading.media_files import kind_of
from datamodules.shapes.grids.window_rules import FPS, steps_of
from datamodules.views.face import Face
from datamodules.views.mfcc import MFCC
from datamodules.views.wave import Wave
from experiments.predict.loaded.answer import Answer
from experiments.predict.loaded.clips import Row
from experiments.predict.loaded.everybody import number_of, of_one_person

LONG = 3  # times as long as a window is a file that is cut without being asked to
USUAL = 5.0  # seconds of a window, of models whose recipe says nothing of the length of a clip
CHUNK = 60.0  # seconds of a long file that a model of frames or windows is given at once


def usual_window(reader: Reader) -> float:
    """Return how many seconds of a clip a model hears, to the next half: a window of a long file."""
    heard = [view.offset + view.seconds for view in reader.views.values() if isinstance(view, MFCC)]
    heard += [reader.options["wave_seconds"] for view in reader.views.values() if isinstance(view, Wave)]
    heard += [reader.options["audio_seconds"]] if "audio_seconds" in reader.options else []
    return ceil(2 * max(heard, default=USUAL)) / 2


def windows_of(row: Row, reader: Reader, window: float | None = None, hop: float | None = None) -> list[Row]:
    """Return a clip as its windows, in order; as it is where it is not long. A number of a person becomes a place.

    Args:
        row: What is known of it; of a file.
        reader: What the model reads.
        window: Seconds of one; `usual_window` where not given, and then only of files that are `LONG`.
        hop: From the start of one to that of the next; `window` where not given.

    Raises:
        DataError: They are no windows, or the model has its own.
    """
    Windows(window, hop).check()
    return of_one_person(row, _cut(row, reader, window, hop))


def _cut(row: Row, reader: Reader, window: float | None, hop: float | None) -> list[Row]:
    steps = hasattr(reader.shape, "step_kinds")
    if steps and window is not None:
        raise DataError("--window: this model answers for windows or frames of its own, and is asked for no others")
    timed = [view for view in reader.media.values() if not isinstance(view, Face)]
    if not timed or row.get("file") is None or kind_of(Path(row["file"])) not in ("video", "audio"):
        return [row]
    span = Span(row.get("start"), row.get("end"))
    begin = span.start or 0.0
    try:
        end = min(span.end or float("inf"), length_of(Path(row["file"])))
    except MediaError:  # told where it is decoded
        return [row]
    if steps:
        parts = _chunks(begin, end, reader)
    elif window is None and end - begin <= LONG * usual_window(reader):
        return [row]
    else:
        seconds = window or usual_window(reader)
        parts = list(Windows(seconds, hop).between(begin, end)) if end - begin > seconds + LEAST else []
    return [{**row, "start": part.start, "end": part.end} for part in parts] if len(parts) > 1 else [row]


def _chunks(begin: float, end: float, reader: Reader) -> list[Span]:
    """Return parts whose own windows or frames, taken together, are those of the whole."""
    if end - begin <= 2 * CHUNK:
        return [Span(begin, end)]
    length = steps_of(reader.options.get("window", 1 / FPS))
    stride = steps_of(reader.options["stride"]) if "stride" in reader.options else reader.options.get("every", 1)
    count = max(1, (steps_of(CHUNK) - length) // stride + 1)
    hop, chunk = count * stride / FPS, ((count - 1) * stride + length) / FPS
    starts = np.arange(begin, max(begin, end - length / FPS) + 1e-6, hop).tolist()
    return [*(Span(start, start + chunk) for start in starts[:-1]), Span(starts[-1], end)]


def joined(row: Row, parts: Sequence[Row], answers: Sequence[Answer], calibration: dict[str, Any]) -> Answer:
    """Return the answer about a clip: the mean of those about its windows.

    Args:
        row: The clip.
        parts: Its windows.
        answers: About each.
        calibration: ``temperature`` and ``threshold``; empty where there is none.
    """
    if len(parts) == 1:
        return replace(answers[0], **_person(row, answers)) if number_of(row) else answers[0]
    begin = row.get("start") or 0.0
    seconds = max(part["end"] for part in parts) - begin
    good = [(part, answer) for part, answer in zip(parts, answers, strict=True) if not answer.problem]
    if not good:
        return replace(answers[0], problem=f"in none of {len(parts)} windows: {answers[0].problem}", seconds=seconds)
    over_time = tuple(one for part, answer in good for one in _timed(part["start"] - begin, answer))
    mean: dict[str, Any] = {
        name: {key: float(np.mean([one[name][key] for one in over_time])) for key in over_time[0][name]}
        for name in ("probabilities", "values", "weights")
    }
    label = max(mean["probabilities"], key=mean["probabilities"].__getitem__, default="")
    confidence = None
    if label and calibration:
        surely = [calibrated(one["probabilities"], calibration["temperature"])[label] for one in over_time]
        confidence = float(np.mean(surely))
    faces = [answer.face for _, answer in good if answer.face is not None]
    return Answer(
        good[0][1].file,
        label=label,
        confidence=confidence,
        unsure=confidence is not None and confidence < calibration["threshold"],
        **mean,
        missing=_missing(answers),
        **_person(row, [answer for _, answer in good]),
        seconds=seconds,
        face=float(np.mean(faces)) if faces else None,
        over_time=over_time,
        synthetic=good[0][1].synthetic,
    )


def _timed(start: float, answer: Answer) -> Iterator[dict[str, Any]]:
    """Yield what is said of a window, or of the frames and windows in it, in seconds of the clip."""
    if answer.over_time:
        for one in answer.over_time:
            yield {**one, "start": start + one["start"], "end": start + one["end"]}
    else:
        said = {name: getattr(answer, name) for name in ("probabilities", "weights", "values", "face")}
        yield {"start": start, "end": start + answer.seconds, **said}


def calibrated(probabilities: dict[str, float], temperature: float) -> dict[str, float]:
    """Return the probabilities at a temperature."""
    scaled = np.array(list(probabilities.values())) ** (1 / temperature)
    return dict(zip(probabilities, (scaled / scaled.sum()).tolist(), strict=True))


def _person(row: Row, answers: Sequence[Answer]) -> dict[str, Any]:
    """Return whose windows they are: the one that is asked about by number, or who each is of, counted anew in it."""
    people = max(answer.people for answer in answers)
    if people and (number := number_of(row)):
        people = max(people, number)
        return {"person": f"{number} of {people}" if people > 1 else "", "people": people}
    told = [answer.person for answer in answers if answer.person]
    if len(set(told)) <= 1:
        return {"person": next(iter(told), ""), "people": people}
    return {"person": f"in {len(told)} of {len(answers)} windows, as {told[0]}", "people": people}


def _missing(answers: Sequence[Answer]) -> dict[str, str]:
    """Return what was missing and why, and in how many windows where it was not in all."""
    good = [answer for answer in answers if not answer.problem]
    told = {}
    for name in dict.fromkeys(name for answer in good for name in answer.missing):
        reasons = [answer.missing[name] for answer in good if name in answer.missing]
        in_some = f"in {len(reasons)} of {len(good)} windows: " if len(reasons) < len(good) else ""
        told[name] = in_some + reasons[0]
    if len(good) < len(answers):
        problem = next(answer.problem for answer in answers if answer.problem)
        told[f"{len(answers) - len(good)} of {len(answers)} windows"] = problem
    return told
