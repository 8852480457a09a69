"""MELD (Poria et al., ACL 2019, https://aclanthology.org/P19-1050): utterances out of a television series.

https://github.com/declare-lab/MELD, GPL-3.0: films ``train_splits/dia0_utt0.mp4``, ``dev_splits_complete/``,
``output_repeated_splits_test/``, and ``{train,dev,test}_sent_emo.csv``, a row an utterance: text, speaker, one of seven
emotions and of three sentiments. Dialogues are numbered anew in every split. The official splits divide dialogues, and
the same speakers are in all three: the dialogue is the group. Not tested on the real files.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from datamodules.entries import Catalogue, Entry, Media, Scan
from datamodules.errors import DataError
from datamodules.reading.files import SOUNDS, VIDEOS, files_in, place_in
from datamodules.reading.matches import one_of_each, print_copies, print_unmatched
from datamodules.reading.named_clips import NamedClips
from datamodules.reading.recordings import check_recordings
from datamodules.reading.tables import Place, Row, Table, settle

SPLITS = {"train": "train", "dev": "val", "test": "test"}  # word in the names of folders and tables -> split
CLASSES = {
    "emotion": ("neutral", "surprise", "fear", "sadness", "joy", "disgust", "anger"),
    "sentiment": ("neutral", "positive", "negative"),
}
COLUMNS = ("Utterance", "Speaker", "Emotion", "Sentiment", "Dialogue_ID", "Utterance_ID")
# Some clips of the test were cut once more, under a longer name: those fit their row, the others do not.
AGAIN = "final_videos_test"
_NAME = re.compile(rf"(?:{AGAIN})?(dia\d+_utt\d+)", re.ASCII)
# Quotation marks and dashes where a program took Windows' bytes for those of Unicode, as in the real texts.
_MARKS = {code: bytes([code]).decode("cp1252", "ignore") for code in range(0x80, 0xA0)}


@dataclass(frozen=True)
class MELD(Catalogue):
    """A folder of MELD, at any depth: an entry per utterance, its film (or its sound alone) and its text.

    Attributes:
        label: What the classes are: emotion, or sentiment.
    """

    name: ClassVar[str] = "meld"
    recipe: ClassVar[str] = "emotiw"
    unit: ClassVar[str] = "utterance"
    classes: ClassVar[tuple[str, ...]] = CLASSES["emotion"]
    columns: ClassVar[tuple[str, ...]] = ("split", "emotion", "sentiment", "meta_speaker")

    label: Literal["emotion", "sentiment"] = "emotion"

    def scan(self, source: Path) -> Scan:
        """List the utterances in the order of the tables, then the files that are none, and print what lacks what.

        Raises:
            DataError: A table is missing or not as expected, there is no file, or one recording is in two splits.
        """
        files, named = files_in(source, (*VIDEOS, *SOUNDS)), NamedClips(source, "audio")
        clips = _clips(files, named)
        if not clips:
            raise DataError(
                f"--source {source}: no MELD clip among {len(files)} media files; wanted are names like\n"
                "train_splits/dia0_utt0.mp4 (docs/data.md)."
            )
        tables = one_of_each(path for path in files_in(source, (".csv",)) if path.stem.endswith("_sent_emo"))
        entries: list[Entry] = []
        for word in SPLITS:
            if not (table := tables.get(f"{word}_sent_emo")):
                raise DataError(f"--source {source}: no {word}_sent_emo.csv in it; docs/data.md shows the layout")
            rows, copies = settle(_rows(table, word))
            print_copies(table, copies)
            print_unmatched(word, rows, {id for id in clips if id.startswith(f"{word}_")}, "clip", "row")
            entries += [self._entry(id, row, clips[id], source) for id, row in rows.items() if id in clips]
        # Utterances that share their times are cut out alike, whoever speaks: only two splits must not hold the same.
        check_recordings(((clips[one.id], one.split, None) for one in entries), source)
        facts = {"classes": list(CLASSES[self.label]), "metadata": ["speaker"]}
        return Scan([*entries, *named.refused], +named.ignored, facts)

    def _entry(self, id: str, row: dict[str, str], path: Path, source: Path) -> Entry:
        word, dialogue, _ = id.split("_")
        film = path.suffix.lower() in VIDEOS
        media = {"audio": Media(path)} | ({"video": Media(path)} if film else {})
        texts, columns = (
            {"prompt": row["text"]},
            {"meta_speaker": row["speaker"], **{name: row[name] for name in CLASSES}},
        )
        labels: dict[str, int] = {self.label: CLASSES[self.label].index(row[self.label])}
        return Entry(id, f"{word}_{dialogue}", place_in(source, path), media, texts, labels, SPLITS[word], columns)


def _clips(files: list[Path], named: NamedClips) -> dict[str, Path]:
    """Return a file for each ``train_dia0_utt0``: films go before sounds, what was cut again before what was not."""
    clips: dict[str, Path] = {}
    for path in sorted(files, key=lambda path: (path.suffix.lower() in SOUNDS, not path.stem.startswith(AGAIN), path)):
        parts = path.relative_to(named.source).parts[:-1]
        folders = (word for part in reversed(parts) for word in SPLITS if word in part.lower())
        found, word = _NAME.fullmatch(path.stem), next(folders, "")
        if found and word:
            known = clips.setdefault(f"{word}_{found[1]}", path)
            named.ignored["further files of an utterance"] += known is not path
        else:
            named.refuse(path, "in no folder of train, dev or test" if found else "not named like a MELD clip")
    return clips


def _rows(path: Path, word: str) -> Iterator[tuple[str, dict[str, str], Place]]:
    """Yield id, content and place of the rows of a table.

    Raises:
        DataError: One has no number of its dialogue or utterance, or a label that is none of the classes.
    """
    for row in Table(path, COLUMNS):
        id = f"{word}_dia{_number(row, 'Dialogue_ID')}_utt{_number(row, 'Utterance_ID')}"
        content = {"text": row["Utterance"].translate(_MARKS), "speaker": row["Speaker"].translate(_MARKS)}
        yield id, content | {name: _class(row, name) for name in CLASSES}, row.place


def _number(row: Row, column: str) -> str:
    if not (row[column].isascii() and row[column].isdecimal()):
        raise DataError(f"{row.where}: {column} is {row[column]!r}, not a number from 0; correct it")
    return row[column]


def _class(row: Row, name: str) -> str:
    found = row[name.capitalize()].lower()
    if found not in CLASSES[name]:
        raise DataError(f"{row.where}: {found!r} is none of {', '.join(CLASSES[name])}; correct it")
    return found
