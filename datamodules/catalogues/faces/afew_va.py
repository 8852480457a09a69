"""AFEW-VA (Kossaifi et al. 2017): ``NNN/NNN.json`` beside the frames; -10..10 by frame, 68 landmarks, the actor."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np

from datamodules.catalogues.faces.corpus import Corpus, Files, box_of, number, read_text
from datamodules.entries import Entry
from datamodules.errors import DataError
from datamodules.reading.files import PICTURES
from datamodules.reading.names import check_name
from datamodules.reading.plain_json import parse_json


def stills(files: Files, ignored: Counter[str]) -> Iterator[Entry]:
    """Yield the frames. The face is the box of the landmarks where there are any.

    Clips of one actor stay together, while the paper's code keeps only clips together.
    """
    found = False
    for path in files:
        if path.suffix != ".json" or path.stem != path.parent.name:
            continue
        found = True
        try:
            content = parse_json(read_text(path))
            frames: dict[str, Any] = content["frames"]
            actor = str(content.get("actor") or "").strip()
            for name, frame in sorted(frames.items()):
                where = f"{path}, frame {name}"
                check_name(name, where)
                valence, arousal = (number(frame[axis], where, -10, 10) / 10 for axis in ("valence", "arousal"))
                points = np.array(frame.get("landmarks") or [], dtype=np.float64)
                box = box_of([*points.min(axis=0), *points.max(axis=0)]) if points.size else None
                picture = next((p for s in PICTURES if (p := path.with_name(name + s)).exists()), None)
                yield files.still(
                    f"{path.stem}/{name}",
                    picture or path.with_name(f"{name}.png"),
                    where,
                    arousal=arousal,
                    valence=valence,
                    subject=actor or path.stem,
                    box=box,
                    search=box is None,
                )
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            if isinstance(error, DataError):
                raise
            raise DataError(f"{path}: not the labels of an AFEW-VA clip ({error!r}); get the file anew.") from None
    if not found:
        raise DataError(f"{files.folder}: no AFEW-VA clip; wanted are files like 001/001.json (docs/data.md).")


AFEW_VA = Corpus("afew_va", stills)
