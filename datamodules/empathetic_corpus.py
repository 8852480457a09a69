"""What EmpatheticDialogues holds: conversations about a situation, each under one of 32 emotions."""

import hashlib
from collections import Counter
from dataclasses import dataclass, field

SPLITS = {"train": "train", "valid": "val", "test": "test"}  # name of the file -> of the split


@dataclass(frozen=True)
class Conversation:
    """What one conversation gives a model.

    Attributes:
        id: Its name, unique in the corpus.
        group: The speaker who has the emotion; the conversation itself where no speaker is named.
        split: train, val or test.
        emotion: One of the 32.
        prompt: The situation as the speaker described it before the conversation.
        turns: The speaker's own utterances in order; none in a table of prompts.
    """

    id: str
    group: str
    split: str
    emotion: str
    prompt: str
    turns: tuple[str, ...] = ()

    @property
    def sha256(self) -> str:
        """Hash of everything a store could take from it."""
        content = "\n".join((self.group, self.split, self.emotion, self.prompt, *self.turns))
        return hashlib.sha256(content.encode()).hexdigest()


@dataclass
class Corpus:
    """The conversations of a folder and what was met on the way.

    Attributes:
        official: Whether the files hold conversations, as the official ones do; else they are tables of prompts.
        conversations: Those of train, valid and test, in the order of the files.
        problems: ``file:line`` and reason of every line that cannot be used.
        candidates: Lines with a ninth field (retrieval candidates), which is passed over.
        copies: Lines that say the same as one before; each counts once.
    """

    official: bool
    conversations: list[Conversation] = field(default_factory=list)
    problems: list[tuple[str, str]] = field(default_factory=list)
    candidates: int = 0
    copies: int = 0

    @property
    def shared_speakers(self) -> int:
        """Speakers who are in more than one split."""
        pairs = {(one.group, one.split) for one in self.conversations}
        return sum(splits > 1 for splits in Counter(group for group, _ in pairs).values())

    def overlaps(self) -> dict[str, str]:
        """Conversations whose prompt stands in a split that is evaluated too, by id, with the reason."""
        held: dict[str, set[str]] = {split: set() for split in SPLITS.values()}
        for one in self.conversations:
            held[one.split].add(_plain(one.prompt))
        later = {"train": ("val", "test"), "val": ("test",), "test": ()}
        return {
            one.id: f"its prompt is also in {other}"
            for one in self.conversations
            for other in later[one.split]
            if _plain(one.prompt) in held[other]
        }


def _plain(text: str) -> str:
    return " ".join(text.lower().split())
