"""The static models: the paper's parameter counts, layer groups, rates, loss and selection."""

import lightning.pytorch as pl
import numpy as np
import pytest
import torch
from jsonargparse import ArgumentParser
from tiny import TinyData, trainer

from callbacks.layer_lr import DiscriminativeLR
from callbacks.unfreezing import GradualUnfreezing
from callbacks.warmup import Warmup
from lightning_modules.base import EmotionTask, select_clip
from lightning_modules.errors import TaskError
from lightning_modules.nn.losses import FocalLoss
from lightning_modules.nn.metrics import PredictionTable, table_metrics
from lightning_modules.nn.schedulers import CosineWave
from lightning_modules.static_emotion import FaceEmbedding, KinesicsEmbedding, StaticEmotion, StaticEngagement

NAN = float("nan")
FACE = {"face": [3, 240, 240]}
# papers/engagement.md, section 3.3: parameters of the 17 layer groups, from input to head.
GROUPS = [928, 2060, 27424, 77930, 345830, 751720, 2614300, 2280832, 412160, 0, 0, 0, 327936, 512, 0, 2056, 514]
POSE_GROUPS = [28_536_113, 165_248, 312_448, 919_808, 0, 0, 0, 65_792, 512, 0, 771]
BACKBONE_RATES = [0.00261, 0.002219, 0.001886, 0.001603, 0.001362, 0.001158, 0.000984, 0.000837, 0.000711]


def counts(task):
    return [sum(p.numel() for p in found) for found in task.stage_parameters().values()]


def trainable(task):
    return sum(p.numel() for p in task.parameters() if p.requires_grad)


def unfrozen(task, epochs):
    found = []
    for epoch in range(epochs):
        GradualUnfreezing(7, 1).apply(task, epoch)
        found.append(trainable(task))
    return found


def paper_rates(task):
    """Base rate 0.005; the released code starts at index -6, so that five groups keep the full rate."""
    stages = list(task.stages())
    scales = DiscriminativeLR(0.85, start=5, minimum=5e-5 / 0.005).stage_scales(stages)
    return {stage: 0.005 * scales[stage] for stage in stages}


@pytest.fixture
def emotion():
    with torch.device("meta"):
        return StaticEmotion(8, FACE)


@pytest.fixture
def engagement():
    with torch.device("meta"):
        return StaticEngagement(3, FACE)


@pytest.fixture
def kinesics():
    with torch.device("meta"):
        return StaticEngagement(3, {"body": [3, 256, 256]}, KinesicsEmbedding(), "body")


def test_emotion_has_the_papers_layer_groups(emotion):
    assert counts(emotion) == GROUPS
    assert sum(counts(emotion)) == 6_844_202


def test_emotion_unfreezes_as_in_the_paper(emotion):
    published = [
        331018,
        331018,
        743178,
        3024010,
        5638310,
        6390030,
        6735860,
        6813790,
        6841214,
        6843274,
        6844202,
        6844202,
    ]
    assert unfrozen(emotion, 12) == published


def test_emotion_has_the_papers_rate_in_every_group(emotion):
    rates = list(paper_rates(emotion).values())
    assert rates[:9][::-1] == pytest.approx(BACKBONE_RATES, abs=1e-6)
    assert rates[12:] == [0.005] * 5
    assert rates[9:12] == pytest.approx([0.005 * 0.85**3, 0.005 * 0.85**2, 0.005 * 0.85])  # empty groups count


def test_engagement_of_a_face_is_one_group_and_one_epoch_ahead(engagement):
    assert counts(engagement) == [*GROUPS[:15], 771]
    assert sum(counts(engagement)) == 6_842_403
    head = 327936 + 512 + 771
    expected = [head + sum(GROUPS[9 - joined : 9]) for joined in range(10)]
    assert unfrozen(engagement, 11) == [*expected, 6_842_403]
    rates = list(paper_rates(engagement).values())
    assert rates[:9] == pytest.approx([0.005 * 0.85 ** (11 - i) for i in range(9)])
    assert (rates[8], rates[0]) == pytest.approx((0.003071, 0.000837), abs=1e-6)


def test_engagement_of_a_body_has_the_papers_ten_groups_and_a_pose_network_that_never_trains(kinesics):
    assert counts(kinesics) == POSE_GROUPS
    assert sum(counts(kinesics)) == 30_000_692
    assert trainable(kinesics) == 1_464_579
    head = 65_792 + 512 + 771
    assert unfrozen(kinesics, 30) == [head, head + 919_808, head + 919_808 + 312_448, *[1_464_579] * 27]
    rates = paper_rates(kinesics)
    residual = [rates[f"residual{number}"] for number in (3, 2, 1)]
    assert residual == pytest.approx([0.003071, 0.00261, 0.002219], abs=1e-6)
    assert rates["dropout"] == rates["classifier"] == 0.005


def test_engagement_of_joints_has_the_same_groups_without_the_pose_network():
    with torch.device("meta"):
        task = StaticEngagement(3, {"joints": [17, 3]}, KinesicsEmbedding("joints"), "joints")
    assert counts(task) == POSE_GROUPS[1:]


def test_the_floor_of_the_rates_holds():
    stages = [str(number) for number in range(40)]
    scales = DiscriminativeLR(0.85, start=5, minimum=0.01).stage_scales(stages)
    assert scales["0"] == 0.01
    assert scales["39"] == scales["35"] == 1
    assert scales["34"] == 0.85
    assert DiscriminativeLR(0.5).stage_scales(["a", "b", "c"]) == {"a": 0.25, "b": 0.5, "c": 1.0}


# ---- the models


def tiny_encoder(**options):
    return FaceEmbedding("test_efficientnet", dim=16, **options)


def faces(count=6, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return {
        "id": [str(row) for row in range(count)],
        "group": ["a"] * count,
        "face": torch.randn(count, 3, 32, 32, generator=generator),
        "mask": {"face": torch.ones(count, dtype=torch.bool)},
        "target": {
            "category": torch.eye(8)[torch.arange(count)],
            "arousal": torch.rand(count, generator=generator) * 2 - 1,
            "valence": torch.rand(count, generator=generator) * 2 - 1,
        },
    }


def small_emotion(**options):
    torch.manual_seed(0)
    return StaticEmotion(8, {"face": [3, 32, 32]}, tiny_encoder(), **options)


def small_engagement(**options):
    torch.manual_seed(0)
    encoder = KinesicsEmbedding("joints", widths=(8, 8, 16), dim=16, map_size=16, sigma=1.0)
    return StaticEngagement(3, {"audio": [17, 3]}, encoder, "audio", **options)


def test_emotion_gives_a_category_arousal_and_valence_and_the_embedding():
    task, batch = small_emotion().eval(), faces()
    output = task(batch)
    assert {name: tuple(value.shape) for name, value in output["logits"].items()} == {
        "category": (6, 8),
        "arousal": (6,),
        "valence": (6,),
    }
    embedding = output["aux"]["embedding"]
    assert embedding.shape == (6, 16)
    expected = embedding @ task.regression.weight.T + task.regression.bias
    torch.testing.assert_close(torch.stack([output["logits"]["arousal"], output["logits"]["valence"]], 1), expected)


@pytest.mark.parametrize("make", [small_emotion, small_engagement])
def test_a_clip_scores_alike_alone_and_among_others_and_whatever_stands_for_an_absent_one(make):
    task, batch = make().eval(), faces()
    batch["audio"] = torch.rand(6, 17, 3)
    batch["mask"] = {"face": torch.arange(6) % 2 == 0, "audio": torch.arange(6) % 2 == 0}
    whole, alone = task(batch)["aux"]["embedding"], task(select_clip(batch, 2))["aux"]["embedding"]
    torch.testing.assert_close(whole[2:3], alone, rtol=1e-4, atol=1e-5)
    other = {**batch, "face": batch["face"].clone(), "audio": batch["audio"].clone()}
    other["face"][1::2] = 9.0
    other["audio"][1::2] = NAN
    assert torch.equal(task(other)["aux"]["embedding"], whole)


# ---- the loss


def paper_loss(logits, target, weights, factor=10.5):
    """Section 1.8 and 3.1 of papers/engagement.md, over the labels that are there."""
    total = 0.0
    for task in ("arousal", "valence"):
        known = ~np.isnan(target[task])
        total += np.sqrt(np.mean((logits[task][known] - target[task][known]) ** 2))
    known = ~np.isnan(target["category"]).any(1)
    scores = np.exp(logits["category"][known])
    p = scores / scores.sum(1, keepdims=True)
    alpha = weights / weights.sum()
    return total + factor * np.mean(np.sum(-alpha * target["category"][known] * (1 - p) ** 2 * np.log(p), 1))


def outputs(count=6):
    generator = torch.Generator().manual_seed(5)
    logits = {"category": torch.randn(count, 8, generator=generator)}
    logits |= {task: torch.randn(count, generator=generator) for task in ("arousal", "valence")}
    return {task: value.requires_grad_() for task, value in logits.items()}


def without(target, **rows):
    target = {task: value.clone() for task, value in target.items()}
    for task, missing in rows.items():
        target[task][missing] = NAN
    return target


@pytest.mark.parametrize("weights", [[0.5, 1.0, 2.0, 4.0, 1.0, 1.0, 0.7, 3.0], None])
def test_the_loss_is_the_papers_over_the_labels_present(weights):
    task = small_emotion(class_weights=weights)
    target = without(faces()["target"], arousal=[0, 3], valence=[5], category=[1, 2])
    logits = outputs()
    arrays = [{name: value.detach().double().numpy() for name, value in each.items()} for each in (logits, target)]
    expected = paper_loss(*arrays, np.array(weights or [1.0] * 8))
    assert task.task_loss(logits, target).item() == pytest.approx(expected, rel=1e-5)
    indices = {**target, "category": target["category"].nan_to_num(-1).argmax(1)}
    indices["category"][[1, 2]] = -1
    assert task.task_loss(logits, indices).item() == pytest.approx(expected, rel=1e-5)


EVERY = slice(None)


@pytest.mark.parametrize(
    "missing",
    [
        {"arousal": EVERY, "valence": EVERY},
        {"category": EVERY},
        {"arousal": EVERY, "valence": EVERY, "category": EVERY},
    ],
    ids=["no values", "no category", "nothing"],
)
def test_a_batch_without_a_kind_of_label_has_a_finite_gradient_at_every_head(missing):
    task, batch = small_emotion().train(), faces()
    target = without(batch["target"], **missing)
    loss = task.task_loss(task(batch)["logits"], target)
    loss.backward()
    assert loss.isfinite()
    assert (loss == 0) == (len(missing) == 3)
    for name, parameter in task.named_parameters():  # replicas wait for every one
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
    assert task.classifier.weight.grad.eq(0).all() == ("category" in missing)
    assert task.regression.weight.grad.eq(0).all() == ("arousal" in missing)


def test_the_gradient_is_finite_where_every_error_is_zero():
    task, logits = small_emotion(), outputs()
    target = {**faces()["target"], "arousal": logits["arousal"].detach(), "valence": logits["valence"].detach()}
    task.task_loss(logits, target).backward()
    assert logits["arousal"].grad.eq(0).all()
    assert logits["valence"].grad.eq(0).all()
    assert logits["category"].grad.isfinite().all()


def test_engagement_takes_soft_and_hard_labels_alike():
    weights = torch.tensor([3.0, 1.0, 2.0])
    task = small_engagement(class_weights=weights.tolist())
    logits = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
    hard = torch.tensor([0, 2, 1, 1])
    soft = torch.eye(3)[hard]
    assert task.task_loss(logits, hard) == task.task_loss(logits, soft)
    assert task.task_loss(logits, soft).item() == pytest.approx(FocalLoss()(logits, soft, weights / 6).item())
    mixed = torch.tensor([[0.2, 0.8, 0.0], [0.0, 0.5, 0.5], [NAN] * 3, [1.0, 0.0, 0.0]])
    kept = [0, 1, 3]
    assert task.task_loss(logits, mixed) == task.task_loss(logits[kept], mixed[kept])


# ---- selection


def test_selection_is_by_root_mean_squared_errors_or_as_released_by_mean_squared_ones():
    metrics = {"rmse_arousal": 0.4, "rmse_valence": 0.3, "uar": 0.5, "accuracy": 0.9}
    assert small_emotion().selection_score(metrics) == pytest.approx((0.6 + 0.7 + 0.5) / 3)
    assert small_emotion(selection="mse").selection_score(metrics) == pytest.approx((0.84 + 0.91 + 0.5) / 3)
    assert small_emotion().selection_score({"uar": 0.5}) == 0.5
    assert small_engagement().selection_score(metrics) == 0.5


def test_the_selection_reads_the_metrics_that_the_table_gives():
    task, batch = small_emotion().eval(), faces()
    target = without(batch["target"], arousal=[0], category=[1])
    with torch.no_grad():
        logits = task(batch)["logits"]
    metrics = table_metrics(PredictionTable(batch["id"], batch["group"], logits, target))
    errors = [
        (logits[name] - target[name])[~target[name].isnan()].square().mean().sqrt().item()
        for name in ("arousal", "valence")
    ]
    assert task.selection_score(metrics) == pytest.approx((2 - sum(errors) + metrics["uar"]) / 3)


# ---- training


class JointData(TinyData):
    """Joints whose score follows the class; the key is TinyData's."""

    input_shapes = property(lambda self: {"audio": [17, 3]})

    def __init__(self, **options):
        super().__init__(**options)
        generator = torch.Generator().manual_seed(0)
        self.values = torch.rand(len(self.targets), 17, 3, generator=generator)
        self.values[..., 2] = 0.2 + 0.4 * self.targets[:, None]


def test_a_static_model_learns_with_every_schedule_of_the_paper(tmp_path):
    pl.seed_everything(1, verbose=False)
    task = small_engagement(optimizer=lambda p: torch.optim.AdamW(p, lr=0.01, weight_decay=1e-4), scheduler=CosineWave)
    callbacks = [GradualUnfreezing(7, 1), DiscriminativeLR(0.85, start=5), Warmup(5, 0.002)]
    run = trainer(tmp_path, 8, callbacks)
    run.fit(task, datamodule=JointData())
    # In training: after 40 steps the running statistics that evaluation needs are still on their way.
    assert run.callback_metrics["train_accuracy"] > 0.8
    assert "val_score" in run.callback_metrics
    assert set(task.effective_rates) == {"residual1", "residual2", "residual3", "linear", "norm", "classifier"}


def test_pretrained_weights_are_read_when_a_training_starts_and_not_to_test(tmp_path):
    source = tiny_encoder()
    state = {f"encoder.{name}": value for name, value in source.state_dict().items()}
    torch.save({"state_dict": state}, tmp_path / "static.ckpt")
    weights = str(tmp_path / "gone.safetensors")
    task = StaticEmotion(8, {"face": [3, 32, 32]}, tiny_encoder(weights=weights))  # nothing is read yet
    with pytest.raises(TaskError, match=r"gone\.safetensors"):
        task.start_from({})
    task.start_from({"encoder": str(tmp_path / "static.ckpt")})  # holds the backbone already
    assert all(torch.equal(value, task.encoder.state_dict()[name]) for name, value in source.state_dict().items())


def test_yaml_names_the_models_their_encoders_and_the_scheduler():
    parser = ArgumentParser()
    parser.add_subclass_arguments(EmotionTask, "model")
    encoder = {"class_path": "KinesicsEmbedding", "init_args": {"source": "joints", "widths": [4, 4, 8]}}
    options = {
        "num_classes": 3,
        "input_shapes": {"joints": [17, 3]},
        "encoder": encoder,
        "modality": "joints",
        "scheduler": {"class_path": "CosineWave", "init_args": {"period": 10}},
        "loss": {"class_path": "FocalLoss", "init_args": {"gamma": 1.0}},
    }
    given = {"model": {"class_path": "StaticEngagement", "init_args": options}}
    task = parser.instantiate(parser.parse_object(given)).model
    assert isinstance(task, StaticEngagement)
    assert task.loss.gamma == 1.0
    assert isinstance(task.configure_optimizers()["lr_scheduler"]["scheduler"], CosineWave)


def test_data_without_the_modality_or_of_another_shape_are_refused():
    with pytest.raises(TaskError, match=r"the data has no 'face', it has body; add it to data\.modalities"):
        StaticEmotion(8, {"body": [3, 32, 32]}, tiny_encoder())
    with pytest.raises(TaskError, match=r"FaceEmbedding cannot read joints of shape \[17, 3\]"):
        StaticEngagement(3, {"joints": [17, 3]}, tiny_encoder(), "joints")


def test_one_set_of_classes_is_refused_with_what_learns_it():
    task = StaticEmotion(3, {"face": [3, 32, 32]}, encoder=tiny_encoder())
    with pytest.raises(TaskError, match=r"take --config experiments/static_engagement_face\.yaml"):
        task.task_loss({}, torch.zeros(2, dtype=torch.long))
