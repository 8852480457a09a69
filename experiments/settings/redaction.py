"""Keep secrets out of files and messages: passwords, keys, tokens, and what of a URL is more than its host.

A setting is a secret by its name, or holds one by what it looks like. Standard library alone.
"""

import hashlib
import json
import re
from collections.abc import Sequence
from typing import Any

from experiments.errors import TooMuch
from experiments.settings.config import parse_value

HIDDEN = "***"
_NAMES = (
    r"passw(?:or)?d|passphrase|secret|secrets|credentials?|web_?hook(?:_url)?|api_?keys?|"
    r"(?:access|api|auth|bearer|bot|encryption|hf|hub|identity|private|refresh|secret|signing|wandb)_(?:key|token)s?"
)
_NAME = re.compile(rf"(?:.*_)?(?:{_NAMES})|token", re.IGNORECASE)
# A path keeps one slash of the two.
_URL = re.compile(r"\b([a-z][a-z0-9+.-]*://|https?:/)([^\s/@'\"]*@)?([^\s/?#@'\"]+)([^\s'\",}\])]*)", re.IGNORECASE)
# Keys of Weights & Biases, Hugging Face, GitHub, Slack and the like. A SHA-256 is longer than any of them.
_KEY = re.compile(r"\b(?:[0-9a-f]{40}|wandb_v1_\w+|hf_\w{20,}|gh[pousr]_\w{20,}|sk-[\w-]{20,}|xox[abeprs]-[\w-]{8,})\b")
# `password: x` and `'password': 'x'` of a file, but not `--model.password: what is wrong with it`.
_SPOKEN = re.compile(rf"(?<![\w./-])((?:\w+[._])*?(?:{_NAMES}|token)[\"']?\s*[:=]\s*[\"']?)[^\s\"',}}]+", re.IGNORECASE)


def is_secret(name: str) -> bool:
    """Return whether a setting of this name is a secret, whatever its value."""
    last = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name.removesuffix("+").rpartition(".")[2]).replace("-", "_")
    return _NAME.fullmatch(last) is not None


def hide_text(text: str) -> str:
    """Return a text without the secrets that can be recognised by their form."""

    def host(url: re.Match[str]) -> str:
        return f"{url[1]}{url[3]}/{HIDDEN}" if url[2] or len(url[4]) > 1 else url[0]

    return _KEY.sub(HIDDEN, _URL.sub(host, text))


def hide(settings: Any) -> Any:
    """Return settings as they may be shown and kept: the names of secrets stay, their values do not."""
    if isinstance(settings, dict):
        return {
            key: HIDDEN if value is not None and is_secret(str(key)) else hide(value) for key, value in settings.items()
        }
    if isinstance(settings, list | tuple):
        return [hide(value) for value in settings]
    return hide_text(settings) if isinstance(settings, str) else settings


def drop(settings: Any, *, mark: bool = False) -> Any:
    """Return settings without those that are secrets.

    Args:
        settings: Merged settings, or a part of them.
        mark: Keep a setting that may be one by its looks alone, as what `hide_text` leaves of it and a digest: another
            value is another setting.

    Returns:
        The others.
    """
    if isinstance(settings, dict):
        kept = {key: value for key, value in settings.items() if not is_secret(str(key))}
        return {key: drop(value, mark=mark) for key, value in kept.items() if mark or not _suspect(value)}
    if isinstance(settings, list):
        return [drop(value, mark=mark) for value in settings if mark or not _suspect(value)]
    if mark and _suspect(settings):
        return f"{hide_text(settings)} ({hashlib.sha256(settings.encode()).hexdigest()[:12]})"
    return settings


def forget(task: Any) -> None:
    """Remove the secrets from the settings that checkpoints and loggers store of a model.

    Args:
        task: The model.
    """
    for settings in (task.hparams, task._hparams_initial):
        kept = drop(dict(settings))
        settings.clear()
        settings.update(kept)


def hide_words(words: Sequence[str]) -> list[str]:
    """Return a command line as it may be shown and kept.

    Args:
        words: Its words, options as ``--key value`` or ``--key=value``.

    Returns:
        As many words.
    """
    shown, name = [], ""
    for word in words:
        key, equals, text = word.partition("=") if word.startswith("-") else ("", "", word)
        if key and not equals:
            name = key
            shown.append(word)
            continue
        try:
            value = parse_value(text)
        except TooMuch:  # which is refused, and still to be shown
            value = text
        hidden = hide({key or name: value})[key or name] if key or name else hide(value)
        told = text if hidden == value else hidden if isinstance(hidden, str) else json.dumps(hidden)
        shown.append(f"{key}{equals}{told}")
        name = ""
    return shown


def hide_message(message: str, words: Sequence[str]) -> str:
    """Return a message about a command line as it may be shown.

    Args:
        message: What it says.
        words: The command line.

    Returns:
        The message without what `hide_words` takes from the words, and without what looks like a secret.
    """
    for word, shown in zip(words, hide_words(words), strict=True):
        for text in {word, word.partition("=")[2]} - {"", shown}:
            if word != shown and len(text) > 2:
                message = message.replace(text, shown.partition("=")[2] if text != word else shown)
    return hide_text(_SPOKEN.sub(rf"\1{HIDDEN}", message))


def _suspect(value: Any) -> bool:
    return isinstance(value, str) and hide_text(value) != value
