"""Names: of splits, and checks of others before they become part of a path and that those of classes are distinct."""

import unicodedata
from typing import Literal

from datamodules.errors import DataError

LONGEST_NAME = 200  # bytes; file systems take 255, and endings are added
UNSHOWN = ("Cc", "Cs", "Zl", "Zp")  # control characters, halves of a pair, separators of lines and paragraphs

SPLIT_NAMES: dict[str, Literal["train", "val", "test"]] = {  # by what others call them, in lower case
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev", "devel", "development"), "val"),
    **dict.fromkeys(("test", "testing", "eval", "evaluation"), "test"),
}


def fault_in_name(name: str) -> str:
    """Return why a name cannot be that of a file or a folder inside another folder; empty for a good name."""
    if not name:
        return "it is empty"
    if name in (".", ".."):
        return "it means a folder"
    if "/" in name or "\\" in name:
        return "it holds a path separator"
    if any(unicodedata.category(letter) in UNSHOWN for letter in name):
        return "it holds a control character or a line break"
    if name != name.strip():
        return "it begins or ends with a blank"
    if len(name.encode()) > LONGEST_NAME:
        return f"it is longer than {LONGEST_NAME} bytes"
    return ""


def check_name(name: str, where: str) -> str:
    """Return a name that may become part of a path.

    Raises:
        DataError: It is empty, leaves the folder, or cannot be written or shown.
    """
    if reason := fault_in_name(name):
        raise DataError(f"{where}: {name[:60]!r} cannot be the name of a file: {reason}; give it another name")
    return name


def plain_path(name: str, where: str) -> str:
    """Return a path inside a folder in the one way to write it: slashes, nothing empty, no ``.``.

    Raises:
        DataError: It is empty, absolute or leaves the folder by ``..``, or a part of it is no name of a file.
    """
    parts = [part for part in name.replace("\\", "/").split("/") if part not in ("", ".")]
    faults = [fault for part in parts if (fault := fault_in_name(part))]
    if not parts:
        faults = ["it is empty"]
    elif name[0] in "/\\":
        faults = ["it does not begin in the folder"]
    if faults:
        raise DataError(f"{where}: {name[:60]!r} cannot be the path of a file in the folder: {faults[0]}; correct it")
    return "/".join(parts)


def distinct(names: list[str], option: str) -> list[str]:
    """Return the class names as they are given: two of one name would share their column of every prediction."""
    known = [name.strip() for name in names]
    if not all(known):
        raise DataError(f"{option}: a name is empty")
    if twice := sorted({name for name in known if known.count(name) > 1}):
        raise DataError(f"{option}: {', '.join(twice)} comes twice; give every class a name of its own")
    return names
