"""The branches: their published sizes, their description, initial weights, padding and what is missing."""

import math

import pytest
import torch
from dialogues import CLASSES, NAMES, SHAPES, SIZES, dialogues, encoders, with_content
from lightning.pytorch.callbacks import EarlyStopping
from torch import nn
from torch.nn.functional import linear

import cli
from experiments.results import cell as results
from experiments.train.command import build
from lightning_modules.base import select_clip
from lightning_modules.errors import TaskError
from lightning_modules.gated_fusion.branches import AudioTextMetadata, VideoMetadata
from lightning_modules.gated_fusion.dialogue import MetadataTables
from lightning_modules.gated_fusion.mimamo import MIMAMONet
from lightning_modules.nn.dialogue_encoders import BertText, VideoConvNet, VideoTransformer, Wav2Vec2Audio

PROFILE = {"age": 4, "gender": 2, "timbre": 3, "id": 100}
# 41,505 rows in the four open vocabularies, as the released checkpoints have; how they divide does not matter.
RELEASED = {f"{who}_{field}": rows for who in ("speaker", "listener") for field, rows in PROFILE.items()}
RELEASED |= {"event": 20_000, "cause": 20_000, "goal": 1_491, "topic": 14}
FULL = {"text": [10, 64], "context": [256], "audio": [10, 16_000], "video": [10, 3, 8, 224, 224], "meta": [12]}
# Ours: 0 is unknown, and nobody is known by an id.
OURS = {
    f"{who}_{field}": PROFILE[field] + 1 for who in ("speaker", "listener") for field in ("age", "gender", "timbre")
}
OURS |= {"topic": 15}
KINDS = ["document", "released", "video", "mimamo", "mimamo_released"]


def count(*parts):
    return sum(p.numel() for part in parts for p in part.parameters())


def full_size(kind, sizes):
    with torch.device("meta"):
        if kind in ("document", "released"):
            made = {"text": BertText(), "audio": Wav2Vec2Audio()}
            return AudioTextMetadata(7, FULL, made, kind, vocabulary_sizes=sizes)
        if kind == "video":
            return VideoMetadata(7, FULL, {"video": VideoTransformer()}, vocabulary_sizes=sizes)
        video = VideoConvNet() if kind == "mimamo_released" else VideoTransformer()
        metadata = "repeated" if kind == "mimamo_released" else "tokens"
        return MIMAMONet(7, FULL, {"video": video}, metadata, vocabulary_sizes=sizes)


def small(kind, **options):
    torch.manual_seed(0)
    made, given = encoders(), {"vocabulary_sizes": SIZES, "class_names": NAMES, "metadata_dropout": 0.0, **options}
    if kind in ("document", "released"):
        return AudioTextMetadata(CLASSES, SHAPES, made, kind, hidden=16, **given)
    if kind == "video":
        return VideoMetadata(CLASSES, SHAPES, made, hidden=16, **given)
    if kind == "mimamo_released":
        made["video"] = VideoConvNet(dim=24, heads=2, layers=1, widths=(4, 4, 8))
        given["metadata"] = "repeated"
    return MIMAMONet(CLASSES, SHAPES, made, heads=2, blocks=2, hidden=16, **given)


def test_the_documents_audio_text_model_has_its_parameters():
    model = full_size("document", OURS)
    assert count(model.lstm) == 4_722_688
    assert count(model.lstm, model.classifier) == 4_988_935
    assert model.lstm.input_size == 1_792


def test_the_released_audio_text_model_has_its_parameters():
    model = full_size("released", RELEASED)
    assert count(model.lstm) == 4_235_264
    assert count(model.attention) == 1_050_624
    assert count(model.classifier) == 559_623
    assert count(model.narrow) == 525_056
    pooler = 768 * 768 + 768  # of BERT, in the released total; nothing reads it
    assert count(model) + pooler == 211_797_247
    assert count(model) + pooler - 41_505 * 32 == 210_469_087


def test_the_released_metadata_layers_end_in_a_linear_one():
    model = full_size("released", RELEASED)
    tables, first, *rest, last = model.meta
    assert [type(layer) for layer in model.meta] == [MetadataTables, nn.Linear, nn.ReLU, nn.Dropout, nn.Linear]
    assert [(layer.in_features, layer.out_features) for layer in (first, last)] == [(256, 128), (128, 64)]
    assert rest[1].p == 0.3
    assert [type(layer) for layer in model.narrow] == [nn.Linear, nn.ReLU, nn.Dropout] * 2
    names = {name.removeprefix("meta.") for name in model.state_dict() if name.startswith("meta.")}
    assert names - {f"0.tables.{name}.weight" for name in tables.tables} == {
        "1.weight", "1.bias", "4.weight", "4.bias"
    }  # fmt: skip


def test_the_released_video_models_have_their_parameters():
    assert count(full_size("mimamo_released", RELEASED)) == 27_116_247
    assert count(full_size("mimamo_released", RELEASED)) - 41_505 * 32 == 25_788_087
    model = full_size("video", RELEASED)
    assert count(model) == 20_656_511
    assert count(model.encoders) == 8_596_224


def test_without_the_vocabularies_of_sentences_ours_are_smaller():
    sizes = {kind: count(full_size(kind, OURS)) for kind in ("video", "mimamo", "mimamo_released")}
    assert sizes == {"video": 19_261_023, "mimamo": 22_812_519, "mimamo_released": 25_689_815}


def fills(weight, bound):
    """Whether weights are as if drawn evenly between plus and minus a bound."""
    evenly = weight.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.1) if weight.numel() > 500 else True
    return evenly and 0.8 * bound < weight.abs().max() <= bound * (1 + 1e-6)


@pytest.mark.parametrize("kind", ["video", "mimamo", "mimamo_released"])
def test_released_video_models_start_from_their_own_weights(kind):
    """Xavier for linear layers and tables, Xavier and orthogonal for LSTMs, no biases; the encoders' too."""
    model = small(kind)
    drawn = {nn.Linear: 0, nn.Embedding: 0, nn.LSTM: 0}
    for name, module in model.named_modules():
        if isinstance(module, nn.Linear | nn.Embedding):
            drawn[nn.Linear if isinstance(module, nn.Linear) else nn.Embedding] += 1
            assert fills(module.weight, math.sqrt(6 / sum(module.weight.shape))), name
            assert getattr(module, "bias", None) is None or not module.bias.any(), name
        elif isinstance(module, nn.LSTM):
            drawn[nn.LSTM] += 1
            for part, weight in module.named_parameters():
                if "bias" in part:
                    assert not weight.any()
                elif "_ih_" in part:
                    assert fills(weight, math.sqrt(6 / sum(weight.shape))), (name, part)
                else:
                    torch.testing.assert_close(weight.T @ weight, torch.eye(weight.shape[1]))
    assert min(drawn.values()) > 0
    if kind == "video":
        assert model.encoders["video"].patches.weight.std().item() == pytest.approx(math.sqrt(2 / (24 * 64)), rel=0.05)
        return
    for block in model.blocks:  # self-attention has one matrix there, attention to the other three
        for part in ("first", "second"):
            assert fills(block.itself[part].in_proj_weight, math.sqrt(6 / (4 * 24)))
            assert all(fills(third, math.sqrt(6 / (2 * 24))) for third in block.other[part].in_proj_weight.chunk(3))


@pytest.mark.parametrize("kind", KINDS)
def test_building_a_model_leaves_the_weights_of_an_encoder_as_they_are(kind):
    made = encoders()
    for parameter in (p for encoder in made.values() for p in encoder.parameters()):
        nn.init.constant_(parameter, 0.25)
    given = {"vocabulary_sizes": SIZES}
    if kind in ("document", "released"):
        model = AudioTextMetadata(CLASSES, SHAPES, made, kind, **given)
    else:
        model = VideoMetadata(CLASSES, SHAPES, made, **given) if kind == "video" else MIMAMONet(
            CLASSES, SHAPES, made, heads=2, **given
        )  # fmt: skip
    assert all((p == 0.25).all() for p in model.encoders.parameters())


def test_tables_of_the_released_audio_text_model_start_as_torch_draws_them():
    sizes = {"event": 3000}
    for kind, deviation in (("released", 1.0), ("document", 0.1)):
        model = AudioTextMetadata(CLASSES, SHAPES, encoders(), kind, vocabulary_sizes=sizes)
        assert model.meta[0].tables["event"].weight.std().item() == pytest.approx(deviation, rel=0.02)


@pytest.mark.parametrize("kind", KINDS)
def test_stages_hold_every_parameter_once(kind):
    model = small(kind)
    assert sum(p.numel() for of in model.stage_parameters().values() for p in of) == count(model)


def test_the_documents_audio_text_model_is_its_description():
    model, batch = small("document").eval(), dialogues()
    logits = model(batch)["logits"]
    meta = model.meta(batch["meta"])
    gates = {name: getattr(model.lstm, f"{name}_l0") for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")}
    for row in range(3):
        h = c = torch.zeros(16)
        for step in range(batch["length"]["utterances"][row]):
            audio = model.encoders["audio"](batch["audio"][row, step][None])[0]
            text = model.encoders["text"](batch["text"][row, step][None])[0]
            x = torch.cat([audio, text, meta[row]])
            i, f, g, o = (
                linear(x, gates["weight_ih"], gates["bias_ih"]) + linear(h, gates["weight_hh"], gates["bias_hh"])
            ).chunk(4)
            c = f.sigmoid() * c + i.sigmoid() * g.tanh()
            h = o.sigmoid() * c.tanh()
        first, last = model.classifier[0], model.classifier[-1]
        torch.testing.assert_close(logits[row], last(torch.relu(first(h))))
    assert model.dropout.p == 0.3


@pytest.mark.parametrize("kind", KINDS)
def test_padding_and_batch_mates_do_not_count(kind):
    model, batch = small(kind).eval(), dialogues()
    logits = model(batch)["logits"]
    for row in range(3):
        torch.testing.assert_close(model(select_clip(batch, row))["logits"][0], logits[row])
    for modality in model.modalities:
        junk = {**batch, modality: batch[modality].clone()}
        junk[modality][0, 2:] = 7
        assert torch.equal(model(junk)["logits"], logits)
    longer = {**batch, "role": torch.nn.functional.pad(batch["role"], (0, 2))}
    for modality in ("text", "audio", "video"):
        longer[modality] = torch.cat([batch[modality], batch[modality][:, :2]], dim=1)
    longer["utterance_mask"] = {
        name: torch.nn.functional.pad(mask, (0, 2)) for name, mask in batch["utterance_mask"].items()
    }
    torch.testing.assert_close(model(longer)["logits"], logits)


@pytest.mark.parametrize("kind", KINDS)
def test_what_stands_in_an_absent_modality_does_not_count(kind):
    model = small(kind).eval()
    for modality in model.modalities:
        batch = dialogues(absent=[(modality, 1)])
        batch["mask"]["context"][1] = modality != "text"
        logits = model(batch)["logits"]
        assert torch.isfinite(logits).all()
        for junk in (0, 7):
            assert torch.equal(model(with_content(batch, modality, 1, junk))["logits"], logits)
        assert not torch.equal(model(dialogues())["logits"][1], logits[1])


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_exported_computes_the_padding_and_says_the_same(kind, monkeypatch):
    model = small(kind).eval()
    batches = [dialogues(size, seed, absent) for seed, (size, absent) in enumerate(
        [(1, []), (5, []), (4, [("text", 0), ("audio", 0), ("video", 0), ("video", 2), ("meta", 3)])]
    )]  # fmt: skip
    for batch in batches:
        batch["utterance_mask"]["video"][:, 1] = False
    with torch.no_grad():
        usual = [model(batch)["logits"] for batch in batches]
        monkeypatch.setattr(torch.compiler, "is_exporting", lambda: True)
        for batch, logits in zip(batches, usual, strict=True):
            for modality in model.modalities:
                absent = ~model.present(batch, modality)
                value = 7 if modality == "text" else float("nan")
                shown = batch[modality].masked_fill(
                    absent.view(*absent.shape, *[1] * (batch[modality].ndim - 2)), value
                )
                torch.testing.assert_close(model({**batch, modality: shown})["logits"], logits, rtol=0, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_a_batch_of_one_trains_and_every_parameter_learns(kind):
    model = small(kind, freeze_encoders=False)
    for seed, size in enumerate((1, 4)):
        batch = dialogues(size, seed)
        model.compute_loss(model(batch), batch).backward()
    unused = {"encoders.audio.network.masked_spec_embed"}
    assert {name for name, p in model.named_parameters() if p.grad is None} <= unused


def test_the_released_variant_reads_the_context_and_the_roles():
    model, batch = small("released").eval(), dialogues()
    logits = model(batch)["logits"]
    for key in ("context", "role"):
        changed = {**batch, key: batch[key].flip(1) if key == "context" else 3 - batch[key].clamp(1, 2)}
        assert not torch.allclose(model(changed)["logits"], logits, atol=1e-6)
    frozen = model.frozen_encoders()
    assert frozen["context"] is frozen["text"]
    made = {**batch, "context": frozen["context"](batch["context"])}
    torch.testing.assert_close(model(made)["logits"], logits)
    batch["mask"]["context"][:] = False
    assert torch.equal(model(batch)["logits"], model({**batch, "context": torch.ones_like(batch["context"])})["logits"])
    shapes = {name: shape for name, shape in SHAPES.items() if name != "context"}
    with pytest.raises(TaskError, match="reads the context, which the data lack"):
        AudioTextMetadata(CLASSES, shapes, encoders(), "released", vocabulary_sizes=SIZES)


def test_every_field_is_a_token_that_the_video_attends_to():
    model, batch = small("mimamo").eval(), dialogues()
    shapes = []
    model.blocks[0].register_forward_pre_hook(lambda module, args: shapes.append(args[1].shape))
    logits = model(batch)["logits"]
    assert shapes == [(3, 4, 24)]
    for field in range(4):
        meta = batch["meta"].clone()
        meta[:, field] = (meta[:, field] + 1) % 3
        assert not torch.allclose(model({**batch, "meta": meta})["logits"], logits, atol=1e-6)


def test_repeated_metadata_are_the_same_answer_whatever_is_asked():
    """Why tokens are the default: over equal keys attention is a learned constant."""
    attention = nn.MultiheadAttention(8, 2, batch_first=True).eval()
    vector = torch.randn(1, 1, 8).expand(-1, 5, -1)
    found = [attention(torch.randn(1, 3, 8), vector, vector)[0] for _ in range(2)]
    torch.testing.assert_close(*found)


def test_heads_that_do_not_divide_are_one_line():
    with pytest.raises(TaskError, match=r"model.heads: 5 does not divide the 24 channels"):
        MIMAMONet(CLASSES, SHAPES, encoders(), heads=5, vocabulary_sizes=SIZES)


def test_encoders_freeze_by_name():
    model = small("released", freeze_encoders=["audio"])
    assert list(model.frozen_encoders()) == ["audio"]
    output = model.train()(dialogues(4))
    assert not model.encoders["audio"].training
    assert model.encoders["text"].training
    model.compute_loss(output, dialogues(4)).backward()
    learning = {name.split(".")[1] for name, p in model.encoders.named_parameters("encoders") if p.grad is not None}
    assert learning == {"text"}
    assert list(small("released", freeze_encoders=["text"]).frozen_encoders()) == ["text", "context"]
    with pytest.raises(TaskError, match=r"model\.freeze_encoders: .* no encoder of video; it has text"):
        small("released", freeze_encoders=["video"])


@pytest.mark.usefixtures("unrendered")
def test_the_released_recipe_lies_over_the_audio_text_experiment(options, tmp_path, capsys):
    released = ["--config", "experiments/_gated_audio_text_released.yaml", "--trainer.default_root_dir", str(tmp_path)]
    command = ["fit", *options("gated_audio_text"), *released]
    built = build(command)
    model, trainer = built.model, built.trainer
    assert model.variant == "released"
    assert [type(layer) for layer in model.meta][1:] == [nn.Linear, nn.ReLU, nn.Dropout, nn.Linear]
    assert model.dropout.p == 0.2
    assert list(model.frozen_encoders()) == ["audio"]
    assert (trainer.accumulate_grad_batches, trainer.gradient_clip_val) == (2, 1.0)
    stops = [callback for callback in trainer.callbacks if isinstance(callback, EarlyStopping)]
    assert [(stop.monitor, stop.patience, stop.mode) for stop in stops] == [
        ("val_score", 10, "max"),
        ("val_loss", 5, "min"),
    ]
    assert built.datamodule.batch_size == 6
    assert built.datamodule.samples == 16_000
    assert cli.main([*command, "--trainer.max_epochs", "1"]) == 0
    rates = results.read_cell(tmp_path).curves["lr/encoder_text"]
    steps = math.ceil(built.datamodule.split_sizes()["train"] / 6 / 2)
    last = steps - 1  # of the steps, counted from 0; the scheduler counts them too, and not the batches
    assert rates[-1] == pytest.approx(1e-5 * (0.001 + 0.999 * last / 500) * (1 - last / 61_750), rel=1e-4)
