"""The stand-in of VGAF: format, determinism, refusals, and the signal: each modality tells one class from the rest."""

import argparse
from collections import Counter

import numpy as np
import pytest
import torch

import cli
from datamodules.catalogues.vgaf.labels import CLASS_NAMES, read_labels, read_sources, source_clip
from datamodules.errors import DataError
from datamodules.media.clip import read_clip
from datamodules.standins import vgaf
from datamodules.vgaf import VGAFDataModule
from datamodules.views.base import Times as spread


def arguments(out, clips=9, seed=0, workers=1):
    return argparse.Namespace(out=out, clips=clips, seed=seed, workers=workers)


def snapshot(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    out = tmp_path_factory.mktemp("synth") / "vgaf"
    assert vgaf.run(arguments(out)) == 0
    return out


def test_the_format_is_the_challenges(corpus):
    assert (corpus / "SYNTHETIC").read_text() == "affectzoo synth vgaf, version 1, seed 0, clips 9\n"
    assert sorted(path.name for path in corpus.iterdir()) == [
        "SYNTHETIC", "Synthetic", "Train", "Train_labels.txt", "Val", "Val_labels.txt", "backgrounds", "faces"
    ]  # fmt: skip
    for split, count in (("Train", 6), ("Val", 3)):
        labels = read_labels(corpus, split)
        assert Counter(labels.values()) == dict.fromkeys(range(3), count // 3)
        assert {path.stem for path in (corpus / split).iterdir()} == labels.keys()
        clip = read_clip(next((corpus / split).iterdir()), spread(5), [16000])
        assert clip.duration == pytest.approx(3)
        assert (clip.frames[0].width, clip.frames[0].height) == (96, 96)
        assert np.abs(clip.waves[16000].astype(float)).max() > 300
    train = set(read_labels(corpus, "Train"))
    for part in CLASS_NAMES:
        clips = read_labels(corpus / "Synthetic", part)
        assert len(clips) == 2
        for clip in clips:
            assert len(list((corpus / f"Synthetic/{part}/{clip}").iterdir())) == 5
        for path in (corpus / f"faces/{part}").iterdir():
            assert source_clip(path.name, train) is not None
    for row in read_sources(corpus / "Synthetic"):
        assert row["source"] in train
        assert (corpus / "faces" / row["file"]).is_file()


def test_bytes_are_a_function_of_the_seed(corpus, tmp_path):
    vgaf.run(arguments(tmp_path / "again", workers=2))
    assert snapshot(tmp_path / "again") == snapshot(corpus)
    vgaf.run(arguments(tmp_path / "other", seed=1))
    other, first = snapshot(tmp_path / "other"), snapshot(corpus)
    for name in ("Train/1_1.mp4", "Val/1_7.mp4"):
        assert other[name] != first[name]


def test_stopped_it_is_never_taken_for_whole_and_ends_with_the_same_bytes(corpus, tmp_path, monkeypatch, capsys):
    out, whole, calls = tmp_path / "out", vgaf.film, []

    def stop(*given):
        calls.append(given)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return whole(*given)

    with monkeypatch.context() as patched:
        patched.setattr(vgaf, "film", stop)
        with pytest.raises(KeyboardInterrupt):
            vgaf.run(arguments(out))
    assert cli.main(["prepare", "vgaf", "--source", str(out)]) == 2
    assert "not finished" in capsys.readouterr().err
    assert vgaf.run(arguments(out)) == 0
    assert "3 of them kept" in capsys.readouterr().out
    assert snapshot(out) == snapshot(corpus)


def test_there_already_and_refusals(corpus, tmp_path, capsys):
    before = snapshot(corpus)
    assert vgaf.run(arguments(corpus)) == 0
    assert "there already" in capsys.readouterr().out
    with pytest.raises(DataError, match="holds another corpus"):
        vgaf.run(arguments(corpus, seed=1))
    assert snapshot(corpus) == before
    (tmp_path / "real/Train").mkdir(parents=True)
    with pytest.raises(DataError, match="it may be the real corpus"):
        vgaf.run(arguments(tmp_path / "real"))
    with pytest.raises(DataError, match="--clips 3: give a number from 9"):
        vgaf.run(arguments(tmp_path / "few", clips=3))


def test_it_prepares_into_a_stand_in_that_mixes_and_validates(vgaf):
    data = VGAFDataModule(str(vgaf))
    assert data.synthetic
    assert data.input_shapes == {"video": [5, 3, 32, 32], "audio": [5, 1, 106, 106]}
    assert data.split_sizes() == {"val": 0, "train": 18, "test": 9}
    assert VGAFDataModule(str(vgaf), synth_rate=0.4).split_sizes() == {"val": 0, "train": 30, "test": 9}
    honest = VGAFDataModule(str(vgaf), synth_rate=0.3, protocol="honest")
    assert honest.split_sizes() == {"train": 21, "val": 3, "test": 9}


def test_its_own_faces_and_places_feed_the_generator(corpus, tmp_path):
    command = ["synth", "vgaf-frames", "--backgrounds", str(corpus / "backgrounds"), "--faces", str(corpus / "faces")]
    assert (
        cli.main([*command, "--out", str(tmp_path), "--frames-per-video", "2", "--max-faces", "6", "--clips", "3"]) == 0
    )
    assert len(list(tmp_path.glob("*/*/1.png"))) == 3


@pytest.mark.slow
def test_pictures_tell_positive_and_sound_tells_negative(tmp_path):
    """Averages over a frame and over time, far less than a network sees, and a ridge regression."""
    vgaf.run(arguments(tmp_path, clips=150))
    assert cli.main(["prepare", "vgaf", "--source", str(tmp_path), "--out", str(tmp_path), "--workers", "1"]) == 0
    data = VGAFDataModule(str(tmp_path))
    batches = {}
    for split in ("train", "test"):
        clips = data.dataset(split)
        batches[split] = data.on_after_batch_transfer(clips.__getitems__(list(range(len(clips)))), 0)

    def features(batch):
        video = torch.nn.functional.avg_pool2d(batch["video"].mean(1), 16).flatten(1)
        audio = torch.nn.functional.avg_pool1d(batch["audio"].mean((1, 2, 4)), 10)
        return {"video": video.numpy(), "audio": audio.numpy()}

    def scores(modalities, positive):
        train, test = (np.hstack([features(batches[split])[m] for m in modalities]) for split in ("train", "test"))
        mean, deviation = train.mean(0), train.std(0)
        train, test = (np.column_stack([(x - mean) / deviation, np.ones(len(x))]) for x in (train, test))
        target = np.eye(3)[batches["train"]["target"]]
        weights = np.linalg.solve(train.T @ train + 30 * np.eye(train.shape[1]), train.T @ target)
        truth, found = batches["test"]["target"].numpy(), (test @ weights).argmax(1)
        return (found == truth).mean(), ((found == positive) == (truth == positive)).mean()

    video, positive = scores(["video"], 0)
    audio, negative = scores(["audio"], 2)
    both, _ = scores(["video", "audio"], 0)
    assert positive > 0.7
    assert negative > 0.7
    assert both > max(video, audio) + 0.05
