"""A model of sound alone, trained, exported and asked about a wav: what `make weights` does, on drawn voices."""

import json
import re
from pathlib import Path

import pytest
from conftest import leave_blank

import affectzoo
import cli
from datamodules.errors import DataError
from datamodules.views import voice_embedding
from datamodules.views.voice_embedding import PACKAGE, RANDOM, SHA256, VoiceEmbedding

ROOT = Path(__file__).resolve().parents[1]
FIT = ["fit", "--config", "experiments/ravdess_sound.yaml", "--config", "experiments/synthetic/ravdess_sound.yaml"]


@pytest.fixture(scope="module")
def runs(ravdess_voice, tmp_path_factory):
    """Folder of two folds trained."""
    runs = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("callbacks.plots.save", leave_blank)
        for fold in ("0", "1"):
            place = ["--data.root", str(ravdess_voice), "--trainer.default_root_dir", str(runs / f"fold{fold}")]
            assert cli.main([*FIT, *place, "--data.fold", fold]) == 0
    return runs


@pytest.fixture(scope="module")
def weights(runs, tmp_path_factory):
    """The first one exported."""
    out = tmp_path_factory.mktemp("weights") / "voice"
    assert cli.main(["export", "--ckpt_path", str(runs / "fold0"), "--out", str(out)]) == 0
    return out


def test_it_is_asked_about_a_wav_of_somebody_it_never_heard(weights, runs, ravdess_voice, tmp_path, capsys):
    wav = next((ravdess_voice / "speech_16k" / "Actor_01").glob("*.wav"))  # of fold 0
    answer = affectzoo.load(weights)(wav)
    assert (answer.missing, answer.synthetic, answer.problem) == ({}, True, "")
    told = (runs / "fold0" / "predictions-selected.csv").read_text()
    row = next(line for line in told.splitlines() if line.startswith(wav.stem)).split(",")
    assert list(answer.probabilities.values()) == pytest.approx([float(of) for of in row[3:]], abs=1e-4)
    asked = ["predict", "--ckpt_path", str(weights), "--clips", str(wav), "--out", str(tmp_path)]
    assert cli.main(asked) == 0
    assert f"{wav}: {answer.label}" in capsys.readouterr().out
    (said,) = json.loads((tmp_path / "predictions.json").read_text())["answers"]
    assert said["probabilities"] == answer.probabilities


def test_its_card_tells_both_folds_and_the_licence(weights):
    card = (weights / "README.md").read_text()
    assert re.search(r"trained on each of 2 folds, .*: accuracy [\d.]+ % in the mean", card)
    assert "CC BY-NC-SA" in card


@pytest.mark.parametrize("given", [PACKAGE, SHA256])
def test_weights_of_the_package_are_found_by_their_digest_too(given, tmp_path, monkeypatch):
    (tmp_path / "pretrained.pt").write_bytes(b"weights")
    spec = type("Spec", (), {"origin": str(tmp_path / "__init__.py")})
    monkeypatch.setattr(voice_embedding.importlib.util, "find_spec", lambda name: spec)
    monkeypatch.setattr(voice_embedding, "sha256_file", lambda path: SHA256)
    assert VoiceEmbedding.restored({"weights": given}).settings() == {"weights": SHA256}


def test_a_recipe_reads_no_weights_that_a_stranger_names(tmp_path, monkeypatch):
    assert VoiceEmbedding.restored({"weights": RANDOM}).weights == RANDOM
    with pytest.raises(DataError, match="weights of one's own"):
        VoiceEmbedding.restored({"weights": str(tmp_path / "mine.pt")})
    monkeypatch.setattr(voice_embedding.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(DataError, match="Resemblyzer is missing"):
        VoiceEmbedding.restored({"weights": SHA256})


def test_make_installs_the_package_that_brings_the_weights():
    assert "Resemblyzer==0.1.4 --hash=sha256:" in (ROOT / "networks.txt").read_text()
