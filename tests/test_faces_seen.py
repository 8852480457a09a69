"""Frames without a face are masked: what batches say of them, and what models over frames make of it."""

import numpy as np
import pytest
import torch
from test_clip_shapes import every, write
from torch import nn
from windows import CLASSES, EMBEDDINGS, STEPS, TinyEncoder, windows

from datamodules.shapes.clip_grids import ClipFrames, ClipWindows
from datamodules.shapes.clips import ClipsDataModule
from lightning_modules.engagement.dynamic import UnimodalDynamic
from lightning_modules.engagement.fusion import WIRINGS, CrossMultiModalEngagement
from lightning_modules.feature_fusion import FeatureFusion
from lightning_modules.nn.pretrained_encoder import StillEncoder
from lightning_modules.nn.vector_sequence import Vector, VectorSequence
from lightning_modules.ravdess_fusion import ConcatFC

FRAMES = 6
LOST = {2: [1, 4], 3: [0, 2]}  # steps without a face by clip


def confidence(clip, count):
    found = np.full(count, 0.9, np.float32)
    found[LOST.get(clip, [])] = 0
    return found


def clips(root):
    """Face crops by BlazeFace; the last clip has none at all."""

    def make(clip):
        certain = confidence(clip, 0 if clip == 11 else FRAMES)
        video = np.full((len(certain), 8, 8, 3), 90 + clip, np.uint8)
        video[certain == 0] = 0
        return {"video": video, "video_confidence": certain, "mfcc": np.ones((13, 20), np.float32)}

    views = {"video": {"view": "faces"}, "mfcc": {"view": "mfcc"}}
    return write(root, make, {"video": "u8", "video_confidence": "f32", "mfcc": "f32"}, views)


def grid(root, confident=True):
    def make(clip):
        certain = confidence(clip, 10)
        face = np.full((10, 8, 8, 3), 90, np.uint8) + np.arange(10, dtype=np.uint8)[:, None, None, None]
        face[certain == 0] = 0
        arrays = {"face": face, "face_seen": (certain > 0).astype(np.uint8)}
        return arrays | ({"face_confidence": certain} if confident else {})

    dtypes = {"face": "u8", "face_seen": "u8"} | ({"face_confidence": "f32"} if confident else {})
    return write(root, make, dtypes, {"people": {"view": "people"}})


def shown(data, batch):
    return data.on_after_batch_transfer(batch, 0)


def test_clips_say_which_frames_show_a_face_and_zero_the_others(tmp_path):
    data = ClipsDataModule(clips(tmp_path), modalities=["video", "audio"], fold=1, augment=False)
    raw = every(data, "test")  # clips 2, 3, 8, 9
    expected = torch.from_numpy(np.stack([confidence(clip, FRAMES) > 0 for clip in (2, 3, 8, 9)]))
    assert list(raw["seen"]) == ["video"]
    assert torch.equal(raw["seen"]["video"], expected)
    assert raw["mask"]["video"].all()
    video = shown(data, raw)["video"]
    assert torch.equal(video.transpose(1, 2).flatten(2).any(2), expected)
    few = ClipsDataModule(data.root, modalities=["video"], fold=1, frames=2, augment=False)
    assert every(few, "test")["seen"]["video"].tolist() == [[True, True], [False, True], [True, True], [True, True]]


def test_a_clip_whose_frames_show_no_face_is_absent(tmp_path):
    data = ClipsDataModule(clips(tmp_path), modalities=["video", "audio"], fold=2)
    batch = every(data, "test")  # clips 4, 5, 10, 11
    assert batch["mask"]["video"].tolist() == [True, True, True, False]
    assert batch["seen"]["video"][3].tolist() == [False] * FRAMES
    one = ClipsDataModule(clips(tmp_path / "first"), modalities=["video"], fold=1, frames=1)  # of clip 3 without a face
    assert every(one, "test")["mask"]["video"].tolist() == [True, False, True, True]


def test_windows_mask_unseen_steps_where_a_confidence_is_kept_and_repeat_where_not(tmp_path):
    data = ClipWindows(grid(tmp_path / "a"), window=2, fold=1)
    raw = every(data, "test")
    expected = torch.from_numpy(np.stack([confidence(clip, 10) > 0 for clip in (2, 3, 8, 9)]))
    assert torch.equal(raw["seen"]["face"], expected)
    assert torch.equal(shown(data, raw)["face"].flatten(2).any(2), expected)
    other = ClipWindows(grid(tmp_path / "b", confident=False), window=2, fold=1)
    plain = every(other, "test")
    assert "seen" not in plain
    assert plain["face"][0, :, 0, 0, 0].tolist() == [90, 90, 92, 93, 93, *range(95, 100)]
    assert plain["id"] == raw["id"]
    frames = ClipFrames(data.root, fold=1)
    assert len(frames.dataset("test")) == 4 * 10 - 4  # a frame without a face is no frame
    assert "seen" not in every(frames, "test")


def test_embedded_windows_are_masked_as_raw_ones_are(tmp_path):
    data, encoder = ClipWindows(grid(tmp_path), window=2, fold=1), TinyEncoder().eval()
    model = UnimodalDynamic(CLASSES, {"face": [10, 3, 8, 8]}, encoder=encoder).eval()
    with torch.no_grad():
        raw = model(shown(data, every(data, "test")))["logits"]
        data.use_embeddings("face", encoder(data.items("face", 0, data.count_items("face"))))
        torch.testing.assert_close(model(shown(data, every(data, "test")))["logits"], raw)


def masked(shapes, *pairs, **options):
    batch = windows(shapes, **options)
    seen = {name: torch.ones(len(batch["id"]), shape[0], dtype=torch.bool) for name, shape in shapes.items()}
    for name, row, step in pairs:
        seen[name][row, step] = False
    return batch | {"seen": seen}


def models():
    names = ["face", "kinesics", "affect"]
    yield "dynamic", lambda: UnimodalDynamic(CLASSES, {"face": EMBEDDINGS}, dropout=0), ["face"]
    for kind, wiring in WIRINGS.items():
        some = names[: wiring.modalities]
        shapes = dict.fromkeys(some, EMBEDDINGS)
        yield kind, lambda s=shapes, m=some, k=kind: CrossMultiModalEngagement(CLASSES, s, m, k, heads=4), some


@pytest.mark.parametrize(("make", "names"), [pytest.param(make, names, id=name) for name, make, names in models()])
def test_what_stands_in_an_unseen_step_does_not_count(make, names):
    torch.manual_seed(0)
    model, shapes = make().eval(), dict.fromkeys(names, EMBEDDINGS)
    lost = [("face", 0, 1), ("face", 1, 5), ("face", 1, 0)]
    batch = masked(shapes, *lost)
    with torch.no_grad():
        known = model(batch)["logits"]
        for name, row, step in lost:
            batch[name][row, step] = 9.0
        torch.testing.assert_close(model(batch)["logits"], known, rtol=0, atol=0)
        whole = model(masked(shapes))["logits"]
        torch.testing.assert_close(whole, model(windows(shapes))["logits"], rtol=1e-5, atol=1e-6)
        assert not torch.isclose(whole[:2], known[:2]).all(1).any()
        torch.testing.assert_close(whole[2:], known[2:])


@pytest.mark.parametrize(("make", "names"), [pytest.param(make, names, id=name) for name, make, names in models()])
def test_a_window_of_which_no_step_is_seen_is_one_without_the_modality(make, names):
    torch.manual_seed(0)
    model, shapes = make(), dict.fromkeys(names, EMBEDDINGS)
    batch = masked(shapes, *[("face", 0, step) for step in range(STEPS)])
    batch["mask"]["face"][0] = False
    output = model(batch)["logits"]
    output.sum().backward()
    assert torch.isfinite(output).all()
    assert all(torch.isfinite(of.grad).all() for of in model.parameters() if of.grad is not None)
    if len(names) > 1:
        with torch.no_grad():
            model.eval()
            plain = {name: of for name, of in batch.items() if name != "seen"}
            torch.testing.assert_close(model(batch)["logits"], model(plain)["logits"], rtol=1e-5, atol=1e-6)


class MeanColour(StillEncoder):
    """An encoder of pictures whose vector is their mean colour."""

    frozen, channels = False, 3

    def __init__(self):
        super().__init__(None)

    def load_pretrained(self):
        pass

    def embed(self, pictures):
        return pictures.mean((2, 3)) + 5


def test_an_encoder_of_pictures_takes_the_mean_over_frames_with_a_face(tmp_path):
    data = ClipsDataModule(clips(tmp_path), modalities=["video", "audio"], fold=1, augment=False)
    batch = shown(data, every(data, "test"))
    encoder = MeanColour()
    for video, seen in zip(batch["video"], batch["seen"]["video"], strict=True):
        kept = encoder(video[:, seen][None])
        torch.testing.assert_close(encoder(video[None]), kept)
        assert torch.equal(encoder(video[:, seen][None]), encoder.embed(video[:, seen].transpose(0, 1)).mean(0)[None])
    assert not encoder(torch.zeros(1, 3, 2, 4, 4)).any()
    items = data.items("video", 0, data.count_items("video"))  # as a frozen one sees them, ahead of training
    torch.testing.assert_close(encoder(items)[[2, 3, 8, 9]], encoder(batch["video"]))


def vectors(root, speech="functionals"):
    """Meshes of unequal length with steps that show none, and functionals of speech that one clip lacks."""

    def make(clip):
        certain = confidence(clip, 0 if clip == 9 else 5 + clip % 3)
        mesh = np.tile(np.arange(len(certain), dtype=np.float32)[:, None] + 1, (1, 12))
        mesh[certain == 0] = 0
        voice = np.full(0 if clip == 8 else 7, clip + 1, np.float32)
        return {"mesh": mesh, "mesh_confidence": certain, "functionals": voice}

    views = {"mesh": {"view": "face_mesh"}, "functionals": {"view": speech}}
    return write(root, make, {"mesh": "f32", "mesh_confidence": "f32", "functionals": "f32"}, views)


def test_steps_of_a_mesh_without_a_face_are_left_out(tmp_path):
    data = ClipsDataModule(vectors(tmp_path), modalities=["mesh", "functionals"], fold=1)
    assert data.input_shapes == {"mesh": [7, 12], "functionals": [7]}
    batch = every(data, "test")  # clips 2, 3, 8, 9
    assert batch["mesh"][:, :, 0].tolist() == [[1, 3, 4, 6, 7, 0, 0], [2, 4, 5, 0, 0, 0, 0], [1, 2, 3, 4, 5, 6, 7],
                                               [0] * 7]  # fmt: skip
    assert batch["length"]["mesh"].tolist() == [5, 3, 7, 7]
    assert batch["mask"]["mesh"].tolist() == [True, True, True, False]
    assert batch["mask"]["functionals"].tolist() == [True, True, False, True]


@pytest.mark.parametrize("speech", ["functionals", "speech_functionals", "voice_embedding"])
def test_models_over_vectors_read_meshes_and_functionals(tmp_path, speech):
    data = ClipsDataModule(vectors(tmp_path, speech), modalities=["mesh", "functionals"], fold=1)
    batch = shown(data, every(data, "test"))
    encoders: dict[str, nn.Module] = {"mesh": VectorSequence(12, dim=8), "functionals": Vector(7, dim=8)}
    for model in (
        FeatureFusion(2, data.input_shapes, dim=8),
        ConcatFC(2, data.input_shapes, encoders=encoders),
    ):
        known = model.eval()(batch)["logits"]
        assert known.shape == (4, 2)
        assert torch.isfinite(known).all()
        alone = every(data, "test")
        alone["mesh"][3], alone["functionals"][2] = 5, 5  # what is absent
        alone["mesh"][0, 5:] = 5  # behind the end
        torch.testing.assert_close(model(alone)["logits"], known)
