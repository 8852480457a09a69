"""Stand-in for EmpatheticDialogues in its official format: invented conversations about the 32 emotions.

Every emotion has words of its own, and a share of the prompts borrows those of another emotion, so that nothing reads
them all right. Files: ``train.csv``, ``valid.csv``, ``test.csv``, ``tokenizer/`` and ``SYNTHETIC``. A conversation
depends on the seed and its number alone. ``--form prompts`` writes tables of prompts instead.
"""

import argparse
import csv
import io
from collections.abc import Iterator
from dataclasses import replace
from functools import partial

from datamodules.catalogues.empathetic.files import HEADER
from datamodules.reading.emotion_labels import EMOTIONS
from datamodules.standins._dialogue_texts import LISTENING, OPENINGS, TOPICS, tokenizer
from datamodules.standins._drawing.draws import rng_of
from datamodules.standins._stand_in import Part, StandIn, table

VERSION = 1  # raise it when the bytes change
CONVERSATIONS, LEAST, MOST = 960, 96, 99_999
SPLITS = ("train", "train", "train", "valid", "test")  # of one block of 32 conversations after the other
BORROWED = 0.2  # share of prompts with the words of another emotion
WORDS = 4  # of an emotion
_SYLLABLES = ("ba", "do", "ki", "lu", "me", "no", "pa", "ri", "so", "tu", "va", "ze")


def words_of(emotion: str) -> list[str]:
    """Return the invented words of an emotion, the same for every seed."""
    rng = rng_of("empathetic words", VERSION, emotion)
    return ["".join(_SYLLABLES[i] for i in rng.integers(len(_SYLLABLES), size=3)) for _ in range(WORDS)]


def conversation(number: int, seed: int) -> tuple[str, str, list[str]]:
    """Return emotion, prompt and utterances of a conversation, the speaker's first."""
    rng = rng_of("empathetic", VERSION, seed, number)
    emotion = EMOTIONS[number % len(EMOTIONS)]
    shown_emotion = EMOTIONS[int(rng.integers(len(EMOTIONS)))] if rng.random() < BORROWED else emotion
    words = words_of(shown_emotion)

    def say() -> str:
        return " ".join(words[i] for i in rng.permutation(WORDS)[: WORDS - 1])

    things = [thing for of in TOPICS.values() for thing in of]
    opening = OPENINGS[int(rng.integers(len(OPENINGS)))].format(things[int(rng.integers(len(things)))])
    prompt = f"{say()}, {say()} {number}"
    return emotion, prompt, [f"{opening} {say()}!", LISTENING[int(rng.integers(len(LISTENING)))], f"Well, {say()}."]


def _parts(clips: int, seed: int, official: bool = True) -> Iterator[Part]:
    texts: list[str] = []
    lines: dict[str, list[str]] = {name: [] for name in SPLITS}
    for number in range(clips):
        # At least one block for each split, however few there are.
        split = SPLITS[(len(SPLITS) - 1 - number // len(EMOTIONS)) % len(SPLITS)]
        emotion, prompt, turns = conversation(number, seed)
        texts += [prompt, *turns]
        lines[split] += _official(number, split, emotion, prompt, turns) if official else _row(prompt, emotion)
    header = HEADER if official else "prompt,context"
    yield from (Part((f"{name}.csv",), table(header, own)) for name, own in lines.items())
    yield tokenizer(texts)


def _official(number: int, split: str, emotion: str, prompt: str, turns: list[str]) -> list[str]:
    # Every fifth test line has a field of retrieval candidates, and some ratings hold text, as in the real files.
    rating = "5|5|5_I have clicked the button|4|5" if number % 7 == 0 else "5|5|5_4|4|5"
    people = (f"{split}{number % 40}", f"{split}{40 + number % 40}")
    candidates = ",17|4" * (split == "test" and number % 5 == 0)
    rows = []
    for i, text in enumerate(turns):
        fields = [f"hit:{number}_conv:{2 * number}", f"{i + 1}", emotion, prompt, people[i % 2], text, rating, ""]
        rows.append(",".join(field.replace(",", "_comma_") for field in fields) + candidates)
    return rows


def _row(prompt: str, emotion: str) -> list[str]:
    text = io.StringIO()
    csv.writer(text, lineterminator="").writerow([prompt, emotion])
    return [text.getvalue()]


CORPUS = StandIn(
    "empathetic", VERSION, "conversations", (CONVERSATIONS, LEAST, MOST), _parts,
    f"Invented conversations: {CONVERSATIONS}, or --clips of them.",
)  # fmt: skip


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the form of the files."""
    parser.add_argument("--form", choices=["official", "prompts"], default="official", help="(default: official)")
    CORPUS.add_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Write the corpus in its form; errors are those of `StandIn.run`."""
    plan = partial(_parts, official=args.form == "official")
    return replace(CORPUS, plan=plan, more=f", {args.form}").run(args)
