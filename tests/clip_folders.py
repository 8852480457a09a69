"""Folders of clips for the tests of datamodules/catalogues/clips: empty files under free names, and their tables."""

from pathlib import Path

from datamodules.catalogues.clips.catalogue import Clips

CASES = Path(__file__).parent / "cases" / "own_clips_tables"


def folder(root: Path, *names: str, **tables: str) -> Path:
    """Write empty files, and tables by their name with ``_`` in place of the dot."""
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    for name, text in tables.items():
        (root / name.replace("_", ".")).write_text(text, encoding="utf-8")
    return root


def scanned(root: Path, **options):
    return Clips(**options).scan(root)


def entries(root: Path, **options):
    return {entry.id: entry for entry in scanned(root, **options).entries}


def table(header: str, *rows: str) -> str:
    return "\n".join([header, *rows]) + "\n"
