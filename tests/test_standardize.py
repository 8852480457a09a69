"""``--data.standardize`` over clips of a store: by the training clips alone, and kept for whoever asks the model."""

import csv

import numpy as np
import pytest
import torch
from conftest import leave_blank
from test_clips_data import write
from test_precomputed import IDS, every, make, values, write_folder, write_index

import affectzoo
import cli
from datamodules.errors import DataError
from datamodules.shapes.clips import ClipsDataModule
from datamodules.shapes.scaling import known_statistics

READS = {"modalities": ["audio", "spec"], "arrays": {"spec": "spec_5"}}


def farther(clip, arrays):
    """Everyone is farther away from 0 than the one before, and short clips end in zeros."""
    mfcc = arrays["mfcc"] * (1 + clip // 4) + 30 * (clip // 4)
    mfcc[:, 20 - clip % 3 :] = 0
    return {**arrays, "mfcc": mfcc} if mfcc.size else arrays


@pytest.fixture
def path(tmp_path):
    absent = (1, 17)
    return write(
        tmp_path, ("mfcc", "spec_5"), change=farther, lacking=lambda clip, name: clip in absent and name == "mfcc"
    )


def steps(batch):
    values = batch["audio"][batch["mask"]["audio"]].movedim(1, 2)
    return values[values.any(2)]


@pytest.mark.parametrize("asked", [["audio"], "all"])
def test_training_clips_alone_say_mean_and_deviation(path, asked):
    plain, data = ClipsDataModule(path, **READS), ClipsDataModule(path, standardize=asked, **READS)
    of = steps(every(plain, "train")).double()
    mean, deviation = of.mean(0), of.std(0, correction=0)
    for split in data.rows:
        before, batch = every(plain, split), every(data, split)
        torch.testing.assert_close(batch["audio"] == 0, before["audio"] == 0)
        wanted = ((steps(before) - mean) / deviation).float()
        torch.testing.assert_close(steps(batch), wanted, rtol=1e-4, atol=1e-5)
        assert torch.equal(batch["spec"], before["spec"]) == (asked != "all")
    assert abs(steps(every(data, "test")).mean()) > 0.1  # others are not at 0


def test_what_was_fitted_is_kept_and_read_by_another(path):
    data = ClipsDataModule(path, standardize="all", **READS)
    kept = data.state_dict()["reading"]["options"]["statistics"]
    assert np.array(kept["audio"]).shape == (2, 1, 13, 1)
    again = ClipsDataModule(path, statistics=kept, fold=1, **READS)  # of other training clips
    rows = np.arange(4)
    ours, theirs = (
        {"mask": {name: torch.ones(4, dtype=torch.bool) for name in READS["modalities"]}, "length": {}} for _ in "ab"
    )
    data.fill(ours, rows)
    again.fill(theirs, rows)
    assert torch.equal(ours["audio"], theirs["audio"])
    assert torch.equal(ours["spec"], theirs["spec"])
    other = ClipsDataModule(path, standardize="all", fold=1, **READS)
    other.scale_as(data.state_dict())
    assert other.fitted == data.fitted
    assert "statistics" not in ClipsDataModule(path, **READS).state_dict()["reading"]["options"]


def test_what_cannot_be_standardised_is_one_line(path, tmp_path):
    with pytest.raises(DataError, match=r"^--data.standardize: voice is not read; --data.modalities has audio, spec$"):
        ClipsDataModule(path, standardize=["voice"], **READS)
    pictures = write(tmp_path / "other", ("video", "mfcc"))
    with pytest.raises(DataError, match=r"^--data.standardize: video is faces, no features; [^\n]*$"):
        _ = ClipsDataModule(pictures, standardize=["video"]).input_shapes
    assert ClipsDataModule(pictures, standardize="all").kinds["video"].scaling is None
    with pytest.raises(
        DataError, match=r"^its statistics are damaged: of shape \(2, 1, 12, 1\), where \(2, 1, 13, 1\)"
    ):
        _ = ClipsDataModule(path, statistics={"audio": np.ones((2, 1, 12, 1)).tolist()}, **READS).input_shapes
    with pytest.raises(DataError, match=r"^its statistics are damaged: no finite means"):
        known_statistics([[[float("inf")]], [[1.0]]])
    nowhere = write(tmp_path / "none", ("mfcc",), lacking=lambda clip, name: clip // 4 % 3 != 0)
    with pytest.raises(DataError, match=r"^--data.standardize: no training clip has audio; leave it out$"):
        _ = ClipsDataModule(nowhere, modalities=["audio"], standardize="all").input_shapes


def test_an_answer_about_a_clip_is_what_the_test_said_of_it(clips, tmp_path, monkeypatch):
    monkeypatch.setattr("callbacks.plots.save", leave_blank)
    run = tmp_path / "run"
    fit = ["fit", "--config", "experiments/ravdess_audio.yaml", "--config", "experiments/synthetic/ravdess_audio.yaml"]
    fit += [
        "--data",
        "ClipsDataModule",
        "--data.root",
        str(clips),
        "--data.standardize",
        "all",
        "--trainer.max_epochs",
        "1",
    ]
    assert cli.main([*fit, "--trainer.default_root_dir", str(run)]) == 0
    with (run / "predictions-last.csv").open(newline="") as file:
        said = next(csv.DictReader(file))
    (raw,) = clips.glob(f"{said['id']}.*")
    answer = affectzoo.load(run / "checkpoints" / "last.ckpt")(raw)
    expected = {name: float(said[f"p_{name}"]) for name in answer.probabilities}
    assert answer.probabilities == pytest.approx(expected, abs=1e-5)
    out = tmp_path / "out"
    assert cli.main(["export", "--ckpt_path", str(run / "checkpoints" / "last.ckpt"), "--out", str(out)]) == 0
    assert affectzoo.load(out)(raw).probabilities == answer.probabilities


def fit_and_test(monkeypatch, clips, run, root, *options):
    """Return the rows that a run said of its test clips, and those that `test` says with other data or options."""
    monkeypatch.setattr("callbacks.plots.save", leave_blank)
    configs = ["--config", "experiments/ravdess_audio.yaml", "--config", "experiments/synthetic/ravdess_audio.yaml"]
    command = [*configs, "--data", "ClipsDataModule", "--data.root"]
    trained = [
        "--data.standardize",
        "all",
        "--data.protocol",
        "honest",
        "--trainer.max_epochs",
        "1",
        "--trainer.default_root_dir",
        str(run),
    ]
    assert cli.main(["fit", *command, str(clips), *trained]) == 0
    checkpoint = ["--ckpt_path", str(run / "checkpoints" / "best.ckpt")]
    tested = run.parent / "tested"
    place = ["--trainer.default_root_dir", str(tested)]
    assert cli.main(["test", *command, str(root), *checkpoint, *place, *options]) == 0
    rows = []
    for path in (run / "predictions-selected.csv", tested / "predictions-test.csv"):
        with path.open(newline="") as file:
            rows.append({row["id"]: row for row in csv.DictReader(file)})
    return rows


@pytest.mark.parametrize("options", [[], ["--data.standardize", "all"], ["--data.standardize", "[audio]"]])
def test_a_test_standardises_as_the_checkpoint_did_whatever_is_asked_for(clips, tmp_path, monkeypatch, options):
    said, tested = fit_and_test(monkeypatch, clips, tmp_path / "run", clips, *options)
    assert tested == said


def test_other_training_clips_than_those_of_the_run_change_nothing(clips, tmp_path, monkeypatch):
    other = tmp_path / "other.csv"
    with (clips / "folds.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    with other.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows({**row, "fold": {"1": "2", "2": "1"}.get(row["fold"], row["fold"])} for row in rows)
    own = ClipsDataModule(str(clips), modalities=["audio"], standardize="all", protocol="honest")
    swapped = ClipsDataModule(str(clips), modalities=["audio"], standardize="all", protocol="honest", splits=str(other))
    assert own.fitted != swapped.fitted
    options = ["--data.standardize", "all", "--data.splits", str(other)]
    said, tested = fit_and_test(monkeypatch, clips, tmp_path / "run", clips, *options)
    assert tested == said


@pytest.fixture
def features(tmp_path):
    write_index(tmp_path)
    write_folder(tmp_path / "face", values())
    random = np.random.default_rng(1)
    write_folder(tmp_path / "voice", {name: random.normal(size=(3 + row, 5)) for row, name in enumerate(IDS)})
    return {"root": tmp_path, "features": {"face": "face", "voice": "voice"}}


@pytest.mark.parametrize("asked", [None, ["voice"], "all"])
def test_features_are_scaled_as_the_checkpoint_says_whatever_is_asked_for(features, asked):
    trained = make(**features, standardize="all", fold=1)
    kept, wanted = trained.state_dict(), every(trained, "train")
    data = make(**features, standardize=asked, fold=0)
    assert not torch.equal(every(data, "test")["voice"], every(make(**features, fold=0), "test")["voice"]) or not asked
    data.load_state_dict(kept)
    data.rows = trained.rows
    for name in ("face", "voice"):
        assert torch.equal(every(data, "train")[name], wanted[name])
    data.load_state_dict(make(**features, fold=0).state_dict())  # whose training standardised nothing
    assert torch.equal(every(data, "train")["face"], every(make(**features, fold=1), "train")["face"])


@pytest.mark.parametrize(
    ("statistics", "text"),
    [
        ({"face": [[0.0], [1.0]]}, r"^--ckpt_path: it standardises face by means of shape \(1,\), where \(6, 4\) fits"),
        ({"voice": [[[0.0] * 5] * 2, [[1.0] * 5] * 2]}, r"^--ckpt_path: it standardises voice .* where \(1, 5\) fits"),
        ({"face": "canary"}, "^its statistics are damaged"),
    ],
)
def test_statistics_that_do_not_fit_features_are_one_line(features, statistics, text):
    data = make(**features)
    kept = data.state_dict()
    kept["reading"]["options"]["statistics"] = statistics
    data.load_state_dict(kept)
    with pytest.raises(DataError, match=text):
        _ = data.tables
