"""Stand-in for DAiSEE in its own raw format: drawn learners before a webcam, four levels of engagement.

Files: ``DataSet/{Train,Validation,Test}/<user>/<clip>/<clip>.mp4`` (128 x 128, 10 frames per second, 8 s, no sound),
``Labels/{Train,Validation,Test}Labels.csv``, ``boxes.csv`` (which ``prepare`` finds) and ``SYNTHETIC``. What tells the
levels apart is in `datamodules.standins._engagement`; levels 1 and 2 look alike, as the papers join them.
"""

from datamodules.standins._drawing.draws import rng_of
from datamodules.standins._engagement import STEPS, Film, film_parts
from datamodules.standins._stand_in import Part, StandIn, table

VERSION = 1  # raise it when the bytes of a film change
USERS, CLIPS, SECONDS = 60, 180, 8
LEAST = 6  # users: every split has one
PER_USER = 3  # one clip of every class
SPLITS = ("Train", "Train", "Validation", "Train", "Train", "Test")  # of one user after the other
HEADER = "ClipID,Boredom,Engagement,Confusion,Frustration "  # the blank is the corpus' own
CLASS_OF_LEVEL = (0, 1, 1, 2)


def plan(clips: int, seed: int) -> list[tuple[str, str, str, int]]:
    """Return split, user, clip and level of every clip: users in turn, each with every class equally often."""
    users = min(USERS, max(LEAST, clips // PER_USER))
    rng = rng_of("daisee", VERSION, seed, "plan")
    middle = rng.integers(1, 3, clips).tolist()
    planned = []
    for i in range(clips):
        user, turn = i % users, i // users
        level = (0, middle[i], 3)[(user + turn) % 3]
        name = f"{110001 + user}"
        planned.append((SPLITS[user % len(SPLITS)], name, f"{name}{1002 + turn}", level))
    return planned


def _parts(clips: int, seed: int) -> list[Part]:
    films, rows = [], {split: list[str]() for split in SPLITS}
    for split, user, clip, level in plan(clips, seed):
        classes = (CLASS_OF_LEVEL[level],) * (SECONDS * STEPS)
        films.append(Film(clip, f"DataSet/{split}/{user}/{clip}/{clip}.mp4", user, classes))
        rows[split].append(f"{clip}.mp4,0,{level},0,0")
    texts = {f"Labels/{split}Labels.csv": table(HEADER, lines) for split, lines in rows.items()}
    return film_parts("daisee", VERSION, seed, films, texts)


CORPUS = StandIn(
    "daisee", VERSION, "videos", (CLIPS, LEAST, CLIPS), _parts,
    f"Drawn learners of three kinds that only face and body together tell apart: {CLIPS} clips of {USERS} users, "
    "or --clips of them.",
)  # fmt: skip
add_arguments, run = CORPUS.add_arguments, CORPUS.run
