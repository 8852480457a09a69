"""Real recordings under free names are learned as those of RAVDESS are, to the bit."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import cli
from datamodules.catalogues.ravdess import EMOTIONS

ONE_A_FOLD = ("01", "05", "09", "13", "17", "21")  # actors, so that each of RAVDESS' folds tests one
FIT = ("fit", "--config", "experiments/ravdess_audio.yaml", "--trainer.max_epochs", "2", "--trainer.accelerator", "cpu")


def run(folder: Path, *words: str) -> None:
    line = [sys.executable, str(Path(cli.__file__)), *words]
    done = subprocess.run(
        line, cwd=folder, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}, check=False
    )
    assert done.returncode == 0, done.stderr


def fitted(folder: Path, name: str, *words: str) -> tuple[list[str], dict[str, torch.Tensor]]:
    """The predictions without the ids, and the weights, after the last epoch."""
    run(folder, *FIT, *words, "--trainer.default_root_dir", name)
    lines = (folder / name / "predictions-last.csv").read_text(encoding="utf-8").splitlines()
    weights = torch.load(folder / name / "checkpoints/last.ckpt", weights_only=True)["state_dict"]
    return [line.partition(",")[2] for line in lines], weights


@pytest.mark.realdata
def test_predictions_over_free_names_are_those_over_ravdess(realdata, tmp_path):
    """Handed over: the order of the classes, the folds, and names that sort as those of the corpus do."""
    speech = sorted(realdata.glob("ravdess/speech_16k/Actor_*/*.flac"), key=lambda path: path.stem)
    speech = [path for path in speech if path.stem[-2:] in ONE_A_FOLD]
    labels, folds = ["file,label,speaker"], ["clip,speaker,fold"]
    for place, path in enumerate(speech):
        actor, own = path.stem[-2:], f"block {place // 60}/take {place:04} müde"
        for link in (tmp_path / "named" / path.name, tmp_path / "free" / f"{own}.flac"):
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(path)
        labels.append(f"{own}.flac,{EMOTIONS[int(path.stem[6:8]) - 1]},{actor}")
        folds.append(f"{own},{actor},{(int(actor) - 1) // 4}")
    (tmp_path / "free/labels.csv").write_text("\n".join(labels), encoding="utf-8")
    (tmp_path / "folds.csv").write_text("\n".join(folds), encoding="utf-8")
    handed = ("--recipe", "cfnsr", "--classes", ",".join(EMOTIONS), "--splits", "folds.csv")
    run(tmp_path, "prepare", "ravdess", "--source", "named", "--workers", "1")
    run(tmp_path, "prepare", "clips", "--source", "free", "--workers", "1", *handed)
    theirs, their_weights = fitted(tmp_path, "theirs")
    own, own_weights = fitted(tmp_path, "own", "--data", "ClipsDataModule", "--data.root", "data/clips")
    assert len(own) == 61  # fold 0 is one actor
    assert own == theirs
    assert own_weights.keys() == their_weights.keys()
    assert all(torch.equal(own_weights[name], their_weights[name]) for name in own_weights)
