"""What every preparation of a store has in common: it can be stopped, carries on, and says what it could not use."""

import argparse
import sys
from collections.abc import Callable, Collection
from contextlib import closing
from importlib.metadata import version
from pathlib import Path

from datamodules.errors import DataError
from datamodules.store.writer import StoreWriter


def check_common(args: argparse.Namespace) -> None:
    """Refuses values of the options that every corpus has.

    Raises:
        DataError: One is out of range.
    """
    for option, least in (("workers", 1), ("max_skipped", 0)):
        value = getattr(args, option)
        if value is not None and value < least:
            raise DataError(f"--{option.replace('_', '-')} {value}: at least {least}")


def corpus_root(args: argparse.Namespace, corpus: str, *, synthetic: bool) -> Path:
    """Folder of a corpus: the one that was asked for, or its own below ``data``."""
    return args.out or Path("data", *(["synthetic"] if synthetic else []), corpus)


def fill(
    writer: StoreWriter,
    write: Callable[[], None],
    args: argparse.Namespace,
    count: int,
    unit: str,
    packages: Collection[str],
    *,
    left_out: Collection[str] = (),
    last: Callable[[], None] = lambda: None,
) -> int:
    """Fills a store and closes it.

    Args:
        writer: The store.
        write: Adds or skips every clip that the writer does not have yet.
        args: Options of the command line.
        count: Number of clips.
        unit: What a clip is called, in the plural.
        packages: What the bytes depend on; their versions are recorded.
        left_out: Ids of clips that are skipped on purpose: nobody has to accept those.
        last: What else there is to write before the store counts as complete.

    Returns:
        The exit code: 1 where more than ``--max-skipped`` clips or all cannot be used, 130 where it was stopped.
    """
    with closing(writer):
        fresh = not writer.complete
        try:
            write()
        except KeyboardInterrupt:
            print(f"\nstopped after {len(writer.done)} of {count} {unit}; the same command carries on", file=sys.stderr)
            return 130
        unusable = [row for row in writer.skipped if row["id"] not in left_out]
        if fresh and len(unusable) > args.max_skipped:
            print(
                f"error: {len(unusable)} {unit} cannot be used, the first {unusable[0]['file']} "
                f"({unusable[0]['reason']}); all are in {writer.write_skipped()}.\n"
                f"Repair or remove them and run again, or do without them: --max-skipped {len(unusable)}",
                file=sys.stderr,
            )
            return 1
        if not writer.rows:
            print(
                f"error: none of the {count} {unit} is left; {writer.write_skipped()} says why",
                file=sys.stderr,
            )
            return 1
        last()
        writer.finish({name: version(name) for name in packages})
    return 0
