"""Small raw folders of every catalogue: its stand-in, or clips of RAVDESS' under the names that the corpus has."""

import csv
import shutil
from pathlib import Path

from test_catalogue_meld import FOLDERS, HEADER
from test_catalogue_savee import LETTERS, sound

import cli
from datamodules.reading.stand_in import STAND_IN

COUNTS = {"daisee": 9, "noxi": 6, "vgaf": 27, "empathetic": 160, "avamerg": 35, "faces": 120, "ravdess": 24}


def make(corpus: str, folder: Path, other) -> Path:
    """Makes the source of a corpus; ``other`` returns that of another one."""
    if corpus in COUNTS:
        command = ["synth", corpus, "--out", str(folder), "--clips", str(COUNTS[corpus]), "--workers", "1"]
        assert cli.main(command) == 0
        return folder
    folder.mkdir(parents=True)
    (folder / STAND_IN).write_text(corpus)
    if corpus != "savee":
        shutil.copytree(other("empathetic") / "tokenizer", folder / "tokenizer")
    MAKERS[corpus](folder, sorted(other("ravdess").rglob("*.mp4")))
    return folder


def own_clips(folder: Path, films: list[Path]) -> None:
    """Six people of two clips each, with what they say and where they are."""
    rows = [["file", "label", "speaker", "text", "place"]]
    for number, film in enumerate(films[:12]):
        name = f"day {number % 2}/take {number:02d}.mp4"
        (folder / name).parent.mkdir(exist_ok=True)
        shutil.copy(film, folder / name)
        rows.append(
            [name, ["good", "bad"][number % 2], f"p{number // 2}", "so it is", ["home", "work"][number % 3 > 0]]
        )
    with (folder / "labels.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)


def crema_d(folder: Path, films: list[Path]) -> None:
    for number, film in enumerate(films[:12]):
        emotion = ("ANG", "SAD")[number % 2]
        shutil.copy(film, folder / f"{1001 + number // 2}_{('IEO', 'TSI')[number % 2]}_{emotion}_XX.mp4")


def meld(folder: Path, films: list[Path]) -> None:
    for word, place in FOLDERS.items():
        (folder / place).mkdir()
        rows = [HEADER]
        for number in range(6):
            name = f"dia{number // 2}_utt{number % 2}"
            shutil.copy(films.pop(), folder / place / f"{name}.mp4")
            emotion = "neutral,neutral" if number % 2 else "joy,positive"
            times = '1,1,"00:00:01,000","00:00:02,000"'
            rows.append(f"{number},so it is,Ann,{emotion},{number // 2},{number % 2},{times}")
        (folder / f"{word}_sent_emo.csv").write_text("\n".join(rows) + "\n")


def savee(folder: Path, films: list[Path]) -> None:
    for speaker in ("DC", "JE", "JK", "KL"):
        for letters in list(LETTERS)[:2]:
            sound(folder / f"AudioData/{speaker}/{letters}01.wav")


MAKERS = {"clips": own_clips, "crema_d": crema_d, "meld": meld, "savee": savee}
