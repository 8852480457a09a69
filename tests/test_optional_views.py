"""Recipes over clips of any kind: what may be lacking, short sound, labels of whole entries, labelled turns."""

import csv
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from test_media import tone, write_clip, write_wav
from wordpiece import train_wordpiece

import cli
from datamodules import recipe
from datamodules.catalogues.avamerg.catalogue import AvaMERG
from datamodules.catalogues.ravdess import RAVDESS
from datamodules.entries import Catalogue, Entry, Media, Scan, Series
from datamodules.errors import LackingError, UnusableError
from datamodules.media.clip import read_clip
from datamodules.media.mfcc import mfcc
from datamodules.recipe import Recipe, load
from datamodules.store.preparation import prepare
from datamodules.store.reader import Store
from datamodules.views.label_series import LabelSeries
from datamodules.views.mfcc import MFCC
from datamodules.views.wave import Wave
from datamodules.views.whole_frames import WholeFrames

SMALL = {"video": {"size": 16, "frames": 2}, "img": {"size": 16, "frames": 2}, "people": {"face_size": 16}}
EMPTY = {
    **{"video": (0, 16, 16, 3), "wave": (0,), "mfcc": (13, 0), "img_2": (0, 3, 16, 16), "spec_5": (0, 1, 128, 128)},
    **{"face": (0, 16, 16, 3), "face_seen": (0,), "labels": (0, 2), "video_confidence": (0,), "face_confidence": (0,)},
}


@dataclass(frozen=True)
class Given(Catalogue):
    """Entries that a test made."""

    name: ClassVar[str] = "given"
    recipe: ClassVar[str] = "all"
    classes: ClassVar[tuple[str, ...]] = ("calm", "angry")

    entries: ClassVar[list[Entry]] = []

    def scan(self, source: Path) -> Scan:
        return Scan(list(self.entries))


@pytest.fixture
def prepared(tmp_path, monkeypatch):
    def run(entries: list[Entry], recipe: Recipe, **options: Any) -> Store:
        monkeypatch.setattr(Given, "entries", entries)
        return prepare(Given(), recipe, tmp_path, tmp_path / "out", workers=1, **options)

    return run


def of_file(path: Path, label: Any = 0, *kinds: str) -> Entry:
    media = {kind: Media(path) for kind in kinds or ("video", "audio")}
    return Entry(path.stem, path.stem, path.name, media, labels={"emotion": label})


def films(folder: Path) -> list[Entry]:
    """No clip shows a face; one is good otherwise, one has no sound, one is silent, one short, one broken."""
    write_clip(folder / "good.mp4", frames=36, fps=10, seconds=3.6)
    write_clip(folder / "mute.mp4", frames=10, fps=10, audio=None)
    write_clip(folder / "short.mp4", frames=10, fps=10, seconds=1.0)
    write_clip(folder / "silent.mkv", frames=10, fps=10, codec="mpeg4", audio=None)
    write_wav(folder / "silent.wav", np.zeros((1, 44100)))
    (folder / "broken.mp4").write_bytes(b"nothing")
    good, mute, short, broken = (of_file(folder / f"{name}.mp4") for name in ("good", "mute", "short", "broken"))
    silent = of_file(folder / "silent.mkv")
    return [good, mute, short, replace(silent, media={**silent.media, "audio": Media(folder / "silent.wav")}), broken]


def test_what_a_clip_lacks_is_empty_and_listed_and_the_rest_is_there(tmp_path, prepared, capsys):
    store = prepared(films(tmp_path), load("all", SMALL), max_skipped=1)
    assert store.ids == ["good", "mute", "short", "silent"]
    (skipped,) = csv.DictReader((store.folder / "skipped.csv").open())
    assert (skipped["id"], skipped["reason"]) == ("broken", "not a media file, or cut off before its header")
    assert set(store.arrays) == set(EMPTY)
    faceless = {"video", "video_confidence", "face", "face_seen", "face_confidence"}
    lacking = {
        "good": faceless,
        "short": faceless,
        "mute": {*faceless, "wave", "mfcc", "spec_5"},
        "silent": {*faceless, "wave"},
    }
    for place, id in enumerate(store.ids):
        for name, shape in EMPTY.items():
            assert (store.shape(name, place) == shape) == (name in lacking[id]), (id, name)
    whole = read_clip(tmp_path / "good.mp4", lambda _: np.zeros(1), [44100]).waves[44100]
    np.testing.assert_array_equal(store.read("wave", 0), whole)
    rows = list(csv.reader((store.folder / "missing.csv").open()))
    assert rows[0] == ["clip", "utterance", "modality", "file", "reason"]
    told = {(row[0], row[2]): (row[3], row[4]) for row in rows[1:]}
    assert {id for id, _ in told} == {"good", "mute", "short", "silent"}
    assert told["mute", "wave"] == told["mute", "spec"] == ("mute.mp4", "no audio stream")
    assert told["silent", "wave"] == ("silent.mkv", "audio is silent: every sample is zero")
    assert told["good", "video"] == ("good.mp4", "no face found in 2 of 2 frames")
    assert [int(row["padded"]) > 0 for row in store.rows] == [False, False, True, True]
    said = capsys.readouterr().out
    assert "4 clips used, 1 skipped, 2 padded, 1 without mfcc (missing.csv), 4 without people (missing.csv), " in said
    assert store.manifest["settings"]["optional"] == ["video", "wave", "mfcc", "img", "spec", "people", "labels"]


def test_without_leave_an_entry_that_lacks_something_cannot_be_used(tmp_path, prepared):
    whole = load("all", SMALL)
    with pytest.raises(UnusableError, match=r"3 clips cannot be used, the first mute\.mp4 \(no audio stream\)"):
        prepared(films(tmp_path), replace(whole, optional=("video", "people", "text")))


def test_a_view_for_which_the_source_has_nothing_is_left_out(tmp_path, prepared, capsys):
    write_wav(tmp_path / "a.wav", tone(1.0, 44100, 1) * 9000)
    store = prepared([of_file(tmp_path / "a.wav", 1, "audio")], load("all"))
    assert set(store.arrays) == {"wave", "mfcc", "spec_5"}
    said = capsys.readouterr().out
    assert "1 clips, without the views video, img, people, labels, text, still\n" in said
    assert "  text is left out: --views.text.text prompt: the source has no texts" in said


def test_texts_are_kept_where_there_are_some(tmp_path, prepared):
    train_wordpiece(["I am fine"], tmp_path / "tokenizer")
    write_wav(tmp_path / "a.wav", tone(1.0, 44100, 1) * 9000)
    entry = of_file(tmp_path / "a.wav", 1, "audio")
    store = prepared([replace(entry, texts={"prompt": "I am fine"}), replace(entry, id="b")], load("all"))
    assert [np.count_nonzero(store.read("text", place)) > 2 for place in (0, 1)] == [True, False]


def test_a_text_that_is_not_kept_does_not_save_a_broken_clip(tmp_path, prepared):
    entries = [replace(entry, texts={"prompt": "I am fine"}) for entry in films(tmp_path)]
    broken = replace(entries[-1], name="bro\nken.mp4")
    with pytest.raises(UnusableError, match=r"1 clips cannot be used, the first [^\n]*\(not a media file, or cut off"):
        prepared([*entries[:-1], broken], load("all", SMALL))


@pytest.mark.parametrize(("seconds", "first"), [(3.5, 0.5), (2.95, 0.5), (2.94, 0.5), (2.7, 0.25), (1.5, 0.0)])
def test_short_sound_begins_earlier_and_ends_in_zeros(tmp_path, prepared, seconds, first):
    samples = np.random.default_rng(0).normal(0, 3000, (1, round(44100 * seconds)))
    write_wav(tmp_path / "a.wav", samples)
    kept = {"mfcc": MFCC(short="pad"), "wave": Wave()}
    store = prepared([of_file(tmp_path / "a.wav", 0, "audio")], Recipe("x", kept))
    begin = round(first * 44100)
    part = store.read("wave", 0)[begin : begin + int(2.45 * 44100)]
    steps = min(212, 1 + len(part) // 512)
    found = store.read("mfcc", 0)
    np.testing.assert_array_equal(found[:, :steps], mfcc(part / np.float32(32768), 44100)[:, :steps])
    assert not found[:, steps:].any()
    assert found.shape == (13, 212)
    assert int(store.rows[0]["padded"]) == 212 - steps


def test_short_sound_is_skipped_by_the_paper_and_its_settings_are_what_they_were(tmp_path, prepared):
    assert "short" not in MFCC().settings()
    assert MFCC(short="pad").settings()["short"] == "pad"
    write_wav(tmp_path / "a.wav", tone(2.0, 44100, 1) * 9000)
    with pytest.raises(UnusableError, match=r"2\.00 s of audio give 130 of the 212 MFCC steps"):
        prepared([of_file(tmp_path / "a.wav", 0, "audio")], Recipe("x", {"mfcc": MFCC()}))


def test_a_recipe_asks_less_of_other_corpora_than_of_its_paper_s():
    assert load("cfnsr") == load("cfnsr", catalogue=RAVDESS)
    assert (load("cfnsr").views["mfcc"].short, load("cfnsr").optional) == ("skip", ())
    other = load("cfnsr", catalogue=AvaMERG)
    assert (other.views["mfcc"].short, other.optional) == ("pad", ("video", "wave", "mfcc"))


@pytest.mark.parametrize("name", recipe.names("recipes"))
def test_what_may_be_lacking_is_a_view(name):
    for catalogue in map(recipe.catalogue_class, recipe.names("catalogues")):
        load(name, catalogue=catalogue).check()


# --- labels at every step -------------------------------------------------------------------------------------------


def test_a_label_of_the_whole_entry_counts_at_every_step(tmp_path, prepared):
    write_clip(tmp_path / "a.mp4", frames=20, fps=10, audio=None)
    labels = {
        "class": 1,
        "shares": np.array([0.75, 0.25]),
        "series": Series(np.array([[0.0, 1.0]], np.float32)),
        "over time": Series(np.array([[1, 0], [0, 1]], np.float32), 1.0),
    }
    entries = [replace(of_file(tmp_path / "a.mp4", label, "video"), id=id) for id, label in labels.items()]
    store = prepared(entries, Recipe("x", {"labels": LabelSeries()}))
    assert store.labels.tolist()[:3] == [1, 0, 1]
    for place, row in enumerate(([0, 1], [0.75, 0.25], [0, 1])):
        np.testing.assert_array_equal(store.read("labels", place), np.float32([row] * 10))
    over_time = store.read("labels", 3)
    assert over_time[:, 1].tolist()[:8] == [0, 0, 0, 1, 1, 1, 1, 1]
    assert np.isnan(over_time[8:]).all()  # after the last label
    assert store.manifest["settings"]["views"]["labels"] == {"view": "label_series", "fps": 5}


def test_what_is_labelled_with_no_class_has_no_labels(tmp_path, prepared):
    write_clip(tmp_path / "a.mp4", frames=10, fps=10, audio=None)
    valued = of_file(tmp_path / "a.mp4", 0.5, "video")
    views = {"img": WholeFrames(frames=2, size=16), "labels": LabelSeries()}
    with pytest.raises(LackingError, match=r"--views\.labels: nothing in .* is labelled with a class"):
        prepared([valued], Recipe("x", views))
    assert list(prepared([valued], Recipe("x", views, optional=("labels",))).arrays) == ["img_2"]
    store = prepared([valued, replace(valued, id="b", labels={"emotion": 1})], Recipe("y", views, optional=("labels",)))
    assert [store.shape("labels", place) for place in (0, 1)] == [(0, 2), (5, 2)]
    assert store.labels.tolist() == [-1, 1]
    assert json.loads(store.rows[0]["missing"]) == [["", "labels", "a.mp4", "it is labelled with no class"]]


# --- dialogues ------------------------------------------------------------------------------------------------------


def turn(id: str, role: str, **media: Path) -> Entry:
    return Entry(id, media={kind: Media(path) for kind, path in media.items()}, texts={"role": role, "text": id})


def test_a_clip_of_a_dialogue_is_the_speaker_s_last_turn_of_film_and_sound(tmp_path, prepared):
    for seconds in (1, 2, 3):
        write_clip(tmp_path / f"{seconds}.mp4", frames=10 * seconds, fps=10, audio=None)
        write_wav(tmp_path / f"{seconds}.wav", tone(seconds, 44100, 1) * 9000)
    turns = [
        turn("0", "speaker", video=tmp_path / "1.mp4", audio=tmp_path / "1.wav"),
        turn("1", "listener", video=tmp_path / "3.mp4", audio=tmp_path / "3.wav"),
        turn("2", "speaker", video=tmp_path / "2.mp4", audio=tmp_path / "2.wav"),
        turn("3", "listener_response", video=tmp_path / "3.mp4", audio=tmp_path / "3.wav"),
    ]
    dialogue = Entry("d", "g", "d.json", labels={"emotion": 1}, parts=tuple(turns), split="train")
    assert dialogue.labelled_turn().texts == {"role": "speaker", "text": "2"}
    views = {"labels": LabelSeries(), "wave": Wave()}
    store = prepared([dialogue], Recipe("x", views))
    assert (store.ids, store.groups, store.labels.tolist()) == (["d"], ["g"], [1])
    assert store.shape("labels", 0) == (10, 2)
    assert store.shape("wave", 0) == (2 * 44100,)
    (tmp_path / "1.mp4").write_bytes(b"another")  # is no part of the clip
    prepared([dialogue], Recipe("x", views))


def test_without_a_known_role_the_last_turn_counts():
    parts = tuple(Entry(id, media={"audio": Media(Path(f"{id}.wav"))}) for id in "ab")
    clip = Entry("d", labels={"emotion": 0}, parts=parts).labelled_turn()
    assert (clip.media["audio"].path, clip.parts, clip.label) == (Path("b.wav"), (), 0)


def test_avamerg_feeds_the_recipe_of_clips(tmp_path):
    raw = tmp_path / "raw"
    assert cli.main(["synth", "avamerg", "--clips", "35", "--out", str(raw)]) == 0
    words = ["prepare", "avamerg", "--source", str(raw), "--out", str(tmp_path / "out"), "--workers", "1"]
    assert cli.main([*words, "--recipe", "cfnsr", "--views.video.size", "16", "--views.video.frames", "2"]) == 0
    store = Store(tmp_path / "out/prepared-cfnsr")
    assert set(store.arrays) == {"video", "wave", "mfcc"}
    assert len(store) == 35
    assert sum(len(store.read("wave", place)) > 0 for place in range(35)) > 25
    assert all(0 <= label < len(AvaMERG.classes) for label in store.labels)
