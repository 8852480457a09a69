"""An exported folder: the same answers to the bit, no pickle, and nothing of a stranger's is run."""

import json
import pickle
import shutil
import sys

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from test_predict import clip_of, raw, run, said  # noqa: F401  fixtures

import affectzoo
import cli


@pytest.fixture(scope="module")
def exported(run, tmp_path_factory):  # noqa: F811
    out = tmp_path_factory.mktemp("exported") / "cfnsr"
    assert cli.main(["export", "--ckpt_path", str(run), "--out", str(out)]) == 0
    return out


@pytest.fixture
def copy(exported, tmp_path):
    shutil.copytree(exported, tmp_path / "copy")
    return tmp_path / "copy"


def test_it_answers_as_the_run_does_to_the_bit(exported, run, raw, said):  # noqa: F811
    clip = clip_of(raw, next(iter(said)))
    one, other = affectzoo.load(exported), affectzoo.load(run)
    assert one(clip).probabilities == other(clip).probabilities
    assert np.array_equal(one(clip).attention, other(clip).attention)
    about = {name: value for name, value in other.about.items() if name != "checkpoint"}
    assert {name: value for name, value in one.about.items() if name != "checkpoint"} == about
    assert {path.name for path in exported.iterdir()} == {
        "README.md", "config.json", "model.safetensors", "preprocessing.json"
    }  # fmt: skip


def test_the_card_tells_score_and_limits(exported):
    card = (exported / "README.md").read_text()
    for part in ("SYNTHETIC", "UAR", "## Confusion matrix", "Intended use and limits", "CC BY-NC-SA", "arxiv.org"):
        assert part in card


def test_it_is_exported_once_and_again_from_itself(exported, tmp_path, capsys):
    assert cli.main(["export", "--ckpt_path", str(exported), "--out", str(exported)]) == 2
    assert "is there already" in capsys.readouterr().err
    assert cli.main(["export", "--ckpt_path", str(exported), "--out", str(tmp_path / "again")]) == 0
    assert (tmp_path / "again" / "model.safetensors").read_bytes() == (exported / "model.safetensors").read_bytes()


def edit(folder, name, change):
    """Changes a file of a folder, whose checksums then hold again, as a stranger would have them."""
    import hashlib

    content = json.loads((folder / name).read_text())
    change(content)
    (folder / name).write_text(json.dumps(content))
    config = json.loads((folder / "config.json").read_text())
    for file in ("model.safetensors", "preprocessing.json"):
        config["sha256"][file] = hashlib.sha256((folder / file).read_bytes()).hexdigest()
    (folder / "config.json").write_text(json.dumps(config))


def weights(folder, change):
    from safetensors.torch import load_file

    state = load_file(folder / "model.safetensors")
    change(state)
    save_file(state, folder / "model.safetensors")
    edit(folder, "config.json", lambda content: None)


def set_view(content, **options):
    content["prepared_by"]["views"]["video"].update(options)


STRANGE = {
    "canary": lambda at: edit(at, "config.json", lambda c: c.update({"class": "canary.Net"})),
    "torch.nn.functional.relu": lambda at: edit(
        at, "config.json", lambda c: c["arguments"]["video"].update(class_path="torch.nn.functional.relu")
    ),
    "is damaged (no class": lambda at: edit(at, "config.json", lambda c: c.update({"class": ["x"]})),
    "none of the views": lambda at: edit(at, "preprocessing.json", lambda c: set_view(c, view="../../canary")),
    "far more than all its weights": lambda at: edit(
        at, "config.json", lambda c: c["arguments"]["video"]["init_args"].update(width=2**22)
    ),
    "holds NaN": lambda at: weights(at, lambda state: state["head.bias"].fill_(float("nan"))),
    "differs in shape": lambda at: weights(at, lambda state: state.update({"head.bias": torch.zeros(2)})),
    "not as it was exported": lambda at: (at / "model.safetensors").write_bytes(pickle.dumps({})),
    "model.safetensors is missing": lambda at: (at / "model.safetensors").unlink(),
    "nested more than": lambda at: (at / "preprocessing.json").write_text("[" * 500 + "]" * 500) and rehash(at),
}


def rehash(folder):
    edit(folder, "config.json", lambda content: None)


@pytest.mark.parametrize("told", STRANGE)
def test_a_strangers_folder_is_refused_in_one_line(told, copy, capsys, tmp_path, monkeypatch, raw):  # noqa: F811
    (tmp_path / "canary.py").write_text("raise SystemExit('imported')\n")
    monkeypatch.syspath_prepend(tmp_path)
    STRANGE[told](copy)
    assert cli.main(["predict", "--ckpt_path", str(copy), "--clips", str(raw), "--out", str(tmp_path / "out")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert told in line
    assert str(copy) in line
    assert "canary" not in sys.modules
