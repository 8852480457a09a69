"""The block of a table in a Markdown file: what stands between ``<!-- table:NAME -->`` and ``<!-- /table:NAME -->``."""

import re
from collections.abc import Sequence
from pathlib import Path

from atomic_files import write_atomic
from datamodules.store import DataError
from experiments.report.document import Document
from experiments.report.render import readme_block


def has_block(path: Path, table: str) -> bool:
    """Whether a Markdown file has the markers of a table."""
    return path.exists() and _block(table).search(path.read_text(encoding="utf-8")) is not None


def update_readme(path: Path, table: str, block: str) -> None:
    """Replaces what stands between the markers of a table.

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


def stale_blocks(path: Path, documents: Sequence[Document]) -> list[str]:
    """Return names of the tables whose block in a Markdown file is not what their result files give."""
    text = path.read_text(encoding="utf-8")
    found = {document.name: _block(document.name).search(text) for document in documents}
    return [
        document.name
        for document in documents
        if (match := found[document.name]) and match[2].strip() != readme_block(document).strip()
    ]


def _block(table: str) -> re.Pattern[str]:
    name = re.escape(table)
    return re.compile(rf"(<!-- table:{name} -->)(.*?)(<!-- /table:{name} -->)", re.DOTALL)
