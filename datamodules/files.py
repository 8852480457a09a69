"""The files of a raw folder by their kind."""

from collections.abc import Collection
from pathlib import Path

PICTURES = (".jpg", ".jpeg", ".png")
VIDEOS = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".wmv", ".mpg", ".m4v", ".flv")
SOUNDS = (".wav", ".flac", ".ogg", ".mp3", ".m4a")


def files_in(folder: Path, suffixes: Collection[str]) -> list[Path]:
    """Return the files of some kinds at any depth of a folder, sorted; hidden ones are passed over.

    Args:
        folder: Where to look.
        suffixes: Endings in lower case, with their dot.
    """
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in suffixes and path.name[0] != ".")
