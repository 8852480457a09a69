"""Stand-in of features computed elsewhere: sequences of unequal length, tables of one clip each, and vectors.

A clip is of one of three classes. Its ``face`` (OpenFace's layout, 17 action units in a ``.csv`` of its own) tells the
first class from the others, its ``voice`` (23 values a step, ``.npy``, float16) the last: either alone cannot pass two
thirds, the pair can reach all. ``words`` is a vector (``words.npz``) that tells nothing. Beside them ``index.csv``,
``features.json`` and ``SYNTHETIC``.
"""

import argparse
import io
import json
from pathlib import Path

import numpy as np

from atomic_files import write_atomic
from datamodules.standins._stand_in import StandIn, rng_of

VERSION = 1  # raise it when the bytes change
CLIPS, SPEAKERS, CLASSES = 96, 6, 3
UNITS = [f"AU{unit:02d}_r" for unit in (1, 2, 4, 5, 6, 7, 9, 10, 12, 14, 15, 17, 20, 23, 25, 26, 45)]
VOICE, WORDS = 23, 12
PROVENANCE = {
    "face": {"tool": "none: drawn numbers", "version": str(VERSION), "unit": "intensity 0 to 5", "columns": UNITS},
    "voice": {"tool": "none: drawn numbers", "version": str(VERSION), "settings": {"hop_ms": 10}},
    "words": {"tool": "none: drawn numbers", "version": str(VERSION)},
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe this corpus; it has no options beyond the common ones."""
    parser.epilog = f"Invented features of {CLIPS} clips of {SPEAKERS} speakers, or of --clips of them."


def run(args: argparse.Namespace) -> int:
    """Write the files.

    Raises:
        DataError: ``--out`` holds another corpus, or ``--clips`` is out of range.
    """
    stand_in = StandIn.from_options(args, "features", VERSION, CLIPS, 2 * SPEAKERS, 9999)
    out, seed = stand_in.out, stand_in.seed
    if stand_in.is_complete():
        return stand_in.report_existing("clips")
    with stand_in.writing():
        index, names = ["id,group,target,fold"], [f"clip{number:04d}" for number in range(stand_in.clips)]
        patterns = rng_of(VERSION, seed, "patterns")
        looks, sounds = patterns.uniform(0, 2, (2, len(UNITS))), patterns.normal(0, 1, (2, VOICE))
        words = []
        for number, name in enumerate(names):
            rng = rng_of(VERSION, seed, name)
            label, speaker = number % CLASSES, number // CLASSES % SPEAKERS
            index.append(f"{name},s{speaker},{label},{speaker}")
            faces = looks[int(label == 0)] + rng.normal(0, 0.7, (int(rng.integers(5, 40)), len(UNITS)))
            _write(out / "face" / f"{name}.csv", _table(faces.clip(0, 5), rng).encode())
            voices = sounds[int(label == 2)] + rng.normal(0, 1, (int(rng.integers(8, 60)), VOICE))
            _write(out / "voice" / f"{name}.npy", _saved(voices.astype(np.float16)))
            words.append(rng.normal(0, 1, WORDS).astype(np.float32))
        content = io.BytesIO()
        np.savez(content, allow_pickle=False, id=np.array(names), words=np.stack(words))
        _write(out / "words.npz", content.getvalue())
        _write(out / "features.json", json.dumps(PROVENANCE, indent=1).encode())
        _write(out / "index.csv", "\n".join([*index, ""]).encode())
    return stand_in.report("clips")


def _table(units: np.ndarray, rng: np.random.Generator) -> str:
    """Return a table as OpenFace writes it: blanks in the header, every ninth row a failure, one row missing."""
    lines = [", ".join(["frame", "face_id", "timestamp", "confidence", "success", *UNITS])]
    missing = int(rng.integers(1, len(units)))
    for row, values in enumerate(units):
        failed = row % 9 == 8
        found = [0.0] * len(values) if failed else values
        numbers = [f"{value:.2f}" for value in found]
        state = [str(row + 1), "0", f"{row / 25:.3f}", *(("0.03", "0") if failed else ("0.98", "1"))]
        if row != missing:
            lines.append(", ".join([*state, *numbers]))
    return "\n".join([*lines, ""])


def _saved(values: np.ndarray) -> bytes:
    content = io.BytesIO()
    np.save(content, values, allow_pickle=False)
    return content.getvalue()


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, content, sync=False)
