"""A store of dialogues, utterance by utterance: which modality each has, and its items one by one."""

from collections.abc import Callable
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from datamodules import augment
from datamodules.entries import ROLES
from datamodules.store.reader import Store

SPEAKER, LISTENER, RESPONSE = range(1, len(ROLES) + 1)  # roles as stored
MODALITIES = ("text", "audio", "video", "meta")
PER_UTTERANCE = ("text", "audio", "video")


def normalised_wave(wave: np.ndarray, samples: int) -> np.ndarray:
    """Return the beginning of a recording as Wav2Vec2 wants it: mean 0 and variance 1 of what is there, then zeros.

    Args:
        wave: int16 ``(n,)``, possibly empty.
        samples: Length of the result.

    Returns:
        float32 ``(samples,)``, exact zeros after the end.
    """
    padded = np.zeros(samples, np.float32)
    cut = wave[:samples].astype(np.float32)
    if len(cut):
        cut -= cut.mean()
        padded[: len(cut)] = cut / np.sqrt(cut.var() + 1e-7)
    return padded


def to_model_input(values: Tensor) -> Tensor:
    """Convert stored films, uint8 ``(N, T, S, S, 3)``, to normalised float32 ``(N, 3, T, S, S)``."""
    return augment.to_float(values)


class Dialogues:
    """The conversations of a store, read utterance by utterance.

    Utterances of all conversations are numbered through; ``first[i]`` is the number of the first one of conversation
    ``i``.

    Args:
        store: Made by the recipe `gated_fusion`.
        text_tokens: Ids of an utterance that are read.
        context_tokens: Ids of a context that are read.
        samples: Samples of a recording that are read.
        use_response: Whether the listener's response to the turn counts as an utterance.
        use_chain: Whether the context goes on with the chain of empathy.
    """

    def __init__(
        self, store: Store, text_tokens: int, context_tokens: int, samples: int, use_response: bool, use_chain: bool
    ) -> None:
        self.store = store
        count = range(len(store))
        worded = "text" in store.arrays  # a corpus of clips may have no text
        self.text_tokens = min(text_tokens, store.shape("text", 0)[1]) if worded else 0
        self.context_tokens = min(context_tokens, store.shape("context", 0)[0]) if worded else 0
        self.samples = samples
        self.film = store.shape("video", 0)[1:] if "video" in store.arrays else (0, 0, 0, 3)
        self._context = "chain" if use_chain else "context"
        lengths = [store.shape("role", i)[0] for i in count]
        self.first = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        self.roles = np.concatenate([store.read("role", i) for i in count])
        self.used = (self.roles != RESPONSE) | use_response
        marks: dict[str, tuple[str, Callable[[np.ndarray], np.ndarray]]] = {
            "text": ("text", lambda ids: np.asarray(ids[:, : self.text_tokens].any(1))),
            "audio": ("audio_end", lambda ends: np.asarray(np.diff(ends, prepend=0) > 0)),
            "video": ("video_seen", lambda seen: np.asarray(seen > 0)),
        }
        self.has = {modality: np.zeros_like(self.used) for modality in marks}
        for modality, (array, there) in marks.items():
            if array in store.arrays:
                self.has[modality] = np.concatenate([there(store.read(array, i)) for i in count]) & self.used
        contexts = [worded and store.read(self._context, i)[: self.context_tokens].any() for i in count]
        self.has_context = np.array(contexts, bool)

    def utterances(self, row: int, limit: int) -> np.ndarray:
        """Return the numbers of a conversation's last utterances, at most ``limit``: the label is of its last turn."""
        begin, end = self.first[row : row + 2]
        found: np.ndarray = begin + np.flatnonzero(self.used[begin:end])
        return found[-limit:]

    @cached_property
    def _owner(self) -> np.ndarray:
        return np.repeat(np.arange(len(self.store)), np.diff(self.first))

    def place(self, utterance: int) -> tuple[int, int]:
        """Return the conversation of an utterance, and its place in it."""
        row = int(self._owner[utterance])
        return row, int(utterance - self.first[row])

    def text(self, utterance: int) -> np.ndarray:
        """Return the token ids of an utterance, int32 ``(L,)``."""
        row, place = self.place(utterance)
        ids: np.ndarray = self.store.read("text", row)[place, : self.text_tokens]
        return ids

    def context(self, row: int) -> np.ndarray:
        """Return token ids int32 ``(L',)`` of a conversation's context."""
        ids: np.ndarray = self.store.read(self._context, row)[: self.context_tokens]
        return ids

    def audio(self, utterance: int) -> np.ndarray:
        """Return the wave of an utterance, float32 ``(S,)``, see `normalised_wave`."""
        row, place = self.place(utterance)
        ends = self.store.read("audio_end", row)
        begin = int(ends[place - 1]) if place else 0
        return normalised_wave(self.store.read("audio", row)[begin : int(ends[place])], self.samples)

    def video(self, utterance: int) -> np.ndarray:
        """Return the film of an utterance that has one, uint8 ``(T, S, S, 3)``."""
        row, place = self.place(utterance)
        film: np.ndarray = self.store.read("video", row)[int(self.store.read("video_seen", row)[:place].sum())]
        return film

    @cached_property
    def items(self) -> dict[str, np.ndarray]:
        """Items of an encoder: numbers of the utterances that have a modality, or rows with a context."""
        found = {modality: np.flatnonzero(has) for modality, has in self.has.items()}
        return {**found, "context": np.flatnonzero(self.has_context)}

    @cached_property
    def item_of(self) -> dict[str, np.ndarray]:
        """Place in `items` by utterance (by row for the context); undefined where there is none."""
        counted = {**self.has, "context": self.has_context}
        return {modality: np.cumsum(has) - 1 for modality, has in counted.items()}

    def encoded(self, modality: str, start: int, stop: int) -> Tensor:
        """Return the items as an encoder sees them.

        Returns:
            Token ids int64 ``(n, L)``, sound float32 ``(n, S)`` or films float32 ``(n, 3, T, S, S)``.
        """
        chosen = self.items[modality][start:stop].tolist()
        values = torch.from_numpy(np.stack([getattr(self, modality)(one) for one in chosen]))
        if modality == "video":
            return to_model_input(values)
        return values if modality == "audio" else values.long()
