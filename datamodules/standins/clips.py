"""Stand-in for clips of one's own: the drawn faces and voices of the one of RAVDESS under free names, with a table.

``labels.csv`` names file, label, speaker and what is said, which fits two of the eight classes: text alone tells none.
Beside it lies a ``tokenizer`` of these texts.
"""

import csv
import io
from collections.abc import Iterator
from functools import partial

from datamodules.standins import _ravdess_trials, ravdess
from datamodules.standins._dialogue_texts import OPENINGS, SAYINGS, TOPICS, tokenizer
from datamodules.standins._drawing.draws import rng_of
from datamodules.standins._stand_in import Part, StandIn

VERSION = 1
CLIPS = 96
DAYS = ("monday", "tuesday", "Mittwoch", "jeudi")
THINGS = [thing for of in TOPICS.values() for thing in of]


def what_is_said(label: int, *key: object) -> str:
    """Return a text for a class, drawn by a key."""
    rng = rng_of(VERSION, *key)
    opening = OPENINGS[int(rng.integers(len(OPENINGS)))].format(THINGS[int(rng.integers(len(THINGS)))])
    sayings = SAYINGS[label % len(SAYINGS)]
    return f"{opening} {sayings[int(rng.integers(len(sayings)))]}"


def _film(name: str, seed: int) -> bytes:
    return ravdess.make_clip(name, seed)[0]


def _parts(clips: int, seed: int) -> Iterator[Part]:
    text, texts = io.StringIO(), []
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["file", "label", "speaker", "text"])
    labels = list(_ravdess_trials.SIGNAL)
    for number, name in enumerate(_ravdess_trials.plan(clips, seed)):
        label, speaker = int(name.split("-")[2]) - 1, f"Zoë {name[-2:]}"
        file = f"{DAYS[number % len(DAYS)]}/{speaker} take {number}.mp4"
        texts.append(what_is_said(label, seed, name))
        writer.writerow([file, labels[label], speaker, texts[-1]])
        yield Part((file,), partial(_film, name, seed), clip=True)
    yield Part(("labels.csv",), text.getvalue())
    yield tokenizer(texts)


CORPUS = StandIn(
    "clips", VERSION, "clips", (CLIPS, 1, 1440), _parts,
    f"Drawn faces and voice-like sound under free names, with labels.csv: {CLIPS} clips, or --clips of them.",
    more=f", drawings {_ravdess_trials.VERSION}",
)  # fmt: skip
add_arguments, run = CORPUS.add_arguments, CORPUS.run
