"""What a preparation says of labels and files that lack their other half, and of rows that say nothing new."""

from collections import Counter
from collections.abc import Collection
from pathlib import Path

from datamodules.names import some


def unmatched(labels: Collection[str], files: Collection[str], file: str = "video", label: str = "label") -> str:
    """Return how many labels are of no file and how many files have no label, with the first names; empty for none.

    Args:
        labels: Names that are labelled.
        files: Names that are there.
        file: What one of those is called.
        label: What one of the others is called.
    """
    alone, bare = sorted(set(labels) - set(files)), sorted(set(files) - set(labels))
    said = [f"{len(alone)} {label}{'s' * (len(alone) > 1)} without a {file} ({some(alone)})"] if alone else []
    said += [f"{len(bare)} {file}{'s' * (len(bare) > 1)} without a {label} ({some(bare)})"] if bare else []
    return ", ".join(said)


def tell_unmatched(
    where: str, labels: Collection[str], files: Collection[str], file: str = "video", label: str = "label"
) -> None:
    """Print the sentence of `unmatched`, if there is one, with where that was found."""
    if said := unmatched(labels, files, file, label):
        print(f"  {where}: {said}")


def tell_counts(counts: Counter[str]) -> None:
    """Print what was left aside, one kind a line, with its number."""
    for what, count in sorted(counts.items()):
        print(f"  {count} {what} left aside")


def folders_in(folder: Path) -> set[str]:
    """Names of the folders in a folder, hidden ones left out; none where there is no such folder."""
    if not folder.is_dir():
        return set()
    return {path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")}
