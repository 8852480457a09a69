import copy
import csv
import json
import os
import shutil
from collections import Counter

import numpy as np
import pytest
import soundfile
import torch
from test_media import write_clip
from wordpiece import train_wordpiece

import cli
from datamodules.avamerg import AvaMERGDataModule
from datamodules.catalogues.avamerg.catalogue import AvaMERG
from datamodules.catalogues.avamerg.media_files import MediaFiles
from datamodules.errors import DataError
from datamodules.profiles import FIELDS, fit_vocabularies
from datamodules.reading.tokens import Tokens
from datamodules.shapes.dialogue_store import normalised_wave
from datamodules.standins import avamerg as synth
from datamodules.store.reader import Store
from datamodules.store.writer import StoreWriter
from datamodules.vocabularies import indices

SMALL = ["--views.video.size", "16", "--views.video.frames", "2"]
SMALL += ["--views.text.tokens", "8", "--views.text.context_tokens", "10"]


def entry(name, emotion="sad", **changes):
    words = {"speaker": "it broke my heart", "listener": "tell me more", "listener_response": "I am sorry"}
    dialogue = [
        {"index": i, "role": role, "text": text, "audio_name": f"dia{name}utt{i}_{i}.wav", "audio_path": ""}
        for i, (role, text) in enumerate(words.items())
    ]
    chain = {
        "speaker_emotion": emotion,
        "event_scenario": "a loss",
        "emotion_cause": "feeling sad",
        "goal_to_response": "x",
    }
    return {
        "conversation_id": name,
        "turn": {"turn_id": "0", "context": "the speaker lost a dog", "dialogue": dialogue, "chain_of_empathy": chain},
        "speaker_profile": {"age": "young", "gender": "female", "timbre": "high", "ID": 16},
        "listener_profile": {"age": "elderly", "gender": "male", "timbre": "low", "ID": 5},
        "topic": "Family",
        **changes,
    }


def write(folder, **splits):
    folder.mkdir(exist_ok=True)
    for split, entries in splits.items():
        (folder / f"mapped_{split}_data.json").write_text(json.dumps(entries))
    train_wordpiece(
        ["it broke my heart tell me more i am sorry the speaker lost a dog feeling sad"], folder / "tokenizer"
    )
    return folder


def three(**changes):
    return {split: [entry(f"0000{i}", **changes)] for i, split in enumerate(("train", "val", "test"))}


def sound(folder, name, samples=8000, level=0.3):
    folder.mkdir(parents=True, exist_ok=True)
    wave = level * np.sin(np.arange(samples) * 0.1)
    soundfile.write(folder / name, wave, 16_000, subtype="PCM_16")


def prepare(source, out, *options):
    command = ["prepare", "avamerg", "--source", str(source), "--out", str(out), "--workers", "1", *SMALL]
    return cli.main([*command, *options])


def missing_of(out):
    with (out / "prepared/missing.csv").open(newline="") as file:
        return {(row["conversation"], row["utterance"], row["modality"]): row["reason"] for row in csv.DictReader(file)}


def test_a_manifest_says_who_says_what(tmp_path):
    first = AvaMERG().scan(write(tmp_path / "raw", **three())).entries[0]
    assert (first.id, first.split, first.columns["emotion"], first.columns["topic"]) == (
        "00000",
        "train",
        "sad",
        "Family",
    )
    assert [said.texts["role"] for said in first.parts] == ["speaker", "listener", "listener_response"]
    # The released video manifests are renamed audio manifests.
    assert first.parts[1].media["video"].name == "dia00000utt1_1.mp4"
    assert first.columns["speaker_timbre"] == "high"
    assert first.columns["listener_id"] == "5"


def test_media_are_found_by_windows_paths_and_by_name(tmp_path):
    folder = tmp_path / "data/train_audio"
    sound(folder, "a.wav")
    sound(tmp_path / "x", "twice.wav")
    sound(tmp_path / "y", "twice.wav")
    media = MediaFiles.under(tmp_path)
    assert media.find("data\\train_audio\\a.wav")[0] == folder / "a.wav"
    assert media.find("C:\\Users\\me\\a.wav")[0] == folder / "a.wav"
    assert media.find("y\\twice.wav")[0] == tmp_path / "y/twice.wav"
    assert media.find("twice.wav") == (None, "2 files have this name")
    assert media.find("..\\a.wav")[0] == folder / "a.wav"
    assert media.find("b.wav") == (None, "no such file")


def test_a_manifest_names_nothing_outside_its_folder(tmp_path):
    sound(tmp_path, "secret.wav")
    sound(tmp_path / "raw/audio", "a.wav")
    media = MediaFiles.under(tmp_path / "raw")
    outside = [
        "../secret.wav",
        "audio/../../secret.wav",
        "..\\secret.wav",
        str(tmp_path / "secret.wav"),
        "\\secret.wav",
    ]
    for named in outside:
        assert media.find(named) == (None, "no such file")
    for named in ("..", "audio/..", "/", "audio", "x\0.wav"):
        assert media.find(named) == (None, "no such file")
    for named in ("", "."):
        assert media.find(named) == (None, "the manifest names no file")


def test_media_of_no_conversation_are_counted_and_told(tmp_path, capsys):
    raw = write(tmp_path / "raw", **three())
    sound(raw / "data", "dia00000utt0_0.wav")
    sound(raw / "data", "dia00000utt9_9.wav")
    assert prepare(raw, tmp_path / "out") == 0
    assert f"  {raw}: 1 file without a conversation (data/dia00000utt9_9.wav)\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda one: one["turn"]["chain_of_empathy"].update(speaker_emotion="angry"),
            "has emotion 'angry', but 'sad' in",
        ),
        (lambda one: one["turn"]["dialogue"][0].update(text="hello"), "has hash '"),
    ],
)
def test_a_conversation_told_twice_differently_is_refused(tmp_path, capsys, change, message):
    splits = three()
    splits["train"].append(copy.deepcopy(splits["train"][0]))
    change(splits["train"][1])
    assert prepare(write(tmp_path / "raw", **splits), tmp_path / "out", "--max-skipped", "9") == 2
    said = capsys.readouterr().err
    assert message in said
    assert "mapped_train_data.json, conversation 1 (00000): '00000' " in said
    assert "mapped_train_data.json, conversation 0 (00000); correct one of them" in said


def test_missing_and_broken_media_are_listed_and_nothing_is_filled_in(tmp_path, capsys):
    raw = write(tmp_path / "raw", **three())
    sound(raw / "data", "dia00000utt0_0.wav")
    sound(raw / "data", "dia00000utt1_1.wav", level=0)
    (raw / "data" / "dia00000utt1_1.mp4").write_bytes(b"no film")
    assert prepare(raw, tmp_path / "out") == 0
    assert "8 of 9 audio files missing or unusable (missing.csv), 9 of 9 video files" in capsys.readouterr().out
    reasons = missing_of(tmp_path / "out")
    assert reasons["00000", "1", "audio"] == "silent"
    assert reasons["00000", "2", "audio"] == "no such file"
    assert "not a media file" in reasons["00000", "1", "video"]
    assert len(reasons) == 17
    data = AvaMERGDataModule(str(tmp_path / "out"), utterances=4, audio_seconds=1.0, batch_size=1)
    batch = next(iter(data.train_dataloader()))
    assert batch["utterance_mask"]["audio"].tolist() == [[True, False, False, False]]
    assert batch["mask"]["video"].tolist() == [False]
    assert not batch["audio"][0, 1:].any()
    wave = batch["audio"][0, 0]
    assert not wave[8000:].any()
    assert wave[:8000].mean().abs() < 1e-5
    assert wave[:8000].var() == pytest.approx(1, abs=1e-3)
    seen = data.on_after_batch_transfer(batch, 0)["video"]
    assert seen.shape == (1, 4, 3, 2, 16, 16)
    assert not seen.any()


def test_the_response_and_the_chain_are_off_and_stamped_when_on(tmp_path):
    assert prepare(write(tmp_path / "raw", **three()), tmp_path / "out") == 0
    tokens = Tokens(str(tmp_path / "raw/tokenizer"))

    def batch(**options):
        data = AvaMERGDataModule(str(tmp_path / "out"), utterances=3, audio_seconds=0.1, batch_size=1, **options)
        return data, next(iter(data.train_dataloader()))

    data, plain = batch()
    assert not data.leaked
    assert not data.items_key("context")
    assert plain["role"].tolist() == [[1, 2, 0]]
    assert plain["length"]["utterances"].tolist() == [2]
    assert data.count_items("text") == 6
    context = tokens(["the speaker lost a dog"], 10)[0]
    assert plain["context"][0].tolist() == context.tolist()
    data, told = batch(use_response=True)
    assert data.leaked
    assert told["role"].tolist() == [[1, 2, 2, 0]]  # no place of the three is taken
    assert data.count_items("text") == 9
    assert told["text"][0, 2].tolist() == tokens(["I am sorry"], 8)[0].tolist()
    data, told = batch(use_chain_of_empathy=True)
    assert data.leaked
    assert data.items_key("context")
    assert told["role"].tolist() == [[1, 2, 0]]
    longer = tokens(["the speaker lost a dog [SEP] a loss [SEP] feeling sad [SEP] x"], 10)[0]
    assert told["context"][0].tolist() == longer.tolist() != context.tolist()


def test_a_film_without_sound_is_a_film_all_the_same(tmp_path):
    """Speech and film of an utterance in one file."""
    splits = three()
    for said in splits["train"][0]["turn"]["dialogue"][:2]:
        said.update(audio_name=f"{said['role']}.mp4", video_name=f"{said['role']}.mp4")
    raw = write(tmp_path / "raw", **splits)
    write_clip(raw / "speaker.mp4", audio=None)
    write_clip(raw / "listener.mp4", rate=16_000)
    assert prepare(raw, tmp_path / "out") == 0
    store = Store(tmp_path / "out/prepared")
    assert store.read("video_seen", 0).tolist() == [1, 1, 0]
    assert store.read("video", 0).shape == (2, 2, 16, 16, 3)
    ends = store.read("audio_end", 0).tolist()
    assert ends[0] == 0 < ends[1] == ends[2]
    assert missing_of(tmp_path / "out")["00000", "0", "audio"] == "no audio stream"


def test_a_store_of_an_earlier_version_is_read(tmp_path):
    assert prepare(write(tmp_path / "raw", **three()), tmp_path / "new") == 0
    new = Store(tmp_path / "new/prepared")
    kinds = {name: file["dtype"] for name, file in new.manifest["arrays"].items()}
    columns = (*AvaMERG.columns, "missing")
    old = {"frames": 2, "size": 16, "seconds": 10.0, "text_tokens": 8, "context_tokens": 10, "rate": 16_000}
    writer = StoreWriter(tmp_path / "old/prepared", kinds, old, synthetic=False, columns=columns, schema=1)
    for place, row in enumerate(new.rows):
        arrays = {name: new.read(name, place) for name in kinds}
        writer.add(row["id"], row["group"], int(row["label"]), arrays, "x", columns=row)
    writer.finish()
    read = [AvaMERGDataModule(str(tmp_path / name), utterances=3, audio_seconds=0.1) for name in ("old", "new")]
    assert [data.store.manifest["schema"] for data in read] == [1, 2]
    batches = [data.dataset("train")[0] for data in read]
    for name in ("text", "context", "audio", "video", "meta", "role", "target"):
        assert torch.equal(batches[0][name], batches[1][name])


@pytest.mark.parametrize(("option", "successor"), [
    ("--tokenizer", "--views.text.tokenizer"), ("--text-tokens", "--views.text.tokens"),
    ("--context-tokens", "--views.text.context_tokens"), ("--frames", "--views.video.frames"),
    ("--size", "--views.video.size"), ("--seconds", "--views.audio.seconds"),
])  # fmt: skip
def test_an_option_of_before_names_its_successor(tmp_path, capsys, option, successor):
    assert prepare(write(tmp_path / "raw", **three()), tmp_path / "out", option, "8") == 2
    assert f"{option} is called {successor} now" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["text.tokens=3", "text.context_tokens=3", "video.frames=0", "video.size=7",
                                    "audio.seconds=0"])  # fmt: skip
def test_too_little_to_be_kept(tmp_path, capsys, option):
    assert prepare(write(tmp_path / "raw", **three()), tmp_path / "out", f"--views.{option}") == 2
    error = capsys.readouterr().err
    assert f"--views.{option.partition('=')[0]} " in error
    assert not (tmp_path / "out").exists()


def test_a_source_without_any_of_its_media_is_pointed_out(tmp_path, capsys):
    assert prepare(write(tmp_path / "raw", **three()), tmp_path / "out") == 0
    assert "none of the media files" in capsys.readouterr().err


def test_duplicates(tmp_path, capsys):
    splits = three()
    splits["train"] = [*splits["train"], *copy.deepcopy(splits["train"])]
    assert prepare(write(tmp_path / "twice", **splits), tmp_path / "out") == 1
    assert (
        "1 conversations cannot be used, the first train.json: 00000#2 (conversation 00000 was there before)"
        in capsys.readouterr().err
    )
    assert prepare(tmp_path / "twice", tmp_path / "out", "--max-skipped", "1") == 0
    for name in ("00000", " 00000"):
        splits = three()
        splits["test"] = [*splits["test"], entry("00000") | {"conversation_id": name}]
        assert prepare(write(tmp_path / "shared", **splits), tmp_path / "other") == 2
        assert "conversation 00000 is in both train and test" in capsys.readouterr().err


def test_a_store_of_nothing_is_no_success(tmp_path, capsys):
    splits = {split: [entry(f"0000{i}", "tired")] for i, split in enumerate(("train", "val", "test"))}
    assert prepare(write(tmp_path / "raw", **splits), tmp_path / "out") == 1
    error = capsys.readouterr().err
    assert "none of the 3 conversations is left" in error
    assert "skipped.csv" in error
    assert not (tmp_path / "out/prepared/COMPLETE").exists()


def test_half_of_a_pair_anywhere_costs_its_conversation_alone(tmp_path, capsys):
    """JSON can escape what no text and no file name can hold; a traceback of the tokenizer was what came of it."""
    whole = write(tmp_path / "whole", **three())
    assert prepare(whole, tmp_path / "expected") == 0
    splits = three()
    places = (
        lambda one: one["turn"]["dialogue"][0].update(text="\ud800"),
        lambda one: one["turn"]["dialogue"][0].update(audio_name="a/\udfff.wav"),
        lambda one: one["turn"].update(context="\ud800"),
        lambda one: one["turn"]["chain_of_empathy"].update(speaker_emotion="\ud800"),
        lambda one: one["turn"]["chain_of_empathy"].update(goal_to_response="\ud800"),
        lambda one: one["speaker_profile"].update(age="\ud800"),
        lambda one: one.update(topic="\ud800"),
        lambda one: one.update(conversation_id="\ud800"),
    )
    for number, spoil in enumerate(places):
        splits["train"].append(entry(f"1000{number}"))
        spoil(splits["train"][-1])
    raw = write(tmp_path / "raw", **splits)
    assert prepare(raw, tmp_path / "out") == 1
    error = capsys.readouterr().err
    assert (
        "8 conversations cannot be used, the first train.json: 10000 (a text holds half of a surrogate pair)" in error
    )
    assert prepare(raw, tmp_path / "out", "--max-skipped", "8") == 0
    for path in (tmp_path / "expected/prepared").glob("*.*32"):
        assert path.read_bytes() == (tmp_path / "out/prepared" / path.name).read_bytes(), path.name
    with (tmp_path / "out/prepared/skipped.csv").open(newline="", encoding="utf-8") as file:
        assert [row["id"] for row in csv.DictReader(file)] == [*(f"1000{number}" for number in range(7)), "\\ud800"]


@pytest.mark.parametrize(("text", "message"), [
    ("[]", "no conversation in it"),
    ("[" * 100_000, "cannot be read as JSON"),
    ("[" + "9" * 5000 + "]", "cannot be read as JSON"),
    ('[{"conversation_id": 1, "turn": {"dialogue": [{"index": 1e999, "role": "speaker"}], '
     '"chain_of_empathy": {"speaker_emotion": "sad"}}}]', "conversation 0: not as expected"),
])  # fmt: skip
def test_a_manifest_that_cannot_be_used_is_named(tmp_path, capsys, text, message):
    raw = write(tmp_path / "raw", **three())
    (raw / "mapped_train_data.json").write_text(text)
    assert prepare(raw, tmp_path / "out") == 2
    error = capsys.readouterr().err
    assert "mapped_train_data.json" in error
    assert message in error
    assert len(error.strip().splitlines()) == 1


def test_a_pipe_is_no_manifest(tmp_path, capsys):
    raw = write(tmp_path / "raw", **three())
    (raw / "mapped_val_data.json").unlink()
    os.mkfifo(raw / "mapped_val_data.json")
    assert prepare(raw, tmp_path / "out") == 2
    error = capsys.readouterr().err
    assert "mapped_val_data.json cannot be read as JSON" in error
    assert "not a regular file" in error


@pytest.mark.parametrize("name", [".", "a" * 5000 + ".wav", "b/" + "a" * 300 + ".wav", "a\0b.wav"])
def test_what_no_file_can_be_called_is_one_missing_file(tmp_path, name):
    splits = three()
    splits["train"][0]["turn"]["dialogue"][0].update(audio_name=name)
    assert prepare(write(tmp_path / "raw", **splits), tmp_path / "out") == 0
    assert ("00000", "0", "audio") in missing_of(tmp_path / "out")


def test_labels_without_a_class_are_dropped_and_counted(tmp_path, capsys):
    splits = three()
    splits["train"] += [entry("00007", "weary"), entry("00008", ""), entry("00009", "contempt")]
    assert prepare(write(tmp_path / "raw", **splits), tmp_path / "out") == 0
    out = capsys.readouterr().out
    assert "0 skipped, 1 left out: it has no emotion, 1 left out: weary has no class" in out
    counted = {name: AvaMERGDataModule(str(tmp_path / "out"), label_map=name) for name in ("avamerg", "mimamo", "ed32")}
    assert {name: data.dropped for name, data in counted.items()} == {"avamerg": 0, "mimamo": 1, "ed32": 1}
    assert len(counted["avamerg"].rows("train")) == 2
    assert len(counted["ed32"].rows("train")) == 1


def broken(splits, change):
    change(splits["train"][0])
    return splits


@pytest.mark.parametrize(("change", "message"), [
    (lambda one: one["turn"]["chain_of_empathy"].update(speaker_emotion="hangry"), "(00000): 'hangry' is no emotion"),
    (lambda one: one["turn"]["dialogue"][0].update(role="narrator"), "(00000): role 'narrator' is not one of"),
    (lambda one: one.pop("turn"), "conversation 0: not as expected (no 'turn')"),
    (lambda one: one["turn"]["dialogue"][0].update(index="first"), "conversation 0: not as expected (invalid literal"),
])  # fmt: skip
def test_what_a_manifest_should_not_hold(tmp_path, capsys, change, message):
    assert prepare(write(tmp_path / "raw", **broken(three(), change)), tmp_path / "out") == 2
    error = capsys.readouterr().err
    assert "mapped_train_data.json, conversation 0" in error
    assert message in error
    assert "Traceback" not in error


def test_manifests_that_are_missing_or_too_many(tmp_path, capsys):
    raw = write(tmp_path / "raw", **three())
    shutil.copy(raw / "mapped_val_data.json", raw / "mapped_val_video.json")
    assert prepare(raw, tmp_path / "out") == 2
    assert (
        "one manifest with 'val' in its name, found mapped_val_data.json, mapped_val_video.json"
        in capsys.readouterr().err
    )
    (raw / "mapped_val_video.json").unlink()
    (raw / "mapped_val_data.json").write_text("[{]")
    assert prepare(raw, tmp_path / "out") == 2
    assert "mapped_val_data.json cannot be read as JSON" in capsys.readouterr().err
    (tmp_path / "empty").mkdir()
    assert prepare(tmp_path / "empty", tmp_path / "out") == 2
    assert "no .json manifest" in capsys.readouterr().err


def test_one_manifest_is_split_by_conversation(tmp_path):
    raw = write(tmp_path / "raw")
    (raw / "all.json").write_text(json.dumps([entry(f"{number:05d}") for number in range(20)]))
    found = AvaMERG().scan(raw).entries
    assert Counter(one.split for one in found) == {"train": 12, "val": 4, "test": 4}
    assert [one.id for one in found] == [f"{number:05d}" for number in range(20)]
    assert [one.split for one in AvaMERG().scan(raw).entries] == [one.split for one in found]


def test_a_killed_preparation_carries_on_with_the_same_bytes(avamerg, tmp_path, monkeypatch):
    add, calls = StoreWriter.add, []

    def killed(self, *args, **kwargs):
        calls.append(args)
        if len(calls) == 7:
            raise MemoryError
        add(self, *args, **kwargs)

    command = ["prepare", "avamerg", "--source", str(avamerg), "--out", str(tmp_path)]
    monkeypatch.setattr(StoreWriter, "add", killed)
    with pytest.raises(MemoryError):
        cli.main([*command, "--workers", "1"])
    monkeypatch.setattr(StoreWriter, "add", add)
    assert cli.main([*command, "--workers", "2"]) == 0
    for path in (avamerg / "prepared").iterdir():
        assert path.read_bytes() == (tmp_path / "prepared" / path.name).read_bytes(), path.name
    victim = next((avamerg / "data/train_audio/audio_v5_0").glob("*.wav"))
    copy_of = victim.read_bytes()
    victim.unlink()
    try:
        assert cli.main([*command, "--workers", "1"]) == 2  # made from other source files
    finally:
        victim.write_bytes(copy_of)


def test_vocabularies_are_those_of_train(tmp_path):
    splits = three()
    splits["val"][0]["speaker_profile"] = {"age": "child", "gender": "female"}
    splits["test"][0]["topic"] = "Space"
    assert prepare(write(tmp_path / "raw", **splits), tmp_path / "out") == 0
    data = AvaMERGDataModule(str(tmp_path / "out"), modalities=["meta"])
    assert data.vocabularies["speaker_age"] == data.vocabularies["listener_age"] == ["young", "elderly"]
    assert data.vocabularies["topic"] == ["Family"]
    assert data.vocabulary_sizes["topic"] == 2
    rows = dict(zip(data.store.ids, data.meta.tolist(), strict=True))
    assert data.fields == list(FIELDS)
    assert rows["00000"] == [1, 2, 1, 2, 1, 2, 1]
    assert rows["00001"] == [0, 2, 0, 2, 1, 2, 1]
    assert rows["00002"][-1] == 0
    assert data.clip_attributes["00001"] == {"age": "child", "gender": "female", "timbre": "unknown"}
    wide = AvaMERGDataModule(str(tmp_path / "out"), modalities=["meta"], profile_ids=True)
    assert wide.fields[-2:] == ["speaker_id", "listener_id"]
    assert wide.vocabularies["speaker_id"] == ["16", "5"]
    assert wide.input_shapes == {"meta": [9]}


def test_order_of_values_does_not_hang_on_the_data():
    row = {f"{who}_{name}": "" for who in ("speaker", "listener") for name in ("age", "gender", "timbre", "id")}
    rows = [{**row, "topic": "b", "speaker_age": "elderly"}, {**row, "topic": "a", "listener_age": "child"}]
    found = fit_vocabularies(rows, FIELDS)
    assert found["speaker_age"] == ["child", "elderly"]
    assert found["topic"] == ["a", "b"]
    assert found["speaker_gender"] == []
    assert indices(rows, found)[:, 0].tolist() == [2, 0]


def test_batches_items_and_embeddings_agree(avamerg):
    data = AvaMERGDataModule(str(avamerg), utterances=2, audio_seconds=0.5, batch_size=8)
    batch = next(iter(data.val_dataloader()))
    has = batch["utterance_mask"]
    assert batch["role"].tolist() == [[2, 1]] * len(batch["id"])  # the last two of three
    shown = data.on_after_batch_transfer(batch, 0)
    assert {name: list(shown[name].shape[1:]) for name in data.input_shapes} == data.input_shapes
    for modality in ("text", "audio", "video"):
        count = data.count_items(modality)
        items = data.items(modality, 0, count)
        data.use_embeddings(modality, torch.arange(float(count))[:, None] + torch.tensor([[0.0, 0.5]]))
        embedded = data.dataset("val").__getitems__(list(range(len(batch["id"]))))[modality]
        assert embedded.shape == (len(batch["id"]), 2, 2)
        assert not embedded[~has[modality]].any()
        places = embedded[has[modality]][:, 0].long()
        torch.testing.assert_close(items[places], shown[modality][has[modality]])
        assert list(embedded.shape[1:]) == data.input_shapes[modality]
    contexts = data.items("context", 0, data.count_items("context"))
    data.use_embeddings("context", torch.arange(float(len(contexts)))[:, None])
    embedded = data.dataset("val").__getitems__(list(range(len(batch["id"]))))["context"]
    torch.testing.assert_close(contexts[embedded[:, 0].long()], batch["context"])
    with pytest.raises(DataError, match="lacks meta for a frozen encoder"):
        data.count_items("meta")


def test_a_prediction_does_not_hang_on_batch_mates(avamerg):
    data = AvaMERGDataModule(str(avamerg), utterances=3, audio_seconds=0.5)
    clips = data.dataset("train")
    together, alone = clips.__getitems__([0, 1, 2]), clips[1]
    for name in ("text", "context", "audio", "video", "meta", "role", "target"):
        assert torch.equal(together[name][1:2], alone[name])


def test_lost_modalities(avamerg):
    data = AvaMERGDataModule(str(avamerg), utterances=3, audio_seconds=0.5, missing={"text": 1.0, "meta": 1.0})
    batch = next(iter(data.val_dataloader()))
    assert not batch["text"].any()
    assert not batch["context"].any()
    assert not batch["meta"].any()
    assert not any(batch["mask"][name].any() for name in ("text", "context", "meta"))
    assert batch["mask"]["audio"].any()
    assert (batch["length"]["utterances"] == 3).all()


@pytest.mark.parametrize(("option", "message"), [
    ({"modalities": ["text", "text"]}, "name each wanted one of"),
    ({"modalities": ["text"], "missing": {"audio": 0.5}}, "--data.missing names audio"),
    ({"label_map": "ekman"}, "--data.label_map ekman"),
    ({"utterances": 0}, "--data.utterances 0"),
    ({"protocol": "paper"}, "--data.protocol paper"),
])  # fmt: skip
def test_options_that_are_wrong(option, message):
    with pytest.raises(DataError) as error:
        AvaMERGDataModule("nowhere", **option)
    assert message in str(error.value)


def test_waves_are_normalised_where_there_is_sound():
    wave = np.array([100, -100, 300, 500], np.int16)
    made = normalised_wave(wave, 6)
    assert made.dtype == np.float32
    assert made[4:].tolist() == [0, 0]
    assert made[:4].mean() == pytest.approx(0, abs=1e-6)
    assert made[:4].std() == pytest.approx(1, abs=1e-4)
    assert len(normalised_wave(wave, 2)) == 2
    assert not normalised_wave(wave[:0], 3).any()


def test_the_stand_in_is_what_it_says(avamerg):
    scenes = [synth.plan(number, 0) for number in range(400)]
    told = {"text": [], "audio": [], "video": []}
    for scene in scenes:
        age = scene.profiles["speaker"].get("age")
        for modality, shown in scene.expressed.items():
            if age:
                told[modality].append((synth.AGES[age] == modality, shown == scene.label))
    for pairs in told.values():
        right = [hit for decides, hit in pairs if decides]
        chance = [hit for decides, hit in pairs if not decides]
        assert all(right)
        assert 0.15 < np.mean(chance) < 0.35  # one of four classes
    store = Store(avamerg / "prepared")
    assert store.synthetic
    lost = sum(len(json.loads(row["missing"])) for row in store.rows)
    named = sum(len(said.media) for one in AvaMERG().scan(avamerg).entries for said in one.parts)
    assert 0.03 < lost / named < 0.3
    text = json.loads((avamerg / "train.json").read_text())[0]
    assert [said["role"] for said in text["turn"]["dialogue"]] == [
        "speaker",
        "listener",
        "speaker",
        "listener_response",
    ]


def test_a_stand_in_carries_on_and_is_kept_apart(avamerg, tmp_path, capsys):
    out = tmp_path / "stand_in"
    command = ["synth", "avamerg", "--out", str(out), "--clips", "40", "--workers", "1"]
    shutil.copytree(avamerg, out, ignore=shutil.ignore_patterns("prepared"))
    marker = out / "SYNTHETIC"
    marker.write_text(marker.read_text().strip() + " (incomplete)\n")
    victims = sorted(path for path in out.rglob("*.mp4"))[:2] + sorted(path for path in out.rglob("*.wav"))[:2]
    for victim in victims:
        victim.unlink()
    assert prepare(out, tmp_path / "prepared") == 2
    assert "not finished" in capsys.readouterr().err
    assert cli.main(command) == 0
    for path in (path for path in avamerg.rglob("*") if path.is_file() and "prepared" not in path.parts):
        assert path.read_bytes() == (out / path.relative_to(avamerg)).read_bytes(), path.name
    assert cli.main([*command, "--seed", "1"]) == 2
    assert "holds another corpus" in capsys.readouterr().err
    assert cli.main([*command[:-3], "9"]) == 2
    assert "--clips 9" in capsys.readouterr().err
