import json
from pathlib import Path

import pytest
from fabricated import make_project, write

from experiments.reproduce.plan import Planner, Selection
from experiments.reproduce.tables.table_file import read_table
from experiments.results.cell import run_directory
from experiments.results.needs import request_hash, resolve_checkpoints
from experiments.results.request import difference, make_request, read_config, request_from_command

PLACE = {"fold": 0, "seed": 1, "protocol": "paper", "data": "d", "split": "s", "needs": {}}
EXPERIMENT = """
trainer: {max_epochs: 70, callbacks+: [{class_path: Warmup, init_args: {steps: 100}}]}
model: {class_path: Pair, init_args: {lr: 1e-3}}
data: {class_path: Toy, init_args: {root: data/toy, batch_size: 16, fold: 0}}
"""


@pytest.fixture
def files(tmp_path):
    write(tmp_path / "_trainer.yaml", "trainer: {devices: 1, callbacks: [History]}\n")
    write(tmp_path / "pair.yaml", EXPERIMENT)
    return [tmp_path / "_trainer.yaml", tmp_path / "pair.yaml"]


def hashed(files, overrides=None, **place):
    return request_hash(make_request(read_config(files, overrides), **{**PLACE, **place}))


def test_comments_and_layout_do_not_matter(files):
    before = hashed(files)
    text = files[1].read_text().replace("lr: 1e-3", "lr: 0.0010")
    files[1].write_text(f"# a comment\n\n{text}\n# another\n")
    assert hashed(files) == before


@pytest.mark.parametrize("override", [
    {"trainer.devices": [3]}, {"trainer.devices": "0,"}, {"trainer.num_nodes": 1}, {"trainer.accelerator": "gpu"},
    {"trainer.logger+": {"class_path": "WandbLogger"}},
    {"trainer.default_root_dir": "elsewhere"}, {"data.root": "other/place"}, {"data.num_workers": 8},
    {"data.init_args.root": "other"}, {"trainer.callbacks+": "AttentionPlot"}, {"overwrite": True},
    {"trainer.enable_progress_bar": False}, {"model.init_from": {"video": "runs/x/checkpoints/best.ckpt"}},
])  # fmt: skip
def test_p14_places_devices_and_loggers_make_no_new_cell(files, override):
    assert hashed(files, override) == hashed(files)


@pytest.mark.parametrize("override", [
    {"model.lr": 2e-3}, {"data.batch_size": 8}, {"trainer.max_epochs": 71}, {"model": "Other"},
    {"trainer.callbacks+": {"class_path": "GradualUnfreezing"}}, {"trainer.precision": "bf16-mixed"},
    {"data.missing": {"audio": 0.3}}, {"trainer.callbacks": []},
    {"trainer.devices": 4}, {"trainer.devices": [0, 1]}, {"trainer.devices": "auto"}, {"trainer.num_nodes": 2},
])  # fmt: skip
def test_p14_settings_that_count_make_a_new_cell(files, override):
    assert hashed(files, override) != hashed(files)


@pytest.mark.parametrize("place", [
    {"fold": 1}, {"seed": 2}, {"protocol": "honest"}, {"data": "other"}, {"split": "other"}, {"needs": {"video": "h"}},
])  # fmt: skip
def test_place_data_split_and_needs_make_a_new_cell(files, place):
    assert hashed(files, **place) != hashed(files)


def test_trainer_file_and_overlay_count(files, tmp_path):
    before = hashed(files)
    write(tmp_path / "overlay.yaml", "model: {init_args: {lr: 1e-2}}\n")
    assert hashed([*files, tmp_path / "overlay.yaml"]) != before
    files[0].write_text("trainer: {gradient_clip_val: 1.0, callbacks: [History]}\n")
    assert hashed(files) != before


def test_a_command_line_asks_for_the_same_however_it_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(make_project(tmp_path))
    ways = [
        ["--config", "experiments/pair.yaml", "--data.fold", "2", "--seed_everything", "3", "--model.width=64"],
        ["--seed_everything=3", "--config=experiments/pair.yaml", "--data.init_args.fold=2",
         "--model.init_args.width", "64", "--trainer.devices", "[2]", "--data.protocol", "paper"],
    ]  # fmt: skip
    first, second = (request_from_command(way, corpus="toy", project=Path()) for way in ways)
    assert first == second
    assert (first["fold"], first["seed"], first["protocol"], first["data"]) == (2, 3, "paper", "f" * 64)
    assert request_from_command(ways[0][:-1], corpus="toy", project=Path()) != first


def test_later_files_win_over_earlier_options(tmp_path):
    write(tmp_path / "a.yaml", "model: {class_path: M, init_args: {lr: 1.0}}\n")
    config = read_config([tmp_path / "a.yaml"], {"model.lr": 2.0, "data.batch_size": 4})
    assert config == {"model": {"class_path": "M", "init_args": {"lr": 2.0}}, "data": {"init_args": {"batch_size": 4}}}


@pytest.mark.parametrize(("one", "other"), [
    (["--data.batch_size", "8", "--config", "x.yaml"], ["--config", "x.yaml", "--data.batch_size", "8"]),
    (["--config", "x.yaml", "--data.missing", "{audio: 0.5}"], ["--config", "x.yaml", "--data.missing.audio", "0.5"]),
    (["--config", "x.yaml", "--config", "y.yaml"], ["--config", "x.yaml", "--data.missing.audio", "0.5"]),
    (["--trainer.callbacks+=Warmup", "--trainer.callbacks+=Other"], ["--trainer.callbacks+=Other"]),
    (["--config", "x.yaml", "--model.optimizer", "SGD"], ["--config", "z.yaml", "--model.optimizer", "SGD"]),
])  # fmt: skip
def test_command_lines_that_ask_for_different_things_differ(tmp_path, monkeypatch, one, other):
    """What the parser makes of each pair is different, as `test_the_request_is_what_the_parser_makes` has it."""
    monkeypatch.chdir(make_project(tmp_path))
    write(tmp_path / "x.yaml", """
        data: {class_path: D, init_args: {batch_size: 16, missing: {video: 0.3}}}
        model: {class_path: M, init_args: {optimizer: {class_path: Adam, init_args: {lr: 0.1}}}}
        """)  # fmt: skip
    write(tmp_path / "y.yaml", "data: {init_args: {missing: {audio: 0.5}}}")
    write(tmp_path / "z.yaml", (tmp_path / "x.yaml").read_text().replace("lr: 0.1", "lr: 0.2"))
    requests = [request_from_command(way, corpus="toy", project=Path()) for way in (one, other)]
    assert requests[0] != requests[1]


def test_a_cell_without_arguments_of_its_own_is_what_its_command_asks_for(tmp_path, monkeypatch):
    """What a runner adds (fold, protocol, checkpoints) leaves nothing behind in the request."""
    monkeypatch.chdir(make_project(tmp_path))
    write(tmp_path / "experiments" / "pair.yaml", "model: Pair\ndata: {class_path: Toy}\n")
    table = tmp_path / "experiments" / "tables" / "toy.yaml"
    table.write_text(table.read_text().replace("overrides: {model.init_args.width: 64}", "overrides: {}"))
    planner = Planner(read_table("toy", project=Path()), Path("runs"), Path())
    (job,) = planner.jobs(Selection(rows=["pair"], folds=[0], seeds=[1], protocols=["paper"]))[-1:]
    asked = request_from_command(job.command[1:], corpus="toy", project=Path())
    assert {**asked, "needs": {}} == {**job.request, "needs": {}}


def test_an_option_of_a_list_goes_to_its_last_class(files):
    whole = {"trainer.callbacks+": {"class_path": "Warmup", "init_args": {"steps": 5}}}
    parts = {"trainer.callbacks+": "Warmup", "trainer.callbacks.steps": 5}
    assert hashed(files, whole) == hashed(files, parts) != hashed(files, {**parts, "trainer.callbacks.steps": 6})


def test_a_checkpoint_of_a_cell_counts_by_its_request(tmp_path, monkeypatch):
    monkeypatch.chdir(make_project(tmp_path))
    command = [
        "--config",
        "experiments/pair.yaml",
        "--model.init_from",
        json.dumps({"video": "cell/checkpoints/best.ckpt"}),
    ]
    write(tmp_path / "cell" / "request.json", json.dumps({"a": 1}))
    request = request_from_command(command, corpus="toy", project=Path())
    assert request["needs"] == {"video": request_hash({"a": 1})}


@pytest.fixture
def asked(tmp_path, monkeypatch):
    monkeypatch.chdir(make_project(tmp_path))

    def ask(*options):
        return request_from_command(["--config", "experiments/pair.yaml", *options], corpus="toy", project=Path())

    return ask


def test_another_checkpoint_of_a_cell_is_another_start(asked, tmp_path):
    write(tmp_path / "cell" / "request.json", json.dumps({"a": 1}))
    for name in ("best", "last", "epoch=3"):
        write(tmp_path / "cell" / "checkpoints" / f"{name}.ckpt", name)
    starts = [f"cell/checkpoints/{name}.ckpt" for name in ("best", "last", "epoch=3")]
    assert len({request_hash(asked("--model.init_from.video", start)) for start in starts}) == 3


def test_a_run_that_carries_on_from_another_runs_checkpoint_is_another_run(asked, tmp_path):
    plain = asked()
    for run, request in (("own", plain), ("other", {**plain, "seed": 9})):
        write(tmp_path / run / "request.json", json.dumps(request))
        write(tmp_path / run / "checkpoints" / "last.ckpt", run)
    write(tmp_path / "loose.ckpt", "loose")
    own, other, loose = ("own/checkpoints/last.ckpt", "other/checkpoints/last.ckpt", "loose.ckpt")
    assert asked("--ckpt_path", own) == plain
    assert len({request_hash(asked(*words)) for words in ((), ("--ckpt_path", other), ("--ckpt_path", loose))}) == 3
    write(tmp_path / "own" / "request.json", json.dumps(begun := asked("--ckpt_path", other)))
    assert asked("--ckpt_path", own) == begun  # as it was begun


def test_a_checkpoint_that_is_not_there_puts_no_secret_into_a_request(asked):
    need = asked("--model.init_from.video", "https://me:hunter2@host.org/best.ckpt")["needs"]["video"]
    assert "hunter2" not in need
    assert need.startswith("https:/host.org/*** (")


def test_a_cell_in_a_checkpoints_path_is_the_runs_own(tmp_path, monkeypatch):
    monkeypatch.chdir(make_project(tmp_path))
    sources = {"video": "runs/v/{cell}/checkpoints/best.ckpt", "audio": "a.ckpt"}
    found = resolve_checkpoints(sources, fold=2, seed=7, protocol="honest")
    assert found == {"video": "runs/v/honest-fold2-seed7/checkpoints/best.ckpt", "audio": "a.ckpt"}
    assert Path(found["video"]).parents[1] == run_directory("v", "honest", 2, 7)
    write(tmp_path / "runs" / "v" / "honest-fold2-seed7" / "request.json", json.dumps({"a": 1}))
    command = ["--config", "experiments/pair.yaml", "--data.fold", "2", "--data.protocol", "honest"]
    command += ["--seed_everything", "7", "--model.init_from", json.dumps(sources)]
    needs = request_from_command(command, corpus="toy", project=Path())["needs"]
    assert needs == {"video": request_hash({"a": 1}), "audio": "a.ckpt"}


def test_the_difference_names_what_changed(files):
    old = make_request(read_config(files), **PLACE)
    new = make_request(read_config(files, {"model.lr": 2e-3, "data.flip": True}), **{**PLACE, "data": "e" * 64})
    old["data"] = "d" * 64
    assert difference(old, new).split("\n") == [
        "data: changed",
        "data.init_args.flip: not set -> true",
        "model.init_args.lr: 0.001 -> 0.002",
    ]
    assert difference(old, old) == ""
    many = difference({}, {f"key{number:02d}": number for number in range(20)})
    assert many.endswith("... and 12 more")


def test_a_whole_mapping_of_checkpoints_replaces_that_of_the_files(tmp_path, monkeypatch):
    """As the parser has it: a row that reads fewer modalities needs fewer cells."""
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "experiments" / "_trainer.yaml", "trainer: {max_epochs: 1}\n")
    write(tmp_path / "x.yaml", "model: {class_path: M, init_args: {init_from: {a: one.ckpt, b: two.ckpt}}}\n")

    def needs(*options):
        return request_from_command(["--config", "x.yaml", *options], corpus="toy", project=tmp_path)["needs"]

    assert needs() == {"a": "one.ckpt", "b": "two.ckpt"}
    assert needs("--model.init_args.init_from", '{"a": "other.ckpt"}') == {"a": "other.ckpt"}
    assert needs("--model.init_from.a", "other.ckpt") == {"a": "other.ckpt", "b": "two.ckpt"}
