"""An exported folder: the same answers to the bit, no pickle, and nothing of a stranger's is run."""

import json
import os
import pickle
import shutil
import struct
import sys
import time
import zipfile
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch
from huggingface_hub import ModelCard
from safetensors.torch import save_file
from test_predict import clip_of, raw, run, said  # noqa: F401  fixtures
from transformers import BertConfig, BertModel

import affectzoo
import cli
from experiments.errors import UsageError
from experiments.predict.card import _licence_of
from experiments.predict.export import _whole, export
from lightning_modules.nn.sentence_encoder import SentenceEncoder
from lightning_modules.text_head import TextHead
from tensor_archives import archive_digest


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


def front_matter(folder):
    return ModelCard.load(folder / "README.md").data.to_dict()


def test_the_card_is_one_of_the_hub(exported):
    assert front_matter(exported) == {
        "library_name": "affectzoo",
        "license": "cc-by-nc-sa-4.0",
        "pipeline_tag": "video-classification",
        "tags": ["emotion-recognition", "multimodal", "synthetic"],
    }


def section(folder, title):
    return (folder / "README.md").read_text().split(f"## {title}\n\n")[1].split("\n## ")[0]


def test_the_card_has_the_numbers_of_the_result(exported, run):  # noqa: F811
    result = json.loads((run / "result.json").read_text())
    scores = section(exported, "Score")
    assert "8 test clips of 4 people" in scores
    assert "optimistic" in scores
    (row,) = [line for line in scores.splitlines() if line.startswith("| Accuracy")]
    _, value, interval, baseline = row.strip("| ").split(" | ")
    assert value == f"{100 * result['selections']['best']['accuracy']:.2f} %"
    assert baseline == f"{100 * result['baselines']['accuracy']:.2f} %"
    low, high = (float(of.rstrip(" %")) for of in interval.split(" to "))
    assert low <= float(value.rstrip(" %")) <= high
    rows = [line.strip("|").split("|") for line in section(exported, "Confusion matrix").splitlines() if "|" in line][
        2:
    ]
    assert sum(int(of) for row in rows for of in row[1:]) == result["n_test"]
    training = section(exported, "Training")
    assert f"{result['parameters']['total']:,} parameters" in training
    assert "lr: 0.001" in training
    assert "was kept" in section(exported, "Calibration")


def test_the_card_of_a_real_corpus_lists_its_scores_and_calibration(run, tmp_path):  # noqa: F811
    shutil.copytree(run, tmp_path / "run")
    path = tmp_path / "run" / "checkpoints" / "best.ckpt"
    content = torch.load(path, weights_only=True)
    content["RAVDESSDataModule"]["synthetic"] = False
    torch.save(content, path)
    content = {"checkpoint": archive_digest(path), **CALIBRATION}
    path.with_name("calibration.json").write_text(json.dumps(content))
    assert cli.main(["export", "--ckpt_path", str(tmp_path / "run"), "--out", str(tmp_path / "out"), "--faces"]) == 0
    (listed,) = front_matter(tmp_path / "out")["model-index"]
    (told,) = listed["results"]
    accuracy = json.loads((run / "result.json").read_text())["selections"]["best"]["accuracy"]
    assert {of["type"]: of["value"] for of in told["metrics"]}["accuracy"] == pytest.approx(accuracy)
    assert told["dataset"] == {"name": "ravdess, protocol paper, fold 0", "type": "ravdess"}
    calibration = section(tmp_path / "out", "Calibration")
    for part in ("1.500", "0.1000", "0.0500", "30.0%", "clips that select the epoch"):
        assert part in calibration
    card = (tmp_path / "out" / "README.md").read_text()
    assert "SYNTHETIC" not in card
    pictures = sorted(path.name for path in (run / "plots").glob("*.png"))
    assert "attention.png" in pictures
    assert sorted(path.name for path in (tmp_path / "out").glob("*.png")) == pictures
    assert all(f"![{name}]({name})" in card for name in pictures)


def test_a_card_of_a_stranger_cannot_leave_its_place(copy, tmp_path):
    described(lambda c: c.update(corpus="x: [y] | <b> ../../README"))(copy)
    trained(experiment="../../pyproject")(copy)
    assert cli.main(["export", "--ckpt_path", str(copy), "--out", str(tmp_path / "out")]) == 0
    card = (tmp_path / "out" / "README.md").read_text()
    assert "# CFNSR on x: \\[y\\] \\| \\<b\\>" in card
    assert front_matter(tmp_path / "out")["license"] == "other"
    assert "[project]" not in card


@pytest.mark.parametrize("corpus", cli.corpora("prepare"))
def test_every_corpus_has_a_licence(corpus):
    assert _licence_of(corpus)


class Hub:
    """What stands for the client of the hub: it keeps what is sent."""

    sent: ClassVar[dict] = {}

    def create_repo(self, name, *, private, exist_ok):
        assert private
        assert exist_ok
        return f"https://huggingface.co/{name}"

    def upload_folder(self, *, repo_id, folder_path, delete_patterns, commit_message):
        assert delete_patterns == "*"  # nothing that was there before stays
        found = {path.relative_to(folder_path).as_posix(): path.read_bytes() for path in folder_path.rglob("*")}
        self.sent[repo_id] = found


@pytest.fixture
def hub(monkeypatch):
    """A hub of which one is a member."""
    monkeypatch.setenv("HF_TOKEN", "hf_" + "a" * 34)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.HfApi", Hub)
    monkeypatch.setattr(Hub, "sent", {})
    return Hub


def pushed(source, out, name="somebody/cfnsr"):
    return cli.main(["export", "--ckpt_path", str(source), "--out", str(out), "--push", name])


def test_the_folder_is_pushed_and_nothing_else(hub, exported, tmp_path, capsys):
    assert pushed(exported, tmp_path / "out") == 0
    assert "pushed: https://huggingface.co/somebody/cfnsr" in capsys.readouterr().out
    assert hub.sent == {"somebody/cfnsr": {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}}


@pytest.mark.parametrize(
    ("name", "variable", "told"),
    [
        ("cfnsr", {}, "expected the name of a repository, OWNER/NAME"),
        ("some body/cfnsr", {}, "expected the name of a repository, OWNER/NAME"),
        ("a/b/c", {}, "expected the name of a repository, OWNER/NAME"),
        ("somebody/cfnsr", {"HF_HUB_OFFLINE": "1"}, "HF_HUB_OFFLINE is set"),
        ("somebody/cfnsr", {"HF_TOKEN": ""}, "hf auth login"),
    ],
)
def test_what_cannot_be_pushed_is_not_begun(hub, exported, tmp_path, capsys, monkeypatch, name, variable, told):
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "token"))
    for key, value in variable.items():
        monkeypatch.setenv(key, value)
    assert pushed(exported, tmp_path / "out", name) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert told in line
    assert not (tmp_path / "out").exists()
    assert not hub.sent


def test_a_hub_that_refuses_is_one_line(hub, exported, tmp_path, capsys, monkeypatch):
    def refuse(self, **given):
        raise ConnectionError("401 Client Error.\nInvalid token hf_" + "a" * 34)

    monkeypatch.setattr(Hub, "upload_folder", refuse)
    assert pushed(exported, tmp_path / "out") == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert f"{tmp_path / 'out'} is whole, but could not be pushed" in line
    assert "hf_aaa" not in line


def test_a_model_over_published_weights_is_whole_without_them(tmp_path):
    options = {"vocab_size": 30, "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2,
               "intermediate_size": 16}  # fmt: skip
    BertModel(BertConfig(**options)).save_pretrained(tmp_path / "published")
    encoder = SentenceEncoder(source=str(tmp_path / "published"))
    head = TextHead(3, {"text": [6]}, encoder).eval()
    given = {"class_path": "SentenceEncoder", "init_args": {"source": str(tmp_path / "published")}}
    kept = json.loads(json.dumps(_whole({"encoder": given}, head)))["encoder"]["init_args"]
    assert str(tmp_path) not in json.dumps(kept)
    other = TextHead(3, {"text": [6]}, SentenceEncoder(**kept)).eval()
    other.load_state_dict(head.state_dict())
    batch = {"text": torch.randint(1, 30, (2, 6))}
    assert torch.equal(other(batch)["logits"], head(batch)["logits"])


def test_it_is_exported_once_and_again_from_itself(exported, tmp_path, capsys):
    assert cli.main(["export", "--ckpt_path", str(exported), "--out", str(exported)]) == 2
    assert "is there already" in capsys.readouterr().err
    (tmp_path / "file").write_text("")
    place = tmp_path / "file" / "inside"
    capsys.readouterr()
    assert cli.main(["export", "--ckpt_path", str(exported), "--out", str(place)]) == 2
    told = f"error: --out {place}: Not a directory; name a folder that can be written"
    assert capsys.readouterr().err.splitlines() == [told]
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


def config(change):
    return lambda at: edit(at, "config.json", change)


def arguments(**given):
    return config(lambda content: content["arguments"].update(given))


def shapes(**given):
    return config(lambda content: content["arguments"]["input_shapes"].update(given))


def described(change):
    return lambda at: edit(at, "preprocessing.json", change)


def reading(**given):
    return described(lambda content: content["reading"]["options"].update(given))


def trained(**given):
    return config(lambda content: content["trained"].update(given))


def tensors(change):
    return lambda at: weights(at, change)


def text(name, content):
    def damage(at):
        (at / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        if name != "config.json":
            rehash(at)

    return damage


def again(name, old, new):
    """A file in which a text is replaced."""
    return lambda at: text(name, (at / name).read_text().replace(old, new, 1))(at)


def safetensors(header, values=b""):
    return text("model.safetensors", struct.pack("<Q", len(header)) + header + values)


def linked_out(name):
    """A link to a file elsewhere, whose content is right."""

    def damage(at):
        path = at / name
        (at.parent / name).write_bytes(path.read_bytes())
        path.unlink()
        path.symlink_to(at.parent / name)

    return damage


def instead(name, make):
    """Something else in the place of a file."""

    def damage(at):
        (at / name).unlink()
        make(at / name)

    return damage


class Evil:
    def __reduce__(self):
        return exec, ("raise SystemExit('run')",)


def only_pickled(at):
    (at / "model.safetensors").unlink()
    (at / "pytorch_model.bin").write_bytes(pickle.dumps(Evil()))


def grown(at):
    with (at / "model.safetensors").open("r+b") as file:
        file.truncate(10**12)  # a hole, that takes no room


def one_tensor(shape, end, twice=False):
    entry = f'"x":{{"dtype":"F32","shape":{shape},"data_offsets":[0,{end}]}}'
    return safetensors(f"{{{entry}{',' + entry if twice else ''}}}".encode(), bytes(4))


CALIBRATION = {"temperature": 1.5, "ece": 0.1, "ece_calibrated": 0.05, "threshold": 0.3, "clips": 30, "split": "val"}
HUGE = {"class_path": "ResNeXt3D", "init_args": {"layers": [10**7, 1, 1, 1], "width": 8, "cardinality": 4}}
HUB = {"video": {"class_path": "HFImage", "init_args": {"weights": "somebody/model"}}}
SOURCE = {"encoder": {"class_path": "SentenceEncoder", "init_args": {"source": "/etc"}}}
# What is told of it, by what it is.
ATTACKS = {
    # of config.json
    "a class that is no model": ("its model cannot be built", config(lambda c: c.update({"class": "torch.nn.Linear"}))),
    "a function for a class": ("os.system", config(lambda c: c.update({"class": "os.system"}))),
    "a class of the standard library": ("subprocess.Popen", config(lambda c: c.update({"class": "subprocess.Popen"}))),
    "a path for a class": ("its model cannot be built", config(lambda c: c.update({"class": "../../canary"}))),
    "a base class": ("its model cannot be built", config(lambda c: c.update({"class": "EmotionTask"}))),
    "a foreign class inside": ("canary", config(lambda c: c["arguments"]["video"].update(class_path="canary.Net"))),
    "a network of the hub": ("or give its `config`", arguments(encoders=HUB)),
    "a place on this machine": ("a place on a machine", arguments(**SOURCE)),
    "layers without number": ("far more layers than it has weights", arguments(attention_layers=10**9)),
    "blocks without number": ("far more layers than it has weights", arguments(video=HUGE)),
    "classes without number": ("need as many different names", arguments(num_classes=10**9)),
    "names without number": ("more than 200,000 values", arguments(class_names=list(map(str, range(10**6))))),
    "a name that moves the cursor": ("control character", arguments(class_names=["\x1b[2J", *"1234567"])),
    "a huge input": ("no shapes of a clip", shapes(audio=[13, 10**10])),
    "an input of no size": ("no shapes of a clip", shapes(audio=[-1])),
    "inputs that are none": ("no shapes of a clip", arguments(input_shapes="x")),
    "another input": ("the model reads", shapes(text=[5])),
    "an unknown argument": ("strange", arguments(strange=1)),
    "arguments in a list": ("no arguments", config(lambda c: c.update(arguments=[]))),
    "no checksums": ("not as it was exported", again("config.json", '"model.safetensors": ', '"x": ')),
    "a wrong checksum": ("not as it was exported", again("config.json", 'tensors": "', 'tensors": "0')),
    "another schema": ("no schema 1", config(lambda c: c.update(schema=2))),
    "a name twice": ("'class' comes twice", again("config.json", '"schema": 1,', '"schema": 1, "class": "x",')),
    "deep JSON": ("nested more than", text("config.json", '{"a":' * 5000 + "1" + "}" * 5000)),
    "a number too long": ("digits", text("config.json", '{"a":' + "9" * 5000 + "}")),
    "NaN": ("NaN is no number", again("config.json", '"head_dropout": 0.4', '"head_dropout": NaN')),
    "no JSON": ("is damaged", text("config.json", b"\xff\xfe{")),
    "a list": ("an object belongs", text("config.json", "[]")),
    "large JSON": ("more than the", text("config.json", '{"class": "' + "a" * (1 << 26) + '"}')),
    "a pipe": ("no run's folder", instead("config.json", os.mkfifo)),
    "a device": ("no run's folder", instead("config.json", lambda path: path.symlink_to("/dev/zero"))),
    "a link out": ("config.json is a link out of its folder", linked_out("config.json")),
    # of model.safetensors
    "weights that link out": ("model.safetensors is a link out of its folder", linked_out("model.safetensors")),
    "weights from a device": ("is missing", instead("model.safetensors", lambda path: path.symlink_to("/dev/zero"))),
    "weights from a pipe": ("is missing", instead("model.safetensors", os.mkfifo)),
    "a folder of weights": ("is missing", instead("model.safetensors", lambda path: path.mkdir())),
    "a terabyte": ("1,000,000,000,000 bytes", grown),
    "pickled weights": ("model.safetensors is missing", only_pickled),
    "a pickle by another name": ("no safetensors file", text("model.safetensors", pickle.dumps(Evil()))),
    "nothing": ("no safetensors file", text("model.safetensors", b"")),
    "a header of any size": ("no safetensors file", text("model.safetensors", struct.pack("<Q", 2**62) + b"{}")),
    "a tensor that is not there": ("no safetensors file", one_tensor([10**6, 10**6], 4 * 10**12)),
    "a tensor of few bytes": ("no safetensors file", one_tensor([10**6, 10**6], 4)),
    "a shape beyond 64 bits": ("no safetensors file", one_tensor([2**63, 2], 4)),
    "a tensor twice": ("it lacks", one_tensor([1], 4, twice=True)),
    "a tensor besides": ("has besides", tensors(lambda state: state.update({"../../x": torch.zeros(3)}))),
    "a tensor less": ("lacks head.bias", tensors(lambda state: state.pop("head.bias"))),
    "whole numbers": ("torch.int64", tensors(lambda state: state.update({"head.bias": torch.zeros(8).long()}))),
    "truth values": ("torch.bool", tensors(lambda state: state.update({"head.bias": torch.zeros(8) > 0}))),
    "complex numbers": ("no plain tensor", tensors(lambda state: state.update({"head.bias": torch.zeros(8) * 1j}))),
    "infinite weights": ("NaN or infinite", tensors(lambda state: state["head.bias"].fill_(float("inf")))),
    # of preprocessing.json
    "a module for a view": ("none of the views", described(lambda c: set_view(c, view="canary"))),
    "a function for a reader": ("how a raw file", described(lambda c: c["reading"].update(data="os.system"))),
    "a reader that is none": ("how a raw file", described(lambda c: c["reading"].update(data=["x"]))),
    "no reading": ("how a raw file", described(lambda c: c.pop("reading"))),
    "options that are none": ("no options", described(lambda c: c["reading"].update(options="abc"))),
    "a folder of data": ("a place on a machine", reading(root="/etc")),
    "a file of splits": ("a place on a machine", reading(splits="/etc/passwd")),
    "an unknown option": ("strange", reading(strange=1)),
    "an option of another kind": ("frames", reading(frames="x")),
    "pictures without end": ("image_size 1000000: from 0 to 4096", reading(image_size=10**6)),
    "a view without end": ("from 8 to 4096", described(lambda c: set_view(c, size=10**9))),
    "modalities that are none": ("modalities", reading(modalities=[1])),
    "other modalities": ("it makes video, canary", reading(modalities=["video", "canary"])),
    "arrays that are none": ("arrays", reading(arrays={"video": 5})),
    "statistics that are none": ("statistics are damaged", reading(statistics={"audio": [[["x"]], [[1]]]})),
    "statistics of one number": ("statistics are damaged", reading(statistics={"audio": [1]})),
    "a deviation of 0": ("statistics are damaged", reading(statistics={"audio": [[[0.0] * 13], [[0.0] * 13]]})),
    "no views": ("by what recipe", described(lambda c: c["prepared_by"].update(views=[]))),
    "facts that are none": ("facts is of another kind", described(lambda c: c.update(facts=5))),
    "vocabularies that are none": ("vocabularies are", described(lambda c: c.update(vocabularies={"age": [1]}))),
    "outputs that are none": ("outputs is of another kind", described(lambda c: c.update(outputs=[1]))),
    "an output that is none": (
        "outputs, x is of", described(lambda c: c.update(outputs={"x": {"kind": "value", "range": "ab"}}))
    ),
    "tokenizers that are none": ("tokenizers is of another kind", described(lambda c: c.update(tokenizers=5))),
    "a corpus that is none": ("corpus is of another kind", described(lambda c: c.update(corpus={"x": 1}))),
    "a corpus of two lines": ("control character", described(lambda c: c.update(corpus="x\n# y"))),
    "standardised speakers": ("TRANSDUCTIVE", described(lambda c: c.update(normalize="speaker"))),
    "a stand-in or not": ("synthetic is of another kind", described(lambda c: c.update(synthetic="no"))),
    # of the calibration
    **{
        f"a temperature of {value}": ("temperature is", trained(calibration={**CALIBRATION, "temperature": value}))
        for value in (-1, 0, 1e-300, 1e300, "x", True)
    },
    "a threshold below 0": ("threshold is", trained(calibration={**CALIBRATION, "threshold": -1e9})),
    "half a calibration": ("ece is None", trained(calibration={"temperature": 1.0})),
}  # fmt: skip


@pytest.mark.parametrize("name", ATTACKS)
def test_a_strangers_folder_is_looked_at_first(name, copy, tmp_path, monkeypatch):
    (tmp_path / "canary.py").write_text("raise SystemExit('imported')\n")
    monkeypatch.syspath_prepend(tmp_path)
    told, damage = ATTACKS[name]
    damage(copy)
    start = time.process_time()
    with pytest.raises(UsageError) as refused:
        affectzoo.load(copy)
    assert told in str(refused.value)
    assert str(copy) in str(refused.value)
    assert len(str(refused.value).splitlines()) == 1
    assert time.process_time() - start < 30
    assert "canary" not in sys.modules


def test_a_folder_that_the_hub_keeps_by_links_is_read(copy, tmp_path):
    snapshot = tmp_path / "models--a--b" / "snapshots" / "1"
    snapshot.mkdir(parents=True)
    (blobs := tmp_path / "models--a--b" / "blobs").mkdir()
    for path in copy.iterdir():
        shutil.copy(path, blobs / f"of-{path.name}")
        (snapshot / path.name).symlink_to(blobs / f"of-{path.name}")
    assert affectzoo.load(snapshot).classes


def calibrated(**other):
    """A run's checkpoint with a calibration beside it."""

    def make(source, folder):
        path = folder / "best.ckpt"
        shutil.copy(source / "checkpoints" / "best.ckpt", path)
        content = {"checkpoint": archive_digest(path), **CALIBRATION, **other}
        (folder / "calibration.json").write_text(json.dumps(content))
        return path

    return make


def held(change):
    def make(source, folder):
        content = torch.load(source / "checkpoints" / "best.ckpt", weights_only=True)
        change(content)
        torch.save(content, folder / "x.ckpt")
        return folder / "x.ckpt"

    return make


def of_data(change):
    return held(lambda content: change(content["RAVDESSDataModule"]))


def packed(source, folder):
    """A checkpoint that unpacks to far more than it is."""
    path = folder / "x.ckpt"
    with zipfile.ZipFile(source / "checkpoints" / "best.ckpt") as given, zipfile.ZipFile(path, "w", 8) as taken:
        for part in given.infolist():
            taken.writestr(part.filename, given.read(part))
        taken.writestr("best/data/999", bytes(10**8))
    return path


def led_out(source, folder):
    path = folder / "x.ckpt"
    shutil.copy(source / "checkpoints" / "best.ckpt", path)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("../../../canary.py", "x")
    return path


def run_on_load(source, folder):
    torch.save({"state_dict": Evil()}, folder / "x.ckpt")
    return folder / "x.ckpt"


def state(**tensors):
    return held(lambda content: content["state_dict"].update({"head.bias": next(iter(tensors.values()))}))


CHECKPOINTS = {
    "a tensor of one value": ("no plain tensor", state(x=torch.zeros(1).expand(10**12))),
    "a sparse tensor": ("no plain tensor", state(x=torch.zeros(8).to_sparse())),
    "a tensor that is nowhere": ("no plain tensor", state(x=torch.zeros(10**12, device="meta"))),
    "a description in itself": ("nested more than", of_data(lambda of: of["prepared_by"].update(x=of["prepared_by"]))),
    "a tensor in a description": ("holds a Tensor", of_data(lambda of: of.update(corpus=torch.zeros(3)))),
    "arguments in themselves": (
        "nested more than", held(lambda content: content["hyper_parameters"].update(x=content["hyper_parameters"]))
    ),
    "a bomb": ("is compressed", packed),
    "a way out": ("no plain tensor file", led_out),
    "code": ("brings code to run", run_on_load),
    "a negative temperature": ("temperature is -1", calibrated(temperature=-1.0)),
    "a temperature of NaN": ("NaN is no number", calibrated(temperature=float("nan"))),
}  # fmt: skip


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_a_strangers_checkpoint_is_looked_at_first(name, run, tmp_path):  # noqa: F811
    told, make = CHECKPOINTS[name]
    path = make(run, tmp_path)
    with pytest.raises(UsageError) as refused:
        affectzoo.load(path)
    assert told in str(refused.value)
    assert len(str(refused.value).splitlines()) == 1
    assert not (tmp_path / "canary.py").exists()


def tokenizer(change):
    """A tokenizer of another content."""

    def anew(own, files):
        change(own, files)
        files["tokenizer.json"] = json.dumps(own)

    return lambda at: edit(at, "preprocessing.json", lambda content: [
        anew(json.loads(files["tokenizer.json"]), files) for files in content["tokenizers"].values()
    ])  # fmt: skip


def as_file(name, value):
    return lambda at: edit(at, "preprocessing.json", lambda content: [
        files.update({name: value}) for files in content["tokenizers"].values()
    ])  # fmt: skip


TOKENIZERS = {
    "a number": as_file("tokenizer.json", 5),
    "no JSON": as_file("tokenizer.json", "{"),
    "deep": as_file("tokenizer.json", "[" * 100_000 + "]" * 100_000),
    "nothing in it": as_file("tokenizer.json", "{}"),
    "another model": tokenizer(lambda own, files: own["model"].update(type="canary.Net")),
    "ids that are none": tokenizer(lambda own, files: own["model"]["vocab"].update(x=-1)),
    "no special tokens": as_file("tokenizer_config.json", "{}"),
    "special tokens that are none": as_file("tokenizer_config.json", '{"pad_token": 5, "sep_token": []}'),
    "a padding that it does not know": as_file("tokenizer_config.json", '{"pad_token": "nobody", "sep_token": "x"}'),
    "no files": lambda at: edit(at, "preprocessing.json", lambda content: content["tokenizers"].update(text=5)),
}


@pytest.mark.parametrize("name", TOKENIZERS)
def test_a_strangers_tokenizer_is_looked_at_first(name, trained_text, tmp_path):
    shutil.copytree(trained_text, tmp_path / "copy")
    TOKENIZERS[name](tmp_path / "copy")
    with pytest.raises(UsageError) as refused:
        affectzoo.load(tmp_path / "copy")
    assert len(str(refused.value).splitlines()) == 1


@pytest.fixture(scope="module")
def trained_text(request, tmp_path_factory):
    """A model of texts, exported."""
    out = tmp_path_factory.mktemp("exported") / "text"
    export(Path(request.getfixturevalue("trained")("empathetic_text", "honest")), out)
    return out


def test_a_strangers_tokenizer_of_more_words_than_the_network_is_one_line(trained_text, tmp_path):
    shutil.copytree(trained_text, tmp_path / "copy")
    tokenizer(lambda own, files: own["model"]["vocab"].update(happy=10**6))(tmp_path / "copy")
    with pytest.raises(ValueError, match="the network knows") as refused:
        affectzoo.load(tmp_path / "copy")(text="happy")
    assert len(str(refused.value).splitlines()) == 1


def test_a_good_calibration_is_read(run, copy, tmp_path):  # noqa: F811
    trained(calibration=CALIBRATION)(copy)
    assert affectzoo.load(copy).temperature == 1.5
    assert affectzoo.load(calibrated()(run, tmp_path)).temperature == 1.5


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
