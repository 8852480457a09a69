"""CREMA-D (Cao et al., IEEE TAFFC 2014, https://doi.org/10.1109/TAFFC.2014.2336244): 91 actors say twelve sentences.

https://github.com/CheyneyComputerScience/CREMA-D, Open Database License. ``VideoFlash/1001_IEO_ANG_HI.flv``, and the
same as ``AudioWAV/*.wav`` and ``AudioMP3/*.mp3``: actor, sentence, emotion, level (LO, MD, HI, XX for none);
``processedResults/summaryTable.csv`` has what most of about ten raters heard or saw in each. There is no official
split: actors are dealt into five folds in the order of their numbers. Not tested on the real files.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from datamodules.entries import Catalogue, Entry, Media, Scan, Series
from datamodules.errors import DataError
from datamodules.reading.files import SOUNDS, VIDEOS, files_in, place_in
from datamodules.reading.matches import one_of_each, print_copies, print_unmatched
from datamodules.reading.named_clips import NamedClips
from datamodules.reading.recordings import check_recordings
from datamodules.reading.tables import Table, settle

EMOTIONS = {"ANG": "anger", "DIS": "disgust", "FEA": "fear", "HAP": "happy", "NEU": "neutral", "SAD": "sad"}
SENTENCES = ("DFA", "IEO", "IOM", "ITH", "ITS", "IWL", "IWW", "MTI", "TAI", "TIE", "TSI", "WSI")
# One real clip, 1040_ITH_SAD_X, has half a level.
_NAME = re.compile(rf"1\d{{3}}_({'|'.join(SENTENCES)})_({'|'.join(EMOTIONS)})_(LO|MD|HI|XX?)", re.ASCII)
VOTES = {"voice": "VoiceVote", "face": "FaceVote", "both": "MultiModalVote"}
FOLDS = 5
FORMS = {"films": VIDEOS, "sounds": (".wav", ".flac"), "compressed sounds": SOUNDS}


@dataclass(frozen=True)
class CREMAD(Catalogue):
    """A folder of CREMA-D clips, at any depth; films go before sounds, WAV before MP3.

    Attributes:
        label: The emotion that the actor was asked for, or what most raters found in the voice, in the face, or in
            both; those that were named alike often have equal shares.
    """

    name: ClassVar[str] = "crema_d"
    recipe: ClassVar[str] = "cfnsr"
    classes: ClassVar[tuple[str, ...]] = tuple(EMOTIONS.values())
    columns: ClassVar[tuple[str, ...]] = ("fold", "sentence", "level")

    label: Literal["intended", "voice", "face", "both"] = "intended"

    def scan(self, source: Path) -> Scan:
        """List the clips by their names, sorted by id.

        Raises:
            DataError: There is no clip, one recording is said to be of two actors or emotions, or the table of votes
                is missing or wrong.
        """
        files = files_in(source, (*SOUNDS, *VIDEOS))
        named = NamedClips(source, "audio")
        clips: dict[str, dict[str, Path]] = {form: {} for form in FORMS}
        for path in files:
            form = next(form for form, kinds in FORMS.items() if path.suffix.lower() in kinds)
            if _NAME.fullmatch(path.stem):
                named.add(clips[form], path.stem, path)
            else:
                named.refuse(path, "not named like a CREMA-D clip")
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
            named.ignored[form] += len(set(found.values()) - set(taken.values()))
        votes = None if self.label == "intended" else read_votes(source, VOTES[self.label])
        actors = sorted({id.partition("_")[0] for id in taken})
        folds = {actor: place % FOLDS for place, actor in enumerate(actors)}
        entries = [_entry(id, path, source, folds, votes) for id, path in sorted(taken.items())]
        check_recordings(((taken[one.id], f"actor {one.group}", one.label) for one in entries), source)
        classes = list(self.classes)
        folded = {"source": "made", "count": min(FOLDS, len(actors)), "seed": None}
        facts: dict[str, Any] = {"classes": classes, "folds": folded}
        if votes is not None:
            facts["tasks"] = {"emotion": {"kind": "soft", "classes": classes}}
        columns = () if votes is None else tuple(f"soft_{name}" for name in self.classes)
        return Scan(named.sorted_with(entries), +named.ignored, facts, columns)


def _entry(
    id: str, path: Path, source: Path, folds: dict[str, int], votes: dict[str, tuple[float, ...]] | None
) -> Entry:
    actor, sentence, emotion, level = id.split("_")
    media = {"audio": Media(path)} | ({"video": Media(path)} if path.suffix.lower() in VIDEOS else {})
    columns = {"fold": str(folds[actor]), "sentence": sentence, "level": level}
    labels: dict[str, int | Series] = {"emotion": list(EMOTIONS).index(emotion)}
    problem = ""
    if votes is not None:
        shares = votes.get(f"{id}X" if level == "X" else id, ())
        problem = "" if shares else "no row in the table of votes"
        labels = {"emotion": Series(np.array([shares], np.float32))} if shares else {}
        columns |= {f"soft_{name}": repr(share) for name, share in zip(EMOTIONS.values(), shares, strict=False)}
    return Entry(id, actor, place_in(source, path), media, labels=labels, columns=columns, problem=problem)


def read_votes(source: Path, column: str) -> dict[str, tuple[float, ...]]:
    """Return the shares of the classes by clip: of those that most raters named, as ``A`` or, named alike, ``A:D``.

    Raises:
        DataError: There is no such table, or it has something else.
    """
    path = one_of_each(path for path in files_in(source, (".csv",)) if path.stem == "summaryTable").get("summaryTable")
    if path is None:
        raise DataError(f"--source {source}: no summaryTable.csv in it; docs/data.md shows the layout")
    letters, found = [code[0] for code in EMOTIONS], []
    for row in Table(path, ("FileName", column)):
        named = row[column].split(":")
        if not set(named) <= set(letters):
            raise DataError(f"{row.where}: {column} is {row[column]!r}, not letters of {':'.join(letters)}; correct it")
        found.append((row["FileName"], tuple((letter in named) / len(named) for letter in letters), row.place))
    votes, copies = settle(found)
    print_copies(path, copies)
    return votes
