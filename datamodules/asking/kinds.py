"""Which reader a checkpoint asks for."""

from collections.abc import Mapping
from typing import Any

from datamodules.asked import Reader
from datamodules.asking.dialogues import DialogueReader
from datamodules.asking.features import FeatureReader
from datamodules.shapes.clip_utterances import ClipUtterances


def reader_of(described: Mapping[str, Any]) -> Reader:
    """Return what turns raw files into batches, as a checkpoint describes it; errors are those of `Reader`."""
    reading = described.get("reading")
    name = reading.get("data") if isinstance(reading, dict) else None
    if isinstance(name, str) and name in FeatureReader.shapes:
        return FeatureReader(described)
    return (DialogueReader if name == ClipUtterances.__name__ else Reader)(described)
