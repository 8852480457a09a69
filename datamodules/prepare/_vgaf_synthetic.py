"""Synthetic clips of VGAF: PNG frames as the generator writes them, and sounds for them."""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from atomic_files import write_atomic
from datamodules.matches import folders_in, tell_unmatched
from datamodules.prepare._vgaf_clip import Job, Settings
from datamodules.store import DataError
from datamodules.vgaf_layout import CLASS_NAMES, SOURCES, folder_number, read_labels, read_sources, synthetic_folder

COLUMNS = ("clip", "kind", "file", "source", "placed", "dropped")


def synthetic_jobs(drawn: Path, out: Path, number: int) -> list[Job]:
    """Lists the synthetic clips of a folder, class after class, in the order of their names.

    Args:
        drawn: Holds ``<class>/<clip>/<k>.png`` and ``<class>_labels.txt``.
        out: The corpus folder to fill.
        number: 5 or 75: which folder of tensors.

    Raises:
        DataError: A label file is missing or wrong.
    """
    jobs = []
    for place, part in enumerate(CLASS_NAMES):
        path = drawn / f"{part}_labels.txt"
        labels = read_labels(path, first=0)
        tell_unmatched(f"{drawn.name}/{part}", labels, folders_in(drawn / part), "folder")
        for name, label in sorted(labels.items()):
            reason = "" if label == place else f"labelled {label} in the folder {part}"
            target = synthetic_folder(out, number) / part / f"{name}.synt"
            shown = f"{drawn.name}/{part}/{name}"
            jobs.append(Job(f"{part}/{name}", place, drawn / part / name, shown, target, synthetic=True, reason=reason))
    return jobs


def copy_file(source: Path, target: Path) -> None:
    """Copies a label file; a target that says otherwise is somebody else's.

    Raises:
        DataError: The target has other content.
    """
    content = source.read_bytes()
    if target.exists():
        if target.read_bytes() != content:
            raise DataError(f"{target} is of another corpus than {source}; write elsewhere with --out")
        return
    write_atomic(target, content, sync=False)


def give_sounds(takers: Sequence[Job], givers: Sequence[Job], counts: Sequence[int], seed: int) -> list[dict[str, str]]:
    """Gives every synthetic clip the spectrograms of a training clip of its class.

    Training clips of a class are drawn in turn, so that all are used about equally often.

    Args:
        takers: Synthetic clips.
        givers: Training clips whose spectrograms are there.
        counts: How many spectrograms a clip has, file by file.
        seed: Of the draw.

    Returns:
        Rows of ``sources.csv`` that say which.

    Raises:
        DataError: There is no training clip of a class.
    """
    rows = []
    for label, part in enumerate(CLASS_NAMES):
        own = [job for job in takers if job.label == label]
        pool = [job for job in givers if job.label == label]
        if own and not pool:
            raise DataError(f"no training clip of {part} is there whose sound synthetic clips could have")
        order = np.random.default_rng([seed, label]).permutation(len(pool))
        for place, job in enumerate(own):
            giver = pool[order[place % len(pool)]]
            for count in counts:
                target, content = job.file("spec", count), giver.file("spec", count).read_bytes()
                if not target.exists() or target.read_bytes() != content:
                    write_atomic(target, content, sync=False)
            rows.append(
                dict.fromkeys(COLUMNS, "") | {"clip": job.id, "kind": "sound", "source": giver.id.split("/")[1]}
            )
    return rows


def write_sources(folder: Path, rows: Sequence[Mapping[str, str]]) -> None:
    """Writes ``sources.csv``: what every synthetic clip was made of."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_atomic(folder / SOURCES, text.getvalue())


def finish_synthetic(jobs: Sequence[Job], drawn: Path, out: Path, settings: Settings) -> None:
    """Adds to the tensors of synthetic clips their labels, their sounds and where both came from.

    Args:
        jobs: All prepared clips.
        drawn: Folder of the PNG frames, whose own ``sources.csv`` goes first.
        out: The corpus folder.
        settings: Which spectrograms, and the seed.
    """
    folder = synthetic_folder(out, folder_number([settings.frames]))
    for part in CLASS_NAMES:
        copy_file(drawn / f"{part}_labels.txt", folder / f"{part}_labels.txt")
    rows = [{name: row.get(name) or "" for name in COLUMNS} for row in read_sources(drawn)]
    givers = [job for job in jobs if job.id.startswith("Train/")]
    takers = [job for job in jobs if job.synthetic]
    write_sources(folder, [*rows, *give_sounds(takers, givers, settings.spectrogram_counts, settings.seed)])
