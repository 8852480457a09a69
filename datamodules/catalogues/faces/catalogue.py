"""Ten emotion corpora, each a folder in its own label format, or any folder with an ``index.csv`` (docs/data.md).

The source holds a folder per corpus, some or all; a folder with an ``index.csv`` is taken by that, whatever its name.
Labels, splits and what each corpus takes for a face follow Dresvyanskiy et al. (SPECOM 2024). No reader has met the
real files of its corpus yet: they follow the corpora's documentation and the paper's own preprocessing.
"""

import importlib
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from datamodules.catalogues.faces import index
from datamodules.catalogues.faces.corpus import CATEGORIES, Corpus, Files
from datamodules.catalogues.faces.splits import SEED, assign_splits
from datamodules.entries import SPLITS, Catalogue, Entry, Scan
from datamodules.errors import DataError
from datamodules.reading.files import hash_of
from datamodules.reading.recordings import check_recordings
from datamodules.reading.tables import settle


def corpora() -> dict[str, Corpus]:
    """Return the corpora by name: those that the files of this folder define."""
    files = sorted(Path(__file__).parent.glob("[!_]*.py"))
    modules = [importlib.import_module(f"{__package__}.{path.stem}") for path in files]
    return {one.name: one for module in modules for one in vars(module).values() if isinstance(one, Corpus)}


@dataclass(frozen=True)
class Faces(Catalogue):
    """Stills of emotion corpora, by the folder of their corpus."""

    name: ClassVar[str] = "faces"
    recipe: ClassVar[str] = "static_emotion"
    unit: ClassVar[str] = "still"
    classes: ClassVar[tuple[str, ...]] = CATEGORIES

    def scan(self, source: Path) -> Scan:
        """List the stills of every corpus in a folder, sorted by id.

        Raises:
            DataError: The folder holds no corpus, or a label file is not as it should be.
        """
        known, found = corpora(), []
        facts = {"categories": CATEGORIES, "splits": SPLITS, "seed": SEED}
        scan = Scan([], facts=facts)
        for place in sorted(path for path in source.iterdir() if path.is_dir() and not path.name.startswith(".")):
            if re.match(r"prepared(-|$)", place.name):
                continue  # a store of this folder, which has an index.csv of its own
            corpus = Corpus(place.name, index.stills) if (place / "index.csv").is_file() else known.get(place.name)
            if corpus is None:
                continue
            if not re.fullmatch(r"[a-z0-9_]+", place.name):
                raise DataError(f"{place}: name the folder of a corpus by a-z, 0-9 and _ alone.")
            scan.entries += _stills(corpus, place, scan.ignored)
            found.append(place.name)
        if not found:
            raise DataError(
                f"--source {source}: no corpus in it; wanted are folders named {', '.join(sorted(known))},\n"
                "or any folder with an index.csv (docs/data.md)."
            )
        print(f"  corpora: {', '.join(found)}")
        scan.entries.sort(key=lambda still: still.id)
        return scan


def _stills(corpus: Corpus, folder: Path, ignored: Counter[str]) -> list[Entry]:
    files = Files(folder)
    stills = drop_repeated(corpus.stills(files, ignored), corpus.name, ignored)
    files.print_unmatched(stills)
    # A box says who of several people it is; pictures of nobody named are compared by what they show, later.
    named = [
        (medium.path, still.group.removeprefix(f"{corpus.name}/"), still.label if medium.time is not None else None)
        for still in stills
        for medium in still.media.values()
        if medium.path and still.group and medium.box is None and not still.reason
    ]
    check_recordings(named, folder.parent)
    if not stills:
        raise DataError(f"{folder}: no usable row; docs/data.md says what the folder of a corpus holds.")
    return assign_splits(stills, corpus.shares)


def drop_repeated(stills: Iterable[Entry], corpus: str, ignored: Counter[str]) -> list[Entry]:
    """Return stills without those that are listed again.

    Raises:
        DataError: Two rows say different things of one still.
    """
    stills = list(stills)
    times = Counter(still.id for still in stills)
    double = [still for still in stills if times[still.id] > 1]
    hashes = {path: hash_of(path)[:16] for path in {path for still in double for path in still.files()}}
    _, copies = settle((still.id, _row_content(still, hashes), still.media["picture"].name) for still in double)
    if copies:
        ignored[f"{corpus} rows that come twice"] += copies
    return list({still.id: still for still in reversed(stills)}.values())[::-1]


def _row_content(still: Entry, hashes: dict[Path, str]) -> dict[str, str]:
    """Return the content of a still's row, as text."""
    picture = still.media["picture"]
    labels = {name: str(still.labels.get(name)) for name in ("category", "arousal", "valence")}
    own = {"subject": still.group, "split": still.split, "problem": still.problem}
    place = {"time": str(picture.time), "box": str(picture.box)}
    return {**labels, **own, **place, "content": "".join(hashes[path] for path in still.files())}
