import doctest

import numpy as np
import pytest
import torch

from lightning_modules.errors import TaskError
from lightning_modules.nn import fusion
from lightning_modules.nn.fusion import (
    CompactBilinearPooling,
    MMTMBlock,
    MSAFBlock,
    averaging,
    multiplication,
    multiplicative,
)


def parameters(module):
    return sum(p.numel() for p in module.parameters())


def features(first=32, second=16, size=3, seed=0):
    generator = torch.Generator().manual_seed(seed)
    video = torch.randn(size, first, 2, 3, 4, generator=generator)
    return video, torch.randn(size, second, 5, generator=generator)


def test_the_examples_in_the_docstrings():
    found = doctest.testmod(fusion)
    assert found.attempted >= 12
    assert found.failed == 0


def scores(size=6, modalities=3, classes=4):
    logits = 3 * torch.randn(size, modalities, classes, generator=torch.Generator().manual_seed(0))
    present = torch.ones(size, modalities, dtype=torch.bool)
    present[1, 0] = present[2, :2] = False
    present[3] = False
    return logits, present


def probabilities(row):
    e = np.exp(row - row.max())
    return e / e.sum()


def test_averaging_equals_the_mean_over_those_present():
    logits, present = scores()
    for b, fused in enumerate(averaging(logits, present).exp().numpy()):
        each = [probabilities(logits[b, m].double().numpy()) for m in range(3) if present[b, m]]
        np.testing.assert_allclose(fused, np.mean(each, axis=0) if each else np.full(4, 0.25), rtol=1e-5)


@pytest.mark.parametrize("beta", [0.0, 0.2, 1.0])
def test_multiplicative_equals_its_formula(beta):
    logits, present = scores()
    for b, fused in enumerate(multiplicative(logits, present, beta).numpy()):
        each = [probabilities(logits[b, m].double().numpy()) for m in range(3) if present[b, m]]
        expected = np.zeros(4)
        for i, p in enumerate(each):
            rest = [(1 - other) ** (beta / (len(each) - 1)) for j, other in enumerate(each) if j != i]
            expected += np.prod(rest, axis=0) * np.log(p)
        np.testing.assert_allclose(fused, expected, rtol=1e-4, atol=1e-5)


def test_multiplication_is_the_softmax_of_the_summed_logits():
    logits, present = scores()
    fused = multiplication(logits, present).softmax(1)
    torch.testing.assert_close(fused[0], logits[0].sum(0).softmax(0))
    torch.testing.assert_close(fused[2], logits[2, 2].softmax(0))
    torch.testing.assert_close(fused[3], torch.full((4,), 0.25))


def test_rules_stand_a_network_that_is_certain():
    logits = torch.tensor([[[1000.0, 0.0], [0.0, 1000.0]], [[1000.0, 0.0], [1.0, 0.0]]])
    present = torch.ones(2, 2, dtype=torch.bool)
    for fused in (averaging(logits, present), multiplication(logits, present), multiplicative(logits, present, 0.2)):
        assert torch.isfinite(fused).all()
        assert fused[1].argmax() == 0


def test_compact_bilinear_pooling_equals_the_sketched_outer_product():
    torch.manual_seed(0)
    pooling = CompactBilinearPooling(7, 5, dim=16)
    x, y = torch.randn(3, 7), torch.randn(3, 5)
    hash_x, hash_y = pooling.first_hash.numpy(), pooling.second_hash.numpy()
    for b in range(3):
        z = np.zeros(16)
        for i in range(7):
            for j in range(5):
                sign = float(pooling.first_sign[i] * pooling.second_sign[j])
                z[(hash_x[i] + hash_y[j]) % 16] += sign * float(x[b, i]) * float(y[b, j])
        z = np.sign(z) * np.sqrt(np.abs(z))
        # Where the product is 0, the root makes 1e-3 of the FFT's rounding.
        np.testing.assert_allclose(pooling(x, y)[b], z / np.linalg.norm(z), atol=2e-3)


def test_sketch_approximates_the_inner_product_of_outer_products():
    torch.manual_seed(0)
    pooling = CompactBilinearPooling(20, 20, dim=20000)
    x = torch.randn(2, 20)
    z = torch.fft.irfft(torch.fft.rfft(pooling.sketch(x, "first")) * torch.fft.rfft(pooling.sketch(x, "second")), 20000)
    torch.testing.assert_close((z[0] * z[0]).sum(), (x[0] @ x[0]) ** 2, rtol=0.1, atol=0)


def test_sketch_is_drawn_from_its_seed_alone_and_kept_in_the_checkpoint():
    torch.manual_seed(1)
    one = CompactBilinearPooling(7, 5, dim=16).state_dict()
    torch.manual_seed(2)
    other = CompactBilinearPooling(7, 5, dim=16).state_dict()
    assert set(one) == {"first_hash", "first_sign", "second_hash", "second_sign"}
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert not torch.equal(one["first_hash"], CompactBilinearPooling(7, 5, dim=16, seed=1).first_hash)
    assert set(one["first_sign"].tolist()) == {-1.0, 1.0}
    assert list(CompactBilinearPooling(7, 5, dim=16).parameters()) == []


def test_compact_bilinear_pooling_has_finite_gradients_where_it_is_zero():
    x, y = torch.zeros(2, 7, requires_grad=True), torch.randn(2, 5)
    pooling = CompactBilinearPooling(7, 5, dim=16)
    pooled = pooling(x, y)
    assert torch.equal(pooled, torch.zeros(2, 16))
    pooled.sum().backward()
    assert torch.isfinite(x.grad).all()


def test_compact_bilinear_pooling_under_mixed_precision():
    pooling, x, y = CompactBilinearPooling(7, 5, dim=16), torch.randn(3, 7), torch.randn(3, 5)
    with torch.autocast("cpu", torch.bfloat16):
        half = pooling(x.bfloat16(), y.bfloat16())
    torch.testing.assert_close(half, pooling(x.bfloat16().float(), y.bfloat16().float()))


@pytest.mark.parametrize(("gate", "scale"), [("released", 1), ("paper", 2)])
def test_mmtm_equals_its_formula(gate, scale):
    block = MMTMBlock(32, 16, gate=gate)
    video, audio = features()
    weights = {name: p.detach().double().numpy() for name, p in block.named_parameters()}
    for b, (seen, heard) in enumerate(zip(*block(video, audio), strict=True)):
        means = np.concatenate([video[b].double().numpy().mean((1, 2, 3)), audio[b].double().numpy().mean(1)])
        z = (weights["squeeze.weight"] @ means + weights["squeeze.bias"]).clip(0)
        for name, given, gated in (("first", video[b], seen), ("second", audio[b], heard)):
            gates = scale / (1 + np.exp(-(weights[f"{name}.weight"] @ z + weights[f"{name}.bias"])))
            expected = given.numpy() * gates.reshape(-1, *[1] * (given.ndim - 1))
            np.testing.assert_allclose(gated.detach().numpy(), expected, atol=1e-5)


def test_mmtm_has_the_published_parameters():
    assert parameters(MMTMBlock(1024, 32)) == 1_116_720
    assert parameters(MMTMBlock(2048, 64)) == 4_463_712
    assert MMTMBlock(1024, 32).squeeze.out_features == (1024 + 32) // 2
    assert MMTMBlock(1024, 32, width="paper").squeeze.out_features == (1024 + 32) // 4
    with pytest.raises(TaskError, match=r"model\.ratio"):
        MMTMBlock(4, 4, ratio=100)


def test_msaf_has_the_published_parameters():
    assert parameters(MSAFBlock(1024, 32, block=16)) == 5_356
    assert parameters(MSAFBlock(2048, 64, block=32)) == 19_288


def test_msaf_equals_its_formula():
    block = MSAFBlock(32, 16, block=8).eval()
    with torch.no_grad():
        block.norm.running_mean.normal_()
        block.norm.running_var.uniform_(0.5, 2)
    w = {name: t.double().numpy() for name, t in block.state_dict().items()}
    video, audio = features()
    for b, (seen, heard) in enumerate(zip(*block(video, audio), strict=True)):
        means = [video[b, 8 * k : 8 * k + 8].double().numpy().mean((1, 2, 3)) for k in range(4)]
        means += [audio[b, 8 * k : 8 * k + 8].double().numpy().mean(1) for k in range(2)]
        joint = w["squeeze.weight"] @ np.sum(means, axis=0) + w["squeeze.bias"]
        normed = (joint - w["norm.running_mean"]) / np.sqrt(w["norm.running_var"] + 1e-5)
        z = (normed * w["norm.weight"] + w["norm.bias"]).clip(0)
        raw = np.stack(
            [w["shares.weight"][8 * k : 8 * k + 8] @ z + w["shares.bias"][8 * k : 8 * k + 8] for k in range(6)]
        )
        shares = np.exp(raw) / np.exp(raw).sum(0)
        gains = shares.reshape(-1)
        expected = [video[b].numpy() * gains[:32, None, None, None], audio[b].numpy() * gains[32:, None]]
        np.testing.assert_allclose(seen.detach().numpy(), expected[0], atol=1e-5)
        np.testing.assert_allclose(heard.detach().numpy(), expected[1], atol=1e-5)


@pytest.mark.parametrize(("twice", "scale"), [(False, 1 / 0.6), (True, 1 / 0.36)])
def test_msaf_drops_whole_blocks_of_a_clip(twice, scale):
    torch.manual_seed(0)
    block = MSAFBlock(32, 16, block=8, dropout=0.4, dropout_twice=twice).train()
    with torch.no_grad():
        block.shares.weight.zero_()
        block.shares.bias.zero_()  # every block's share is 1 / 6
    seen, heard = block(torch.ones(50, 32, 1, 1, 1), torch.ones(50, 16, 1))
    gains = torch.cat([seen.flatten(1), heard.flatten(1)], dim=1).view(50, 6, 8)
    assert torch.equal(gains, gains[..., :1].expand_as(gains))
    kept = gains[..., 0] > 0
    torch.testing.assert_close(gains[..., 0][kept], torch.full((int(kept.sum()),), scale / 6))
    assert 0.5 < kept.float().mean() < 0.7
    assert not torch.equal(kept[0], kept[1]) or not torch.equal(kept[1], kept[2])


def test_msaf_trains_on_one_clip_with_running_statistics():
    block = MSAFBlock(32, 16, block=8, dropout=0.0)
    video, audio = features(size=1)
    before = block.norm.running_mean.clone()
    trained = block.train()(video, audio)
    assert torch.equal(block.norm.running_mean, before)
    torch.testing.assert_close(trained, block.eval()(video, audio))
    block.train()(*features(size=4))
    assert not torch.equal(block.norm.running_mean, before)


def test_frozen_msaf_keeps_its_statistics():
    block = MSAFBlock(32, 16, block=8).train()
    block.norm.eval()
    before = block.norm.running_mean.clone()
    block(*features())
    assert torch.equal(block.norm.running_mean, before)


def test_msaf_refuses_blocks_that_do_not_divide():
    for first, block in ((30, 16), (32, 6)):
        with pytest.raises(TaskError, match=rf"model\.blocks: {block} channels"):
            MSAFBlock(first, 48, block=block)
