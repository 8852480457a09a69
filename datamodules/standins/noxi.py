"""Stand-in for NoXi in its own raw format: drawn conversations, engagement that changes over time.

Files: ``{train,dev,test}/<session>/{Expert,Novice}_video.mp4`` (128 x 128, 10 frames per second, 24 s, no sound),
``annotation_{expert,novice}.txt`` beside them (25 rows per second of five shares: soft in train, hard elsewhere),
``boxes.csv`` (which ``prepare`` finds) and ``SYNTHETIC``. What tells the classes apart is in
`datamodules.standins._engagement`.
"""

import numpy as np

from datamodules.errors import DataError
from datamodules.standins._drawing.draws import rng_of
from datamodules.standins._drawing.face import Array
from datamodules.standins._engagement import STEPS, Film, film_parts
from datamodules.standins._stand_in import Part, StandIn

VERSION = 1  # raise it when the bytes of a film change
CLIPS, SECONDS, RATE = 32, 24, 25
SPLITS = ("train", "dev", "test", "train")  # of one session after the other
ROLES = ("Expert", "Novice")
LEVELS = 5
SPANS = ((0.0, 0.3), (0.43, 0.57), (0.7, 1.0))  # of the continuous engagement, by class


def engagement(name: str, seed: int) -> Array:
    """Return one person's engagement in [0, 1], 25 values per second: it holds for 4 to 8 s, then moves on."""
    rng = rng_of("noxi", VERSION, seed, "engagement", name)
    values: list[Array] = []
    classes = rng.permutation(3)
    turn = 0
    while sum(map(len, values)) < SECONDS * RATE:
        low, high = SPANS[classes[turn % 3]]
        values.append(np.full(int(rng.uniform(4, 8) * RATE), rng.uniform(low, high)))
        turn += 1
    return np.concatenate(values)[: SECONDS * RATE]


def shares(values: Array, *, hard: bool) -> Array:
    """Return the shares ``(R, 5)`` of the levels 0, 1/4, ..., 1: 1 on a level, else split over its two neighbours."""
    distance = np.abs(values[:, None] * (LEVELS - 1) - np.arange(LEVELS))
    return np.asarray(np.eye(LEVELS)[distance.argmin(1)] if hard else np.clip(1 - distance, 0, None))


def _parts(clips: int, seed: int) -> list[Part]:
    if clips % 2:
        raise DataError(f"--clips {clips}: give an even number, each session has two roles")
    films, texts = [], {}
    for number in range(clips // 2):
        split, session = SPLITS[number % len(SPLITS)], f"{number + 1:03d}_2016-03-17_Drawn"
        for role in ROLES:
            name = f"{session}/{role.lower()}"
            values = engagement(name, seed)
            levels = shares(values, hard=split != "train")
            texts[f"{split}/{session}/annotation_{role.lower()}.txt"] = "".join(
                " ".join(f"{share:.4f}" for share in row) + "\n" for row in levels
            )
            nearest = shares(values, hard=True).argmax(1)[:: RATE // STEPS]
            classes = tuple(int(level) for level in np.array([0, 0, 1, 2, 2])[nearest])
            films.append(Film(name, f"{split}/{session}/{role}_video.mp4", name, classes))
    return film_parts("noxi", VERSION, seed, films, texts)


CORPUS = StandIn(
    "noxi", VERSION, "videos", (CLIPS, 6, CLIPS), _parts,
    f"Drawn people in conversation whom only face and body together tell apart: {CLIPS} videos of two roles in "
    f"{CLIPS // 2} sessions, or --clips of them, an even number.",
)  # fmt: skip
add_arguments, run = CORPUS.add_arguments, CORPUS.run
