"""Features of the RAVDESS speech trials computed elsewhere: two .npz files in different order -> one joined table.

``au_mfcc.npz`` holds 35 OpenFace action units per audio-video clip (``01-...``), averaged over the clip;
``mfcc_44k.npz`` the 13 MFCCs of CFN-SR of the audio-only clip (``03-...``) of the same trial. Trials are joined by
what their ids share, never by row.
"""

import argparse
import hashlib
import json
import os
import re
import shutil
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from atomic_files import unfinished, write_atomic
from datamodules.errors import DataError
from datamodules.reading.files import sha256_file
from datamodules.reading.recordings import Recording, repeated
from datamodules.reading.stand_in import is_stand_in
from datamodules.reading.tables import Table
from datamodules.store.reader import ANEW, read_manifest
from tensor_archives import TensorFileError
from tensor_files import read_npz

CORPUS = "ravdess_features"
FILES = ("au_mfcc.npz", "mfcc_44k.npz")
SPLITS = Path(__file__).resolve().parents[1] / "splits" / "ravdess.csv"
_ID = re.compile(r"0[123]-(01-0[1-8]-0[12]-0[12]-0[12]-(?:0[1-9]|1\d|2[0-4]))")

Arrays = dict[str, np.ndarray]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the source folder; there are no options beyond the common ones."""
    parser.epilog = f"DIR holds {' and '.join(FILES)}; docs/data.md says what is in them."


def read_arrays(path: Path, **dimensions: int) -> Arrays:
    """Read named arrays with one row per trial.

    Args:
        path: A ``.npz`` file of plain arrays.
        **dimensions: Number of dimensions of each array to read.

    Returns:
        The arrays by name.

    Raises:
        DataError: If the file is missing or damaged, or an array is missing, has another number of dimensions or rows
            than the first, or holds what is not finite.
    """
    if not path.is_file():
        raise DataError(f"--source: {path} is not there; docs/data.md says what the folder holds")
    try:
        arrays = read_npz(path, dimensions)
    except TensorFileError as error:
        raise DataError(f"{error}; get it anew (docs/data.md says what it holds)") from error
    rows = len(np.atleast_1d(next(iter(arrays.values()))))
    for name, values in arrays.items():
        if values.ndim != dimensions[name] or len(values) != rows:
            raise DataError(f"{path}: {name} is {values.shape}, expected {rows} rows and {dimensions[name]} dimensions")
        if not rows:
            raise DataError(f"{path}: {name} has no rows; docs/data.md says what it holds")
        kinds = {"emotion": "iu", "actor": "iu", "names": "US", "clip_id": "US"}.get(name, "fiu")
        if values.dtype.kind not in kinds:
            wanted = "whole numbers" if kinds == "iu" else "texts" if kinds == "US" else "numbers"
            raise DataError(f"{path}: {name} holds {values.dtype}, expected {wanted}; docs/data.md says what it holds")
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            raise DataError(f"{path}: {name} has values that are not finite; get the file anew")
    return arrays


def rows_by_trial(path: Path, ids: np.ndarray) -> dict[str, int]:
    """Find the row of every trial.

    Args:
        path: Where the ids come from, for messages.
        ids: Clip ids, ``01-01-EE-II-SS-RR-AA`` or the same with another first field.

    Returns:
        Row by trial, the last six fields of the id.

    Raises:
        DataError: If an id is none of a RAVDESS speech clip, or two are of one trial.
    """
    rows: dict[str, int] = {}
    for row, clip in enumerate(ids.astype(str).tolist()):
        match = _ID.fullmatch(clip)
        if match is None:
            raise DataError(f"{path}: row {row} has the id {clip!r}, not that of a RAVDESS speech clip")
        if match[1] in rows:
            raise DataError(f"{path}: rows {rows[match[1]]} and {row} are both of trial {match[1]}")
        rows[match[1]] = row
    return rows


def join(source: Path, folds: dict[str, int], *, whole: bool) -> tuple[list[dict[str, Any]], Arrays]:
    """Join the two files by trial.

    Args:
        source: Folder that holds them.
        folds: Test fold by trial.
        whole: Every trial of ``folds`` has to be there.

    Returns:
        Index rows (id, group, target, fold) sorted by id, and ``id``, ``au`` ``(N, 35)`` and ``mfcc``
        ``(N, 13, 212)`` in the same order.

    Raises:
        DataError: If a file is not as expected, the trials of the two differ, a label contradicts an id, or trials of
            two actors or emotions have the same features.
    """
    units_path, mfcc_path = (source / name for name in FILES)
    units = read_arrays(units_path, names=1, au=2, emotion=1, actor=1)
    sound = read_arrays(mfcc_path, clip_id=1, mfcc=3)
    in_units, in_sound = rows_by_trial(units_path, units["names"]), rows_by_trial(mfcc_path, sound["clip_id"])
    for path, rows, other in ((units_path, in_units, in_sound), (mfcc_path, in_sound, in_units)):
        wanted = other.keys() | (folds.keys() if whole else set())
        if absent := sorted(wanted - rows.keys()):
            raise DataError(f"{path}: {len(absent)} of {len(wanted)} trials are not in it, the first {absent[0]}")
        if unknown := sorted(rows.keys() - folds.keys()):
            raise DataError(f"{path}: {len(unknown)} trials are in no fold of {SPLITS.name}, the first {unknown[0]}")
    trials = sorted(in_units)
    index: list[dict[str, Any]] = []
    for trial in trials:
        row, (_, emotion, *_, actor) = in_units[trial], trial.split("-")
        recorded = int(units["emotion"][row]), int(units["actor"][row])
        if recorded != (int(emotion) - 1, int(actor)):
            raise DataError(
                f"{units_path}: trial {trial} is labelled emotion {recorded[0]} of actor {recorded[1]}, but the id of "
                f"both files says {int(emotion) - 1} of {int(actor)}"
            )
        index.append({"id": f"01-{trial}", "group": actor, "target": int(emotion) - 1, "fold": folds[trial]})
    features = {
        "id": np.array([row["id"] for row in index]),
        "au": units["au"][[in_units[trial] for trial in trials]].astype(np.float32),
        "mfcc": sound["mfcc"][[in_sound[trial] for trial in trials]].astype(np.float32),
    }
    for name in ("au", "mfcc"):
        recordings = (Recording(f"{name} of {row['id']}", f"actor {row['group']}", row["target"]) for row in index)
        repeated(zip(map(np.ndarray.tobytes, features[name]), recordings, strict=True), source)
    return index, features


def run(args: argparse.Namespace) -> int:
    """Prepare the features and return the exit code.

    Raises:
        DataError: The source is wrong, ``--out`` cannot be written, or what is there is damaged or was made from other
            files.
    """
    if not args.source.is_dir():
        raise DataError(f"--source {args.source}: no such folder; docs/data.md says what it holds")
    synthetic = is_stand_in(args.source, "ravdess_features")
    root = args.out or Path("data", *(["synthetic"] if synthetic else []), CORPUS)
    folder = root / "prepared"
    folds = {row["clip"]: int(row["fold"]) for row in Table(SPLITS, ("clip", "fold"))}
    index, features = join(args.source, folds, whole=not synthetic)
    settings = {name: sha256_file(args.source / name) for name in FILES} | {SPLITS.name: sha256_file(SPLITS)}
    keep(CORPUS, folder, index, features, settings, synthetic=synthetic)
    return 0


def keep(
    corpus: str,
    folder: Path,
    index: list[dict[str, Any]],
    features: Arrays,
    settings: dict[str, str],
    *,
    synthetic: bool,
) -> None:
    """Write what was joined, unless it is there already, and print which.

    Args:
        corpus: Its name.
        folder: Where it goes.
        index: Of `join`.
        features: Likewise.
        settings: What it was made from: a hash by name.
        synthetic: Whether it is a stand-in.

    Raises:
        DataError: What is there is damaged or was made from other files, or nothing can be written.
    """
    if (folder / "COMPLETE").exists():
        manifest = _read_manifest(folder)
        if manifest["settings"] != settings or manifest["synthetic"] != synthetic:
            raise DataError(f"{folder} was made from other files: delete that folder, or write elsewhere with --out")
        _verify(folder, manifest["files"])
        print(f"{folder}: {len(index)} trials are there already; fingerprint {manifest['fingerprint'][:12]}")
        return
    try:
        fingerprint = _write(corpus, folder, index, features, settings, synthetic=synthetic)
    except OSError as error:
        raise DataError(f"--out: cannot write {folder}: {error.strerror}; name a folder that can be written") from None
    print(
        f"{len(index)} trials joined, labels agree on all; fingerprint {fingerprint[:12]}"
        f"{' (SYNTHETIC)' * synthetic}; {folder}"
    )


def _read_manifest(folder: Path) -> dict[str, Any]:
    path = folder / "manifest.json"
    if not path.is_file():
        raise DataError(f"{path} is missing; {ANEW}")
    return read_manifest(path, settings=dict, synthetic=bool, files=dict, fingerprint=str)


def _verify(folder: Path, files: dict[str, str]) -> None:
    for name, expected in files.items():
        path = folder / name
        if not path.is_file():
            raise DataError(f"{path} is missing; {ANEW}")
        if sha256_file(path) != expected:
            raise DataError(f"{path} was damaged after preparing; {ANEW}")


def _write(
    corpus: str,
    folder: Path,
    index: list[dict[str, Any]],
    features: Arrays,
    settings: dict[str, str],
    *,
    synthetic: bool,
) -> str:
    """Fill a folder beside the target and rename it: the whole or nothing."""
    for left in folder.parent.glob(f".{folder.name}.*tmp"):  # by a run that was killed
        shutil.rmtree(left)
    stage = unfinished(folder)
    stage.mkdir(parents=True)
    lines = [",".join(index[0]), *(",".join(map(str, row.values())) for row in index)]
    write_atomic(stage / "index.csv", "\n".join(lines) + "\n")
    with (stage / "features.npz").open("wb") as file:
        np.savez(file, allow_pickle=False, **features)
        file.flush()
        os.fsync(file.fileno())
    files = {name: sha256_file(stage / name) for name in ("index.csv", "features.npz")}
    fingerprint = hashlib.sha256(json.dumps([corpus, synthetic, files], sort_keys=True).encode()).hexdigest()
    manifest = {
        "schema": 1,
        "corpus": corpus,
        "synthetic": synthetic,
        "settings": settings,
        "arrays": {name: {"dtype": str(values.dtype), "shape": values.shape} for name, values in features.items()},
        "counts": {"used": len(index), "skipped": 0, "padded": 0},
        "files": files,
        "versions": {"numpy": version("numpy")},
        "fingerprint": fingerprint,
    }
    write_atomic(stage / "manifest.json", json.dumps(manifest, indent=1) + "\n")
    write_atomic(stage / "COMPLETE", fingerprint + "\n")
    shutil.rmtree(folder, ignore_errors=True)  # what another version left without COMPLETE
    os.replace(stage, folder)
    return fingerprint
