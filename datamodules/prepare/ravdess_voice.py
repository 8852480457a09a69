"""The joined table of ``ravdess_features`` with how every trial sounds: two vectors by the recipe ``voice``.

``speech_16k/`` holds the sound of every trial (``03-...``), at any depth. It goes through the loop of every preparation
into ``prepared-voice``, which resumes; then trials are joined by what their ids share, never by row.
"""

import argparse
from pathlib import Path

import numpy as np

from datamodules.catalogues.ravdess import RAVDESS
from datamodules.errors import DataError
from datamodules.prepare.ravdess_features import FILES, SPLITS, join, keep, rows_by_trial
from datamodules.reading.files import sha256_file
from datamodules.reading.stand_in import is_stand_in
from datamodules.reading.tables import Table
from datamodules.recipe import load
from datamodules.store.preparation import prepare

CORPUS, SOUNDS, RECIPE = "ravdess_voice", "speech_16k", "voice"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the source folder; there are no options beyond the common ones."""
    parser.epilog = f"DIR holds {', '.join(FILES)} and {SOUNDS}; docs/data.md says what is in them."


def run(args: argparse.Namespace) -> int:
    """Prepare the sounds, join and return the exit code.

    Raises:
        DataError: The source is wrong, the three parts are not of the same trials, ``--out`` cannot be written, or what
            is there is damaged or was made from other files.
    """
    if not (args.source / SOUNDS).is_dir():
        raise DataError(f"--source {args.source}: no folder {SOUNDS} in it; docs/data.md says what it holds")
    synthetic = is_stand_in(args.source, CORPUS)
    root = args.out or Path("data", *(["synthetic"] if synthetic else []), CORPUS)
    folds = {row["clip"]: int(row["fold"]) for row in Table(SPLITS, ("clip", "fold"))}
    index, features = join(args.source, folds, whole=not synthetic)
    recipe = load(RECIPE, synthetic=synthetic, catalogue=RAVDESS)
    store = prepare(RAVDESS(), recipe, args.source / SOUNDS, root, workers=args.workers)
    rows = rows_by_trial(args.source / SOUNDS, np.array(store.ids))
    trials = [RAVDESS.listed(row["id"]) for row in index]
    if set(trials) != set(rows):
        first = min(set(trials) ^ set(rows))
        raise DataError(f"{args.source}: trial {first} is not in all of {', '.join(FILES)} and {SOUNDS}; complete them")
    for name in recipe.views:
        features[name] = np.stack([store.read(name, rows[trial]) for trial in trials])
    settings = {name: sha256_file(args.source / name) for name in FILES} | {SPLITS.name: sha256_file(SPLITS)}
    keep(CORPUS, root / "prepared", index, features, settings | {RECIPE: store.fingerprint}, synthetic=synthetic)
    return 0
