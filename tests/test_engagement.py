"""EngagementFrames and EngagementWindows over tiny stores of two corpora."""

from pathlib import Path

import numpy as np
import pytest
import torch

from datamodules.augment import IMAGENET_MEAN, IMAGENET_STD
from datamodules.engagement import EngagementFrames, EngagementWindows
from datamodules.errors import DataError
from datamodules.shapes.grids.window_rules import soft_targets
from datamodules.store.reader import Store
from datamodules.store.writer import StoreWriter

SIZE = 4
SPLITS = ("train", "train", "val", "test")


def write_store(root, corpus, counts, synthetic=True, size=SIZE, hide=(), groups=None, schema=2):
    """Videos whose pictures and joints name their step; ``hide`` are (video, step) without a face."""
    rng = np.random.default_rng(len(corpus))
    arrays = {"face": "u8", "joints": "f32", "face_seen": "u8", "joints_seen": "u8", "labels": "f32"}
    settings = {"catalogue": {"name": corpus}} if schema == 2 else {"corpus": corpus, "recipe": 1, "fps": 5}
    writer = StoreWriter(root / corpus / "prepared", arrays, settings, synthetic, ("split",), schema)
    for video, count in enumerate(counts):
        seen = np.array([(video, step) not in hide for step in range(count)], np.uint8)
        face = (
            (np.arange(count) + 10 * video)[:, None, None, None]
            * np.ones((1, size, size, 3))
            * seen[:, None, None, None]
        )
        if corpus == "noxi" and SPLITS[video % 4] == "train":
            labels = rng.dirichlet(np.ones(3), count)
        else:
            labels = np.eye(3)[rng.integers(0, 3, count)]
        stored = {
            "face": face.astype(np.uint8),
            "joints": rng.random((count, 17, 3)).astype(np.float32),
            "face_seen": seen,
            "joints_seen": np.ones(count, np.uint8),
            "labels": labels.astype(np.float32),
        }
        group = groups[video] if groups else f"g{video}"
        writer.add(f"{corpus}/v{video}", group, 0, stored, columns={"split": SPLITS[video % 4]})
    writer.finish()
    return str(root / corpus)


@pytest.fixture(scope="module")
def roots(tmp_path_factory):
    root = tmp_path_factory.mktemp("data")
    hide = {(0, 3), (0, 4), (2, 0), *((3, step) for step in range(8))}
    return [write_store(root, "daisee", [12, 12, 12, 12], hide=hide), write_store(root, "noxi", [23, 4, 23, 23])]


def frames(roots, modalities=("face",), **options):
    return EngagementFrames(list(roots), list(modalities), **{"kinesics": "joints", "augment": False, **options})


def windows(roots, modalities=("face",), **options):
    return EngagementWindows(
        list(roots), list(modalities), **{"window": 1.0, "stride": 0.4, "kinesics": "joints", **options}
    )


def whole(data, split):
    clips = data.dataset(split)
    return clips.__getitems__(list(range(len(clips))))


def step_of(clip):
    return round(5 * float(clip.partition("@")[2].partition("-")[0]))


def message(action):
    with pytest.raises(DataError) as stop:
        action()
    assert len(str(stop.value).splitlines()) <= 2
    return str(stop.value)


def test_stores_of_schema_1_and_2_are_read_alike_and_together(roots, tmp_path):
    hide = {(0, 3), (0, 4), (2, 0), *((3, step) for step in range(8))}
    old = write_store(tmp_path, "daisee", [12, 12, 12, 12], hide=hide, schema=1)
    assert [Store(Path(root) / "prepared").manifest["schema"] for root in (old, *roots)] == [1, 2, 2]
    for make in (frames, windows):
        for split in ("train", "val", "test"):
            before, now = (whole(make([root, roots[1]], ["face", "kinesics"]), split) for root in (old, roots[0]))
            assert before["id"] == now["id"]
            assert before["group"] == now["group"]
            for name in ("face", "kinesics", "target"):
                assert torch.equal(before[name], now[name])


def test_every_corpus_of_the_recipe_is_told_how_to_get_it(tmp_path):
    text = message(lambda: frames([str(tmp_path / "noxi")]).grid)
    assert "prepare noxi" in text
    assert "synth noxi" in text
    for name in ("mine", "ravdess"):  # of the latter there are no labels over time
        assert "prepare daisee" in message(lambda name=name: frames([str(tmp_path / name)]).grid)


def test_extra_columns_of_the_index_come_back(roots):
    assert [row["split"] for row in Store(frames(roots).roots[0] / "prepared").rows] == list(SPLITS)


def test_frames_are_the_seen_steps_and_carry_their_labels(roots):
    data = frames(roots, ["face", "kinesics"])
    batch = whole(data, "train")
    assert set(batch) == {"id", "group", "face", "kinesics", "length", "mask", "target"}
    assert len(batch["id"]) == (12 - 2) + 12 + 23 + 4
    assert batch["id"][:4] == ["daisee/v0@0", "daisee/v0@0.2", "daisee/v0@0.4", "daisee/v0@1"]
    assert set(batch["group"]) == {"daisee/g0", "daisee/g1", "noxi/g0", "noxi/g1"}
    assert (batch["face"].dtype, batch["face"].shape) == (torch.uint8, (49, SIZE, SIZE, 3))
    assert (batch["kinesics"].dtype, batch["kinesics"].shape) == (torch.float32, (49, 17, 3))
    for row, clip in enumerate(batch["id"]):
        store = data.grid.stores[clip.startswith("noxi")]
        video = store.ids.index(clip.partition("@")[0])
        assert (batch["face"][row] == 10 * video + step_of(clip)).all()
        np.testing.assert_array_equal(batch["kinesics"][row], store.read("joints", video)[step_of(clip)])
        np.testing.assert_allclose(batch["target"][row], store.read("labels", video)[step_of(clip)], rtol=1e-6)
    assert batch["target"].dtype == torch.float32


def test_evaluation_frames_have_hard_labels(roots):
    data = frames(roots)
    batch = whole(data, "val")
    assert batch["target"].dtype == torch.int64
    assert len(batch["id"]) == 11 + 23
    labels = np.concatenate([store.read("labels", 2) for store in data.grid.stores]).argmax(1)
    assert batch["target"].tolist() == labels[1:].tolist()


def test_every_thins_all_splits(roots):
    data = frames(roots, every=3)
    ids = whole(data, "train")["id"]
    assert [step_of(clip) for clip in ids if clip.startswith("daisee/v0")] == [0, 6, 9]  # 3 is unseen
    assert [step_of(clip) for clip in whole(data, "val")["id"] if clip.startswith("noxi")] == [
        0,
        3,
        6,
        9,
        12,
        15,
        18,
        21,
    ]


def test_pictures_are_normalised_on_the_device(roots):
    for data, shape in (
        (frames(roots, ["face", "kinesics"]), (3, SIZE, SIZE)),
        (windows(roots, ["face"]), (5, 3, SIZE, SIZE)),
    ):
        batch = whole(data, "train")
        seen = data.on_after_batch_transfer(dict(batch), 0)
        assert list(shape) == data.input_shapes["face"] == list(seen["face"].shape[1:])
        mean, std = (torch.tensor(values).view(3, 1, 1) for values in (IMAGENET_MEAN, IMAGENET_STD))
        expected = (batch["face"].movedim(-1, -3) / 255 - mean) / std
        torch.testing.assert_close(seen["face"], expected, atol=1e-5, rtol=1e-5)
        if "kinesics" in batch:
            assert seen["kinesics"] is batch["kinesics"]


def test_windows_follow_the_rule_and_fill_gaps(roots):
    data = windows(roots, ["face", "kinesics"])
    assert (data.length, data.stride) == (5, 2)
    batch = whole(data, "train")
    assert batch["id"][:5] == [f"daisee/v0@{start / 5:g}-{(start + 5) / 5:g}" for start in (0, 2, 4, 6, 7)]
    assert sum(clip.startswith("noxi/v0") for clip in batch["id"]) == 10  # 0, 2, ... 18
    assert data.windows("train").too_short == 1
    filled = {3: 2, 4: 2}
    for row, clip in enumerate(batch["id"]):
        video, first = int(clip.split("@")[0][-1]), step_of(clip)
        steps = [filled.get(step, step) if clip.startswith("daisee/v0") else step for step in range(first, first + 5)]
        assert batch["face"][row, :, 0, 0, 0].tolist() == [10 * video + step for step in steps]


def test_unseen_windows_are_dropped_and_require_makes_rows_comparable(roots):
    face, joints = windows(roots, ["face"]), windows(roots, ["kinesics"])
    both = windows(roots, ["kinesics"], require=["face", "kinesics"])
    ids = {name: whole(data, "test")["id"] for name, data in (("face", face), ("kinesics", joints), ("both", both))}
    # v3 of daisee shows no face before step 8: 6..10 is its first kept window
    assert [clip for clip in ids["face"] if clip.startswith("daisee")] == ["daisee/v3@1.2-2.2", "daisee/v3@1.4-2.4"]
    assert face.windows("test").unseen == 3
    assert len([clip for clip in ids["kinesics"] if clip.startswith("daisee")]) == 5
    assert ids["both"] == ids["face"]
    # where nothing was seen before, the first seen step stands in
    row = ids["face"].index("daisee/v3@1.4-2.4")
    assert whole(face, "test")["face"][row, :, 0, 0, 0].tolist() == [38, 38, 39, 40, 41]


def test_window_targets(roots):
    data = windows(roots)
    batch = whole(data, "train")
    expected = soft_targets(data.grid.labels, data.windows("train").starts, 5)
    np.testing.assert_array_equal(batch["target"], expected)
    np.testing.assert_allclose(batch["target"].sum(1), 1, rtol=1e-6)
    test = whole(data, "test")
    for clip, target in zip(test["id"], test["target"].tolist(), strict=True):
        store = data.grid.stores[clip.startswith("noxi")]
        votes = store.read("labels", 3)[step_of(clip) : step_of(clip) + 5].argmax(1)
        assert target == np.bincount(votes, minlength=3).argmax()


def test_no_window_crosses_two_people(roots):
    data = windows(roots)
    for split in ("train", "val", "test"):
        found = data.windows(split)
        assert (found.starts >= data.grid.first[found.video]).all()
        assert (found.starts + 5 <= data.grid.first[found.video + 1]).all()


def test_embeddings_are_views_on_one_table_with_gaps_filled(roots):
    data = windows(roots, ["affect", "kinesics"])
    count = data.count_items("affect")
    assert count == 48 + 73 == data.count_items("kinesics")
    table = torch.randn(count, 7, generator=torch.Generator().manual_seed(0))
    before = whole(data, "train")
    data.use_embeddings("affect", table)
    data.use_embeddings("kinesics", table)
    assert data.input_shapes == {"affect": [5, 7], "kinesics": [5, 7]}
    batch = data.on_after_batch_transfer(whole(data, "train"), 0)
    assert batch["id"] == before["id"]
    source = data.grid.source("affect")
    places = data.windows("train").starts[:, None] + np.arange(5)
    assert torch.equal(batch["affect"], table[torch.from_numpy(source[places])])
    assert torch.equal(batch["kinesics"], table[torch.from_numpy(places)])
    assert data._views["kinesics"].data_ptr() == table.data_ptr()  # every joint was seen: nothing was copied
    assert batch["affect"].is_contiguous()
    assert "rows" in message(lambda: data.use_embeddings("affect", table[1:]))
    assert "lacks face" in message(lambda: data.use_embeddings("face", table))


def test_embeddings_of_frames(roots):
    data = frames(roots)
    table = torch.arange(data.count_items("face")).float()[:, None].repeat(1, 2)
    data.use_embeddings("face", table)
    assert data.input_shapes == {"face": [2]}
    batch = data.on_after_batch_transfer(whole(data, "test"), 0)
    assert batch["face"][:, 0].tolist() == data.dataset("test").rows.tolist()


def test_cached_embeddings_are_what_the_encoder_says_of_the_window(roots):
    torch.manual_seed(0)
    encoder = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * SIZE * SIZE, 6), torch.nn.Tanh())
    raw, cached = windows(roots), windows(roots)
    with torch.no_grad():
        count = raw.count_items("face")
        parts = [encoder(raw.items("face", start, start + 16)) for start in range(0, count, 16)]
        cached.use_embeddings("face", torch.cat(parts))
        batch = raw.on_after_batch_transfer(whole(raw, "val"), 0)
        inside = torch.stack([encoder(clip) for clip in batch["face"]])
    torch.testing.assert_close(whole(cached, "val")["face"], inside, atol=1e-6, rtol=1e-6)


def test_items_are_normalised_steps_in_store_order_with_zeros_where_unseen(roots):
    data = frames(roots, ["face", "kinesics"])
    items = data.items("face", 0, data.count_items("face"))
    assert items.shape == (121, 3, SIZE, SIZE)
    unseen = ~torch.from_numpy(data.grid.visible("face"))
    assert (items[unseen] == 0).all()
    assert int(unseen.sum()) == 2 + 1 + 8
    batch = data.on_after_batch_transfer(whole(data, "val"), 0)
    assert torch.equal(items[torch.from_numpy(data.dataset("val").rows)], batch["face"])
    assert torch.equal(items[40:60], data.items("face", 40, 60))
    assert data.items("face", 118, 500).shape[0] == 3
    stored = np.concatenate([store.read("joints", row) for store in data.grid.stores for row in range(4)])
    np.testing.assert_array_equal(data.items("kinesics", 0, 121), stored)


def test_affect_shares_the_frames_of_the_face(roots):
    batch = whole(windows(roots, ["face", "affect"]), "val")
    assert torch.equal(batch["face"], batch["affect"])


def test_missing_clips_are_zeros_and_drawn_by_id(roots):
    data = windows(roots, ["face", "kinesics"], missing={"kinesics": 0.5})
    batch = whole(data, "train")
    mask = batch["mask"]["kinesics"]
    assert 0 < int(mask.sum()) < len(mask)
    assert batch["mask"]["face"].all()
    assert (batch["kinesics"][~mask] == 0).all()
    assert (batch["kinesics"][mask] != 0).all()
    assert mask.tolist() == [not data.is_missing("kinesics", clip) for clip in batch["id"]]


def test_class_weights_count_the_label_mass_of_training_steps(roots):
    data = windows(roots, class_weighting="balanced")
    labels = np.concatenate([store.read("labels", row) for store in data.grid.stores for row in (0, 1)])
    mass = labels.sum(0, dtype=np.float64)
    weights = np.array(data.class_weights)
    np.testing.assert_allclose(weights, mass.sum() / (3 * mass), rtol=1e-6)
    share = mass / mass.sum()
    np.testing.assert_allclose(weights / weights.sum(), (1 / share) / (1 / share).sum(), rtol=1e-6)  # the paper's
    assert frames(roots, class_weighting="balanced").class_weights == data.class_weights
    assert data.train_labels.tolist() == whole(data, "train")["target"].argmax(1).tolist()
    assert windows(roots).class_weights is None


def test_loaders_give_batches_of_a_fit(roots):
    data = windows(roots, batch_size=4)
    assert data.num_classes == 3
    assert data.selections == ["selected"]
    sizes = data.split_sizes()
    for split, loader in (("train", data.train_dataloader()), ("val", data.val_dataloader())):
        ids = [clip for batch in loader for clip in batch["id"]]
        assert len(ids) == len(set(ids)) == sizes[split]
    assert next(iter(data.val_dataloader()))["id"][0].startswith("daisee/v2")
    assert next(iter(data.test_dataloader()))["id"][0].startswith("daisee/v3")


def test_one_corpus_keeps_its_fingerprint_and_several_have_their_own(roots):
    one, both = frames(roots[:1]), frames(roots)
    assert one.fingerprint == one.grid.stores[0].fingerprint
    assert both.fingerprint not in [store.fingerprint for store in both.grid.stores]
    assert both.fingerprint != frames(roots[::-1]).fingerprint
    assert both.synthetic


def test_wrong_options_say_so_in_one_line(roots, tmp_path):
    assert "paper" in message(lambda: frames(roots, protocol="paper"))
    assert "--data.roots" in message(lambda: frames([]))
    assert "--data.every 0" in message(lambda: frames(roots, every=0))
    assert "--data.window 0.01" in message(lambda: windows(roots, window=0.01))
    assert "--data.stride 0" in message(lambda: windows(roots, stride=0))
    assert "multiple of 0.2 s" in message(lambda: windows(roots, window=0.5))
    lacking = message(lambda: windows(roots, require=["face", "kinesics"], kinesics="body").dataset("train"))
    assert "--data.require names kinesics" in lacking
    assert "holds no body" in lacking
    assert "--data.require [face]" in lacking
    assert "--data.missing" in message(lambda: frames(roots, missing={"kinesics": 0.1}))
    asked = message(lambda: frames(roots, ["kinesics"], kinesics="body").input_shapes)
    assert "holds no body, which kinesics reads; it has face, joints" in asked
    assert "once" in message(lambda: frames(roots, ["face", "face"]))
    assert "comes twice" in message(lambda: frames([roots[0], roots[0]]).grid)
    text = message(lambda: frames([str(tmp_path / "daisee")]).grid)
    assert "prepare daisee" in text
    assert "synth daisee" in text
    long = windows(roots, window=5)
    assert "3 are shorter" not in message(lambda: long.dataset("val"))
    assert "of 2 videos 2 are shorter than 5 s" in message(lambda: long.dataset("val"))


def test_real_data_and_stand_ins_do_not_mix(roots, tmp_path):
    real = write_store(tmp_path, "real", [6, 6, 6, 6], synthetic=False)
    assert "mixes" in message(lambda: frames([roots[0], real]).grid)


def test_a_person_in_two_splits_is_refused(tmp_path):
    root = write_store(tmp_path, "daisee", [6, 6, 6, 6], groups=["a", "a1", "a10", "a"])
    assert "daisee/a is in both train and test" in message(lambda: frames([root]).grid)
    nested = write_store(tmp_path, "noxi", [6, 6, 6, 6], groups=["a", "a1", "a10", "a11"])  # names are never cut
    assert len(frames([nested]).grid.ids) == 4


def test_sizes_must_agree(roots, tmp_path):
    other = write_store(tmp_path, "noxi", [6, 6, 6, 6], size=8)
    assert "differs in size" in message(lambda: frames([roots[0], other]).grid)


def test_a_store_of_another_kind_is_refused(ravdess):
    assert "labels over time" in message(lambda: frames([str(ravdess)]).grid)
