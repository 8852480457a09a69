"""Clips of one's own for test_hostile.py: what people do wrong with a folder of them and its table."""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import hostile
from hostile_media import int16, tone, wav

HEADER = ("file", "label", "speaker")
Rows = list[list[str]]


@dataclass(frozen=True)
class Mistake:
    """What is done, and what the command line says of it.

    Attributes:
        says: Part of the line of the error; of what is told, where the work goes on.
        code: Exit code.
        rows: What becomes of the rows of a good table.
        header: Its columns.
        between: What divides them.
        options: Of the command line.
        then: What is done to the folder afterwards.
    """

    says: str
    code: int = 2
    rows: Callable[[Rows], Rows] = list
    header: Sequence[str] = HEADER
    between: str = ","
    options: Sequence[str] = ()
    then: Callable[[Path], None] = lambda folder: None


def own_clip(number: int) -> str:
    return f"my takes/müde {number}.wav"


def sound(seconds: float, hz: float = 200.0, loudness: float = 1.0) -> bytes:
    return wav(int16(tone(seconds, hz=hz) * loudness))


def make(folder: Path, mistake: Mistake) -> Path:
    """Eight sounds of four speakers and two classes, and what is wrong with them."""
    rows = [[own_clip(place), ["joy", "rage"][place // 4], f"s{place % 4}"] for place in range(8)]
    (folder / "my takes").mkdir(parents=True)
    for place in range(8):
        (folder / own_clip(place)).write_bytes(sound(1.0, 200 + 20 * place))
    lines = [mistake.between.join(row) for row in [mistake.header, *mistake.rows(rows)]]
    (folder / "labels.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    mistake.then(folder)
    return folder


def with_column(values: Callable[[int], str]) -> Callable[[Rows], Rows]:
    return lambda rows: [[*row, values(place)] for place, row in enumerate(rows)]


def changed(column: int, values: Callable[[int], str]) -> Callable[[Rows], Rows]:
    return lambda rows: [[*row[:column], values(place), *row[column + 1 :]] for place, row in enumerate(rows)]


def at(number: int, damage: hostile.Damage) -> Callable[[Path], None]:
    return lambda folder: damage(folder / own_clip(number))


def saved_as(name: str, encoding: str = "utf-8") -> Callable[[Path], None]:
    def then(folder: Path) -> None:
        text = (folder / "labels.csv").read_text(encoding="utf-8")
        (folder / "labels.csv").unlink()
        (folder / name).write_text(text, encoding=encoding)

    return then


def emptied(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.mkdir()


def flat(folder: Path) -> None:
    for path in sorted((folder / "my takes").iterdir()):
        path.rename(folder / path.name)
    (folder / "labels.csv").unlink()


REFUSED = {
    "columns of another language": Mistake("no column file (or video, audio) among", header=("Datei", "Art", "Wer")),
    "a column in capitals": Mistake("'File' may be what is called 'file'", header=("File", "Label", "Speaker")),
    "no label": Mistake("--label NAME", header=("file", "one", "two")),
    "a speaker in two splits": Mistake(
        "'s0' is in split train (my takes/müde 0) and split test",
        rows=with_column(lambda n: "train" if n < 4 else "test"),
        header=(*HEADER, "split"),
    ),
    "a speaker in two folds": Mistake(
        "correct the column fold, or leave it out", rows=with_column(lambda n: str(n % 3)), header=(*HEADER, "fold")
    ),
    "a split that is none": Mistake(
        "line 2: split 'tarin' is none of train, val, test",
        rows=with_column(lambda n: "tarin"),
        header=(*HEADER, "split"),
    ),
    "a split for some": Mistake(
        "give it to all or none", rows=with_column(lambda n: "train" if n else ""), header=(*HEADER, "split")
    ),
    "no test": Mistake("no clip is of the split test", rows=with_column(lambda n: "train"), header=(*HEADER, "split")),
    "one class": Mistake("every label is 'joy', and one class cannot be learned", rows=changed(1, lambda n: "joy")),
    "one speaker": Mistake("all 8 clips are of one speaker, 's'", rows=changed(2, lambda n: "s")),
    "no label at all": Mistake("none of 8 clips can be used", rows=changed(1, lambda n: "")),
    "a file twice, labelled differently": Mistake("line 10: ", rows=lambda rows: [*rows, [own_clip(0), "rage", "s0"]]),
    "one recording of two speakers": Mistake(
        "are the same recording, but of s0 and of s1", then=lambda folder: _copied(folder, 0, 5)
    ),
    "decimal commas": Mistake(
        "line 2: valence '0,5' has a decimal comma",
        rows=with_column(lambda n: "0,5"),
        header=(*HEADER, "valence"),
        between=";",
    ),
    "words for numbers": Mistake(
        "line 2: valence 'high' is no number", rows=with_column(lambda n: "high"), header=(*HEADER, "valence")
    ),
    "numbers for words": Mistake("--values label learns them", rows=changed(1, lambda n: f"{n}.5")),
    "a spreadsheet": Mistake("save it as CSV (UTF-8)", then=saved_as("labels.xlsx")),
    "a spreadsheet that is named": Mistake(
        "labels.xlsx: a spreadsheet is not read", then=saved_as("labels.xlsx"), options=("--labels", "labels.xlsx")
    ),
    "Latin-1": Mistake("line 2: not UTF-8", then=saved_as("labels.csv", "latin-1")),
    "UTF-16": Mistake("line 1: not UTF-8", then=saved_as("labels.csv", "utf-16")),
    "two tables": Mistake("name the one that counts with --labels", then=lambda folder: _second_table(folder)),
    "a row too wide": Mistake("4 values for 3 columns", rows=lambda rows: [[*rows[0], "old"], *rows[1:]]),
    "a header alone": Mistake("no row below the header", rows=lambda rows: []),
    "a clip that is not there": Mistake(
        "--max_missing 1; all are in", rows=lambda rows: [*rows, ["my takes/gone.wav", "joy", "s0"]]
    ),
    "no clip that is there": Mistake("8 of 8 rows have no file", rows=changed(0, lambda n: f"elsewhere {n}.wav")),
    "a name that leaves the folder": Mistake(
        "does not stay in the folder", rows=changed(0, lambda n: f"../../{n}.wav")
    ),
    "an empty folder": Mistake("no video, sound or picture in it", then=emptied),
    "no folder": Mistake("no such folder", then=shutil.rmtree),
    "no table and no folders": Mistake("no folder whose name could be a label, among 8 files", then=flat),
    "no table and one folder": Mistake(
        "one folder ('my takes') whose name could be a label", then=lambda folder: (folder / "labels.csv").unlink()
    ),
    "more folds than speakers": Mistake("the largest number of folds that works is 4", options=("--folds", "9")),
    "one fold": Mistake("--folds 1: at least 2", options=("--folds", "1")),
    "folds below zero": Mistake("--folds -3: at least 2", options=("--folds=-3",)),
    "folds in words": Mistake("--folds: expected a whole number", options=("--folds", "five")),
    "folds that are there": Mistake(
        "every clip has its fold already",
        rows=with_column(lambda n: str(n % 4)),
        header=(*HEADER, "fold"),
        options=("--folds", "3"),
    ),
    "folds of a file that is not there": Mistake("--splits none.csv: no such file", options=("--splits", "none.csv")),
    "a window of nothing": Mistake("--window 0.0: give seconds", options=("--window", "0")),
    "a class left out": Mistake("--classes joy: ", options=("--classes", "joy")),
    "a column that is not there": Mistake("--label emotion: no such column", options=("--label", "emotion")),
    "a recipe of other clips": Mistake(
        "face is made of picture, which no clip of", options=("--recipe", "static_emotion")
    ),
    "a sheet of sounds": Mistake("--preview: no pictures are kept", options=("--preview", "sheet.png")),
    "an end before the start": Mistake(
        "line 2: it ends at 1 s and starts at 2 s",
        rows=lambda rows: [[*row, "2", "1"] for row in rows],
        header=(*HEADER, "start", "end"),
    ),
}

SKIPPED = {
    "no sound inside": at(3, hostile.content(b"nonsense")),
    "nothing inside": at(3, hostile.content(b"")),
    "half a file": at(3, hostile.cut(0.5)),
    "eleven minutes": at(3, hostile.content(sound(601.0))),
}
ABSENT = {"silent": at(3, hostile.content(sound(1.0, loudness=0.0)))}

TOLD = {
    "a class once": Mistake(
        "too rare for 4 parts: fear (1 clip of 1 speaker), joy (3 clips of 3 speakers)",
        rows=changed(1, lambda n: "fear" if n == 0 else ["joy", "rage"][n // 4]),
    ),
    "rows twice": Mistake("2 rows of labels.csv that come twice left aside", rows=lambda rows: [*rows, *rows[:2]]),
    "no speaker": Mistake("no column speaker", rows=lambda rows: [row[:2] for row in rows], header=HEADER[:2]),
    "a speaker of another name": Mistake(
        "Subject is kept as metadata; if it is the speaker of a clip, call the column speaker",
        header=("file", "label", "Subject"),
    ),
    "no speaker for some": Mistake(
        "2 clips without a speaker", rows=changed(2, lambda n: "" if n < 2 else f"s{n % 4}")
    ),
    "labels that are empty": Mistake("3 left out: no label", rows=changed(1, lambda n: "" if n < 3 else "ab"[n % 2])),
    "a row too few": Mistake("1 files without a row, left out (my takes/müde 0.wav)", rows=lambda rows: rows[1:]),
    "semicolons": Mistake("8 clips used", between=";"),
    "row numbers": Mistake(
        "8 clips used", rows=lambda rows: [[str(n), *row] for n, row in enumerate(rows)], header=("", *HEADER)
    ),
    "row numbers, saved again": Mistake(
        "8 clips used",
        rows=lambda rows: [[str(n), *row] for n, row in enumerate(rows)],
        header=("Unnamed: 0", *HEADER),
    ),
    "a byte order mark": Mistake("8 clips used", then=saved_as("labels.csv", "utf-8-sig")),
    "backslashes": Mistake("8 clips used", rows=changed(0, lambda n: own_clip(n).replace("/", "\\"))),
    "no endings": Mistake("8 clips used", rows=changed(0, lambda n: own_clip(n).removesuffix(".wav"))),
    "a third of a second": Mistake("8 padded", then=at(3, hostile.content(sound(0.3)))),
    "eleven minutes in windows": Mistake(
        "18 clips used", then=at(3, hostile.content(sound(601.0))), options=("--window", "60")
    ),
}


def _copied(folder: Path, one: int, other: int) -> None:
    shutil.copy(folder / own_clip(one), folder / own_clip(other))


def _second_table(folder: Path) -> None:
    for name in ("raters.csv", "people.csv"):
        shutil.copy(folder / "labels.csv", folder / name)
    (folder / "labels.csv").unlink()
