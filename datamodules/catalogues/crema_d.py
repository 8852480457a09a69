"""CREMA-D (Cao et al., IEEE TAFFC 2014, https://doi.org/10.1109/TAFFC.2014.2336244): 91 actors say twelve sentences.

https://github.com/CheyneyComputerScience/CREMA-D, Open Database License. ``VideoFlash/1001_IEO_ANG_HI.flv``, and the
same as ``AudioWAV/*.wav`` and ``AudioMP3/*.mp3``: actor, sentence, emotion, level (LO, MD, HI, XX for none). There is
no official split. Not tested on the real files.
"""

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from datamodules.entries import Catalogue, Entry, Media, Scan
from datamodules.errors import DataError
from datamodules.reading.files import SOUNDS, VIDEOS, files_in, plain
from datamodules.reading.matches import print_unmatched
from datamodules.reading.recordings import check_recordings, fault_of_second

EMOTIONS = {"ANG": "anger", "DIS": "disgust", "FEA": "fear", "HAP": "happy", "NEU": "neutral", "SAD": "sad"}
SENTENCES = ("DFA", "IEO", "IOM", "ITH", "ITS", "IWL", "IWW", "MTI", "TAI", "TIE", "TSI", "WSI")
# One real clip, 1040_ITH_SAD_X, has half a level.
_NAME = re.compile(rf"1\d{{3}}_({'|'.join(SENTENCES)})_({'|'.join(EMOTIONS)})_(LO|MD|HI|XX?)", re.ASCII)
FORMS = {"films": VIDEOS, "sounds": (".wav", ".flac"), "compressed sounds": SOUNDS}


@dataclass(frozen=True)
class CREMAD(Catalogue):
    """A folder of CREMA-D clips, at any depth; films go before sounds, WAV before MP3."""

    name: ClassVar[str] = "crema_d"
    recipe: ClassVar[str] = "short_clips"
    classes: ClassVar[tuple[str, ...]] = tuple(EMOTIONS.values())
    columns: ClassVar[tuple[str, ...]] = ("sentence", "level")

    def scan(self, source: Path) -> Scan:
        """List the clips by their names, sorted by id.

        Raises:
            DataError: There is no clip, or one recording is said to be of two actors or emotions.
        """
        files = files_in(source, (*SOUNDS, *VIDEOS))
        ignored = Counter[str]()
        clips: dict[str, dict[str, Path]] = {form: {} for form in FORMS}
        bad: list[Entry] = []
        for path in files:
            place, reason = plain(path.relative_to(source).as_posix()), ""
            found = clips[next(form for form, kinds in FORMS.items() if path.suffix.lower() in kinds)]
            if not _NAME.fullmatch(path.stem):
                reason = "not named like a CREMA-D clip"
            elif known := found.get(path.stem):
                reason = fault_of_second(known, path, source, ignored)
            else:
                found[path.stem] = path
            if reason:
                bad.append(Entry(place, name=place, media={"audio": Media(path)}, problem=reason))
        films, sounds, compressed = clips.values()
        taken = films or {**compressed, **sounds}
        if not taken:
            raise DataError(
                f"--source {source}: no CREMA-D clip among {len(files)} media files; wanted are names like\n"
                "VideoFlash/1001_IEO_ANG_HI.flv or AudioWAV/1001_IEO_ANG_HI.wav (docs/data.md)."
            )
        if films:
            print_unmatched(str(source), {*films, *sounds, *compressed}, films, "film", "clip")
        for form, found in clips.items():
            ignored[form] += len(set(found.values()) - set(taken.values()))
        entries = [_entry(id, path, source) for id, path in sorted(taken.items())]
        check_recordings(((taken[one.id], f"actor {one.group}", one.label) for one in entries), source)
        return Scan(sorted([*entries, *bad], key=lambda entry: entry.id), +ignored)


def _entry(id: str, path: Path, source: Path) -> Entry:
    actor, sentence, emotion, level = id.split("_")
    media = {"audio": Media(path)} | ({"video": Media(path)} if path.suffix.lower() in VIDEOS else {})
    labels, columns = {"emotion": list(EMOTIONS).index(emotion)}, {"sentence": sentence, "level": level}
    return Entry(id, actor, plain(path.relative_to(source).as_posix()), media, labels=labels, columns=columns)
