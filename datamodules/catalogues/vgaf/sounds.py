"""Sounds of synthetic clips: those of training clips of the same class, as the authors of the released code do."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from atomic_files import write_atomic
from datamodules.catalogues.vgaf.labels import COLUMNS
from datamodules.catalogues.vgaf.layout import KINDS, Clip
from datamodules.errors import DataError


def give_sounds(
    takers: Sequence[Clip], folder: Path, givers: Sequence[Clip], train: Path, counts: Sequence[int], seed: int
) -> list[dict[str, str]]:
    """Give every synthetic clip the spectrograms of a training clip of its class, drawn in turn.

    Args:
        takers: Synthetic clips.
        folder: Holds a folder of their tensors for every class.
        givers: Training clips whose spectrograms are there.
        train: Folder of these.
        counts: How many spectrograms a clip has, file by file.
        seed: Of the draw.

    Returns:
        Rows of ``sources.csv`` that say which.

    Raises:
        DataError: There is no training clip of a class.
    """
    rows = []
    for label, part in sorted({(clip.label, clip.part) for clip in takers}):
        pool = [clip for clip in givers if clip.label == label]
        if not pool:
            raise DataError(f"no training clip of {part} is there whose sound synthetic clips could have")
        order = np.random.default_rng([seed, label]).permutation(len(pool))
        for place, clip in enumerate(clip for clip in takers if clip.label == label):
            giver = pool[order[place % len(pool)]]
            for count in counts:
                target = folder / part / clip.file(KINDS["audio"], count)
                content = (train / giver.file(KINDS["audio"], count)).read_bytes()
                if not target.exists() or target.read_bytes() != content:
                    write_atomic(target, content, sync=False)
            rows.append(dict.fromkeys(COLUMNS, "") | {"clip": clip.key, "kind": "sound", "source": giver.name})
    return rows
