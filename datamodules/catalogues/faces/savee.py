"""SAVEE (Jackson & Haq 2014): ``<speaker>/<emotion><number>.avi``, four speakers."""

import re
from collections import Counter
from collections.abc import Iterator

from datamodules.catalogues.faces.corpus import Corpus, Files, category, frame_times
from datamodules.entries import Entry
from datamodules.errors import DataError, MediaError
from datamodules.reading.files import VIDEOS

EMOTIONS = {
    "a": "anger",
    "d": "disgust",
    "f": "fear",
    "h": "happy",
    "n": "neutral",
    "sa": "sad",
    "su": "surprise",
}


def stills(files: Files, ignored: Counter[str]) -> Iterator[Entry]:
    """Yield every 20th frame."""
    found = False
    for path in files:
        if path.suffix.lower() not in VIDEOS:
            continue
        files.named.add(path)
        match = re.fullmatch(r"(a|d|f|h|n|sa|su)\d+", path.stem)
        if match is None:
            ignored["savee videos not named like a clip"] += 1
            continue
        found = True
        speaker, label = path.parent.name, category(match[1], EMOTIONS, str(path))
        clip = f"{speaker}/{path.stem}"
        try:
            times = frame_times(path, every=20)
        except MediaError as error:
            yield files.still(clip, path, category=label, subject=speaker, problem=error.reason)
            continue
        for time in times:
            name = f"{clip}/{time:07.2f}"
            yield files.still(name, path, category=label, subject=speaker, time=time, search=True)
    if not found:
        raise DataError(f"{files.folder}: no SAVEE clip; wanted are names like DC/sa01.avi (docs/data.md).")


SAVEE = Corpus("savee", stills, shares=(0.5, 0.25, 0.25))
