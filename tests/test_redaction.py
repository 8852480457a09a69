"""Secrets reach no file and no message, however they are given, and are no part of what a run is."""

import json
import os
from pathlib import Path

import pytest
import torch
import yaml
from fabricated import make_project

import cli
from experiments.reproduce.plan import Planner, Selection
from experiments.reproduce.runner import typed
from experiments.reproduce.tables.table_file import read_table
from experiments.results.needs import request_hash
from experiments.results.request import difference, make_request
from experiments.settings.redaction import HIDDEN, drop, hide, hide_message, hide_text, hide_words, is_secret
from lightning_modules import ravdess_rivals

ROOT = Path(__file__).resolve().parents[1]
WORD = "hunter2hunter2"
URL = f"http://127.0.0.1:9/services/{WORD}"  # nobody listens there
PLACE = {"fold": 0, "seed": 1, "protocol": "paper", "data": "d", "split": "s", "needs": {}}
SECRETS = ["password", "db_password", "apiKey", "api_key", "wandb_api_key", "auth_token", "token", "webhook", "secret",
           "hook.webhook_url", "access-token", "client_secret", "credentials", "hf_token"]  # fmt: skip
HARMLESS = ["tokens", "max_tokens", "class_token", "tokenizer", "key", "keys", "num_keys", "optimizer", "url",
            "timeout", "webhook_timeout", "cls_token", "mask_token"]  # fmt: skip


class Guarded(ravdess_rivals.AudioOnly):
    """A model of a user that asks for a password."""

    def __init__(self, password: str = "", mirror: str = "", **kwargs):
        super().__init__(**kwargs)


@pytest.fixture
def guarded(monkeypatch):
    monkeypatch.setattr(Guarded, "__module__", ravdess_rivals.__name__)
    monkeypatch.setattr(ravdess_rivals, "Guarded", Guarded, raising=False)
    return ["--model", f"{ravdess_rivals.__name__}.Guarded"]


@pytest.mark.parametrize("name", SECRETS)
def test_names_of_secrets(name):
    assert is_secret(name)
    assert is_secret(f"model.init_args.{name}")


@pytest.mark.parametrize("name", HARMLESS)
def test_names_of_other_settings(name):
    assert not is_secret(name)


@pytest.mark.parametrize(("text", "shown"), [
    (URL, f"http://127.0.0.1:9/{HIDDEN}"),
    ("see https://user:pass@host.org for it", f"see https://host.org/{HIDDEN} for it"),
    ("https://host.org", "https://host.org"),
    ("https://host.org/", "https://host.org/"),
    ("there is no file https:/user:pass@host.org/x.ckpt here", f"there is no file https:/host.org/{HIDDEN} here"),
    ("https://host.org?key=1", f"https://host.org/{HIDDEN}"),
    ("runs/a/checkpoints/best.ckpt", "runs/a/checkpoints/best.ckpt"),
    ("package:gt_all/onnx", "package:gt_all/onnx"),
    ("0123456789" * 4, HIDDEN),
    ("0123456789abcdef" * 4, "0123456789abcdef" * 4),  # a SHA-256
    (f"hf_{'a1B2' * 6}", HIDDEN),
])  # fmt: skip
def test_text_that_looks_like_a_secret(text, shown):
    assert hide_text(text) == shown


def test_a_command_line_is_shown_without_its_secrets():
    nested = json.dumps({"class_path": "X", "init_args": {"url": URL, "password": WORD, "timeout": 3}})
    words = ["fit", "--trainer.callbacks+", nested, "--trainer.callbacks.url", URL, f"--model.password={WORD}",
             "--trainer.logger.init_args.api_key", WORD, "--data.fold", "3", "--config", "a.yaml",
             "--data.missing", "{audio: 0.5}", "--x", "'quoted'"]  # fmt: skip
    shown = hide_words(words)
    assert len(shown) == len(words)
    assert WORD not in " ".join(shown)
    assert shown[7:] == [HIDDEN, *words[8:]]
    assert json.loads(shown[2])["init_args"]["timeout"] == 3
    assert WORD not in typed(Path("cli.py"), words)
    message = hide_message(f"--model.password: what is this. Got value: {WORD}; {{'api_key': 'abc'}}", words)
    assert message == f"--model.password: what is this. Got value: {HIDDEN}; {{'api_key': '{HIDDEN}'}}"
    assert hide_message("data/secret: no such folder", words) == "data/secret: no such folder"


def test_another_secret_is_the_same_request_and_other_settings_are_not():
    def hashed(section, settings):
        return request_hash(make_request({section: {"class_path": "X", "init_args": settings}}, **PLACE))

    for name in SECRETS:
        assert hashed("data", {name: "a"}) == hashed("data", {name: "b"})
        assert hashed("model", {"part": {name: "a"}}) == hashed("model", {"part": {name: "b"}})
    for name in HARMLESS:
        assert hashed("model", {name: "a"}) != hashed("model", {name: "b"})
    # What may be a secret by its looks alone counts, but is not told.
    one, other = ({"weights": f"https://host.org/{text}"} for text in ("a", "b"))
    assert hashed("model", one) != hashed("model", other)
    assert "host.org/a" not in json.dumps(make_request({"model": {"init_args": one}}, **PLACE))
    hooks = [{"class_path": "my.Hook", "init_args": {"address": address}} for address in (URL, URL + "x")]
    requests = [make_request({"trainer": {"callbacks": [hook]}}, **PLACE) for hook in hooks]
    assert requests[0] == requests[1]


def test_the_difference_to_a_request_of_an_earlier_version_tells_no_secret():
    old = make_request({"trainer": {"callbacks": []}}, **PLACE)
    new = make_request({"trainer": {"callbacks": []}}, **PLACE)
    old["settings"]["trainer"]["callbacks"] = [{"url": URL, "password": WORD}]
    assert WORD not in difference(old, new)
    assert "password" in difference(old, new)


def test_settings_are_shown_with_the_names_of_their_secrets():
    settings = {"a": {"password": WORD, "none_password": None, "url": [URL], "n": 1}, "token": WORD}
    assert hide(settings) == {
        "a": {"password": HIDDEN, "none_password": None, "url": [f"http://127.0.0.1:9/{HIDDEN}"], "n": 1},
        "token": HIDDEN,
    }
    assert drop(settings) == {"a": {"url": [], "n": 1}}


NOTIFIER = {"class_path": "WebhookNotifier", "init_args": {"url": URL, "timeout": 0.5}}
LOGGER = {"class_path": "NoSuchLogger", "init_args": {"project": "p", "settings": {"api_key": WORD}}}
WAYS = {
    "dotted": ["--trainer.callbacks+=WebhookNotifier", "--trainer.callbacks.url", URL],
    "mapping": ["--trainer.callbacks+", json.dumps(NOTIFIER)],
    "yaml": {"trainer": {"callbacks+": [NOTIFIER]}},
    "environment": ["--trainer.callbacks+=WebhookNotifier"],
    "password": ["--model.password", WORD],
    "password in yaml": {"model": {"init_args": {"password": WORD}}},
}


def kept(folder):
    """Every file of a folder that holds the secret, checkpoints as torch packs them included."""
    return [path for path in folder.rglob("*") if path.is_file() and WORD.encode() in path.read_bytes()]


@pytest.mark.parametrize("way", WAYS)
def test_however_a_secret_is_given_it_is_kept_nowhere_and_another_goes_on(
    guarded, ravdess, tmp_path, monkeypatch, capsys, caplog, way
):
    def fit(word, *more):
        (tmp_path / "given.yaml").write_text(json.dumps(WAYS[way]).replace(WORD, word))
        given = ["--config", str(tmp_path / "given.yaml")] if isinstance(WAYS[way], dict) else WAYS[way]
        monkeypatch.setenv("AFFECTZOO_WEBHOOK", URL if way == "environment" else "")
        command = ["fit", "--config", str(ROOT / "experiments" / "ravdess_audio.yaml"), *guarded]
        command += [option.replace(WORD, word) for option in given]
        where = ["--data.root", str(ravdess), "--trainer.default_root_dir", str(tmp_path / "run")]
        code = cli.main([*command, *where, "--trainer.max_epochs", "1", *more])
        return code, "".join(capsys.readouterr()) + caplog.text

    code, said = fit(WORD)
    assert code == 0
    assert WORD not in said
    run = tmp_path / "run"
    assert kept(run) == []
    settings = torch.load(run / "checkpoints" / "best.ckpt", weights_only=True)["hyper_parameters"]
    assert "password" not in settings
    assert yaml.safe_load((run / "config.yaml").read_text())["trainer"]["max_epochs"] == 1
    (run / "result.json").unlink()
    code, said = fit("swordfish2swordfish2")
    assert code == 0
    assert "carrying on from last.ckpt" in said
    code, said = fit("another1another1", "--data.batch_size", "4")
    assert code == 2
    assert "data.init_args.batch_size" in said
    assert "another1" not in said


def test_an_address_that_a_model_reads_counts_and_is_kept_nowhere(guarded, ravdess, tmp_path, capsys):
    fit = ["fit", "--config", str(ROOT / "experiments" / "ravdess_audio.yaml"), *guarded, "--data.root", str(ravdess)]
    fit += ["--trainer.default_root_dir", str(tmp_path), "--trainer.max_epochs", "1", "--model.mirror"]
    assert cli.main([*fit, URL]) == 0
    assert kept(tmp_path) == []
    assert cli.main([*fit, f"{URL}/other"]) == 2
    said = "".join(capsys.readouterr())
    assert f"model.init_args.mirror: http://127.0.0.1:9/{HIDDEN} (" in said
    assert WORD not in said


@pytest.mark.parametrize("option", [
    ["--trainer.callbacks.url", URL], ["--webhook", WORD], ["--model.password", WORD], [f"--model.password={WORD}"],
    ["--trainer.logger", json.dumps(LOGGER)], ["--data.fold", URL],
])  # fmt: skip
def test_a_wrong_option_is_told_without_its_secret(capsys, option):
    assert cli.main(["fit", "--config", str(ROOT / "experiments" / "ravdess_audio.yaml"), *option]) == 2
    said = "".join(capsys.readouterr())
    assert WORD not in said
    assert "error: " in said


def test_what_a_cell_prints_of_its_command_and_request_has_no_secret(tmp_path):
    make_project(tmp_path)
    path = tmp_path / "experiments" / "tables" / "toy.yaml"
    path.write_text(path.read_text().replace("overrides: {", f"overrides: {{model.init_args.password: {WORD}, "))
    planner = Planner(read_table("toy", project=tmp_path), Path("runs"), tmp_path)
    job = next(job for job in planner.jobs(Selection()) if "/pair/" in job.name)
    assert WORD in " ".join(job.command)
    assert WORD not in typed(Path("cli.py"), job.command)
    assert WORD not in json.dumps(job.request)


def test_wandb_keeps_no_command_line_that_holds_a_secret(monkeypatch, capsys):
    monkeypatch.setenv("WANDB_X_DISABLE_META", "")
    cli.main(["fit", "--config", str(ROOT / "experiments" / "ravdess_audio.yaml"), "--data.foldd", "1"])
    assert os.environ["WANDB_X_DISABLE_META"] == ""
    cli.main(["fit", "--config", str(ROOT / "experiments" / "ravdess_audio.yaml"), "--trainer.callbacks.url", URL])
    assert os.environ["WANDB_X_DISABLE_META"] == "true"
