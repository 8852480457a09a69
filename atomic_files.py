"""Files that a reader sees whole or not at all, however many processes write them. Standard library alone."""

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path


def unfinished(path: Path) -> Path:
    """Return a name beside a file for what is to take its place: no other process or machine writes there."""
    return path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}.tmp")


@contextlib.contextmanager
def replacing(path: Path, *, sync: bool = True) -> Iterator[Path]:
    """Yield a name to write to; at the end what was written takes the file's place.

    Args:
        path: The file, whose folder is made where there is none.
        sync: Whether the bytes must be on the disk before they take the old ones' place.

    Yields:
        The name, in the same folder; after an error nothing is left there.

    Raises:
        OSError: It cannot be written; the file is named.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = unfinished(path)
    try:
        yield temporary
        if sync:
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno:  # a write to a full disk names no file
            error.filename = str(path)
        raise


def write_atomic(path: Path, content: str | bytes | memoryview, *, sync: bool = True) -> None:
    """Write a file at once; arguments and errors are those of `replacing`.

    Args:
        path: The file.
        content: Its bytes, or a text.
        sync: As of `replacing`.
    """
    with replacing(path, sync=sync) as temporary:
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)
