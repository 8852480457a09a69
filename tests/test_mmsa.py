"""Pickles of MMSA: arrays and containers alone, their splits, groups and labels, and what is not believed of them."""

import builtins
import collections
import os
import pickle

import numpy as np
import pytest
import torch

import cli
from datamodules.errors import DataError
from datamodules.reading.mmsa import read_mmsa
from datamodules.reading.plain_pickle import read_pickle
from datamodules.shapes.precomputed import PrecomputedTensorDataModule
from experiments.results import cell as results

STEPS = {"audio": 9, "vision": 7, "text": 5}
SIZES = {"audio": 4, "vision": 6, "text": 8}
VIDEOS = {"train": 3, "valid": 1, "test": 2}


def segments(scale=3.0):
    """Content of a pickle: three segments a video, unequal lengths, -inf in audio, lists beside arrays."""
    rng = np.random.default_rng(0)
    content = {}
    for part, videos in VIDEOS.items():
        ids = [f"{part}{video}$_${segment}" for video in range(videos) for segment in range(3)]
        count = len(ids)
        fields = {"id": ids, "raw_text": ["it was fine"] * count, "annotations": ["Positive"] * count}
        for name, steps in STEPS.items():
            fields[name] = rng.normal(0, 1, (count, steps, SIZES[name]))
        fields["text"] = fields["text"].astype(np.float32)
        fields["audio"][0, 0, 0] = -np.inf
        fields["audio_lengths"] = [1 + place % STEPS["audio"] for place in range(count)]
        fields["vision_lengths"] = np.array([STEPS["vision"] - place % 3 for place in range(count)])
        fields["text_bert"] = np.zeros((count, 3, STEPS["text"]))
        fields["regression_labels"] = rng.uniform(-scale, scale, count).astype(np.float32)
        fields["regression_labels_T"] = [float(value) for value in rng.uniform(-scale, scale, count)]
        content[part] = fields
    return content


def write(path, content, protocol=4):
    path.write_bytes(pickle.dumps(content, protocol))
    return path


def make(path, **options):
    return PrecomputedTensorDataModule(str(path), **{"protocol": "honest", **options})


def every(data, split):
    clips = data.dataset(split)
    return clips.__getitems__(list(range(len(clips))))


def refused(action):
    with pytest.raises(DataError) as stop:
        action()
    assert stop.value.exit_code == 2
    assert "\n" not in str(stop.value)
    return str(stop.value)


@pytest.fixture
def path(tmp_path):
    return write(tmp_path / "tiny.pkl", segments())


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickle_of_arrays_is_read_as_pickle_reads_it(tmp_path, protocol):
    content = {
        "big": np.arange(6, dtype=">i4").reshape(2, 3),
        "columns": np.asfortranarray(np.random.default_rng(0).normal(size=(3, 4))),
        "text": np.array(["x", "yy"]),
        "objects": np.array(["x", "yyy"], object),
        "number": np.float32(2.5),
        "half": np.ones(3, np.float16),
        "nothing": np.zeros((0, 4)),
        "list": [1, 2.5, None, "x", b"q", b"", True],
        "ordered": collections.OrderedDict(a=[1]),
    }
    found = read_pickle(write(tmp_path / "x.pkl", content, protocol))
    assert list(found) == list(content)
    for name, value in content.items():
        if isinstance(value, np.ndarray):
            np.testing.assert_array_equal(np.asarray(found[name]), value)
            assert name == "objects" or found[name].dtype == value.dtype
        else:
            assert found[name] == value


def test_tensors_in_a_pickle_are_read_as_arrays(tmp_path):
    tensor = torch.arange(6.0).reshape(2, 3)
    found = read_pickle(write(tmp_path / "x.pkl", {"t": tensor.T, "half": tensor.bfloat16(), "whole": tensor.long()}))
    np.testing.assert_array_equal(found["t"], tensor.T.numpy())
    np.testing.assert_array_equal(found["half"], tensor.numpy())
    assert found["whole"].dtype == np.int64


class Bomb:
    def __init__(self, call, *arguments):
        self.what = call, arguments

    def __reduce__(self):
        return self.what


@pytest.mark.parametrize(
    ("call", "name"),
    [(os.mkdir, "posix.mkdir"), (builtins.eval, "builtins.eval"), (np.load, "numpy.load"), (bytearray, "bytearray")],
)
def test_what_a_pickle_names_besides_is_refused_by_name_and_not_run(tmp_path, call, name):
    canary = tmp_path / "canary"
    argument = {"posix.mkdir": str(canary), "builtins.eval": f"__import__('os').mkdir({str(canary)!r})"}
    path = write(tmp_path / "x.pkl", {"train": Bomb(call, argument.get(name, 8))})
    told = refused(lambda: make(path))
    assert str(path) in told
    assert name in told
    assert "nothing of it was run" in told
    assert not canary.exists()


def test_an_array_is_not_made_by_numpy_with_what_a_file_says(tmp_path):
    """A shape that would take the machine's memory, objects from bytes, fewer bytes than the shape says."""
    reconstruct = np.zeros(1).__reduce__()[0]
    huge = Bomb(reconstruct, np.ndarray, (1 << 40,), b"b")
    assert read_pickle(write(tmp_path / "huge.pkl", [huge])) == [None]  # no state: no array

    class Lie:
        def __init__(self, *state):
            self.state = state

        def __reduce__(self):
            return reconstruct, (np.ndarray, (0,), b"b"), self.state

    for state in [
        (1, (3,), np.dtype("f8"), False, b"12345678"),
        (1, (1,), np.dtype("O"), False, b"12345678"),
        (1, (2,), np.dtype("O"), False, [1]),
        (1, (1,), np.dtype([("a", "f4")]), False, b"1234"),
        (1, (1,), "f4", False, b"1234"),
        (1, (1,), np.dtype("f4"), False, 3),
    ]:
        path = write(tmp_path / "lie.pkl", [Lie(*state)])
        assert f"{path} is damaged" in refused(lambda path=path: read_pickle(path))


@pytest.mark.parametrize(
    "content", [b"", b"\x80\x04", b"not a pickle", b"\x80\x04\x96\xff\xff\xff\xff\xff\xff\xff\x7f."]
)
def test_a_damaged_pickle_is_one_line(tmp_path, content):
    path = tmp_path / "x.pkl"
    path.write_bytes(content)
    assert str(path) in refused(lambda: make(path))


def test_every_way_to_cut_a_pickle_is_one_line(tmp_path, path):
    whole = path.read_bytes()
    for end in range(0, len(whole), len(whole) // 60):
        (tmp_path / "cut.pkl").write_bytes(whole[:end])
        assert "cut.pkl" in refused(lambda: make(tmp_path / "cut.pkl"))


def test_deep_and_cyclic_containers_end(tmp_path):
    deep = []
    for _ in range(50):
        deep = [deep]
    assert "nested more than 20" in refused(lambda: read_pickle(write(tmp_path / "deep.pkl", deep)))
    cycle = []
    cycle.append(cycle)
    found = read_pickle(write(tmp_path / "cycle.pkl", cycle))
    assert found[0] is found


def test_splits_groups_labels_and_lengths(path):
    content = segments()
    data = make(path)
    assert data.num_outputs == 1
    assert data.class_names == []
    assert data.group_name == "videos"
    meaning = {"kind": "value", "unit": "", "range": [-3, 3], "scale": "sentiment"}
    assert data.outputs == {"sentiment": meaning}
    assert data.input_shapes == {"text": [0, 8], "audio": [0, 4], "vision": [0, 6]}
    for part, split in (("train", "train"), ("valid", "val"), ("test", "test")):
        batch, fields = every(data, split), content[part]
        assert batch["id"] == fields["id"]
        assert batch["group"] == [clip.split("$_$")[0] for clip in fields["id"]]
        np.testing.assert_array_equal(batch["target"]["sentiment"], fields["regression_labels"])
        assert batch["length"]["audio"].tolist() == list(fields["audio_lengths"])
        assert batch["length"]["vision"].tolist() == list(fields["vision_lengths"])
        assert batch["length"]["text"].tolist() == [STEPS["text"]] * len(fields["id"])
        for name in STEPS:
            values = np.where(np.isneginf(fields[name]), 0, fields[name])
            for row, length in enumerate(batch["length"][name].tolist()):
                np.testing.assert_allclose(batch[name][row, :length], values[row, :length], rtol=1e-6)
                assert not batch[name][row, length:].any()


def test_infinities_are_counted_and_told(path):
    with pytest.warns(UserWarning, match="3 values of audio are -inf or NaN and count as 0"):
        assert make(path).tables["audio"].items[0][0, 0] == 0


def test_the_mask_of_words_says_how_long_aligned_features_are(tmp_path):
    content = segments()
    for fields in content.values():
        del fields["audio_lengths"], fields["vision_lengths"]
        fields["text_bert"][:, 1, :3] = 1
        fields["audio"] = fields["audio"][:, : STEPS["text"]]
    batch = every(make(write(tmp_path / "a.pkl", content)), "test")
    assert set(batch["length"]["text"].tolist()) == set(batch["length"]["audio"].tolist()) == {3}
    assert set(batch["length"]["vision"].tolist()) == {STEPS["vision"]}


def test_arrays_are_believed_where_lengths_say_more(tmp_path):
    content = segments()
    content["test"]["audio_lengths"] = [99] * 6
    content["config"] = {"seq_lens": [50, 500, 375]}
    data = make(write(tmp_path / "a.pkl", content))
    with pytest.warns(UserWarning, match="6 lengths of audio are beyond its array"):
        assert set(every(data, "test")["length"]["audio"].tolist()) == {STEPS["audio"]}
    assert data.provenance["audio"] == {"tool": "MMSA-FET", "settings": {"seq_lens": [50, 500, 375]}}


def test_lists_and_torch_files_are_the_same(tmp_path, path):
    wanted = every(make(path), "train")
    content = segments()
    for fields in content.values():
        fields["audio"] = fields["audio"].tolist()
        fields["vision"] = list(fields["vision"])
        fields["id"] = np.array(fields["id"])
        fields["regression_labels"] = fields["regression_labels"].tolist()
    listed = every(make(write(tmp_path / "lists.pkl", content)), "train")
    tensors = {
        part: {name: torch.from_numpy(of) if isinstance(of, np.ndarray) else of for name, of in fields.items()}
        for part, fields in segments().items()
    }
    torch.save(tensors, tmp_path / "tensors.pt")
    saved = every(make(tmp_path / "tensors.pt"), "train")
    pickled = every(make(write(tmp_path / "tensors.pkl", tensors)), "train")
    for other in (listed, saved, pickled):
        assert other["id"] == wanted["id"]
        for name in STEPS:
            torch.testing.assert_close(other[name], wanted[name])
            assert other["length"][name].equal(wanted["length"][name])


def test_a_list_that_stands_in_a_file_many_times_is_not_multiplied(tmp_path):
    content = segments()
    row = [0.5] * 1000
    content["train"]["audio"] = [[row] * 1000] * 9
    path = write(tmp_path / "a.pkl", content)
    assert "train.audio holds something that is no array" in refused(lambda: make(path).tables)


def test_further_labels_and_the_scale_of_sims(tmp_path):
    path = write(tmp_path / "sims.pkl", segments(scale=1))
    data = make(path, values=["regression_labels", "regression_labels_T"])
    assert data.tasks == {"sentiment": 0, "sentiment_T": 0}
    assert data.outputs["sentiment_T"]["range"] == [-1, 1]
    np.testing.assert_allclose(
        every(data, "val")["target"]["sentiment_T"], segments(1)["valid"]["regression_labels_T"], rtol=1e-6
    )
    other = make(write(tmp_path / "other.pkl", segments(scale=10)))
    assert other.outputs == {"sentiment": {"kind": "value", "unit": "", "range": None}}


def test_videos_in_two_splits_are_told(tmp_path):
    content = segments()
    content["test"]["id"][0] = "train0$_$77"
    data = make(write(tmp_path / "a.pkl", content))
    with pytest.warns(UserWarning, match="videos train0 are in both train and test, as the file divides them"):
        assert len(data.rows["test"]) == 6


def without(part, name):
    def change(content):
        del content[part][name]

    return change


@pytest.mark.parametrize(
    ("change", "options", "text"),
    [
        (lambda content: content.pop("valid"), {}, "no valid in it"),
        (without("test", "id"), {}, "test has no ids"),
        (without("test", "regression_labels"), {}, "test has no regression_labels"),
        (without("test", "audio"), {"features": {"audio": "audio"}}, "test.audio is not there"),
        (lambda content: content["test"]["id"].__setitem__(0, "test0$_$1"), {}, "ids come twice (test0$_$1)"),
        (lambda content: content["train"].update(audio=np.zeros((3, 9, 4))), {}, "train.audio has 3 rows for 9 ids"),
        (lambda content: content["train"].update(audio=np.zeros((9, 9, 5))), {}, "audio of valid0$_$0"),
        (lambda content: content["train"].update(audio_lengths=[-1] * 9), {}, "audio_lengths are no 9 numbers"),
        (lambda content: content["train"].update(audio_lengths=["x"] * 9), {}, "audio_lengths are no 9 numbers"),
        (lambda content: content["train"].update(regression_labels=["x"] * 9), {}, "is no number for each of 9 ids"),
        (lambda content: content["train"]["audio"].fill(np.inf), {}, "audio is not finite in 9 clips"),
        (lambda content: None, {"features": {"words": "raw_text"}}, "train.raw_text holds something that is no array"),
        (lambda content: None, {"values": ["valence"]}, "train has no valence"),
        (lambda content: None, {"protocol": "paper"}, "which is the protocol honest"),
        (lambda content: None, {"class_names": ["a", "b"]}, "--data.class_names"),
        (lambda content: None, {"columns": {"audio": ["a"]}}, "--data.columns"),
    ],
)
def test_what_does_not_fit_is_one_line(tmp_path, change, options, text):
    content = segments()
    change(content)
    path = write(tmp_path / "a.pkl", content)
    assert text in refused(lambda: make(path, **options).tables)


def test_a_pickle_that_is_no_dict_is_one_line(tmp_path):
    for content in ([], {"train": [], "valid": {}, "test": {}}, 3):
        path = write(tmp_path / "a.pkl", content)
        assert f"{path}: no " in refused(lambda path=path: make(path))
    assert read_mmsa(write(tmp_path / "a.pkl", segments())).config == {}


def test_the_fingerprint_follows_file_and_fields(tmp_path, path):
    whole = make(path).fingerprint
    assert make(path).fingerprint == whole
    assert make(path, features={"audio": "audio"}).fingerprint != whole
    assert make(write(tmp_path / "b.pkl", segments(scale=2))).fingerprint != whole


@pytest.mark.usefixtures("unrendered")
def test_a_fit_reports_what_papers_report(path, tmp_path, capfd):
    (tmp_path / "SYNTHETIC").touch()
    run = tmp_path / "run"
    fit = ["fit", "--config", "experiments/features.yaml", "--data.root", str(path), "--data.protocol", "honest"]
    assert cli.main([*fit, "--trainer.max_epochs", "2", "--trainer.default_root_dir", str(run)]) == 0
    result = results.read_result(run)
    metrics = result["selections"]["selected"]
    for name in ("mae", "pearson", "acc2_nonnegative", "acc2_positive", "f1_nonnegative", "f1_positive", "acc7"):
        assert f"{name}_sentiment" in metrics
    assert result["outputs"]["sentiment"]["scale"] == "sentiment"
    assert "sentiment MAE" in capfd.readouterr().out
    lines = (run / "predictions-selected.csv").read_text().splitlines()
    assert lines[0] == "id,group,target,target_sentiment,pred_sentiment"
    assert len(lines) == 7
