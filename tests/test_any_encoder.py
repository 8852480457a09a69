"""Any encoder in any model: what each takes, by what it declares, and what it says of the rest."""

from pathlib import Path

import lightning.pytorch as pl
import pytest
import torch
import yaml
from dialogues import CLASSES, NAMES, SIZES, dialogues
from dialogues import SHAPES as DIALOGUES
from test_hf_encoders import PICTURES, WAVES
from test_pairing import every
from torch.utils.data import DataLoader

import cli
from callbacks.layer_lr import DiscriminativeLR
from callbacks.unfreezing import GradualUnfreezing
from lightning_modules.base import EmotionTask
from lightning_modules.baselines.models import Majority
from lightning_modules.cfnsr import CFNSR
from lightning_modules.emotiw.model import EmotiW, VideoEncoder, segment_means
from lightning_modules.engagement.dynamic import UnimodalDynamic
from lightning_modules.engagement.fusion import CrossMultiModalEngagement
from lightning_modules.erann import ERANN
from lightning_modules.errors import TaskError
from lightning_modules.feature_fusion import FeatureFusion
from lightning_modules.gated_fusion.branches import AudioTextMetadata
from lightning_modules.gated_fusion.late_fusion import WeightedLateFusion
from lightning_modules.gated_fusion.mimamo import MIMAMONet
from lightning_modules.gated_fusion.model import AdaptiveGatedFusion
from lightning_modules.nn.action_units import ActionUnitNet
from lightning_modules.nn.fusion import MMTMBlock, MSAFBlock
from lightning_modules.nn.hf_audio import HFAudio
from lightning_modules.nn.hf_encoders import HFImage, HFText, HFVideo
from lightning_modules.nn.modality_encoders import gives_states
from lightning_modules.nn.timm_encoder import Timm
from lightning_modules.nn.vector_sequence import Vector, VectorSequence
from lightning_modules.ravdess_fusion import MCBP, MMTM, MSAF, ConcatFC
from lightning_modules.ravdess_rivals import AudioOnly, LateFusion, VideoOnly
from lightning_modules.static_emotion import StaticEmotion, StaticEngagement
from lightning_modules.text_head import TextHead

CLIP = [3, 4, 16, 16]
SHAPES = {"sound": [2000], "clip": CLIP, "still": CLIP[:1] + CLIP[2:], "steps": [0, 5], "facts": [7]}
DATA = {**SHAPES, "video": [6], "audio": [13, 40]}  # and what the papers' own networks read
TEXT = {
    "model_type": "bert", "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16,
    "vocab_size": 50, "max_position_embeddings": 24, "initializer_range": 0.3,
}  # fmt: skip


def sound(**options):
    return HFAudio(config={"model_type": "wav2vec2", **WAVES}, **options)


def image(**options):
    return HFImage(config={"model_type": "vit", **PICTURES}, **options)


def video(frames=4, **options):
    config = {"model_type": "videomae", **PICTURES, "num_frames": frames, "tubelet_size": 2}
    return HFVideo(config=config, **options)


def made(name, states=False):
    """An encoder of each modality; one that gives states where asked for, as far as it can."""
    pooling = "none" if states else "mean"
    return {
        "sound": lambda: sound(pooling=pooling),
        "clip": lambda: video(pooling=pooling, freeze=1),
        "still": lambda: image(pooling=pooling),
        "steps": lambda: VectorSequence(5, 16, pooling="none" if states else "gru"),
        "facts": lambda: Vector(7, 16),
    }[name]()


def clips(size=3, seed=0):
    generator = torch.Generator().manual_seed(seed)
    batch = {name: torch.randn(size, *[part or 4 for part in of], generator=generator) for name, of in DATA.items()}
    batch["sound"] *= 0.1
    batch["sound"][0, 1200:] = 0  # padding
    return {
        **batch,
        "id": [f"{row}" for row in range(size)],
        "group": [f"{row}" for row in range(size)],
        "length": {"steps": torch.tensor([4, 2, 3])[:size], "audio": torch.tensor([40, 30, 40])[:size]},
        "mask": {name: torch.ones(size, dtype=torch.bool) for name in DATA},
        "target": torch.arange(size) % 3,
    }


def row_of(batch, row):
    return {name: row_of(of, row) if isinstance(of, dict) else of[row : row + 1] for name, of in batch.items()}


def scores(output):
    logits = output["logits"]
    return torch.cat([of.view(len(of), -1) for of in logits.values()], 1) if isinstance(logits, dict) else logits


def of_frames(encoder, values):
    return encoder(values.flatten(0, 1)).unflatten(0, values.shape[:2])


def check(task, modalities, whole=clips, items=lambda encoder, values: encoder(values)):
    """One clip by itself, absent and padded modalities, embeddings made ahead, every parameter in one stage."""
    task.start_from({})
    task.stage_parameters()
    task.eval()
    batch = whole()
    with torch.no_grad():
        said = scores(task(batch))
        assert said.isfinite().all()
        torch.testing.assert_close(scores(task(row_of(batch, 1))), said[1:2], rtol=1e-4, atol=1e-5)
        for name in modalities:
            one, other = whole(), whole(seed=1)
            for of in (one, other):
                of["mask"][name] = torch.zeros(3, dtype=torch.bool)
            absent = scores(task(one))
            assert torch.equal(absent, scores(task({**one, name: other[name]})))
            assert absent.isfinite().all()
        padded = whole()
        padded["steps"] = torch.nn.functional.pad(padded["steps"], (0, 0, 0, 3), value=9.0)
        torch.testing.assert_close(scores(task(padded)), said, rtol=1e-4, atol=1e-5)
        ahead = {name: items(of, batch[name]) for name, of in task.frozen_encoders().items()}
        torch.testing.assert_close(scores(task({**batch, **ahead})), said, rtol=1e-4, atol=1e-5)
    if any(of.requires_grad for of in task.parameters()):
        task.train()
        scores(task(batch)).sum().backward()
    return said


SINGLE = (VideoOnly, AudioOnly, TextHead, StaticEngagement, StaticEmotion)
FUSIONS = (ConcatFC, MCBP, MMTM, MSAF, CFNSR, LateFusion, FeatureFusion)
OPTIONS = {
    MSAF: {"blocks": (16, 16)}, CFNSR: {"attention_heads": 2}, MCBP: {"dim": 64, "hidden": 8},
    ConcatFC: {"hidden": 8}, MMTM: {"hidden": 8},
}  # fmt: skip


def built(model, names, states=False, **options):
    torch.manual_seed(0)
    options = options if model is not FeatureFusion else {"modalities": list(names)}
    return model(3, DATA, encoders={name: made(name, states) for name in names}, **OPTIONS.get(model, {}), **options)


def refused(make, says):
    with pytest.raises(TaskError, match=says) as caught:
        make()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("model", FUSIONS)
def test_a_fusion_takes_encoders_of_any_kind_in_any_number_it_has_a_meaning_for(model):
    states = getattr(model, "states", False)
    for names in (("sound", "clip"), ("still", "sound"), ("steps", "facts"), ("facts", "steps"), tuple(SHAPES)):
        most = getattr(model, "most", None)
        if most and len(names) > most:
            refused(lambda names=names: built(model, names), f"{model.__name__} fuses at most {most}; it was given 5")
            continue
        for many in (False, True):
            places = many and gives_states(made(names[0], states=True))
            if many and not states and model is not LateFusion:
                refused(lambda names=names: built(model, names, True), "fuses one vector a modality; pooling none")
            elif model is CFNSR and not places:
                refused(lambda names=names: built(CFNSR, names), "weighs the places of .*; take pooling none")
            else:
                assert check(built(model, names, many), names).shape == (3, 3)


@pytest.mark.parametrize("model", SINGLE)
def test_a_model_of_one_modality_takes_any_encoder(model):
    for name in SHAPES:
        check(built(model, [name]), [name])
    refused(lambda: built(model, ["sound", "still"]), "fuses at most 1; it was given 2")


@pytest.mark.parametrize("model", [ConcatFC, MMTM, MSAF, CFNSR, LateFusion])
def test_one_encoder_stands_in_place_of_one_network(model):
    """Of the audio network, unless it is called video."""
    own = {"video": ActionUnitNet(6, (16, 32))}
    task = built(model, ["sound"], **own)
    assert model.reads(encoders={"sound": None}) == {"video": "clip of pictures", "sound": ""}
    check(task, ["video", "sound"])
    torch.manual_seed(0)
    clip = {**DATA, "video": CLIP}
    states = model not in (ConcatFC, LateFusion)
    task = model(3, clip, encoders={"video": made("clip", states)}, **OPTIONS.get(model, {}))

    def whole(seed=0):
        return {**(of := clips(seed=seed)), "video": of["clip"]}

    check(task, ["video", "audio"], whole)
    assert {"audio"} == {name.split(".")[0] for name in task.state_dict()} & {"audio"}
    lacking = {name: shape for name, shape in DATA.items() if name != "video"}
    if model is not LateFusion:
        refused(lambda: model(3, lacking, encoders={"sound": sound()}), "it was given 1, and the data have no video")


def test_gates_and_shares_of_three_modalities_are_those_of_the_formulas():
    torch.manual_seed(0)
    features = [torch.randn(2, size, 3) for size in (8, 4, 6)]
    block = MMTMBlock(8, 4, more=[6]).eval()
    z = torch.relu(block.squeeze(torch.cat([of.mean(2) for of in features], 1)))
    wanted = features[2] * torch.sigmoid(block.more[0](z)).unsqueeze(2)
    assert torch.equal(block(*features)[2], wanted)
    split = MSAFBlock(8, 4, 2, more=[6], reduction=2).eval()
    gains = [made / of for made, of in zip(split(*features), features, strict=True)]
    shares = torch.cat([of.mean(2) for of in gains], 1).view(2, 9, 2)
    torch.testing.assert_close(shares.sum(1), torch.ones(2, 2))


def test_the_multiplicative_rule_over_three_encoders_is_the_formula():
    task = built(LateFusion, ("sound", "still", "facts"), rule="multiplicative", beta=0.5).eval()
    batch = clips()
    p = torch.stack([part(batch)["logits"].softmax(1) for part in task.parts.values()], 1)
    wanted = torch.zeros(3, 3)
    for one in range(3):
        rest = [1 - p[:, other] for other in range(3) if other != one]
        wanted += (rest[0] * rest[1]) ** (0.5 / 2) * p[:, one].log()
    torch.testing.assert_close(task(batch)["logits"], wanted)
    assert all(not parameter.requires_grad for parameter in task.parameters())


def test_late_fusion_reads_what_models_of_one_modality_trained(tmp_path):
    sources, said = {}, []
    for name, model in (("sound", AudioOnly), ("still", VideoOnly)):
        task = built(model, [name]).eval()
        said.append(task(clips())["logits"].softmax(1))
        sources[name] = str(tmp_path / f"{name}.ckpt")
        torch.save({"state_dict": task.state_dict()}, sources[name])
    late = built(LateFusion, ["sound", "still"])
    torch.nn.init.zeros_(late.sound.head.weight)
    late.start_from(sources)
    torch.testing.assert_close(late.eval()(clips())["logits"].exp(), (said[0] + said[1]) / 2)
    refused(
        lambda: LateFusion(3, {"trainer": [7], "facts": [7]}, encoders={"trainer": Vector(7), "facts": Vector(7)}),
        "another part of that name",
    )


@pytest.mark.parametrize("head", ["average", "flatten"])
def test_emotiw_has_any_audio_attend_to_any_video(head):
    def whole(seed=0):
        of = clips(seed=seed)
        return {**of, "audio": of["sound"], "video": of["clip"], "steps": of["steps"]}

    shapes = {"audio": SHAPES["sound"], "video": CLIP}
    for states in (True, False):
        torch.manual_seed(0)
        encoders = {"video": made("clip", states), "audio": made("sound", states)}
        task = EmotiW(3, shapes, encoders=encoders, head=head, segments=3)
        said = check(task, ["audio", "video"], whole)
        assert said.shape == (3, 3)
    frames = {"audio": SHAPES["sound"], "video": [10, 3, 16, 16]}

    def groups(seed=0):
        of = whole(seed)
        return {**of, "video": torch.randn(3, 10, 3, 16, 16, generator=torch.Generator().manual_seed(seed))}

    for own in ({"encoders": {"video": image(), "audio": sound(pooling="none")}}, {"encoders": {"audio": sound()}}):
        if "video" not in own["encoders"]:
            own["video"] = VideoEncoder("test_vit", "none", options={"img_size": 16})
        task = EmotiW(3, frames, head=head, **own).eval()
        task.stage_parameters()
        batch = groups()
        with torch.no_grad():
            said = task(batch)["logits"]
            if task.video.frozen:  # as the data hand over what its frozen encoder made: five groups
                kept = task.video(batch["video"].view(15, 2, 3, 16, 16)).view(3, 5, -1)
                torch.testing.assert_close(task({**batch, "video": kept})["logits"], said)
    refused(lambda: EmotiW(3, shapes, encoders={"sound": sound()}), "EmotiW has audio attend to video; call the")


def test_segments_are_equal_parts_of_the_steps_that_count():
    x = torch.tensor([[[1.0], [2.0], [3.0], [5.0], [9.0]]])
    there = torch.tensor([[True, True, True, True, False]])
    assert segment_means(x, there, 2).flatten().tolist() == [1.5, 4.0]
    assert segment_means(x, None, 1).item() == 4.0
    assert segment_means(x, ~there, 2).flatten().tolist() == [9.0, 0.0]


def windows(seed=0):
    of = clips(seed=seed)
    generator = torch.Generator().manual_seed(seed)
    faces = torch.rand(3, 4, 3, 16, 16, generator=generator)
    return {
        **of,
        "face": faces,
        "units": torch.randn(3, 4, 5, generator=generator),
        "mask": {name: torch.ones(3, dtype=torch.bool) for name in ("face", "units")},
    }


WINDOWS = {"face": [4, 3, 16, 16], "units": [4, 5]}


def frame_encoders(**options):
    return {"face": image(**options), "units": Vector(5, 8)}


@pytest.mark.parametrize("freeze", ["all", "none", 1])
def test_models_of_windows_take_encoders_that_train_or_not(freeze):
    for name, encoder in frame_encoders(freeze=freeze).items():
        dynamic = UnimodalDynamic(3, WINDOWS, modality=name, encoders={name: encoder})
        dynamic.describe_input({"face": {"mean": [0.5] * 3, "std": [0.25] * 3}})
        assert getattr(encoder, "std", [0.25] * 3) == [0.25] * 3
        check(dynamic, [name], windows, of_frames)
        assert list(dynamic.frozen_encoders()) == ([name] if encoder.frozen else [])
    task = CrossMultiModalEngagement(3, WINDOWS, list(WINDOWS), heads=2, encoders=frame_encoders(freeze=freeze), dim=6)
    check(task, list(WINDOWS), windows, of_frames)
    trained = {name for name, of in task.named_parameters() if of.grad is not None and name.startswith("encoders.face")}
    assert bool(trained) == (freeze != "all")
    assert ("face_layer_1" in task.stages()) == (freeze != "all")


def test_models_of_windows_say_what_they_cannot_take():
    def cross(encoders, **options):
        return lambda: CrossMultiModalEngagement(3, WINDOWS, list(WINDOWS), heads=2, encoders=encoders, **options)

    refused(cross(frame_encoders()), "differ in size: 16 of face, 8 of units; give a --model.dim")
    refused(cross({"face": image(pooling="none")}), "reads one vector a frame; pooling none gives many")
    refused(cross({"face": sound()}), r"HFAudio cannot read face of shape \[3, 16, 16\]")
    refused(lambda: UnimodalDynamic(3, WINDOWS, encoders={"units": Vector(5)}), "UnimodalDynamic reads face alone")


def utterances(seed=0):
    batch = dialogues(seed=seed)
    return {**batch, "steps": torch.zeros(3, 1, 5), "target": torch.arange(3) % 3}


@pytest.mark.parametrize("model", [AdaptiveGatedFusion, AudioTextMetadata, MIMAMONet])
def test_models_of_dialogues_take_any_encoders(model):
    shapes = {**DIALOGUES, "audio": [4, 400]}
    for freeze in ("all", 1):
        torch.manual_seed(0)
        encoders = {
            "audio": sound(freeze=freeze),
            "text": HFText(config=TEXT, pooling="attention"),
            "video": video(frames=2),
        }
        task = model(CLASSES, shapes, encoders, vocabulary_sizes=SIZES, metadata_dropout=0.0)
        task.start_from({})
        task.stage_parameters()
        task(utterances())["logits"].sum().backward()
        frozen = {name for name in task.modalities if encoders[name].frozen}
        assert set(task.frozen_encoders()) == frozen
        learns = {
            name.split(".")[1]
            for name, of in task.named_parameters()
            if name[:9] == "encoders." and of.grad is not None
        }
        assert learns == set(task.modalities) - frozen


def test_late_weights_take_branches_of_any_encoders(tmp_path):
    torch.manual_seed(0)
    encoders = {
        "audio": sound(),
        "text": HFText(config=TEXT),
        "video": video(frames=2),
    }
    shared = {"vocabulary_sizes": SIZES, "class_names": NAMES}
    paths = {}
    for name, model in (("video", MIMAMONet), ("audio_text", AudioTextMetadata)):
        branch = model(CLASSES, DIALOGUES, encoders, **shared)
        paths[name] = str(tmp_path / f"{name}.ckpt")
        torch.save({"state_dict": branch.state_dict(), "hyper_parameters": {"class_names": NAMES}}, paths[name])
    task = WeightedLateFusion(CLASSES, DIALOGUES, encoders, **shared)
    task.start_from(paths)
    assert set(task.frozen_encoders()) == {"audio", "text", "video"}
    assert task.eval()(utterances())["logits"].isfinite().all()


def test_frames_and_places_of_timm_are_states():
    torch.manual_seed(0)
    for name in ("test_vit", "test_resnet", "test_convnext"):
        encoder = Timm(name, pooling="none", size=32, options={"img_size": 32} if name == "test_vit" else None).eval()
        states = encoder(torch.rand(2, 3, 32, 32))
        assert states.shape[::2] == (2, encoder.channels)
        clip = encoder(torch.rand(2, 3, 3, 32, 32))
        assert clip.shape == (2, 3 * states.shape[1], encoder.channels)


@pytest.mark.parametrize("model", [ConcatFC, CFNSR, CrossMultiModalEngagement])
def test_unfreezing_and_rates_by_stage_work_over_one_network_in_three_fusions(model, tmp_path):
    torch.manual_seed(0)
    encoders = {"face": image(freeze="none", pooling="none" if model is CFNSR else "mean"), "facts": Vector(7, 16)}
    if model is CrossMultiModalEngagement:
        task = model(3, WINDOWS, list(WINDOWS), heads=2, encoders=frame_encoders(freeze="none"), dim=4)
        batch = windows()
    else:
        task = model(3, {"face": SHAPES["still"], "facts": [7]}, encoders=encoders, **OPTIONS[model])
        batch = {**clips(), "face": windows()["face"][:, 0]}
        batch["mask"]["face"] = batch["mask"]["facts"]
    names = list(task.stages())
    layers = [name for name in names if name.startswith("face_layer_")]
    assert len(layers) == 2
    seen, rates = [], []

    class Spy(pl.Callback):
        def on_train_batch_start(self, trainer, module, *_):
            parts = module.stage_parameters()
            seen.append([name for name in names if parts[name] and all(p.requires_grad for p in parts[name])])

        def on_train_batch_end(self, trainer, module, *_):
            rates.append(dict(module.effective_rates))

    before = [of.detach().clone() for of in task.stage_parameters()[layers[0]]]
    trainer = pl.Trainer(
        max_epochs=len(names), accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, default_root_dir=tmp_path,
        callbacks=[GradualUnfreezing(1, 1), DiscriminativeLR(0.5), Spy()],
    )  # fmt: skip
    trainer.fit(task, DataLoader([batch], batch_size=None))
    filled = [name for name in names if task.stage_parameters()[name]]
    for epoch, trained in enumerate(seen):
        assert trained == [name for name in names[-1 - epoch :] if name in filled]
    last = rates[-1]
    assert last[layers[0]] == pytest.approx(last[layers[1]] / 2)
    assert not all(map(torch.equal, before, task.stage_parameters()[layers[0]]))


def experiments():
    paths = sorted((Path(cli.__file__).parent / "experiments").glob("[!_]*.yaml"))
    return {path.stem: yaml.safe_load(path.read_text(encoding="utf-8"))["model"]["class_path"] for path in paths}


@pytest.mark.parametrize("name", experiments())
def test_every_experiment_has_the_option_or_says_why_not(name):
    model = {of.__name__: of for of in every(EmotionTask)}[experiments()[name]]
    assert (
        model is Majority
        or any(  # it reads no modality
            "encoders" in vars(of).get("__init__", of).__annotations__ for of in model.__mro__[:-1]
        )
    )
    if model is ERANN:
        refused(lambda: ERANN(3, {"wave": [44100]}, encoders={"wave": sound()}), "ERANN is one network")
