"""The branches: their published sizes, their description, padding and what is missing."""

import pytest
import torch
from dialogues import CLASSES, NAMES, SHAPES, SIZES, dialogues, encoders, with_content
from torch import nn
from torch.nn.functional import linear

from lightning_modules.base import TaskError, select_clip
from lightning_modules.dialogue_encoders import BertText, VideoConvNet, VideoTransformer, Wav2Vec2Audio
from lightning_modules.dialogue_models import AudioTextMetadata, VideoMetadata
from lightning_modules.mimamo import MIMAMONet

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


def test_the_released_video_models_have_their_parameters():
    assert count(full_size("mimamo_released", RELEASED)) == 27_116_247
    assert count(full_size("mimamo_released", RELEASED)) - 41_505 * 32 == 25_788_087
    model = full_size("video", RELEASED)
    assert count(model) == 20_656_511
    assert count(model.encoders) == 8_596_224


def test_without_the_vocabularies_of_sentences_ours_are_smaller():
    sizes = {kind: count(full_size(kind, OURS)) for kind in ("video", "mimamo", "mimamo_released")}
    assert sizes == {"video": 19_261_023, "mimamo": 22_812_519, "mimamo_released": 25_689_815}


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
