"""Files that a reader sees whole or not at all, however many processes write them."""

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch


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
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno:  # a write to a full disk names no file
            error.filename = str(path)
        raise


def save_tensors(content: Any, path: Path) -> None:
    """Saves what ``torch.load`` reads.

    Args:
        content: What to save.
        path: Where.

    Raises:
        OSError: It cannot be written; the file is named.
    """
    with replacing(path) as temporary, temporary.open("wb") as file:
        try:
            torch.save(content, file)
        except BaseException as error:
            # The zip writer of torch turns what ends a write in its middle into a RuntimeError of its own.
            if isinstance(cause := error.__context__, KeyboardInterrupt | OSError):
                raise cause from None
            raise
