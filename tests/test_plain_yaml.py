"""YAML and JSON of anyone: a bomb is one line, and costs nothing."""

import json
import time
from itertools import pairwise

import pytest
import yaml

import cli
from datamodules.catalogues.avamerg.manifest import read_manifest
from datamodules.catalogues.avamerg.media_files import MediaFiles
from datamodules.errors import DataError
from datamodules.reading.plain_json import parse_json, read_object
from datamodules.store.journal import Journal
from datamodules.store.reader import Store
from experiments.errors import TooMuch
from experiments.reproduce.tables.table_file import read_table
from experiments.results.cell import read_json
from experiments.results.needs import recorded_request
from experiments.results.request import data_manifest, parse_command
from experiments.settings import plain_yaml
from experiments.settings.config import PROJECT, parse_value, read_yaml
from experiments.train import sweep

LETTERS = "abcdefghij"
ALIASES = f"a: &a [{', '.join('x' * 9)}]\n" + "".join(
    f"{after}: &{after} [{', '.join([f'*{before}'] * 9)}]\n" for before, after in pairwise(LETTERS)
)
TEXTS = f"a: &a {'x' * 50_000}\nb: [{', '.join(['*a'] * 5_000)}]\n"
MERGED = "a: &a {x: 1}\n" + "".join(
    f"{after}: &{after} {{<<: [{', '.join([f'*{before}'] * 9)}]}}\n" for before, after in pairwise(LETTERS)
)
BOMBS = {
    "aliases": (ALIASES, "100,000 values, aliases written out"),
    "long texts by alias": (TEXTS, "100,000 values, aliases written out"),
    "merged aliases": (MERGED, "100,000 values, aliases written out"),
    "an alias of itself": ("a: &a [1, *a]\n", "*a holds itself"),
    "nested lists": (f"a: {'[' * 5000}{']' * 5000}\n", "line 1: nested more than 100 levels deep"),
    "nested mappings": (f"a: {'{a: ' * 5000}1{'}' * 5000}\n", "nested more than 100 levels deep"),
    "nested blocks": ("".join(f"{' ' * level}a:\n" for level in range(1000)), "nested more than 100 levels deep"),
    "an unfinished nest": (f"a: {'[' * 5000}", "nested more than 100 levels deep"),
    "a long number": (f"seed_everything:\n  {'9' * 5000}\n", "line 2: a number of 5000 digits; at most 100"),
    "a long negative number": (f"a: -{'9' * 5000}\n", "digits; at most 100"),
    "a long float": (f"a: {'9' * 5000}.5\n", "digits; at most 100"),
    "a long hexadecimal": (f"a: 0x{'f' * 5000}\n", "digits; at most 100"),
    "a long base-60 number": (f"a: 1{':10' * 5000}\n", "digits; at most 100"),
    "a long tagged number": (f"a: !!int '{'9' * 5000}'\n", "not valid YAML"),
    "a long text": (f"a: {'x' * 2_000_000}\n", "2,000,004 characters; settings have at most 1,000,000"),
    "no number": ("a: !!int foo\n", "not valid YAML"),
    "no truth": ("a: !!bool foo\n", "not valid YAML"),
    "a date": ("a: !!timestamp 2020-99-99\n", "not valid YAML"),
    "bytes": ("a: !!binary aGk=\n", "not valid YAML"),
    "a set": ("a: !!set {x, y}\n", "not valid YAML"),
    "half a sign": ('a: "\\uD800"\n', "not valid YAML"),
    "code": ("a: !!python/object/apply:os.system [ls]\n", "not valid YAML"),
}


def refused(read, *arguments):
    """The one line that a reader refuses with, in no time."""
    start = time.monotonic()
    with pytest.raises(DataError) as caught:
        read(*arguments)
    assert time.monotonic() - start < 10
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400
    return str(caught.value)


@pytest.mark.parametrize("bomb", BOMBS)
def test_a_yaml_bomb_is_one_line_that_names_the_file(bomb, tmp_path):
    text, said = BOMBS[bomb]
    path = tmp_path / "bomb.yaml"
    path.write_text(text)
    for read in (read_yaml, lambda path: read_table(str(path))):
        message = refused(read, path)
        assert "bomb.yaml" in message
        assert said in message


@pytest.mark.parametrize("bomb", ["aliases", "nested lists", "a long number", "an alias of itself"])
def test_a_bomb_reaches_no_command(bomb, tmp_path, monkeypatch, capsys):
    text, said = BOMBS[bomb]
    path = tmp_path / "bomb.yaml"
    path.write_text(text)
    (tmp_path / "experiments" / "sweeps").mkdir(parents=True)
    (tmp_path / "experiments" / "sweeps" / "bomb.yaml").write_text(text)
    audio = str(PROJECT / "experiments/ravdess_audio.yaml")
    for words in (
        ["fit", "--config", audio, "--config", str(path)],
        ["report", str(path)],
        ["reproduce", str(path)],
    ):
        assert cli.main(words) == 2
        error = capsys.readouterr().err
        assert error.startswith("error: ")
        assert len(error.splitlines()) == 1
        assert "bomb.yaml" in error
        unread = "--model" in words  # a file of settings of their own is refused before anything reads it
        assert ("settings in a file of their own" if unread else said.partition(": ")[2] or said) in error
    monkeypatch.setattr(sweep, "PROJECT", tmp_path)
    assert sweep.main(["bomb"]) == 2
    assert "bomb.yaml" in capsys.readouterr().err


@pytest.mark.parametrize("bomb", ["aliases", "nested lists", "a long negative number", "an unfinished nest"])
def test_a_bomb_as_an_option_names_the_option(bomb):
    text = BOMBS[bomb][0].removesuffix("\n")
    text = f"{{{', '.join(text.splitlines())}}}" if bomb == "aliases" else text.removeprefix("a: ")
    for words in (["--model.loss", text], [f"--model.loss={text}"]):
        assert refused(parse_command, words).startswith("--model.loss: ")


def test_a_long_number_as_an_option_is_one_line(capsys):
    for option in ("--seed_everything", "--data.batch_size", "--model.optimizer.lr"):
        assert cli.main(["fit", "--config", str(PROJECT / "experiments/ravdess_audio.yaml"), option, "9" * 5000]) == 2
        error = capsys.readouterr().err
        assert error == f"error: {option}: a number of 5000 digits; at most 100\n"


def test_what_settings_hold_is_read(tmp_path):
    path = tmp_path / "x.yaml"
    deep = "[" * 98 + "]" * 98
    path.write_text(
        f"base: &b {{lr: 1e-3}}\nother: {{<<: *b, more: 2020-01-02}}\nagain: [*b, *b]\ndeep: {deep}\n"
        f"hash: '{'1' * 200}'\nwords: {'deadbeef' * 30}x\nbig: 18446744073709551615\n&c c: *b\n"
    )
    content = read_yaml(path)
    assert content["other"] == {"lr": 0.001, "more": "2020-01-02"}
    assert content["again"] == [{"lr": 0.001}] * 2
    assert content["hash"] == "1" * 200
    assert content["words"] == "deadbeef" * 30 + "x"
    assert content["big"] == 2**64 - 1
    assert parse_value("a: [") == "a: ["
    with pytest.raises(TooMuch):
        parse_value("[" * 101)
    with pytest.raises(yaml.YAMLError):
        plain_yaml.load("[")


JSON_BOMBS = {
    "nested lists": ("[" * 5000 + "]" * 5000, "nested more than 100 levels deep"),
    "nested less": ('{"a": ' * 102 + "1" + "}" * 102, "nested more than 100 levels deep"),
    "nested, unfinished": ("[" * 5000, "nested more than 100 levels deep"),
    "a long number": ('{"fold": ' + "9" * 5000 + "}", "a number of 5000 digits"),
    "a number that Python reads": ('{"fold": -' + "9" * 4000 + "}", "a number of 4001 digits"),
}


@pytest.mark.parametrize("bomb", JSON_BOMBS)
def test_a_json_bomb_is_one_line_that_names_the_file(bomb, tmp_path):
    text, said = JSON_BOMBS[bomb]
    with pytest.raises(ValueError, match=said):
        parse_json(text)
    folder = tmp_path / "prepared"
    folder.mkdir()
    for name in ("request.json", "result.json", "train.json"):
        (tmp_path / name).write_text(text)
    for name in ("manifest.json", "COMPLETE"):
        (folder / name).write_text(text)
    for read, arguments, name in (
        (read_json, (tmp_path / "result.json",), "result.json"),
        (read_object, (tmp_path / "result.json", "make it anew"), "result.json"),
        (recorded_request, (tmp_path,), "request.json"),
        (read_manifest, (tmp_path / "train.json", "train", MediaFiles(tmp_path, {})), "train.json"),
        (data_manifest, (tmp_path,), "manifest.json"),
        (Store, (folder,), "manifest.json"),
    ):
        message = refused(read, *arguments)
        assert name in message
        assert said in message or read is Store


def test_a_journal_is_no_bomb(tmp_path):
    (tmp_path / "journal.jsonl").write_text("[" * 5000 + "]" * 5000 + "\n")
    with pytest.raises(ValueError, match="nested more than 100 levels deep"):
        Journal(tmp_path / "journal.jsonl", [], lambda record: True)


def test_json_as_files_have_it_is_read():
    content = {"a": [1, -2.5, 1e300, None, True, "\N{SNOWMAN}"], "b": {"c": 2**64}, "deep": [[[[[]]]]]}
    assert parse_json(json.dumps(content)) == content
    assert parse_json(b"[1]\n") == [1]
    assert parse_json("3") == 3
    assert parse_json("[" * 100 + "]" * 100)


TWICE = {
    "at the top": ("a: 1\nb: 2\na: 1\n", 3),
    "below": ("a:\n  b: 1\n  c: {d: 1}\n  b: 2\n", 4),
    "in one line": ("a: {b: 1, c: 2, b: 3}", 1),
    "quoted": ("a: 1\n'a': 2\n", 2),
    "in a list": ("- {a: 1}\n- {b: 1, b: 1}\n", 2),
    "after a nest": ("a: {b: [1, {c: 1}]}\nd: *x\na: 2\n".replace("*x", "[]"), 3),
}


@pytest.mark.parametrize("name", TWICE)
def test_a_key_twice_is_refused_wherever_yaml_is_read(name, tmp_path):
    text, line = TWICE[name]
    with pytest.raises(TooMuch, match="given twice") as caught:
        plain_yaml.load(text)
    assert caught.value.problem_mark.line + 1 == line
    with pytest.raises(TooMuch, match="given twice"):
        plain_yaml.limited(lambda checked: {})(text)
    (tmp_path / "x.yaml").write_text(text)
    with pytest.raises(DataError, match=f"x.yaml, line {line}: '.' is given twice"):
        read_yaml(tmp_path / "x.yaml")
    if "\n" not in text:
        with pytest.raises(TooMuch, match="given twice"):
            parse_value(text)


@pytest.mark.parametrize("text", ["{a: {a: 1}, b: {a: 1}}", "[a, a, a]", "{a: b, b: a}", "{a: [a, a], ? [1, a] : a}"])
def test_a_key_of_another_mapping_is_another_key(text):
    plain_yaml.check(text)
