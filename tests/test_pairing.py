"""experiments/train/pairing.py: what a model reads and what data give, and the one line where they do not fit."""

import importlib
import inspect
from pathlib import Path
from types import SimpleNamespace

import pytest
from test_clip_shapes import grid, talk
from test_clips_data import ALL, write

import cli
from datamodules.base import EmotionDataModule
from datamodules.shapes.clip_grids import ClipWindows
from datamodules.shapes.clip_utterances import ClipUtterances
from datamodules.shapes.clips import ClipsDataModule
from datamodules.shapes.divided import DividedDataModule
from experiments.errors import UsageError
from experiments.settings import class_paths
from experiments.train.pairing import check_pair, subclasses
from lightning_modules.base import EmotionTask
from lightning_modules.baselines.base import FittedOnce
from lightning_modules.cfnsr import CFNSR
from lightning_modules.emotiw.model import EmotiW
from lightning_modules.engagement.fusion import CrossMultiModalEngagement
from lightning_modules.feature_fusion import FeatureFusion
from lightning_modules.gated_fusion.late_fusion import StaticAverage
from lightning_modules.gated_fusion.model import AdaptiveGatedFusion

ROOT = Path(__file__).resolve().parents[1]
UNITS = {"video": {"class_path": "lightning_modules.nn.action_units.ActionUnitNet", "init_args": {"units": 35}}}
JOINTS = {"class_path": "lightning_modules.nn.frame_encoders.KinesicsEmbedding", "init_args": {"source": "joints"}}
BERT = {"class_path": "lightning_modules.nn.dialogue_encoders.BertText"}


def every(base):
    """Every class of a kind in the packages, but those that only others are derived from."""
    found = set()
    for name in class_paths.modules(ROOT):
        found |= {of for of in vars(importlib.import_module(name)).values() if isinstance(of, type)}
    return sorted((of for of in found if issubclass(of, base) and not inspect.isabstract(of)), key=str)


def test_every_model_says_what_it_reads():
    silent = {model for model in every(EmotionTask) if not model.reads(modalities=["face"], audio=BERT)}
    assert silent == {FeatureFusion, *every(FittedOnce)}  # they read whatever there is


def test_every_kind_that_is_read_is_made_of_some_view():
    kinds = {kind for of in subclasses(DividedDataModule) for kind in of.views_of_kinds}
    assert len(kinds) > 8
    for model in every(EmotionTask):
        for kind in model.reads().values():
            assert kind in {*kinds, "facts", "", "window of vectors"}, model


def test_options_say_what_is_read():
    assert CFNSR.reads() == {"video": "clip of pictures", "audio": "MFCCs"}
    assert CFNSR.reads(**UNITS)["video"] == "vector"
    assert EmotiW.reads() == {}
    pair = CrossMultiModalEngagement.reads(modalities=["kinesics", "face"], encoders={"kinesics": JOINTS})
    assert pair == {"kinesics": "window of joints", "face": "window of vectors"}
    dialogue = AdaptiveGatedFusion.reads(modalities=["text", "audio"], encoders={"text": BERT})
    assert dialogue == {"text": "utterances of tokens", "audio": "", "meta": "facts"}
    assert list(StaticAverage.reads()) == ["video", "text", "audio", "meta"]


def test_data_choose_arrays_by_what_a_model_reads(tmp_path):
    root = write(tmp_path, arrays=ALL)
    reads = {"audio": "spectrograms", "video": "whole frames"}
    data = ClipsDataModule(root, reads=reads)
    assert (data.modalities, data.input_kinds) == (["audio", "video"], reads)
    assert data.input_shapes == {"audio": [5, 1, 8, 8], "video": [10, 3, 8, 8]}
    assert ClipsDataModule(root, reads=CFNSR.reads()).input_shapes["video"] == [3, 4, 12, 12]
    named = ClipsDataModule(root, reads=reads, arrays={"video": "video"}, modalities=["video"])
    assert named.input_kinds == {"video": "clip of pictures"}  # what somebody names comes first
    assert ClipsDataModule(root, reads={"words": "tokens"}).input_shapes == {"words": [5]}


def refusal(model, data, **options):
    with pytest.raises(UsageError) as error:
        check_pair(model, model.reads(**options), data)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_a_store_without_what_is_read_names_the_recipes_that_keep_it(tmp_path):
    data = ClipsDataModule(write(tmp_path, arrays=("video", "spec_5")), reads=CFNSR.reads())
    said = refusal(CFNSR, data)
    assert said.startswith("CFNSR reads audio (MFCCs); ClipsDataModule of ")
    assert " gives video (clip of pictures): " in said
    assert said.endswith("name another --data.root, as its source has none")  # it was prepared by `all`
    data.store.manifest["settings"]["recipe"] = "emotiw"
    assert refusal(CFNSR, data).endswith("name the --data.store that `prepare clips --recipe sound|cfnsr|all` makes")
    assert refusal(CFNSR, ClipsDataModule(data.root, modalities=["video"])).endswith("add audio to --data.modalities")


def test_another_shape_of_clips_names_its_data(tmp_path):
    data = ClipsDataModule(write(tmp_path), reads=CrossMultiModalEngagement.reads(modalities=["face"]))
    options = {"modalities": ["face"], "encoders": {"face": {**JOINTS, "init_args": {}}}}
    said = refusal(
        CrossMultiModalEngagement, ClipsDataModule(data.root, reads={"face": "window of pictures"}), **options
    )
    assert (
        "gives nothing of the kind: give --data ClipWindows of what `prepare clips --recipe engagement|all` mak" in said
    )
    assert said.endswith("or leave face out of --model.modalities")
    windows = ClipWindows(grid(tmp_path / "grid"), window=2)
    said = refusal(CFNSR, windows)
    assert said.endswith("give --data ClipsDataModule of what `prepare clips --recipe cfnsr|all` makes")
    utterances = ClipUtterances(talk(tmp_path / "talk", words=False), reads=AdaptiveGatedFusion.reads())
    said = refusal(AdaptiveGatedFusion, utterances, encoders={"text": BERT})
    assert "reads text (utterances of tokens)" in said
    assert said.endswith("or leave text out of --model.modalities")


def test_what_fits_or_is_not_known_passes(tmp_path):
    check_pair(CFNSR, CFNSR.reads(), ClipsDataModule(write(tmp_path), reads=CFNSR.reads()))
    check_pair(EmotiW, {}, ClipsDataModule(str(tmp_path)))
    check_pair(CFNSR, {"video": "", "audio": ""}, ClipsDataModule(str(tmp_path)))
    unknown = SimpleNamespace(input_kinds={})
    assert EmotionDataModule.input_kinds.fget(unknown) == {}
    check_pair(CFNSR, CFNSR.reads(), unknown)


def test_the_command_line_tells_the_data_and_refuses_in_one_line(tmp_path, capsys):
    root = write(tmp_path, arrays=("img_10", "mfcc"))
    command = ["fit", "--config", "experiments/emotiw_audio.yaml", "--data", "ClipsDataModule", "--data.root", root]
    assert cli.main([*command, "--trainer.fast_dev_run", "true"]) == 2
    said = capsys.readouterr().err.strip()
    assert said.startswith("error: EmotiW reads audio (spectrograms); ClipsDataModule of ")
    assert len(said.splitlines()) == 1
