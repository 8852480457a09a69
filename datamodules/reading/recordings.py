"""Checks of recordings: one with two people or labels is refused, and so is one person on all of them."""

import os
from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import av

from datamodules.errors import DataError
from datamodules.reading.files import check_regular, sha256_file
from error_texts import first_names


@dataclass(frozen=True)
class Recording:
    """Labels of one recording.

    Attributes:
        name: How messages name it.
        group: Who it shows: the unit that no split divides.
        label: What it is labelled as, in any form in which two labels can be compared.
    """

    name: str
    group: str
    label: Hashable = None


def repeated(recordings: Iterable[tuple[Hashable, Recording]], source: Path) -> list[str]:
    """Return the names of the recordings that repeat an earlier one with the same labels.

    Args:
        recordings: Digest, equal for equal recordings, and labels, in the order of preparation.
        source: Where they lie, for the message.

    Raises:
        DataError: One recording is labelled with two groups or labels. Which is right is unknown, and a network
            could know whom it is tested on.
    """
    first: dict[Hashable, Recording] = {}
    found = []
    for digest, one in recordings:
        known = first.setdefault(digest, one)
        if (known.group, known.label) != (one.group, one.label):
            what = f"of {known.group} and of {one.group}" if known.group != one.group else "labelled differently"
            raise DataError(
                f"--source {source}: {known.name} and {one.name} are the same recording, but {what}; "
                "take out the wrong one"
            )
        if known is not one:
            found.append(one.name)
    return found


def check_recordings(recorded: Iterable[tuple[Path, str, Hashable]], source: Path) -> None:
    """Refuse files of equal bytes whose labels differ; print those whose labels agree.

    The latter stay: the real RAVDESS has one such pair, two takes of one sentence by one actor.

    Args:
        recorded: File, group and label, in the order of preparation; a file that comes again is passed over.
        source: Folder that messages name them in.
    """
    recordings: dict[Path, Recording] = {}
    for path, group, label in recorded:
        if path not in recordings:
            recordings[path] = Recording(os.path.relpath(path, source), group, label)
    digests = duplicate_hashes(recordings)
    again = repeated(((digests[path], one) for path, one in recordings.items() if path in digests), source)
    if again:
        what = "files with the bytes of another one of the same person and label, kept"
        print(f"  {len(again)} {what} ({first_names(again)})")


def check_groups(groups: Sequence[str], source: str, unit: str) -> None:
    """Refuse clips that are all of one person or recording: more likely a folder was taken for one."""
    if len(groups) > 1 and len(set(groups)) == 1:
        raise DataError(
            f"{source}: all {len(groups)} {unit} are of one participant, {groups[0]!r}, and none could be tested on "
            "others; docs/data.md shows where the name of a participant stands"
        )


def same_bytes(path: Path, other: Path) -> bool:
    """Return whether two files are media files of the same bytes."""
    return len(duplicate_hashes((path, other))) > 1


def duplicate_hashes(paths: Iterable[Path]) -> dict[Path, str]:
    """Return the SHA-256 of those files that have the bytes of another one.

    Only files of equal size are read. What cannot be read, or is no media file, is left out: it is no recording,
    and the reason is reported where it is decoded.
    """
    sizes: defaultdict[int, list[Path]] = defaultdict(list)
    for path in paths:
        try:
            check_regular(path)
            size = path.stat().st_size
        except OSError:
            continue
        if size:
            sizes[size].append(path)
    alike: defaultdict[str, list[Path]] = defaultdict(list)
    for path in (path for same in sizes.values() if len(same) > 1 for path in same):
        try:
            alike[sha256_file(path)].append(path)
        except OSError:
            continue
    several = {digest: same for digest, same in alike.items() if len(same) > 1 and _is_media(same[0])}
    return {path: digest for digest, same in several.items() for path in same}


def _is_media(path: Path) -> bool:
    try:
        with av.open(str(path), metadata_errors="replace"):
            return True
    except (av.FFmpegError, OSError, ValueError):
        return False
