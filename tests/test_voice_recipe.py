"""The recipe `voice`: functionals of speech and the embedding of the voice, and `prepare ravdess_voice`."""

import argparse
import csv

import numpy as np
import pytest
import torch

import cli
from datamodules.entries import Entry, Scan
from datamodules.errors import DataError, MediaError
from datamodules.media.clip import Clip
from datamodules.media.speech_frames import speech_frames
from datamodules.prepare import ravdess_voice as prepare
from datamodules.standins import ravdess_voice as synth
from datamodules.store.reader import Store
from datamodules.views import voice_embedding
from datamodules.views.speech_functionals import SpeechFunctionals, functionals
from datamodules.views.voice_embedding import VoiceEmbedding
from lightning_modules.nn.voice_encoder import VoiceEncoder

RATE = 16_000


def clip_of(wave):
    return Clip(len(wave) / RATE, [], np.empty(0), np.empty(0), {RATE: wave})


def glide(low, high, seconds=2.0, harmonics=8):
    """A voice whose pitch glides, 0.3 s of silence before and after."""
    time = np.arange(int(seconds * RATE)) / RATE
    phase = 2 * np.pi * np.cumsum(low * (high / low) ** (time / seconds)) / RATE
    tone = sum(np.sin(number * phase) / number for number in range(1, harmonics + 1))
    return np.round(np.pad(4000 * tone, int(0.3 * RATE))).astype(np.int16)


@pytest.mark.parametrize(("low", "high"), [(100, 100), (220, 220), (90, 180), (400, 250)])
def test_pitch_and_stretches_are_found(low, high):
    of = speech_frames(glide(low, high))
    wanted = 12 * np.log2(low * (high / low) ** ((np.arange(len(of.pitch)) * 0.01 - 0.3) / 2) / 27.5)
    inside = slice(40, 220)
    assert of.voiced[inside].all()
    assert not of.voiced[:25].any()
    assert not of.speech[:25].any()
    assert np.abs(of.pitch - wanted)[inside].max() < 0.2  # semitones
    assert np.abs(of.energy[of.speech]).mean() < 3


def test_functionals_know_no_level_and_are_the_same_again():
    wave = glide(120, 200)
    found = functionals(wave)
    assert found.shape == (1286,)
    assert np.isfinite(found).all()
    np.testing.assert_allclose(functionals(wave * 2), found, rtol=1e-3, atol=2e-2)
    assert np.abs(functionals(glide(200, 120)) - found).max() > 1
    values, padded = SpeechFunctionals().make(Entry("a"), clip_of(wave))
    assert (values.dtype, padded) == (np.float32, 0)


@pytest.mark.parametrize("wave", [np.zeros(RATE, np.int16), np.ones(100, np.int16)])
def test_what_is_no_speech_is_refused(wave):
    with pytest.raises(MediaError):
        SpeechFunctionals().make(Entry("a"), clip_of(wave))


def test_noise_and_a_click_have_functionals():
    noise = np.random.default_rng(0).integers(-3000, 3000, RATE).astype(np.int16)
    click = np.zeros(RATE, np.int16)
    click[RATE // 2] = 20000
    for wave in (noise, click):
        assert np.isfinite(functionals(wave)).all()


@pytest.mark.parametrize("samples", [8000, 25600, 60000])
def test_the_view_embeds_as_the_frozen_encoder_does(samples, tmp_path):
    torch.manual_seed(0)
    network = VoiceEncoder(weights=None).network
    torch.save({"model_state": network.state_dict()}, tmp_path / "v.pt")
    encoder = VoiceEncoder(str(tmp_path / "v.pt"))
    encoder.load_pretrained()
    wave = np.random.default_rng(1).normal(0, 300, samples).astype(np.int16)
    with torch.no_grad():
        wanted = encoder.eval()(torch.from_numpy(wave / np.float32(32768))[None])[0]
    view, _ = VoiceEmbedding(str(tmp_path / "v.pt")).bind("--views.voice", Scan([]), tmp_path)
    found, _ = view.make(Entry("a"), clip_of(wave))
    np.testing.assert_allclose(found, wanted.numpy(), atol=2e-5)


def test_weights_that_are_missing_or_others_are_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr(voice_embedding.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(DataError, match=r"--views\.voice: Resemblyzer is missing: pip install --no-deps"):
        VoiceEmbedding().bind("--views.voice", Scan([]), tmp_path)
    (tmp_path / "other.pt").write_bytes(b"no weights")
    with pytest.raises(DataError, match="holds no voice encoder"):
        VoiceEmbedding(str(tmp_path / "other.pt")).make(Entry("a"), clip_of(glide(100, 100)))


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    """Stand-in in the raw format: 24 trials."""
    root = tmp_path_factory.mktemp("voice") / "raw"
    synth.run(argparse.Namespace(out=root, clips=24, seed=0, workers=1))
    return root


def test_sounds_are_joined_by_trial(raw, tmp_path, capsys):
    run = ["prepare", "ravdess_voice", "--source", str(raw), "--out", str(tmp_path), "--workers", "1"]
    assert cli.main(run) == 0
    joined, store = np.load(tmp_path / "prepared" / "features.npz"), Store(tmp_path / "prepared-voice")
    with (tmp_path / "prepared" / "index.csv").open() as file:
        ids = [row["id"] for row in csv.DictReader(file)]
    assert joined["id"].tolist() == ids
    assert len(ids) == 24
    for row, clip in enumerate(ids):
        place = store.ids.index(f"03{clip[2:]}")
        for name, size in (("sound", 1286), ("voice", 512)):
            assert joined[name].shape == (24, size)
            np.testing.assert_array_equal(joined[name][row], store.read(name, place))
    assert cli.main(run) == 0
    assert "already" in capsys.readouterr().out


def test_a_trial_without_sound_is_named(raw, tmp_path):
    sound = next(raw.glob("speech_16k/*/*.wav"))
    kept = sound.read_bytes()
    sound.unlink()
    with pytest.raises(DataError, match=f"trial {sound.stem[3:]} is not in all of"):
        prepare.run(argparse.Namespace(source=raw, out=tmp_path, workers=1))
    sound.write_bytes(kept)
    with pytest.raises(DataError, match="no folder speech_16k"):
        prepare.run(argparse.Namespace(source=tmp_path, out=tmp_path, workers=1))
