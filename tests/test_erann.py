import numpy as np
import pytest
import torch
import torchaudio
from torch import nn

from lightning_modules.erann import ERANN, LogMel, ResidualBlock
from lightning_modules.errors import TaskError

SHAPES = {"wave": [22050]}


def small(**options):
    torch.manual_seed(0)
    model = ERANN(5, SHAPES, **{"width": 1, **options})
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
                module.running_mean.normal_(0, 0.1)
                module.running_var.uniform_(0.5, 2)
    return model


def batch(size=3):
    wave = 0.1 * torch.randn(size, *SHAPES["wave"], generator=torch.Generator().manual_seed(1))
    return {"wave": wave, "mask": {"wave": torch.ones(size, dtype=torch.bool)}, "target": torch.arange(size)}


@pytest.mark.parametrize(
    ("s_m", "width", "classes", "millions"),
    [(0, 4, 8, 24.02), (1, 4, 8, 24.06), (2, 4, 8, 24.24), (1, 6, 527, 54.53), (0, 5, 50, 37.55), (2, 5, 50, 37.89)],
)
def test_parameters_are_those_of_the_papers_three_networks(s_m, width, classes, millions):
    with torch.device("meta"):
        model = ERANN(classes, {"wave": [176400]}, s_m=s_m, width=width)
    stages = {name: sum(p.numel() for p in group) for name, group in model.stage_parameters().items()}
    assert list(stages) == ["norm", "stage0", "stage1", "stage2", "stage3", "stage4", "head"]
    assert (sum(stages.values()) - stages["norm"]) / 1e6 == pytest.approx(millions, abs=0.005)


def test_log_mel_is_that_of_librosa():
    import librosa

    wave = np.random.default_rng(0).normal(0, 0.1, 44100).astype(np.float32)
    expected = librosa.feature.melspectrogram(
        y=wave, sr=44100, n_fft=1380, hop_length=345, n_mels=128, fmin=0, fmax=22050, htk=True, norm=None, power=2.0
    )
    measured = LogMel()(torch.from_numpy(wave)[None])[0].numpy()
    assert measured.shape == (128, 128)
    np.testing.assert_allclose(measured, 10 * np.log10(expected), atol=0.01)
    assert LogMel()(torch.zeros(1, 44100)).unique().tolist() == [-100]


def test_every_band_sees_something():
    filters = LogMel().get_buffer("filters")
    assert filters.shape == (691, 128)
    assert filters.sum(0).min() > 0
    assert filters.max() <= 1


def test_the_front_end_is_torchaudios_and_not_in_the_checkpoint():
    """The formula of torchaudio's module, without the buffers that it saves; checkpoints of earlier versions load."""
    module = torchaudio.transforms.MelSpectrogram(
        44100, n_fft=1380, hop_length=345, n_mels=128, mel_scale="htk", norm=None, pad_mode="constant"
    )
    wave = 0.1 * torch.randn(2, 20000, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(LogMel()(wave), 10 * module(wave).log10(), rtol=0, atol=0)
    assert not [name for name in small().state_dict() if name.startswith("front")]


@pytest.mark.parametrize("stride", [(1, 1), (2, 2), (2, 4)])
def test_blocks_shorten_by_their_stride(stride):
    block = ResidualBlock(4, 4 if stride == (1, 1) else 8, stride)
    assert block(torch.randn(2, 4, 8, 16)).shape[2:] == (8 // stride[0], 16 // stride[1])
    assert all(m.bias is None for m in block.modules() if isinstance(m, nn.Conv2d))


@pytest.mark.parametrize("s_m", [0, 1, 2, 3])
def test_s_m_says_how_many_stages_take_every_fourth_frame(s_m):
    model = small(s_m=s_m)
    strides = [stack[0].layers[2].stride for stack in model.stacks]
    assert strides == [(1, 1), *((2, 4 if stage <= s_m else 2) for stage in (1, 2, 3)), (2, 2)]
    assert model.shortening == 16 * 2**s_m
    for samples in (100, 22050, 30001):  # any length goes through
        assert model.eval()({"wave": torch.randn(1, samples)})["logits"].shape == (1, 5)


def test_scores_depend_on_the_clip_alone():
    model, whole = small().eval(), batch()
    together = model(whole)
    assert together["aux"]["embedding"].shape == (3, 128)
    alone = model({"wave": whole["wave"][1:2]})
    torch.testing.assert_close(alone["logits"][0], together["logits"][1], atol=1e-4, rtol=1e-4)
    whole["mask"]["wave"][1] = False
    reference = model(whole)["logits"]
    whole["wave"][1] = float("nan")
    assert torch.equal(model(whole)["logits"], reference)
    assert torch.isfinite(reference).all()


@pytest.mark.parametrize("size", [1, 3])
def test_gradients_reach_every_parameter(size):
    model, whole = small(s_m=3).train(), batch(size)
    model.compute_loss(model(whole), whole).backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in model.parameters())
    assert [name for name, p in model.named_parameters() if p.grad.abs().sum() == 0] == []


def test_wrong_data_and_options_are_refused():
    with pytest.raises(TaskError, match=r"--data\.modalities \[wave\]"):
        ERANN(8, {"audio": [13, 212]})
    with pytest.raises(TaskError, match=r"--model\.s_m 4"):
        ERANN(8, SHAPES, s_m=4)
