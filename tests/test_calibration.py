"""How sure a model says that it is, and how often it is right."""

import pytest
import torch

from experiments.predict.legend import _calibration
from lightning_modules.nn.calibration import calibration_error, fit_temperature, unsure_below


def test_the_temperature_of_logits_that_were_scaled_is_found():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(20_000, 4, generator=generator)
    labels = torch.multinomial(logits.softmax(1), 1, generator=generator)[:, 0]
    assert fit_temperature(logits, labels) == pytest.approx(1, abs=0.05)
    assert fit_temperature(logits * 5, labels) == pytest.approx(5, abs=0.25)
    right = logits.argmax(1) == labels
    own = calibration_error(logits.softmax(1).max(1).values, right)
    assert own < 0.02 < calibration_error((logits * 5).softmax(1).max(1).values, right)


def test_the_error_is_the_mean_distance_by_bins():
    confidence = torch.tensor([0.9, 0.9, 0.9, 0.9, 0.3, 0.3])
    right = torch.tensor([True, True, False, False, False, False])
    assert calibration_error(confidence, right) == pytest.approx((4 * 0.4 + 2 * 0.3) / 6, abs=1e-6)


@pytest.mark.parametrize(
    ("right", "threshold"),
    [("0011", 0.4), ("1111", 0.0), ("0000", 1.0), ("0111", 0.3), ("1000", 1.0)],
)
def test_below_the_threshold_more_answers_were_wrong(right, threshold):
    confidence = torch.tensor([0.2, 0.3, 0.35, 0.4])
    found = unsure_below(confidence, torch.tensor([one == "1" for one in right]))
    assert found == pytest.approx(threshold)


@pytest.mark.parametrize(
    ("split", "threshold", "told"),
    [
        ("test", 0.0, "right on 64 clips of the test itself, which is optimistic (temperature 2.00; calibration error "
         "0.200 before, 0.100 after); unsure: never, as at no probability more of its answers were wrong than right"),
        ("val", 0.5, "right on 64 clips that select the epoch (temperature 2.00; calibration error 0.200 before, 0.100 "
         "after); unsure: below 50.0%, where more of its answers were wrong than right"),
    ],
)  # fmt: skip
def test_it_is_told_in_words(split, threshold, told):
    of = {"temperature": 2.0, "ece": 0.2, "ece_calibrated": 0.1, "threshold": threshold, "clips": 64, "split": split}
    assert _calibration(of) == f"calibrated: as sure as it was {told}"
