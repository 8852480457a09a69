"""What a name that stands in a file must be before it becomes part of a path, and how many names are shown."""

import unicodedata

from datamodules.store import DataError

LONGEST_NAME = 200  # bytes; file systems take 255, and endings are added
_UNWRITABLE = ("Cc", "Cs", "Zl", "Zp")  # control characters, halves of a pair, separators of lines and paragraphs


def fault_in_name(name: str) -> str:
    """Return why a name cannot be that of a file or a folder inside another folder; empty for a good name."""
    if not name:
        return "it is empty"
    if name in (".", ".."):
        return "it means a folder"
    if "/" in name or "\\" in name:
        return "it holds a path separator"
    if any(unicodedata.category(letter) in _UNWRITABLE for letter in name):
        return "it holds a control character or a line break"
    if name != name.strip():
        return "it begins or ends with a blank"
    if len(name.encode()) > LONGEST_NAME:
        return f"it is longer than {LONGEST_NAME} bytes"
    return ""


def check_name(name: str, where: str) -> str:
    """Return a name that may become part of a path.

    Args:
        name: As it stands in a file.
        where: What it is and where it stands, for the message.

    Raises:
        DataError: It is empty, leaves the folder, or cannot be written or shown.
    """
    if reason := fault_in_name(name):
        raise DataError(f"{where}: {name[:60]!r} cannot be the name of a file: {reason}; give it another name")
    return name


def some(names: list[str], shown: int = 3) -> str:
    """Return the first names, and how many more there are."""
    return ", ".join(names[:shown]) + (f" and {len(names) - shown} more" if len(names) > shown else "")
