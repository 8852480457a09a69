"""datamodules/media/mfcc.py against librosa, and its bytes against those of other processors."""

import os
import subprocess
import sys
from pathlib import Path

import librosa
import numpy as np
import numpy._core._multiarray_umath as kernels
import pytest

from datamodules.media.mfcc import mfcc

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


HASHES = """
import hashlib, numpy as np
from datamodules.media.mfcc import mfcc
from datamodules.media.spectrogram import spectrograms
rng, seconds = np.random.default_rng(0), np.arange(80_000) / 16_000
for pitch in (110, 170, 240):
    wave = np.sign(pitch * seconds % 1 - 0.3) * np.abs(seconds % 1 - 0.5) / 5 + rng.normal(0, 1e-3, len(seconds))
    print(hashlib.sha256(mfcc(wave, 44100).tobytes()).hexdigest())
    print(hashlib.sha256(spectrograms((20_000 * wave).astype(np.int16), 5).tobytes()).hexdigest())
"""


def test_bytes_do_not_depend_on_the_processor():
    """Without the instructions that numpy chooses by processor, with the plainest kernel of BLAS and more threads."""
    chosen = [name for name in kernels.__cpu_dispatch__ if kernels.__cpu_features__.get(name)]
    plain = {"NPY_DISABLE_CPU_FEATURES": " ".join(chosen)}
    if sys.platform == "linux" and os.uname().machine == "x86_64":
        plain |= {"OPENBLAS_CORETYPE": "Prescott", "OPENBLAS_NUM_THREADS": "2"}
    found = []
    for changed in ({}, plain):
        run = subprocess.run(
            [sys.executable, "-c", HASHES],
            cwd=Path(__file__).parents[1],
            env={**os.environ, **changed},
            capture_output=True,
            text=True,
            check=True,
        )
        found.append(run.stdout.split())
    assert len(set(found[0])) == 6
    assert found[0] == found[1]
