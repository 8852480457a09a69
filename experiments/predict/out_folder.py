"""The folder that ``--out`` names."""

from pathlib import Path

from datamodules.errors import DataError


def check_new(out: Path) -> None:
    """Refuse a folder that holds something.

    Raises:
        DataError: It does.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise DataError(f"--out {out}: it is there already; name a new folder")


def make_folder(out: Path) -> None:
    """Make a folder where there is none.

    Raises:
        DataError: It cannot be made.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(out, error) from None


def unwritable(out: Path, error: OSError) -> DataError:
    """Return the error of a folder where nothing can be written."""
    return DataError(f"--out {out}: {error.strerror}; name a folder that can be written")
