"""A small tokenizer for tests of texts."""

from collections.abc import Sequence
from pathlib import Path

from datamodules.standins._dialogue_texts import WORDPIECE, wordpiece_files


def train_wordpiece(texts: Sequence[str], folder: Path) -> None:
    """Writes the files of a WordPiece tokenizer to a folder, where `Tokens` finds them."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in zip(WORDPIECE, wordpiece_files(texts), strict=True):
        (folder / name).write_text(content, encoding="utf-8")
