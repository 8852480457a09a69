"""Every experiment's model as an ONNX file: onnxruntime says what torch says, at any size, whatever is missing."""

import json
import sys

import numpy as np
import onnxruntime
import pytest
import torch
from conftest import official
from test_experiments import EXPERIMENTS
from test_predict import clip_of, raw, run, said  # noqa: F401  fixtures

import affectzoo
import cli
from datamodules.asked import stretches
from experiments.errors import UsageError
from experiments.predict import onnx
from experiments.predict.loaded.clips import entry_of
from experiments.train.command import build
from lightning_modules.baselines.base import FittedOnce
from lightning_modules.feature_fusion import FeatureFusion
from lightning_modules.nn.encoders import fill, read_weights
from lightning_modules.nn.fusion import CompactBilinearPooling

QUICK = ("ravdess_audio", "engagement_kinesics", "features")  # the others take seconds each, to minutes of their data
NONE = "baseline_majority"  # reads nothing


def session_of(path):
    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])


def flat(batch):
    """A batch of contract 1 by the names of a graph."""
    found = {f"{part}_{name}": of for part in onnx.PARTS for name, of in batch.get(part, {}).items()}
    return found | {name: of for name, of in batch.items() if isinstance(of, torch.Tensor)}


def built(name, options, trained):
    """An experiment's model with weights, and its data."""
    protocol = "honest"
    made = build(["fit", *options(name), *([] if official(name) else ["--data.protocol", protocol])])
    torch.manual_seed(0)
    task = made.model.eval()
    if isinstance(task, FittedOnce):
        fill(task, read_weights(trained(name, protocol)), name)
    for module in task.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):  # not as they start, where they do nothing
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
    return task, made.datamodule


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in EXPERIMENTS]
)
def test_every_experiment_is_exported(name, options, trained, tmp_path, record_property):
    task, data = built(name, options, trained)
    path = tmp_path / onnx.NAME
    if name == NONE:
        with pytest.raises(UsageError, match="Majority reads no input"):
            onnx.write(task, task.hparams, path)
        return
    told = onnx.write(task, task.hparams, path)
    record_property("largest_difference", told["largest_difference"])
    assert 0 <= told["largest_difference"] <= (5e-4 if name == "ravdess_erann" else 1e-5)
    assert all(of["shape"][0] == "batch" for of in told["inputs"].values())
    assert all(of[0] == "batch" for of in told["outputs"].values())
    batch = next(iter(data.test_dataloader()))  # what the data hand over has every input
    batch = data.on_after_batch_transfer(batch, 0)
    given = flat(batch)
    for of in set(told["inputs"]) - set(given):  # where data mark no steps all count
        assert of.startswith(("seen_", "length_"))
        shape = [len(batch["id"]), *told["inputs"][of]["shape"][1:]]
        given[of] = torch.ones(shape, dtype=torch.bool) if of.startswith("seen_") else torch.full(shape, 1000)
    session = session_of(path)
    found = session.run(list(told["outputs"]), {of: given[of].numpy() for of in told["inputs"]})
    with torch.inference_mode():
        said = onnx.named(task(batch))
    for of, values in zip(told["outputs"], found, strict=True):
        scale = np.maximum(1, np.abs(said[of].numpy()))
        assert np.abs((values - said[of].numpy()) / scale).max() <= (5e-4 if name == "ravdess_erann" else 1e-5)


def test_a_raw_clip_is_answered_by_onnxruntime_as_by_torch(run, raw, said, tmp_path, capsys):  # noqa: F811
    """Views, and what preprocessing.json tells of their numbers; no torch in what is computed."""
    out = tmp_path / "cfnsr"
    assert cli.main(["export", "--ckpt_path", str(run), "--out", str(out), "--format", "onnx"]) == 0
    told = json.loads((out / "config.json").read_text())
    assert told["onnx"]["largest_difference"] <= 1e-5
    assert told["sha256"].keys() == {"model.safetensors", "preprocessing.json", "model.onnx"}
    clip = clip_of(raw, next(iter(said)))
    model = affectzoo.load(out)
    entry, _ = entry_of({"file": clip}, "0", model.reader)
    data = model.reader.read([entry], list(model.reader.prepare([entry])))
    batch = {name: of.numpy() for name, of in flat(stretches(data)[0].__getitems__([0])).items()}
    pixels = json.loads((out / "preprocessing.json").read_text())["facts"]["video"]
    shown = (batch["video"] / 255 - pixels["mean"]) / pixels["std"]
    batch["video"] = shown.transpose(0, 4, 1, 2, 3).astype(np.float32)
    session = session_of(out / onnx.NAME)
    (logits,) = session.run(["logits"], {of.name: batch[of.name] for of in session.get_inputs()})
    shares = np.exp(logits[0]) / np.exp(logits[0]).sum()
    answer = model(clip)
    assert dict(zip(model.classes, shares, strict=True)) == pytest.approx(answer.probabilities, abs=1e-5)


def test_a_file_that_says_something_else_is_refused(tmp_path):
    class Wrong(FeatureFusion):
        def forward(self, batch):
            output = super().forward(batch)
            return {**output, "logits": output["logits"] + 1e-3 * torch.compiler.is_exporting()}

    task = Wrong(3, {"video": [4]}).eval()
    with pytest.raises(UsageError, match=r"Wrong: the file's logits of 1 clips differ by 1\.0e-03") as caught:
        onnx.write(task, {}, tmp_path / onnx.NAME)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_the_sketches_of_the_papers_size_are_convolved_as_exactly(tmp_path):
    """In single precision onnxruntime's FFT of 16,000 is off by 1e-3 where the root is taken."""
    pooling, path = CompactBilinearPooling(2048, 1664, dim=16000), tmp_path / onnx.NAME
    torch.manual_seed(0)
    vectors = torch.randn(2, 2048).relu(), torch.randn(2, 1664).relu()
    program = torch.export.export(pooling, vectors, strict=True)
    torch.onnx.export(program, dynamo=True, verbose=False).save(path)
    session = session_of(path)
    given = dict(zip([of.name for of in session.get_inputs()], [of.numpy() for of in vectors], strict=True))
    np.testing.assert_allclose(session.run(None, given)[0], pooling(*vectors), rtol=0, atol=1e-5)


def test_what_has_no_graph_is_named_with_its_line(tmp_path):
    class Counted(FeatureFusion):
        def forward(self, batch):
            if batch["video"].sum() > 0:
                batch = {**batch, "video": -batch["video"]}
            return super().forward(batch)

    task = Counted(3, {"video": [4]}).eval()
    with pytest.raises(UsageError, match="Counted cannot be exported: ") as caught:
        onnx.write(task, {}, tmp_path / onnx.NAME)
    assert "\n" not in str(caught.value)


def test_without_the_extra_one_line_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(UsageError, match=r"pip install .*\.\[onnx\]"):
        onnx.write(FeatureFusion(3, {"video": [4]}).eval(), {}, tmp_path / onnx.NAME)
