"""`fit --init_from`: which weights are taken, what is refused, and that a run that carries on takes none again."""

import json
import re
import shutil
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from test_clips_data import CLASSES_TASK, write
from tiny import TinyData, TinyTask, trainer

import cli
from callbacks.layer_lr import DiscriminativeLR
from callbacks.unfreezing import GradualUnfreezing
from callbacks.warmup import Warmup
from experiments.predict.card import _corpora
from experiments.predict.export import export
from experiments.reproduce.tables.table_options import check_settings
from experiments.results.needs import request_hash
from experiments.results.request import make_request, read_config, request_from_command
from experiments.train import initial
from experiments.train.command import build
from lightning_modules.nn.encoders import read_weights
from tensor_files import save_safetensors

pytestmark = pytest.mark.usefixtures("unrendered")
FIT = ["fit", "--config", "experiments/ravdess_audio.yaml", "--data", "ClipsDataModule", "--data.protocol", "honest"]
EPOCHS = ["--trainer.max_epochs", "1"]


def store(root, classes):
    def louder(clip, arrays):
        mfcc = np.random.default_rng(clip).normal(size=(13, 212)).astype(np.float32)
        mfcc[clip % len(classes)] += 3
        return {"mfcc": mfcc}

    tasks = {"label": {**CLASSES_TASK["label"], "classes": classes}}
    return write(root, ("mfcc",), tasks, label=lambda clip, _: clip % len(classes), change=louder)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    root = tmp_path_factory.mktemp("stores")
    return {str(len(of)) + of[0]: store(root / str(place), of) for place, of in enumerate(
        (["calm", "glad"], ["low", "mid", "high"], ["mid", "low"])
    )}  # fmt: skip


@pytest.fixture(scope="module")
def source(data, tmp_path_factory):
    """A finished run, two classes."""
    folder = tmp_path_factory.mktemp("source") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("callbacks.plots.save", lambda *_: None)
        fit = [*FIT, *EPOCHS, "--data.root", data["2calm"], "--trainer.default_root_dir", str(folder)]
        assert cli.main(fit) == 0
    return folder


def taken(root, path, *more):
    """The model of a run on some data, once it has begun with what a path names, and what was said."""
    made = build([*FIT, "--data.root", root, *more])
    before = {name: of.clone() for name, of in made.model.state_dict().items()}
    made.config["fit"].init_from = str(path)
    told = initial.take(made.model, made.datamodule, made.config["fit"], None)
    made.model.start({})
    return before, made.model.state_dict(), told[0]


def same(ours, theirs, names):
    return all(torch.equal(ours[name], theirs[name]) for name in names)


def test_everything_but_the_head_is_taken_where_classes_are_others(data, source):
    theirs = read_weights(source / "checkpoints" / "best.ckpt")
    before, after, told = taken(data["3low"], source)
    heads = {name for name in after if after[name].shape != theirs[name].shape}
    assert heads == {"head.weight", "head.bias"}
    assert same(after, theirs, after.keys() - heads)
    assert same(after, before, heads)
    assert re.fullmatch(rf"from {re.escape(str(source))}: .* taken \(\d+ tensors\); .*new: .*\(2 -> 3 classes\)", told)


@pytest.mark.parametrize(("synthetic", "stamp", "licences"), [(True, " (SYNTHETIC)", 1), (False, "", 2)])
def test_what_a_run_began_with_says_whether_it_was_a_stand_in(data, source, synthetic, stamp, licences, monkeypatch):
    made, found = build([*FIT, "--data.root", data["3low"]]), initial.open_source(source)
    made.config["fit"].init_from = str(source)
    begun = replace(found, described={**found.described, "corpus": "ravdess", "synthetic": synthetic})
    monkeypatch.setattr(initial, "open_source", lambda _: begun)
    corpus = initial.take(made.model, made.datamodule, made.config["fit"], None)[1]
    assert corpus == f"ravdess{stamp}"
    assert len(_corpora("clips", SimpleNamespace(result={"began_with": corpus}))) == licences


def test_the_head_is_taken_where_classes_are_the_same_and_not_where_as_many_have_other_names(data, source):
    theirs = read_weights(source / "checkpoints" / "best.ckpt")
    _, after, told = taken(data["2calm"], source / "checkpoints" / "last.ckpt")
    assert same(after, read_weights(source / "checkpoints" / "last.ckpt"), after)
    assert "new: nothing else" in told
    before, after, told = taken(data["2mid"], source)
    heads = {name for name in after if not torch.equal(after[name], theirs[name])}
    assert heads
    assert all(after[name].shape[0] == 2 for name in heads)
    assert same(after, before, heads)


def test_another_division_of_one_corpus_is_told(data, source):
    assert "may have" not in taken(data["2calm"], source)[2]
    told = taken(data["2calm"], source, "--data.fold", "1")[2]
    assert "trained on clips too, protocol honest, fold 0: what is held out here may have trained it" in told


@pytest.fixture(scope="module")
def exported(source, tmp_path_factory):
    out = tmp_path_factory.mktemp("exported") / "net"
    assert cli.main(["export", "--ckpt_path", str(source), "--out", str(out)]) == 0
    return out


def test_an_exported_folder_begins_as_its_run_does(data, source, exported):
    of_run, of_export = (taken(data["3low"], path)[1] for path in (source, exported))
    assert len(of_run) > 20
    assert same(of_run, of_export, of_run.keys() - {"head.weight", "head.bias"})  # which are drawn anew


def test_a_run_carries_on_without_beginning_again_and_refuses_another_source(
    data, source, exported, tmp_path, capsys, caplog
):
    mine = tmp_path / "mine"
    shutil.copytree(exported, mine)
    run = tmp_path / "run"
    fit = [*FIT, *EPOCHS, "--data.root", data["3low"], "--trainer.default_root_dir", str(run), "--init_from", str(mine)]
    callbacks = ["GradualUnfreezing", "DiscriminativeLR", "{class_path: Warmup, init_args: {steps: 2}}"]
    fit += [word for one in callbacks for word in ("--trainer.callbacks+", one)]
    assert cli.main(fit) == 0
    assert f"from {mine}: " in caplog.text
    request = json.loads((run / "request.json").read_text())
    assert re.fullmatch("[0-9a-f]{64}", request["needs"]["init_from"])
    assert "init_from" not in request["settings"]
    kept = read_weights(run / "checkpoints" / "last.ckpt")
    frozen = read_weights(mine / "model.safetensors")
    before_head = [
        name for name in kept if name in frozen and not name.startswith("head") and "num_batches" not in name
    ]
    assert before_head
    assert same(kept, frozen, before_head)  # the head alone trains in the first epoch
    scores = (run / "predictions-selected.csv").read_text()
    for name in ("result.json", "predictions-selected.csv"):
        (run / name).unlink()
    caplog.clear()
    assert cli.main(fit) == 0
    assert "carrying on from last.ckpt" in caplog.text
    assert " taken (" not in caplog.text
    assert (run / "predictions-selected.csv").read_text() == scores

    export(run, tmp_path / "tuned")
    tuned = (tmp_path / "tuned" / "README.md").read_text()
    assert "weights of a training on clips (SYNTHETIC), which is fine-tuning" in tuned
    assert "which is fine-tuning" not in (mine / "README.md").read_text()

    (run / "result.json").unlink()
    config = json.loads((mine / "config.json").read_text())
    (mine / "config.json").write_text(json.dumps({**config, "trained": {}}))
    capsys.readouterr()
    assert cli.main(fit) == 2
    assert "needs.init_from: changed" in capsys.readouterr().err
    assert cli.main([*fit, "--ckpt_path", str(run / "checkpoints" / "last.ckpt")]) == 2
    assert "--init_from and --ckpt_path: a run begins with one of them" in capsys.readouterr().err


def test_a_run_that_begins_with_nothing_is_asked_for_as_before(data):
    asked = [*FIT[1:], "--data.root", data["2calm"]]
    plain, none = (request_from_command([*asked, *more], corpus="clips") for more in ([], ["--init_from", "null"]))
    assert request_hash(plain) == request_hash(none)
    assert plain["needs"] == {}


def stranger(folder, change):
    """A checkpoint whose content is changed."""
    path = folder / "best.ckpt"
    content = torch.load(path, weights_only=True)
    change(content)
    torch.save(content, path)
    return path


def emptied(content):
    content["state_dict"] = {"another.weight": torch.zeros(2)}


REFUSED = {
    "nothing in it fits this AudioOnly: it holds another.weight": emptied,
    "holds NaN or infinite values": lambda content: content["state_dict"]["head.bias"].fill_(float("nan")),
    "it holds a VideoOnly, the settings ask for a AudioOnly": lambda content: content["hyper_parameters"].update(
        _class_path="lightning_modules.ravdess_rivals.VideoOnly"
    ),
    "it holds a system, the settings ask": lambda content: content["hyper_parameters"].update(_class_path="os.system"),
}


@pytest.mark.parametrize("told", REFUSED)
def test_what_does_not_fit_is_refused_in_one_line(told, data, source, tmp_path, capsys):
    shutil.copy(source / "checkpoints" / "best.ckpt", tmp_path)
    path = stranger(tmp_path, REFUSED[told])
    fit = [*FIT, *EPOCHS, "--data.root", data["2calm"], "--trainer.default_root_dir", str(tmp_path / "run")]
    assert cli.main([*fit, "--init_from", str(path)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert told in line
    assert str(path) in line
    assert not (tmp_path / "run" / "request.json").exists()


@pytest.mark.parametrize("place", ["nowhere", "."])
def test_a_place_without_weights_is_named(place, data, tmp_path, capsys):
    fit = [*FIT, *EPOCHS, "--data.root", data["2calm"], "--trainer.default_root_dir", str(tmp_path / "run")]
    assert cli.main([*fit, "--init_from", str(tmp_path / place)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"--init_from {tmp_path / place}" in line


def test_a_baseline_has_nothing_to_begin_with(data, tmp_path, capsys):
    content = {"state_dict": {}, "epoch": 0}
    content["hyper_parameters"] = {"_class_path": "lightning_modules.baselines.models.LogisticBaseline"}
    torch.save(content, tmp_path / "best.ckpt")
    fit = ["fit", "--config", "experiments/baseline_logistic.yaml", "--data.modalities", "[audio]"]
    place = ["--data.root", data["2calm"], "--trainer.default_root_dir", str(tmp_path / "run")]
    assert cli.main([*fit, *place, "--init_from", str(tmp_path / "best.ckpt")]) == 2
    assert "a LogisticBaseline is fitted at once" in capsys.readouterr().err


def test_scales_of_values_stay_those_of_the_new_labels(tmp_path):
    one, other = (TinyTask(num_classes=4, tasks={"c": 3, "v": 0}, value_scales={"v": of}) for of in ([2, 3], [5, 6]))
    other.head = torch.nn.Linear(8, 4)
    assert {"value_means", "value_deviations"} <= initial._other_meanings(
        other, initial.Checkpoint(tmp_path, {}, one.state_dict(), {}), TinyData()
    )


def test_what_a_fit_begins_with_composes_with_schedules_and_is_not_laid_over_a_resumed_one(tmp_path):
    theirs, callbacks = TinyTask().state_dict(), (GradualUnfreezing(), DiscriminativeLR(), Warmup(steps=3))
    task = TinyTask()
    task.initial = {name: of.clone() for name, of in theirs.items() if not name.startswith("head")}
    trainer(tmp_path, 1, callbacks).fit(task, datamodule=TinyData())
    assert same(task.state_dict(), theirs, [name for name in task.initial if "bottom" in name])
    assert not same(task.state_dict(), theirs, ["head.weight"])
    trained = {name: of.clone() for name, of in task.state_dict().items()}
    again = TinyTask(optimizer=lambda groups: torch.optim.SGD(groups, lr=0.0))
    again.initial = {name: torch.zeros_like(of) for name, of in theirs.items()}
    path = next((tmp_path / "checkpoints").glob("*.ckpt"))
    trainer(tmp_path / "again", 1, callbacks).fit(again, datamodule=TinyData(), ckpt_path=path)
    assert same(again.state_dict(), trained, ["bottom.0.weight", "head.weight"])


def test_safetensors_alone_say_no_model(tmp_path, data, capsys):
    save_safetensors({"head.bias": torch.zeros(2)}, tmp_path / "model.safetensors")
    fit = [*FIT, *EPOCHS, "--data.root", data["2calm"], "--trainer.default_root_dir", str(tmp_path / "run")]
    assert cli.main([*fit, "--init_from", str(tmp_path / "model.safetensors")]) == 2
    assert "not a whole checkpoint" in capsys.readouterr().err


def test_what_a_stranger_says_of_his_classes_and_words_is_no_traceback(data, source, tmp_path):
    shutil.copy(source / "checkpoints" / "best.ckpt", tmp_path)

    def odd(content):
        content["hyper_parameters"].update(class_names=5, tasks="x")
        described = next(of for of in content.values() if isinstance(of, dict) and "corpus" in of)
        described.update(vocabularies=3, tokenizers=[1], fold={}, protocol=None)

    assert "new: head (0 -> 2 classes)" in taken(data["2calm"], stranger(tmp_path, odd))[2]


def test_a_row_of_a_table_may_begin_with_weights_of_its_own_cell(tmp_path, source):
    cell = tmp_path / "of" / "honest-fold2-seed3"
    shutil.copytree(source, cell)
    overrides = {"init_from": str(tmp_path / "of" / "{cell}")}
    check_settings(overrides, tmp_path / "table.yaml", "row")
    place = {"fold": 2, "seed": 3, "protocol": "honest", "data": "d", "split": "s"}
    config = read_config([], overrides)
    needs = make_request(config, **place, needs={"video": "v"})["needs"]
    assert needs["video"] == "v"
    assert re.fullmatch("[0-9a-f]{64}", needs["init_from"])
    assert make_request(config, **{**place, "seed": 4}, needs={})["needs"]["init_from"].endswith("seed4")
