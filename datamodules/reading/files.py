"""Files of raw corpora: list them, check that one may be opened, hash its content."""

import errno
import hashlib
import stat
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


def check_regular(path: Path) -> None:
    """Refuse what is no regular file before anything opens it: a FIFO waits for ever, a device never ends.

    Raises:
        OSError: It is a folder, a FIFO, a socket or a device, or a link to one, or is not there.
    """
    if not stat.S_ISREG(path.stat().st_mode):
        raise OSError(errno.EINVAL, "not a regular file", str(path))


def plain(name: str) -> str:
    """Return a text that UTF-8 can hold: bytes of a file name that are none are written out as escapes."""
    return name.encode("utf-8", "backslashreplace").decode("utf-8")


def place_in(source: Path, path: Path) -> str:
    """Return where a file is inside a folder, with slashes, as a text that UTF-8 can hold."""
    return plain(path.relative_to(source).as_posix())


def sha256_file(*paths: Path) -> str:
    """Hash the bytes of one file, or of several one after the other.

    Raises:
        OSError: One cannot be read or is no regular file.
    """
    digest = hashlib.sha256()
    for path in paths:
        check_regular(path)
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


def hash_of(path: Path) -> str:
    """Return the SHA-256 of a file; empty if it cannot be read."""
    try:
        return sha256_file(path)
    except OSError:
        return ""
