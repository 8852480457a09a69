"""Files that a reader sees whole or not at all, however many processes write them."""

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def replacing(path: Path, *, sync: bool = True) -> Iterator[Path]:
    """Gives a name to write to that no other process uses; at the end what was written takes the file's place.

    Args:
        path: The file, whose folder is made where there is none.
        sync: Whether the bytes must be on the disk before they take the old ones' place.

    Yields:
        The name, in the same folder; after an error nothing is left there.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}.tmp")
    try:
        yield temporary
        if sync:
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
