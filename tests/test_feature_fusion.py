"""Sequences of vectors of any length: padding changes nothing, absent modalities neither, a batch of one works."""

import pytest
import torch

from lightning_modules.engagement.dynamic import UnimodalDynamic
from lightning_modules.errors import TaskError
from lightning_modules.feature_fusion import FeatureFusion
from lightning_modules.nn.action_units import ActionUnitNet
from lightning_modules.nn.vector_sequence import VectorSequence
from lightning_modules.ravdess_fusion import ConcatFC

SHAPES = {"face": [0, 6], "voice": [9, 4], "words": [5]}
LENGTHS = [7, 3, 1]


def batch(steps=7):
    generator = torch.Generator().manual_seed(0)
    face = torch.zeros(3, steps, 6)
    for row, length in enumerate(LENGTHS):
        face[row, :length] = torch.randn(length, 6, generator=generator)
    return {
        "id": ["a", "b", "c"],
        "group": ["s"] * 3,
        "face": face,
        "voice": torch.randn(3, 9, 4, generator=generator),
        "words": torch.randn(3, 5, generator=generator),
        "length": {"face": torch.tensor(LENGTHS)},
        "mask": {name: torch.ones(3, dtype=torch.bool) for name in SHAPES},
        "target": torch.tensor([0, 1, 2]),
    }


@pytest.fixture
def model():
    torch.manual_seed(0)
    return FeatureFusion(num_classes=3, input_shapes=SHAPES, dim=8).eval()


def test_parameters_and_stages(model):
    assert sum(value.numel() for value in VectorSequence(8, 16).parameters()) == 2064
    assert sum(value.numel() for value in model.parameters()) == 56 + 40 + 2 * (432 + 72 + 8) + 48 + 75
    stages = model.stages()
    assert list(stages) == ["face", "voice", "words", "head"]
    held = [id(value) for modules in stages.values() for module in modules for value in module.parameters()]
    assert sorted(held) == sorted(id(value) for value in model.parameters())


def test_a_prediction_does_not_depend_on_batch_mates_or_padding(model):
    whole = model(batch())["logits"]
    torch.testing.assert_close(model(batch(steps=20))["logits"], whole)
    for row, length in enumerate(LENGTHS):
        alone = {**batch(), "face": batch()["face"][:, :length]}
        alone = {
            key: value[row : row + 1]
            if not isinstance(value, dict)
            else {k: v[row : row + 1] for k, v in value.items()}
            for key, value in alone.items()
        }
        torch.testing.assert_close(model(alone)["logits"], whole[row : row + 1])


def test_what_stands_behind_the_last_step_changes_nothing(model):
    spoilt = batch()
    for row, length in enumerate(LENGTHS):
        spoilt["face"][row, length:] = 1e4
    torch.testing.assert_close(model(spoilt)["logits"], model(batch())["logits"])


def test_an_absent_modality_gives_the_same_whatever_stands_there(model):
    given = batch()
    for name in SHAPES:
        given["mask"][name] = torch.tensor([True, False, True])
    given["length"]["face"] = torch.tensor([7, 0, 1])
    before = model(given)
    assert not before["aux"]["embedding"][1].any()
    for name in SHAPES:
        given[name][1] = torch.nan
    given["length"]["face"][1] = 4
    torch.testing.assert_close(model(given)["logits"], before["logits"])


def test_order_matters_and_gradients_reach_every_parameter(model):
    turned = batch()
    turned["voice"] = turned["voice"].flip(1)
    assert not torch.allclose(model(turned)["logits"], model(batch())["logits"])
    model(batch())["logits"].sum().backward()
    assert all(value.grad is not None and value.grad.any() for value in model.parameters())


def test_what_it_cannot_read_is_one_line():
    with pytest.raises(TaskError, match="FeatureFusion reads vectors"):
        FeatureFusion(num_classes=3, input_shapes={"face": [3, 8, 16, 16]})
    with pytest.raises(TaskError, match=r"has face as \[13, 0\], of which time is the last axis: --model.time_last"):
        FeatureFusion(num_classes=3, input_shapes={"face": [13, 0]})
    for lost in ("words", "smell"):
        with pytest.raises(TaskError, match=f"model.time_last: {lost} is no sequence"):
            FeatureFusion(num_classes=3, input_shapes=SHAPES, time_last=[lost])
    with pytest.raises(TaskError, match=r"model\.modalities: no voice in the data, it has face"):
        FeatureFusion(num_classes=3, input_shapes={"face": [0, 6]}, modalities=["voice"])


def test_time_may_be_the_last_axis(model):
    torch.manual_seed(0)
    shapes = {**SHAPES, "face": [6, 0], "voice": [4, 9]}
    other = FeatureFusion(num_classes=3, input_shapes=shapes, dim=8, time_last=["face", "voice"]).eval()
    turned = {name: batch()[name].transpose(1, 2) for name in ("face", "voice")}
    assert torch.equal(other({**batch(), **turned})["logits"], model(batch())["logits"])


def test_models_of_windows_and_of_mfccs_say_that_they_need_one_length():
    with pytest.raises(TaskError, match=r"UnimodalDynamic reads windows of one length.*--data\.steps"):
        UnimodalDynamic(num_classes=3, input_shapes={"face": [0, 8]})
    for shape in ([0, 13], [13, 0]):
        with pytest.raises(TaskError, match=r"--data\.steps"):
            ConcatFC(num_classes=3, input_shapes={"video": [35], "audio": shape}, video=ActionUnitNet(35))


def test_sequences_may_be_pooled_by_attention_alone():
    torch.manual_seed(0)
    task = FeatureFusion(3, {"units": [0, 5], "voice": [4]}, dim=6, pooling="attention").eval()
    assert not any("recurrent" in name for name, _ in task.named_parameters())
    x, length = torch.randn(2, 7, 5), torch.tensor([7, 4])
    whole = {"units": x, "voice": torch.randn(2, 4), "length": {"units": length}}
    behind = {**whole, "units": torch.where(torch.arange(7)[:, None] < length[:, None, None], x, 9.0)}
    torch.testing.assert_close(task(whole)["logits"], task(behind)["logits"])
    encoder = task.encoders[0]
    hidden = encoder.project(x[1, :4])
    weights = (encoder.weigh[2](torch.tanh(encoder.weigh[0](hidden)))).softmax(0)
    torch.testing.assert_close(encoder(x, length)[1], (weights * hidden).sum(0))
