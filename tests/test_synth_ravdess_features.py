"""The stand-in of the RAVDESS features: its raw format, and what can be learned from it."""

import argparse

import numpy as np
import pytest

from datamodules.errors import DataError
from datamodules.standins import ravdess_features as synth
from datamodules.standins._ravdess_trials import SIGNAL


def make(out, clips=48, seed=0):
    assert synth.run(argparse.Namespace(out=out, clips=clips, seed=seed, workers=1)) == 0
    return [dict(np.load(out / name)) for name in synth.FILES]


def test_two_files_of_the_same_trials_in_different_order(tmp_path):
    units, sound = make(tmp_path, clips=192)
    assert units["au"].shape == (192, 35)
    assert units["mfcc"].shape == (192, 259)
    assert sound["mfcc"].shape == (192, 13, 212)
    trials = [name[3:] for name in units["names"].tolist()]
    others = [name[3:] for name in sound["clip_id"].tolist()]
    assert {name[:2] for name in units["names"].tolist()} == {"01"}
    assert {name[:2] for name in sound["clip_id"].tolist()} == {"03"}
    assert sorted(trials) == sorted(others)
    assert sum(a == b for a, b in zip(trials, others, strict=True)) < 20
    assert units["emotion"].tolist() == [int(trial[3:5]) - 1 for trial in trials]
    assert units["actor"].tolist() == [int(trial[-2:]) for trial in trials]
    assert units["au"].min() >= 0


def test_same_seed_same_bytes_and_a_clip_depends_on_its_name_alone(tmp_path):
    make(tmp_path / "a")
    make(tmp_path / "b")
    make(tmp_path / "c", seed=1)
    for name in synth.FILES:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
        assert (tmp_path / "a" / name).read_bytes() != (tmp_path / "c" / name).read_bytes()
    units, _ = make(tmp_path / "d", clips=24)
    rows = {name: row for row, name in enumerate(np.load(tmp_path / "a" / synth.FILES[0])["names"].tolist())}
    larger = np.load(tmp_path / "a" / synth.FILES[0])["au"]
    np.testing.assert_array_equal(units["au"], larger[[rows[name] for name in units["names"].tolist()]])


def test_each_modality_tells_its_own_half(tmp_path):
    """Nearest class mean over other actors: five looks and five sounds, of which only the pairs are the emotions."""
    units, sound = make(tmp_path, clips=768)
    order = np.argsort([name[3:] for name in units["names"].tolist()])
    others = np.argsort([name[3:] for name in sound["clip_id"].tolist()])
    emotion, train = units["emotion"][order], units["actor"][order] <= 16
    level = sound["mfcc"][others].mean(2)

    def accuracy(features):
        features = (features - features[train].mean(0)) / features[train].std(0)
        means = np.stack([features[train & (emotion == k)].mean(0) for k in range(8)])
        distance = ((features[:, None] - means) ** 2).sum(2)
        return (distance.argmin(1) == emotion)[~train].mean()

    assert len({look for look, _ in SIGNAL.values()}) == 5
    assert 0.4 < accuracy(units["au"][order]) < 0.75
    assert 0.3 < accuracy(level) < 0.75
    assert accuracy(np.concatenate([units["au"][order], level], 1)) > 0.8


def test_run_again_changes_nothing_and_what_is_there_is_kept(tmp_path, capsys):
    make(tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert "48 trials" in before["SYNTHETIC"].decode() or "clips 48" in before["SYNTHETIC"].decode()
    make(tmp_path)
    assert "already" in capsys.readouterr().out
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    with pytest.raises(DataError, match="another corpus"):
        make(tmp_path, seed=3)
    (tmp_path / "SYNTHETIC").unlink()
    with pytest.raises(DataError, match="may be the real corpus"):
        make(tmp_path)
    with pytest.raises(DataError, match="--clips 0"):
        make(tmp_path / "new", clips=0)
