"""AvaMERG (Zhang et al. 2025, https://arxiv.org/abs/2502.04976): dialogues with speech, film and profiles.

A manifest for each split (in the folder or in ``json/``), its name with ``train``, ``val`` or ``test`` in it, or one
manifest that is split 60 / 20 / 20 by conversation; the wavs and mp4s that they name anywhere below. One that is
missing or does not decode leaves its utterance without that modality. Conversations without a class are left out.
"""

import random
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

from datamodules.catalogues.avamerg.manifest import ATTRIBUTES, ManifestEntry, read_manifest
from datamodules.catalogues.avamerg.media_files import MediaFiles
from datamodules.entries import SPLITS, Catalogue, Entry, Scan
from datamodules.errors import DataError
from datamodules.reading.emotion_labels import KNOWN
from datamodules.reading.matches import print_unmatched
from datamodules.reading.tables import settle

SHARES, SEED = (0.6, 0.2), 42  # train and test; the rest validates: how the authors' code splits one manifest


@dataclass(frozen=True)
class AvaMERG(Catalogue):
    """Conversations in the order of the manifests, split by split; the group of one is the conversation itself."""

    name: ClassVar[str] = "avamerg"
    recipe: ClassVar[str] = "gated_fusion"
    unit: ClassVar[str] = "conversation"
    classes: ClassVar[tuple[str, ...]] = KNOWN
    columns: ClassVar[tuple[str, ...]] = (
        *("split", "emotion", "topic"),
        *(f"{who}_{name}" for who in ("speaker", "listener") for name in ATTRIBUTES),
    )

    def scan(self, source: Path) -> Scan:
        """Read the manifests and look for the media that they name.

        Raises:
            DataError: There is no manifest or more than one for a split, one is empty, not as expected or names an
                unknown emotion, or a conversation is in two splits or there twice and differs.
        """
        files = MediaFiles.under(source)
        entries = _without_repetitions(_checked(_read(source, files), source))
        named = any(part.media for entry in entries for part in entry.parts)
        print(f"  {len(files.paths)} media files")
        if named and not files.paths:
            warning = "none of the media files that its manifests name; text alone is kept"
            print(f"warning: --source {source}: {warning}", file=sys.stderr)
        found, there = (
            {path.relative_to(source).as_posix() for path in paths}
            for paths in ((path for entry in entries for path in entry.files()), files.paths)
        )
        print_unmatched(str(source), found, there, "file", "conversation")
        return Scan(entries)


def _read(folder: Path, files: MediaFiles) -> list[ManifestEntry]:
    paths = [path for place in (folder, folder / "json") for path in sorted(place.glob("*.json"))]
    named = {split: [path for path in paths if split in path.stem.lower()] for split in SPLITS}
    if not paths:
        raise DataError(f"--source {folder}: no .json manifest in it; docs/data.md shows the layout")
    if not any(named.values()):
        if len(paths) > 1:
            raise DataError(f"--source {folder}: which of {', '.join(path.name for path in paths)} is the manifest?")
        return _drawn(read_manifest(paths[0], "", files))
    for split, found in named.items():
        if len(found) != 1:
            names = ", ".join(path.name for path in found) or "none"
            raise DataError(
                f"--source {folder}: expected one manifest with {split!r} in its name, found {names}.\n"
                "Audio and video are looked for whichever of the two a manifest names: keep one of them"
            )
    return [one for split, (path,) in named.items() for one in read_manifest(path, split, files)]


def _drawn(conversations: Sequence[ManifestEntry]) -> list[ManifestEntry]:
    names = sorted({one.entry.id for one in conversations})
    random.Random(SEED).shuffle(names)
    train, test = (int(share * len(names)) for share in SHARES)
    split = dict.fromkeys(names, "val") | dict.fromkeys(names[:train], "train")
    split |= dict.fromkeys(names[train : train + test], "test")
    return [replace(one, entry=replace(one.entry, split=split[one.entry.id])) for one in conversations]


def _checked(conversations: Sequence[ManifestEntry], folder: Path) -> Sequence[ManifestEntry]:
    """Refuse a conversation in two splits, and one that is listed twice and differently."""
    split_of: dict[str, str] = {}
    for entry in (one.entry for one in conversations):
        if split_of.setdefault(entry.id, entry.split) != entry.split:
            raise DataError(
                f"--source {folder}: conversation {entry.id} is in both {split_of[entry.id]} and {entry.split}; "
                "take it out of one of the manifests"
            )
    settle((one.entry.id, one.content, one.where) for one in conversations)
    return conversations


def _without_repetitions(conversations: Sequence[ManifestEntry]) -> list[Entry]:
    times, kept = Counter[str](), []
    for entry in (one.entry for one in conversations):
        times[entry.id] += 1
        if times[entry.id] > 1:
            problem = f"conversation {entry.id} was there before"
            entry = replace(entry, id=f"{entry.id}#{times[entry.id]}", problem=problem)
        kept.append(replace(entry, group=entry.id, name=f"{entry.split}.json: {entry.id}"))
    return kept
