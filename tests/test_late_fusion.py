"""Late fusion of two trained branches."""

import pytest
import torch
from dialogues import CLASSES, NAMES, SHAPES, SIZES, dialogues, encoders
from tiny import trainer
from torch.utils.data import DataLoader

from experiments.reproduce.tables.table_file import read_table
from experiments.train.command import build
from lightning_modules.errors import TaskError
from lightning_modules.gated_fusion.branches import AudioTextMetadata
from lightning_modules.gated_fusion.late_fusion import OneWeightLateFusion, StaticAverage, WeightedLateFusion
from lightning_modules.gated_fusion.mimamo import MIMAMONet

VIDEO = {"heads": 2, "blocks": 1, "hidden": 8}
AUDIO_TEXT = {"hidden": 16, "metadata_dim": 8}


def branches(folder, names=NAMES):
    """Checkpoints of both branches; the audio-text one names its classes as told."""
    torch.manual_seed(1)
    made = {"vocabulary_sizes": SIZES, "class_names": NAMES}
    video = MIMAMONet(CLASSES, SHAPES, encoders(), **VIDEO, **made)
    audio_text = AudioTextMetadata(CLASSES, SHAPES, encoders(), **AUDIO_TEXT, **made | {"class_names": names})
    paths = {}
    for name, branch in (("video", video), ("audio_text", audio_text)):
        paths[name] = str(folder / f"{name}.ckpt")
        hparams = {"class_names": branch.class_names}
        torch.save({"state_dict": branch.state_dict(), "hyper_parameters": hparams}, paths[name])
    return paths, video.eval(), audio_text.eval()


def fusion(kind=WeightedLateFusion, **options):
    torch.manual_seed(0)
    made = {"vocabulary_sizes": SIZES, "class_names": NAMES, "video": VIDEO, "audio_text": AUDIO_TEXT, **options}
    return kind(CLASSES, SHAPES, encoders(), **made)


@pytest.mark.parametrize(("initial", "expected"), [("stated", [0.6, 0.4]), ("released", [0.5498, 0.4502])])
def test_it_trains_a_weight_per_branch_and_a_bias_per_class(initial, expected):
    model = fusion(initial=initial)
    assert sum(p.numel() for p in model.parameters() if p.requires_grad) == 2 + CLASSES  # 9 with 7 classes
    torch.testing.assert_close(model.weights.softmax(0), torch.tensor(expected), atol=1e-4, rtol=0)
    assert sum(p.numel() for of in model.stage_parameters().values() for p in of) == sum(
        p.numel() for p in model.parameters()
    )


@pytest.mark.parametrize(("initial", "expected"), [("stated", 0.7), ("released", 0.6682)])
def test_one_weight_is_all_that_the_earlier_fusion_trains(initial, expected, tmp_path):
    paths, video, audio_text = branches(tmp_path)
    model = fusion(OneWeightLateFusion, initial=initial).eval()
    model.start_from(paths)
    assert sum(p.numel() for p in model.parameters() if p.requires_grad) == 1
    assert [name for name in model.state_dict() if not name.startswith(("video.", "audio_text."))] == ["weight"]
    assert model.weight.sigmoid().item() == pytest.approx(expected, abs=1e-4)
    batch = dialogues()
    with torch.no_grad():
        model.weight.fill_(-2.1401)  # the published 10.5 % and 89.5 %, the other way round
        first, second = (branch(batch)["logits"] for branch in (video, audio_text))
    output = model(batch)
    torch.testing.assert_close(output["logits"], 0.1053 * first + 0.8947 * second, atol=1e-4, rtol=1e-3)
    torch.testing.assert_close(output["aux"]["gate"], torch.tensor([[0.1053, 0.8947]]).expand(3, -1), atol=1e-4, rtol=0)
    output["logits"].square().sum().backward()
    assert model.weight.grad.item() != 0
    stages = model.stage_parameters()
    assert list(stages) == ["video", "audio_text", "fusion"]
    assert stages["fusion"] == [model.weight]
    model.validation_step(batch, 0)
    torch.testing.assert_close(model._finish_table().weights["gate_video"], torch.full((3,), 0.1053), atol=1e-4, rtol=0)


def test_the_row_of_one_weight_has_the_released_rate(options):
    row = read_table("gated_fusion").row("one_weight")
    words = [word for name, value in row.overrides.items() for word in (f"--{name}", str(value))]
    model = build(["fit", *options(row.experiment), *words, "--model.init_args.init_from", "{}"]).model
    assert type(model) is OneWeightLateFusion
    (group,) = model.configure_optimizers().param_groups[2:]
    assert (group["name"], group["lr"], group["weight_decay"]) == ("fusion", 1e-2, 1e-6)


def test_the_published_weights_are_a_difference_of_0_783():
    torch.testing.assert_close(
        torch.tensor([0.0, 0.7834]).softmax(0), torch.tensor([0.3136, 0.6864]), atol=1e-4, rtol=0
    )


def test_it_is_its_description(tmp_path):
    paths, video, audio_text = branches(tmp_path)
    model = fusion().eval()
    model.start_from(paths)
    torch.nn.init.normal_(model.class_bias)
    batch = dialogues()
    scores = [video(batch)["logits"], audio_text(batch)["logits"]]
    output = model(batch)
    torch.testing.assert_close(output["logits"], 0.6 * scores[0] + 0.4 * scores[1] + model.class_bias)
    torch.testing.assert_close(output["aux"]["gate"], torch.tensor([[0.6, 0.4]]).expand(3, -1))
    static = fusion(StaticAverage).eval()
    static.start_from(paths)
    mean = (scores[0].softmax(1) + scores[1].softmax(1)) / 2
    torch.testing.assert_close(static(batch)["logits"].softmax(1), mean)
    assert not any(p.requires_grad for p in static.parameters())


@pytest.mark.parametrize("kind", [WeightedLateFusion, OneWeightLateFusion, StaticAverage])
def test_a_branch_without_its_modalities_is_left_out(kind):
    model = fusion(kind).eval()
    absent = [("video", 0), ("text", 1), ("audio", 1), ("text", 2), *((name, 3) for name in ("text", "audio", "video"))]
    batch = dialogues(4, absent=absent)
    output = model(batch)
    gate = output["aux"]["gate"]
    assert gate[0].tolist() == [0, 1]
    assert gate[1].tolist() == [1, 0]
    assert (gate[2] > 0).all()  # the audio is there
    assert gate[3].tolist() == [0, 0]
    assert output["aux"]["abstain"].tolist() == [False, False, False, True]
    own = model.video(batch)["logits"][1]
    said = output["logits"][1]
    torch.testing.assert_close(said.softmax(0), own.softmax(0))


def test_branches_of_other_classes_are_refused(tmp_path):
    paths, *_ = branches(tmp_path, names=["happy", "angry", "sad"])
    with pytest.raises(TaskError, match=r"audio_text\.ckpt: it was trained on happy, angry, sad, here are happy, sad"):
        fusion().start_from(paths)
    torch.save({"state_dict": {}}, tmp_path / "video.ckpt")
    with pytest.raises(TaskError, match="it was trained on classes it does not name"):
        fusion().start_from(paths)


def test_without_trained_branches_it_says_what_to_train():
    with pytest.raises(TaskError, match=r"lacks video and audio_text: .*\nTrain gated_video and gated_audio_text"):
        fusion().start_from({})


def test_branches_stay_as_they_are_while_it_trains(tmp_path):
    paths, *_ = branches(tmp_path)
    model = fusion(init_from=paths, optimizer=lambda groups: torch.optim.AdamW(groups, lr=1e-2))
    trainer(tmp_path, epochs=2).fit(model, DataLoader([dialogues(), dialogues(1, 1)], batch_size=None))
    for name, path in paths.items():
        branch = getattr(model, name)
        state = torch.load(path)["state_dict"]
        assert all(torch.equal(value, state[key]) for key, value in branch.state_dict().items())
        assert not any(module.training for module in branch.modules())
    assert not torch.allclose(model.weights.softmax(0), torch.tensor([0.6, 0.4]))
    assert model.class_bias.any()
    model.train()
    assert not any(module.training for module in model.video.modules())


def test_the_static_average_does_not_train(tmp_path):
    paths, *_ = branches(tmp_path)
    model = fusion(StaticAverage, init_from=paths)
    with pytest.raises(TaskError, match=r"leave --trainer\.max_epochs at 0"):
        trainer(tmp_path, epochs=1).fit(model, DataLoader([dialogues()], batch_size=None))


def test_embeddings_made_ahead_serve_both_branches(tmp_path):
    model = fusion().eval()
    assert set(model.frozen_encoders()) == {"video", "text", "audio"}


def test_an_option_that_no_branch_has_is_one_line():
    with pytest.raises(TaskError, match=r"model\.video, model\.audio_text: .*no_such"):
        fusion(video={"no_such": 1})
