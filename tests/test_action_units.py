import torch

from lightning_modules.cfnsr import CFNSR
from lightning_modules.nn.action_units import ActionUnitNet


def test_levels_channels_and_parameters():
    network = ActionUnitNet()
    values = torch.randn(3, 35)
    tokens = network.level1(values)
    assert tokens.shape == (3, 32, 35)
    assert network.level2(tokens).shape == (3, 128, 35)
    assert (network.level_channels, network.channels) == ((32, 128), 128)
    assert sum(p.numel() for p in network.parameters()) == 10_752
    network.eval()
    assert torch.equal(network(values), network.level2(network.level1(values)))


def test_a_token_of_the_first_level_is_of_its_unit_alone_and_of_the_second_of_all():
    network = ActionUnitNet(units=6).eval()
    values = torch.randn(1, 6)
    other = values.clone()
    other[0, 2] += 1
    changed = (network.level1(values) - network.level1(other)).abs().amax(1)[0] > 0
    assert changed.tolist() == [False, False, True, False, False, False]
    changed = (network(values) - network(other)).abs().amax(1)[0] > 0
    assert changed.all()


def test_tokens_equal_their_formula():
    network = ActionUnitNet(units=4, channels=(3, 5)).eval()
    for norm in (network.tokens.norm, network.mixing.norm):
        norm.running_mean.normal_()
    values = torch.randn(2, 4)
    tokens, mixed = network.level1(values), network(values)
    eps = (1 + 1e-5) ** 0.5
    for b in range(2):
        for u in range(4):
            raw = values[b, u] * network.tokens.scale[u] + network.tokens.shift[u]
            torch.testing.assert_close(tokens[b, :, u], ((raw - network.tokens.norm.running_mean) / eps).relu())
            raw = network.mixing.own.weight @ tokens[b, :, u] + network.mixing.face.weight @ tokens[b].mean(1)
            torch.testing.assert_close(mixed[b, :, u], ((raw - network.mixing.norm.running_mean) / eps).relu())


def test_the_cross_modal_block_attends_over_units():
    model = CFNSR(8, {"video": [35], "audio": [13, 212]}, video=ActionUnitNet()).eval()
    output = model({"video": torch.randn(2, 35), "audio": torch.randn(2, 13, 212)})
    attention = output["aux"]["attention"]
    assert attention.shape == (2, 35)
    torch.testing.assert_close(attention.sum(1), torch.ones(2))
    assert output["aux"]["embedding"].shape == (2, 128 + 1664)
