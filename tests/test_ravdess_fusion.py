import pytest
import torch
from torch import nn

from lightning_modules.cfnsr import CFNSR
from lightning_modules.errors import TaskError
from lightning_modules.nn.action_units import ActionUnitNet
from lightning_modules.nn.backbones import MFCCNet, ResNeXt3D
from lightning_modules.nn.encoders import load_weights
from lightning_modules.ravdess_fusion import MCBP, MMTM, MSAF, ConcatFC
from lightning_modules.ravdess_rivals import AudioOnly, LateFusion, VideoOnly

PAPER = {"video": [3, 30, 224, 224], "audio": [13, 212]}
SHAPES = {"video": [3, 8, 32, 32], "audio": [13, 60]}
UNITS = {"video": [11], "audio": [13, 60]}
DEAD = 8 * (2048 + 1) + 8 * (1664 + 1)  # the heads of the two networks alone, which these networks never use
SMALL = {
    ConcatFC: {"hidden": 8},
    MCBP: {"dim": 32, "hidden": 8},
    MMTM: {"hidden": 8},
    MSAF: {"blocks": (8, 8)},
    CFNSR: {"attention_layers": 1, "attention_heads": 4},
    LateFusion: {"rule": "multiplicative"},
}
FUSIONS = [ConcatFC, MCBP, MMTM, MSAF]


def small(kind, shapes=SHAPES):
    torch.manual_seed(0)
    video = ResNeXt3D((1, 1, 1, 1), width=4, cardinality=2) if shapes is SHAPES else ActionUnitNet(11, (16, 24))
    model = kind(5, shapes, video=video, audio=MFCCNet(channels=(8, 16)), **SMALL[kind])
    with torch.no_grad():  # batch norm that is not the identity in evaluation
        for module in model.modules():
            if isinstance(module, nn.BatchNorm1d | nn.BatchNorm3d):
                module.running_mean.normal_(0, 0.1)
                module.running_var.uniform_(0.5, 2)
    return model


def batch(shapes=SHAPES, size=4):
    generator = torch.Generator().manual_seed(1)
    mask = {name: torch.ones(size, dtype=torch.bool) for name in shapes}
    clips = {name: torch.randn(size, *shape, generator=generator) for name, shape in shapes.items()}
    return {**clips, "mask": mask, "target": torch.arange(size) % 5}


def rows(whole, *index):
    index = list(index)
    mask = {name: mask[index] for name, mask in whole["mask"].items()}
    return {
        "video": whole["video"][index],
        "audio": whole["audio"][index],
        "mask": mask,
        "target": whole["target"][index],
    }


@pytest.mark.parametrize(
    ("kind", "published", "dead"),
    [(ConcatFC, 26_868_664, DEAD), (MCBP, 51_034_209, DEAD), (MMTM, 31_972_808, DEAD), (MSAF, 25_940_724, 0)],
)
def test_parameters_are_the_published_ones_without_the_unused(kind, published, dead):
    assert DEAD == 29_712
    model = kind(8, PAPER)
    assert sum(p.numel() for p in model.parameters()) == published - dead
    stages = {name: sum(p.numel() for p in group) for name, group in model.stage_parameters().items()}
    assert list(stages)[:6] == [f"video_{name}" for name in ("stem", "layer1", "layer2", "layer3", "layer4")] + [
        "audio"
    ]
    assert sum(stages.values()) == published - dead
    assert stages.get("fusion", 0) == {MMTM: 1_116_720 + 4_463_712, MSAF: 5_356 + 19_288}.get(kind, 0)


def test_concatenation_without_a_hidden_layer():
    model = ConcatFC(8, UNITS, video=ActionUnitNet(UNITS["video"][0]), hidden=None)
    output = model(batch(UNITS))
    features = output["aux"]["embedding"].shape[1]
    assert sum(p.numel() for p in model.head.parameters()) == 8 * features + 8
    torch.testing.assert_close(output["logits"], model.head(output["aux"]["embedding"]))


@pytest.mark.parametrize("kind", [ConcatFC, MMTM, MSAF])
def test_shapes_at_the_papers_size(kind):
    with torch.device("meta"):
        output = kind(8, PAPER)({"video": torch.empty(2, 3, 30, 224, 224), "audio": torch.empty(2, 13, 212)})
    assert output["logits"].shape == (2, 8)
    assert output["aux"]["embedding"].shape == (2, 3712)


@pytest.mark.parametrize("shapes", [SHAPES, UNITS], ids=["frames", "units"])
@pytest.mark.parametrize("kind", [*FUSIONS, CFNSR, LateFusion])
def test_a_clip_alone_is_scored_as_in_a_batch(kind, shapes):
    model, whole = small(kind, shapes).eval(), batch(shapes)
    together = model(whole)
    assert together["logits"].shape == (4, 5)
    for i in range(4):
        alone = model(rows(whole, i))
        torch.testing.assert_close(alone["logits"][0], together["logits"][i], atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(alone["aux"]["embedding"][0], together["aux"]["embedding"][i], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("shapes", [SHAPES, UNITS], ids=["frames", "units"])
@pytest.mark.parametrize("kind", [*FUSIONS, CFNSR, LateFusion])
def test_what_stands_in_an_absent_modality_does_not_matter(kind, shapes):
    model, whole = small(kind, shapes).eval(), batch(shapes)
    complete = model(whole)["logits"].clone()
    whole["mask"]["video"][0] = whole["mask"]["audio"][1] = False
    whole["mask"]["video"][2] = whole["mask"]["audio"][2] = False
    reference = model(whole)["logits"].clone()
    assert torch.isfinite(reference).all()
    torch.testing.assert_close(reference[3], complete[3], atol=1e-5, rtol=1e-5)
    assert (reference[:3] - complete[:3]).abs().amax(1).gt(1e-4).all()
    whole["video"][0] = whole["audio"][1] = float("nan")
    assert torch.equal(model(whole)["logits"], reference)


@pytest.mark.parametrize("kind", [ConcatFC, CFNSR, MMTM, MSAF])
def test_an_absent_modality_adds_nothing_where_the_networks_meet(kind):
    """The features of an absent video are zero, not those of a black clip."""
    model, whole = small(kind).eval(), batch()
    whole["mask"]["video"][:] = False
    embedding = model(whole)["aux"]["embedding"]
    assert torch.equal(embedding[:, : model.video.channels], torch.zeros(4, model.video.channels))
    assert embedding[:, model.video.channels :].abs().sum() > 0


@pytest.mark.parametrize("shapes", [SHAPES, UNITS], ids=["frames", "units"])
@pytest.mark.parametrize("kind", FUSIONS)
def test_gradients_reach_every_parameter(kind, shapes):
    model, whole = small(kind, shapes).train(), batch(shapes)
    model.compute_loss(model(whole), whole).backward()
    assert [name for name, p in model.named_parameters() if p.grad is None or p.grad.abs().sum() == 0] == []
    assert all(torch.isfinite(p.grad).all() for p in model.parameters())


@pytest.mark.parametrize("kind", [*FUSIONS, CFNSR])
def test_one_clip_trains(kind):
    model, one = small(kind, UNITS).train(), rows(batch(UNITS), 0)
    assert torch.isfinite(model.compute_loss(model(one), one))


@pytest.mark.parametrize("kind", [*FUSIONS, CFNSR])
def test_they_start_from_the_networks_alone(kind, tmp_path):
    video = VideoOnly(5, SHAPES, video=ResNeXt3D((1, 1, 1, 1), width=4, cardinality=2))
    audio = AudioOnly(5, SHAPES, audio=MFCCNet(channels=(8, 16)))
    model = small(kind)
    for name, source in (("video", video), ("audio", audio)):
        torch.save({"state_dict": source.state_dict()}, tmp_path / f"{name}.ckpt")
        load_weights(getattr(model, name), tmp_path / f"{name}.ckpt", prefix=f"{name}.")
    assert torch.equal(model.video.layer4[0].reduce[0].weight, video.video.layer4[0].reduce[0].weight)
    assert torch.equal(model.audio.layers[0].weight, audio.audio.layers[0].weight)


def test_intermediate_fusion_feeds_the_second_level():
    """What the first module does to the video must reach the logits through the last stage."""
    model, whole = small(MMTM).eval(), batch()
    with torch.no_grad():
        model.fusions[0].squeeze.weight[:, : model.video.level_channels[0]] = 0  # nor may the sound's gates see it
        open_gates = model(whole)["logits"].clone()
        whole["video"] = torch.randn_like(whole["video"])
        assert (model(whole)["logits"] - open_gates).abs().max() > 1e-3
        model.fusions[0].first.bias.fill_(-100)  # closes every gate of the video halfway
        closed = model(whole)["logits"].clone()
        whole["video"] = torch.randn_like(whole["video"])
        torch.testing.assert_close(model(whole)["logits"], closed)


def test_options_of_mmtm_and_msaf_reach_their_layers():
    video = ResNeXt3D((1, 1, 1, 1), width=4, cardinality=2)
    mmtm = MMTM(5, SHAPES, video=video, audio=MFCCNet(channels=(8, 16)), ratio=2, width="paper", gate="paper")
    assert [block.squeeze.out_features for block in mmtm.fusions] == [(64 + 8) // 2, (128 + 16) // 2]
    assert {block.scale for block in mmtm.fusions} == {2.0}
    msaf = MSAF(5, SHAPES, video=video, audio=MFCCNet(channels=(8, 16)), blocks=(4, 8), dropout_twice=True)
    assert [block.block for block in msaf.fusions] == [4, 8]
    with pytest.raises(TaskError, match=r"model\.blocks: 5 channels"):
        MSAF(5, SHAPES, video=video, audio=MFCCNet(channels=(8, 16)), blocks=(5, 8))


def test_a_network_that_cannot_read_the_clips_is_refused():
    with pytest.raises(TaskError, match=r"model\.video: ResNeXt3D cannot read clips of shape \[11\]"):
        ConcatFC(5, UNITS)
    with pytest.raises(TaskError, match=r"model\.video: ActionUnitNet cannot read clips of shape \[12\]"):
        ConcatFC(5, {**UNITS, "video": [12]}, video=ActionUnitNet(11))
