"""datamodules/shapes/clip_grids.py and clip_utterances.py: frames, windows and utterances of clips of any catalogue."""

import numpy as np
import pytest
import torch

from datamodules.errors import DataError
from datamodules.shapes.clip_grids import ClipFrames, ClipWindows
from datamodules.shapes.clip_utterances import ClipUtterances
from datamodules.shapes.clips import ClipsDataModule
from datamodules.shapes.dialogue_store import normalised_wave
from datamodules.store.writer import StoreWriter

SPEAKERS, EACH, CLASSES = 6, 2, ["calm", "glad"]
VIEWS = {"people": {"view": "people"}, "labels": {"view": "label_series"}}
TALK = {"text": {"view": "dialogue_tokens"}, "role": {"view": "roles"}, "audio": {"view": "speech"},
        "video": {"view": "films"}}  # fmt: skip
LABEL = {"label": {"kind": "classes", "classes": CLASSES}}
VALENCE = {"valence": {"kind": "value", "unit": "", "range": None}}
STEPS = 15  # three seconds


def write(root, make, dtypes, views, tasks=LABEL, columns=lambda clip, speaker: {"fold": str(speaker % 3)}, label=None):
    """A store of six speakers with two clips each; ``make`` returns the arrays of a clip."""
    made_by = {"name": "clips", "classes": CLASSES if "label" in tasks else [], "tasks": tasks, "speakers": True}
    settings = {"catalogue": made_by, "recipe": "engagement", "views": views, "sink": "store"}
    writer = StoreWriter(root / "prepared", dtypes, settings, True, list(columns(0, 0)), schema=2)
    for clip in range(SPEAKERS * EACH):
        speaker = clip // EACH
        number = clip % 2 if label is None else label(clip)
        writer.add(f"s{speaker}/c{clip:02d}", f"s{speaker}", number, make(clip), str(clip), 0, columns(clip, speaker))
    writer.finish()
    return str(root)


def grid(root, steps=lambda clip: STEPS, seen=lambda clip, count: np.ones(count, np.uint8), series=True, **options):
    def make(clip):
        count = steps(clip)
        there = seen(clip, count)
        face = np.full((len(there), 8, 8, 3), 10 * clip, np.uint8)
        arrays = {"face": face, "face_seen": there}
        one_hot = np.eye(2, dtype=np.float32)[clip % 2]
        return arrays | ({"labels": np.tile(one_hot, (count, 1))} if series else {})

    dtypes = {"face": "u8", "face_seen": "u8"} | ({"labels": "f32"} if series else {})
    return write(root, make, dtypes, VIEWS, **options)


def every(data, split):
    clips = data.dataset(split)
    return clips.__getitems__(list(range(len(clips))))


@pytest.mark.parametrize("series", [True, False])
def test_the_label_of_a_clip_counts_at_every_window(tmp_path, series):
    data = ClipWindows(grid(tmp_path, series=series), window=2, stride=0.4, fold=1, protocol="honest")
    assert (data.modalities, data.input_shapes) == (["face"], {"face": [10, 3, 8, 8]})
    assert data.input_kinds == {"face": "window of pictures"}
    assert (data.class_names, data.tasks, data.corpus, data.num_folds) == (CLASSES, {}, "clips", 3)
    batch = every(data, "test")
    assert batch["id"][:4] == ["s1/c02@0-2", "s1/c02@0.4-2.4", "s1/c02@0.8-2.8", "s1/c02@1-3"]
    assert sorted(set(batch["group"])) == ["s1", "s4"]
    assert batch["target"].tolist() == ([0] * 4 + [1] * 4) * 2
    assert batch["face"].shape == (16, 10, 8, 8, 3)
    assert [int(of.max()) for of in batch["face"][::4]] == [20, 30, 80, 90]
    soft = every(data, "train")["target"]
    assert torch.equal(soft[:4], torch.tensor([[1.0, 0.0]] * 4))
    assert data.train_labels.tolist() == ([0] * 4 + [1] * 4) * 2


def test_windows_train_and_score_on_the_clips_of_other_models(tmp_path):
    root = grid(tmp_path)
    for protocol in ("paper", "honest"):
        options = {"fold": 2, "protocol": protocol}
        plain, windows, frames = (cls(root, **options) for cls in (ClipsDataModule, ClipWindows, ClipFrames))
        for split, rows in plain.rows.items():
            wanted = {plain.store.ids[row] for row in rows}
            for data in (windows, frames):
                name = {"window": 2.0} if data is windows else {}
                data = type(data)(root, **options, **name)
                assert {clip.partition("@")[0] for clip in data.dataset(split).ids} == wanted


def test_what_windows_leave_out_is_said(tmp_path):
    def seen(clip, count):
        found = np.ones(count, np.uint8)
        if clip == 2:
            found[5:] = 0
        return found[: 0 if clip == 9 else None]  # nobody was found in it: an empty array

    root = grid(tmp_path, steps=lambda clip: 7 if clip == 8 else STEPS, seen=seen)
    data = ClipWindows(root, window=2, fold=1)
    with pytest.warns(UserWarning, match="left out") as warned:
        ids = data.dataset("test").ids
    said = " ".join(str(one.message) for one in warned)
    assert "1 of 4 test clips are shorter than a window of 2 s and are left out; --data.window SECONDS" in said
    assert "3 test windows show face in less than half of their steps" in said
    assert ids == ["s1/c02@0-2", "s1/c03@0-2", "s1/c03@1-3"]
    frames = ClipFrames(root, fold=1)
    with pytest.warns(UserWarning, match="1 of 4 test clips show face in no frame"):
        assert len(frames.dataset("test")) == 5 + STEPS + 7
    assert frames.input_shapes == {"face": [3, 8, 8]}
    assert frames.items("face", 0, len(frames.grid)).shape == (11 * STEPS + 7, 3, 8, 8)
    with pytest.raises(DataError, match=r"no test clips in .*4 are shorter than 4 s"):
        ClipWindows(root, fold=1, window=4).dataset("test")


def test_classes_and_values_of_windows(tmp_path):
    def columns(clip, speaker):
        return {"fold": str(speaker % 3), "value_valence": "" if clip == 3 else repr(clip / 4)}

    root = grid(tmp_path, tasks=LABEL | VALENCE, columns=columns, label=lambda clip: -1 if clip in (2, 3) else clip % 2)
    data = ClipWindows(root, window=2, fold=1, class_weighting="balanced")
    assert (data.tasks, data.num_outputs) == ({"label": 2, "valence": 0}, 3)
    with pytest.warns(UserWarning, match="1 of 12 clips have no label"):
        batch = every(data, "test")
    assert batch["target"]["label"].tolist() == [-1, -1, 0, 0, 1, 1]
    assert batch["target"]["valence"].tolist() == [0.5, 0.5, 2, 2, 2.25, 2.25]
    assert data.train_labels.tolist() == [0, 0, 1, 1] * 4
    assert data.class_weights == [1, 1]


def test_values_alone_need_no_series(tmp_path):
    root = grid(
        tmp_path,
        series=False,
        tasks=VALENCE,
        columns=lambda clip, speaker: {"fold": str(speaker % 3), "value_valence": repr(clip / 4)},
        label=lambda clip: -1,
    )
    data = ClipFrames(root, every=5)
    assert (data.class_names, data.num_outputs) == ([], 1)
    assert every(data, "test")["target"]["valence"][:4].tolist() == [0, 0, 0, 0.25]
    with pytest.raises(DataError, match="there are values alone"):
        _ = ClipFrames(root, class_weighting="balanced").class_weights


def test_what_windows_must_show_and_the_store_has_not_is_said(tmp_path):
    root = grid(tmp_path)
    with pytest.warns(UserWarning, match=r"--data\.require: .* has no kinesics, which no window has to show"):
        data = ClipWindows(root, require=["face", "kinesics"], window=2)
    assert data.require == ["face"]
    asked = ClipWindows(root, reads={"kinesics": "window of joints"})
    assert (asked.modalities, asked.kinesics) == (["kinesics"], "joints")
    with pytest.raises(DataError, match="holds no joints, which kinesics reads; it has face"):
        _ = asked.input_kinds
    assert ClipWindows(root, reads={"affect": "window of pictures"}).modalities == ["affect"]


def talk(root, lacking=(), words=True, known=True):
    def make(clip):
        wave = np.arange(1, 1001 + clip, dtype=np.int16) if ("audio", clip) not in lacking else np.empty(0, np.int16)
        film = np.full((int(("video", clip) not in lacking), 4, 8, 8, 3), 10 * clip, np.uint8)
        arrays = {"role": np.array([1], np.uint8), "audio": wave, "audio_end": np.array([len(wave)], np.int32)}
        arrays |= {"video": film, "video_seen": np.array([len(film)], np.uint8)}
        ids = np.array([[101, 7 + clip, 0, 0]], np.int32)
        nothing = np.zeros(6, np.int32)
        return arrays | ({"text": ids, "context": nothing, "chain": nothing} if words else {})

    dtypes = {"role": "u8", "audio": "i16", "audio_end": "i32", "video": "u8", "video_seen": "u8"}
    dtypes |= dict.fromkeys(("text", "context", "chain"), "i32") if words else {}
    views = {name: view for name, view in TALK.items() if words or name != "text"}

    def columns(clip, speaker):
        return {"fold": str(speaker % 3)} | ({"meta_place": ["home", "work", ""][clip % 3]} if known else {})

    return write(root, make, dtypes, views, columns=columns)


def test_a_clip_is_a_dialogue_of_one_utterance(tmp_path):
    data = ClipUtterances(talk(tmp_path, lacking={("audio", 2), ("video", 3)}), fold=1, audio_seconds=0.1)
    assert data.modalities == ["text", "audio", "video", "meta"]
    assert data.input_shapes == {
        "text": [1, 4], "context": [6], "audio": [1, 1600], "video": [1, 3, 4, 8, 8], "meta": [1],
    }  # fmt: skip
    batch = every(data, "test")
    assert batch["id"] == ["s1/c02", "s1/c03", "s4/c08", "s4/c09"]
    assert batch["role"].tolist() == [[1]] * 4
    assert batch["length"]["utterances"].tolist() == [1] * 4
    assert batch["text"][:, 0, 1].tolist() == [9, 10, 15, 16]
    assert batch["mask"]["audio"].tolist() == [False, True, True, True]
    assert batch["mask"]["video"].tolist() == [True, False, True, True]
    expected = normalised_wave(data.store.read("audio", 8), 1600)
    np.testing.assert_array_equal(batch["audio"][2, 0].numpy(), expected)
    assert [int(film.max()) for film in batch["video"]] == [20, 0, 80, 90]
    assert data.vocabularies == {"place": ["home", "work"]}
    assert batch["meta"][:, 0].tolist() == [0, 1, 0, 1]
    assert batch["target"].tolist() == [0, 1, 0, 1]
    assert not batch["mask"]["context"].any()


def test_without_texts_and_metadata(tmp_path):
    data = ClipUtterances(talk(tmp_path, words=False, known=False), fold=1)
    assert data.modalities == ["audio", "video", "meta"]
    assert data.vocabulary_sizes == {"nothing": 1}
    batch = every(data, "test")
    assert batch["meta"].tolist() == [[0]] * 4
    assert not batch["mask"]["meta"].any()
    asked = ClipUtterances(data.root, reads={"text": "utterances of tokens", "audio": "", "meta": "facts"})
    assert asked.modalities == ["text", "audio", "meta"]
    assert asked.input_kinds == {"audio": "utterances of waves", "meta": "facts"}
    assert ClipUtterances(grid(tmp_path / "grid"), modalities=["audio"]).input_kinds == {}
    (tmp_path / "prepared").rename(tmp_path / "grid" / "prepared-gated_fusion")
    assert ClipUtterances(str(tmp_path / "grid")).folder.name == "prepared-gated_fusion"
    assert ClipFrames(str(tmp_path / "grid")).folder.name == "prepared"


def test_a_corpus_with_committed_folds_has_those(tmp_path):
    settings = {"catalogue": {"name": "ravdess"}, "recipe": "all", "views": {"mfcc": {"view": "mfcc"}}, "sink": "store"}
    writer = StoreWriter(tmp_path / "prepared-all", {"mfcc": "f32"}, settings, True, schema=2)
    ids = [
        f"{kind}-01-0{emotion}-01-01-01-{actor:02d}"
        for kind, emotion in (("01", 1), ("03", 5))
        for actor in range(1, 25)
    ]
    for clip in sorted(ids):
        writer.add(clip, clip[-2:], int(clip[6:8]) - 1, {"mfcc": np.ones((13, 20), np.float32)}, clip, 0)
    writer.finish()
    data = ClipsDataModule(str(tmp_path), fold=2, protocol="honest")
    assert (data.num_folds, data.corpus, len(data.class_names)) == (6, "ravdess", 8)
    assert {data.store.groups[row] for row in data.rows["test"]} == {"09", "10", "11", "12"}
    assert {data.store.groups[row] for row in data.rows["val"]} == {"13", "14", "15", "16"}
    (tmp_path / "mine.csv").write_text("clip,speaker,fold\n01-01-01-01-01-01,01,0\n")  # a trial, no clip
    with pytest.raises(DataError, match=r"mine\.csv does not list clip 01-01-01-01-01-01-01"):
        ClipsDataModule(str(tmp_path), splits=str(tmp_path / "mine.csv"))
