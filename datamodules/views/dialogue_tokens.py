"""Token ids of a dialogue's utterances and of its context, for the gated fusion and its encoders."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from datamodules.entries import Entry
from datamodules.views.tokens import TokenIds

PROMPT = "prompt"  # the text of a clip


@dataclass(frozen=True)
class DialogueTokens(TokenIds):
    """Ids of every utterance, int32 ``(U, tokens)``, and by the same tokenizer of the context, ``(context_tokens,)``.

    The array ``chain`` is the context followed by the chain of empathy, which names the label.

    Attributes:
        text: Which of an utterance's texts.
        tokens: How many ids of an utterance, those that mark begin and end included; what is longer is cut.
        tokenizer: Folder of a transformers tokenizer, package:NAME/FOLDER, or a name in the hub's
            cache; ``auto`` takes the folder ``tokenizer`` of the source, or else the fallback.
        fallback: Tokenizer of a source that has none of its own.
        context_tokens: How many ids of the context.
    """

    of_parts: ClassVar[bool] = True
    limits: ClassVar[dict[str, tuple[float, float]]] = {**TokenIds.limits, "context_tokens": (4, 8192)}

    text: str = "text"
    tokens: int = 128
    fallback: str = "bert-base-uncased"
    context_tokens: int = 256

    def arrays(self, name: str) -> dict[str, str]:
        """Return the arrays of the utterances, of the context, and of context and chain of empathy together."""
        return dict.fromkeys((name, "context", "chain"), "i32")

    def text_names(self, entry: Entry) -> Sequence[str]:
        """Return the names of the texts of its utterances; a clip has one, which is called its prompt."""
        own = [self.text] if PROMPT in entry.texts and not entry.parts else []
        return own + [name for part in entry.parts for name in part.texts]

    def make_all(self, name: str, entries: Sequence[Entry]) -> list[dict[str, np.ndarray]]:
        """Return the ids of several entries."""
        return [self._of_one(name, entry) for entry in entries]

    def _of_one(self, name: str, entry: Entry) -> dict[str, np.ndarray]:
        context, chain = entry.texts.get("context", ""), entry.texts.get("chain", ())
        said = [part.texts.get(self.text, "") for part in entry.parts] or [entry.texts.get(PROMPT, "")]
        both = self.loaded([context, self.loaded.joined([context, *chain])], self.context_tokens)
        return {name: self.loaded(said, self.tokens), "context": both[0], "chain": both[1]}
