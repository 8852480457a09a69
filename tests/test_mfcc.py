"""datamodules/mfcc.py against librosa."""

import librosa
import numpy as np
import pytest

from datamodules.mfcc import mfcc

RNG = np.random.default_rng(0)
N = 108045  # 2.45 s at 44.1 kHz


@pytest.mark.parametrize("rate", [44100, 16000])
@pytest.mark.parametrize(
    "wave",
    [
        RNG.normal(0, 0.1, N),
        0.5 * np.sin(np.arange(N) * 0.03),
        RNG.normal(0, 1e-4, N),
        np.r_[np.zeros(60000), RNG.normal(0, 0.1, N - 60000)],
        RNG.normal(0, 0.1, 700),
        np.zeros(5000),
    ],
    ids=["noise", "tone", "faint", "half silent", "short", "silent"],
)
def test_equals_librosa(wave, rate):
    wave = wave.astype(np.float32)
    ours = mfcc(wave, rate)
    assert ours.dtype == np.float32
    np.testing.assert_allclose(ours, librosa.feature.mfcc(y=wave, sr=rate, n_mfcc=13), atol=1e-3)


def test_paper_shape_and_count():
    assert mfcc(np.zeros(N, np.float32), 44100).shape == (13, 212)
    wave = RNG.normal(0, 0.1, 4000).astype(np.float32)
    np.testing.assert_array_equal(mfcc(wave, 44100, 20)[:13], mfcc(wave, 44100))
