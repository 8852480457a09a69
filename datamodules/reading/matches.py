"""Files and their labels, boxes or landmarks: those without a counterpart, and duplicates, are printed."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable
from pathlib import Path

from datamodules.reading.files import hash_of
from datamodules.reading.tables import settle
from error_texts import first_names


def unmatched(labels: Collection[str], files: Collection[str], file: str = "video", label: str = "label") -> str:
    """Return how many labels have no file and how many files no label, with the first names; empty for none.

    Args:
        labels: Names that are labelled.
        files: Names that are there.
        file: What one of those is called.
        label: What one of the others is called.
    """
    alone, bare = sorted(set(labels) - set(files)), sorted(set(files) - set(labels))
    parts = [f"{len(alone)} {label}{'s' * (len(alone) > 1)} without a {file} ({first_names(alone)})"] if alone else []
    parts += [f"{len(bare)} {file}{'s' * (len(bare) > 1)} without a {label} ({first_names(bare)})"] if bare else []
    return ", ".join(parts)


def print_unmatched(
    where: str, labels: Collection[str], files: Collection[str], file: str = "video", label: str = "label"
) -> None:
    """Print the sentence of `unmatched`, if there is one, with where that was found."""
    if parts := unmatched(labels, files, file, label):
        print(f"  {where}: {parts}")


def print_copies(path: Path, copies: int) -> None:
    """Print how many rows of a table repeat other rows, if any."""
    if copies:
        print(f"  {copies} rows of {path.name} that come twice left aside")


def print_counts(counts: Counter[str]) -> None:
    """Print how many rows or files were ignored, one kind a line."""
    for what, count in sorted(counts.items()):
        print(f"  {count} {what} left aside")


def one_of_each(paths: Iterable[Path]) -> dict[str, Path]:
    """Return a file for each name without its ending, of equal ones the last.

    Raises:
        DataError: Two files of one name differ; both are named.
    """
    files: dict[str, list[Path]] = defaultdict(list)
    for path in paths:
        files[path.stem].append(path)
    settle((name, hash_of(path)[:16], str(path)) for name, of in files.items() if len(of) > 1 for path in of)
    return {name: of[-1] for name, of in files.items()}


def folders_in(folder: Path) -> set[str]:
    """Return the names of the folders in a folder, hidden ones left out; none where there is no such folder."""
    if not folder.is_dir():
        return set()
    return {path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")}
