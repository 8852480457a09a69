"""Layer groups of any backbone, heat maps, frozen pose network, pretrained weights by keys and shapes."""

import numpy as np
import pytest
import timm
import torch
import torchvision
from safetensors.torch import save_file

from callbacks.unfreezing import GradualUnfreezing
from lightning_modules.errors import TaskError
from lightning_modules.nn.encoders import load_backbone_weights, read_weights, timm_backbone
from lightning_modules.nn.frame_encoders import FaceEmbedding, KinesicsEmbedding
from lightning_modules.nn.networks.layer_groups import backbone_stages
from lightning_modules.nn.pose import PoseNetwork, draw_heatmaps

SMALL_POSE = "hrnet_w18_small"


def numel(parts):
    return sum(
        p.numel() for part in parts for p in ([part] if isinstance(part, torch.nn.Parameter) else part.parameters())
    )


def equal(one, other):
    return all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), other.state_dict().values(), strict=True))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("mobilenetv3_small_050", ["stem", *(f"blocks_{i}" for i in range(6)), "tail"]),
        ("test_vit", ["stem", *(f"blocks_{i}" for i in range(6)), "tail"]),
        ("convnext_atto", ["stem", *(f"stages_{i}" for i in range(4)), "tail"]),
        ("resnet18", ["stem", "layer1", "layer2", "layer3", "layer4"]),
        ("regnetx_002", ["stem", "s1", "s2", "s3", "s4"]),
    ],
)
def test_stages_of_any_backbone_hold_every_parameter_once_in_the_order_of_the_network(name, expected):
    with torch.device("meta"):
        network = timm_backbone(name)
    stages = backbone_stages(network)
    assert list(stages) == expected
    held = [
        id(p)
        for parts in stages.values()
        for part in parts
        for p in ([part] if isinstance(part, torch.nn.Parameter) else part.parameters())
    ]
    assert sorted(held) == sorted(id(p) for p in network.parameters())
    assert all(numel(parts) for parts in stages.values())


def test_every_module_of_a_backbone_belongs_to_a_stage_so_that_freezing_reaches_its_dropout():
    network = timm_backbone("test_efficientnet", drop_path_rate=0.2)
    for parts in backbone_stages(network).values():
        for part in parts:
            part.eval()
    assert not any(
        module.training for module in network.modules() if module is not network and not list(module.children())
    )


@pytest.mark.parametrize(
    ("backbone", "options"),
    [("test_efficientnet", None), ("mobilenetv3_small_050", {}), ("test_vit", {"img_size": 32})],
)
def test_faces_become_embeddings_between_minus_one_and_one(backbone, options):
    torch.manual_seed(0)
    encoder = FaceEmbedding(backbone, dim=24, options=options)
    assert encoder.channels == 24
    assert encoder.accepts([3, 32, 32])
    assert not encoder.accepts([17, 3])
    frames = torch.randn(4, 3, 32, 32)
    trained = encoder.train()(frames)
    assert trained.shape == (4, 24)
    assert trained.abs().max() < 1
    assert trained.std() > 0.3  # normalised before the tanh
    encoder.eval()
    torch.testing.assert_close(encoder(frames)[:1], encoder(frames[:1]), rtol=1e-4, atol=1e-5)


def test_stochastic_depth_is_that_of_the_papers_network():
    with torch.device("meta"):
        ours = FaceEmbedding().backbone
        papers = torchvision.models.efficientnet_b1()
    rates = [m.drop_prob for m in ours.modules() if type(m).__name__ == "DropPath"]
    expected = [m.p for m in papers.modules() if type(m).__name__ == "StochasticDepth"]
    blocks = len(expected)
    # timm has none where the shortcut or the rate is missing; where it has one, the rate grows over the blocks.
    assert 0 < len(rates) <= blocks
    assert set(np.round(rates, 6)) <= set(np.round(expected, 6))
    assert max(rates) == pytest.approx(0.2 * (blocks - 1) / blocks)


def test_a_batch_of_one_trains():
    encoder = KinesicsEmbedding("joints", widths=(4, 4, 8), dim=6).train()
    before = {name: value.clone() for name, value in encoder.norm.named_buffers()}
    encoder(torch.rand(1, 17, 3)).sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in encoder.parameters())
    assert all(torch.equal(before[name], value) for name, value in encoder.norm.named_buffers())


# ---- heat maps


def test_drawn_heat_maps_equal_the_formula():
    rng = np.random.default_rng(0)
    joints = rng.uniform(0, 1, (2, 3, 3))
    maps = draw_heatmaps(torch.tensor(joints), size=16, sigma=1.5).numpy()
    rows, columns = np.mgrid[:16, :16] + 0.5
    for clip in range(2):
        for joint in range(3):
            x, y, score = joints[clip, joint]
            distance = (columns - 16 * x) ** 2 + (rows - 16 * y) ** 2
            np.testing.assert_allclose(maps[clip, joint], score * np.exp(-distance / (2 * 1.5**2)), atol=1e-6)


def test_joints_that_were_not_found_leave_empty_maps():
    joints = torch.tensor([[[0.5, 0.5, 0.0], [float("nan"), 0.5, 0.9], [0.2, 0.1, float("nan")], [0.5, 0.5, 1.0]]])
    maps = draw_heatmaps(joints)
    assert maps.shape == (1, 4, 64, 64)
    assert maps[0, :3].eq(0).all()
    assert maps[0, 3].max() == pytest.approx(1, abs=0.1)


def test_knees_and_ankles_are_not_read():
    encoder = KinesicsEmbedding("joints", widths=(4, 4, 8), dim=6).eval()
    joints = torch.rand(2, 17, 3)
    legs = joints.clone()
    legs[:, 13:] = torch.rand(2, 4, 3)
    assert torch.equal(encoder(joints), encoder(legs))
    legs[:, 12, :2] = 0.9 - joints[:, 12, :2]
    assert not torch.equal(encoder(joints), encoder(legs))


@pytest.fixture(scope="module")
def pose():
    torch.manual_seed(0)
    return PoseNetwork(SMALL_POSE)


def test_pose_network_gives_the_first_branch_of_timms_network_and_nothing_else(pose):
    whole = timm.create_model(SMALL_POSE, features_only=True, feature_location="").eval()
    names = whole.state_dict().keys() & pose.network.state_dict().keys()
    whole.load_state_dict({name: pose.network.state_dict()[name] for name in names}, strict=False)
    images = torch.randn(1, 3, 64, 96)
    maps = pose(images)
    assert maps.shape == (1, 17, 16, 24)
    torch.testing.assert_close(pose.network.final_layer(whole(images)[1]), maps)
    assert not maps.requires_grad


def test_nothing_unfreezes_the_pose_network():
    with torch.device("meta"):
        encoder = KinesicsEmbedding(backbone=SMALL_POSE)
    encoder.train()
    encoder.requires_grad_(True)
    for part in encoder.stages()["pose"]:
        part.requires_grad_(True)
        part.train(True)
    assert not any(p.requires_grad for p in encoder.pose.parameters())
    assert not any(module.training for module in encoder.pose.modules())
    assert all(p.requires_grad for p in encoder.blocks.parameters())
    encoder.requires_grad_(False)
    assert not any(p.requires_grad for p in encoder.parameters())


def test_pose_network_has_the_keys_and_shapes_of_the_official_checkpoint():
    with torch.device("meta"):
        state = PoseNetwork().network.state_dict()
    # Some of the names in pose_hrnet_w32_256x192.pth, first and last layers and one of every kind between.
    official = {
        "conv1.weight": [64, 3, 3, 3],
        "bn2.running_var": [64],
        "layer1.0.downsample.0.weight": [256, 64, 1, 1],
        "transition1.0.0.weight": [32, 256, 3, 3],
        "transition1.1.0.0.weight": [64, 256, 3, 3],
        "stage2.0.branches.1.3.conv2.weight": [64, 64, 3, 3],
        "stage3.3.fuse_layers.2.0.1.0.weight": [128, 32, 3, 3],
        "transition3.3.0.0.weight": [256, 128, 3, 3],
        "stage4.2.fuse_layers.0.3.0.weight": [32, 256, 1, 1],
        "final_layer.weight": [17, 32, 1, 1],
        "final_layer.bias": [17],
    }
    for name, shape in official.items():
        assert list(state[name].shape) == shape, name
    assert len(state) == 1754  # 1,752 and the final layer's
    assert not any(name.startswith("stage4.2.fuse_layers.1") for name in state)
    assert sum(v.numel() for n, v in state.items() if n.rpartition(".")[2] in ("weight", "bias")) == 28_536_113


def test_a_pose_checkpoint_of_an_old_torch_loads_and_a_misfit_is_named(tmp_path, pose):
    state = {
        name: torch.rand_like(value) if value.is_floating_point() else value
        for name, value in pose.network.state_dict().items()
    }
    path = tmp_path / "pose.pth"
    torch.save(state, path, _use_new_zipfile_serialization=False)  # as the official file of 2019
    assert read_weights(path).keys() == state.keys()
    encoder = KinesicsEmbedding(backbone=SMALL_POSE, weights=str(path))
    encoder.load_pretrained()
    assert all(torch.equal(value, encoder.pose.network.state_dict()[name]) for name, value in state.items())
    del state["final_layer.bias"]
    torch.save(state, path)
    with pytest.raises(TaskError, match=r"pose\.pth does not fit the model: it lacks final_layer\.bias"):
        encoder.load_pretrained()


def test_a_pose_network_without_weights_is_refused_where_training_starts():
    with torch.device("meta"):
        encoder = KinesicsEmbedding(backbone=SMALL_POSE)
    with pytest.raises(TaskError, match=r"pose_hrnet_w32_256x192\.pth there,\nor take joints"):
        encoder.load_pretrained()
    KinesicsEmbedding("joints", widths=(4, 4, 8)).load_pretrained()
    with pytest.raises(TaskError, match="leave it out"):
        KinesicsEmbedding("joints", weights="pose.pth")
    with pytest.raises(TaskError, match="hrnet_w32 in the paper"):
        KinesicsEmbedding(backbone="resnet18")


# ---- pretrained backbones


def test_timms_own_file_fills_the_backbone_and_its_classifier_is_left_out(tmp_path):
    source = timm.create_model("test_efficientnet")
    save_file(source.state_dict(), tmp_path / "model.safetensors")
    encoder = FaceEmbedding("test_efficientnet", weights=str(tmp_path / "model.safetensors"))
    assert not torch.equal(encoder.backbone.conv_stem.weight, source.conv_stem.weight)
    encoder.load_pretrained()
    source.reset_classifier(0)
    assert equal(encoder.backbone, source)


def test_torchvisions_file_fills_timms_network_to_the_same_function(tmp_path):
    torch.manual_seed(0)
    papers = torchvision.models.efficientnet_b1().eval()
    for name, value in papers.state_dict().items():
        if value.is_floating_point() and value.ndim == 1:  # no two kinds of BatchNorm tensors alike
            value.add_(torch.rand_like(value) * (0.1 if "running" in name else 0.2))
    torch.save(papers.state_dict(), tmp_path / "efficientnet_b1.pth")
    network = timm_backbone("efficientnet_b1").eval()
    load_backbone_weights(network, str(tmp_path / "efficientnet_b1.pth"))
    images = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        expected = papers.avgpool(papers.features(images)).flatten(1)
        torch.testing.assert_close(network(images), expected, rtol=1e-3, atol=1e-4)


def test_weights_that_do_not_fit_are_named(tmp_path):
    torch.save(timm.create_model("resnet18").state_dict(), tmp_path / "resnet.pth")
    with pytest.raises(
        TaskError, match=r"resnet\.pth does not fit timm's test_efficientnet: it lacks conv_stem\.weight"
    ):
        load_backbone_weights(timm_backbone("test_efficientnet"), str(tmp_path / "resnet.pth"))
    with pytest.raises(TaskError, match="there is no file"):
        load_backbone_weights(timm_backbone("test_efficientnet"), str(tmp_path / "nothing.pth"))


def test_weights_of_the_hub_load_and_their_absence_is_told_in_two_lines(monkeypatch):
    make = timm.create_model
    source = make("test_efficientnet")

    def offline(name, pretrained=False, **options):
        if pretrained:
            raise OSError("We couldn't connect to the hub\nand more")
        return make(name, **options)

    monkeypatch.setattr(timm, "create_model", offline)
    encoder = FaceEmbedding("test_efficientnet", weights="timm")
    with pytest.raises(TaskError, match=r"timm's test_efficientnet\.r160_in1k could not be fetched") as caught:
        encoder.load_pretrained()
    assert str(caught.value).count("\n") == 1
    monkeypatch.setattr(timm, "create_model", lambda name, pretrained=False, **options: source)
    encoder.load_pretrained()
    assert torch.equal(encoder.backbone.conv_stem.weight, source.conv_stem.weight)


def test_unknown_networks_and_options_are_refused_with_a_hint():
    with pytest.raises(TaskError, match=r"timm has no 'efficientnet_b11'; did you mean .*efficientnet_b1\b"):
        timm_backbone("efficientnet_b11")
    with pytest.raises(TaskError, match=r"cannot build hrnet_w18_small with options .*drop_path_rate"):
        FaceEmbedding("hrnet_w18_small")


def test_gradual_unfreezing_leaves_the_frozen_backbone_to_the_bit():
    torch.manual_seed(0)
    encoder = FaceEmbedding("test_efficientnet", dim=8)

    class Task:
        def stages(self):
            return encoder.stages()

    GradualUnfreezing(6).apply(Task(), 0)  # pool to tanh
    before = {name: value.clone() for name, value in encoder.backbone.state_dict().items()}
    encoder(torch.randn(4, 3, 32, 32)).sum().backward()
    assert all(p.grad is None for p in encoder.backbone.parameters())
    assert encoder.linear.weight.grad is not None
    assert all(torch.equal(value, before[name]) for name, value in encoder.backbone.state_dict().items())
