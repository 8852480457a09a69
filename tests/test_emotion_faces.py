"""datamodules/emotion_faces.py: batches, targets by task, splits, the guard, weights, protocols, input."""

import lightning.pytorch as pl
import numpy as np
import pytest
import torch
from torchvision.transforms.v2 import functional as F

from datamodules.augment import IMAGENET_MEAN, IMAGENET_STD
from datamodules.batches import ClipDataset
from datamodules.catalogues.faces.corpus import CATEGORIES
from datamodules.emotion_faces import EmotionFacesDataModule
from datamodules.entries import SPLITS
from datamodules.errors import DataError
from datamodules.store.writer import StoreWriter

SIDE = 24
ARRAYS = {"face": "u8", "affect": "f32", "split": "u8", "thumbnail": "u8"}
SETTINGS = {
    1: {"corpus": "faces", "recipe": 1, "size": SIDE, "margin": 10, "seed": 101095, "categories": CATEGORIES},
    2: {"catalogue": {"name": "faces", "categories": CATEGORIES}, "recipe": "static_emotion", "views": {}},
}
# corpus: categories?, arousal and valence?, stills per split
CORPORA = {
    "affectnet": (True, True, (12, 4, 0)),
    "afew_va": (False, True, (6, 2, 2)),
    "raf_db": (True, False, (8, 2, 6)),
}


def write(root, corpora=CORPORA, settings=SETTINGS[2], shared_subject=False, schema=2):
    rng = np.random.default_rng(0)
    writer = StoreWriter(root / "prepared", ARRAYS, settings, True, schema=schema)
    picture = rng.integers(0, 256, (8, 9), dtype=np.uint8)
    for corpus, (categories, affect, counts) in corpora.items():
        for split, count in enumerate(counts):
            for i in range(count):
                thumb = rng.integers(0, 256, (8, 9), dtype=np.uint8)
                same = (("affectnet", 0, 0), ("affectnet", 0, 3), ("afew_va", 1, 0), ("raf_db", 2, 0))
                if (corpus, split, i) in same:  # one picture, in three corpora and splits
                    thumb = picture
                clip = f"{SPLITS[split]}/{i:03d}"
                subject = "one" if shared_subject else f"{SPLITS[split]}{i // 2}"
                group = f"{corpus}/{subject}" if corpus == "afew_va" else f"{corpus}/{clip}"
                arrays = {
                    "face": rng.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8),
                    "affect": np.array([i / 20, -i / 20] if affect else [np.nan, np.nan], np.float32),
                    "split": np.array([split], np.uint8),
                    "thumbnail": thumb,
                }
                writer.add(f"{corpus}/{clip}", group, i % 3 if categories else -1, arrays, clip)
    writer.finish()
    return str(root)


@pytest.fixture(scope="module", params=[1, 2], ids=["schema 1", "schema 2"])
def root(request, tmp_path_factory):
    """A store as it is written now, and one of before there were catalogues."""
    return write(tmp_path_factory.mktemp("faces"), settings=SETTINGS[request.param], schema=request.param)


def batch_of(data, split, indices=None):
    dataset = data.dataset(split)
    return dataset.__getitems__(list(range(len(dataset))) if indices is None else indices)


def test_targets_by_task(root):
    data = EmotionFacesDataModule(root)
    batch = batch_of(data, "train")
    rows = data.rows["train"]
    assert batch["id"] == [data.store.ids[row] for row in rows]
    assert batch["group"] == [data.store.groups[row] for row in rows]
    assert batch["face"].shape == (len(rows), SIDE, SIDE, 3)
    assert batch["face"].dtype == torch.uint8
    assert batch["mask"]["face"].all()
    target = batch["target"]
    assert target.keys() == {"category", "arousal", "valence"}
    assert {value.dtype for value in target.values()} == {torch.float32}
    for i, row in enumerate(rows):
        corpus, number = data.store.ids[row].split("/")[0], int(data.store.ids[row][-3:])
        categories, affect, _ = CORPORA[corpus]
        if categories:
            assert target["category"][i].tolist() == [float(k == number % 3) for k in range(8)]
        else:
            assert target["category"][i].isnan().all()
        expected = number / 20 if affect else float("nan")
        assert target["arousal"][i].item() == pytest.approx(expected, nan_ok=True)
        assert target["valence"][i].item() == pytest.approx(-expected, nan_ok=True)


def test_class_names_are_those_of_the_store_and_the_paper(root):
    assert EmotionFacesDataModule(root).class_names == list(CATEGORIES)
    assert list(CATEGORIES) == ["neutral", "happy", "sad", "surprise", "fear", "disgust", "anger", "contempt"]


def test_splits_and_guard(root):
    data = EmotionFacesDataModule(root)
    assert data.split_sizes() == {"train": 24, "val": 7, "test": 8}
    assert [data.store.ids[row] for row in np.flatnonzero(data.near_duplicates)] == [
        "affectnet/train/000",
        "affectnet/train/003",
        "afew_va/val/000",
    ]
    held = {split: {data.store.ids[row] for row in rows} for split, rows in data.rows.items()}
    assert not any(clip.split("/")[1] != split for split, clips in held.items() for clip in clips)
    assert len(data.store) - 3 == sum(map(len, held.values()))


def test_some_corpora_alone(root):
    data = EmotionFacesDataModule(root, corpora=["raf_db"])
    assert data.split_sizes() == {"train": 8, "val": 2, "test": 6}
    assert data.corpora == ["raf_db"]
    with pytest.raises(DataError, match=r"expw not in .*; there are afew_va, affectnet, raf_db"):
        _ = EmotionFacesDataModule(root, corpora=["expw"]).rows


def test_near_duplicates_of_a_corpus_not_taken_still_count(root):
    data = EmotionFacesDataModule(root, corpora=["affectnet"], protocol="paper")
    assert data.split_sizes() == {"train": 10, "test": 4, "val": 0}


def test_protocols(root):
    with pytest.raises(DataError, match="use honest"):
        _ = EmotionFacesDataModule(root, protocol="paper").rows
    with pytest.raises(DataError, match=r"--data\.protocol paper"):
        _ = EmotionFacesDataModule(root, corpora=["affectnet"]).rows
    assert EmotionFacesDataModule(root).selections == ["selected"]


def test_class_weights_over_labelled_training_stills(root):
    data = EmotionFacesDataModule(root)
    labels = [int(row["label"]) for row in np.array(data.store.rows)[data.rows["train"]]]
    labelled = [label for label in labels if label >= 0]
    assert sorted(data.train_labels.tolist()) == sorted(labelled)
    weights = data.class_weights
    for label in range(3):
        assert weights[label] == pytest.approx(len(labelled) / 3 / labelled.count(label))
    assert weights[3:] == [0.0] * 5
    assert EmotionFacesDataModule(root, corpora=["afew_va"]).class_weights is None
    assert EmotionFacesDataModule(root, class_weighting="none").class_weights is None


def test_what_the_model_sees(root):
    data = EmotionFacesDataModule(root)
    assert data.input_shapes == {"face": [3, SIDE, SIDE]}
    assert data.num_classes == 8
    assert data.synthetic
    batch = batch_of(data, "val")
    seen = data.on_after_batch_transfer(batch, 0)["face"]
    scaled = batch["face"].permute(0, 3, 1, 2).float() / 255
    expected = F.normalize(scaled, list(IMAGENET_MEAN), list(IMAGENET_STD))
    assert seen.shape == (7, 3, SIDE, SIDE)
    torch.testing.assert_close(seen, expected, rtol=0, atol=1e-5)


class Watch(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.ones(()))
        self.faces = {"train": {}, "val": {}}

    def training_step(self, batch, _):
        self.faces["train"] |= {(self.current_epoch, i): x for i, x in zip(batch["id"], batch["face"], strict=True)}
        return self.scale * batch["face"].mean()

    def validation_step(self, batch, _):
        self.faces["val"] |= {(self.current_epoch, i): x for i, x in zip(batch["id"], batch["face"], strict=True)}

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.0)


def watch(root, **options):
    module, data = Watch(), EmotionFacesDataModule(root, **options)
    quiet = {
        "logger": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "enable_checkpointing": False,
    }
    trainer = pl.Trainer(max_epochs=2, accelerator="cpu", devices=1, num_sanity_val_steps=0, **quiet)
    trainer.fit(module, datamodule=data)
    return module.faces


def test_training_pictures_alone_are_augmented_whatever_their_batch(root):
    plain = watch(root, augment=False)
    often = watch(root, augment_probability=0.3)
    other = watch(root, augment_probability=0.3, batch_size=5)
    off = watch(root, augment_probability=0.0)
    changed = [key for key, face in often["train"].items() if not torch.equal(face, plain["train"][key])]
    assert 0.7 < len(changed) / len(plain["train"]) < 1
    assert {epoch for epoch, _ in changed} == {0, 1}
    for key, face in often["train"].items():
        assert torch.equal(face, other["train"][key])
        assert torch.equal(off["train"][key], plain["train"][key])
    ids = {clip for _, clip in changed}
    assert any(not torch.equal(often["train"][0, clip], often["train"][1, clip]) for clip in ids)
    for key, face in often["val"].items():
        assert torch.equal(face, plain["val"][key])


def test_missing_faces_are_zeros_and_masked(root):
    data = EmotionFacesDataModule(root, missing={"face": 0.5})
    batch = batch_of(data, "train")
    absent = ~batch["mask"]["face"]
    assert 0 < absent.sum() < len(absent)
    assert not batch["face"][absent].any()
    assert batch["face"][~absent].flatten(1).any(1).all()


def test_batch_of_one(root):
    data = EmotionFacesDataModule(root)
    dataset: ClipDataset = data.dataset("test")
    assert data.on_after_batch_transfer(dataset[0], 0)["face"].shape == (1, 3, SIDE, SIDE)


def test_mistakes(root, tmp_path):
    for options, message in (
        ({"corpora": []}, r"--data.corpora \[\]"),
        ({"fold": 1}, "folds 0 to 0"),
        ({"augment_probability": 2.0}, "between 0 and 1"),
        ({"augment_without": ["flip"]}, "flip is none of pad, grayscale"),
        ({"missing": {"audio": 0.1}}, "read are face"),
    ):
        with pytest.raises(DataError, match=message):
            EmotionFacesDataModule(root, **options)
    with pytest.raises(DataError, match=r"cli\.py synth faces"):
        _ = EmotionFacesDataModule(str(tmp_path / "nothing")).store
    others = (
        (1, {**SETTINGS[1], "categories": ["a"]}, "faces"),
        (1, {**SETTINGS[1], "corpus": "ravdess"}, "ravdess"),
        (2, {"catalogue": {"name": "faces", "categories": ["a"]}}, "faces"),
        (2, {"catalogue": {"name": "ravdess", "categories": CATEGORIES}}, "ravdess"),
    )
    for number, (schema, settings, name) in enumerate(others):
        other = write(tmp_path / f"other{number}", settings=settings, schema=schema)
        with pytest.raises(DataError, match=f"holds {name}, not faces of this version; prepare them again"):
            _ = EmotionFacesDataModule(other).store
    shared = write(tmp_path / "shared", shared_subject=True)
    with pytest.raises(DataError, match="subject afew_va/one is in both train and val"):
        _ = EmotionFacesDataModule(shared).rows
