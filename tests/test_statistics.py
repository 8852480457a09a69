import itertools
from fractions import Fraction
from statistics import NormalDist

import numpy as np
import pytest
from scipy.stats import permutation_test
from sklearn import metrics

from experiments.scores.metrics import statistics


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


def test_a_clip_that_seeds_share_counts_in_parts():
    # One clip of a class in two runs, found in one of them; a class of half a clip; a class that is not there.
    confusion = np.array([[0.5, 0.5, 0.0], [0.0, 0.5, 0.0], [0.0, 0.0, 0.0]])
    assert statistics.accuracy(confusion) == pytest.approx(2 / 3)
    assert statistics.uar(confusion) == pytest.approx((0.5 + 1) / 2)
    assert statistics.macro_precision(confusion) == pytest.approx((1 + 0.5) / 2)
    assert statistics.accuracy(confusion / 10) == pytest.approx(2 / 3)


def test_majority_baseline():
    assert statistics.majority_baseline(np.array([0] * 3 + [1] * 5 + [2] * 2)) == 0.5


def of_seeds(seeds, groups=12):
    """Confusion matrices ``(S, G, 8, 8)`` of speakers with unequal numbers of clips."""
    return np.stack(
        [
            [statistics.confusion_matrix(*draws([seed, group], clips=40 + 10 * group), 8) for group in range(groups)]
            for seed in range(seeds)
        ]
    )


@pytest.mark.parametrize("metric", [statistics.accuracy, statistics.uar])
@pytest.mark.parametrize("seeds", [1, 3])
def test_the_interval_equals_a_plain_bootstrap(metric, seeds):
    runs = of_seeds(seeds)
    rng = np.random.default_rng(1)
    values = []
    for _ in range(4000):
        own = runs[rng.integers(seeds, size=seeds)].mean(0)
        values.append(metric(own[rng.integers(len(own), size=len(own))].sum(0)))
    expected = np.quantile(values, [0.025, 0.975])
    found = statistics.bootstrap_interval(runs, metric)
    np.testing.assert_allclose(found, expected, atol=0.004)
    assert found == statistics.bootstrap_interval(runs, metric)  # seeded


def test_the_interval_resamples_speakers_not_clips():
    # Half of the speakers are always right, half never: clips say +- 2 points, speakers +- 22.
    groups = np.array([[[25.0, 0], [0, 25]]] * 10 + [[[0.0, 25], [25, 0]]] * 10)
    low, high = statistics.bootstrap_interval(groups[None])
    assert high - low == pytest.approx(2 * 1.96 * np.sqrt(0.25 / 20), rel=0.1)


def test_the_interval_resamples_seeds():
    # Every speaker is the same, so that speakers alone say +- 0; three runs of 20, 50 and 80 % differ.
    runs = np.array([[[[share, 100 - share], [0, 0]]] * 20 for share in (20.0, 50.0, 80.0)])
    assert statistics.bootstrap_interval(runs[:1]) == (0.2, 0.2)
    # One draw in 27 is three times the same run, more than the 2.5 % at either end, and less than 5 %.
    assert statistics.bootstrap_interval(runs) == pytest.approx((0.2, 0.8))
    assert statistics.bootstrap_interval(runs, level=0.9) == pytest.approx((0.3, 0.7))


def test_a_speaker_without_a_run_of_some_seed_is_taken_at_the_seeds_it_has():
    runs = np.array([[[[20.0, 80], [0, 0]]] * 10, [[[80.0, 20], [0, 0]]] * 10])
    runs[1, 5:] = 0  # half of the speakers have no run of the second seed: always 20 %
    rng, values = np.random.default_rng(1), []
    for _ in range(20_000):
        second = np.mean(rng.integers(2, size=2))  # share of the second seed among those drawn
        shares = np.where(np.arange(10) < 5, 0.2 + 0.6 * second, 0.2)
        values.append(shares[rng.integers(10, size=10)].mean())
    expected = np.quantile(values, [0.025, 0.975])
    np.testing.assert_allclose(statistics.bootstrap_interval(runs), expected, atol=0.005)


def test_one_group_has_no_interval():
    assert np.isnan(statistics.bootstrap_interval(np.ones((2, 1, 2, 2)))).all()


def by_hand(differences):
    """Share of all sign patterns whose sum is at least as far from 0, in exact arithmetic."""
    exact = [Fraction(value).limit_denominator(10**9) for value in differences]
    observed = abs(sum(exact))
    signs = itertools.product([1, -1], repeat=len(exact))
    sums = [abs(sum(sign * value for sign, value in zip(pattern, exact, strict=True))) for pattern in signs]
    return float(np.mean([value >= observed for value in sums]))


CASES = {
    "whole": [3.0, 1.0, -2.0, 4.0, 0.0, 2.0, 2.0],
    "thirds": [1 / 3, 2 / 3, -1.0, 4 / 3, -1 / 3, 2.0],
    "of a recall": [3 / 256, -1 / 256, 5 / 128, 1 / 64, -7 / 256],
    "any": [0.123, -0.71, 0.505, 1.3000001, 0.0101, -0.2],
    "all alike": [0.25] * 9,
    "none": [0.0] * 5,
    "one": [-0.4],
    "rounded sums": [0.1, 0.2, -0.3, 0.7, 0.3, 0.1],
}


@pytest.mark.parametrize("differences", CASES.values(), ids=CASES.keys())
@pytest.mark.parametrize("whole", [True, False])
def test_the_sign_flip_test_counts_every_pattern(differences, whole, monkeypatch):
    if not whole:  # whatever can be had by sums of whole numbers, by looking up halves
        monkeypatch.setattr(statistics, "_SUMS", 0)
    found = statistics.sign_flip_test(np.array(differences))
    assert found.drawn == 0
    assert found.p == pytest.approx(by_hand(differences), abs=1e-12)
    scaled = statistics.sign_flip_test(1e4 * np.array(differences))  # of any unit
    assert scaled.p == pytest.approx(found.p, abs=1e-12)


@pytest.mark.parametrize("kind", ["whole", "any"])
@pytest.mark.parametrize("groups", [4, 9, 12])
def test_the_sign_flip_test_is_scipys(kind, groups):
    rng = np.random.default_rng(groups)
    differences = rng.integers(-4, 6, groups).astype(float) if kind == "whole" else rng.normal(0.3, 1, groups)
    expected = permutation_test(
        (differences, np.zeros(groups)), lambda one, other: np.sum(one - other), permutation_type="samples",
        n_resamples=np.inf, alternative="two-sided",
    )  # fmt: skip
    # SciPy doubles the smaller tail; here both tails are counted, and they are mirror images.
    assert statistics.sign_flip_test(differences).p == pytest.approx(min(1, expected.pvalue), abs=1e-12)


def test_24_speakers_are_counted_exactly():
    assert statistics.sign_flip_test(np.ones(24)) == statistics.SignFlips(2 / 2**24)
    assert statistics.sign_flip_test(np.zeros(24)) == statistics.SignFlips(1.0)
    differences = np.random.default_rng(5).integers(-8, 12, 24)
    ways = {0: 1}
    for value in differences.tolist():
        sums: dict[int, int] = {}
        for total, count in ways.items():
            for moved in (total + value, total - value):
                sums[moved] = sums.get(moved, 0) + count
        ways = sums
    far = sum(count for total, count in ways.items() if abs(total) >= abs(differences.sum()))
    assert statistics.sign_flip_test(differences / 3) == statistics.SignFlips(pytest.approx(far / 2**24))


@pytest.mark.parametrize("whole", [True, False])
def test_a_sum_that_is_not_as_far_does_not_count_however_near(whole, monkeypatch):
    # Sums of two: 3.001 and 0.999 with either sign.
    if not whole:
        monkeypatch.setattr(statistics, "_SUMS", 0)
    assert statistics.sign_flip_test(np.array([2.0, -1.001])).p == 1.0
    assert statistics.sign_flip_test(np.array([2.0, 1.001])).p == 0.5
    # Of 1.000001, 1 and -1 the sum is 1.000001, and one pattern in four has 0.999999.
    differences = np.array([1.000001, 1.0, -1.0])
    assert statistics.sign_flip_test(differences).p == by_hand(differences) == 0.75


def test_more_patterns_than_can_be_counted_are_drawn_and_it_says_how_many():
    differences = np.random.default_rng(3).normal(0.3, 1, statistics._PAIRED)
    exact = statistics.sign_flip_test(differences)
    assert exact.drawn == 0
    found = statistics.sign_flip_test(np.append(differences, 1e-7 * np.pi))
    assert found.drawn == 10_000
    assert found.p == pytest.approx(exact.p, abs=0.015)
    assert statistics.sign_flip_test(np.linspace(1, 2, 60) ** np.pi, resamples=99).p == 1 / 100  # never zero


def test_many_groups_of_whole_differences_are_counted():
    differences = np.random.default_rng(6).integers(-5, 6, 2541) / 5
    found = statistics.sign_flip_test(differences)
    assert found.drawn == 0
    deviation = np.sqrt(np.sum(differences**2))
    z = (abs(differences.sum()) - 0.2) / deviation  # sums step by 0.4: half a step
    assert found.p == pytest.approx(2 * (1 - NormalDist().cdf(z)), abs=1e-3)


def test_the_sign_flip_test_holds_its_level():
    rng = np.random.default_rng(4)
    values = [statistics.sign_flip_test(rng.normal(size=9)).p for _ in range(600)]
    assert np.mean(np.array(values) <= 0.05) == pytest.approx(0.05, abs=0.03)


def test_without_groups_there_is_no_test():
    assert np.isnan(statistics.sign_flip_test(np.zeros(0)).p)


def test_holm():
    # Holm (1979): sorted p values times n, n - 1, ...; never below the one before.
    assert statistics.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    corrected = statistics.holm([np.nan, 0.02, 0.8, np.nan])
    assert np.isnan(corrected[0])
    assert corrected[1:3] == pytest.approx([0.04, 0.8])
    assert statistics.holm([0.9, 0.8]) == [1.0, 1.0]
