"""What may change without making a new cell: a short list of full paths, and nothing else."""

import importlib
import inspect
import json
from pathlib import Path

import pytest
from fabricated import write
from jsonargparse import ArgumentParser
from lightning.pytorch import Callback, Trainer
from torch import nn

from datamodules.base import EmotionDataModule
from experiments.reproduce.plan import Planner
from experiments.reproduce.tables.committed import read_committed
from experiments.reproduce.tables.table_file import read_table
from experiments.results.needs import request_hash
from experiments.results.request import request_from_command
from experiments.settings import class_paths
from experiments.train.command import import_all
from experiments.train.emotion_cli import EmotionCLI
from lightning_modules.base import EmotionTask

ROOT = Path(__file__).resolve().parents[1]
DATA = {"root", "roots", "store", "num_workers", "cache"}
# Argument -> two values, where two words would not do.
VALUES = {"init_from": ({"a": "x.ckpt"}, {"a": "y.ckpt"}), "fold": (0, 1), "protocol": ("paper", "honest")}
MACHINE = {
    "accelerator", "default_root_dir", "enable_model_summary", "enable_progress_bar", "log_every_n_steps", "logger",
    "profiler",
}  # fmt: skip


def classes(package, base):
    """Every class of a package that is a `base`, and that settings may name."""
    modules = [importlib.import_module(name) for name in class_paths.modules(ROOT) if name.startswith(f"{package}.")]
    own = {value for module in modules for value in vars(module).values() if inspect.isclass(value)}
    named = [c for c in own if issubclass(c, base) and c.__module__.startswith(package) and c.__name__[0] != "_"]
    return sorted(named, key=lambda c: c.__name__)


def arguments(kind):
    """Every argument that the parser knows of a class, those handed on by ``**kwargs`` included."""
    names = ArgumentParser(exit_on_error=False).add_class_arguments(kind, "x", fail_untyped=False)
    return [name.partition(".")[2] for name in names]


@pytest.fixture
def unseen(tmp_path):
    """Which arguments of something make no new cell, wherever it is written."""
    write(tmp_path / "experiments" / "_trainer.yaml", "trainer: {max_epochs: 1}\n")

    def hashed(options):
        words = [word for key, value in options.items() for word in (f"--{key}", json.dumps(value))]
        return request_hash(request_from_command(words, corpus="toy", project=tmp_path, data="d"))

    def find(names, options):
        pairs = {name: VALUES.get(name, ("one", "two")) for name in names}
        return {name for name, values in pairs.items() if len({hashed(options(name, value)) for value in values}) == 1}

    return find


@pytest.mark.parametrize("kind", classes("lightning_modules", EmotionTask), ids=lambda kind: kind.__name__)
def test_every_argument_of_a_model_makes_a_new_cell(unseen, kind):
    names = arguments(kind)
    assert {"num_classes", "init_from"} <= set(names)
    assert unseen(names, lambda name, value: {"model": kind.__name__, f"model.{name}": value}) == set()


@pytest.mark.parametrize("kind", classes("datamodules", EmotionDataModule), ids=lambda kind: kind.__name__)
def test_every_argument_of_data_makes_a_new_cell_but_where_they_are(unseen, kind):
    names = arguments(kind)
    assert {"fold", "protocol", "batch_size"} <= set(names)
    found = unseen(names, lambda name, value: {"data": {"class_path": kind.__name__, "init_args": {name: value}}})
    assert found == DATA & set(names)


@pytest.mark.parametrize("kind", classes("callbacks", Callback), ids=lambda kind: kind.__name__)
def test_every_argument_of_a_callback_makes_a_new_cell_but_of_one_that_watches(unseen, kind):
    names = arguments(kind)
    watches = set(names) if getattr(kind, "only_watches", False) else set()
    for path in (kind.__name__, f"{kind.__module__}.{kind.__name__}"):
        found = unseen(
            names, lambda n, v, path=path: {"trainer.callbacks": [{"class_path": path, "init_args": {n: v}}]}
        )
        assert found == watches
    assert (
        unseen(names, lambda name, value: {"trainer.callbacks+": kind.__name__, f"trainer.callbacks.{name}": value})
        == watches
    )


def test_some_callbacks_watch_and_some_do_not():
    watch = [getattr(kind, "only_watches", False) for kind in classes("callbacks", Callback)]
    assert 0 < sum(watch) < len(watch)


def test_every_argument_of_the_trainer_makes_a_new_cell_but_for_the_machine_and_who_is_told(unseen):
    names = list(inspect.signature(Trainer.__init__).parameters)[1:]
    assert unseen(names, lambda name, value: {f"trainer.{name}": value}) == MACHINE


def test_every_argument_of_a_part_of_a_model_makes_a_new_cell(unseen):
    """A name that is left out of the data or the trainer counts as an argument of what a model is made of."""
    names = {name for kind in classes("lightning_modules", nn.Module) for name in arguments(kind)}
    names |= (
        DATA
        | MACHINE
        | {
            "devices",
            "num_nodes",
            "config",
            "ckpt_path",
            "verbose",
            "dirpath",
            "save_dir",
            "overwrite",
            "seed_everything",
        }
    )
    assert {"config", "pooling"} <= names
    assert unseen(names, lambda name, value: {"model": {"class_path": "M", name: value}}) == set()
    part = {"class_path": "BertText"}
    assert unseen(names, lambda name, value: {"model.text": {**part, "init_args": {name: value}}}) == set()
    assert unseen(names, lambda name, value: {"model.optimizer": {**part, "init_args": {name: value}}}) == set()
    assert unseen(names, lambda name, value: {"model.parts": [{**part, "init_args": {name: value}}]}) == set()
    assert unseen(names, lambda name, value: {"data.augment": {**part, "init_args": {name: value}}}) == set()


def test_a_strangers_callback_of_a_watchers_name_counts(unseen):
    own = {"class_path": "mine.History"}
    assert unseen(["x"], lambda name, value: {"trainer.callbacks": [{**own, "init_args": {name: value}}]}) == set()
    checkpoint = {"class_path": "lightning.pytorch.callbacks.ModelCheckpoint"}
    names = ["dirpath", "verbose", "monitor", "filename", "mode", "every_n_epochs"]
    found = unseen(names, lambda n, v: {"trainer.callbacks": [{**checkpoint, "init_args": {n: v}}]})
    assert found == {"dirpath", "verbose"}


@pytest.mark.parametrize("name", sorted(folder.name for folder in (ROOT / "docs" / "results").iterdir()))
def test_committed_cells_are_what_their_settings_ask_for(name):
    table = read_table(name)
    cells = read_committed(table, ROOT / "docs" / "results")
    assert len(cells) == {"cfnsr": 12, "empathetic_text": 10, "ravdess_features": 810}.get(name, len(cells)) > 0
    assert Planner(table, Path("runs")).outdated(cells) == []


class Parsed(Exception):
    """What was parsed."""


class Parsing(EmotionCLI):
    """Stops after parsing."""

    def instantiate_classes(self):
        raise Parsed(self.config)


@pytest.mark.parametrize(("options", "missing", "size", "lr", "added"), [
    (["--config", "x.yaml"], {"video": 0.3}, 8, 0.5, []),
    (["--data.batch_size", "4", "--config", "x.yaml"], {"video": 0.3}, 8, 0.5, []),
    (["--config", "x.yaml", "--data.batch_size", "4"], {"video": 0.3}, 4, 0.5, []),
    (["--config", "x.yaml", "--data.missing", "{audio: 0.5}"], {"audio": 0.5}, 8, 0.5, []),
    (["--config", "x.yaml", "--data.missing.audio", "0.5"], {"video": 0.3, "audio": 0.5}, 8, 0.5, []),
    (["--config", "x.yaml", "--config", "y.yaml"], {"audio": 0.5}, 8, 0.5, []),
    (["--config", "x.yaml", "--model.optimizer", "torch.optim.SGD"], {"video": 0.3}, 8, 0.5, []),
    (["--config", "x.yaml", "--model.optimizer.lr", "0.25"], {"video": 0.3}, 8, 0.25, []),
    (["--config", "x.yaml", "--trainer.callbacks+=Warmup", "--trainer.callbacks.steps", "5",
      "--trainer.callbacks+={class_path: DiscriminativeLR, init_args: {factor: 0.5}}"],
     {"video": 0.3}, 8, 0.5, [("Warmup", {"steps": 5}), ("DiscriminativeLR", {"factor": 0.5})]),
])  # fmt: skip
def test_the_request_is_what_the_parser_makes(tmp_path, monkeypatch, options, missing, size, lr, added):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "x.yaml", """
        model: {init_args: {optimizer: {init_args: {lr: 0.5}}}}
        data: {init_args: {batch_size: 8, missing: {video: 0.3}}}
        """)  # fmt: skip
    write(tmp_path / "y.yaml", "data: {init_args: {missing: {audio: 0.5}}}")
    command = ["--config", str(ROOT / "experiments" / "ravdess_audio.yaml"), *options]
    import_all()
    with pytest.raises(Parsed) as stopped:
        Parsing(["fit", *command])
    parsed = stopped.value.args[0].fit
    asked = request_from_command(command, corpus="ravdess", project=ROOT)["settings"]
    assert parsed.data.init_args.missing == asked["data"]["init_args"]["missing"] == missing
    assert parsed.data.init_args.batch_size == asked["data"]["init_args"]["batch_size"] == size
    assert parsed.model.init_args.optimizer.init_args.lr == lr
    assert asked["model"]["init_args"]["optimizer"]["init_args"]["lr"] == lr
    assert [(c["class_path"], c["init_args"]) for c in asked["trainer"]["callbacks"][3:]] == added
    for callback, (name, given) in zip(parsed.trainer.callbacks[8:], added, strict=True):
        assert callback.class_path.rpartition(".")[2] == name
        assert {key: callback.init_args[key] for key in given} == given
