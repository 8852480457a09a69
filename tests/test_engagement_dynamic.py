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
from lightning_modules.engagement.dynamic import UnimodalDynamic
from lightning_modules.errors import TaskError
from lightning_modules.nn.encoders import load_weights


def small(shape=EMBEDDINGS, modality="face", **options):
    torch.manual_seed(0)
    return UnimodalDynamic(CLASSES, {modality: shape}, modality, **options)


def with_encoder(shape=IMAGES, modality="face", **options):
    values = shape[1] * shape[2] * (shape[3] if len(shape) > 3 else 1)
    return small(shape, modality, encoder=TinyEncoder(values), **options)


# The released layers carry 512 parameters each that they never use.
@pytest.mark.parametrize(("steps", "released"), [(20, 824_088), (40, 824_108)])
def test_it_has_the_released_parameters_without_the_dead_ones(steps, released):
    model = UnimodalDynamic(3, {"face": [steps, 256]})
    found = {stage: sum(p.numel() for p in of) for stage, of in model.stage_parameters().items()}
    assert sum(found.values()) == released - 2 * 512
    assert found == {
        "encoder": 0,
        "attention1": 395_264 - 512,
        "attention2": 395_264 - 512,
        "weighting": steps + 1,
        "hidden": 256 * 128 + 128 + 2 * 128,
        "head": 128 * 3 + 3,
    }


def test_time_is_weighed_step_by_step():
    model = small(layers=0).eval()
    batch = windows({"face": EMBEDDINGS})
    weights = model.weighting.weight.flatten()
    summed = sum(weights[t] * batch["face"][:, t] for t in range(STEPS)) + model.weighting.bias
    hidden = torch.tanh(model.hidden[1](summed @ model.hidden[0].weight.T + model.hidden[0].bias))
    output = model(batch)
    torch.testing.assert_close(output["aux"]["embedding"], hidden)
    torch.testing.assert_close(output["logits"], hidden @ model.head.weight.T + model.head.bias)


@pytest.mark.parametrize("make", [small, with_encoder])
def test_an_absent_modality_and_batch_mates_do_not_count(make):
    model = make().eval()
    shapes = model.input_shapes
    batch = windows(shapes, absent=[("face", 1)])
    logits = model(batch)["logits"]
    for junk in (7.0, torch.nan):
        other = {**batch, "face": batch["face"].clone()}
        other["face"][1] = junk
        assert torch.equal(model(other)["logits"], logits)
    for row in range(4):
        torch.testing.assert_close(model(select_clip(batch, row))["logits"][0], logits[row])
    everywhere = model({key: value for key, value in batch.items() if key != "mask"})["logits"]
    assert not torch.allclose(everywhere[1], logits[1])
    torch.testing.assert_close(everywhere[0], logits[0])


@pytest.mark.parametrize(
    ("modality", "shape"), [("face", IMAGES), ("body", IMAGES), ("affect", IMAGES), ("joints", JOINTS)]
)
def test_from_raw_frames_it_equals_the_same_over_embeddings(modality, shape):
    model = with_encoder(shape, modality).eval()
    batch = windows({modality: shape}, absent=[(modality, 2)])
    assert list(model.frozen_encoders()) == [modality]
    made = model.frozen_encoders()[modality](batch[modality].flatten(0, 1)).view(4, STEPS, CHANNELS)
    expected = model({**batch, modality: made})["logits"]
    torch.testing.assert_close(model(batch)["logits"], expected, rtol=0, atol=0)


def test_nothing_unfreezes_a_frozen_encoder(tmp_path):
    model = with_encoder(layers=1)
    stages = list(model.stage_parameters())
    assert stages == ["encoder", "attention1", "weighting", "hidden", "head"]
    before, rest = state(model.encoder), state(model.layers)
    batches = loader(windows({"face": IMAGES}), windows({"face": IMAGES}, seed=1))
    run = trainer(tmp_path, epochs=2, callbacks=[GradualUnfreezing(schedule={"encoder": 0, "attention1": 1})])
    with pytest.warns(UserWarning, match="a frozen encoder stays as it was built"):
        run.fit(model, batches)
    assert same(before, model.encoder)
    assert not same(rest, model.layers)
    assert not any(module.training for module in model.encoder.modules())
    assert not any(p.requires_grad for p in model.encoder.parameters())
    assert not any(module.training for module in model.train().encoder.modules())
    assert model.layers[0].training


def test_a_trainable_encoder_is_the_first_stage(tmp_path):
    model = with_encoder(layers=1, freeze_encoder=False)
    assert model.frozen_encoders() == {}
    before = state(model.encoder)
    unfreezing = GradualUnfreezing(schedule={"encoder": 1})
    unfreezing.apply(model, 0)
    assert not any(p.requires_grad for p in model.encoder.parameters())
    run = trainer(tmp_path, epochs=2, callbacks=[unfreezing])
    run.fit(model, loader(windows({"face": IMAGES})))
    assert not same(before, model.encoder)


def test_it_starts_from_the_encoder_of_a_static_model(tmp_path, recwarn):
    source = TinyEncoder()
    nn.init.constant_(source.layers[1].bias, 0.25)
    static = {**{f"encoder.{name}": value for name, value in source.state_dict().items()}, "head.bias": torch.ones(8)}
    torch.save({"state_dict": static}, tmp_path / "static.ckpt")
    model = with_encoder(init_from={"encoder": str(tmp_path / "static.ckpt")})
    trainer(tmp_path, epochs=1).fit(model, loader(windows({"face": IMAGES})))
    assert same(source.state_dict(), model.encoder)
    assert not [warning for warning in recwarn if "frozen encoder" in str(warning.message)]
    # Its own checkpoint hands the encoder on in the same way.
    again = TinyEncoder()
    load_weights(again, next((tmp_path / "checkpoints").glob("*.ckpt")), prefix="encoder.")
    assert same(source.state_dict(), again)


def test_single_windows_train_and_are_scored_per_corpus(tmp_path):
    model = small(layers=1)
    before = state(model)
    run = trainer(tmp_path, epochs=1)
    run.fit(model, loader(*(windows({"face": EMBEDDINGS}, size=1, seed=seed) for seed in range(3))))
    assert not same(before, model)
    hard = windows({"face": EMBEDDINGS})
    hard["target"] = torch.tensor([0, 1, 2, 0])
    metrics = run.test(model, loader(hard), verbose=False)[0]
    for name in ("uar", "precision", "f1", "accuracy"):
        assert {f"test_{name}", f"test_{name}_daisee", f"test_{name}_noxi"} <= set(metrics)


def test_the_encoder_is_injected_by_its_class():
    options = ["--model.num_classes=3", f"--model.input_shapes={{face: {IMAGES}}}", "--model.modality=face"]
    encoder = ["--model.encoder=windows.TinyEncoder", "--model.encoder.values=192"]
    model = from_the_command_line(UnimodalDynamic, *options, *encoder, "--model.select_by=uar")
    assert isinstance(model.encoder, TinyEncoder)
    assert model.select_by == "uar"
    assert "encoder" not in model.hparams


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: small(modality="face").embedding_size("body"),
            "reads body, which the data lack: --data.modalities has face",
        ),
        (lambda: small(IMAGES), "face comes as raw frames .* name its encoder"),
        (lambda: small(encoder=nn.Linear(2, 2)), "Linear is no encoder of face"),
        (lambda: small(encoder=TinyEncoder(channels=8)), "embeddings of 16 channels, but the encoder's have 8"),
        (lambda: small(encoder=TinyEncoder(), freeze_encoder=False), "a trainable encoder needs the raw frames"),
        (lambda: small(heads=5), "model.heads: 5 does not divide"),
    ],
)
def test_a_mistake_is_one_line(make, message):
    with pytest.raises(TaskError, match=message) as caught:
        make()
    assert "\n" not in str(caught.value)
