r"""Stand-in for the RAVDESS speech clips, in their own raw format: drawn faces, voice-like sound, OpenFace tables.

A clip's emotion sets one of five looks and one of five sounds. Some emotions share a look and others share a sound,
but no two share both (`SIGNAL`):

    ============= ======== ========= ========= ============= ===========
    look \ sound  plain    soft      bright    hard          trembling
    ============= ======== ========= ========= ============= ===========
    flat          neutral  calm
    smile                            happy
    sorrow                 sad
    scowl         disgust                      angry
    wide                             surprised               fearful
    ============= ======== ========= ========= ============= ===========

So with every emotion equally frequent video alone cannot pass 5/8 = 62.5 %, nor can audio alone, while the pair can
reach 100 %. The rest is drawn independently of the emotion: length, head movement, lips (they move while the voice
sounds, at a pace of their own, or the tempo could be read off the face). Actors differ in features, colours, habitual
expression, pitch and vocal tract; intensity 02 exaggerates. A clip depends on the seed and its name alone.

Files: ``Actor_XX/01-01-EE-II-SS-RR-AA.mp4`` (mpeg4 + aac, 320 x 180, 15 frames per second, 3 to 4 s, 48 kHz stereo),
``landmarks/<name>.csv`` (712 columns, a row per frame) and ``SYNTHETIC`` (who made it, seed, clips). Until the last
clip is written the files lie in ``.partial``, no media file by their suffix, and ``SYNTHETIC`` says incomplete, so that
a part is never taken for the whole.
"""

import argparse
import hashlib
import itertools
import multiprocessing
import os
import re
import shutil
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from atomic_files import write_atomic
from datamodules.errors import DataError
from datamodules.standins._face import Expression, landmarks, make_person, paint, place
from datamodules.standins._movie import mp4
from datamodules.standins._openface import table
from datamodules.standins._stand_in import StandIn
from datamodules.standins._voice import Manner, make_speaker, speak

VERSION = 1  # raise it when the bytes of a clip change
PARTIAL, PART = ".partial", ".part"  # folder and suffix of the files until all are there
ACTORS, CLIPS = 24, 1440
SIZE, FPS, RATE = (320, 180), 15, 48_000

SIGNAL = {  # emotion: look, sound
    "neutral": ("flat", "plain"),
    "calm": ("flat", "soft"),
    "happy": ("smile", "bright"),
    "sad": ("sorrow", "soft"),
    "angry": ("scowl", "hard"),
    "fearful": ("wide", "trembling"),
    "disgust": ("scowl", "plain"),
    "surprised": ("wide", "bright"),
}
LOOKS = {
    "flat": Expression(),
    "smile": Expression(curve=0.10, width=0.05, gape=0.03, eye=-0.15),
    "sorrow": Expression(curve=-0.08, width=-0.02, brow=0.02, slant=0.12, eye=-0.25),
    "scowl": Expression(curve=-0.04, width=-0.04, brow=-0.06, slant=-0.12, eye=-0.25),
    "wide": Expression(width=-0.06, gape=0.16, brow=0.12, slant=0.03, eye=0.55),
}
SOUNDS = {
    "plain": Manner(),
    "soft": Manner(pitch=-2, slope=-3, tempo=2.6, level=-17, tilt=-14, breath=0.4),
    "bright": Manner(pitch=6, slope=3, swing=1.5, tempo=4.4, level=-5, tilt=-8),
    "hard": Manner(pitch=3, slope=-2, swing=0.7, tempo=5.5, level=0, tilt=-5),
    "trembling": Manner(pitch=7, tempo=5.0, level=-12, tilt=-10, breath=0.3, tremor=1.2),
}
STRENGTH = {1: 0.8, 2: 1.2}  # share of the look and sound shown at RAVDESS' two intensities
FACE_NOISE = np.array(Expression(curve=0.02, width=0.015, gape=0.01, brow=0.02, slant=0.02, eye=0.09))
VOICE_NOISE = np.array(Manner(pitch=1.0, slope=0.7, swing=0.2, tempo=0.3, level=2.0, tilt=0.9, breath=0.03, tremor=0.1))
RAVDESS_NAME = re.compile(r"\d\d(-\d\d){6}\.\w+|Actor_\d\d|(Video|Audio)_(Speech|Song)_\w+")


def _rng(seed: int, *what: object) -> np.random.Generator:
    key = "/".join(map(str, (VERSION, seed, *what)))
    return np.random.default_rng(int.from_bytes(hashlib.sha256(key.encode()).digest()[:16], "big"))


def plan(clips: int, seed: int) -> list[str]:
    """Choose clips: names without suffix, spread evenly over actors and emotions.

    Rounds take one clip of every actor and emotion, in an order where each run of 24 meets every actor and each run of
    192 every pair; which intensity, statement and repetition comes first is drawn. A smaller plan is the head of a
    larger one.
    """
    rng = _rng(seed, "plan")
    variants = {}
    for actor, emotion in itertools.product(range(1, ACTORS + 1), range(1, len(SIGNAL) + 1)):
        intensities = (1,) if emotion == 1 else (1, 2)  # RAVDESS has no strong neutral
        names = [
            f"01-01-{emotion:02d}-{intensity:02d}-{statement:02d}-{repetition:02d}-{actor:02d}"
            for intensity, statement, repetition in itertools.product(intensities, (1, 2), (1, 2))
        ]
        variants[actor, emotion] = [names[i] for i in rng.permutation(len(names))]
    emotions = (rng.permutation(len(SIGNAL)) + 1).tolist()
    cells = [(a, emotions[(a + shift) % len(SIGNAL)]) for shift in range(len(SIGNAL)) for a in range(1, ACTORS + 1)]
    names = [variants[cell][turn] for turn in range(8) for cell in cells if turn < len(variants[cell])]
    return names[:clips]


def make_clip(name: str, seed: int) -> tuple[bytes, bytes]:
    """Make one clip from its RAVDESS name: the mp4 file and its landmark table."""
    _, _, emotion, intensity, _, _, actor = map(int, name.split("-"))
    look, sound = list(SIGNAL.values())[emotion - 1]
    rng, strength = _rng(seed, name), STRENGTH[intensity]
    frames = int(rng.integers(3 * FPS, 4 * FPS + 1))
    span = (rng.uniform(0.3, 0.5), frames / FPS - rng.uniform(0.25, 0.5))

    speaker = make_speaker(_rng(seed, "voice", actor), female=actor % 2 == 0)
    plain = np.array(SOUNDS["plain"])
    manner = plain + strength * (np.array(SOUNDS[sound]) - plain) + VOICE_NOISE * rng.standard_normal(8)
    voice = speak(speaker, Manner(*manner.tolist()), frames / FPS, span, RATE, rng)
    stereo = voice + 10 ** rng.uniform(-3.3, -2.9) * rng.standard_normal((2, len(voice)))  # room and microphone

    person = make_person(_rng(seed, "face", actor), long_hair=actor % 2 == 0)
    expression = strength * np.array(LOOKS[look]) + FACE_NOISE * rng.standard_normal(6)
    face, pose = _movement(expression, frames, span, rng)
    points, light = landmarks(person, face), rng.uniform(0.88, 1.1)
    pictures = (paint(person, shape, at, SIZE, light) for shape, at in zip(points, pose, strict=True))
    return mp4(pictures, FPS, np.clip(stereo, -1, 1).astype(np.float32), RATE), table(place(points, pose), FPS)


def _movement(
    expression: NDArray[np.float64], frames: int, span: tuple[float, float], rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the movement of a face: ``(T, 6)`` expressions and ``(T, 5)`` poses."""
    now = np.arange(frames) / FPS
    onset = 0.5 + 0.5 * np.clip(now / rng.uniform(0.4, 0.8), 0, 1)
    face = onset[:, None] * expression
    begin, end = span
    chatter = np.abs(np.sin(np.pi * (rng.uniform(3.2, 4.2) * now + rng.uniform())))
    face[:, Expression._fields.index("gape")] += 0.1 * chatter * ((now >= begin) & (now <= end))
    blink = rng.uniform(0, frames / FPS)
    face[np.abs(now - blink) < 0.08, Expression._fields.index("eye")] = -0.95

    def sway(size: float) -> NDArray[np.float64]:
        return size * np.sin(2 * np.pi * (rng.uniform(0.15, 0.5) * now + rng.uniform()))

    pose = (  # the order of `place`
        SIZE[0] / 2 + rng.uniform(-14, 14) + sway(7),
        89 + rng.uniform(-5, 5) + sway(3),
        rng.uniform(47, 54) * (1 + sway(0.02)),
        rng.normal(0, 0.03) + sway(0.07),
        rng.normal(0, 0.08) + sway(0.15),
    )
    return face, np.stack(pose, axis=-1)


def _files(name: str) -> tuple[str, str]:
    return f"Actor_{name[-2:]}/{name}.mp4", f"landmarks/{name}.csv"


def _write(stage: Path, seed: int, name: str) -> None:
    """Make one clip and put its files in place under ``stage``, each whole or not at all."""
    for file, content in zip(_files(name), make_clip(name, seed), strict=True):
        path = stage / (file + PART)
        write_atomic(path, content, sync=False)


def _start_worker() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent answers Ctrl-C
    cv2.setNumThreads(1)
    parent = multiprocessing.parent_process()
    if parent is not None:  # a worker would wait for ever for work from a killed parent

        def follow() -> None:
            parent.join()
            os._exit(1)

        threading.Thread(target=follow, daemon=True).start()


def _write_all(stage: Path, seed: int, names: list[str], workers: int) -> Iterator[None]:
    if workers == 1:
        for name in names:
            _write(stage, seed, name)
            yield
        return
    context = multiprocessing.get_context("spawn")  # the caller may hold threads, which a fork would break
    pool = ProcessPoolExecutor(workers, context, _start_worker)
    try:
        yield from pool.map(_write, itertools.repeat(stage), itertools.repeat(seed), names)
    finally:
        pool.shutdown(cancel_futures=True)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe this corpus; it has no options beyond the common ones."""
    parser.epilog = (
        f"Drawn faces and voice-like sound under RAVDESS names: {CLIPS} clips of {ACTORS} actors, or --clips of them. "
        "Some emotions look alike and others sound alike, so that only the pair tells all eight apart."
    )


def run(args: argparse.Namespace) -> int:
    """Write the corpus, or what is missing of it.

    Raises:
        DataError: ``--out`` holds another corpus, cannot be written, or an option is out of range.
    """
    stand_in = StandIn.from_options(args, "ravdess", VERSION, CLIPS, 1, CLIPS)
    out, seed, stage = stand_in.out, stand_in.seed, stand_in.out / PARTIAL
    there, names = stand_in.is_complete(), plan(stand_in.clips, seed)

    def whole(file: str) -> bool:
        return any(path.is_file() and path.stat().st_size > 0 for path in (out / file, stage / (file + PART)))

    missing = [name for name in names if not all(map(whole, _files(name)))]
    kept = len(names) - len(missing)
    if there and not missing:
        return stand_in.report_existing("clips")
    try:
        with stand_in.writing():
            workers = max(1, min(stand_in.workers or os.cpu_count() or 1, len(missing)))
            work = _write_all(stage, seed, missing, workers)
            for _ in tqdm(work, "synth ravdess", len(missing), unit="clip", disable=None):
                pass
            for file in itertools.chain.from_iterable(map(_files, names)):
                if (part := stage / (file + PART)).exists():
                    (out / file).parent.mkdir(exist_ok=True)
                    os.replace(part, out / file)
            shutil.rmtree(stage, ignore_errors=True)
    except BrokenProcessPool:
        raise DataError(
            f"a worker died (out of memory?); the same command carries on in {out}: try fewer --workers"
        ) from None
    return stand_in.report("clips", kept)
