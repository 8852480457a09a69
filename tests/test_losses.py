import numpy as np
import pytest
import torch
import torch.nn.functional as F

from lightning_modules.nn.losses import CrossEntropy, FocalLoss, rmse

GENERATOR = np.random.default_rng(3)
LOGITS = torch.tensor(GENERATOR.normal(size=(6, 4)) * 3, dtype=torch.float32)
HARD = torch.tensor([0, 3, 1, 1, 2, 0])
SOFT = torch.tensor(GENERATOR.dirichlet(np.ones(4), size=6), dtype=torch.float32)
WEIGHT = torch.tensor([0.5, 1.0, 2.0, 4.0])


def numpy_focal(logits, target, gamma, weight, smoothing):
    scores = np.exp(logits - logits.max(1, keepdims=True))
    p = scores / scores.sum(1, keepdims=True)
    classes = logits.shape[1]
    weight = np.ones(classes) if weight is None else weight
    soft = target if target.ndim == 2 else np.eye(classes)[target]
    smooth = soft * (1 - smoothing) + smoothing / classes
    total = -(smooth * weight * (1 - p) ** gamma * np.log(p)).sum()
    return total / (len(target) if target.ndim == 2 else weight[target].sum())


@pytest.mark.parametrize("target", [HARD, SOFT], ids=["hard", "soft"])
@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["plain", "weighted"])
@pytest.mark.parametrize(("gamma", "smoothing"), [(2.0, 0.0), (0.5, 0.1), (5.0, 0.0)])
def test_focal_loss_equals_the_formula(target, weight, gamma, smoothing):
    loss = FocalLoss(gamma, smoothing)(LOGITS, target, weight=weight)
    double = None if weight is None else weight.double().numpy()
    expected = numpy_focal(LOGITS.double().numpy(), target.numpy(), gamma, double, smoothing)
    assert loss.item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("target", [HARD, SOFT], ids=["hard", "soft"])
@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["plain", "weighted"])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_focal_loss_without_focus_is_the_cross_entropy_of_torch(target, weight, smoothing):
    expected = F.cross_entropy(LOGITS, target, weight, label_smoothing=smoothing)
    torch.testing.assert_close(FocalLoss(0.0, smoothing)(LOGITS, target, weight), expected)
    torch.testing.assert_close(CrossEntropy(smoothing)(LOGITS, target, weight), expected)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0])
def test_focal_gradients_stay_finite_when_the_network_is_certain(gamma):
    logits = torch.tensor([[200.0, -200.0, 0.0], [-200.0, 200.0, 0.0]], requires_grad=True)
    loss = FocalLoss(gamma)(logits, torch.tensor([0, 0]))
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(logits.grad).all()
    assert logits.grad[1].abs().sum() > 0.1  # certain and wrong: pulled back


def test_losses_compute_half_precision_scores_in_float32():
    for loss in (CrossEntropy(), FocalLoss()):
        assert loss(LOGITS.bfloat16(), HARD, WEIGHT).dtype == torch.float32


def test_rmse_is_over_the_labels_there_are_and_has_a_gradient_where_its_square_root_has_none():
    predicted = torch.tensor([1.0, 2.0, 5.0, -1.0], requires_grad=True)
    target = torch.tensor([0.0, 2.0, float("nan"), 1.0])
    loss = rmse(predicted, target)
    assert loss.item() == pytest.approx(np.sqrt((1 + 0 + 4) / 3))
    loss.backward()
    expected = np.array([1.0, 0.0, 0.0, -2.0]) / (3 * loss.item())
    np.testing.assert_allclose(predicted.grad.numpy(), expected, rtol=1e-6)
    for same in (predicted.detach(), torch.full((4,), float("nan"))):
        predicted.grad = None
        loss = rmse(predicted, same)
        loss.backward()
        assert loss.item() == 0
        assert predicted.grad.eq(0).all()
