"""What a report says of sentiments is what a run measured of them."""

import numpy as np
import pytest
import torch

from experiments.results.predictions import Values
from experiments.scores.run_score import score_values
from lightning_modules.nn.sentiment_metrics import sentiment_metrics

NAMES = {
    "Acc-2, negative or not": "acc2_nonnegative",
    "F1, negative or not": "f1_nonnegative",
    "Acc-2, negative or positive": "acc2_positive",
    "F1, negative or positive": "f1_positive",
    "Acc-7": "acc7",
}


def values(count: int, seed: int, limit: float = 3.0) -> Values:
    rng = np.random.default_rng(seed)
    true = (rng.uniform(-limit, limit, count) * 5).round() / 5
    true[:: count // 4] = 0
    ids = [f"clip {place}" for place in range(count)]
    return Values(ids, [f"v{place % 5}" for place in range(count)], true, true + rng.normal(0, 1.5, count))


@pytest.mark.parametrize("limit", [3.0, 1.0])
def test_the_figures_are_those_of_the_run(limit):
    run = values(40, 1, limit)
    scored = score_values({(0, 0): run}, {(0, 0): 0.4}, limit)
    expected = sentiment_metrics(torch.tensor(run.predicted), torch.tensor(run.targets), limit)
    found = {NAMES[of.metric]: of.value for of in scored.more}
    assert set(found) == {name for name in NAMES.values() if name != "acc7" or limit == 3}
    for name, value in found.items():
        assert value == pytest.approx(expected[name]), name
    constant = sentiment_metrics(torch.full((40,), 0.4), torch.tensor(run.targets), limit)
    assert {NAMES[of.metric]: pytest.approx(of.baseline) for of in scored.more} == {n: constant[n] for n in found}
    assert all(of.interval[0] <= of.value <= of.interval[1] for of in scored.more)


def test_other_values_and_labels_of_zero_alone_have_none_of_it():
    assert not score_values({(0, 0): values(20, 2)}, {}).more
    zero = Values(["a", "b"], ["s", "t"], np.zeros(2), np.array([1.0, -1.0]))
    assert {of.metric for of in score_values({(0, 0): zero}, {}, 3.0).more} == {
        "Acc-2, negative or not", "F1, negative or not", "Acc-7",
    }  # fmt: skip
