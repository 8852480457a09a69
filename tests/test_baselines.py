"""Baselines: their answers are scikit-learn's own, fitted once whatever the order, and come back from checkpoints."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import kurtosis, skew
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.multiclass import OneVsRestClassifier
from sklearn.svm import SVC, SVR

import cli
from experiments.results.run import read_run
from lightning_modules.baselines.late_product import LateProduct
from lightning_modules.baselines.models import LogisticBaseline, Majority, SVMBaseline
from lightning_modules.errors import TaskError
from lightning_modules.nn.clip_vectors import clip_vectors
from lightning_modules.nn.encoders import read_weights
from lightning_modules.nn.fitted import inner_folds, score_of
from lightning_modules.nn.metrics import PredictionTable

ROOT = Path(__file__).resolve().parents[1]
SHAPES = {"face": [6], "voice": [0, 4]}


def table(clips=60, classes=3, seed=0, tasks=()):
    """Vectors that tell something of the class and of a value, ten speakers; some clips have no voice."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, clips)
    face = rng.normal(0, 1, (clips, 6)) + 1.5 * np.eye(6)[labels]
    voice = rng.normal(3, 2, (clips, 8)) + np.eye(8)[labels]
    value = face[:, 0] + 0.1 * rng.normal(size=clips)
    present = torch.from_numpy(rng.random(clips) > 0.2)
    target = {"": torch.from_numpy(labels)}
    if tasks:
        target = {"mood": torch.from_numpy(labels), "valence": torch.from_numpy(value.astype(np.float32))}
        target["mood"][:5] = -1
        target["valence"][5:9] = torch.nan
    return PredictionTable(
        [f"clip {number:03d}" for number in range(clips)],
        [f"speaker {number % 10}" for number in range(clips)],
        {"face": torch.from_numpy(face), "voice": torch.from_numpy(voice)},
        target,
        {"face": torch.ones(clips, dtype=torch.bool), "voice": present},
    )


def standardised(train, of):
    """What a model reads, computed by numpy."""
    parts = []
    for name in ("face", "voice"):
        there = train.weights[name].numpy()
        own = train.logits[name].numpy()[there]
        parts.append((of.logits[name].numpy() - own.mean(0)) / own.std(0) * of.weights[name].numpy()[:, None])
    return np.concatenate(parts, 1)


def test_logistic_regression_is_that_of_scikit_learn():
    train, held, other = table(seed=0), table(40, seed=1), table(30, seed=2)
    model = LogisticBaseline(3, SHAPES)
    model.fit(train, held)
    x, y = standardised(train, train), train.target[""].numpy()
    own = {c: LogisticRegression(C=c, max_iter=10_000).fit(x, y) for c in LogisticBaseline.usual}
    scores = [of.score(standardised(train, held), held.target[""].numpy()) for of in own.values()]
    best = LogisticBaseline.usual[int(np.argmax(scores))]
    assert model.fitted["penalty"].tolist() == [best]
    said = model.decide(model.joined(other.logits, other.weights)).softmax(1).numpy()
    np.testing.assert_allclose(said, own[best].predict_proba(standardised(train, other)), atol=1e-9)


def test_a_support_vector_machine_is_that_of_scikit_learn():
    train, held, other = table(seed=0), table(40, seed=1), table(30, seed=2)
    model = SVMBaseline(3, SHAPES)
    model.fit(train, held)
    x, y = standardised(train, train), train.target[""].numpy()
    own = {c: OneVsRestClassifier(SVC(C=c, gamma="scale")).fit(x, y) for c in SVMBaseline.usual}
    scores = [
        (of.decision_function(standardised(train, held)).argmax(1) == held.target[""].numpy()).mean()
        for of in own.values()
    ]
    best = SVMBaseline.usual[int(np.argmax(scores))]
    assert model.fitted["penalty"].tolist() == [best]
    wanted = own[best].decision_function(standardised(train, other))
    mix, shift = model.fitted["mix"].numpy(), model.fitted["shift"].numpy()
    said = model.decide(model.joined(other.logits, other.weights)).numpy()
    np.testing.assert_allclose(said, wanted @ mix.T + shift, atol=1e-8)
    held_out = np.zeros((60, 3))
    for fit, left in inner_folds(np.array(train.groups)):
        assert not {train.groups[row] for row in fit} & {train.groups[row] for row in left}
        held_out[left] = OneVsRestClassifier(SVC(C=best, gamma="scale")).fit(x[fit], y[fit]).decision_function(x[left])
    calibration = LogisticRegression(max_iter=10_000).fit(held_out, y)
    np.testing.assert_allclose(mix, calibration.coef_, atol=1e-5)
    np.testing.assert_allclose(shift, calibration.intercept_, atol=1e-5)


TASKS = {"mood": 3, "valence": 0}
SCALES = {"valence": [0.3, 1.4]}


@pytest.mark.parametrize("kind", [LogisticBaseline, SVMBaseline])
def test_classes_and_values_are_learned_of_the_clips_that_have_a_label(kind):
    train, other = table(tasks=TASKS), table(30, seed=2, tasks=TASKS)
    model = kind(4, SHAPES, tasks=TASKS, value_scales=SCALES, class_names=["a", "b", "c"], penalties=[0.5])
    model.fit(train, None)
    batch = {"id": other.ids, "mask": other.weights}
    model.vectors = lambda batch: other.logits
    logits = model(batch)["logits"]
    assert logits["mood"].shape == (30, 3)
    known = ~train.target["valence"].isnan().numpy()
    x = standardised(train, train)
    y = (train.target["valence"].double().numpy() - 0.3) / np.float64(np.float32(1.4))
    gamma = 1 / (x.shape[1] * x.var())
    own = Ridge(alpha=1.0) if kind is LogisticBaseline else SVR(C=0.5, gamma=gamma)
    wanted = own.fit(x[known], y[known]).predict(standardised(train, other)) * 1.4 + 0.3
    np.testing.assert_allclose(logits["valence"].numpy(), wanted, atol=1e-5)


def test_the_majority_is_the_shares_of_train_and_the_mean_of_values():
    train = table(tasks=TASKS)
    model = Majority(4, SHAPES, tasks=TASKS, value_scales=SCALES, class_names=["a", "b", "c"])
    model.fit(train, None)
    said = model({"id": ["x", "y"]})["logits"]
    labels = train.target["mood"].numpy()
    shares = np.bincount(labels[labels >= 0], minlength=3) / (labels >= 0).sum()
    np.testing.assert_allclose(said["mood"].softmax(1).numpy(), [shares, shares], atol=1e-6)
    assert said["valence"].tolist() == pytest.approx([0.3, 0.3])


def test_without_validation_groups_the_penalty_is_chosen_on_folds_of_training_groups():
    train = table(seed=0)
    model = LogisticBaseline(3, SHAPES, penalties=[1.0, 0.01])
    model.fit(train, None)
    x, y = standardised(train, train), train.target[""].numpy()
    scores = []
    for penalty in (0.01, 1.0):
        said = np.zeros(60)
        for fit, left in inner_folds(np.array(train.groups)):
            said[left] = LogisticRegression(C=penalty, max_iter=10_000).fit(x[fit], y[fit]).predict(x[left])
        scores.append((said == y).mean())
    assert model.fitted["penalty"].item() == (0.01, 1.0)[int(np.argmax(scores))]


def test_a_class_that_train_lacks_is_never_said_and_one_class_alone_always():
    train, other = table(classes=3), table(30, classes=3, seed=2)
    for kind in (LogisticBaseline, SVMBaseline):
        five = kind(5, SHAPES)
        five.fit(train, None)
        said = five.decide(five.joined(other.logits, other.weights)).softmax(1)
        assert torch.isfinite(said).all()
        assert said[:, 3:].sum() == 0
        alone = kind(3, SHAPES)
        train_of_one = table(classes=3)
        train_of_one.target[""][:] = 1
        alone.fit(train_of_one, None)
        assert (alone.decide(alone.joined(other.logits, other.weights)).argmax(1) == 1).all()


def test_the_metrics_of_the_choice():
    from sklearn.metrics import f1_score, recall_score

    rng = np.random.default_rng(0)
    y, said = rng.integers(0, 4, 50), rng.integers(0, 4, 50)
    assert score_of(y, said, "uar") == pytest.approx(recall_score(y, said, average="macro"))
    assert score_of(y, said, "f1") == pytest.approx(f1_score(y, said, average="macro"))
    assert score_of(y, y, "accuracy") == 1
    a, b = rng.normal(size=30), rng.normal(size=30)
    wanted = 2 * np.cov(a, b, ddof=0)[0, 1] / (a.var() + b.var() + (a.mean() - b.mean()) ** 2)
    assert score_of(a, b, "ccc") == pytest.approx(wanted)


def sequences():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(4, 9, 3)).astype(np.float32)
    return torch.from_numpy(values), torch.tensor([9, 5, 1, 7])


@pytest.mark.parametrize("functionals", [False, True])
def test_sequences_are_pooled_over_their_valid_steps(functionals):
    values, length = sequences()
    said = clip_vectors(values, length, functionals=functionals).numpy()
    turned = clip_vectors(values.transpose(1, 2), length, time_last=True, functionals=functionals).numpy()
    np.testing.assert_array_equal(said, turned)
    for row, count in enumerate(length.tolist()):
        own = values[row, :count].double().numpy()
        if not functionals:
            np.testing.assert_allclose(said[row], np.concatenate([own.mean(0), own.std(0)]), atol=1e-12)
        elif count > 1:
            low, quarter, middle, third, high = np.quantile(own, [0, 0.25, 0.5, 0.75, 1], axis=0)
            wanted = [own.mean(0), own.std(0), low, high, quarter, middle, third, high - low, skew(own), kurtosis(own)]
            np.testing.assert_allclose(said[row].reshape(3, 10).T, wanted, atol=1e-10)
        else:
            assert np.isfinite(said[row]).all()
    spoilt = values.clone()
    spoilt[1, 5:] = 1e6
    np.testing.assert_array_equal(clip_vectors(spoilt, length, functionals=functionals).numpy(), said)
    with pytest.raises(TaskError, match="time is the other axis"):
        clip_vectors(values, torch.tensor([9, 9, 9, 12]))


def test_pictures_texts_and_vectors():
    pictures = torch.rand(2, 3, 5, 16, 24)
    grey = pictures.double().mean(1).unflatten(2, (8, 2)).unflatten(4, (8, 3)).mean((3, 5)).flatten(2)
    wanted = torch.cat([grey.mean(1), grey.std(1, correction=0)], 1)
    torch.testing.assert_close(clip_vectors(pictures, None), wanted, atol=1e-6, rtol=0)
    torch.testing.assert_close(clip_vectors(pictures.transpose(1, 2), None), wanted, atol=1e-6, rtol=0)
    torch.testing.assert_close(clip_vectors(pictures[:, :, 0], None), grey[:, 0], atol=1e-6, rtol=0)
    assert clip_vectors(torch.rand(2, 5, 1, 8, 8), None).shape == (2, 128)
    assert clip_vectors(torch.rand(2, 7, 6, 3), None).shape == (2, 36)  # joints over time
    counts = clip_vectors(torch.tensor([[3, 3, 19, 0, 0]]), None, words=16).expm1().round()
    assert counts.nonzero().tolist() == [[0, 3]]
    assert counts[0, 3] == 3
    vector = torch.rand(2, 5)
    torch.testing.assert_close(clip_vectors(vector, None), vector.double())
    with pytest.raises(TaskError, match="no vector is made of"):
        clip_vectors(torch.ones(2, 3, 4, dtype=torch.int64), None)


def test_what_cannot_be_read_is_one_line():
    for wrong, words in (
        ({"modalities": ["text"]}, "no text in the data, it has face, voice"),
        ({"penalties": [0.0]}, r"--model\.penalties"),
    ):
        with pytest.raises(TaskError, match=words):
            LogisticBaseline(3, SHAPES, **wrong)
    with pytest.raises(TaskError, match=r"makes no vector of wave, 176400 samples: give --model\.encoders\.wave"):
        SVMBaseline(3, {"wave": [176400]})
    with pytest.raises(TaskError, match="LateProduct multiplies two modalities or more"):
        LateProduct(3, {"face": [6]})
    with pytest.raises(TaskError, match="LateProduct cannot learn valence: it multiplies class probabilities"):
        LateProduct(4, SHAPES, tasks=TASKS, value_scales=SCALES)


def test_the_product_is_that_of_branches_fitted_alone():
    train, other = table(), table(30, seed=2)
    model = LateProduct(3, SHAPES, "svm", penalties=[1.0])
    model.fit(train, None)
    model.branches["face"].vectors = lambda batch: {"face": other.logits["face"]}
    model.branches["voice"].vectors = lambda batch: {"voice": other.logits["voice"]}
    said = model({"id": other.ids, "mask": other.weights})["logits"].softmax(1)
    product = torch.ones(30, 3)
    for name in SHAPES:
        alone = SVMBaseline(3, SHAPES, [name], penalties=[1.0])
        alone.fit(train, None)
        own = alone.decide(alone.joined(other.logits, other.weights)).softmax(1).float()
        product = product * own.where(other.weights[name][:, None], 1.0)
    torch.testing.assert_close(said, product / product.sum(1, keepdim=True), atol=1e-5, rtol=0)


def run(clips, folder, name, *options):
    words = ["fit", "--config", f"experiments/baseline_{name}.yaml", "--data.root", str(clips)]
    return cli.main([*words, "--trainer.default_root_dir", str(folder), *options])


@pytest.mark.usefixtures("unrendered")
def test_seed_and_order_change_nothing_and_augmentation_is_refused(clips, tmp_path, capsys):
    assert run(clips, tmp_path / "a", "svm", "--seed_everything", "1") == 0
    assert run(clips, tmp_path / "b", "svm", "--seed_everything", "2", "--data.batch_size", "7") == 0
    files = [(tmp_path / of / "predictions-selected.csv").read_text() for of in "ab"]
    assert files[0] == files[1]
    capsys.readouterr()
    assert run(clips, tmp_path / "c", "logistic", "--data.augment", "true") == 2
    assert "--data.augment: LogisticBaseline sees every clip once" in capsys.readouterr().err


@pytest.mark.usefixtures("unrendered")
def test_under_the_papers_protocol_test_clips_choose_nothing(clips, tmp_path, capsys, caplog):
    assert run(clips, tmp_path, "logistic", "--data.protocol", "paper") == 0
    assert "5 folds of the training clips" in caplog.text
    result = read_run(tmp_path).result
    assert result["selections"]["best"] == result["selections"]["last"]


@pytest.mark.usefixtures("unrendered")
def test_a_checkpoint_answers_without_scikit_learn(clips, tmp_path):
    assert run(clips, tmp_path, "svm") == 0
    assert {"fitted.vectors", "fitted.dual", "fitted.mix"} < read_weights(tmp_path / "checkpoints/best.ckpt").keys()
    code = (
        "import sys\nsys.modules['sklearn'] = None\nimport cli\n"
        f"sys.exit(cli.main(['predict', '--config', 'experiments/baseline_svm.yaml', '--data.root', {str(clips)!r}, "
        f"'--ckpt_path', {str(tmp_path / 'checkpoints/best.ckpt')!r}]))"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True)
    assert (tmp_path / "predictions.csv").read_text() == (tmp_path / "predictions-selected.csv").read_text()


@pytest.mark.usefixtures("unrendered")
def test_a_killed_run_is_done_again_and_a_finished_fit_carries_on(clips, tmp_path, capfd, caplog):
    assert run(clips, tmp_path, "logistic") == 0
    before = (tmp_path / "predictions-selected.csv").read_text()
    (tmp_path / "result.json").unlink()
    assert run(clips, tmp_path, "logistic") == 0
    assert "carrying on from last.ckpt" in caplog.text
    assert (tmp_path / "predictions-selected.csv").read_text() == before


@pytest.mark.usefixtures("unrendered")
def test_frozen_encoders_are_read_from_the_store_of_embeddings(clips, tmp_path):
    options = ["--model.encoders.video", "Timm", "--model.encoders.video.backbone", "test_vit"]
    assert run(clips, tmp_path, "logistic", *options) == 0
    assert list((clips / "embeddings").glob("*/video.f32"))
