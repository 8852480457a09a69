"""RAVDESS (Livingstone & Russo, PLOS ONE 2018, https://doi.org/10.1371/journal.pone.0196391): acted speech.

``Actor_01/01-01-03-01-01-01-01.mp4``: modality (01 audio and video, 02 video, 03 audio), channel (01 speech, 02 song),
emotion, intensity, sentence, repetition, actor. Clips with video are used; where there are none, those with only sound.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from datamodules.entries import Catalogue, Entry, Media, Scan
from datamodules.errors import DataError
from datamodules.reading.files import SOUNDS, VIDEOS, files_in, place_in
from datamodules.reading.named_clips import NamedClips
from datamodules.reading.recordings import check_recordings

EMOTIONS = ("neutral", "calm", "happy", "sad", "angry", "fearful", "disgust", "surprised")
_NAME = re.compile(r"0[123]-0[12]-0[1-8]-0[12]-0[12]-0[12]-(0[1-9]|1\d|2[0-4])")
_SUFFIXES = {"01": (".mp4",), "03": (".wav", ".flac")}


@dataclass(frozen=True)
class RAVDESS(Catalogue):
    """A folder of RAVDESS clips, at any depth; a clip that comes twice, as in Kaggle's, is taken once."""

    name: ClassVar[str] = "ravdess"
    recipe: ClassVar[str] = "cfnsr"
    classes: ClassVar[tuple[str, ...]] = EMOTIONS

    @classmethod
    def listed(cls, id: str) -> str:
        """Return the trial: the names of its clips with and without video or sound differ before it."""
        return id[3:]

    def scan(self, source: Path) -> Scan:
        """List the clips by their names, sorted by id.

        Raises:
            DataError: There is no clip, or one recording is labelled with two actors or emotions.
        """
        files = files_in(source, (*SOUNDS, *VIDEOS))
        named = NamedClips(source, "video")
        clips: dict[str, dict[str, Path]] = {"01": {}, "03": {}}
        for path in files:
            stem, suffix = path.stem, path.suffix.lower()
            modality, channel = stem[:2], stem[3:5]
            if not _NAME.fullmatch(stem):
                named.refuse(path, "not named like a RAVDESS clip")
            elif channel == "02" or modality == "02":
                named.ignored["songs" if channel == "02" else "video-only clips"] += 1
            elif suffix not in _SUFFIXES[modality]:
                named.refuse(path, f"modality {modality} in a {suffix} file")
            else:
                named.add(clips[modality], stem, path)
        chosen = clips["01"] or clips["03"]
        if not chosen:
            raise DataError(
                f"--source {source}: no RAVDESS clip among {len(files)} media files; wanted are names like\n"
                "Actor_01/01-01-03-01-01-01-01.mp4, or 03-... .wav for audio alone (docs/data.md)."
            )
        if clips["01"]:
            named.ignored["audio-only clips"] += len(clips["03"])
        entries = [_entry(id, path, source) for id, path in sorted(chosen.items())]
        check_recordings(((chosen[one.id], f"actor {one.group}", one.label) for one in entries), source)
        return Scan(named.sorted_with(entries), +named.ignored)


def _entry(id: str, path: Path, source: Path) -> Entry:
    media = {"audio": Media(path)} | ({"video": Media(path)} if id.startswith("01") else {})
    return Entry(id, id[-2:], place_in(source, path), media, labels={"emotion": int(id[6:8]) - 1})
