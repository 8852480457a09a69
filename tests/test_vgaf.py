"""VGAF's tensors: found by the released layout, checked all at once, mixed, grouped, normalised."""

import csv
import shutil
from collections import Counter

import numpy as np
import pytest
import torch
from torch import nn

from datamodules.catalogues.vgaf import tensors as vgaf_tensors
from datamodules.catalogues.vgaf.index import write_index
from datamodules.catalogues.vgaf.labels import CLASS_NAMES, source_clip
from datamodules.errors import DataError
from datamodules.vgaf import VGAFDataModule
from experiments.train import embed

TRAIN, VAL, SYNTHETIC = 12, 6, 12  # clips; classes in turn
SIZE = 16


def names(split, count):
    return [f"{'1' if split == 'Train' else '2'}_{i}" for i in range(count)]


def image(place, count):
    """Frames whose brightness says which clip and frame they are."""
    frames = 10 * place + torch.arange(count) % 100 // max(1, count // 5)
    return (frames % 256).to(torch.uint8).view(-1, 1, 1, 1).expand(-1, 3, SIZE, SIZE).contiguous()


def sound(place, count):
    return torch.full((count, 1, SIZE, SIZE), (place + 1) / 10.0)  # all zeros would be silence


def write(folder, name, video, audio, place, kind="mp4"):
    folder.mkdir(parents=True, exist_ok=True)
    torch.save(image(place, video), folder / f"{name}.{kind}.img.{video}.pt")
    torch.save(sound(place, audio), folder / f"{name}.{kind}.spec.{audio}.pt")


def make(root, video=5, audio=5, synthetic=True):
    """A corpus as somebody else's preprocessing leaves it: no index."""
    ending = 5 if video == audio == 5 else 75
    for split, count, first in (("Train", TRAIN, 0), ("Val", VAL, TRAIN)):
        for i, name in enumerate(names(split, count)):
            write(root / f"VGAF_Tensors_all_{ending}" / split, name, video, audio, first + i)
        lines = [f"{name} {i % 3 + 1}" for i, name in enumerate(names(split, count))]
        (root / f"{split}_labels.txt").write_text("\n".join(["Vid_name Label", *lines]) + "\n")
    if synthetic:
        for label, part in enumerate(CLASS_NAMES):
            folder = root / f"Synthetic2661_all_{ending}"
            own = [f"bar_Video_{i}" for i in range(SYNTHETIC // 3)]
            for i, name in enumerate(own):
                write(folder / part, name, video, audio, 100 + 10 * label + i, "synt")
            (folder / f"{part}_labels.txt").write_text(
                "\n".join(["Vid_name Label", *(f"{name} {label}" for name in own)])
            )
    return root


@pytest.fixture
def root(tmp_path):
    return make(tmp_path / "vgaf")


def every(data, split):
    clips = data.dataset(split)
    return clips.__getitems__(list(range(len(clips))))


def message(action):
    with pytest.raises(DataError) as stop:
        action()
    assert len(str(stop.value).splitlines()) <= 2
    return str(stop.value)


def test_clips_come_with_their_frames_sound_and_label(root):
    data = VGAFDataModule(str(root))
    assert data.input_shapes == {"video": [5, 3, SIZE, SIZE], "audio": [5, 1, SIZE, SIZE]}
    assert data.split_sizes() == {"val": 0, "train": TRAIN, "test": VAL}
    assert data.class_names == ["Positive", "Neutral", "Negative"]
    for split, first, count in (("train", 0, TRAIN), ("test", TRAIN, VAL)):
        batch = every(data, split)
        assert batch["id"] == batch["group"] == names("Train" if split == "train" else "Val", count)
        assert batch["target"].tolist() == [i % 3 for i in range(count)]
        assert batch["video"].dtype == torch.uint8
        assert batch["audio"].dtype == torch.float32
        for i in range(count):
            assert torch.equal(batch["video"][i], image(first + i, 5))
            assert torch.equal(batch["audio"][i], sound(first + i, 5))
        assert batch["mask"]["video"].all()
        assert batch["mask"]["audio"].all()


@pytest.mark.parametrize(
    ("video", "audio", "groups", "ending"),
    [(5, 5, 5, 5), (75, 5, 5, 75), (75, 75, 75, 75), (10, 10, 10, 75), (5, 75, 5, 75)],
)
def test_frame_counts_their_folders_and_groups(tmp_path, video, audio, groups, ending):
    root = make(tmp_path, video, audio, synthetic=False)
    assert (root / f"VGAF_Tensors_all_{ending}").is_dir()
    data = VGAFDataModule(str(root), frames={"audio": audio, "video": video})
    assert data.input_shapes == {"video": [video, 3, SIZE, SIZE], "audio": [audio, 1, SIZE, SIZE]}
    assert data.count_items("video") == (TRAIN + VAL) * groups
    items = data.items("video", 0, data.count_items("video"))
    assert items.shape == ((TRAIN + VAL) * groups, video // groups, 3, SIZE, SIZE)
    assert torch.equal(
        items.flatten(0, 1), data.to_model_input(torch.cat([image(i, video) for i in range(TRAIN + VAL)]))
    )
    assert torch.equal(data.items("video", 3, 13), items[3:13])
    assert torch.equal(data.items("video", len(items) - 2, len(items) + 9), items[-2:])


def test_video_alone_is_grouped_by_the_second(tmp_path):
    data = VGAFDataModule(str(make(tmp_path, 75, 5, synthetic=False)), frames={"video": 75}, modalities=["video"])
    assert data.items("video", 0, 1).shape == (1, 15, 3, SIZE, SIZE)
    assert data.count_items("video") == (TRAIN + VAL) * 5
    with pytest.raises(DataError, match="no items of 'audio'"):
        data.count_items("audio")


@pytest.mark.parametrize("kind", ["img", "spec"])
def test_one_modality_needs_no_file_of_the_other(root, kind):
    for path in root.rglob(f"*.{kind}.5.pt"):
        path.unlink()
    modality = "audio" if kind == "img" else "video"
    data = VGAFDataModule(str(root), modalities=[modality], synth_rate=0.25)
    batch = every(data, "train")
    assert set(batch) == {"id", "group", "length", "mask", "target", modality}
    assert data.on_after_batch_transfer(batch, 0)[modality].dtype == torch.float32
    other = VGAFDataModule(str(root), modalities=["video", "audio"])
    assert "18 problems" in message(other.split_sizes)


@pytest.mark.parametrize(
    ("normalization", "mean", "std"), [("half", 0.5, 0.5), ("imagenet", 0.485, 0.229), ("none", 0, 1)]
)
def test_what_the_model_sees_is_normalised_and_absent_clips_are_zeros(root, normalization, mean, std):
    data = VGAFDataModule(str(root), normalization=normalization, missing={"video": 0.5})
    batch = every(data, "train")
    seen = data.on_after_batch_transfer(batch, 0)["video"]
    present = batch["mask"]["video"]
    assert 0 < present.sum() < TRAIN
    assert not seen[~present].any()
    expected = (batch["video"][:, :, 0].float() / 255 - mean) / std
    torch.testing.assert_close(seen[present][:, :, 0], expected[present])
    assert torch.equal(batch["mask"]["audio"], torch.ones(TRAIN, dtype=torch.bool))


def test_float_frames_are_between_0_and_1_or_say_that_they_were_normalised(root):
    paths = sorted(root.rglob("*.img.5.pt"))
    stored = {path: torch.load(path) for path in paths}
    for path, frames in stored.items():
        torch.save(frames / 255, path)
    expected = (torch.stack([image(i, 5) for i in range(TRAIN)]) / 255 - 0.5) / 0.5
    data = VGAFDataModule(str(root))
    torch.testing.assert_close(data.on_after_batch_transfer(every(data, "train"), 0)["video"], expected)
    for path, frames in stored.items():
        torch.save(frames.float() - 7, path)
    assert "--data.normalization none" in message(VGAFDataModule(str(root)).split_sizes)
    data = VGAFDataModule(str(root), normalization="none")
    assert data.on_after_batch_transfer(every(data, "train"), 0)["video"].min() == -7


def spoil_missing(folder):
    (folder / "Train/1_0.mp4.spec.5.pt").unlink()


def spoil_broken(folder):
    (folder / "Val/2_3.mp4.img.5.pt").write_bytes(b"junk" * 50)


def spoil_cut(folder):
    path = folder / "Val/2_3.mp4.img.5.pt"
    path.write_bytes(path.read_bytes()[:-200])


def spoil_shape(folder):
    torch.save(image(0, 4), folder / "Train/1_2.mp4.img.5.pt")


def spoil_size(folder):
    torch.save(torch.zeros(5, 3, SIZE, 2 * SIZE, dtype=torch.uint8), folder / "Train/1_2.mp4.img.5.pt")


def spoil_type(folder):
    torch.save(image(0, 5) / 255, folder / "Train/1_2.mp4.img.5.pt")


def spoil_kind(folder):
    torch.save({"frames": image(0, 5)}, folder / "Train/1_2.mp4.img.5.pt")


@pytest.mark.parametrize(
    ("spoil", "text"),
    [
        (spoil_missing, "1_0.mp4.spec.5.pt is missing"),
        (spoil_broken, "2_3.mp4.img.5.pt is no plain tensor file"),
        (spoil_cut, "2_3.mp4.img.5.pt is no plain tensor file"),
        (spoil_shape, "1_2.mp4.img.5.pt is uint8 4x3x16x16, others are uint8 5x3x16x16"),
        (spoil_size, "1_2.mp4.img.5.pt is uint8 5x3x16x32"),
        (spoil_type, "1_2.mp4.img.5.pt is float32 5x3x16x16, others are uint8"),
        (spoil_kind, "1_2.mp4.img.5.pt holds a dict"),
    ],
)
def test_a_bad_tensor_is_named_before_the_first_step(root, spoil, text):
    spoil(root / "VGAF_Tensors_all_5")
    found = message(VGAFDataModule(str(root)).split_sizes)
    assert text in found
    assert "1 problem " in found


def test_all_problems_are_told_at_once(root):
    for spoil in (spoil_missing, spoil_broken, spoil_shape):
        spoil(root / "VGAF_Tensors_all_5")
    found = message(VGAFDataModule(str(root)).split_sizes)
    for text in ("3 problems", "1_0.mp4.spec", "2_3.mp4.img", "1_2.mp4.img"):
        assert text in found
    for path in root.rglob("Train/*.img.5.pt"):
        path.unlink()
    assert "14 problems" in (found := message(VGAFDataModule(str(root)).split_sizes))
    assert "and 10 more" in found


def test_values_that_are_not_finite_are_named(root):
    path = root / "VGAF_Tensors_all_5/Train/1_1.mp4.spec.5.pt"
    torch.save(torch.full((5, 1, SIZE, SIZE), torch.nan), path)
    assert "1_1.mp4.spec.5.pt holds values that are not finite" in message(
        lambda: every(VGAFDataModule(str(root)), "train")
    )


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("Vid_name Label\n1_0 4\n1_1 0\n", "line 2: label 4 is none of 1, 2, 3; line 3: label 0"),
        ("Vid_name Label\n1_0 1\n1_0 2\n", "line 3: '1_0' is '2', but '1' in "),
        ("Vid_name Label\n1_0\n", "line 2 has 1 values"),
        ("name,label\n1_0,1\n", "must name the columns Vid_name and Label"),
        ("", "must name the columns"),
        ("Vid_name Label\n", "names no clip"),
        ("Vid_name Label\n2_0 1\n", "in both Train and Val: 2_0"),
    ],
)
def test_a_wrong_label_file_is_told_line_by_line(root, content, text):
    (root / "Train_labels.txt").write_text(content)
    assert text in message(VGAFDataModule(str(root)).split_sizes)


def test_labels_of_synthetic_clips_count_from_0(root):
    path = root / "Synthetic2661_all_5/Negative_labels.txt"
    path.write_text(path.read_text().replace(" 2", " 3"))
    assert "label 3 is none of 0, 1, 2" in message(VGAFDataModule(str(root), synth_rate=0.1).split_sizes)
    path.write_text(path.read_text().replace(" 3", " 1"))
    assert "is labelled 1, the folder Negative is 2" in message(VGAFDataModule(str(root), synth_rate=0.1).split_sizes)
    assert VGAFDataModule(str(root)).split_sizes()["train"] == TRAIN  # they are not looked at


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"frames": {"audio": 10, "video": 75}}, "--data.frames: 75 of video and 10 of audio do not go together"),
        ({"frames": {"audio": 0}}, "at least 1"),
        ({"frames": {"text": 5}}, "--data.frames names text"),
        ({"modalities": []}, "--data.modalities"),
        ({"modalities": ["video", "video"]}, "each once"),
        ({"synth_rate": 1.5}, "--data.synth_rate 1.5"),
        ({"validation": 0.0}, "--data.validation"),
        ({"split_seed": -1}, "--data.split_seed"),
        ({"fold": 1}, "--data.fold 1"),
        ({"modalities": ["audio"], "missing": {"video": 0.5}}, "--data.missing names video; read are audio"),
    ],
)
def test_wrong_options_are_refused_at_once(options, text):
    assert text in message(lambda: VGAFDataModule("nowhere", **options))


def test_no_corpus_says_how_to_get_one(tmp_path):
    found = message(VGAFDataModule(str(tmp_path), frames={"video": 75}).split_sizes)
    assert "VGAF_Tensors_all_75" in found
    assert "cli.py synth vgaf" in found
    assert "--views.img.frames 75 --views.spec.segments '[5, 75]'" in found


def test_honest_selects_on_a_stratified_part_of_train(root):
    data = VGAFDataModule(str(root), protocol="honest", validation=0.25)
    assert data.split_sizes() == {"train": 9, "val": 3, "test": VAL}
    batches = {split: every(data, split) for split in ("train", "val", "test")}
    assert sorted(batches["train"]["id"] + batches["val"]["id"]) == sorted(names("Train", TRAIN))
    assert sorted(batches["val"]["target"].tolist()) == [0, 1, 2]
    assert batches["test"]["id"] == names("Val", VAL)
    assert data.val_dataloader().dataset is data._split("val")
    again = VGAFDataModule(str(root), protocol="honest", validation=0.25)
    assert every(again, "val")["id"] == batches["val"]["id"]
    others = {
        tuple(every(VGAFDataModule(str(root), protocol="honest", validation=0.25, split_seed=seed), "val")["id"])
        for seed in range(5)
    }
    assert len(others) > 1


@pytest.mark.parametrize(("rate", "expected"), [(0.0, 0), (0.2, 3), (0.3, 6), (0.5, 12), (1.0, 12)])
def test_the_mix_is_balanced_and_seeded(root, rate, expected):
    data = VGAFDataModule(str(root), synth_rate=rate)
    batch = every(data, "train")
    drawn = [clip for clip in batch["id"] if clip.startswith("synthetic/")]
    assert len(drawn) == expected
    assert len(batch["id"]) - len(drawn) == (0 if rate == 1 else TRAIN)
    assert set(Counter(clip.split("/")[1] for clip in drawn).values()) <= {expected // 3}
    for clip, target, frames in zip(batch["id"], batch["target"], batch["video"], strict=True):
        if clip in drawn:
            _, part, name = clip.split("/")
            assert target == CLASS_NAMES.index(part)
            assert torch.equal(frames, image(100 + 10 * int(target) + int(name[-1]), 5))
    assert every(VGAFDataModule(str(root), synth_rate=rate), "train")["id"] == batch["id"]
    assert every(data, "test")["id"] == names("Val", VAL)
    if rate == 0.2:
        assert (
            len(
                {
                    tuple(every(VGAFDataModule(str(root), synth_rate=rate, split_seed=s), "train")["id"])
                    for s in range(5)
                }
            )
            > 1
        )


def test_a_rate_beyond_the_bound_says_which_is_possible(root):
    found = message(VGAFDataModule(str(root), synth_rate=0.6).split_sizes)
    assert "6 synthetic clips of every class are wanted" in found
    assert "at most 0.5 is possible" in found
    VGAFDataModule(str(root), synth_rate=0.5).split_sizes()
    shutil.rmtree(root / "Synthetic2661_all_5")
    assert "no synthetic clips in" in message(VGAFDataModule(str(root), synth_rate=0.1).split_sizes)


def test_a_synthetic_clip_without_its_sound_is_named(root):
    (root / "Synthetic2661_all_5/Neutral/bar_Video_1.synt.spec.5.pt").unlink()
    assert "bar_Video_1.synt.spec.5.pt is missing" in message(VGAFDataModule(str(root), synth_rate=0.1).split_sizes)


def sources(root, rows):
    with (root / "Synthetic2661_all_5/sources.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, ["clip", "kind", "file", "source", "split"], restval="")
        writer.writeheader()
        writer.writerows(rows)


def test_a_list_of_sources_with_holes_is_refused(root):
    for row, words in (
        ({"clip": "Positive/bar_Video_1", "source": ""}, "line 2: clip or source is empty"),
        ({"clip": "bar_Video_1", "source": "1_0.png"}, "'bar_Video_1' is no synthetic clip"),
    ):
        sources(root, [row])
        assert words in message(VGAFDataModule(str(root), synth_rate=0.1).split_sizes)


def test_sources_that_nobody_knows_are_counted(root):
    sources(root, [{"clip": "Positive/bar_Video_1", "source": "9_99_face.png"}])
    with pytest.warns(UserWarning, match="1 sources are no clip of Train or Val"):
        VGAFDataModule(str(root), synth_rate=0.1).split_sizes()


def test_a_silent_clip_has_no_sound(root):
    path = root / "VGAF_Tensors_all_5/Val/2_0.mp4.spec.5.pt"
    torch.save(torch.zeros(5, 1, SIZE, SIZE), path)
    batch = every(VGAFDataModule(str(root)), "test")
    silent = [clip.endswith("2_0") for clip in batch["id"]]
    assert sum(silent) == 1
    assert batch["mask"]["audio"].tolist() == [not found for found in silent]


@pytest.mark.parametrize(
    "row",
    [
        {"source": "2_1"},
        {"source": "2_1_face3.png"},
        {"source": "faces/Positive/2_1/0.png"},
        {"source": "somebody.png", "split": "Test"},
        {"source": "Test/9_99.png"},
        {"source": "Val/9_98_face0.png"},
    ],
)
def test_faces_of_clips_that_are_scored_are_refused(root, row):
    sources(root, [{"clip": "Positive/bar_Video_0", "kind": "face", "file": "x.png", "source": "1_0"}])
    VGAFDataModule(str(root), synth_rate=0.2).split_sizes()
    sources(root, [{"clip": "Positive/bar_Video_0", "kind": "face", "file": "x.png", **row}])
    found = message(VGAFDataModule(str(root), synth_rate=0.2).split_sizes)
    assert "must come from Train alone, 1 do not: Positive/bar_Video_0 has x.png of" in found


def test_the_longest_name_is_the_source():
    clips = {"1_1", "1_10", "1_1_0"}
    assert [source_clip(name, clips) for name in ("1_1_face.png", "1_10_face.png", "1_1_0_face.png", "1_100.png")] == [
        "1_1",
        "1_10",
        "1_1_0",
        None,
    ]


def test_synthetic_clips_made_of_clips_that_validate_do_not_train(root):
    held = every(VGAFDataModule(str(root), protocol="honest", validation=0.25), "val")["id"]
    sources(root, [{"clip": "Positive/bar_Video_0", "kind": "sound", "source": held[1]}])
    honest = VGAFDataModule(str(root), protocol="honest", validation=0.25, synth_rate=0.5)
    train = every(honest, "train")["id"]
    assert sum(clip.startswith("synthetic/") for clip in train) == 9
    assert "synthetic/Positive/bar_Video_0" not in train
    assert "(1 of all classes have faces or sound of clips that validate)" in message(
        VGAFDataModule(str(root), protocol="honest", validation=0.25, synth_rate=0.55).split_sizes
    )


def test_embeddings_stand_for_groups_of_frames(tmp_path):
    root = make(tmp_path, 75, 5, synthetic=False)
    data = VGAFDataModule(str(root), frames={"video": 75}, missing={"video": 0.3})
    items = data.items("video", 0, data.count_items("video"))
    means = items.mean((1, 3, 4))  # an encoder that gives the mean of each channel, meaned over the group
    data.use_embeddings("video", means)
    assert data.input_shapes["video"] == [75, 3, SIZE, SIZE]
    batch = data.on_after_batch_transfer(every(data, "test"), 0)
    assert batch["video"].shape == (VAL, 5, 3)
    for i, present in enumerate(batch["mask"]["video"]):
        expected = means.view(-1, 5, 3)[TRAIN + i] if present else torch.zeros(5, 3)
        assert torch.equal(batch["video"][i], expected)
    assert not batch["mask"]["video"].all()
    with pytest.raises(DataError, match="wanted 90 rows"):
        data.use_embeddings("video", means[1:])


class Means(nn.Module):
    """An encoder: three numbers of a group of frames."""

    def forward(self, groups):
        return groups.mean((1, 3, 4))


def test_stored_embeddings_are_of_the_options_they_were_made_with(root):
    def stored(**options):
        data = VGAFDataModule(str(root), **options)
        return data, embed.embeddings(Means(), data, "video")

    (data, half), (_, imagenet) = stored(), stored(normalization="imagenet")
    torch.testing.assert_close(half, Means()(data.items("video", 0, 90)))
    assert not torch.equal(half, imagenet)
    stored(synth_rate=0.2)
    stored(synth_rate=0.3)  # the same clips are there to draw from
    assert len(list((root / "embeddings").iterdir())) == 3


def test_a_folder_without_an_index_has_the_fingerprint_that_indexing_gives_it(root):
    before = VGAFDataModule(str(root))
    fingerprint = before.fingerprint
    manifest = write_index(root, synthetic=False, about={})
    after = VGAFDataModule(str(root))
    assert after.fingerprint == manifest["fingerprint"] == fingerprint
    assert not after.synthetic
    batches = every(before, "train"), every(after, "train")
    assert torch.equal(batches[0]["video"], batches[1]["video"])
    torch.save(image(200, 5), root / "VGAF_Tensors_all_5/Train/1_0.mp4.img.5.pt")  # as long as before
    shutil.rmtree(root / "prepared")
    assert VGAFDataModule(str(root)).fingerprint != fingerprint


def test_an_indexed_folder_opens_no_tensor_and_notices_every_change(root, monkeypatch):
    write_index(root, synthetic=True, about={})
    path = root / "VGAF_Tensors_all_5/Train/1_0.mp4.img.5.pt"
    with monkeypatch.context() as patched:
        patched.setattr(vgaf_tensors, "read_header", lambda path: pytest.fail(f"{path} was opened"))
        data = VGAFDataModule(str(root), synth_rate=0.2)
        assert data.split_sizes()["train"] == TRAIN + 3
        assert data.synthetic
    whole = path.read_bytes()
    torch.save(image(200, 5), path)
    assert "1_0.mp4.img.5.pt is not what was prepared" in message(VGAFDataModule(str(root)).split_sizes)
    path.unlink()
    assert "1_0.mp4.img.5.pt is missing" in message(VGAFDataModule(str(root)).split_sizes)
    path.write_bytes(whole)
    assert VGAFDataModule(str(root)).split_sizes()["train"] == TRAIN
    (root / "Train_labels.txt").write_text((root / "Train_labels.txt").read_text() + "1_99 1\n")
    assert "Train_labels.txt changed since" in message(VGAFDataModule(str(root)).split_sizes)


@pytest.mark.parametrize("name", ["index.csv", "manifest.json", "COMPLETE"])
def test_a_spoilt_index_is_one_line(root, name):
    write_index(root, synthetic=False, about={})
    path = root / "prepared" / name
    content = path.read_text()
    path.write_text(content[: len(content) // 2])
    assert "prepared" in message(VGAFDataModule(str(root)).split_sizes)
    path.unlink()
    assert "prepared" in message(VGAFDataModule(str(root)).split_sizes)


def test_what_is_in_a_file_is_not_executed(root, tmp_path):
    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "ran"), "w"))

    torch.save(Evil(), root / "VGAF_Tensors_all_5/Train/1_0.mp4.img.5.pt")
    assert "is no plain tensor file" in message(VGAFDataModule(str(root)).split_sizes)
    assert not (tmp_path / "ran").exists()


def test_loaders_give_every_clip_once(root):
    data = VGAFDataModule(str(root), synth_rate=0.2, batch_size=4, num_workers=1)
    ids = [clip for batch in data.train_dataloader() for clip in batch["id"]]
    assert sorted(ids) == sorted(every(data, "train")["id"])
    assert ids != every(data, "train")["id"]
    assert np.bincount(data.train_labels).tolist() == [5, 5, 5]


@pytest.mark.parametrize("indexed", [False, True])
def test_a_flipped_bit_is_found_when_the_file_is_first_read_and_not_at_start(root, indexed):
    path = root / "VGAF_Tensors_all_5/Train/1_1.mp4.img.5.pt"
    if indexed:
        write_index(root, synthetic=False, about={})
    whole = bytearray(path.read_bytes())
    whole[len(whole) // 2] ^= 1
    path.write_bytes(whole)
    data = VGAFDataModule(str(root))
    assert data.split_sizes()["train"] == TRAIN
    every(data, "test")
    text = message(lambda: every(data, "train"))
    assert str(path) in text
    assert "Bad CRC-32" in text


@pytest.mark.parametrize("text", ["[]", "null", "3", "{}", '{"texts": 3, "synthetic": false}'])
def test_another_kind_of_manifest_is_one_line(root, text):
    write_index(root, synthetic=False, about={})
    (root / "prepared" / "manifest.json").write_text(text)
    found = message(VGAFDataModule(str(root)).split_sizes)
    assert str(root / "prepared") in found
    assert "prepare again" in found
