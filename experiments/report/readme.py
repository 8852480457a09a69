"""The tables between the markers of a Markdown file."""

import re
from collections.abc import Mapping
from pathlib import Path

from atomic_files import write_atomic
from datamodules.errors import DataError


def update_readme(path: Path, table: str, block: str) -> None:
    """Replace what stands between the markers of a table.

    Args:
        path: A Markdown file with ``<!-- table:NAME -->`` and ``<!-- /table:NAME -->``.
        table: Name of the table.
        block: The new content.

    Raises:
        DataError: If the file or its markers are not there.
    """
    if not path.exists():
        raise DataError(f"--readme {path}: no such file")
    if not has_block(path, table):
        raise DataError(f"{path}: add the lines <!-- table:{table} --> and <!-- /table:{table} --> where it belongs")
    text = path.read_text(encoding="utf-8")
    new = _block(table).sub(lambda match: f"{match[1]}\n{block}\n{match[3]}", text)
    if new != text:
        write_atomic(path, new)


def has_block(path: Path, table: str) -> bool:
    """Return whether a Markdown file has the markers of a table."""
    return path.exists() and _block(table).search(path.read_text(encoding="utf-8")) is not None


def stale_blocks(path: Path, blocks: Mapping[str, str]) -> list[str]:
    """Return the names of the tables whose block in a Markdown file is there and another one than given."""
    text = path.read_text(encoding="utf-8")
    found = {name: _block(name).search(text) for name in blocks}
    return [name for name, match in found.items() if match and match[2].strip() != blocks[name].strip()]


def _block(table: str) -> re.Pattern[str]:
    name = re.escape(table)
    return re.compile(rf"(<!-- table:{name} -->)(.*?)(<!-- /table:{name} -->)", re.DOTALL)
