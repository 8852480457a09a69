import pytest
import torch
from torch import nn

from lightning_modules.errors import TaskError
from lightning_modules.nn.backbones import MFCCNet, ResNeXt3D, audio_network, pooled, video_network

LAST = torch.channels_last_3d


def parameters(module):
    return sum(p.numel() for p in module.parameters())


def test_resnext_has_the_papers_parameters():
    network = ResNeXt3D()
    counts = {name: parameters(stage) for name, stage in network.stages().items()}
    assert counts == {
        "stem": 65_856 + 128,
        "layer1": 233_472,
        "layer2": 1_344_512,
        "layer3": 7_907_328,
        "layer4": 16_314_368,
    }
    assert parameters(network) == 25_865_664
    assert sum(b.numel() for b in network.buffers()) == 68_277
    assert all(m.bias is None for m in network.modules() if isinstance(m, nn.Conv3d))


def test_resnext_has_the_papers_shapes():
    with torch.device("meta"):
        network, x = ResNeXt3D(), torch.empty(1, 3, 30, 224, 224)
        shapes = []
        for stage in network.stages().values():
            x = stage(x)
            shapes.append(tuple(x.shape[1:]))
    assert shapes == [(64, 15, 56, 56), (256, 15, 56, 56), (512, 8, 28, 28), (1024, 4, 14, 14), (2048, 2, 7, 7)]


def test_resnext_convolutions_start_as_the_paper_says():
    conv = ResNeXt3D().layer3[0].grouped[0]
    fan_out = conv.out_channels * 27
    assert conv.weight.std().item() == pytest.approx((2 / fan_out) ** 0.5, rel=0.02)


@pytest.mark.parametrize("shape", [(1, 3, 8, 32, 32), (2, 3, 30, 48, 80), (1, 3, 1, 33, 47)])
def test_a_small_resnext_takes_any_size(shape):
    network = ResNeXt3D((1, 1, 1, 1), width=4, cardinality=2)
    up = [-(-shape[2] // 16), -(-shape[3] // 32), -(-shape[4] // 32)]
    assert network.eval()(torch.rand(shape)).shape == (shape[0], network.channels, *up)
    assert network.channels == 128


def test_resnext_keeps_channels_last_in_bf16():
    network = ResNeXt3D((1, 1, 1, 1), width=8, cardinality=4).to(memory_format=LAST)
    clips = torch.rand(2, 3, 8, 64, 64).contiguous(memory_format=LAST)
    layouts = []
    for module in network.modules():
        if isinstance(module, nn.Conv3d | nn.BatchNorm3d | nn.MaxPool3d):
            module.register_forward_hook(lambda m, i, out: layouts.append(out.is_contiguous(memory_format=LAST)))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        network(clips)
    assert len(layouts) == 35
    assert all(layouts)


def test_mfcc_net_has_the_papers_parameters_and_shapes():
    network = MFCCNet()
    assert parameters(network) == 20_704
    assert network.eval()(torch.rand(2, 13, 212)).shape == (2, 64, 26)


def test_mfcc_net_is_the_papers_1d_network():
    torch.manual_seed(0)
    network, mfcc = MFCCNet(dropout=0.0), torch.randn(4, 13, 212)
    twin = nn.Sequential(  # in the paper's order, not Conv-BN-ReLU
        nn.Conv1d(13, 32, 7, padding=2), nn.ReLU(), nn.BatchNorm1d(32),
        nn.Conv1d(32, 32, 7, padding=2), nn.ReLU(), nn.MaxPool1d(8), nn.BatchNorm1d(32), nn.Dropout(0.0),
        nn.Conv1d(32, 64, 5, padding=2), nn.ReLU(), nn.BatchNorm1d(64),
    )  # fmt: skip
    flat = {f"layers.{name}": value for name, value in twin.state_dict().items()}
    network.load_state_dict({k: v.unsqueeze(2) if v.ndim == 3 else v for k, v in flat.items()})
    pull = torch.randn(4, 64, 26)
    for model in (network, twin):
        (model(mfcc) * pull).sum().backward()
    for ours, theirs in zip(network.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad.view(ours.shape), rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(network.eval()(mfcc), twin.eval()(mfcc), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("frames", [12, 13, 19, 20, 100, 211, 212, 219, 220])
def test_mfcc_net_knows_its_number_of_steps(frames):
    network = MFCCNet(n_mfcc=3, channels=(4, 6)).eval()
    assert network(torch.rand(1, 3, frames)).shape == (1, 6, network.steps(frames))


def test_valid_steps_count_a_partly_filled_last_step():
    lengths = [2, 4, 12, 13, 20, 209, 210, 211, 212]
    assert MFCCNet.valid_steps(torch.tensor(lengths)).tolist() == [1, 1, 1, 2, 2, 26, 26, 26, 26]


def test_networks_are_checked_against_the_data():
    shapes = {"video": [3, 8, 32, 32], "audio": [20, 40]}
    own = ResNeXt3D((1, 1, 1, 1), width=4, cardinality=2)
    assert video_network(own, shapes) is own
    network, steps = audio_network(None, shapes)
    assert (network.n_mfcc, steps) == (20, 4)
    with pytest.raises(TaskError, match=r"needs video: add it to data\.modalities"):
        video_network(None, {"audio": [13, 212]})
    with pytest.raises(TaskError, match=r"needs audio: add it to data\.modalities"):
        audio_network(None, {"video": [3, 8, 32, 32]})
    with pytest.raises(TaskError, match="n_mfcc is 13, the data has 20"):
        audio_network(MFCCNet(), shapes)
    with pytest.raises(TaskError, match="MFCCs of 11 frames are too short, 12 is the least"):
        audio_network(None, {"audio": [13, 11]})


def test_networks_run_in_two_levels():
    torch.manual_seed(0)
    video, audio = ResNeXt3D((1, 1, 1, 1), width=4, cardinality=2).eval(), MFCCNet().eval()
    clips, mfcc = torch.randn(2, 3, 16, 64, 64), torch.randn(2, 13, 212)
    for network, x, first, second in (
        (video, clips, (64, 2, 4, 4), (128, 1, 2, 2)),
        (audio, mfcc, (32, 208), (64, 26)),
    ):
        halfway = network.level1(x)
        assert halfway.shape == (2, *first)
        assert network(x).shape == (2, *second)
        assert network.level_channels == (first[0], second[0])
        assert network.channels == second[0]
        whole = network(x)
        assert torch.equal(network.level2(network.level1(x)), whole)
    assert ResNeXt3D().level_channels == (1024, 2048)
    assert (audio.level1(mfcc) >= 0).all()  # after the ReLU, before the pooling
    by_stages = clips
    for stage in video.stages().values():
        by_stages = stage(by_stages)
    assert torch.equal(video(clips), by_stages)


def test_pooling_is_the_mean_over_all_places():
    for shape in ((2, 3), (2, 3, 5), (2, 3, 4, 5, 6)):
        x = torch.randn(shape)
        expected = x.flatten(2).mean(2) if len(shape) > 2 else x
        torch.testing.assert_close(pooled(x), expected)
