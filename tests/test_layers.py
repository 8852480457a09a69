"""Layers that two or more papers use."""

import math

import pytest
import torch

from lightning_modules.errors import TaskError
from lightning_modules.nn.layers import AttentionLayer, BatchNorm, sine_positions


def parameters(module):
    return sum(p.numel() for p in module.parameters())


@pytest.mark.parametrize("training", [True, False])
def test_batch_norm_is_torchs_for_a_batch_and_takes_running_statistics_for_one_clip(training):
    torch.manual_seed(0)
    ours, theirs = BatchNorm(4).train(training), torch.nn.BatchNorm1d(4).train(training)
    x = 3 + torch.randn(5, 4)
    for _ in range(2):
        torch.testing.assert_close(ours(x), theirs(x), rtol=0, atol=0)
    before = {name: value.clone() for name, value in ours.state_dict().items()}
    for name, value in theirs.state_dict().items():
        assert torch.equal(before[name], value), name
    torch.testing.assert_close(ours(x[:1]), theirs.eval()(x[:1]))
    assert all(torch.equal(before[name], value) for name, value in ours.state_dict().items())


def test_positions_alternate_sines_and_cosines_from_zero():
    positions = sine_positions(50, 8)
    for t in (0, 1, 49):
        for i in range(4):
            angle = t / 10000 ** (2 * i / 8)
            assert positions[t, 2 * i] == pytest.approx(math.sin(angle), abs=1e-5)
            assert positions[t, 2 * i + 1] == pytest.approx(math.cos(angle), abs=1e-5)


# The released layer has a LayerNorm of 2 D parameters that it never uses.
@pytest.mark.parametrize(
    ("dim", "heads", "released"),
    [(256, 4, 395_264), (256, 64, 395_264), (768, 32, 3_545_088), (512, 8, 1_576_960)],
)
def test_an_attention_layer_has_the_released_parameters_without_the_dead_ones(dim, heads, released):
    assert parameters(AttentionLayer(dim, heads)) == released - 2 * dim


def test_query_key_and_value_start_as_linear_layers_of_their_own():
    """Released: three linear layers without biases, deviation 0.0361; torch's packed ones have 0.0443."""
    torch.manual_seed(0)
    attention = AttentionLayer(256, 8).attention
    for weight in (*attention.in_proj_weight.chunk(3), attention.out_proj.weight):
        assert weight.std().item() == pytest.approx(1 / math.sqrt(3 * 256), rel=0.01)
        assert 0.999 / 16 < weight.abs().max() <= 1 / 16


def attention_by_its_formulas(layer, query, context, heads, positions=True, answered=True):
    """The layer without dropout, written out."""

    def norm(x, module):
        x = x - x.mean(2, keepdim=True)
        return x / (x.square().mean(2, keepdim=True) + 1e-5).sqrt() * module.weight + module.bias

    dim = query.shape[2]
    q, k = query.clone(), context.clone()
    for sequence in (q, k) if positions else ():
        for t in range(sequence.shape[1]):
            for channel in range(dim):
                angle = t / 10000 ** (2 * (channel // 2) / dim)
                sequence[:, t, channel] += math.cos(angle) if channel % 2 else math.sin(angle)
    w_q, w_k, w_v = layer.attention.in_proj_weight.chunk(3)
    found = []
    for head in range(heads):
        own = slice(head * dim // heads, (head + 1) * dim // heads)
        scores = (q @ w_q[own].T) @ (k @ w_k[own].T).transpose(1, 2) / (dim / heads) ** 0.5
        found.append(scores.softmax(2) @ (k @ w_v[own].T))
    attended = torch.cat(found, 2) @ layer.attention.out_proj.weight.T * answered
    x = norm(attended + q, layer.attention_norm)
    first, second = layer.feed_forward[0], layer.feed_forward[3]
    y = torch.relu(x @ first.weight.T + first.bias) @ second.weight.T + second.bias
    return norm(y + x, layer.norm)


@pytest.mark.parametrize(("heads", "positions"), [(1, True), (4, True), (16, True), (4, False)])
def test_an_attention_layer_equals_its_formulas(heads, positions):
    torch.manual_seed(0)
    layer = AttentionLayer(16, heads, dropout=0.2, positions=positions).double().eval()
    query, context = torch.randn(3, 7, 16).double(), torch.randn(3, 9, 16).double()
    expected = attention_by_its_formulas(layer, query, context, heads, positions)
    torch.testing.assert_close(layer(query, context), expected, rtol=0, atol=1e-6)  # positions are float32
    itself = attention_by_its_formulas(layer, query, query, heads, positions)
    torch.testing.assert_close(layer(query, query), itself, rtol=0, atol=1e-6)


def test_an_absent_context_is_not_attended_to():
    torch.manual_seed(0)
    layer = AttentionLayer(16, heads=4).double().eval()
    query, context = torch.randn(3, 7, 16).double(), torch.randn(3, 7, 16).double()
    present = torch.tensor([[True], [False], [True]])
    output = layer(query, context, present)
    expected = attention_by_its_formulas(layer, query, context, 4, answered=present[:, None])
    torch.testing.assert_close(output, expected, rtol=0, atol=1e-6)
    assert torch.equal(output[1], layer(query, torch.randn_like(context), present)[1])


def test_positions_have_a_dropout_of_their_own():
    torch.manual_seed(0)
    layer = AttentionLayer(16, heads=4, dropout=0.0)
    x = torch.randn(2, 5, 16)
    assert not torch.equal(layer(x, x), layer(x, x))
    without = AttentionLayer(16, heads=4, dropout=0.0, positions=False)
    assert torch.equal(without(x, x), without(x, x))


def test_heads_that_do_not_divide_the_channels_are_refused():
    with pytest.raises(TaskError, match="5 does not divide the 16 channels"):
        AttentionLayer(16, heads=5)
