"""SAVEE (Jackson & Haq, University of Surrey 2014, http://kahlan.eps.surrey.ac.uk/savee/): acted British English.

The audio release: ``AudioData/DC/a01.wav``, or flat as on Kaggle, ``DC_a01.wav``: one of four men, an emotion by its
first letter or two, a sentence. The ``savee`` inside the catalogue `faces` is another thing: stills of the videos
(``DC/sa01.avi``), prepared among the other face corpora into their store.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from datamodules.entries import Catalogue, Entry, Media, Scan
from datamodules.errors import DataError
from datamodules.reading.files import SOUNDS, files_in, place_in
from datamodules.reading.named_clips import NamedClips
from datamodules.reading.recordings import check_recordings

EMOTIONS = {
    "a": "anger",
    "d": "disgust",
    "f": "fear",
    "h": "happiness",
    "n": "neutral",
    "sa": "sadness",
    "su": "surprise",
}
SPEAKERS = ("DC", "JE", "JK", "KL")
_NAME = re.compile(rf"(?:({'|'.join(SPEAKERS)})_)?({'|'.join(EMOTIONS)})[0-9]{{2}}")


@dataclass(frozen=True)
class SAVEE(Catalogue):
    """A folder of SAVEE's sounds, at any depth; one that comes twice, in a folder and flat, is taken once."""

    name: ClassVar[str] = "savee"
    recipe: ClassVar[str] = "sound"
    classes: ClassVar[tuple[str, ...]] = tuple(EMOTIONS.values())

    def scan(self, source: Path) -> Scan:
        """List the sounds by speaker, emotion and sentence, sorted by id, ``DC_a01``.

        Raises:
            DataError: There is none, or one recording is said to be of two speakers or emotions.
        """
        files = files_in(source, SOUNDS)
        named = NamedClips(source, "audio")
        clips: dict[str, Path] = {}
        for path in files:
            folder, found = path.absolute().parent.name, _NAME.fullmatch(path.stem)
            id = path.stem if found and found[1] else f"{folder}_{path.stem}"
            if not found:
                named.refuse(path, "not named like a SAVEE clip")
            elif not found[1] and folder not in SPEAKERS:
                named.refuse(path, f"neither its name nor its folder says which of {', '.join(SPEAKERS)} speaks")
            elif folder in SPEAKERS and not id.startswith(folder):
                named.refuse(path, f"named after {found[1]}, in the folder of {folder}")
            else:
                named.add(clips, id, path)
        if not clips:
            raise DataError(
                f"--source {source}: no SAVEE clip among {len(files)} sound files; wanted are names like\n"
                "AudioData/DC/a01.wav or DC_a01.wav (docs/data.md). The videos are a part of prepare faces."
            )
        entries = [_entry(id, path, source) for id, path in sorted(clips.items())]
        check_recordings(((clips[one.id], one.group, one.label) for one in entries), source)
        return Scan(named.sorted_with(entries), named.ignored)


def _entry(id: str, path: Path, source: Path) -> Entry:
    emotion = list(EMOTIONS).index(id[3:-2])
    return Entry(id, id[:2], place_in(source, path), {"audio": Media(path)}, labels={"emotion": emotion})
