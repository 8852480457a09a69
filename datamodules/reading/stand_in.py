"""Stand-ins of corpora: a file in a folder says that everything in it is made up."""

from pathlib import Path

from datamodules.errors import DataError

STAND_IN, UNFINISHED = "SYNTHETIC", " (incomplete)"  # the file that marks a stand-in, and its end until all is there


def is_stand_in(source: Path, corpus: str) -> bool:
    """Return whether a raw corpus is a stand-in or part of one: it, or a folder above it, is marked so."""
    folder = source.resolve()
    marks = (part / STAND_IN for part in (folder, *folder.parents))
    mark = next((mark for mark in marks if mark.is_file()), None)
    if mark and mark.read_text(encoding="utf-8").strip().endswith(UNFINISHED):
        raise DataError(f"--source {source}: a stand-in that is not finished; run `cli.py synth {corpus}` again")
    return mark is not None
