"""Clips that were read: arrays in memory that models are asked about again and again, while their files are gone."""

import secrets
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Lock

import numpy as np

from datamodules.asked import Reader
from datamodules.entries import Entry
from datamodules.errors import DataError
from datamodules.store.making import Prepared, complete, prepare_job
from datamodules.views.base import EntryView, MediaView
from datamodules.vocabularies import META
from experiments.predict.loaded.answer import Answer
from experiments.predict.loaded.clips import Row, check_row, entry_of, unknown_values
from experiments.predict.loaded.model import Model
from experiments.predict.loaded.windows import windows_of

OFF = "switched off"


Pair = tuple[Entry, Prepared]


@dataclass(frozen=True)
class Part:
    """A clip as a model reads it.

    Attributes:
        windows: What a long one is answered in; it alone where it is not long.
        pairs: Entry and arrays of each.
    """

    windows: tuple[Row, ...]
    pairs: tuple[Pair, ...]


@dataclass(frozen=True)
class Clip:
    """A clip as each of the models reads it.

    Attributes:
        name: How its owner calls it.
        seconds: Its length.
        parts: By model.
    """

    name: str
    seconds: float
    parts: tuple[Part, ...]

    @property
    def size(self) -> int:
        """Bytes of all its arrays."""
        return sum(of.nbytes for part in self.parts for _, made in part.pairs for of in made.arrays.values())


def read_clip(models: Sequence[Model], path: Path, name: str, seconds: float) -> Clip:
    """Return a clip as each of the models reads it; what they cannot read has its reason."""
    return Clip(name, seconds, tuple(_part({"file": path}, model.reader) for model in models))


def _part(row: Row, reader: Reader) -> Part:
    windows = windows_of(row, reader)
    entries = [entry_of(window, str(place), reader)[0] for place, window in enumerate(windows)]
    return Part(tuple(windows), tuple(zip(entries, reader.prepare(entries), strict=True)))


def answer_about(model: Model, part: Part | None, told: Mapping[str, str], off: Collection[str] = ()) -> Answer:
    """Return what a model says.

    Args:
        model: Which.
        part: The clip as this model reads it; None of a text alone.
        told: Text and what else is known of the clip; names that the model does not read are passed over.
        off: Modalities that it is to do without.
    """
    reader = model.reader
    known = {name: value for name, value in told.items() if name in ("text", *reader.fields) and value}
    if "text" in off:
        known.pop("text", None)
    if META in off:
        known = {name: value for name, value in known.items() if name == "text"}
    if part is None:
        if "text" not in known:
            raise DataError("no clip and no text: give one of them")
        check_row(known, reader)
        part = _part(known, reader)
    if not set(model.modalities) - {META, *off}:
        return Answer("", problem=f"all that it reads is {OFF}", synthetic=model.about["synthetic"])
    pairs = _told(part, known, reader)
    found = []
    for window, (entry, answer) in zip(
        part.windows,
        model.of_prepared([(entry, _without(model, entry, made, off)) for entry, made in pairs]),
        strict=True,
    ):
        missing = {**answer.missing, **unknown_values(entry, reader)}
        missing |= {name: OFF for name in off if name in missing}
        seconds = window["end"] - window["start"] if "end" in window else 0.0
        found.append(replace(answer, missing=missing, seconds=seconds))
    return model.joined({}, part.windows, found)


def _told(part: Part, known: Row, reader: Reader) -> list[Pair]:
    """Return entries and arrays with the text and what else is known of them."""
    said, _ = entry_of(known, "0", reader)
    pairs = [
        (replace(entry, texts=said.texts, columns=said.columns), replace(made, arrays=dict(made.arrays)))
        for entry, made in part.pairs
    ]
    texts = {name: of for name, of in reader.views.items() if isinstance(of, EntryView)}
    complete([entry for entry, _ in pairs], texts, [made for _, made in pairs])
    return pairs


def _without(model: Model, entry: Entry, prepared: Prepared, off: Collection[str]) -> Prepared:
    """Return what is left of a clip that has not some modalities, as if it had never had them."""
    arrays, missing = dict(prepared.arrays), list(prepared.missing)
    for modality in model.modalities:
        if modality in off and modality not in ("text", META):
            view = model.reader.view_of(modality)
            name = model.reader.options.get("arrays", {}).get(modality, modality)
            blank = _blank(view, model.reader.media[view], entry)
            arrays |= {array: of for array, of in blank.items() if array == name or array.startswith(f"{name}_")}
            missing = [one for one in missing if one[1] != view] + [("", modality, "", OFF)]
    return replace(prepared, arrays=arrays, missing=tuple(missing))


def _blank(name: str, view: MediaView, entry: Entry) -> dict[str, np.ndarray]:
    """Return the arrays of an entry that has nothing that a view reads."""
    (made,) = prepare_job([replace(entry, media={})], {name: view}, [name])
    return view.empty(name) if made.reason else made.arrays


def changes(
    model: Model, part: Part | None, told: Mapping[str, str], answer: Answer, off: Collection[str]
) -> dict[str, Answer]:
    """Return, of a model without gates, what it says where one more modality is off, by modality."""
    there = [name for name in model.modalities if name not in answer.missing and name not in off]
    if answer.problem or answer.weights or len(there) < 2:
        return {}
    return {name: answer_about(model, part, told, {*off, name}) for name in there if name != META or any(told.values())}


def faces_of(model: Model, part: Part | None) -> np.ndarray | None:
    """Return the pictures that a model sees of a clip, uint8 ``(T, H, W, 3)``; None where it sees none."""
    found = [
        of.reshape(-1, *of.shape[-3:])
        for _, made in (part.pairs if part else ())
        for name, of in made.arrays.items()
        if of.dtype == np.uint8 and of.ndim >= 4 and of.shape[-1] == 3 and of.size and name in model.reader.media
    ]
    return np.concatenate(found) if found and len({of.shape[1:] for of in found}) == 1 else None


class Shelf:
    """Clips by a token that only who gave them knows; each for a time, all of them of some size.

    Args:
        seconds: For which a clip is kept.
        megabytes: Of all; the oldest make room.
    """

    def __init__(self, seconds: float, megabytes: int) -> None:
        self.seconds, self.most = seconds, megabytes * 1_000_000
        self._clips: dict[str, tuple[Clip, float]] = {}
        self._lock = Lock()

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._clips)

    def put(self, clip: Clip) -> str:
        """Keep a clip; return its token."""
        token = secrets.token_urlsafe(16)
        with self._lock:
            self._clips[token] = clip, time.monotonic()
            while len(self._clips) > 1 and sum(one.size for one, _ in self._clips.values()) > self.most:
                del self._clips[next(iter(self._clips))]
        return token

    def get(self, token: str) -> Clip | None:
        """Return a clip, if it is there."""
        return self._clips.get(token, (None,))[0]

    def drop(self, token: str) -> None:
        """Forget a clip."""
        with self._lock:
            self._clips.pop(token, None)

    def expire(self) -> None:
        """Forget those whose time is over."""
        with self._lock:
            now = time.monotonic()
            self._clips = {token: of for token, of in self._clips.items() if now - of[1] < self.seconds}
