"""Stand-in of features computed elsewhere: sequences of unequal length, tables of one clip each, and vectors.

A clip is of one of three classes. Its ``face`` (OpenFace's layout, 17 action units in a ``.csv`` of its own) tells the
first class from the others, its ``voice`` (23 values a step, ``.npy``, float16) the last: either alone cannot pass two
thirds, the pair can reach all. ``words`` is a vector (``words.npz``) that tells nothing. Beside them ``index.csv``,
``features.json`` and ``SYNTHETIC``.
"""

import io
import json
from collections.abc import Iterator

import numpy as np

from datamodules.standins._drawing.draws import rng_of
from datamodules.standins._stand_in import Part, StandIn, table

VERSION = 1  # raise it when the bytes change
CLIPS, SPEAKERS, CLASSES = 96, 6, 3
UNITS = [f"AU{unit:02d}_r" for unit in (1, 2, 4, 5, 6, 7, 9, 10, 12, 14, 15, 17, 20, 23, 25, 26, 45)]
VOICE, WORDS = 23, 12
PROVENANCE = {
    "face": {"tool": "none: drawn numbers", "version": str(VERSION), "unit": "intensity 0 to 5", "columns": UNITS},
    "voice": {"tool": "none: drawn numbers", "version": str(VERSION), "settings": {"hop_ms": 10}},
    "words": {"tool": "none: drawn numbers", "version": str(VERSION)},
}


def _parts(clips: int, seed: int) -> Iterator[Part]:
    """Yield the features of every clip, then what holds all clips."""
    index, names, words = [], [f"clip{number:04d}" for number in range(clips)], []
    patterns = rng_of(VERSION, seed, "patterns")
    looks, sounds = patterns.uniform(0, 2, (2, len(UNITS))), patterns.normal(0, 1, (2, VOICE))
    for number, name in enumerate(names):
        rng = rng_of(VERSION, seed, name)
        label, speaker = number % CLASSES, number // CLASSES % SPEAKERS
        index.append(f"{name},s{speaker},{label},{speaker}")
        faces = looks[int(label == 0)] + rng.normal(0, 0.7, (int(rng.integers(5, 40)), len(UNITS)))
        table_of_faces = _table(faces.clip(0, 5), rng)
        voices = sounds[int(label == 2)] + rng.normal(0, 1, (int(rng.integers(8, 60)), VOICE))
        files = (f"face/{name}.csv", f"voice/{name}.npy")
        yield Part(files, (table_of_faces, _saved(voices.astype(np.float16))), clip=True)
        words.append(rng.normal(0, 1, WORDS).astype(np.float32))
    content = io.BytesIO()
    np.savez(content, allow_pickle=False, id=np.array(names), words=np.stack(words))
    yield Part(("words.npz",), content.getvalue())
    yield Part(("features.json",), json.dumps(PROVENANCE, indent=1))
    yield Part(("index.csv",), table("id,group,target,fold", index))


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


CORPUS = StandIn(
    "features", VERSION, "clips", (CLIPS, 2 * SPEAKERS, 9999), _parts,
    f"Invented features of {CLIPS} clips of {SPEAKERS} speakers, or of --clips of them.",
)  # fmt: skip
add_arguments, run = CORPUS.add_arguments, CORPUS.run
