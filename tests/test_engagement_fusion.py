from itertools import combinations

import pytest
import torch
from tiny import trainer
from torch import nn
from windows import (
    CHANNELS,
    CLASSES,
    EMBEDDINGS,
    IMAGES,
    JOINTS,
    STEPS,
    TinyEncoder,
    from_the_command_line,
    loader,
    same,
    state,
    windows,
)

from callbacks.unfreezing import GradualUnfreezing
from lightning_modules.base import select_clip
from lightning_modules.engagement.fusion import WIRINGS, CrossMultiModalEngagement
from lightning_modules.errors import TaskError

THREE = ["face", "body", "affect"]
KINDS = list(WIRINGS)


def small(kind="pair", encoders=None, shapes=None, **options):
    torch.manual_seed(0)
    modalities = THREE[: WIRINGS[kind].modalities]
    shapes = dict.fromkeys(modalities, EMBEDDINGS) | (shapes or {})
    return CrossMultiModalEngagement(CLASSES, shapes, modalities, kind, heads=4, encoders=encoders, **options)


def sample(kind="pair", **options):
    return windows(dict.fromkeys(THREE[: WIRINGS[kind].modalities], EMBEDDINGS), **options)


# Released count, and what of it is never used: two parameters per channel of every layer.
@pytest.mark.parametrize(
    ("kind", "released", "dead"),
    [
        (None, 1_712_899, 4 * 512),
        ("v1", 5_531_139, 12 * 512),
        ("v2", 1_844_739, 4 * 512),
        ("v3", 7_484_931, 2 * 1536),
        ("v4", 3_816_963, 5 * 512 + 1024),
        ("v5", 3_030_531, 7 * 512),
    ],
)
def test_it_has_the_released_parameters_without_the_dead_ones(kind, released, dead):
    modalities = THREE[: 3 if kind else 2]
    model = CrossMultiModalEngagement(3, {modality: [40, 256] for modality in modalities}, modalities, kind)
    assert sum(p.numel() for of in model.stage_parameters().values() for p in of) == released - dead


def test_v1_and_the_pair_are_the_defaults():
    shapes = dict.fromkeys(THREE, EMBEDDINGS)
    assert CrossMultiModalEngagement(3, shapes, THREE, heads=4).wiring is WIRINGS["v1"]
    assert CrossMultiModalEngagement(3, shapes, ["affect", "face"], heads=4).wiring is WIRINGS["pair"]
    published = CrossMultiModalEngagement(3, {modality: [40, 256] for modality in THREE}, THREE[1:])
    assert [layer.attention.num_heads for layer in published.layers] == [64] * 4


def written_out(kind, layers, f, p, a=None):
    """The streams that the head reads, one released variant after the other, from layers in their order."""

    def both(*streams):
        return torch.cat(streams, 2)

    if kind == "pair":
        f = layers[0](query=p, context=f)
        p = layers[1](query=f, context=p)
        f = layers[2](query=p, context=f)
        p = layers[3](query=f, context=p)
        return both(f, p)
    if kind == "v1":
        f_p, f_a, p_f = layers[0](f, p), layers[1](f, a), layers[2](p, f)
        p_a, a_f, a_p = layers[3](p, a), layers[4](a, f), layers[5](a, p)
        first = both(layers[6](f_p, a), layers[7](f_a, p), layers[8](p_f, a))
        return both(first, layers[9](p_a, f), layers[10](a_f, p), layers[11](a_p, f))
    if kind == "v3":
        joint = both(f, p, a)
        joint = layers[0](joint, joint)
        return layers[1](joint, joint)
    layers = list(layers)
    if kind in ("v4", "v5"):
        f, p, a = (layers.pop(0)(stream, stream) for stream in (f, p, a))
    f_a, p_a = layers[0](f, a), layers[1](p, a)
    if kind == "v4":
        joint = both(layers[2](f_a), layers[3](p_a))
        return layers[4](joint, joint)
    return both(layers[2](f_a, p_a), layers[3](p_a, f_a))


@pytest.mark.parametrize("steps", [1, STEPS, 11])
@pytest.mark.parametrize("kind", KINDS)
def test_every_wiring_equals_its_description_at_any_length(kind, steps):
    model = small(kind).eval()
    batch = windows({modality: [steps, CHANNELS] for modality in model.modalities})
    joined = written_out(kind, model.layers, *(batch[modality] for modality in model.modalities))
    embedding = torch.cat([joined.mean(1), joined.max(1).values], 1)
    output = model(batch)
    torch.testing.assert_close(output["aux"]["embedding"], embedding)
    hidden = model.hidden[2](embedding @ model.hidden[1].weight.T + model.hidden[1].bias)
    activation = torch.relu if kind in ("pair", "v1") else torch.tanh
    torch.testing.assert_close(output["logits"], activation(hidden) @ model.head.weight.T + model.head.bias)


def test_only_v4_joins_streams_that_are_placed_already():
    for kind in KINDS:
        placed = [step.positions for step in WIRINGS[kind].steps]
        assert placed == ([True] * 7 + [False] if kind == "v4" else [True] * len(placed))


def test_order_matters():
    torch.manual_seed(0)
    model = small().eval()
    batch = sample()
    swapped = {**batch, "face": batch["body"], "body": batch["face"]}
    assert not torch.allclose(model(batch)["logits"], model(swapped)["logits"])


def missing_sets(kind):
    names = THREE[: WIRINGS[kind].modalities]
    return [list(some) for count in range(1, len(names) + 1) for some in combinations(names, count)]


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_what_stands_in_an_absent_modality_does_not_count(kind, training):
    model = small(kind).train(training)
    for absent in missing_sets(kind):
        batch = sample(kind, absent=[(modality, 1) for modality in absent])
        outputs = []
        for junk in (0.0, 7.0, torch.nan, torch.inf):
            other = dict(batch)
            for modality in absent:
                other[modality] = batch[modality].clone()
                other[modality][1] = junk
            torch.manual_seed(1)
            outputs.append(model(other)["logits"])
        assert torch.isfinite(outputs[0]).all()
        assert all(torch.equal(output, outputs[0]) for output in outputs)


@pytest.mark.parametrize("kind", KINDS)
def test_the_modalities_that_are_there_still_count(kind):
    model = small(kind).eval()
    for absent in missing_sets(kind):
        batch = sample(kind, absent=[(modality, 1) for modality in absent])
        logits = model(batch)["logits"][1]
        for modality in set(batch["mask"]) - set(absent):
            other = {**batch, modality: batch[modality].flip(2)}
            # In v2, v4 and v5 the affective stream has nobody to inform without the other two.
            heard = kind in ("pair", "v1", "v3") or absent != ["face", "body"]
            assert torch.allclose(model(other)["logits"][1], logits, atol=1e-6) != heard, (absent, modality)


@pytest.mark.parametrize(("kind", "streams"), [("pair", 2), ("v1", 6)])
def test_the_pooled_features_of_an_absent_modality_are_zero(kind, streams):
    model = small(kind).eval()
    per_modality = streams // len(model.modalities)
    for place, modality in enumerate(model.modalities):
        embedding = model(sample(kind, absent=[(modality, 1)]))["aux"]["embedding"].view(4, 2, streams, CHANNELS)
        own = slice(place * per_modality, (place + 1) * per_modality)
        assert not embedding[1, :, own].any()
        assert (embedding[[0, 2, 3]].abs().amax(3) > 0).all()
        embedding[1, :, own] = 1
        assert (embedding[1].abs().amax(2) > 0).all()


@pytest.mark.parametrize("kind", KINDS)
def test_a_prediction_does_not_depend_on_its_batch_mates(kind):
    model = small(kind).eval()
    batch = sample(kind, absent=[("body", 0), ("face", 3)])
    logits = model(batch)["logits"]
    for row in range(4):
        torch.testing.assert_close(model(select_clip(batch, row))["logits"][0], logits[row])


@pytest.mark.parametrize("kind", KINDS)
def test_every_parameter_learns(kind):
    model = small(kind)
    output = model(sample(kind))
    model.compute_loss(output, sample(kind)).backward()
    dead = [name for name, p in model.named_parameters() if p.grad is None]
    assert not dead
    weights = {name: p for name, p in model.named_parameters() if p.ndim > 1}
    assert all(p.grad.any() for p in weights.values())
    # Without a modality in the whole batch, too, every parameter has a gradient, if zero: replicas wait for it.
    model.zero_grad(set_to_none=True)
    absent = [(modality, row) for modality in model.modalities[1:] for row in range(4)]
    model.compute_loss(model(sample(kind, absent=absent)), sample(kind)).backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in model.parameters())


@pytest.mark.parametrize(
    ("kind", "layers"),
    [("pair", [1, 1, 1, 1]), ("v1", [6, 6]), ("v2", [2, 2]), ("v3", [1, 1]), ("v4", [3, 4, 1]), ("v5", [3, 2, 2])],
)
def test_stages_follow_the_way_to_the_head(kind, layers):
    stages = small(kind).stages()
    attention = [f"attention{depth}" for depth in range(1, len(layers) + 1)]
    assert list(stages) == ["encoders", *attention, "hidden", "head"]
    assert [len(stages[name]) for name in attention] == layers


def encoders():
    return {"face": TinyEncoder(), "body": TinyEncoder(51)}


def raw_pair(**options):
    return small(encoders=encoders(), shapes={"face": IMAGES, "body": JOINTS}, **options)


def test_from_raw_frames_it_equals_the_same_over_embeddings():
    model = raw_pair().eval()
    batch = windows({"face": IMAGES, "body": JOINTS}, absent=[("body", 2)])
    made = dict(batch)
    for modality, encoder in model.frozen_encoders().items():
        made[modality] = encoder(batch[modality].flatten(0, 1)).view(4, STEPS, CHANNELS)
    logits = model(batch)["logits"]
    assert torch.equal(model(made)["logits"], logits)
    assert torch.equal(model({**made, "face": batch["face"]})["logits"], logits)  # one raw, one kept


def test_frozen_encoders_start_from_static_models_and_stay(tmp_path):
    sources = encoders()
    for modality, source in sources.items():
        nn.init.constant_(source.layers[1].bias, 0.25)
        static = {f"encoder.{name}": value for name, value in source.state_dict().items()}
        torch.save({"state_dict": {**static, "head.bias": torch.ones(3)}}, tmp_path / f"{modality}.ckpt")
    model = raw_pair(init_from={modality: str(tmp_path / f"{modality}.ckpt") for modality in sources})
    rest = state(model.layers)
    batches = loader(*(windows({"face": IMAGES, "body": JOINTS}, size=size) for size in (3, 1)))
    run = trainer(tmp_path, epochs=2, callbacks=[GradualUnfreezing(initial=7)])
    run.fit(model, batches)
    assert len(model.stages()) == 7
    assert not same(rest, model.layers)
    for modality, source in sources.items():
        assert same(source.state_dict(), model.encoders[modality])
        assert not any(p.requires_grad for p in model.encoders[modality].parameters())
        assert not any(module.training for module in model.encoders[modality].modules())
    saved = torch.load(next((tmp_path / "checkpoints").glob("*.ckpt")), weights_only=True)
    assert "encoders" not in saved["hyper_parameters"]
    model.start_from({"affect": "any.ckpt"})  # of a modality that is not read


def test_encoders_of_modalities_that_are_not_read_are_left_out():
    assert not small(encoders={"affect": TinyEncoder()}).encoders


def test_encoders_are_injected_by_their_classes():
    model = from_the_command_line(
        CrossMultiModalEngagement,
        "--model.num_classes=3",
        f"--model.input_shapes={{face: {IMAGES}, body: {JOINTS}}}",
        "--model.modalities=[body, face]",
        "--model.heads=4",
        "--model.encoders={face: windows.TinyEncoder, "
        "body: {class_path: windows.TinyEncoder, init_args: {values: 51}}}",
    )
    assert list(model.frozen_encoders()) == ["face", "body"]
    assert model(windows({"face": IMAGES, "body": JOINTS}))["logits"].shape == (4, 3)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: small(shapes={"body": [STEPS, 8]}), "differ in size: 16 of face, 8 of body"),
        (lambda: small(shapes={"body": JOINTS}), "body comes as raw frames"),
        (
            lambda: CrossMultiModalEngagement(3, {"face": EMBEDDINGS}, ["face", "body"], heads=4),
            "reads body, which the data lack",
        ),
        (
            lambda: CrossMultiModalEngagement(3, {"face": EMBEDDINGS}, ["face"], "pair"),
            "pair is a wiring of 2 modalities, not of face",
        ),
    ],
)
def test_a_mistake_is_one_line(make, message):
    with pytest.raises(TaskError, match=message) as caught:
        make()
    assert "\n" not in str(caught.value)
