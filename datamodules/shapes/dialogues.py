"""Conversations up to the turn whose label is asked for: text, speech, film and who is talking, by utterance."""

from abc import abstractmethod
from functools import cached_property
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor

from datamodules.augment import IMAGENET_MEAN, IMAGENET_STD
from datamodules.batches import Batch
from datamodules.errors import DataError
from datamodules.shapes.dialogue_store import MODALITIES, PER_UTTERANCE, RESPONSE, SPEAKER, Dialogues, to_model_input
from datamodules.shapes.stored import StoredDataModule
from datamodules.views.speech import RATE
from datamodules.vocabularies import FACTS

Modality = Literal["text", "audio", "video", "meta"]


class DialoguesDataModule(StoredDataModule):
    """Conversations up to their last turn.

    Batches hold, with U utterances: ``text`` int64 ``(B, U, L)`` ids and ``context`` ``(B, L')``, 0 = padding;
    ``audio`` float32 ``(B, U, S)``, 16 kHz mono, zeros after the end; ``video`` uint8 ``(B, U, T, S, S, 3)``, on the
    device float32 ``(B, U, 3, T, S, S)``; ``meta`` int64 ``(B, F)``, 0 = unknown; ``role`` ``(B, U)``, 0 none,
    1 speaker, 2 listener. ``utterance_mask`` says per modality which utterances have it. After `use_embeddings` a
    modality is ``(B, U, D)``, the context ``(B, D)``.

    Args:
        root: Folder of the corpus.
        modalities: Which of ``text`` (with the context), ``audio``, ``video`` and ``meta`` to read.
        utterances: Utterances of a batch; of a longer conversation the last ones.
        text_tokens: Ids of an utterance, as far as the store has them.
        context_tokens: Ids of the context, likewise.
        audio_seconds: Length that recordings are cut or padded to.
        cache: Have frozen encoders run once, ahead of training.
        batch_size: Conversations per step and device.
        **kwargs: See `StoredDataModule`.
    """

    utterance_kinds: ClassVar[dict[str, str]] = {
        "text": "utterances of tokens",
        "audio": "utterances of waves",
        "video": "utterances of clips of pictures",
        "meta": FACTS,
    }
    use_chain = False  # whether the context goes on with what explains the label
    use_response = False  # whether the answer to the labelled turn is one more utterance

    def __init__(
        self,
        root: str,
        modalities: list[Modality] | None = None,
        utterances: int = 10,
        text_tokens: int = 128,
        context_tokens: int = 256,
        audio_seconds: float = 5.0,
        cache: bool = True,
        batch_size: int = 4,
        **kwargs: Any,
    ) -> None:
        super().__init__(root, batch_size=batch_size, **kwargs)
        self.modalities: list[str] = list(MODALITIES if modalities is None else modalities)
        if not self.modalities or len(set(self.modalities)) < len(self.modalities):
            raise DataError(f"--data.modalities {modalities}: name each wanted one of {', '.join(MODALITIES)} once")
        self.check_missing(self.modalities)
        for name, value, least in (
            ("utterances", utterances, 1),
            ("text_tokens", text_tokens, 1),
            ("context_tokens", context_tokens, 1),
            ("audio_seconds", audio_seconds, 0.1),
        ):
            if value < least:
                raise DataError(f"--data.{name} {value}: at least {least}")
        self.utterances = utterances
        self.text_tokens = text_tokens
        self.context_tokens = context_tokens
        self.samples = round(audio_seconds * RATE)
        self.cache = cache

    @property
    @abstractmethod
    def fields(self) -> list[str]:
        """Names of the columns of ``meta``."""

    @property
    @abstractmethod
    def meta(self) -> Tensor:
        """Index of every conversation's values, int64 ``(N, F)``, 0 = unknown."""

    @property
    def input_facts(self) -> dict[str, dict[str, Any]]:
        """Rate of the sound, statistics of the pixels."""
        return {"audio": {"rate": RATE}, "video": {"mean": IMAGENET_MEAN, "std": IMAGENET_STD}}

    @property
    def reading(self) -> dict[str, Any]:
        """How any clip becomes a batch like these; empty where a model is given what its labels were made of."""
        if self.leaked:
            return {}
        shown = ("modalities", "utterances", "text_tokens", "context_tokens")
        options = {name: getattr(self, name) for name in shown} | {"audio_seconds": self.samples / RATE}
        arrays = [name for name in self.modalities if name in PER_UTTERANCE and name in self.store.arrays]
        return {"data": "ClipUtterances", "options": options, "arrays": [*arrays, "role"]}

    def fill(self, batch: Batch, rows: np.ndarray) -> None:
        """Add utterances with their masks and roles, the context and what is known of the speakers."""
        talk, size, limit = self.dialogues, len(rows), self.utterances
        there = np.zeros((size, limit), bool)
        numbers = np.zeros((size, limit), np.int64)
        for i, row in enumerate(rows.tolist()):
            found = talk.utterances(row, limit)
            there[i, : len(found)], numbers[i, : len(found)] = True, found
        roles = torch.from_numpy(np.where(there, talk.roles[numbers], 0)).long()
        batch["role"] = torch.where(roles == RESPONSE, SPEAKER + 1, roles)  # the listener says it
        batch["length"]["utterances"] = torch.from_numpy(there.sum(1))
        batch["utterance_mask"] = {}
        mask = batch["mask"]
        for modality in self.modalities:
            present = mask[modality].numpy()
            if modality == "meta":
                batch["meta"] = self.meta[rows] * mask["meta"][:, None]
                mask["meta"] = mask["meta"] & (batch["meta"] > 0).any(1)
                continue
            has = there & talk.has[modality][numbers] & present[:, None]
            batch[modality] = self.read(modality, numbers, has)
            batch["utterance_mask"][modality] = torch.from_numpy(has)
            mask[modality] = torch.from_numpy(has.any(1))
            if modality == "text":
                has = talk.has_context[rows] & present
                batch["context"] = self.read("context", rows, has)
                mask["context"] = torch.from_numpy(has)

    @cached_property
    def dialogues(self) -> Dialogues:
        """The conversations of the store, utterance by utterance."""
        return Dialogues(
            self.store,
            self.text_tokens,
            self.context_tokens,
            self.samples,
            self.use_response,
            self.use_chain,
        )

    @property
    def input_kinds(self) -> dict[str, str]:
        """Kind of every modality that is read and that some utterance has."""
        has = self.dialogues.has
        there = [name for name in self.modalities if name not in has or has[name].any()]
        return {name: self.utterance_kinds[name] for name in there}

    @property
    def input_shapes(self) -> dict[str, list[int]]:
        """Shape of one conversation per modality as the model sees it."""
        talk = self.dialogues
        frames, height, width, channels = talk.film
        raw = {
            "text": [self.utterances, talk.text_tokens],
            "context": [talk.context_tokens],
            "audio": [self.utterances, self.samples],
            "video": [self.utterances, channels, frames, height, width],
            "meta": [len(self.fields)],
        }
        seen = [name for modality in self.modalities for name in (modality, *["context"] * (modality == "text"))]
        embedded = {name: list(values.shape[1:]) for name, values in self.embeddings.items()}
        return {
            name: raw[name] if name not in embedded else [*raw[name][: name != "context"], *embedded[name]]
            for name in seen
        }

    def read(self, modality: str, numbers: np.ndarray, has: np.ndarray) -> Tensor:
        """Return the values of utterances, or of the contexts of rows; zeros where there is none.

        Args:
            modality: ``text``, ``audio``, ``video`` or ``context``.
            numbers: Utterances ``(B, U)`` as `Dialogues` counts them, or rows ``(B,)``.
            has: Which of them have it, same shape.

        Returns:
            What the batch holds under ``modality``.
        """
        talk = self.dialogues
        if modality in self.embeddings:
            table = self.embeddings[modality]
            values = torch.zeros(*has.shape, table.shape[1])
            values[torch.from_numpy(has)] = table[torch.from_numpy(talk.item_of[modality][numbers[has]])]
            return values
        shape, kind = {
            "text": ((talk.text_tokens,), np.int64),
            "context": ((talk.context_tokens,), np.int64),
            "audio": ((self.samples,), np.float32),
            "video": (talk.film, np.uint8),
        }[modality]
        filled = np.zeros((*has.shape, *shape), kind)
        read = getattr(talk, modality)
        for place in zip(*np.nonzero(has), strict=True):
            filled[place] = read(int(numbers[place]))
        return torch.from_numpy(filled)

    def count_items(self, modality: str) -> int:
        """Return the number of utterances that have a modality, or of conversations that have a context."""
        self._check(modality)
        return len(self.dialogues.items[modality])

    def items(self, modality: str, start: int, stop: int) -> Tensor:
        """Return the items as an encoder takes them, see `Dialogues.encoded`."""
        self._check(modality)
        return self.dialogues.encoded(modality, start, stop)

    def _check(self, modality: str) -> None:
        if (
            modality not in (*PER_UTTERANCE, "context")
            or ("text" if modality == "context" else modality) not in self.modalities
        ):
            raise DataError(
                f"--data.modalities lacks {modality} for a frozen encoder; it has {', '.join(self.modalities)}"
            )

    def on_after_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        """Convert films to the model's input, on its device."""
        video = batch.get("video")
        if video is None or video.dtype != torch.uint8:
            return batch
        frames = to_model_input(video.flatten(0, 1))
        seen = frames.view(*video.shape[:2], *frames.shape[1:])
        absent = ~batch["utterance_mask"]["video"]
        return {**batch, "video": seen.masked_fill(absent.view(*absent.shape, 1, 1, 1, 1), 0)}
