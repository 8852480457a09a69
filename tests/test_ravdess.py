"""RAVDESS batches: contract 1, the six folds, missing modalities, and augmentation where it belongs."""

import csv
import os
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from sklearn.utils.class_weight import compute_class_weight
from tiny import trainer

from datamodules import augment
from datamodules.catalogues.ravdess import EMOTIONS
from datamodules.errors import DataError
from datamodules.ravdess import SPLITS, RAVDESSDataModule
from datamodules.store.writer import StoreWriter
from lightning_modules.base import EmotionTask

FRAMES, SIZE = 8, 16  # of the fixture
ACTORS = [f"{actor:02d}" for actor in range(1, 25)]


def write_store(root, clips, arrays=("video", "mfcc")):
    """A store of random clips: ``(id, speaker, label)`` each."""
    rng = np.random.default_rng(0)
    writer = StoreWriter(root / "prepared", {name: {"video": "u8", "mfcc": "f32"}[name] for name in arrays}, {}, True)
    for clip, speaker, label in clips:
        values = {
            "video": rng.integers(0, 256, (4, 12, 12, 3), dtype=np.uint8),
            "mfcc": rng.normal(size=(13, 212)).astype(np.float32),
        }
        writer.add(clip, speaker, label, {name: values[name] for name in arrays})
    writer.finish()
    return str(root)


def copy_splits(path, change):
    """The committed split file with some rows changed or, where ``change`` returns None, left out."""
    with SPLITS.open(newline="") as file:
        rows = [dict(row) for row in csv.DictReader(file)]
    rows = [row for row in map(change, rows) if row is not None]
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return str(path)


def make(root, **options):
    return RAVDESSDataModule(str(root), **options)


def every(data, split):
    """All clips of a split as one batch."""
    clips = data.dataset(split)
    return clips.__getitems__(list(range(len(clips))))


def training(data, epoch=0):
    data.trainer = SimpleNamespace(training=True, current_epoch=epoch)
    return data


def seen(data, batch):
    """What the model sees of a batch."""
    return data.on_after_batch_transfer(batch, 0)["video"]


@pytest.mark.parametrize("protocol", ["paper", "honest"])
@pytest.mark.parametrize("fold", range(6))
def test_folds_are_four_consecutive_actors(ravdess, fold, protocol):
    data = make(ravdess, fold=fold, protocol=protocol)
    test, val = (set(ACTORS[4 * k : 4 * k + 4]) for k in (fold, (fold + 1) % 6))
    held = {split: {data.store.groups[row] for row in rows} for split, rows in data.rows.items()}
    assert held["test"] == test
    if protocol == "honest":
        assert held["val"] == val
        assert held["train"] == set(ACTORS) - test - val
    else:
        assert held["train"] == set(ACTORS) - test
        assert "val" not in held
    rows = np.concatenate(list(data.rows.values()))
    assert sorted(rows) == list(range(96))


def test_committed_splits_list_every_trial_once():
    with SPLITS.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len({row["clip"] for row in rows}) == 1440
    assert all(row["clip"].split("-")[-1] == row["speaker"] for row in rows)
    assert all(int(row["fold"]) == (int(row["speaker"]) - 1) // 4 for row in rows)


@pytest.mark.parametrize("size", [1, 5])
def test_batch_is_that_of_the_contract(ravdess, size):
    data = make(ravdess, batch_size=size)
    batch = next(iter(data.test_dataloader()))
    assert set(batch) == {"id", "group", "video", "audio", "length", "mask", "target"}
    assert batch["id"][0] == "01-01-01-01-01-01-01"
    assert batch["group"][0] == "01"
    assert len(batch["id"]) == len(batch["group"]) == size
    assert (batch["video"].dtype, batch["video"].shape) == (torch.uint8, (size, FRAMES, SIZE, SIZE, 3))
    assert (batch["audio"].dtype, batch["audio"].shape) == (torch.float32, (size, 13, 212))
    assert (batch["target"].dtype, batch["target"].tolist()) == (torch.int64, [0, 2, 4, 7, 0][:size])
    for key, dtype, value in (("mask", torch.bool, {"video": 1, "audio": 1}), ("length", torch.int64, None)):
        assert set(batch[key]) == {"video", "audio"}
        for modality, tensor in batch[key].items():
            assert (tensor.dtype, tensor.shape) == (dtype, (size,))
            steps = value[modality] if value else {"video": FRAMES, "audio": 212}[modality]
            assert tensor.tolist() == [steps] * size
    for row, clip in enumerate(batch["id"]):
        stored = data.store.ids.index(clip)
        np.testing.assert_array_equal(batch["video"][row], data.store.read("video", stored))
        np.testing.assert_array_equal(batch["audio"][row], data.store.read("mfcc", stored))
    video = seen(data, batch)
    assert (video.dtype, video.shape) == (torch.float32, (size, 3, FRAMES, SIZE, SIZE))


@pytest.mark.parametrize("seconds", [0.05, 0.2])
def test_waves_are_cut_to_their_middle_or_padded(ravdess, seconds):
    data = make(ravdess, modalities=["wave"], wave_seconds=seconds)
    samples = round(44100 * seconds)
    assert data.input_shapes == {"wave": [samples]}
    batch = every(data, "test")
    assert (batch["wave"].dtype, batch["wave"].shape) == (torch.int16, (16, samples))
    assert batch["length"]["wave"].tolist() == [min(samples, 4410)] * 16
    seen = data.on_after_batch_transfer(batch, 0)["wave"]
    stored = data.store.read("wave", data.rows["test"][3]) / 32768
    first = (4410 - samples) // 2
    expected = stored[first : first + samples] if samples < 4410 else np.pad(stored, (0, samples - 4410))
    np.testing.assert_array_equal(seen[3].numpy(), expected.astype(np.float32))
    assert seen.dtype == torch.float32
    assert seen.abs().max() <= 1


def test_waves_beside_the_other_modalities(ravdess):
    data = make(ravdess, modalities=["video", "audio", "wave"], missing={"wave": 1.0})
    batch = data.on_after_batch_transfer(every(data, "test"), 0)
    assert not batch["mask"]["wave"].any()
    assert not batch["wave"].any()
    assert batch["mask"]["video"].all()
    assert batch["length"]["video"].tolist() == [FRAMES] * 16


@pytest.mark.parametrize(("schema", "settings"), [
    (1, {"corpus": "ravdess", "recipe": 1, "audio": 16000}),
    (2, {"catalogue": {"name": "ravdess"}, "recipe": "cfnsr",
         "views": {"wave": {"view": "wave", "rate": 16000}, "mfcc": {"view": "mfcc"}}}),
])  # fmt: skip
def test_waves_of_another_rate_are_refused(tmp_path, schema, settings):
    arrays = {"wave": "i16", "mfcc": "f32"}
    writer = StoreWriter(tmp_path / "prepared", arrays, settings, True, schema=schema)
    arrays = {"wave": np.ones(9, np.int16), "mfcc": np.zeros((13, 212), np.float32)}
    writer.add("01-01-01-01-01-01-01", "01", 0, arrays, source_sha256="x")
    writer.finish()
    with pytest.raises(DataError, match=r"waves of 16000 Hz, 44100 are needed: prepare with --views\.wave\.rate 44100"):
        assert make(tmp_path, modalities=["wave"]).input_shapes
    assert make(tmp_path, modalities=["audio"]).input_shapes == {"audio": [13, 212]}
    with pytest.raises(DataError, match=r"--data\.wave_seconds -1"):
        make(tmp_path, wave_seconds=-1)


def test_batches_are_copies_of_the_store(ravdess):
    data = make(ravdess)
    every(data, "test")["audio"].zero_()
    assert every(data, "test")["audio"].abs().min() > 0


@pytest.mark.parametrize("modality", ["video", "audio"])
def test_one_modality_alone(ravdess, modality):
    data = make(ravdess, modalities=[modality])
    batch = every(data, "test")
    assert set(batch) == {"id", "group", modality, "length", "mask", "target"}
    assert set(batch["mask"]) == set(batch["length"]) == set(data.input_shapes) == {modality}
    after = data.on_after_batch_transfer(dict(batch), 0)
    assert (after[modality] is batch[modality]) == (modality == "audio")


def test_missing_clips_are_zeros_and_the_same_for_everyone(ravdess):
    rates = {"audio": 0.3, "video": 0.5}
    full = make(ravdess)
    lost = {"audio": {}, "video": {}}
    for fold in range(6):
        for protocol in ("paper", "honest"):
            for size in (1, 7, 16):
                data = make(ravdess, fold=fold, protocol=protocol, batch_size=size, missing=rates)
                for loader in (data.train_dataloader(), data.test_dataloader()):
                    for batch in loader:
                        for modality, clips in lost.items():
                            for row, clip in enumerate(batch["id"]):
                                present = bool(batch["mask"][modality][row])
                                assert clips.setdefault(clip, present) == present
                                values = batch[modality][row]
                                name = {"audio": "mfcc", "video": "video"}[modality]
                                stored = full.store.read(name, full.store.ids.index(clip))
                                np.testing.assert_array_equal(values, stored if present else np.zeros_like(stored))
    for modality, rate in rates.items():
        assert len(lost[modality]) == 96
        assert np.mean([not present for present in lost[modality].values()]) == pytest.approx(rate, abs=0.15)


def test_missing_rate_over_the_corpus(ravdess):
    data = make(ravdess, missing={"audio": 0.3})
    with SPLITS.open(newline="") as file:
        clips = ["01-" + row["clip"] for row in csv.DictReader(file)]
    assert np.mean([data.is_missing("audio", clip) for clip in clips]) == pytest.approx(0.3, abs=0.03)


def test_frames_are_spread_evenly(ravdess):
    data = make(ravdess, frames=3)
    assert data.input_shapes == {"video": [3, 3, SIZE, SIZE], "audio": [13, 212]}
    batch, whole = every(data, "test"), every(make(ravdess), "test")
    assert torch.equal(batch["video"], whole["video"][:, [0, 4, 7]])
    assert batch["length"]["video"].unique().tolist() == [3]


def test_image_size_is_made_on_the_device(ravdess):
    data = make(ravdess, image_size=10)
    assert data.input_shapes["video"] == [3, FRAMES, 10, 10]
    batch = every(data, "test")
    assert batch["video"].shape[2:4] == (SIZE, SIZE)
    views = augment.whole_views(len(batch["video"]), (SIZE, SIZE))
    expected = augment.to_float(augment.resample(batch["video"], views, 10))
    assert torch.equal(seen(data, batch), expected)
    assert list(expected.shape[1:]) == data.input_shapes["video"]


def test_shapes_and_labels_come_before_setup(ravdess):
    data = make(ravdess, class_weighting="balanced")
    assert data.input_shapes == {"video": [3, FRAMES, SIZE, SIZE], "audio": [13, 212]}
    assert data.class_names == list(EMOTIONS)
    assert data.num_classes == 8
    assert data.synthetic is True
    assert data.fingerprint == data.store.fingerprint


def test_balanced_weights_count_the_training_clips_alone(tmp_path):
    clips = [(f"01-01-{emotion:02d}-01-01-01-{actor}", actor, emotion - 1) for actor in ACTORS for emotion in (2, 3)]
    clips += [(f"01-01-02-02-01-01-{actor}", actor, 1) for actor in ACTORS[8:]]
    clips += [(f"01-01-04-01-01-01-{actor}", actor, 3) for actor in ACTORS[:4]]  # test actors alone are sad
    data = make(write_store(tmp_path, clips), class_weighting="balanced")
    labels = [label for _, actor, label in clips if actor not in ACTORS[:4]]
    assert sorted(data.train_labels) == sorted(labels)
    calm, happy = compute_class_weight("balanced", classes=np.array([1, 2]), y=np.array(labels))
    assert data.class_weights == pytest.approx([0, calm, happy, 0, 0, 0, 0, 0])


def test_color_order_swaps_channels(ravdess):
    batch = every(make(ravdess), "test")
    mirrored = {**batch, "video": batch["video"].flip(-1)}
    assert torch.equal(seen(make(ravdess, color_order="bgr"), batch), seen(make(ravdess), mirrored))
    assert not torch.equal(seen(make(ravdess, color_order="bgr"), batch), seen(make(ravdess), batch))


def test_audio_only_names_meet_the_split_file(tmp_path):
    clips = [(f"03-01-05-01-02-01-{actor}", actor, 4) for actor in ACTORS]
    root = write_store(tmp_path, clips, arrays=["mfcc"])
    data = make(root, fold=1, modalities=["audio"])
    assert [data.store.groups[row] for row in data.rows["test"]] == ["05", "06", "07", "08"]
    assert len(data.rows["train"]) == 20
    with pytest.raises(DataError, match=r"holds no video.*--data.modalities \[audio\]"):
        _ = make(root).input_shapes


def message(action):
    with pytest.raises(DataError) as stop:
        action()
    assert stop.value.exit_code == 2
    assert len(str(stop.value).splitlines()) <= 2
    return str(stop.value)


def test_missing_store_tells_both_ways_on(tmp_path):
    text = message(lambda: make(tmp_path).input_shapes)
    assert "docs/data.md" in text
    assert "cli.py prepare ravdess" in text
    assert "cli.py synth ravdess" in text


def test_a_store_of_a_recipe_that_is_missing_names_the_recipe(tmp_path):
    text = message(lambda: make(tmp_path, store="prepared-all").input_shapes)
    assert text.count("--recipe all") == 2
    assert "--recipe" not in message(lambda: make(tmp_path).input_shapes)


@pytest.mark.parametrize("store", ["", ".", "..", "../ravdess/prepared", "a/b"])
def test_a_store_is_a_folder_of_the_corpus(tmp_path, store):
    text = message(lambda: make(tmp_path, store=store))
    assert text.startswith(f"--data.store {store!r}: it ")
    assert text.endswith("prepared or prepared-RECIPE")


def test_a_store_by_a_recipe_that_keeps_other_things_is_told(tmp_path):
    writer = StoreWriter(tmp_path / "prepared", {"img_5": "u8"}, {}, True)
    writer.add("01-01-05-01-02-01-01", "01", 4, {"img_5": np.zeros((5, 3, 4, 4), np.uint8)})
    writer.finish()
    text = message(lambda: make(tmp_path, modalities=["audio"]).input_shapes)
    assert "holds no audio, but img_5; name these in --data.modalities, or another --data.store" in text


def test_unfinished_store_says_so(tmp_path):
    (tmp_path / "prepared").mkdir()
    assert "not finished" in message(lambda: make(tmp_path).input_shapes)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"fold": 6}, "--data.fold 6: RAVDESSDataModule has folds 0 to 5"),
        ({"fold": -1}, "--data.fold -1"),
        ({"missing": {"text": 0.5}}, "--data.missing names text; read are video, audio"),
        ({"missing": {"video": 0.5}, "modalities": ["audio"]}, "--data.missing names video; read are audio"),
        ({"modalities": []}, "--data.modalities []: name at least one of video, audio, wave"),
        ({"frames": 9}, "--data.frames 9: the store holds 8 frames"),
        ({"frames": 0}, "--data.frames 0"),
        ({"image_size": 0}, "--data.image_size 0"),
        ({"image_size": -3}, "--data.image_size -3"),
    ],
)
def test_impossible_options_are_refused(ravdess, options, text):
    assert text in message(lambda: make(ravdess, **options).input_shapes)


def set_first(row, **values):
    return {**row, **(values if row["clip"] == "01-01-01-01-01-01" else {})}


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda row: row if row["speaker"] != "07" else None, "does not list clip 01-01-01-01-01-01-07"),
        (lambda row: set_first(row, speaker="02"), "gives clip 01-01-01-01-01-01-01 to speaker 02, not 01"),
        (lambda row: set_first(row, fold="3"), "own.csv: speakers 01 are in both train and test"),
        (lambda row: set_first(row, fold="first"), "fold 'first' of clip 01-01-01-01-01-01"),
        (lambda row: set_first(row, fold="6"), "fold '6' of clip 01-01-01-01-01-01"),
        (lambda row: {"clip": row["clip"], "speaker": row["speaker"]}, "no column fold"),
        (lambda row: {"name": row["clip"], "speaker": row["speaker"], "fold": row["fold"]}, "no column clip"),
    ],
)
def test_wrong_split_file_is_refused(ravdess, tmp_path, change, text):
    splits = copy_splits(tmp_path / "own.csv", change)
    assert text in message(lambda: make(ravdess, splits=splits).rows)


def test_a_clip_in_two_folds_is_refused_and_an_equal_row_is_not(ravdess, tmp_path):
    path = Path(copy_splits(tmp_path / "own.csv", lambda row: row))
    first = path.read_text().splitlines()[1]
    path.write_text(path.read_text() + f" {first} \n")
    with pytest.warns(UserWarning, match=r"own.csv: 1 rows come twice and count once"):
        assert make(ravdess, splits=str(path)).folds.tolist() == make(ravdess).folds.tolist()
    path.write_text(path.read_text() + first[:-1] + "5\n")
    text = message(lambda: make(ravdess, splits=str(path)).rows)
    assert "has fold '5', but '0' in" in text
    assert "own.csv, line 2" in text


def test_unreadable_split_file_is_refused(ravdess, tmp_path):
    assert "nowhere.csv" in message(lambda: make(ravdess, splits=str(tmp_path / "nowhere.csv")).rows)
    (tmp_path / "own.csv").write_bytes(b"\xff\xfe\x00clip")
    assert "own.csv" in message(lambda: make(ravdess, splits=str(tmp_path / "own.csv")).rows)
    (tmp_path / "own.csv").write_text("")
    assert "own.csv" in message(lambda: make(ravdess, splits=str(tmp_path / "own.csv")).rows)


def test_fold_without_clips_is_refused(tmp_path):
    clips = [(f"01-01-03-01-01-01-{actor}", actor, 2) for actor in ACTORS[:8]]
    root = write_store(tmp_path, clips)
    assert len(make(root, fold=1).rows["test"]) == 4
    text = message(lambda: make(root, fold=3).rows)
    assert text == f"--data.fold 3: no test clips; there are speakers {', '.join(ACTORS[:8])}"
    assert "no train clips" in message(lambda: make(root, fold=0, protocol="honest").rows)


def test_augmentation_is_a_function_of_seed_epoch_and_clip(ravdess, monkeypatch):
    data = training(make(ravdess))
    clips = data.dataset("train")
    monkeypatch.setenv("PL_GLOBAL_SEED", "1")
    together = seen(data, clips.__getitems__([0, 9, 2]))
    torch.manual_seed(99)
    for place, row in enumerate([0, 9, 2]):  # whatever the batch mates
        torch.testing.assert_close(seen(data, clips.__getitems__([row]))[0], together[place])
    torch.testing.assert_close(seen(data, clips.__getitems__([9, 0])), together[[1, 0]])
    assert not torch.equal(seen(training(data, 1), clips.__getitems__([0, 9, 2])), together)
    monkeypatch.setenv("PL_GLOBAL_SEED", "2")
    assert not torch.equal(seen(training(data, 0), clips.__getitems__([0, 9, 2])), together)


@pytest.mark.parametrize("scope", ["clip", "frame"])
def test_frames_of_a_clip_share_the_draw_unless_told_otherwise(ravdess, scope):
    data = training(make(ravdess, augment_scope=scope))
    batch = every(data, "test")
    frozen = {**batch, "video": batch["video"][:, :1].expand(-1, FRAMES, -1, -1, -1)}
    video = seen(data, frozen)
    same = (video == video[:, :, :1]).flatten(1).all(1)
    assert same.all() if scope == "clip" else not same.any()


def test_augmentation_can_be_off(ravdess):
    data = training(make(ravdess, augment=False))
    batch = every(data, "train")
    assert torch.equal(seen(data, batch), augment.to_float(batch["video"]))


class Watcher(EmotionTask):
    """Keeps what it sees, by phase and epoch."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.head = torch.nn.Linear(3, self.num_classes)
        self.seen = {}

    def stages(self):
        return {"head": [self.head]}

    def forward(self, batch):
        phase = "train" if self.training else "test" if self.trainer.testing else "val"
        shown = self.seen.setdefault((phase, self.current_epoch), {})
        shown.update(zip(batch["id"], batch["video"], strict=True))
        return {"logits": self.head(batch["video"].mean((2, 3, 4))), "aux": {}}


@pytest.mark.parametrize("protocol", ["paper", "honest"])
def test_only_training_clips_are_augmented_during_a_fit(ravdess, tmp_path, protocol, monkeypatch):
    monkeypatch.setenv("PL_GLOBAL_SEED", os.environ.get("PL_GLOBAL_SEED", "0"))
    data = make(ravdess, protocol=protocol, batch_size=32)
    task = Watcher(num_classes=8, input_shapes=data.input_shapes)
    run = trainer(tmp_path, epochs=2, num_sanity_val_steps=1)
    run.fit(task, datamodule=data)
    run.test(task, datamodule=data, verbose=False)
    plain = {}
    for split in data.rows:
        batch = every(data, split)
        plain |= dict(zip(batch["id"], augment.to_float(batch["video"]), strict=True))
    train = [task.seen["train", epoch] for epoch in (0, 1)]
    assert len(train[0]) == len(train[1]) == len(data.rows["train"])
    changed = [not torch.equal(video, plain[clip]) for clip, video in train[0].items()]
    assert np.mean(changed) > 0.75  # an eighth is neither cropped nor flipped
    assert np.mean([not torch.equal(video, train[1][clip]) for clip, video in train[0].items()]) > 0.9
    validation = every(data, "val" if protocol == "honest" else "test")["id"]
    for phase, clips in (("val", validation), ("test", every(data, "test")["id"])):
        shown = {clip: video for key, part in task.seen.items() if key[0] == phase for clip, video in part.items()}
        assert set(shown) == set(clips)
        assert all(torch.equal(video, plain[clip]) for clip, video in shown.items())
