import itertools

import numpy as np
import pytest
from sklearn import metrics

from experiments import statistics


def draws(seed, clips=300, classes=8, absent=()):
    rng = np.random.default_rng(seed)
    targets = rng.choice([label for label in range(classes) if label not in absent], clips)
    predicted = np.where(rng.random(clips) < 0.4, targets, rng.integers(classes, size=clips))
    return targets, predicted


@pytest.mark.parametrize("absent", [(), (2, 7)])
def test_metrics_equal_sklearn(absent):
    targets, predicted = draws(0, absent=absent)
    confusion = statistics.confusion_matrix(targets, predicted, 8)
    labels = np.unique(targets)
    np.testing.assert_array_equal(confusion, metrics.confusion_matrix(targets, predicted, labels=range(8)))
    assert statistics.accuracy(confusion) == pytest.approx(metrics.accuracy_score(targets, predicted))
    recall = metrics.recall_score(targets, predicted, labels=labels, average=None)
    np.testing.assert_allclose(statistics.recalls(confusion)[labels], recall)
    assert np.isnan(statistics.recalls(confusion)[list(absent)]).all()
    assert statistics.uar(confusion) == pytest.approx(recall.mean())
    f1 = metrics.f1_score(targets, predicted, labels=labels, average="macro", zero_division=0)
    assert statistics.macro_f1(confusion) == pytest.approx(f1)
    precision = metrics.precision_score(targets, predicted, labels=labels, average="macro", zero_division=0)
    assert statistics.macro_precision(confusion) == pytest.approx(precision)


def test_metrics_work_on_stacks():
    stack = np.stack([statistics.confusion_matrix(*draws(seed), 8) for seed in range(5)])
    for metric in (statistics.accuracy, statistics.uar, statistics.macro_precision, statistics.macro_f1):
        np.testing.assert_allclose(metric(stack), [metric(one) for one in stack])


def test_a_class_never_predicted_has_f1_and_precision_zero():
    confusion = statistics.confusion_matrix(np.array([0, 0, 1, 1]), np.array([0, 0, 0, 0]), 3)
    assert statistics.macro_f1(confusion) == pytest.approx((2 * 2 / (2 + 4)) / 2)
    assert statistics.macro_precision(confusion) == pytest.approx(0.5 / 2)


def test_majority_baseline():
    assert statistics.majority_baseline(np.array([0] * 3 + [1] * 5 + [2] * 2)) == 0.5


def test_the_interval_equals_a_plain_bootstrap():
    groups = np.stack([statistics.confusion_matrix(*draws(seed, clips=40 + 10 * seed), 8) for seed in range(12)])
    rng = np.random.default_rng(1)
    values = []
    for _ in range(4000):
        values.append(statistics.uar(groups[rng.integers(len(groups), size=len(groups))].sum(0)))
    expected = np.quantile(values, [0.025, 0.975])
    found = statistics.bootstrap_interval(groups, statistics.uar)
    np.testing.assert_allclose(found, expected, atol=0.004)
    assert found == statistics.bootstrap_interval(groups, statistics.uar)  # seeded


def test_the_interval_resamples_speakers_not_clips():
    # Half the speakers are always right: between speakers there is all the variation, within them none.
    groups = np.array(
        [np.diag([30.0, 30.0]) if speaker % 2 else np.fliplr(np.diag([30.0, 30.0])) for speaker in range(20)]
    )
    low, high = statistics.bootstrap_interval(groups)
    assert high - low == pytest.approx(2 * 1.96 * np.sqrt(0.25 / 20), rel=0.1)


def test_one_group_has_no_interval():
    assert np.isnan(statistics.bootstrap_interval(np.ones((1, 2, 2)))).all()


def test_the_sign_flip_test_is_exact_for_few_groups():
    differences = np.array([3.0, 1.0, -2.0, 4.0, 0.0, 2.0, 2.0])
    sums = [abs(np.dot(signs, differences)) for signs in itertools.product([1, -1], repeat=len(differences))]
    expected = np.mean(np.array(sums) >= abs(differences.sum()))
    assert statistics.sign_flip_test(differences) == pytest.approx(expected)
    # All of ten groups better: only the observed signs and their mirror image are as extreme.
    assert statistics.sign_flip_test(np.linspace(0.1, 0.7, 10)) == pytest.approx(2 / 2**10)


def test_the_random_sign_flip_test_is_near_the_exact_one():
    differences = np.random.default_rng(3).normal(0.3, 1, 16)
    exact = statistics.sign_flip_test(differences, resamples=2**16)
    assert statistics.sign_flip_test(differences) == pytest.approx(exact, abs=0.015)
    assert statistics.sign_flip_test(np.ones(24)) == 1 / 10_001  # never zero
    assert statistics.sign_flip_test(np.zeros(24)) == 1.0


def test_the_sign_flip_test_holds_its_level():
    rng = np.random.default_rng(4)
    values = [statistics.sign_flip_test(rng.normal(size=9)) for _ in range(600)]
    assert np.mean(np.array(values) <= 0.05) == pytest.approx(0.05, abs=0.03)


def test_holm():
    # Holm (1979): sorted p values times n, n - 1, ...; never below the one before.
    assert statistics.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    corrected = statistics.holm([np.nan, 0.02, 0.8, np.nan])
    assert np.isnan(corrected[0])
    assert corrected[1:3] == pytest.approx([0.04, 0.8])
    assert statistics.holm([0.9, 0.8]) == [1.0, 1.0]
