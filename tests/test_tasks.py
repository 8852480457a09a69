"""Classes, soft labels, values, and classes with values: every paper's model learns them without knowing of tasks."""

import csv
import json
import math

import lightning.pytorch as pl
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from dialogues import SHAPES as DIALOGUE
from dialogues import SIZES, encoders
from test_text_head import TINY as BERT
from tiny import trainer
from windows import EMBEDDINGS

from callbacks.collapse import CollapseGuard
from callbacks.history import History
from callbacks.plots import ResultPlots
from callbacks.predictions import PredictionWriter
from callbacks.profile import ModelProfile
from datamodules.base import EmotionDataModule
from datamodules.batches import ClipDataset
from datamodules.errors import DataError
from experiments.results import cell as results
from experiments.results.needs import request_hash
from experiments.train.run_record import record_result
from lightning_modules.cfnsr import CFNSR
from lightning_modules.emotiw.model import AudioEncoder, EmotiW
from lightning_modules.engagement.dynamic import UnimodalDynamic
from lightning_modules.engagement.fusion import CrossMultiModalEngagement
from lightning_modules.erann import ERANN
from lightning_modules.errors import TaskError
from lightning_modules.gated_fusion.branches import AudioTextMetadata, VideoMetadata
from lightning_modules.gated_fusion.late_fusion import StaticAverage, WeightedLateFusion
from lightning_modules.gated_fusion.mimamo import MIMAMONet
from lightning_modules.gated_fusion.model import AdaptiveGatedFusion
from lightning_modules.nn.backbones import MFCCNet, ResNeXt3D
from lightning_modules.nn.losses import FocalLoss, value_error
from lightning_modules.nn.metrics import PredictionTable, table_metrics, value_metrics
from lightning_modules.nn.sentence_encoder import SentenceEncoder
from lightning_modules.ravdess_fusion import MCBP, MMTM, MSAF, ConcatFC
from lightning_modules.ravdess_rivals import AudioOnly, LateFusion, VideoOnly
from lightning_modules.static_emotion import StaticEmotion, StaticEngagement
from lightning_modules.text_head import TextHead

NAN = float("nan")
NAMES = ["calm", "glad", "sad"]
CLIP = {"video": [3, 4, 32, 32], "audio": [13, 60]}
MADE = {  # kind -> tasks of the data
    "classes": {},
    "soft": {},
    "values": {"valence": 0, "arousal": 0},
    "both": {"emotion": 3, "valence": 0},
    "soft and a value": {"emotion": 3, "valence": 0},
}


def networks(cls, **own):
    def make(**options):
        video = ResNeXt3D((1, 1, 1, 1), width=4, cardinality=2)
        return cls(input_shapes=CLIP, video=video, audio=MFCCNet(channels=(4, 8)), **own, **options)

    return CLIP, make


def only(cls, modality, network):
    return {modality: CLIP[modality]}, lambda **options: cls(input_shapes=CLIP, **{modality: network()}, **options)


def dialogue(cls, modalities):
    shapes = {name: DIALOGUE[name] for name in (*modalities, "meta")}
    parts = ["context"] if cls is AudioTextMetadata else []
    shapes |= {name: DIALOGUE[name] for name in parts}

    def make(**options):
        return cls(input_shapes=shapes, encoders=encoders(), vocabulary_sizes=SIZES, **options)

    return shapes, make


SEGMENTS = {"audio": [2, 1, 106, 106]}
FACE = {"face": [3, 64, 64]}
WINDOW = {"face": EMBEDDINGS, "body": EMBEDDINGS}
MODELS = {
    "CFNSR": networks(CFNSR),
    "ConcatFC": networks(ConcatFC),
    "MCBP": networks(MCBP),
    "MMTM": networks(MMTM),
    "MSAF": networks(MSAF, blocks=(4, 8), reduction=1),
    "VideoOnly": only(VideoOnly, "video", lambda: ResNeXt3D((1, 1, 1, 1), width=4, cardinality=2)),
    "AudioOnly": only(AudioOnly, "audio", lambda: MFCCNet(channels=(4, 8))),
    "ERANN": ({"wave": [22050]}, lambda **options: ERANN(input_shapes={"wave": [22050]}, width=1, **options)),
    "EmotiW": (
        SEGMENTS,
        lambda **options: EmotiW(input_shapes=SEGMENTS, audio=AudioEncoder(width=2, hidden=32), **options),
    ),
    "UnimodalDynamic": (
        {"face": EMBEDDINGS},
        lambda **options: UnimodalDynamic(input_shapes={"face": EMBEDDINGS}, modality="face", **options),
    ),
    "CrossMultiModalEngagement": (
        WINDOW,
        lambda **options: CrossMultiModalEngagement(
            input_shapes=WINDOW, modalities=["face", "body"], heads=4, **options
        ),
    ),
    "AdaptiveGatedFusion": dialogue(AdaptiveGatedFusion, ["text", "audio", "video"]),
    "AudioTextMetadata": dialogue(AudioTextMetadata, ["text", "audio"]),
    "MIMAMONet": dialogue(MIMAMONet, ["video"]),
    "VideoMetadata": dialogue(VideoMetadata, ["video"]),
    "TextHead": (
        {"text": [12]},
        lambda **options: TextHead(
            input_shapes={"text": [12]}, encoder=SentenceEncoder(options=BERT).eval(), **options
        ),
    ),
    "StaticEngagement": (FACE, lambda **options: StaticEngagement(input_shapes=FACE, **options)),
}


class OwnClips(EmotionDataModule):
    """Four speakers of six clips in memory, with labels of one kind; every fifth clip lacks the label of a task."""

    corpus = "own"
    num_folds = 4

    def __init__(self, kind, shapes, **options):
        super().__init__("nowhere", **{"batch_size": 6, **options})
        generator = torch.Generator().manual_seed(0)
        count = 24
        self.kind, self.shapes = kind, shapes
        self.groups = [f"s{row // 6}" for row in range(count)]
        self.ids = [f"clip{row:02d}" for row in range(count)]
        self.inputs = {
            name: torch.randint(1, 3, (count, *shape), generator=generator)
            if name in ("text", "context", "meta")
            else torch.randn(count, *shape, generator=generator)
            for name, shape in shapes.items()
        }
        self.labels = torch.arange(count) % 3
        self.shares = torch.rand(count, 3, generator=generator).softmax(1)
        self.valence = 40 + 10 * torch.randn(count, generator=generator)  # not at all around 0
        self.arousal = torch.rand(count, generator=generator) / 1000
        if self.tasks:
            self.labels[::5], self.shares[::5] = -1, NAN
            self.valence[1::5] = NAN

    tasks = property(lambda self: MADE[self.kind])
    class_names = property(lambda self: [] if self.kind == "values" else NAMES)
    input_shapes = property(lambda self: self.shapes)
    fingerprint = property(lambda self: "own")
    synthetic = property(lambda self: True)

    @property
    def outputs(self):
        if not self.tasks:
            return super().outputs
        value = {"kind": "value", "unit": "points", "range": None}
        return {
            task: {"kind": "soft" if self.kind.startswith("soft") else "classes", "classes": NAMES}
            if classes
            else value
            for task, classes in self.tasks.items()
        }

    def target(self, rows):
        classes = self.shares[rows] if self.kind.startswith("soft") else self.labels[rows]
        if not self.tasks:
            return classes
        return {task: classes if count else getattr(self, task)[rows] for task, count in self.tasks.items()}

    @property
    def rows(self):
        return self.split_by_fold(np.array([int(group[1:]) for group in self.groups]), self.groups, "own")

    @property
    def train_labels(self):
        labels = self.shares.argmax(1).where(~self.shares.isnan().any(1), -1) if "soft" in self.kind else self.labels
        return labels.numpy()[self.rows["train"]]

    @property
    def train_values(self):
        values = [task for task, classes in self.tasks.items() if not classes]
        return {task: getattr(self, task).numpy()[self.rows["train"]] for task in values}

    @property
    def modalities(self):
        return list(self.shapes)

    def clips(self, rows):
        ids, groups = ([of[row] for row in rows] for of in (self.ids, self.groups))
        return ClipDataset(self, np.asarray(rows), ids, groups, self.target(rows))

    def dataset(self, split):
        return self.clips(self.rows[split])

    def fill(self, batch, rows):
        batch |= {name: values[rows] for name, values in self.inputs.items()}
        if "meta" in self.inputs:  # a dialogue
            count, utterances = len(rows), 4
            batch["length"] = {"utterances": torch.full((count,), utterances)}
            batch["role"] = torch.ones(count, utterances, dtype=torch.long)
            batch["utterance_mask"] = {
                name: torch.ones(count, utterances, dtype=torch.bool) for name in ("text", "audio", "video")
            }


def linked(data):
    """What the command line links from the data into a model."""
    return {
        "num_classes": data.num_outputs,
        "class_weights": data.class_weights,
        "class_names": data.class_names,
        "tasks": data.tasks,
        "value_scales": data.value_scales,
    }


def made(model, kind, data_options=None, **options):
    shapes, make = MODELS[model]
    data = OwnClips(kind, shapes, **(data_options or {}))
    torch.manual_seed(0)
    return data, make(**linked(data), **options)


def recorded(folder, data, task, epochs=1, **options):
    """Fit, test and record, as the command line does."""
    watching = [History(), PredictionWriter("last"), ModelProfile(1), ResultPlots(), CollapseGuard()]
    runner = trainer(folder, epochs, watching, **options)
    runner.fit(task, datamodule=data)
    results.write_json(folder / "request.json", {})
    tested = runner.test(task, datamodule=data, verbose=False)[0]
    metrics = {"epoch": 0} | {k.removeprefix("test_"): v for k, v in tested.items() if k != "test_loss"}
    record_result(runner, task, data, {"last": metrics}, experiment="own", seed=0, request_hash=request_hash({}))
    return json.loads((folder / "result.json").read_text())


def read(folder, name="predictions-last.csv"):
    with (folder / name).open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("kind", MADE)
@pytest.mark.parametrize("model", MODELS)
def test_every_model_learns_every_kind_of_label(model, kind):
    data, task = made(model, kind, {"class_weighting": "none" if kind == "values" else "balanced"})
    batch = data.clips(np.arange(24)).__getitems__(list(range(6)))
    output = task(batch)
    count = len(batch["id"])
    if data.tasks:
        assert {name: list(of.shape) for name, of in output["logits"].items()} == {
            name: [count, classes] if classes else [count] for name, classes in data.tasks.items()
        }
    else:
        assert output["logits"].shape == (count, 3)
    task.train()
    loss = task.compute_loss(task(batch), batch)
    assert loss.isfinite()
    loss.backward()
    *_, head = (p for of in task.stage_parameters().values() for p in of if p.requires_grad)
    assert head.grad.isfinite().all()
    assert (head.grad != 0).any()


@pytest.mark.parametrize("kind", MADE)
def test_a_run_is_recorded_from_its_first_step_to_its_result(kind, tmp_path, capsys):
    data, task = made("AudioOnly", kind)
    result = recorded(tmp_path, data, task)
    rows = read(tmp_path)
    assert len(rows) == result["n_test"] == 6
    assert results.read_result(tmp_path)["outputs"] == data.outputs
    said = capsys.readouterr().out
    for name in data.class_names:
        assert all(0 <= float(row[f"p_{name}"]) <= 1 for row in rows)
    if not data.class_names:
        assert not [name for name in rows[0] if name.startswith("p_")]
        assert {row["target"] for row in rows} == {""}
    assert ("accuracy" in result["selections"]["last"]) == bool(data.class_names) == ("accuracy" in said)
    history = read(tmp_path, "metrics.csv")[0]
    assert ("train_accuracy" in history) == bool(data.class_names)
    for task_name in data.train_values:
        assert {f"{of}_{task_name}" for of in ("mae", "rmse", "pearson", "ccc")} <= result["selections"]["last"].keys()
        assert f"val_ccc_{task_name}" in history
        labels = [row[f"target_{task_name}"] for row in rows]
        assert [label == "" for label in labels] == [math.isnan(of) for of in getattr(data, task_name)[:6].tolist()]
        errors = [abs(float(row[f"target_{task_name}"]) - float(row[f"pred_{task_name}"]))
                  for row in rows if row[f"target_{task_name}"]]  # fmt: skip
        assert result["selections"]["last"][f"mae_{task_name}"] == pytest.approx(np.mean(errors), rel=1e-4)
        mean = np.nanmean(data.train_values[task_name])
        off = [abs(float(label) - mean) for label in labels if label]
        assert result["baselines"][f"mae_{task_name}"] == pytest.approx(np.mean(off), rel=1e-4)
        assert result["baselines"][f"ccc_{task_name}"] == 0
        assert f"{task_name} MAE" in said
    assert (tmp_path / "plots" / "confusion.png").exists() == bool(data.class_names)
    assert (tmp_path / "plots" / "values.png").exists() == bool(data.train_values)
    assert f"report --run {tmp_path}" in said


@pytest.mark.parametrize("model", MODELS)
def test_every_model_trains_is_tested_and_recorded_on_classes_and_a_value(model, tmp_path, unrendered):
    data, task = made(model, "both")
    before = [parameter.clone() for parameter in task.parameters()]
    result = recorded(tmp_path, data, task)
    assert any(not torch.equal(old, new) for old, new in zip(before, task.parameters(), strict=True))
    rows = read(tmp_path)
    assert {"target", "p_calm", "target_valence", "pred_valence"} <= rows[0].keys()
    assert [row["target"] for row in rows] == ["", "1", "2", "0", "1", ""]
    assert {"accuracy", "uar", "f1", "ccc_valence"} <= result["selections"]["last"].keys()


def test_values_start_at_the_training_labels_mean_whatever_their_unit():
    data, task = made("AudioOnly", "values")
    head = task.head
    torch.nn.init.zeros_(head.weight)
    torch.nn.init.zeros_(head.bias)
    said = task(data.clips(np.arange(24)).__getitems__([0, 1]))["logits"]
    for name in ("valence", "arousal"):
        torch.testing.assert_close(said[name], torch.full((2,), float(np.nanmean(data.train_values[name]))))


def test_the_loss_is_the_weighted_sum_over_the_clips_that_have_each_label():
    data, task = made("AudioOnly", "both", task_weights={"valence": 0.5})
    logits = {"emotion": torch.randn(4, 3), "valence": torch.tensor([30.0, 50.0, 44.0, 41.0])}
    target = {"emotion": torch.tensor([-1, 2, 0, -1]), "valence": torch.tensor([NAN, 40.0, 45.0, 47.0])}
    deviation = float(np.nanstd(data.train_values["valence"]))
    expected = F.cross_entropy(logits["emotion"][1:3], target["emotion"][1:3])
    expected = expected + 0.5 * (10**2 + 1**2 + 6**2) / 3 / deviation**2
    torch.testing.assert_close(task.task_loss(logits, target), expected, rtol=1e-4, atol=0)
    nothing = {"emotion": torch.tensor([-1] * 4), "valence": torch.full((4,), NAN)}
    leaves = {name: value.clone().requires_grad_() for name, value in logits.items()}
    loss = task.task_loss(leaves, nothing)
    loss.backward()
    assert loss == 0
    assert not any(leaf.grad.any() for leaf in leaves.values())


@pytest.mark.parametrize("weights", [None, [0.5, 1.0, 2.0]])
@pytest.mark.parametrize("loss", [None, FocalLoss(2.0)])
def test_soft_labels_of_some_clips_give_the_loss_of_these_clips(loss, weights):
    _, task = made("AudioOnly", "soft", loss=loss)
    task.class_weights = None if weights is None else torch.tensor(weights)
    scores, shares = torch.randn(5, 3), torch.rand(5, 3).softmax(1)
    holed = shares.clone()
    holed[[0, 3]] = NAN
    kept = [1, 2, 4]
    torch.testing.assert_close(task.task_loss(scores, holed), task.task_loss(scores[kept], shares[kept]))
    if loss is None:
        weighted = -(shares * scores.log_softmax(1) * (1 if weights is None else torch.tensor(weights)))
        torch.testing.assert_close(task.task_loss(scores, shares), weighted.sum() / 5)


@pytest.mark.parametrize("kind", ["mse", "mae", "ccc"])
def test_errors_of_values_are_their_formulas_over_the_labels_there_are(kind):
    said, true = torch.randn(6).requires_grad_(), torch.tensor([0.3, NAN, -1.0, 2.0, NAN, 0.1])
    known = ~true.isnan()
    p, t = said[known].detach().double(), true[known].double()
    covariance, spread = ((p - p.mean()) * (t - t.mean())).mean(), p.var(correction=0) + t.var(correction=0)
    expected = {
        "mse": ((p - t) ** 2).mean(),
        "mae": (p - t).abs().mean(),
        "ccc": 1 - 2 * covariance / (spread + (p.mean() - t.mean()) ** 2),
    }[kind]
    loss = value_error(said, true, kind)
    loss.backward()
    torch.testing.assert_close(loss.detach().double(), expected, atol=1e-5, rtol=1e-5)
    assert said.grad.isfinite().all()
    assert not said.grad[~known].any()
    lone = value_error(said[:1], true[:1], kind)
    assert lone.isfinite()
    nothing = value_error(said, torch.full((6,), NAN), kind)
    assert nothing == 0


@pytest.mark.parametrize("value_loss", ["mse", "mae", "ccc"])
def test_values_are_learned_with_every_loss(value_loss, tmp_path):
    data, task = made("AudioOnly", "values", value_loss=value_loss)
    task.optimizer_factory = lambda groups: torch.optim.Adam(groups, lr=0.01)
    data.inputs["audio"] += ((data.valence.nan_to_num(40.0) - 40) / 10)[:, None, None]  # something to learn
    runner = trainer(tmp_path, 8)
    runner.fit(task, datamodule=data)
    train = runner.validate(task, data.train_dataloader(), verbose=False)[0]
    assert train["val_ccc_valence"] > 0.4


def test_a_checkpoint_keeps_the_unit_and_a_resumed_run_is_equal(tmp_path):
    whole, halves = tmp_path / "whole", tmp_path / "halves"
    found = {}
    for folder, epochs in ((whole, [4]), (halves, [2, 4])):
        for upto in epochs:
            data, task = made("AudioOnly", "both")
            pl.seed_everything(1, verbose=False)
            last = folder / "checkpoints" / "last.ckpt"
            runner = trainer(folder, upto)
            runner.fit(task, datamodule=data, ckpt_path=str(last) if last.exists() else None)
            runner.save_checkpoint(last)
        found[folder] = task.state_dict()
    assert all(torch.equal(value, found[halves][name]) for name, value in found[whole].items())
    content = torch.load(whole / "checkpoints" / "last.ckpt", weights_only=True)
    assert content["state_dict"]["value_means"].tolist() == pytest.approx(
        [float(np.nanmean(data.train_values["valence"]))]
    )
    assert content["OwnClips"]["outputs"] == data.outputs
    # Data of other clips have another mean; what the checkpoint says stays in the unit that it was trained in.
    other = MODELS["AudioOnly"][1](**{**linked(data), "value_scales": {"valence": [0.0, 1.0]}})
    other.load_state_dict(content["state_dict"])
    batch = data.clips(np.arange(24)).__getitems__([0, 1])
    assert torch.equal(other.eval()(batch)["logits"]["valence"], task.eval()(batch)["logits"]["valence"])


def test_a_model_without_values_has_no_buffers_of_them():
    for kind in ("classes", "soft"):
        _, task = made("AudioOnly", kind)
        assert not [name for name in task.state_dict() if name.startswith("value")]


@pytest.mark.parametrize("kind", ["values", "both"])
def test_models_over_class_probabilities_refuse_values_in_one_line(kind):
    data = OwnClips(kind, CLIP)
    for cls, options in (
        (LateFusion, {}),
        (StaticAverage, {"encoders": encoders()}),
        (WeightedLateFusion, {"encoders": encoders()}),
        (StaticEmotion, {}),
    ):
        with pytest.raises(TaskError, match=f"{cls.__name__} cannot learn valence.*; take another model") as refused:
            cls(input_shapes={**DIALOGUE, **CLIP, **FACE}, **options, **linked(data))
        assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tasks": {"emotion": 3, "valence": 0}, "num_classes": 3}, "3 outputs are not one per class"),
        ({"task_weights": {"age": 1.0}}, "names age; the data has emotion, valence"),
        ({"task_weights": {"valence": -1.0}}, r"task_weights.valence -1.0: a number that is at least 0"),
        ({"task_weights": {"valence": NAN}}, "a number that is at least 0"),
        ({"tasks": None, "num_classes": 3, "task_weights": {"valence": 1.0}}, "one task alone, which needs no weight"),
    ],
)
def test_impossible_tasks_are_refused(options, message):
    shapes, make = MODELS["AudioOnly"]
    with pytest.raises(TaskError, match=message):
        make(**{**linked(OwnClips("both", shapes)), **options})


def test_the_selection_is_the_mean_over_tasks_of_those_that_are_labelled():
    _, task = made("AudioOnly", "both", select_by="uar")
    assert task.selection_score({"uar": 0.5, "accuracy": 0.9, "ccc_valence": 0.1}) == pytest.approx(0.3)
    assert task.selection_score({"ccc_valence": 0.1}) == pytest.approx(0.1)
    _, task = made("AudioOnly", "values")
    assert task.selection_score({"ccc_valence": -0.2, "ccc_arousal": 0.6}) == pytest.approx(0.2)


def test_values_alone_have_no_ties_that_a_loss_would_break(tmp_path):
    data, task = made("AudioOnly", "values")
    found = trainer(tmp_path).validate(task, datamodule=data, verbose=False)[0]
    assert found["val_score"] == pytest.approx((found["val_ccc_valence"] + found["val_ccc_arousal"]) / 2, abs=1e-6)


def test_metrics_of_values_are_those_of_their_formulas_in_any_unit():
    generator = np.random.default_rng(0)
    for scale in (1e-4, 1.0, 1e4):
        true = generator.normal(5, 1, 40) * scale
        said = true + generator.normal(0.5, 1, 40) * scale
        found = value_metrics(torch.tensor(said), torch.tensor(true))
        assert found["mae"] == pytest.approx(np.abs(said - true).mean())
        assert found["rmse"] == pytest.approx(np.sqrt(((said - true) ** 2).mean()))
        assert found["pearson"] == pytest.approx(np.corrcoef(said, true)[0, 1])
        covariance = np.cov(said, true)
        concordance = 2 * covariance[0, 1] / (covariance[0, 0] + covariance[1, 1] + (said.mean() - true.mean()) ** 2)
        assert found["ccc"] == pytest.approx(concordance, rel=0.02)  # torchmetrics mixes both kinds of variance


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("same", ["prediction", "label"])
def test_a_constant_is_no_agreement_and_no_nan(same):
    values, constant = torch.tensor([0.1, 0.4, 0.9]), torch.full((3,), 0.1)
    said, true = (constant, values) if same == "prediction" else (values, constant)
    found = value_metrics(said, true)
    assert found["pearson"] == found["ccc"] == 0
    table = PredictionTable(["a", "b", "c"], ["s"] * 3, {"valence": said}, {"valence": true})
    assert not math.isnan(sum(table_metrics(table).values()))


def test_a_constant_is_said(tmp_path, capsys):
    data, task = made("AudioOnly", "values")
    data.arousal[:] = 0.25
    task.requires_grad_(False)
    torch.nn.init.zeros_(task.head.weight)
    task.head.requires_grad_(True)
    task.optimizer_factory = lambda groups: torch.optim.SGD(groups, lr=0.0)
    result = recorded(tmp_path, data, task)
    assert result["selections"]["last"]["ccc_valence"] == 0
    said = capsys.readouterr().out
    assert "every prediction is the same, so that nothing correlates" in said
    assert "every label is the same" in said


def test_what_the_data_say_of_their_outputs():
    shapes = MODELS["AudioOnly"][0]
    data = OwnClips("values", shapes)
    assert data.num_outputs == 2
    assert OwnClips("both", shapes).num_outputs == 4
    assert OwnClips("classes", shapes).num_outputs == 3
    assert OwnClips("classes", shapes).outputs == {"class": {"kind": "classes", "classes": NAMES}}
    data.warn_of_one_class()
    with pytest.raises(DataError, match="class_weighting balanced: there are values alone"):
        _ = OwnClips("values", shapes, class_weighting="balanced").class_weights
    weights = OwnClips("both", shapes, class_weighting="balanced").class_weights
    labels = data.labels if (data := OwnClips("both", shapes)) else None
    counts = np.bincount(data.train_labels[data.train_labels >= 0])
    assert labels is not None
    assert weights == pytest.approx((counts.sum() / 3 / counts).tolist())
    data.valence[:] = NAN
    with pytest.raises(DataError, match="no training clip has a value of valence"):
        _ = data.value_scales


def test_a_checkpoint_of_other_outputs_is_refused():
    shapes = MODELS["AudioOnly"][0]
    one, other = OwnClips("both", shapes), OwnClips("soft and a value", shapes)
    other.load_state_dict({name: value for name, value in one.state_dict().items() if name != "outputs"})
    with pytest.raises(DataError, match="trained with other outputs"):
        other.load_state_dict(one.state_dict())


def test_predict_gives_values_by_task(tmp_path):
    data, task = made("AudioOnly", "both")
    parts = trainer(tmp_path, callbacks=[PredictionWriter()]).predict(task, datamodule=data)
    assert parts[0]["values"]["valence"].shape == (6,)
    assert parts[0]["probabilities"].shape == (6, 3)
    assert "pred_valence" in read(tmp_path, "predictions.csv")[0]


@pytest.mark.parametrize("named", [True, False])
def test_folders_in_ids_are_no_corpora_where_the_data_say_so(named, tmp_path, monkeypatch):
    monkeypatch.setattr(OwnClips, "ids_name_corpora", named)
    data, task = made("AudioOnly", "both")
    data.ids = [f"{'ab'[row % 2]}/{clip}" for row, clip in enumerate(data.ids)]
    found = trainer(tmp_path).validate(task, datamodule=data, verbose=False)[0]
    assert ("val_accuracy_a" in found) == named
    assert "val_ccc_valence" in found
