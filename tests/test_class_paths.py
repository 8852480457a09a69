"""What a stranger's YAML, table, sweep or checkpoint names is refused before it is imported, or called."""

import importlib
import json
import re
import sys
from pathlib import Path
from typing import Any

import jsonargparse
import pytest
import torch
import yaml
from torch import nn

import cli
from datamodules.errors import DataError
from experiments.reproduce.plan import Planner, Selection
from experiments.reproduce.tables.table_file import read_table
from experiments.results.cell import state, write_json
from experiments.results.needs import recorded_request, request_hash
from experiments.results.request import request_from_command
from experiments.settings import class_paths
from experiments.settings.config import PROJECT
from experiments.train import sweep
from experiments.train.command import build
from lightning_modules.errors import TaskError
from lightning_modules.nn.encoders import load_weights, timm_backbone
from lightning_modules.nn.networks.transformers_networks import transformers_network
from lightning_modules.nn.sentence_encoder import source_folder

NAME = "a_strangers_module"
AUDIO = ["--config", str(PROJECT / "experiments/ravdess_audio.yaml")]


@pytest.fixture
def canary(tmp_path, monkeypatch):
    """A file that is written when the stranger's module, which Python would find, is imported."""
    path = tmp_path / "was_imported"
    (tmp_path / f"{NAME}.py").write_text(
        f"open({str(path)!r}, 'w').close()\nfrom torch.optim import Adam\n"
        "from lightning_modules.ravdess_rivals import AudioOnly\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, NAME, raising=False)
    yield path
    sys.modules.pop(NAME, None)


def refused(capsys, canary, *arguments):
    """The one line that a command is refused with."""
    code = cli.main(list(arguments))
    error = capsys.readouterr().err
    assert code == 2, error
    assert not canary.exists()
    lines = [line for line in error.splitlines() if line]
    assert len(lines) == 1, error
    return lines[0]


PLACES = {
    "model": NAME + ".ConcatFC",
    "data": NAME + ".Data",
    "trainer.callbacks": [NAME + ".Callback"],
    "trainer.callbacks+": [{"class_path": NAME + ".Callback", "init_args": {"a": 1}}],
    "trainer.logger": NAME + ".Logger",
    "trainer.logger+": [{"class_path": NAME + ".Logger"}],
    "trainer.plugins": [NAME + ".Plugin"],
    "trainer.plugins+": NAME + ".Plugin",
    "trainer.strategy": NAME + ".Strategy",
    "trainer.accelerator": NAME + ".Accelerator",
    "trainer.profiler": {"class_path": NAME + ".Profiler"},
    "model.optimizer": NAME + ".Adam",
    "model.init_args.optimizer": {"class_path": NAME + ".Adam", "init_args": {"lr": 0.1}},
    "model.scheduler": NAME + ".Scheduler",
    "model.loss": {"class_path": NAME + ".Loss"},
    "model.init_args.loss": {
        "class_path": "torch.nn.TransformerEncoder",
        "init_args": {"encoder_layer": {"class_path": NAME + ".Layer"}, "num_layers": 1},
    },
}


@pytest.mark.parametrize("option", PLACES)
def test_an_option_names_no_strangers_module(option, canary, capsys):
    value = PLACES[option] if isinstance(PLACES[option], str) else json.dumps(PLACES[option])
    line = refused(capsys, canary, "fit", *AUDIO, f"--{option}={value}")
    assert f"--allow-import {NAME}" in line
    assert f"--{option.split('.')[0]}" in line


@pytest.mark.parametrize("option", PLACES)
def test_a_yaml_names_no_strangers_module(option, canary, capsys, tmp_path):
    content = PLACES[option]
    for key in reversed(option.split(".")):
        content = {key: content}
    if option == "model.init_args.loss" or option.startswith("model."):
        content["model"]["class_path"] = "AudioOnly"
    (tmp_path / "x.yaml").write_text(yaml.safe_dump(content))
    line = refused(capsys, canary, "fit", *AUDIO, "--config", str(tmp_path / "x.yaml"))
    assert f"--allow-import {NAME}" in line


def test_help_names_none_either_and_no_option_names_a_yaml(canary, capsys, tmp_path):
    for words in (["--model.help", NAME + ".ConcatFC"], ["--trainer.callbacks.help", NAME + ".Callback"]):
        assert f"--allow-import {NAME}" in refused(capsys, canary, "fit", *AUDIO, *words)
    (tmp_path / "model.yaml").write_text(f"class_path: {NAME}.ConcatFC\n")
    assert "with --config" in refused(capsys, canary, "fit", *AUDIO, "--model", str(tmp_path / "model.yaml"))


def test_a_wrong_option_of_a_callback_is_told_and_no_package_to_allow(capsys):
    words = ["fit", *AUDIO, "--trainer.callbacks+=CollapseGuard", "--trainer.callbacks.patients=3"]
    assert cli.main(words) == 2
    assert "--trainer.callbacks.patients: there is no such option" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("option", "path"),
    [
        ("model.loss", "os.system"),
        ("model.loss", "torch.hub.load"),
        ("model.loss", "torch.load"),
        ("model.optimizer", "torch.hub.load"),
        ("model.optimizer", "subprocess.Popen"),
        ("trainer.callbacks+", "builtins.exec"),
        ("model.loss", "lightning_modules.nn.encoders.timm_backbone"),
        ("model.loss", "lightning_modules.nn.encoders.os.system"),
        ("model.loss", "timm.create_model"),
        ("model.loss", "timm.models.create_model"),
        ("model.loss", "torch.nn.Module.register_forward_hook"),
        ("model.loss", "torch.optim.Adam"),  # a class, of another kind
        ("data", "lightning_modules.ravdess_rivals.AudioOnly"),
    ],
)
def test_a_class_path_is_of_a_class_of_the_right_kind(option, path, canary, capsys):
    value = json.dumps({"class_path": path, "init_args": {"name": "resnet18", "model_name": "resnet18"}})
    for words in ([f"--{option}={path}"], [f"--{option}={value}"]):
        line = refused(capsys, canary, "fit", *AUDIO, *words)
        assert f"--{option.split('.')[0]}" in line


def test_what_is_refused_has_not_been_called(canary, capsys, monkeypatch):
    """A function of this project that returns a module would be taken for a class, and called."""
    called = []
    monkeypatch.setattr("timm.create_model", lambda *given, **_: called.append(given))
    value = json.dumps({"class_path": "lightning_modules.nn.encoders.timm_backbone", "init_args": {"name": "resnet18"}})
    line = refused(capsys, canary, "fit", *AUDIO, f"--model.loss={value}")
    assert line == "error: --model.init_args.loss: lightning_modules.nn.encoders.timm_backbone is no class; a class path names a class"  # noqa: E501  # fmt: skip
    assert not called


def test_a_mapping_where_any_value_may_stand_stays_one():
    """No class is asked for there, so that none would be refused."""
    parser = jsonargparse.ArgumentParser(exit_on_error=False)
    parser.add_argument("--x", type=Any)
    with class_paths.guarded([]):
        given = parser.parse_args(['--x={"class_path": "torch.nn.Identity"}'])
        assert not isinstance(parser.instantiate(given).x, nn.Module)


LISTED = {
    "trainer.callbacks+": "lightning.pytorch.callbacks.EarlyStopping",
    "trainer.logger": "lightning.pytorch.loggers.CSVLogger",
    "trainer.plugins+": "lightning.pytorch.plugins.environments.LightningEnvironment",
    "trainer.strategy": "lightning.pytorch.strategies.DDPStrategy",
    "trainer.profiler": "lightning.pytorch.profilers.SimpleProfiler",
    "model.optimizer": "torch.optim.SGD",
    "model.scheduler": "lightning.pytorch.cli.ReduceLROnPlateau",
    "model.loss": "torch.nn.CrossEntropyLoss",
}


@pytest.mark.parametrize("option", LISTED)
def test_listed_libraries_can_be_named(option, capsys):
    value = json.dumps(
        {"class_path": LISTED[option], "init_args": {"save_dir": "x"} if "logger" in option else {"monitor": "val_loss"}
         if LISTED[option].endswith(("Stopping", "Plateau")) else {}}
    )  # fmt: skip
    with pytest.raises(SystemExit) as stop:
        cli.main(["fit", *AUDIO, f"--{option}={value}", "--print_config"])
    assert stop.value.code == 0
    assert LISTED[option].rpartition(".")[2] in capsys.readouterr().out


@pytest.fixture(scope="module")
def checkpoint(ravdess, tmp_path_factory):
    """The checkpoint of one epoch."""
    folder = tmp_path_factory.mktemp("audio")
    options = ["--data.root", str(ravdess), "--trainer.max_epochs", "1", "--trainer.default_root_dir", str(folder)]
    assert cli.main(["fit", *AUDIO, *options, "--model.loss=FocalLoss"]) == 0
    return folder / "checkpoints" / "best.ckpt"


def changed(checkpoint, target, arguments):
    content = torch.load(checkpoint, weights_only=True)
    content["hyper_parameters"] |= arguments
    torch.save(content, target)
    return target


NESTED = {
    "optimizer": {"optimizer": {"class_path": NAME + ".Adam", "init_args": {"lr": 0.1}}},
    "optimizer by name": {"optimizer": NAME + ".Adam"},
    "scheduler": {"scheduler": {"class_path": NAME + ".Scheduler"}},
    "loss": {"loss": {"class_path": NAME + ".Loss"}},
    "loss by name": {"loss": NAME + ".Loss"},
    "loss's own": {
        "loss": {
            "class_path": "torch.nn.TransformerEncoder",
            "init_args": {"encoder_layer": {"class_path": NAME + ".Layer"}, "num_layers": 1},
        }
    },
    "function": {
        "loss": {"class_path": "lightning_modules.nn.encoders.timm_backbone", "init_args": {"name": "resnet18"}}
    },
}


@pytest.mark.parametrize("command", ["fit", "validate", "test", "predict"])
def test_the_model_of_a_checkpoint_is_the_one_that_the_settings_ask_for(command, checkpoint, canary, capsys, tmp_path):
    path = changed(checkpoint, tmp_path / "x.ckpt", {"_class_path": NAME + ".AudioOnly"})
    line = refused(capsys, canary, command, *AUDIO, "--ckpt_path", str(path))
    assert str(path) in line
    assert f"{NAME}.AudioOnly" in line


@pytest.mark.parametrize("place", NESTED)
@pytest.mark.parametrize("command", ["fit", "test"])
def test_nothing_in_a_checkpoint_names_a_strangers_module(place, command, checkpoint, canary, capsys, tmp_path):
    path = changed(checkpoint, tmp_path / "x.ckpt", NESTED[place])
    line = refused(capsys, canary, command, *AUDIO, "--ckpt_path", str(path))
    assert NAME in line or "timm_backbone is no class" in line
    assert str(path) in line or place == "function"


def test_what_lightning_would_import_is_passed_over(checkpoint, canary, ravdess, tmp_path):
    path = changed(checkpoint, tmp_path / "x.ckpt", {"_instantiator": NAME + ".make"})
    content = torch.load(path, weights_only=True)
    data = {"_class_path": NAME + ".Data", "_instantiator": NAME + ".make"}
    content |= {"datamodule_hyper_parameters": data, "hparams_type": NAME + ".Type", "hparams_name": NAME + ".name"}
    content["callbacks"] |= {NAME + ".Callback": {"state": 1}, f"{NAME}.Callback{{'a': 1}}": {}}
    torch.save(content, path)
    assert cli.main(["test", *AUDIO, "--ckpt_path", str(path), "--data.root", str(ravdess)]) == 0
    module = nn.Linear(2, 2)
    named = {"_class_path": NAME + ".Net", "_instantiator": NAME + ".make"}
    torch.save({"state_dict": module.state_dict(), "hyper_parameters": named}, path)
    load_weights(module, path)
    assert not canary.exists()


def test_a_checkpoint_from_before_a_move_loads(checkpoint, ravdess, tmp_path, capsys):
    moved = {
        "_class_path": "lightning_modules.as_it_was.AudioOnly",
        "loss": {"class_path": "lightning_modules.old_losses.FocalLoss", "init_args": {"gamma": 1.0}},
    }
    path = changed(checkpoint, tmp_path / "x.ckpt", moved)
    assert cli.main(["test", *AUDIO, "--ckpt_path", str(path), "--data.root", str(ravdess)]) == 0
    path = changed(checkpoint, path, {"_class_path": "lightning_modules.as_it_was.NoSuchModel"})
    assert cli.main(["test", *AUDIO, "--ckpt_path", str(path), "--data.root", str(ravdess)]) == 2
    assert "NoSuchModel" in capsys.readouterr().err


OLD = {  # as YAML, options, requests and checkpoints had them when these modules lay elsewhere
    "model": "lightning_modules.as_it_was.AudioOnly",
    "model.loss": "lightning_modules.old_losses.FocalLoss",
    "trainer.callbacks+": "callbacks.before.Warmup",
    "data": "datamodules.once.RAVDESSDataModule",
}


def as_parsed(capsys, *words):
    """The settings that a command line comes to."""
    with pytest.raises(SystemExit) as stop:
        cli.main(["fit", *AUDIO, *words, "--print_config"])
    assert stop.value.code == 0
    return yaml.safe_load(capsys.readouterr().out)


@pytest.mark.parametrize("option", OLD)
def test_options_and_yaml_from_before_a_move_name_the_same_classes(option, capsys, tmp_path):
    bare = as_parsed(capsys, f"--{option}={OLD[option].rpartition('.')[2]}")
    assert as_parsed(capsys, f"--{option}={OLD[option]}") == bare
    value = json.dumps({"class_path": OLD[option]})
    assert as_parsed(capsys, f"--{option}={value}") == bare
    content = [{"class_path": OLD[option]}] if option.endswith("+") else {"class_path": OLD[option]}
    for key in reversed(option.split(".")):
        content = {key: content}
    (tmp_path / "x.yaml").write_text(yaml.safe_dump(content))
    assert as_parsed(capsys, "--config", str(tmp_path / "x.yaml")) == bare


def test_a_class_that_is_nowhere_is_told_under_the_name_that_was_given(capsys):
    assert cli.main(["fit", *AUDIO, "--model=lightning_modules.as_it_was.NoSuchModel"]) == 2
    error = capsys.readouterr().err
    assert "lightning_modules.as_it_was.NoSuchModel" in error
    assert len(error.splitlines()) == 1


@pytest.mark.parametrize("option", OLD)
def test_a_request_is_the_same_whatever_module_a_class_is_in(option):
    def asked(path):
        return request_from_command([*AUDIO, f"--{option}={path}"], corpus="ravdess", data="d")

    path = OLD[option]
    name = path.rpartition(".")[2]
    assert asked(path) == asked(name)
    assert request_hash(asked(path)) != request_hash(asked("My" + name))
    assert asked(f"my_models.{name}") != asked(name)  # a user's class of the same name is another one


def test_a_run_from_before_a_move_counts_as_done_and_a_half_done_one_is_carried_on(tmp_path, monkeypatch):
    wanted = request_from_command([*AUDIO, f"--model.loss={OLD['model.loss']}"], corpus="ravdess", data="d")
    old = json.loads(json.dumps(wanted).replace('"FocalLoss"', f'"{OLD["model.loss"]}"'))
    other = {**old, "seed": 7}
    assert request_hash(old) != request_hash(wanted)
    for name, request, found in (("same", old, "done"), ("other", other, "changed")):
        run = tmp_path / name
        (run / "checkpoints").mkdir(parents=True)
        (run / "checkpoints" / "last.ckpt").touch()
        write_json(run / "request.json", request)
        assert state(run, wanted) == ("partial" if found == "done" else "changed")
        write_json(run / "result.json", {"request_hash": request_hash(request)})
        assert state(run, wanted) == found
    assert request_hash(recorded_request(tmp_path / "same")) == request_hash(wanted)


def test_a_run_carries_on_from_the_settings_that_it_wrote_before_a_move(checkpoint, ravdess, tmp_path, capsys):
    """`config.yaml` holds the full path of every class."""
    text = (checkpoint.parents[1] / "config.yaml").read_text()
    old = re.sub(r"class_path: (lightning_modules|datamodules|callbacks)\.[\w.]*\.", r"class_path: \1.as_it_was.", text)
    assert old.count("as_it_was") > 5
    (tmp_path / "config.yaml").write_text(old)
    words = ["--data.root", str(ravdess), "--trainer.default_root_dir", str(tmp_path / "again")]
    assert cli.main(["test", "--config", str(tmp_path / "config.yaml"), "--ckpt_path", str(checkpoint), *words]) == 0


def test_names_that_a_class_path_can_have_are_unique():
    """Whatever descends from a class of a library may be named somewhere."""
    libraries = {name.partition(".")[0] for name in class_paths.LIBRARIES}
    found = {}
    for module in class_paths.modules(PROJECT):
        for name, kind in vars(importlib.import_module(module)).items():
            above = [base.__module__.partition(".")[0] for base in getattr(kind, "__mro__", ())]
            if getattr(kind, "__module__", "") == module and libraries.intersection(above):
                found.setdefault(name, []).append(module)
    assert len(found) > 50
    assert {name: modules for name, modules in found.items() if len(modules) > 1} == {}


@pytest.fixture
def own_model(tmp_path, monkeypatch):
    """A user's own model beside the run."""
    (tmp_path / "my_models.py").write_text(
        "from lightning_modules.ravdess_rivals import AudioOnly\n\n\nclass MyNet(AudioOnly):\n    '''Its own.'''\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield tmp_path
    sys.modules.pop("my_models", None)


def test_a_users_own_model(own_model, ravdess, capsys):
    Path("mine.yaml").write_text("model: {class_path: my_models.MyNet}\n")
    words = [*AUDIO, "--config", "mine.yaml", "--data.root", str(ravdess)]
    run = ["--trainer.max_epochs", "1", "--trainer.default_root_dir", "run"]
    assert cli.main(["fit", *words, *run]) == 2
    assert "--allow-import my_models" in capsys.readouterr().err
    assert cli.main(["fit", "--allow-import", "my_models", *words, *run]) == 0
    for name in ("request.json", "config.yaml"):
        text = Path("run", name).read_text()
        assert "MyNet" in text
        assert "allow" not in text
    path = Path("run/checkpoints/best.ckpt")
    assert b"allow_import" not in path.read_bytes()
    assert b"allow-import" not in path.read_bytes()
    # the same run, however it is started
    assert cli.main(["fit", *words, *run, "--allow-import=my_models"]) == 0
    assert "holds the finished run" in capsys.readouterr().out
    # the same, as evaluations under missing modalities build it
    built = build(["fit", "--allow-import", "my_models", *words])
    assert type(built.model).__name__ == "MyNet"
    assert built.trainer.state.fn is None  # nothing was run
    test = ["test", *words, "--ckpt_path", str(path)]
    assert cli.main(test) == 2
    assert cli.main([*test, "--allow-import", "my_models"]) == 0


def test_packages_that_are_allowed_are_handed_on_to_cells_and_to_nothing_else():
    table = read_table("ravdess_features", synthetic=True)
    bare, allowed = (Planner(table, Path("runs"), allowed=names) for names in ([], ["my_models", "mine.more"]))
    selection = Selection(rows=["audio"])
    before, after = bare.jobs(selection)[0], allowed.jobs(selection)[0]
    assert after.command == ["fit", "--allow-import", "my_models", "--allow-import", "mine.more", *before.command[1:]]
    assert request_hash(after.request) == request_hash(before.request)
    assert class_paths.split(after.command) == (["my_models", "mine.more"], before.command)


def test_reproduce_takes_the_option_and_says_it(own_model, capsys):
    words = ["reproduce", "ravdess_features", "--data", "synthetic", "--dry-run", "--rows", "audio"]
    assert cli.main([*words, "--allow-import", "my_models"]) == 0
    assert "fit --allow-import my_models --config" in capsys.readouterr().out
    assert cli.main([*words, "--allow-import", "my models"]) == 2
    assert "--allow-import my models: expected the name of a package" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--allow-import"], "expected the name of a package"),
        (["--allow-import", "--data.fold", "1"], "expected the name of a package"),
        (["--allow-import=my-models"], "--allow-import my-models: expected the name of a package"),
        (["--allow-import", "nowhere_to_be_found"], "ModuleNotFoundError"),
    ],
)
def test_an_allowed_package_that_is_none(words, said, capsys):
    assert cli.main(["fit", *AUDIO, *words]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert len(error.splitlines()) == 1


def test_a_yaml_cannot_allow_itself(canary, capsys, tmp_path):
    for key in ("allow-import", "allow_import"):
        (tmp_path / "x.yaml").write_text(f"{key}: {NAME}\nmodel: {NAME}.ConcatFC\n")
        refused(capsys, canary, "fit", *AUDIO, "--config", str(tmp_path / "x.yaml"))


def test_the_guard_is_gone_afterwards(capsys):
    before = dict(jsonargparse._common.parsing_settings)
    assert cli.main(["fit", *AUDIO, "--model=os.path"]) == 2
    assert jsonargparse._common.parsing_settings == before


TABLE = """
title: T
source: S
corpus: daisee
rows: [{{name: a, label: A, experiment: engagement_face, overrides: {overrides}}}]
synthetic: {synthetic}
"""


@pytest.mark.parametrize(
    ("overrides", "synthetic"),
    [
        ("{}", "{prepare: {detector: 'a_strangers_module:Adam'}}"),
        ("{}", "{prepare: {daisee: {'detector=a_strangers_module:Adam': 1}}}"),
        ("{}", "{prepare: {views.people.detector: 'a_strangers_module:Adam'}}"),
        ("{}", "{prepare: {daisee: {views.people.detector: 'a_strangers_module:Adam'}}}"),
        ("{}", "{prepare: {daisee: {views.people: {detector: 'a_strangers_module:Adam'}}}}"),
        ("{}", "{prepare: {views.people: '{detector: a_strangers_module:Adam}'}}"),
        ("{}", "{synth: {out: elsewhere}}"),
        ("{}", "{prepare: {source: elsewhere}}"),
        ("{allow-import: a_strangers_module}", "{}"),
        ("{config: other.yaml}", "{}"),
        ("{'model.loss=x --allow-import': a_strangers_module}", "{}"),
        ("{trainer.default_root_dir: elsewhere}", "{}"),
        ("{trainer: {default_root_dir: elsewhere}}", "{}"),
        ("{overwrite: true}", "{}"),
        ("{ckpt_path: other.ckpt}", "{}"),
        ("{model.init_from.encoder: other.ckpt}", "{}"),
        ("{seed_everything: 3}", "{}"),
        ("{data.fold: 3}", "{}"),
        ("{data: {class_path: DAiSEE, init_args: {protocol: paper}}}", "{}"),
    ],
)
def test_a_table_gives_settings_alone(overrides, synthetic, tmp_path, canary, capsys):
    path = tmp_path / "t.yaml"
    path.write_text(TABLE.format(overrides=overrides, synthetic=synthetic))
    line = refused(capsys, canary, "reproduce", str(path), "--data", "synthetic", "--dry-run")
    assert "t.yaml: " in line


@pytest.mark.parametrize("part", [
    "title: {one}", "folds: [{one}]", "seeds: {one}", "rows: [{one}]", "rows: [{{name: a, label: A, needs: {one}}}]",
    "rows: [{{name: a, label: A, experiment: e, published: {{provenance: reported, accuracy: {one}}}}}]",
    "missing: {one}", "missing: {{rates: [{one}]}}", "vary: {{option: {one}, values: [], label: L, rows: [a]}}",
])  # fmt: skip
def test_nothing_that_a_table_names_is_imported(part, tmp_path, canary, capsys):
    path = tmp_path / "t.yaml"
    head = yaml.safe_load(TABLE.format(overrides="{}", synthetic="{}"))
    path.write_text(json.dumps(head | yaml.safe_load(part.format(one=f"{{class_path: {NAME}.Adam}}"))))
    assert "t.yaml: " in refused(capsys, canary, "reproduce", str(path), "--dry-run")


@pytest.mark.parametrize("value", [f"{{class_path: {NAME}.Adam}}", f"{NAME}.Adam", "'1e-3'", "'null'", "'[1]'"])
def test_settings_of_a_table_are_what_it_says(value, tmp_path, canary):
    path = tmp_path / "t.yaml"
    vary = f"vary: {{option: model.loss, values: [{value}], label: L, rows: [a]}}"
    for text in (TABLE.format(overrides=f"{{model.loss: {value}}}", synthetic="{}"),
                 TABLE.format(overrides="{}", synthetic="{}") + vary):  # fmt: skip
        path.write_text(text)
        assert read_table(str(path)).rows[0].overrides == {"model.loss": yaml.safe_load(value)}
    assert not canary.exists()


def test_a_value_of_a_table_is_no_option(tmp_path):
    path = tmp_path / "t.yaml"
    path.write_text(TABLE.format(overrides="{model.loss: '--allow-import=a_strangers_module'}", synthetic="{}"))
    command = Planner(read_table(str(path)), tmp_path).jobs(Selection())[0].command
    assert class_paths.split(command) == ([], command)
    path.write_text(TABLE.format(overrides="{}", synthetic="{prepare: {views.people.face_size: '--detector=x:y'}}"))
    from experiments.reproduce.command import _options

    assert _options(read_table(str(path), synthetic=True), "prepare", "daisee") == [
        "--views.people.face_size=--detector=x:y"
    ]


@pytest.mark.parametrize("prepare", ["{size: 64}", "{ravdess: {size: 64}}"])
def test_an_old_option_of_prepare_in_a_table_is_told_its_successor(prepare, tmp_path, capsys, canary):
    path = tmp_path / "t.yaml"
    text = TABLE.format(overrides="{}", synthetic=f"{{prepare: {prepare}}}")
    path.write_text(text.replace("corpus: daisee", "corpus: ravdess"))
    line = refused(capsys, canary, "reproduce", str(path), "--data", "synthetic", "--dry-run")
    assert "t.yaml: synthetic: prepare: --size is called --views.video.size now" in line


@pytest.mark.parametrize(
    "changes",
    [
        {"program": "evil.py"},
        {"program": None},
        {"command": ["rm", "-rf", "."]},
        {"command": ["${env}", "python", "-c", "print(1)"]},
        {"command": ["${env}", "${interpreter}", "${program}", "prepare", "daisee"]},
        {"command": ["${env}", "${interpreter}", "${program}", "fit", "--allow-import", NAME]},
        {"command": ["${env}", "${interpreter}", "${program}", "fit", f"--allow-import={NAME}"]},
        {"parameters": {"allow-import": {"value": NAME}}},
    ],
)
def test_a_sweep_runs_training_commands_alone(changes):
    path = PROJECT / "experiments" / "sweeps" / "cfnsr.yaml"
    content = yaml.safe_load(path.read_text())
    sweep._check(content, path)
    with pytest.raises(DataError, match=r"cfnsr\.yaml"):
        sweep._check({**content, **changes}, path)


def test_a_package_of_weights_is_looked_for_and_not_imported(canary, tmp_path):
    from datamodules.reading import tokens

    (tmp_path / "stranger").mkdir()
    (tmp_path / "stranger" / "__init__.py").write_text(f"open({str(canary)!r}, 'w').close()\n")
    (tmp_path / "stranger" / "inner").mkdir()
    (tmp_path / "stranger" / "inner" / "__init__.py").touch()
    with pytest.raises(TaskError, match=r"package:stranger\.inner/model"):
        source_folder("package:stranger.inner/model")
    with pytest.raises(DataError, match=r"package:stranger\.inner/model"):
        tokens.source_folder("package:stranger.inner/model")
    assert not canary.exists()
    assert tokens.source_folder("package:stranger/inner") == tmp_path / "stranger" / "inner"


def test_options_of_an_encoder_name_no_file_and_no_code(tmp_path):
    for options in ({"checkpoint_path": str(tmp_path / "x.pth")}, {"pretrained": True},
                    {"pretrained_cfg_overlay": {"file": "x.pth"}}):  # fmt: skip
        with pytest.raises(TaskError, match="`weights`"):
            timm_backbone("resnet18", **options)
    with pytest.raises(TaskError, match="code from the hub"):
        transformers_network("bert", {"attn_implementation": "stranger/kernel"})
