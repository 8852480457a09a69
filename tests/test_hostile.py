"""Hostile inputs, a case each: one clear line, the file named, everything else as if they were not there.

A case damages one file of a small stand-in, or writes one broken input, and runs the command line in this process, so
that an exception that escapes fails the test with its traceback.
"""

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import hostile
import numpy as np
import pytest
import torch
from fabricated import make_cell, make_project
from hostile import content, cut, film, int16, overwritten, tone, wav

import cli
from datamodules.store import Store, read_table

MOST_LINES = 3


@dataclass(frozen=True)
class Outcome:
    """How a command ended, and what it said on the screen."""

    code: int
    out: str
    err: str


@pytest.fixture
def command(capsys) -> Callable[..., Outcome]:
    """Runs the command line; whatever it says is at most three lines and no traceback."""

    def run(*words: object) -> Outcome:
        capsys.readouterr()
        try:
            code = cli.main([str(word) for word in words])
        except SystemExit as stop:  # argparse's way out
            code = stop.code if isinstance(stop.code, int) else 1
        said = capsys.readouterr()
        assert "Traceback" not in said.out + said.err
        lines = [line for line in said.err.splitlines() if line.strip()]
        assert len(lines) <= MOST_LINES, said.err
        return Outcome(code, said.out, said.err)

    return run


# --- a damaged file among good ones -----------------------------------------------------------------------------------

RAVDESS_CLIP, RAVDESS_SOUND = "Actor_02/01-01-08-02-02-01-02.mp4", "Actor_02/03-01-08-02-02-01-02.wav"
CORPORA = {
    "ravdess": ("--size", "16", "--face", "none"),
    "daisee": ("--face-size", "16", "--body-size", "16"),
    "noxi": ("--face-size", "16", "--body-size", "16"),
    "vgaf": ("--size", "16"),
    "faces": ("--size", "16"),
    "avamerg": ("--size", "16"),
    "empathetic": (),
    "sounds": ("--audio", "16000"),
}
COUNTS = {"ravdess": 3, "daisee": 9, "noxi": 6, "vgaf": 9, "faces": 120, "avamerg": 35, "empathetic": 96}


def prepared(corpus: str, source: Path, out: Path, *more: str) -> list[object]:
    name = "ravdess" if corpus == "sounds" else corpus
    return ["prepare", name, "--source", source, "--out", out, "--workers", "1", *CORPORA[corpus], *more]


@pytest.fixture(scope="session")
def sources(tmp_path_factory) -> Callable[[str], Path]:
    """The raw stand-in of a corpus, made once; a case works on a copy."""
    folder = tmp_path_factory.mktemp("raw")

    def source(corpus: str) -> Path:
        place = folder / corpus
        if place.exists():
            return place
        if corpus == "sounds":
            for actor in range(1, 4):
                path = place / f"Actor_{actor:02d}" / f"03-01-08-02-02-01-{actor:02d}.wav"
                path.parent.mkdir(parents=True)
                path.write_bytes(wav(int16(tone(3.5, hz=200.0 + actor))))
            return place
        assert cli.main(["synth", corpus, "--out", str(place), "--clips", str(COUNTS[corpus]), "--workers", "1"]) == 0
        return place

    return source


@pytest.fixture(scope="session")
def clean(sources, tmp_path_factory) -> Callable[[str], dict[str, bytes]]:
    """Every clip of a corpus as it is prepared without anything hostile."""
    known: dict[str, dict[str, bytes]] = {}

    def arrays(corpus: str) -> dict[str, bytes]:
        if corpus not in known:
            out = tmp_path_factory.mktemp("clean") / corpus
            assert cli.main([str(word) for word in prepared(corpus, sources(corpus), out)]) == 0
            known[corpus] = clips(out / "prepared")
        return known[corpus]

    return arrays


def clips(folder: Path) -> dict[str, bytes]:
    store = Store(folder)
    return {
        clip: b"".join(store.read(name, place).tobytes() for name in store.arrays)
        for place, clip in enumerate(store.ids)
    }


VIDEOS = {
    "empty": content(b""),
    "one byte": content(b"\0"),
    "text": content(b"not found\n" * 40),
    "a web page": content(b"<!doctype html><html><body>404</body></html>"),
    "random": content(np.random.default_rng(0).bytes(20_000)),
    "zeros": content(bytes(20_000)),
    "a picture": content(b"\x89PNG\r\n\x1a\n" + bytes(64)),
    "an archive": hostile.zipped,
    "a header alone": cut(0.002),
    "cut at 10 %": cut(0.1),
    "cut at 50 %": cut(0.5),
    "cut at 90 %": cut(0.9),
    "no moov": overwritten(b"mdat", b"", -4) if False else overwritten(b"moov", b"free", -4),
    "damaged trak": overwritten(b"trak", b"\xff" * 64),
    "damaged stsd": overwritten(b"stsd", b"\xff" * 16),
    "damaged mdhd": overwritten(b"mdhd", b"\xff" * 24),
    "scattered bytes": hostile.scattered,
    "sound alone": film(frames=0),
    "a folder": hostile.folder,
    "a pipe": hostile.fifo,
    "an endless device": hostile.linked("/dev/zero"),
    "a terminal": hostile.linked("/dev/null"),
    "a dangling link": hostile.linked("nowhere.mp4"),
    "a link to itself": lambda path: hostile.linked(path.name)(path),
    "two hours": film(frames=3, seconds=None, apart=36_000),
}
FILES = {
    "ravdess": RAVDESS_CLIP,
    "daisee": "DataSet/Train/110004/1100041002/1100041002.mp4",
    "noxi": "train/001_2016-03-17_Drawn/Expert_video.mp4",
}
SLOW = {("noxi", name) for name in VIDEOS}


def media_cases(corpora: list[str], damages: dict) -> list:
    return [
        pytest.param(corpus, name, id=f"{corpus}: {name}", marks=[pytest.mark.slow] * ((corpus, name) in SLOW))
        for corpus in corpora
        for name in damages
    ]


def check_one_skipped(command, clean, sources, tmp_path, corpus, file, damage) -> None:
    """One clip is skipped with its reason, the others are what they were, to the byte."""
    raw, out = tmp_path / "raw", tmp_path / "out"
    shutil.copytree(sources(corpus), raw, symlinks=True)
    damage(raw / file)
    refused = command(*prepared(corpus, raw, out))
    assert refused.code == 1, refused
    assert Path(file).name in refused.err
    assert "--max-skipped 1" in refused.err
    accepted = command(*prepared(corpus, raw, out, "--max-skipped", "1"))
    assert accepted.code == 0, accepted
    (skipped,) = read_table(out / "prepared" / "skipped.csv")
    assert skipped["reason"]
    assert "\n" not in skipped["reason"]
    assert Path(file).name in skipped["file"]
    found = clips(out / "prepared")
    assert len(found) == len(clean(corpus)) - 1
    assert found.items() <= clean(corpus).items()


@pytest.mark.parametrize(("corpus", "name"), media_cases(list(FILES), VIDEOS))
def test_a_bad_video_is_one_skipped_clip(command, clean, sources, tmp_path, corpus, name):
    check_one_skipped(command, clean, sources, tmp_path, corpus, FILES[corpus], VIDEOS[name])


SOUNDS = {
    "empty": content(b""),
    "text": content(b"RIFF but nothing else"),
    "a header alone": content(wav(int16(tone()))[:44]),
    "half a header": content(wav(int16(tone()))[:30]),
    "one sample": content(wav(int16(tone())[:1])),
    "a tenth of a second": content(wav(int16(tone(0.1)))),
    "cut off": cut(0.6),
    "more data than there are": content(wav(int16(tone()), claims=10**8)),
    "no channels": content(wav(int16(tone()), channels=0)),
    "no rate": content(wav(int16(tone()), 0)),
    "an unknown codec": content(wav(int16(tone()), kind=0x7ABC)),
    "NaN": content(wav(np.full(56_000, np.nan, "<f4"), kind=3)),
    "infinite": content(wav(np.append(tone(), np.inf).astype("<f4"), kind=3)),
    "floats of 16-bit size": content(wav((tone() * 32768).astype("<f4"), kind=3)),
    "a folder": hostile.folder,
    "a pipe": hostile.fifo,
    "an endless device": hostile.linked("/dev/urandom"),
    "a dangling link": hostile.linked("nowhere.wav"),
    "random": content(np.random.default_rng(0).bytes(20_000)),
}


@pytest.mark.parametrize("name", SOUNDS)
def test_a_bad_sound_is_one_skipped_clip(command, clean, sources, tmp_path, name):
    check_one_skipped(command, clean, sources, tmp_path, "sounds", RAVDESS_SOUND, SOUNDS[name])


ODD_SOUNDS = {
    "silence": wav(int16(0 * tone())),
    "8 bits": wav((tone() * 127 + 128).astype("u1")),
    "floats": wav(tone().astype("<f4"), kind=3),
    "doubles": wav(tone().astype("<f8"), kind=3),
    "floats a little above full scale": wav((2.2 * tone()).astype("<f4"), kind=3),
    "six channels": wav(np.repeat(int16(tone()), 6), channels=6),
    "8 kHz": wav(int16(tone(rate=8000)), 8000),
    "192 kHz": wav(int16(tone(rate=192_000)), 192_000),
    "constant": wav(int16(0 * tone() + 0.5)),
    "clipped": wav(int16(np.clip(9 * tone(), -1, 1))),
}


@pytest.mark.parametrize("name", ODD_SOUNDS)
def test_an_odd_sound_is_read(command, clean, sources, tmp_path, name):
    raw, out = tmp_path / "raw", tmp_path / "out"
    shutil.copytree(sources("sounds"), raw)
    (raw / RAVDESS_SOUND).write_bytes(ODD_SOUNDS[name])
    outcome = command(*prepared("sounds", raw, out))
    assert outcome.code == 0, outcome
    found, other = clips(out / "prepared"), Path(RAVDESS_SOUND).stem
    assert found.keys() == clean("sounds").keys()
    assert {clip for clip in found if found[clip] != clean("sounds")[clip]} <= {other}


def test_a_name_that_is_not_utf8_is_one_skipped_clip(command, clean, sources, tmp_path):
    raw, out = tmp_path / "raw", tmp_path / "out"
    shutil.copytree(sources("sounds"), raw)
    os.rename(os.fsencode(raw / RAVDESS_SOUND), os.fsencode(raw) + b"/Actor_02/\xff\xfe.wav")
    assert command(*prepared("sounds", raw, out)).code == 1
    assert command(*prepared("sounds", raw, out, "--max-skipped", "1")).code == 0
    assert clips(out / "prepared").items() <= clean("sounds").items()
