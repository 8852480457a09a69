"""The figures of papers on sentiment: by hand, and against scikit-learn."""

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, f1_score

from lightning_modules.nn.metrics import value_metrics
from lightning_modules.nn.sentiment_metrics import sentiment_metrics, sentiment_scores, weighted_f1


def test_by_hand():
    true = torch.tensor([-2.0, -0.4, 0.0, 0.6, 3.0, 1.4])
    said = torch.tensor([-1.6, 0.2, -0.1, 0.4, 3.9, 1.6])
    found = sentiment_metrics(said, true)
    assert found["acc2_nonnegative"] == pytest.approx(4 / 6)  # wrong: -0.4 said 0.2, 0 said -0.1
    assert found["acc2_positive"] == pytest.approx(4 / 5)  # the clip labelled 0 is left out
    # rounded and clipped: -2 -0 0 1 3 1, said -2 0 -0 0 3 2
    assert found["acc7"] == pytest.approx(4 / 6)
    assert value_metrics(said, true)["mae"] == pytest.approx((0.4 + 0.6 + 0.1 + 0.2 + 0.9 + 0.2) / 6)
    # not negative: 3 of 4 said and 4 true, twice 3 / 8; negative: 1 of 2, twice 1 / 4; weighted 4 : 2
    assert found["f1_nonnegative"] == pytest.approx((4 * 6 / 8 + 2 * 2 / 4) / 6)
    # positive: 3 right, 4 said, 3 true; negative: 1 right, 1 said, 2 true
    assert found["f1_positive"] == pytest.approx((3 * 6 / 7 + 2 * 2 / 3) / 5)


def test_halves_round_to_even_as_numpy_does_it():
    said, true = torch.tensor([0.5, 1.5, -2.5]), torch.tensor([0.0, 2.0, -2.0])
    assert sentiment_metrics(said, true)["acc7"] == 1


@pytest.mark.parametrize("seed", range(5))
def test_against_scikit_learn_and_numpy(seed):
    rng = np.random.default_rng(seed)
    true = rng.choice([-3, -2.2, -1, -0.4, 0, 0, 0.4, 1, 1.8, 3], 60)
    said = true + rng.normal(0, 1.5, 60)
    given = torch.from_numpy(said), torch.from_numpy(true)
    of_values = value_metrics(*given)
    found = sentiment_metrics(*given) | {name: of_values[name] for name in ("mae", "pearson")}
    some = true != 0
    assert found == pytest.approx(
        {
            "acc2_nonnegative": accuracy_score(true >= 0, said >= 0),
            "f1_nonnegative": f1_score(true >= 0, said >= 0, average="weighted"),
            "acc2_positive": accuracy_score(true[some] > 0, said[some] > 0),
            "f1_positive": f1_score(true[some] > 0, said[some] > 0, average="weighted"),
            "acc7": accuracy_score(np.round(true.clip(-3, 3)), np.round(said.clip(-3, 3))),
            "mae": np.abs(true - said).mean(),
            "pearson": np.corrcoef(true, said)[0, 1],
        }
    )


def test_what_cannot_be_told_is_left_out():
    nan = torch.nan
    assert sentiment_metrics(torch.tensor([1.0]), torch.tensor([nan])) == {}
    known = sentiment_metrics(torch.tensor([1.0, 5.0, 2.0]), torch.tensor([1.0, nan, 2.0]))
    assert known["acc7"] == known["acc2_positive"] == 1
    whole = value_metrics(torch.tensor([1.0, 2.0]), torch.tensor([1.0, 2.0]))
    assert whole["mae"] == 0
    assert whole["pearson"] == pytest.approx(1)
    assert value_metrics(torch.tensor([0.5, 0.5]), torch.tensor([1.0, 2.0]))["pearson"] == 0
    zeros = sentiment_metrics(torch.tensor([0.5, -0.5]), torch.zeros(2))
    assert set(zeros) == {"acc2_nonnegative", "f1_nonnegative", "acc7"}
    assert weighted_f1(torch.tensor([True, True]), torch.tensor([False, False])) == 0


def test_only_what_the_data_call_a_sentiment_has_them():
    values = {name: (torch.tensor([0.5, -1.0]), torch.tensor([1.0, -1.0])) for name in ("mosi", "sims", "valence")}
    outputs = {
        "mosi": {"kind": "value", "range": [-3, 3], "scale": "sentiment"},
        "sims": {"kind": "value", "range": [-1, 1], "scale": "sentiment"},
        "valence": {"kind": "value", "range": [-1, 1]},
    }
    found = sentiment_scores(values, outputs)
    assert found["acc2_positive_mosi"] == 1
    assert found["acc7_mosi"] == pytest.approx(0.5)  # 0.5 rounds to 0
    assert "acc2_nonnegative_sims" in found
    assert not [name for name in found if name.endswith("valence") or name == "acc7_sims"]
