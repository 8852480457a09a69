"""The loop from a catalogue and a recipe to a store, over three clips of a made corpus."""

import csv
import json
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from test_media import number, tone, write_clip, write_wav

import cli
from datamodules.entries import Catalogue, Entry, Media, Scan
from datamodules.errors import DataError, MediaError, Stopped, UnusableError
from datamodules.media.clip import read_clip
from datamodules.media.frames import to_rgb
from datamodules.recipe import Recipe
from datamodules.store import decoding, journal, making, preparation
from datamodules.store import writer as store_writer
from datamodules.store.plan import plan
from datamodules.store.preparation import prepare
from datamodules.store.reader import Store
from datamodules.views.base import EntryView, Maker, MediaView, Times, View, ViewArrays, Want, WholeClip
from datamodules.views.face import Face
from datamodules.views.split import Split
from datamodules.views.values import Values
from datamodules.views.wave import Wave

RATE = 8000


@dataclass(frozen=True)
class Toy(Catalogue):
    """``clips.csv`` with id, group, label, file; ``dropped`` is left out on purpose."""

    name: ClassVar[str] = "toy"
    recipe: ClassVar[str] = "plain"
    classes: ClassVar[tuple[str, ...]] = ("calm", "angry")

    def scan(self, source: Path) -> Scan:
        with (source / "clips.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        return Scan([entry(source, **row) for row in rows], Counter(notes=2))


def entry(source: Path, id: str, group: str, label: str, file: str) -> Entry:
    media = {name: Media(source / file, file) for name in ("audio", "video")}
    dropped = "too loud" if label == "loud" else ""
    return Entry(id, group, file, media, labels={} if dropped else {"emotion": int(label)}, dropped=dropped)


@dataclass(frozen=True)
class Frames(WholeClip):
    """Numbers that the frames of a clip show.

    Attributes:
        count: How many.
        offset: Where in their parts of the clip they are.
    """

    dtype: ClassVar[str] = "i32"
    preview: ClassVar[bool] = False

    count: int = 4
    offset: float = 0.0

    def wants(self, piece: Entry) -> Want:
        return Want("video", Times(self.count, self.offset))

    def make(self, entry: Entry, clip) -> tuple[np.ndarray, int]:
        return np.array([number(to_rgb(frame)) for frame in clip.frames], np.int32), 0


@dataclass(frozen=True)
class Label(EntryView):
    """The label once more."""

    def arrays(self, name: str) -> dict[str, str]:
        return {name: "i64"}

    def make(self, name: str, entry: Entry) -> dict[str, np.ndarray]:
        return {name: np.array([entry.label])}


class Pieces(Maker):
    """Puts what the parts of an entry give behind each other, and says which gave nothing."""

    def __init__(self, view: MediaView, name: str) -> None:
        self.view, self.name, self.values, self.there = view, name, [], []

    def add_clip(self, piece: Entry, clip) -> None:
        self.values.append(self.view.of(piece, clip))
        self.there.append(1)

    def skip(self, piece: Entry) -> None:
        self.there.append(0)

    def finish(self) -> ViewArrays:
        values = np.concatenate([np.empty(0, np.int32), *self.values]).astype(np.int32)
        return ViewArrays({self.name: values, f"{self.name}_there": np.array(self.there, np.uint8)})


class OfParts(MediaView):
    """A view of utterances that can do without their media."""

    required: ClassVar[bool] = False
    of_parts: ClassVar[bool] = True

    def arrays(self, name: str) -> dict[str, str]:
        return {name: "i32", f"{name}_there": "u8"}

    def start(self, name: str, entry: Entry) -> Maker:
        return Pieces(self, name)


@dataclass(frozen=True)
class Loudest(OfParts):
    """The greatest sample of each utterance."""

    def wants(self, piece: Entry) -> Want | None:
        return Want("audio", rates=(RATE,)) if "audio" in piece.media else None

    def of(self, piece: Entry, clip) -> np.ndarray:
        if not clip.waves[RATE].any():
            raise MediaError(Path(piece.media["audio"].name), "silent")
        return np.array([clip.waves[RATE].max()], np.int32)


@dataclass(frozen=True)
class FirstFrames(OfParts):
    """The number that the first frame of each utterance shows."""

    def wants(self, piece: Entry) -> Want | None:
        return Want("video", Times(1)) if "video" in piece.media else None

    def of(self, piece: Entry, clip) -> np.ndarray:
        return np.array([number(to_rgb(clip.frames[0]))], np.int32)


@dataclass(frozen=True)
class Stills(MediaView):
    """The number that a frame of a video shows."""

    def arrays(self, name: str) -> dict[str, str]:
        return {name: "i32"}

    def wants(self, piece: Entry) -> Want:
        return Want("picture", still=True)

    def start(self, name: str, entry: Entry) -> Maker:
        return OneStill(name)


class OneStill(Maker):
    def __init__(self, name: str) -> None:
        self.name, self.made = name, ViewArrays()

    def add_still(self, piece: Entry, image: np.ndarray) -> None:
        self.made = ViewArrays({self.name: np.array([number(image)], np.int32)})

    def finish(self) -> ViewArrays:
        return self.made


PLAIN = Recipe("plain", {"wave": Wave(RATE), "label": Label()})


@pytest.fixture
def source(tmp_path):
    return corpus(tmp_path / "raw")


def corpus(folder: Path, place: str = "clips") -> Path:
    (folder / place).mkdir(parents=True)
    rows = ["id,group,label,file"]
    for i, id in enumerate("abc"):
        write_wav(folder / place / f"{id}.wav", tone(0.1 + i / 50, RATE, 1) * 9000, RATE)
        rows.append(f"{id},{i % 2},{i % 2},{place}/{id}.wav")
    (folder / "clips.csv").write_text("\n".join(rows) + "\n")
    return folder


def film(folder: Path) -> Path:
    """A corpus of one clip that shows numbers and sounds."""
    write_clip(folder / "a.mp4", frames=30, fps=10, seconds=3.0)
    (folder / "clips.csv").write_text("id,group,label,file\na,1,0,a.mp4\n")
    return folder


def everything(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def run(source: Path, out: Path, recipe: Recipe = PLAIN, **options) -> Store:
    return prepare(Toy(), recipe, source, out, workers=1, **options)


def test_what_a_store_holds_and_what_is_said(source, tmp_path, capsys):
    (source / "clips.csv").write_text((source / "clips.csv").read_text() + "d,1,loud,clips/c.wav\n")
    store = run(source, tmp_path / "out", replace(PLAIN, views={"frames": Left(), **PLAIN.views}))
    assert store.folder == tmp_path / "out/prepared"
    assert (store.ids, store.groups, store.labels.tolist()) == (["a", "b", "c"], ["0", "1", "0"], [0, 1, 0])
    for place, id in enumerate(store.ids):
        np.testing.assert_array_equal(
            store.read("wave", place), read_clip(source / f"clips/{id}.wav", None, [RATE]).waves[RATE]
        )
        assert store.read("label", place).tolist() == [place % 2]
    assert list(store.arrays) == ["wave", "label"]
    settings = store.manifest["settings"]
    assert store.manifest["schema"] == 2
    assert settings["catalogue"] == {"name": "toy"}
    assert settings["views"]["wave"] == {"view": "wave", "rate": RATE}
    assert (store.setting("wave", "rate", old="audio"), store.setting("none", "rate", old="audio", default=3)) == (
        RATE,
        3,
    )
    said = capsys.readouterr().out
    assert "4 clips, without the views frames\n" in said
    assert "3 clips used, 0 skipped, 1 left out: too loud, 2 notes ignored; " in said
    assert f"fingerprint {store.fingerprint[:12]}; {store.folder}" in said


@dataclass(frozen=True)
class Left(Frames):
    """A view for which a source has nothing."""

    def bind(self, option: str, scan: Scan, source: Path) -> tuple[View | None, Scan]:
        return None, scan


# --- carrying on ------------------------------------------------------------------------------------------------------


class Killed(BaseException):
    pass


def killed_at(step: int, monkeypatch) -> Counter:
    """Ends the process, as it were, at one of the moments at which something reaches the disk."""
    seen: Counter = Counter()

    def mortal(module, name):
        original = getattr(module, name)

        def function(*args, **kwargs):
            seen["steps"] += 1
            if seen["steps"] == step:
                raise Killed
            return original(*args, **kwargs)

        monkeypatch.setattr(module, name, function)

    mortal(journal.Journal, "_write")  # the arrays of an entry are there, its line is not
    mortal(journal.Journal, "append")
    for module in (store_writer, preparation):
        mortal(module, "write_atomic")
    mortal(store_writer, "write_checksums")
    return seen


def test_killed_at_any_step_it_ends_with_the_same_bytes(source, tmp_path, monkeypatch):
    recipe = replace(PLAIN, views={**PLAIN.views, "loud": Loudest()})  # which has a missing.csv
    with monkeypatch.context() as patch:
        seen = killed_at(0, patch)
        run(source, tmp_path / "straight", recipe)
        steps = seen["steps"]
    straight = everything(tmp_path / "straight/prepared")
    assert {"missing.csv", "COMPLETE", "index.csv"} <= straight.keys()
    assert steps >= 12
    for step in range(1, steps + 1):
        out = tmp_path / f"killed{step}"
        with monkeypatch.context() as patch:
            killed_at(step, patch)
            with pytest.raises(Killed):
                run(source, out, recipe)
        assert not (out / "prepared/COMPLETE").exists()
        run(source, out, recipe)
        assert everything(out / "prepared") == straight, step


def test_a_finished_store_is_not_written_again(source, tmp_path):
    recipe = replace(PLAIN, views={**PLAIN.views, "loud": Loudest()})
    folder = run(source, tmp_path, recipe).folder
    before = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    run(source, tmp_path, recipe)
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == before


@pytest.mark.parametrize("finished", [True, False])
@pytest.mark.parametrize("what", ["file", "label", "group", "another file", "fewer", "more"])
def test_what_changed_is_noticed(source, tmp_path, monkeypatch, what, finished):
    with monkeypatch.context() as patch:
        killed_at(0 if finished else 7, patch)  # two clips are there
        try:
            run(source, tmp_path / "out")
        except Killed:
            assert len((tmp_path / "out/prepared/journal.jsonl").read_bytes().splitlines()) == 3
    table = source / "clips.csv"
    lines = table.read_text().splitlines()
    if what == "file":
        write_wav(source / "clips/a.wav", tone(0.2, RATE, 1) * 9000, RATE)
    elif what == "fewer":
        table.write_text("\n".join([lines[0], *lines[2:]]))
    elif what == "more":
        table.write_text("\n".join([lines[0], "0,1,1,clips/a.wav", *lines[1:]]))
    else:
        changed = {"label": "a,0,1,clips/a.wav", "group": "a,1,0,clips/a.wav", "another file": "a,0,0,clips/b.wav"}
        table.write_text("\n".join([lines[0], changed[what], *lines[2:]]))
    before = everything(tmp_path / "out/prepared")["index.csv" if finished else "journal.jsonl"]
    message = {"fewer": "clip a is no longer there", "more": "clip 0 is new"}.get(what, "clip a changed")
    with pytest.raises(DataError, match=message) as error:
        run(source, tmp_path / "out")
    assert error.value.exit_code == 2
    assert everything(tmp_path / "out/prepared")["index.csv" if finished else "journal.jsonl"] == before


def test_where_the_source_lies_and_what_its_folders_are_called_does_not_count(tmp_path):
    stores = [
        run(corpus(tmp_path / "one"), tmp_path / "out1"),
        run(corpus(tmp_path / "another", "elsewhere/deep"), tmp_path / "out2"),
    ]
    assert stores[0].fingerprint == stores[1].fingerprint
    assert everything(stores[0].folder) == everything(stores[1].folder)
    run(tmp_path / "another", tmp_path / "out1")  # is the same source


def test_a_key_of_the_keyboard_ends_it_and_it_carries_on(source, tmp_path, monkeypatch):
    def interrupted(entries, *rest, made=making.prepare_job):
        if entries[0].id == "c":
            raise KeyboardInterrupt
        return made(entries, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(preparation, "prepare_job", interrupted)
        with pytest.raises(Stopped, match="stopped after 2 of 3 clips; the same command"):
            run(source, tmp_path / "out")
    run(source, tmp_path / "out")
    run(source, tmp_path / "straight")
    assert everything(tmp_path / "out/prepared") == everything(tmp_path / "straight/prepared")


@pytest.mark.parametrize(("view", "message"), [
    (Face(), r"--recipe other: it is made of picture, which no clip of .* has; name another recipe"),
    (Split(), r"--views\.it: .* has no splits; name another recipe"),
    (Values(()), r"--views\.it\.labels \[\]: give some of arousal, emotion, valence"),
    (Values(("joy",)), r"--views\.it\.labels \['joy'\]: give some of arousal, emotion, valence"),
])  # fmt: skip
def test_a_recipe_that_the_corpus_cannot_feed_is_refused_before_the_work(source, tmp_path, view, message):
    with pytest.raises(DataError, match=message) as error:
        prepare(Toy(), Recipe("other", {"it": view}), source, tmp_path / "out")
    assert error.value.exit_code == 2
    assert len(str(error.value).splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_nothing_left_is_no_store(source, tmp_path):
    for path in (source / "clips").iterdir():
        path.write_bytes(b"")
    with pytest.raises(UnusableError, match=r"3 clips cannot be used, the first clips/a\.wav") as error:
        run(source, tmp_path / "out", max_skipped=2)
    assert error.value.exit_code == 1
    assert len(str(error.value).splitlines()) == 2
    assert "--max-skipped" not in str(error.value)  # which would lead to the next error
    with pytest.raises(UnusableError, match="none of the 3 clips is left"):
        run(source, tmp_path / "out", max_skipped=3)
    rows = list(csv.DictReader((tmp_path / "out/prepared/skipped.csv").open()))
    assert [row["reason"] for row in rows] == ["empty file (0 bytes)"] * 3


def test_another_recipe_lies_beside_the_one_of_the_paper(source, tmp_path):
    own = run(source, tmp_path)
    other = run(source, tmp_path, Recipe("other", {"wave": Wave(16_000)}))
    assert (own.folder, other.folder) == (tmp_path / "prepared", tmp_path / "prepared-other")
    assert plan(Toy(), PLAIN, source).folder == Path("data/toy/prepared")
    (source / "SYNTHETIC").write_text("seed 0\n")
    assert plan(Toy(), Recipe("other", {}), source).folder == Path("data/synthetic/toy/prepared-other")


# --- what views are fed -----------------------------------------------------------------------------------------------


def test_views_of_one_file_are_decoded_in_one_pass_and_get_what_they_would_alone(tmp_path, monkeypatch):
    source = film(tmp_path)
    views = {"early": Frames(4), "wave": Wave(RATE), "middle": Frames(7, 0.5), "fine": Wave(16_000), "late": Frames(4)}
    alone = {name: run(source, tmp_path / name, Recipe("plain", {name: view})) for name, view in views.items()}
    calls = []
    monkeypatch.setattr(decoding, "read_clip", lambda *args: calls.append(args) or read_clip(*args))
    together = run(source, tmp_path / "together", Recipe("plain", views))
    assert len(calls) == 1
    assert calls[0][2] == [RATE, 16_000]
    for name in views:
        np.testing.assert_array_equal(together.read(name, 0), alone[name].read(name, 0))
    assert len(together.read("wave", 0)) == 3.0 * RATE  # as long as the film, not as its sound
    assert together.read("early", 0).tolist() == [0, 7, 15, 22]
    assert together.read("middle", 0).tolist() == [2, 6, 10, 15, 19, 23, 27]


def test_bad_sound_is_found_before_frames_are_looked_at(tmp_path, monkeypatch):
    film(tmp_path)

    def make(view, entry, clip):
        raise MediaError(Path("a"), "bad sound" if isinstance(view, Wave) else "no face")

    monkeypatch.setattr(Frames, "make", make)
    monkeypatch.setattr(Wave, "make", make)
    with pytest.raises(UnusableError, match="bad sound"):
        run(tmp_path, tmp_path / "out", Recipe("plain", {"frames": Frames(), "wave": Wave(RATE)}))


def dialogue(folder: Path) -> list[Entry]:
    """One dialogue: a good utterance, a silent one, one without sound, one whose file is broken, one that has none."""
    write_clip(folder / "good.mp4", frames=3, fps=10, seconds=0.3)
    write_clip(folder / "silent.mkv", frames=3, fps=10, codec="mpeg4", audio=None)
    write_wav(folder / "silent.wav", np.zeros((1, 900)), RATE)
    (folder / "broken.mp4").write_bytes(b"nothing")
    own = {
        "good": {name: Media(folder / "good.mp4", "good.mp4") for name in ("video", "audio")},
        "silent": {
            "video": Media(folder / "silent.mkv", "silent.mkv"),
            "audio": Media(folder / "silent.wav", "silent.wav"),
        },
        "mute": {name: Media(folder / "silent.mkv", "silent.mkv") for name in ("video", "audio")},
        "broken": {name: Media(folder / "broken.mp4", "broken.mp4") for name in ("video", "audio")},
        "text": {},
    }
    parts = tuple(Entry(id, media=media) for id, media in own.items())
    return [Entry("dialogue", "1", labels={"emotion": 0}, parts=parts)]


@dataclass(frozen=True)
class Dialogues(Catalogue):
    """One made dialogue."""

    name: ClassVar[str] = "talks"
    recipe: ClassVar[str] = "plain"

    def scan(self, source: Path) -> Scan:
        return Scan(dialogue(source))


def test_what_a_view_can_do_without_is_a_row_of_missing(tmp_path):
    recipe = Recipe("plain", {"film": FirstFrames(), "loud": Loudest()})
    store = prepare(Dialogues(), recipe, tmp_path, tmp_path / "out", workers=1)
    assert store.read("film_there", 0).tolist() == [1, 1, 1, 0]
    assert store.read("film", 0).tolist() == [0, 0, 0]
    assert store.read("loud_there", 0).tolist() == [1, 0, 0, 0]
    assert len(store.read("loud", 0)) == 1
    rows = list(csv.reader((store.folder / "missing.csv").open()))[1:]
    broken = "not a media file, or cut off before its header"
    assert rows == [
        ["dialogue", "silent", "audio", "silent.wav", "silent"],
        ["dialogue", "mute", "audio", "silent.mkv", "no audio stream"],
        ["dialogue", "broken", "audio", "broken.mp4", broken],
        ["dialogue", "broken", "video", "broken.mp4", broken],
    ]
    assert json.loads(store.rows[0]["missing"]) == [row[1:] for row in rows]


def test_a_view_that_cannot_use_its_share_does_not_have_the_others_fed_twice(tmp_path, monkeypatch):
    """Film and sound of one file: the sound decodes, and is of no use."""

    def of(view, piece, clip):
        raise MediaError(Path("x"), "of no use")

    monkeypatch.setattr(Loudest, "of", of)
    store = prepare(
        Dialogues(), Recipe("plain", {"film": FirstFrames(), "loud": Loudest()}), tmp_path, tmp_path / "out", workers=1
    )
    assert store.read("film_there", 0).tolist() == [1, 1, 1, 0]
    assert len(store.read("film", 0)) == 3
    assert store.read("loud_there", 0).tolist() == [0, 0, 0, 0]


@dataclass(frozen=True)
class Faces(Catalogue):
    """Stills of one video."""

    name: ClassVar[str] = "stills"
    recipe: ClassVar[str] = "plain"
    unit: ClassVar[str] = "still"

    times: tuple[float, ...] = (0.0, 0.5, 1.2)

    def scan(self, source: Path) -> Scan:
        return Scan([Entry(f"{time}", media={"picture": Media(source / "a.mp4", time=time)}) for time in self.times])


def test_stills_of_a_video_share_one_pass(tmp_path, monkeypatch):
    film(tmp_path)
    passes = []
    monkeypatch.setattr(
        decoding, "frames_at", lambda path, times, read=decoding.frames_at: passes.append(times) or read(path, times)
    )
    store = prepare(Faces(), Recipe("plain", {"seen": Stills()}), tmp_path, tmp_path / "out", workers=1)
    assert passes == [[0.0, 0.5, 1.2]]
    assert [store.read("seen", place).tolist() for place in range(3)] == [[0], [5], [12]]
    late = prepare(
        Faces((0.0, 0.5, 99.0)),
        Recipe("late", {"seen": Stills()}),
        tmp_path,
        tmp_path / "out",
        workers=1,
        max_skipped=1,
    )
    assert late.ids == ["0.0", "0.5"]
    (row,) = csv.DictReader((late.folder / "skipped.csv").open())
    assert row["reason"] == "ends before 99.00 s"


# --- the command line -------------------------------------------------------------------------------------------------


@pytest.fixture
def sounds(tmp_path):
    for actor in (1, 2):
        write_wav(
            tmp_path / f"raw/03-01-01-01-01-01-{actor:02d}.wav".replace("raw/", ""), tone(3.2, 44100, 1) * 9000 / actor
        )
    return tmp_path


WRONG = {
    "a word where a number belongs": (
        ["--views.wave.rate", "loud"],
        "--views.wave.rate: expected a whole number. Got value: loud",
    ),
    "a fraction where a whole number belongs": (["--views.wave.rate=3.5"], "--views.wave.rate: expected a whole num"),
    "no choice": (
        ["--views.video.face", "nose"],
        "--views.video.face: expected one of auto, landmarks, detector, none",
    ),
    "out of range": (["--views.wave.rate", "44"], "--views.wave.rate 44: give a number from 1000 to"),
    "below range": (["--views.video.margin", "-1"], "--views.video.margin -1.0: give a number from 0 to 2"),
    "no number": (["--views.mfcc.seconds", ".nan"], "--views.mfcc.seconds nan: give a number from"),
    "endless": (["--views.mfcc.seconds", "1e999"], "--views.mfcc.seconds inf: give a number from"),
    "unknown": (["--views.wave.speed", "3"], "unrecognized arguments: --views.wave.speed 3"),
    "a view that is none": (["--views.nose.size", "3"], "unrecognized arguments: --views.nose.size 3"),
    "a file of options": (["--views.video", "x.yaml"], "unrecognized arguments: --views.video x.yaml"),
    "a word too many": (["more"], "unrecognized arguments: more"),
    "an abbreviation": (["--work", "1"], "unrecognized arguments: --work 1"),
    "no value": (["--workers"], "--workers: expected one argument"),
    "workers": (["--workers", "0"], "--workers 0: at least 1"),
    "too few": (["--max-skipped", "-1"], "--max-skipped -1: at least 0"),
    "few": (["--max-skipped", "few"], "--max-skipped: expected a whole number. Got value: few"),
    "a recipe that is none": (["--recipe", "soup"], "--recipe soup: the recipes are "),
    "a recipe without a name": (["--recipe", ""], "--recipe : the recipes are "),
    "a recipe of stills": (["--recipe", "static_emotion"], "--recipe static_emotion: face is made of picture, "),
    "a recipe of films": (
        ["--recipe", "engagement"],
        "--recipe engagement: people is made of video, ",
    ),
    "a view that may be lacking": (["--optional", "[nose]"], "--optional nose: cfnsr has no such view; its views are"),
    "a recipe of texts": (["--recipe", "text"], "--views.text.text prompt: the source has no texts"),
    "a recipe of dialogues, with their text": (  # which clips may go without
        ["--recipe", "gated_fusion", "--optional", "[]"],
        "--views.text.text text: the source has no texts",
    ),
    "pictures of sound": (["--preview", "FOLDER/out.png"], "--preview: no pictures are kept of "),
    "an old name": (["--audio", "16000"], "--audio is called --views.wave.rate now"),
    "another old name": (["--landmark-rows=paper"], "--landmark-rows is called --views.video.rows now"),
    "no source": (["--source", "FOLDER/none"], "none: no such folder"),
    "a file": (["--source", "FOLDER/03-01-01-01-01-01-01.wav"], ".wav: a file, not a folder"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_option_is_one_line_that_names_it(sounds, capsys, recwarn, name):
    options, message = WRONG[name]
    options = [option.replace("FOLDER", str(sounds)) for option in options]
    words = ["prepare", "ravdess", "--source", str(sounds), "--out", str(sounds / "out"), *options]
    assert cli.main(words) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert message in said
    assert len(said.splitlines()) == 1
    assert not any(word in said for word in ("Parser key", "<class", "typing", "Traceback"))
    assert not (sounds / "out").exists()
    assert not [str(warning.message) for warning in recwarn if "jsonargparse" in warning.filename]


def test_a_source_has_to_be_named(capsys):
    assert cli.main(["prepare", "ravdess"]) == 2
    assert capsys.readouterr().err.startswith("error: --source DIR is missing; python cli.py prepare ravdess --help")


def test_help_tells_every_option_once(capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main(["prepare", "ravdess", "--help"])
    assert stop.value.code == 0
    said = capsys.readouterr()
    assert not said.err
    for option in ("--source", "--max-skipped", "--views.video.size", "--views.wave.rate", "--views.mfcc.most_padded"):
        assert said.out.count(f"  {option} ") == 1
    assert not any(word in said.out for word in ("type:", "<class", "null", "CONFIG", "Parser"))
    assert said.out.count("(default: data/ravdess)") == 1
    assert "Side of the crops in pixels. (default: 224)" in said.out


def test_options_of_the_recipe_that_is_named_are_told(capsys):
    with pytest.raises(SystemExit):
        cli.main(["prepare", "ravdess", "--help", "--recipe", "all"])
    assert "(default: all)" in " ".join(capsys.readouterr().out.split())


def test_a_key_of_the_keyboard_is_130(sounds, capsys, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    words = ["prepare", "ravdess", "--source", str(sounds), "--out", str(sounds / "out"), "--workers", "1"]
    with monkeypatch.context() as patch:
        patch.setattr(preparation, "prepare_job", interrupted)
        assert cli.main(words) == 130
    assert capsys.readouterr().err.splitlines()[-1] == "stopped after 0 of 2 clips; the same command carries on"
    assert cli.main([*words, "--recipe", "all"]) == 0
    assert Store(sounds / "out/prepared-all").ids == ["03-01-01-01-01-01-01", "03-01-01-01-01-01-02"]


def test_too_many_skipped_is_1(sounds, capsys):
    (sounds / "03-01-01-01-01-01-03.wav").write_bytes(b"")
    words = ["prepare", "ravdess", "--source", str(sounds), "--out", str(sounds / "out"), "--workers", "1"]
    assert cli.main(words) == 1
    lines = [line for line in capsys.readouterr().err.splitlines() if line]
    assert lines[0].startswith("error: 1 clips cannot be used, the first 03-01-01-01-01-01-03.wav (empty file")
    assert len(lines) == 2
    assert cli.main([*words, "--max-skipped", "1"]) == 0
