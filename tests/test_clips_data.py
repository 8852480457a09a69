"""datamodules/shapes/clips.py: any store of clips: labels by task, folds and splits, arrays of every kind."""

import csv
import re
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from datamodules.errors import DataError
from datamodules.ravdess import RAVDESSDataModule
from datamodules.shapes.clips import ClipsDataModule
from datamodules.shapes.division import carve
from datamodules.store.writer import StoreWriter

SPEAKERS, EACH, CLASSES = 6, 4, ["calm", "glad"]
VIEWS = {
    "video": {"view": "faces"},
    "wave": {"view": "wave", "rate": 44100},
    "mfcc": {"view": "mfcc"},
    "img": {"view": "whole_frames"},
    "spec": {"view": "spectrograms"},
    "text": {"view": "tokens"},
    "face": {"view": "face"},
    "grid": {"view": "people"},
}
DTYPES = {"video": "u8", "wave": "i16", "mfcc": "f32", "img_10": "u8", "spec_5": "f32", "text": "i32", "face": "u8"}
EMPTY = {"video": (0, 12, 12, 3), "mfcc": (13, 0), "spec_5": (0, 1, 8, 8), "img_10": (0, 3, 8, 8)}
EMPTY |= {"wave": (0,), "text": (0,), "face": (0, 12, 3)}
CLASSES_TASK = {"label": {"kind": "classes", "classes": CLASSES}}
VALENCE = {"valence": {"kind": "value", "unit": "", "range": None}}
SOFT = {"label": {"kind": "soft", "classes": CLASSES}}


def write(
    root,
    arrays=("video", "mfcc"),
    tasks=CLASSES_TASK,
    columns=lambda clip, speaker: {"fold": str(speaker % 3)},
    label=lambda clip, speaker: clip % 2,
    lacking=lambda clip, name: False,
    change=lambda clip, arrays: arrays,
    name="prepared",
    **settings,
):
    """A store as `prepare clips` writes it: six speakers of four clips each."""
    rng = np.random.default_rng(0)
    classes = next((task["classes"] for task in tasks.values() if "classes" in task), [])
    made_by = {"name": "clips", "classes": classes, "tasks": tasks, "speakers": True, **settings}
    settings = {"catalogue": made_by, "recipe": "all", "views": VIEWS, "sink": "store"}
    names = list(columns(0, 0))
    writer = StoreWriter(root / name, {one: DTYPES.get(one, "u8") for one in arrays}, settings, True, names, schema=2)
    for clip in range(SPEAKERS * EACH):
        speaker = clip // EACH
        made = {
            "video": rng.integers(0, 256, (4, 12, 12, 3), dtype=np.uint8),
            "mfcc": rng.normal(size=(13, 20)).astype(np.float32),
            "wave": rng.integers(1, 99, 4410 + clip).astype(np.int16),
            "img_10": rng.integers(0, 256, (10, 3, 8, 8), dtype=np.uint8),
            "spec_5": rng.normal(size=(5, 1, 8, 8)).astype(np.float32),
            "text": np.array([101, 7 + clip, *[9] * (clip % 3), 0, 0, 0, 0][:5], np.int32),
            "face": rng.integers(0, 256, (12, 12, 3), dtype=np.uint8),
            "grid": np.zeros(3, np.uint8),
        }
        kept = {one: np.empty(EMPTY[one], made[one].dtype) if lacking(clip, one) else made[one] for one in arrays}
        writer.add(
            f"s{speaker}/c{clip:02d}",
            f"s{speaker}",
            label(clip, speaker),
            change(clip, kept),
            str(clip),
            0,
            columns(clip, speaker),
        )
    writer.finish()
    return str(root)


def every(data, split="test"):
    """All clips of a split as one batch."""
    clips = data.dataset(split)
    return clips.__getitems__(list(range(len(clips))))


def held(data):
    """Speakers by split."""
    return {split: sorted({data.store.groups[row] for row in rows}) for split, rows in data.rows.items()}


def test_a_batch_is_that_of_the_contract(tmp_path):
    data = ClipsDataModule(write(tmp_path))
    assert (data.class_names, data.num_classes, data.num_outputs, data.tasks) == (CLASSES, 2, 2, {})
    assert (data.corpus, data.num_folds, data.modalities) == ("clips", 3, ["video", "audio"])
    assert data.input_shapes == {"video": [3, 4, 12, 12], "audio": [13, 20]}
    batch = every(data)
    assert set(batch) == {"id", "group", "video", "audio", "length", "mask", "target"}
    assert batch["id"][:2] == ["s0/c00", "s0/c01"]
    assert sorted(set(batch["group"])) == ["s0", "s3"]
    assert (batch["target"].dtype, batch["target"][:3].tolist()) == (torch.int64, [0, 1, 0])
    assert batch["length"]["video"].tolist() == [4] * 8
    assert data.on_after_batch_transfer(batch, 0)["video"].shape == (8, 3, 4, 12, 12)
    assert data.on_after_batch_transfer(data.dataset("test")[0], 0)["video"].shape == (1, 3, 4, 12, 12)
    assert data.prepared_by["catalogue"]["name"] == data.state_dict()["corpus"] == "clips"


@pytest.mark.parametrize(("protocol", "expected"), [
    ("paper", {"train": ["s0", "s2", "s3", "s5"], "test": ["s1", "s4"]}),
    ("honest", {"train": ["s0", "s3"], "val": ["s2", "s5"], "test": ["s1", "s4"]}),
])  # fmt: skip
def test_folds(tmp_path, protocol, expected):
    assert held(ClipsDataModule(write(tmp_path), fold=1, protocol=protocol)) == expected


def test_folds_that_are_not_there(tmp_path):
    with pytest.raises(DataError, match=r"--data\.fold 3: ClipsDataModule has folds 0 to 2"):
        ClipsDataModule(write(tmp_path), fold=3)
    for number, (values, message) in enumerate([
        ("02", "no clip is in fold 1, but some are in 2"),
        ("0x", "fold 'x' of clip s1/c04 is no whole number from 0"),
    ]):  # fmt: skip
        root = write(tmp_path / str(number), columns=lambda clip, speaker, values=values: {"fold": values[speaker % 2]})
        with pytest.raises(DataError, match=message):
            ClipsDataModule(root)


def test_two_folds_are_too_few_where_one_validates(tmp_path):
    root = write(tmp_path, columns=lambda clip, speaker: {"fold": str(speaker % 2)})
    assert held(ClipsDataModule(root))["train"]
    with pytest.raises(DataError, match=r"--data\.protocol honest: .* no third that could train; make three or more"):
        ClipsDataModule(root, protocol="honest").rows  # noqa: B018


def test_a_speaker_in_two_folds_is_refused(tmp_path):
    root = write(tmp_path, columns=lambda clip, speaker: {"fold": str(clip % 2)})
    with pytest.raises(DataError, match=r"speakers s0, s1.* are in both train and test"):
        _ = ClipsDataModule(root).rows


@pytest.mark.parametrize(("names", "protocol", "expected"), [
    (["train"] * 3 + ["val", "test", "test"], "honest", {"train": "012", "val": "3", "test": "45"}),
    (["train"] * 3 + ["val", "test", "test"], "paper", {"train": "012", "test": "45"}),
    (["train"] * 4 + ["test"] * 2, "paper", {"train": "0123", "test": "45"}),
    (["train"] * 4 + ["val"] * 2, "paper", {"train": "0123", "test": "45"}),
])  # fmt: skip
def test_official_splits(tmp_path, names, protocol, expected):
    data = ClipsDataModule(write(tmp_path, columns=lambda clip, speaker: {"split": names[speaker]}), protocol=protocol)
    assert held(data) == {split: [f"s{number}" for number in numbers] for split, numbers in expected.items()}
    assert data.num_folds == 1


def test_parts_of_vgaf_are_splits_and_clips_in_none_are_left_out(tmp_path):
    parts = ["Train", "Train", "Train", "Val", "Val", "Positive"]
    data = ClipsDataModule(write(tmp_path, columns=lambda clip, speaker: {"part": parts[speaker]}))
    with pytest.warns(UserWarning, match="4 of 24 clips have no split and are left out"):
        assert held(data) == {"train": ["s0", "s1", "s2"], "test": ["s3", "s4"]}


@pytest.mark.parametrize("scored", ["test", "val"])
def test_validation_is_carved_out_of_train_by_whole_speakers(tmp_path, scored):
    root = write(tmp_path, columns=lambda clip, speaker: {"split": "train" if speaker < 4 else scored})
    data = ClipsDataModule(root, protocol="honest", validation=0.3)
    found = held(data)
    assert found["test"] == ["s4", "s5"]
    assert sorted(found["train"] + found["val"]) == ["s0", "s1", "s2", "s3"]
    assert len(found["val"]) == 1
    assert held(ClipsDataModule(root, protocol="honest", validation=0.3)) == found
    others = [held(ClipsDataModule(root, protocol="honest", split_seed=seed))["val"] for seed in range(8)]
    assert len({tuple(other) for other in others}) > 1
    more = held(ClipsDataModule(root, protocol="honest", validation=0.9))
    assert len(more["val"]) == 3  # never all


def test_what_is_carved_takes_no_class_away_and_divides_no_group():
    labels = np.array([0, 0, 1, 1, 0, 1, 2, 2])
    groups = list("aabbcdee")
    for seed in range(20):
        drawn = carve(np.delete(labels, [6, 7]), groups[:6], 0.5, seed)
        taken = {groups[row] for row in np.flatnonzero(drawn)}
        assert taken == {group for row, group in enumerate(groups[:6]) if drawn[row]}
        assert all(drawn[row] == (groups[row] in taken) for row in range(6))
        assert set(labels[:6][~drawn]) == {0, 1}
    with pytest.raises(DataError, match="too few groups train"):
        carve(labels[6:], groups[6:], 0.5, 0)


def test_splits_that_do_not_work(tmp_path):
    for number, (column, message) in enumerate([
        (lambda clip, speaker: {"split": "train"}, "no labelled test or val clips"),
        (lambda clip, speaker: {"split": "test"}, "no labelled train clips"),
        (lambda clip, speaker: {"split": ["train", "dev"][speaker % 2]}, "split 'dev' is none of train, val, test"),
        (lambda clip, speaker: {"split": ["train", "test"][clip % 2]}, "speakers s0, .* are in both train and test"),
    ]):  # fmt: skip
        with pytest.raises(DataError, match=message):
            _ = ClipsDataModule(write(tmp_path / str(number), columns=column)).rows


def write_splits(path, data, **columns):
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["clip", "speaker", *columns])
        for clip, speaker in zip(data.store.ids, data.store.groups, strict=True):
            writer.writerow([clip, speaker, *(value(speaker) for value in columns.values())])
    return str(path)


def test_a_file_of_folds_or_splits_comes_first(tmp_path):
    root = write(tmp_path)
    data = ClipsDataModule(root)
    path = write_splits(tmp_path / "folds.csv", data, fold=lambda speaker: int(speaker[1]) % 2)
    other = ClipsDataModule(root, splits=path, fold=1)
    assert other.num_folds == 2
    assert held(other)["test"] == ["s1", "s3", "s5"]
    text = (tmp_path / "folds.csv").read_text()
    (tmp_path / "folds.csv").write_text(re.sub(r",s\d,", ",,", text))  # where nobody names the speakers
    assert held(ClipsDataModule(root, splits=path, fold=1)) == held(other)
    path = write_splits(tmp_path / "splits.csv", data, split=lambda speaker: "test" if speaker == "s2" else "train")
    assert held(ClipsDataModule(root, splits=path))["test"] == ["s2"]


def test_files_of_folds_that_do_not_fit(tmp_path):
    root = write(tmp_path)
    path = tmp_path / "folds.csv"
    for text, message in (
        ("clip,fold\ns0/c00,0\n", "folds.csv does not list clip s0/c01"),
        ("clip,speaker,fold\ns0/c00,s1,0\n", "gives clip s0/c00 to speaker s1, not s0"),
        ("clip,fold\ns0/c00,0\ns0/c00,1\n", "s0/c00"),
        ("name,fold\ns0/c00,0\n", "no column clip"),
    ):
        path.write_text(text)
        with pytest.raises(DataError, match=message):
            ClipsDataModule(root, splits=str(path))
    path = write_splits(tmp_path / "other.csv", ClipsDataModule(root), unit=lambda speaker: 1)
    with pytest.raises(DataError, match="no column fold or split"):
        ClipsDataModule(root, splits=path)


def test_a_store_without_folds_asks_for_them_and_reads_as_ravdess_does(ravdess, tmp_path):
    with pytest.raises(DataError, match=r"in no fold and no split; give --data\.splits FILE"):
        ClipsDataModule(str(ravdess))
    known = RAVDESSDataModule(str(ravdess), fold=2, protocol="honest")
    fold = {group: number for number, group in zip(known.folds, known.store.groups, strict=True)}
    path = write_splits(tmp_path / "folds.csv", known, fold=fold.__getitem__)
    data = ClipsDataModule(str(ravdess), splits=path, fold=2, protocol="honest")
    # The store of the fixture is of schema 1 and names no corpus: whose classes are its?
    with pytest.raises(DataError, match="nobody says what its classes are"):
        _ = data.rows
    data.store.manifest["settings"]["corpus"] = "ravdess"
    assert data.class_names == known.class_names
    for split in ("train", "val", "test"):
        ours, theirs = every(data, split), every(known, split)
        assert ours["id"] == theirs["id"]
        for name in ("video", "audio", "target"):
            assert torch.equal(ours[name], theirs[name])
        assert all(torch.equal(ours["length"][name], theirs["length"][name]) for name in ("video", "audio"))


def test_clips_without_a_label_are_left_out_with_a_warning(tmp_path):
    root = write(tmp_path, label=lambda clip, speaker: -1 if clip % 4 == 3 else clip % 2)
    with pytest.warns(UserWarning, match="6 of 24 clips have no label and are left out"):
        rows = ClipsDataModule(root).rows
    assert {split: len(of) for split, of in rows.items()} == {"train": 12, "test": 6}
    with pytest.raises(DataError, match="no clip has a label"):
        _ = ClipsDataModule(write(tmp_path / "none", label=lambda clip, speaker: -1)).rows


def test_soft_labels(tmp_path):
    def columns(clip, speaker):
        shares = ("", "") if clip == 0 else ("0.25", "0.75")
        return {"fold": str(speaker % 3), "soft_calm": shares[0], "soft_glad": shares[1]}

    data = ClipsDataModule(write(tmp_path, tasks=SOFT, columns=columns, label=lambda clip, speaker: 1))
    assert (data.tasks, data.class_names) == ({}, CLASSES)
    with pytest.warns(UserWarning, match="1 of 24"):
        batch = every(data)
    assert (batch["target"].dtype, batch["target"].shape) == (torch.float32, (7, 2))
    assert batch["target"][0].tolist() == [0.25, 0.75]
    assert set(data.train_labels) == {1}
    assert [about["kind"] for about in data.outputs.values()] == ["soft"]


def test_classes_and_values_together(tmp_path):
    def columns(clip, speaker):
        return {"fold": str(speaker % 3), "value_valence": "" if clip % 4 == 1 else repr(clip / 8)}

    label = lambda clip, speaker: -1 if clip % 4 in (0, 1) else clip % 2  # noqa: E731
    data = ClipsDataModule(write(tmp_path, tasks=CLASSES_TASK | VALENCE, columns=columns, label=label))
    assert (data.tasks, data.num_outputs, data.outputs) == ({"label": 2, "valence": 0}, 3, CLASSES_TASK | VALENCE)
    with pytest.warns(UserWarning, match="6 of 24"):
        batch = every(data)
    assert batch["target"]["label"].tolist() == [-1, 0, 1] * 2
    assert batch["target"]["valence"].dtype == torch.float32
    assert batch["target"]["valence"].tolist() == [0.0, 0.25, 0.375, 1.5, 1.75, 1.875]
    assert data.train_labels.tolist() == [-1, 0, 1] * 4
    assert data.train_values.keys() == {"valence"}


def test_values_alone(tmp_path):
    def columns(clip, speaker):
        return {"fold": str(speaker % 3), "value_valence": "" if clip == 0 else repr(float(clip))}

    data = ClipsDataModule(write(tmp_path, tasks=VALENCE, columns=columns, label=lambda clip, speaker: -1))
    assert (data.tasks, data.class_names, data.num_outputs) == ({"valence": 0}, [], 1)
    with pytest.warns(UserWarning, match="1 of 24"):
        batch = every(data)
    assert batch["target"]["valence"].tolist() == [1, 2, 3, 12, 13, 14, 15]
    assert data.value_scales["valence"][0] == pytest.approx(np.mean([*range(4, 12), *range(16, 24)]))
    assert set(data.train_labels) == {-1}


ALL = ("video", "wave", "mfcc", "img_10", "spec_5", "text", "face")


def test_the_array_of_a_modality_is_chosen(tmp_path):
    root = write(tmp_path, arrays=ALL)
    data = ClipsDataModule(root, arrays={"video": "img", "audio": "spec_5"})
    assert data.input_shapes == {"video": [10, 3, 8, 8], "audio": [5, 1, 8, 8]}
    batch = every(data)
    assert batch["video"].dtype == torch.uint8
    assert batch["length"] == {}
    seen = data.on_after_batch_transfer(batch, 0)["video"]
    torch.testing.assert_close(seen, (batch["video"].float() / 255 - 0.5) / 0.5)
    data = ClipsDataModule(
        root, modalities=["film", "wave", "text", "face"], arrays={"film": "video"}, wave_seconds=0.1
    )
    assert data.input_shapes == {"film": [3, 4, 12, 12], "wave": [4410], "text": [5], "face": [3, 12, 12]}
    batch = every(data)
    assert (batch["text"].dtype, batch["text"][1].tolist()) == (torch.int64, [101, 8, 9, 0, 0])
    assert batch["length"]["text"].tolist()[:4] == [2, 3, 4, 2]
    seen = data.on_after_batch_transfer(batch, 0)
    assert (seen["face"].shape, seen["wave"].dtype) == ((8, 3, 12, 12), torch.float32)


def test_arrays_that_are_not_there_or_not_clips(tmp_path):
    root = write(tmp_path, arrays=("video", "mfcc", "grid"))
    for options, message in (
        ({"modalities": ["wave"]}, r"holds no wave, but video, mfcc, grid; use --data\.modalities \[video, audio\]"),
        ({"modalities": ["grid"]}, "grid of .* is made by people; clips are read from what faces, mfcc"),
        ({"arrays": {"video": "img"}}, r"holds no video, .*; use --data\.modalities \[audio\]"),
        ({"frames": 9, "modalities": ["video"]}, r"--data\.frames 9: the store holds 4 frames"),
    ):
        with pytest.raises(DataError, match=message):
            _ = ClipsDataModule(root, **{"modalities": ["video", "audio"], **options}).input_shapes
    for options, message in (
        ({"modalities": []}, r"--data\.modalities \[\]"),
        ({"modalities": ["video", "video"]}, "name each once"),
        ({"modalities": ["target"]}, "target is the name of something else in a batch"),
        ({"arrays": {"meta": "video"}}, "meta is the name of something else in a batch"),
        ({"missing": {"wave": 0.5}}, r"--data\.missing names wave; read are video, audio"),
        ({"validation": 1.0}, "a share between 0 and 1"),
        ({"store": "../other"}, r"--data\.store"),
    ):
        with pytest.raises(DataError, match=message):
            ClipsDataModule(root, **options)


def test_modalities_are_those_that_the_store_holds(tmp_path):
    assert ClipsDataModule(write(tmp_path / "a", arrays=("mfcc", "wave"))).modalities == ["audio"]
    assert ClipsDataModule(write(tmp_path / "b", arrays=("wave",))).modalities == ["wave"]


def test_the_store_is_chosen(tmp_path):
    with pytest.raises(DataError, match=r"no prepared clips in .*prepare clips --source DIR") as error:
        ClipsDataModule(str(tmp_path))
    assert "A stand-in: `python cli.py synth clips`" in str(error.value)
    root = write(tmp_path, name="prepared-all")
    assert ClipsDataModule(root).folder.name == "prepared-all"
    write(tmp_path, name="prepared-cfnsr")
    with pytest.raises(DataError, match=r"several stores, prepared-all, prepared-cfnsr; name one with --data\.store"):
        ClipsDataModule(root)
    assert ClipsDataModule(root, store="prepared-cfnsr").folder.name == "prepared-cfnsr"
    write(tmp_path)
    assert ClipsDataModule(root).folder.name == "prepared"


@pytest.mark.parametrize(("modality", "array"), [
    ("video", "video"), ("audio", "mfcc"), ("wave", "wave"), ("video", "img_10"), ("audio", "spec_5"),
    ("text", "text"), ("face", "face"),
])  # fmt: skip
def test_what_a_clip_lacks_is_zeros_and_masked(tmp_path, modality, array):
    root = write(
        tmp_path,
        arrays=("mfcc", array) if array != "mfcc" else ("mfcc",),
        lacking=lambda clip, name: name == array and clip % 4 == 0,
    )
    data = ClipsDataModule(root, modalities=[modality], arrays={modality: array})
    batch = every(data)
    assert batch["mask"][modality].tolist() == [False, True, True, True] * 2
    assert not batch[modality][0].any()
    assert batch[modality][1].any()
    assert [*data.on_after_batch_transfer(batch, 0)[modality].shape[1:]] == data.input_shapes[modality]
    assert not data.missing
    gone = ClipsDataModule(
        write(tmp_path / "gone", arrays=(array,), lacking=lambda clip, name: True),
        modalities=[modality],
        arrays={modality: array},
    )
    with pytest.raises(DataError, match=f"{array} is empty for every clip"):
        _ = gone.input_shapes


def test_silent_spectrograms_are_masked(tmp_path):
    def silent(clip, arrays):
        return {"spec_5": arrays["spec_5"] * np.float32(clip != 1)}

    data = ClipsDataModule(write(tmp_path, arrays=("spec_5",), change=silent), arrays={"audio": "spec"})
    assert every(data)["mask"]["audio"].tolist() == [True, False] + [True] * 6


def test_lengths_say_what_is_padded(tmp_path):
    def padded(clip, arrays):
        arrays["mfcc"][:, 20 - clip :] = 0
        return arrays

    data = ClipsDataModule(
        write(tmp_path, arrays=("mfcc", "wave"), change=padded, columns=lambda clip, speaker: {"fold": str(speaker)}),
        modalities=["audio", "wave"],
        wave_seconds=4412 / 44100,
    )
    batch = every(data)
    # Two steps may lack: what RAVDESS' own clips lack counts as sound there.
    assert batch["length"]["audio"].tolist() == [20, 20, 20, 17]
    assert batch["length"]["wave"].tolist() == [4410, 4411, 4412, 4412]


def test_augmentation_is_of_training_alone(tmp_path):
    data = ClipsDataModule(write(tmp_path, arrays=("video", "face")), modalities=["video", "face"])
    batch = every(data)
    plain = data.on_after_batch_transfer(batch, 0)
    data.trainer = SimpleNamespace(training=True, current_epoch=0)
    changed = data.on_after_batch_transfer(batch, 0)
    assert not torch.equal(plain["video"], changed["video"])
    assert not torch.equal(plain["face"], changed["face"])
    data.augment = False
    assert torch.equal(plain["video"], data.on_after_batch_transfer(batch, 0)["video"])


def test_meta_is_fitted_on_train(tmp_path):
    def columns(clip, speaker):
        sex = ["", "f", "m"][clip % 3]
        return {"fold": str(speaker % 3), "meta_sex": sex, "meta_town": f"t{speaker}"}

    data = ClipsDataModule(write(tmp_path, columns=columns), modalities=["audio", "meta"], missing={"meta": 0.2})
    assert data.vocabularies == {"sex": ["f", "m"], "town": ["t1", "t2", "t4", "t5"]}
    assert data.vocabulary_sizes == {"sex": 3, "town": 5}
    assert data.input_shapes["meta"] == [2]
    batch = every(data)
    kept = torch.tensor([not data.is_missing("meta", clip) for clip in batch["id"]])
    assert 0 < kept.sum() < 8
    assert batch["meta"][:, 1].tolist() == [0] * 8  # no speaker of the test fold has trained
    wanted = torch.tensor([int(clip[-2:]) % 3 for clip in batch["id"]])
    assert torch.equal(batch["meta"][:, 0], wanted * kept)
    assert torch.equal(batch["mask"]["meta"], (wanted > 0) & kept)
    assert ClipsDataModule(data.root).vocabularies == {}
    with pytest.raises(DataError, match="knows nothing of its clips besides"):
        _ = ClipsDataModule(write(tmp_path / "bare"), modalities=["meta"]).input_shapes


def test_groups_of_frames_for_a_frozen_encoder(tmp_path):
    root = write(tmp_path, arrays=("img_10", "spec_5"), lacking=lambda clip, name: clip == 1 and name == "img_10")
    data = ClipsDataModule(root, arrays={"video": "img", "audio": "spec"})
    assert data.count_items("video") == 24 * 5
    items = data.items("video", 3, 12)
    assert items.shape == (9, 2, 3, 8, 8)
    frames = torch.from_numpy(data.store.read("img_10", 2)[0:4].copy()).float() / 255
    torch.testing.assert_close(items[7:9].flatten(0, 1), (frames - 0.5) / 0.5)
    assert data.items_key("video") != ClipsDataModule(root, arrays={"video": "img"}, normalization="none").items_key(
        "video"
    )
    table = torch.arange(120.0)[:, None].repeat(1, 3)
    data.use_embeddings("video", table)
    batch = data.on_after_batch_transfer(every(data), 0)
    assert batch["video"].shape == (8, 5, 3)
    assert batch["video"][2, :, 0].tolist() == [10, 11, 12, 13, 14]
    assert not batch["video"][1].any()
    assert batch["mask"]["video"].tolist() == [True, False] + [True] * 6
    with pytest.raises(DataError, match="no items of 'audio'"):
        data.count_items("audio")


def test_texts_for_a_frozen_encoder(tmp_path):
    data = ClipsDataModule(write(tmp_path, arrays=("text",)), modalities=["text"])
    assert data.count_items("text") == 24
    assert data.items("text", 1, 3).tolist() == [[101, 8, 9, 0, 0], [101, 9, 9, 9, 0]]
    data.use_embeddings("text", torch.arange(24.0)[:, None].repeat(1, 6))
    assert every(data)["text"][:, 0].tolist() == [0, 1, 2, 3, 12, 13, 14, 15]


def test_a_model_learns_classes_and_values_of_own_clips(tmp_path, unrendered):
    import cli

    def columns(clip, speaker):
        return {"fold": str(speaker % 3), "value_valence": repr(clip / 8)}

    root = write(tmp_path / "clips", tasks=CLASSES_TASK | VALENCE, columns=columns)
    experiment = ["--config", "experiments/ravdess_audio.yaml", "--config", "experiments/synthetic/ravdess_audio.yaml"]
    data = ["--data", "ClipsDataModule", "--data.root", root, "--data.modalities", "[audio]", "--data.batch_size", "8"]
    run = [
        "--trainer.max_epochs",
        "1",
        "--trainer.default_root_dir",
        str(tmp_path / "run"),
        "--data.protocol",
        "honest",
    ]
    assert cli.main(["fit", *experiment, *data, *run]) == 0
    with (tmp_path / "run" / "predictions-selected.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 8
    assert {"target", "p_calm", "p_glad", "target_valence", "pred_valence"} <= rows[0].keys()
    assert [float(row["target_valence"]) for row in rows] == [0, 0.125, 0.25, 0.375, 1.5, 1.625, 1.75, 1.875]
