"""datamodules/views/functionals.py: functionals of speech, by an extra that may be missing."""

import importlib.util
import sys
from importlib.machinery import ModuleSpec
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from clip_folders import table
from test_media import tone, write_wav

import cli
from datamodules.entries import Entry
from datamodules.errors import MediaError
from datamodules.media.clip import Clip
from datamodules.store.reader import Store
from datamodules.views import functionals
from datamodules.views.functionals import Functionals

INSTALLED = importlib.util.find_spec("opensmile") is not None


def clip_of(wave):
    return Clip(len(wave) / 16000, [], np.empty(0), np.empty(0), {16000: wave})


@pytest.fixture
def stub(monkeypatch):
    """An openSMILE that keeps what it is asked."""
    asked = {}

    class Smile:
        def __init__(self, **options):
            asked.update(options)

        def process_signal(self, wave, rate):
            asked.update(wave=wave, rate=rate)
            return pd.DataFrame([[float(np.abs(wave).max()), 2.0]])

    module = SimpleNamespace(
        Smile=Smile, FeatureLevel=SimpleNamespace(Functionals="func"), __spec__=ModuleSpec("o", None)
    )
    monkeypatch.setitem(sys.modules, "opensmile", module)
    functionals._extractor.cache_clear()
    yield asked
    functionals._extractor.cache_clear()


def test_the_wave_is_handed_over_as_it_is_and_the_functionals_are_kept(stub):
    view = Functionals(features="ComParE_2016")
    assert view.wants(Entry("a")).rates == (16000,)
    values, padded = view.make(Entry("a"), clip_of(np.array([0, 16384, -8192], np.int16)))
    assert (values.tolist(), values.dtype, padded) == ([0.5, 2.0], np.float32, 0)
    assert (stub["feature_set"], stub["feature_level"], stub["rate"]) == ("ComParE_2016", "func", 16000)
    np.testing.assert_allclose(stub["wave"], [0, 0.5, -0.25])
    assert "no commercial use" in view.describe_source()
    assert "opensmile" in view.needed()


def test_without_the_extra_one_line_says_how_to_get_it_and_names_the_licence(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "opensmile", None)
    for name, hz in (("a", 220), ("b", 330)):
        write_wav(tmp_path / f"{name}.wav", 9000 * tone(1.5, 44100, 1, hz))
    (tmp_path / "labels.csv").write_text(table("file,label", "a.wav,calm", "b.wav,angry"))
    command = ["prepare", "clips", "--source", str(tmp_path), "--recipe", "functionals", "--out", str(tmp_path / "out")]
    assert cli.main(command) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: --views.functionals: ")
    assert "no commercial use" in line
    assert "pip install opensmile==2.6.0" in line


extra = pytest.mark.skipif(
    not INSTALLED, reason="openSMILE is an extra of a licence of its own: pip install opensmile==2.6.0"
)
every_set = pytest.mark.parametrize(("features", "count"), [("eGeMAPSv02", 88), ("ComParE_2016", 6373)])


@pytest.fixture
def anew():
    """No extractor of another test."""
    functionals._extractor.cache_clear()
    yield
    functionals._extractor.cache_clear()


@extra
@every_set
def test_the_real_ones_follow_the_pitch(anew, features, count):
    low, high = (
        Functionals(features=features).make(Entry("a"), clip_of((9000 * tone(1.5, 16000, 1, hz)[0]).astype(np.int16)))[
            0
        ]
        for hz in (120, 240)
    )
    assert low.shape == high.shape == (count,)
    if count == 88:  # F0 semitones from 27.5 Hz come first
        assert high[0] - low[0] == pytest.approx(12, abs=0.2)


@extra
@every_set
def test_the_real_ones_are_those_of_the_librarys_own_call_on_the_file(anew, features, count, tmp_path):
    import opensmile

    (tmp_path / "in").mkdir()
    generator = np.random.default_rng(1)
    for name, hz in (("a", 150), ("b", 210)):
        wave = 20000 * tone(1.5, 16000, 1, hz) + generator.normal(0, 300, (1, 24000))
        write_wav(tmp_path / "in" / f"{name}.wav", wave, rate=16000)
    (tmp_path / "in" / "labels.csv").write_text(table("file,label", "a.wav,calm", "b.wav,angry"))
    options = ["--recipe", "functionals", "--views.functionals.features", features, "--workers", "2"]
    assert cli.main(["prepare", "clips", "--source", str(tmp_path / "in"), "--out", str(tmp_path), *options]) == 0
    store = Store(tmp_path / "prepared-functionals")
    smile = opensmile.Smile(feature_set=features, feature_level=opensmile.FeatureLevel.Functionals)
    for place, row in enumerate(store.rows):
        expected = smile.process_file(str(tmp_path / "in" / f"{row['id']}.wav")).to_numpy(np.float32)[0]
        assert expected.shape == (count,)
        np.testing.assert_array_equal(store.read("functionals", place), expected)


@extra
def test_a_sound_too_short_for_the_real_ones_is_none_and_not_a_row_of_nan(anew):
    with pytest.raises(MediaError, match=r"0\.02 s of sound are too short"):
        Functionals().make(Entry("a"), clip_of(np.full(320, 500, np.int16)))
    values, _ = Functionals().make(Entry("a"), clip_of(np.zeros(16000, np.int16)))
    assert np.isfinite(values).all()
