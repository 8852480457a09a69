"""A trained model that is asked about raw files."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any, overload

import numpy as np
import torch
from torch import Tensor

from datamodules.asked import stretches
from datamodules.asking.kinds import reader_of
from datamodules.entries import Entry
from datamodules.errors import DataError
from datamodules.store.making import Prepared
from datamodules.views.tokens import TokenIds
from experiments.errors import UsageError
from experiments.predict.loaded.answer import Answer
from experiments.predict.loaded.checkpoint import about, build_model, check_fit
from experiments.predict.loaded.clip_answer import clip_answer, no_answer
from experiments.predict.loaded.clips import Row, check_row, entry_of, folder_for_arrays, in_file, unknown_values
from experiments.predict.loaded.windows import joined, windows_of
from experiments.predict.picture import frames_seen
from experiments.results.opened.checkpoint import open_checkpoint
from lightning_modules.nn.metrics import class_scores

BATCH = 8


def _device(name: str) -> torch.device:
    try:
        return torch.device(name)
    except RuntimeError:
        raise UsageError(f"--device {name}: no device of that name; give cpu or cuda") from None


class Model:
    """A trained model that answers about raw files as it would have in its training (contract 7).

    Args:
        path: A checkpoint, or the folder of a run.
        device: Where it computes.
        allowed: Packages of the user's own, whose classes the checkpoint may name.

    Attributes:
        classes: Names of the classes.
        outputs: Meaning of every output: kind, classes, unit, range.
        modalities: That it reads.
        fields: Known values of what may be told of a clip besides, by name: ``age``, ``gender``, ...
        about: What it was trained on, and its score.
        digest: What tells its checkpoint from others.

    Raises:
        UsageError: The checkpoint cannot be used.
    """

    def __init__(self, path: Path, device: str = "cpu", allowed: Sequence[str] = ()) -> None:
        checkpoint = open_checkpoint(path)
        try:
            self.reader = reader_of(checkpoint.described)
            self.device = _device(device)
            self.task = build_model(checkpoint, allowed).to(self.device)
            check_fit(self.task, self.reader.modalities, checkpoint.path)
        except DataError as error:
            raise UsageError(f"{checkpoint.path}: {error}") from error
        except (RuntimeError, AssertionError) as error:
            raise UsageError(f"--device {device}: {str(error).splitlines()[0]}") from error
        self.classes: list[str] = list(self.task.class_names)
        self.outputs: dict[str, dict[str, Any]] = checkpoint.described.get("outputs", {})
        self.modalities, self.fields = self.reader.modalities, self.reader.fields
        self.about = about(checkpoint)
        self.digest = checkpoint.digest
        self.temperature: float | None = self.about["calibration"].get("temperature")

    def __repr__(self) -> str:
        """Return what it is, what it reads and what it tells, in one line."""
        told = ", ".join(self.classes or self.outputs)
        stamp = " (SYNTHETIC)" * self.about["synthetic"]
        return f"{type(self.task).__name__} of {', '.join(self.modalities)}: {told}{stamp}"

    @overload
    def __call__(
        self,
        clip: str | Path | Row | None = None,
        *,
        window: float | None = None,
        hop: float | None = None,
        **known: Any,
    ) -> Answer: ...

    @overload
    def __call__(
        self, clip: Sequence[str | Path | Row], *, window: float | None = None, hop: float | None = None, **known: Any
    ) -> list[Answer]: ...

    def __call__(
        self, clip: Any = None, *, window: float | None = None, hop: float | None = None, **known: Any
    ) -> Answer | list[Answer]:
        """Answer about a clip, or about several.

        Args:
            clip: A file; or what is known of a clip by name, as a mapping: ``file``, and what `known` may be; or a list
                of these.
            window: Seconds of the windows that a longer file is cut into; by the recipe where not given.
            hop: Seconds from one window to the next.
            **known: ``text``; ``start`` and ``end`` of a part in seconds; ``audio``, a file of the sound where it is
                another one; what `fields` lists; arrays in place of a file: ``frames`` uint8 ``(T, H, W, 3)`` with
                ``fps``, ``wave`` float ``(S,)`` with ``rate``; of models of features ``features``, arrays or files by
                modality; of models of dialogues ``dialogue``, the turns up to the one that is asked about.

        Returns:
            An answer, or a list of them, of which some may have a ``problem``.

        Raises:
            ValueError: There is no answer about the one clip.

        Example:
            >>> import affectzoo, numpy
            >>> model = affectzoo.load("runs/cfnsr")
            >>> whole, part = model(["clip.mp4", {"file": "clip.mp4", "start": 0.2, "end": 2.9}])
            >>> f"{part.seconds:.1f}"
            '2.7'
            >>> wave = 0.1 * numpy.sin(numpy.arange(48000) / 20)
            >>> heard = model(wave=wave, rate=16000)
            >>> list(heard.missing)
            ['video']
            >>> frames = numpy.zeros((75, 120, 160, 3), numpy.uint8)
            >>> model(frames=frames, fps=25, wave=wave, rate=16000).seconds
            3.0
        """
        several = isinstance(clip, Sequence) and not isinstance(clip, str)
        asked = clip if several else [clip]
        rows = [
            {**(one if isinstance(one, Mapping) else {} if one is None else {"file": one}), **known} for one in asked
        ]
        for row in rows:
            check_row(row, self.reader)
        found = list(self.answers(rows, window=window, hop=hop))
        if several:
            return found
        if found[0].problem:
            raise DataError(f"{found[0].file}: {found[0].problem}")
        return found[0]

    def answers(
        self,
        rows: Sequence[Row],
        batch_size: int = BATCH,
        workers: int = 1,
        window: float | None = None,
        hop: float | None = None,
    ) -> Iterator[Answer]:
        """Yield the answer about every clip, in order; few clips, or windows of a long one, are held at a time.

        Args:
            rows: What is known of each.
            batch_size: Clips, or their frames or windows, that the model sees at once.
            workers: Processes that decode.
            window: Seconds of the windows that a longer file is cut into; by the recipe where not given.
            hop: Seconds from one to the next.
        """
        with folder_for_arrays() as folder:
            clips = [in_file(row, Path(folder) / f"{place}.mkv") for place, row in enumerate(rows)]
            names = [" and ".join(of for of in ("frames", "wave") if row.get(of) is not None) for row in rows]
            parts = [windows_of(row, self.reader, window, hop) for row in clips]
            found = self.of_parts([part for own in parts for part in own], batch_size, workers)
            for name, row, own in zip(names, clips, parts, strict=True):
                said = islice(found, len(own))
                answer = self.joined(row, own, [one if len(own) == 1 else one.lean() for one in said])
                yield replace(answer, file=name) if name else answer

    def joined(self, row: Row, parts: Sequence[Row], answers: Sequence[Answer]) -> Answer:
        """Return the answer about a clip that those about its windows make."""
        return joined(row, parts, answers, self.about["calibration"])

    def of_parts(self, rows: Sequence[Row], batch_size: int = BATCH, workers: int = 1) -> Iterator[Answer]:
        """Yield the answer about every clip, or window of one, in order; the windows of a file are read in one pass."""
        made = [entry_of(row, str(place), self.reader) for place, row in enumerate(rows)]
        seconds = {entry.id: length for entry, length in made}
        for entry, answer in self.of_entries([entry for entry, _ in made], batch_size, workers):
            told = {**answer.missing, **unknown_values(entry, self.reader)}
            yield replace(answer, missing=told, seconds=seconds[entry.id])

    def of_entries(
        self, entries: Sequence[Entry], batch_size: int = BATCH, workers: int = 1
    ) -> Iterator[tuple[Entry, Answer]]:
        """Yield every entry with the answer about it, in order."""
        pairs = zip(entries, self.reader.prepare(entries, workers), strict=True)
        while part := list(islice(pairs, batch_size)):
            yield from self.of_prepared(part, batch_size)

    def of_prepared(
        self, pairs: Sequence[tuple[Entry, Prepared]], batch_size: int = BATCH
    ) -> Iterator[tuple[Entry, Answer]]:
        """Yield every entry whose arrays are made with the answer about it, in order."""
        usable = [pair for pair in pairs if not pair[1].reason]
        found = dict(zip([entry.id for entry, _ in usable], self._answered(usable, batch_size), strict=True))
        for entry, prepared in pairs:
            yield entry, found.get(entry.id) or no_answer(entry, self._why_unusable(prepared), self.about)

    def _why_unusable(self, prepared: Prepared) -> str:
        """Return why a clip has no arrays; by modality where each has a reason of its own."""
        told = {of: reason for _, of, _, reason in prepared.missing}
        lacks = {name: told[self.reader.view_of(name)] for name in self.modalities if self.reader.view_of(name) in told}
        several = len(set(lacks.values())) > 1
        return "; ".join(f"{name}: {why}" for name, why in lacks.items()) if several else prepared.reason

    def _answered(self, pairs: Sequence[tuple[Entry, Prepared]], batch_size: int) -> Iterable[Answer]:
        """Return the answers about entries that have arrays."""
        if not pairs:
            return []
        try:
            data = self.reader.read(*zip(*pairs, strict=True))
            clips, owner = stretches(data)
        except DataError as error:
            return [no_answer(entry, str(error), self.about) for entry, _ in pairs]
        said: list[dict[str, Any]] = []
        for first in range(0, len(clips), batch_size):
            batch = clips.__getitems__(list(range(first, min(first + batch_size, len(clips)))))
            said += self._said(data, batch)
        return [
            clip_answer(*pair, data, [said[row] for row in np.flatnonzero(owner == place)], self.reader, self.about)
            for place, pair in enumerate(pairs)
        ]

    def _said(self, data: Any, batch: dict[str, Any]) -> list[dict[str, Any]]:
        """Return what the model says of each of a batch."""
        for name, shape in self.task.input_shapes.items():
            if name not in batch and name in self.modalities:  # nothing asked about has it
                words = isinstance(self.reader.views.get(self.reader.view_of(name)), TokenIds)
                batch[name] = torch.zeros(len(batch["id"]), *shape, dtype=torch.int64 if words else torch.float32)
                batch["mask"][name] = torch.zeros(len(batch["id"]), dtype=torch.bool)
        with torch.inference_mode():
            batch = data.on_after_batch_transfer(data.transfer_batch_to_device(batch, self.device, 0), 0)
            output = self.task(batch)
        logits, aux = output["logits"], output.get("aux", {})
        scores = class_scores(logits).double()
        found: dict[str, dict[str, Tensor]] = {
            "probabilities": dict(zip(self.classes, scores.softmax(1).T, strict=False)),
            "calibrated": dict(zip(self.classes, (scores / (self.temperature or 1)).softmax(1).T, strict=False)),
            "values": {name: of for name, of in logits.items() if of.ndim == 1} if isinstance(logits, dict) else {},
            "weights": {name: aux["gate"][:, place] for place, name in enumerate(self.task.gate_names())},
        }
        said = []
        for row, name in enumerate(batch["id"]):
            one: dict[str, Any] = {part: {key: float(of[row]) for key, of in by.items()} for part, by in found.items()}
            one["there"] = {key for key, mask in batch["mask"].items() if mask[row]}
            one["span"] = name.rpartition("@")[2]
            said.append(one | {"attention": None, "seen": None})
        if isinstance(attention := aux.get("attention"), Tensor) and not hasattr(data, "grid"):
            seen = frames_seen(batch, attention)
            for row, one in enumerate(said):
                if one["there"] >= {"video"} & set(self.modalities):  # what would be looked at
                    one["attention"] = attention[row].float().cpu().numpy()
                    one["seen"] = None if seen is None else seen[row]
        return said
