"""Sequences of unequal length, splits, shares and values of an index, and what made the features."""

import json

import numpy as np
import pytest
import torch
from test_precomputed import IDS, every, make, message, rows, values, write_folder, write_index

import cli
from datamodules.shapes.precomputed import PrecomputedTensorDataModule
from experiments.results import cell as results

STEPS = {clip: 3 + place % 7 for place, clip in enumerate(IDS)}


def sequences(dtype=np.float32, width=4):
    rng = np.random.default_rng(2)
    return {clip: rng.normal(2, 3, (steps, width)).astype(dtype) for clip, steps in STEPS.items()}


@pytest.fixture
def root(tmp_path):
    """A corpus of one modality of unequal length, ``face``."""
    write_index(tmp_path)
    write_folder(tmp_path / "face", sequences())
    return tmp_path


def labelled(root, **columns):
    """Writes an index with other labels: a function of the row's place by column; None takes a column away."""
    content = rows()
    for place, row in enumerate(content):
        for name, of in columns.items():
            row.pop(name, None)
            if of is not None:
                row[name] = of(place)
    write_index(root, content)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("suffix", [".npy", ".pt", ".npz"])
def test_clips_of_unequal_length_are_padded_to_the_longest_of_the_batch(tmp_path, dtype, suffix):
    write_index(tmp_path)
    content = sequences(dtype)
    if suffix == ".npz":
        (tmp_path / "face").mkdir()
        for clip, array in content.items():
            np.savez(tmp_path / "face" / f"{clip}.npz", units=array, other=array[:1])
    else:
        write_folder(tmp_path / "face", content, suffix)
    data = make(tmp_path, {"face": "face:units" if suffix == ".npz" else "face"})
    assert data.input_shapes == {"face": [0, 4]}
    clips = data.dataset("train")
    for places in ([0, 1, 2], [4], [9, 3]):
        batch = clips.__getitems__(places)
        lengths = [STEPS[clip] for clip in batch["id"]]
        assert batch["length"]["face"].tolist() == lengths
        assert batch["face"].shape == (len(places), max(lengths), 4)
        assert batch["face"].dtype == torch.float32
        assert batch["mask"]["face"].all()
        for row, clip in enumerate(batch["id"]):
            np.testing.assert_array_equal(batch["face"][row, : STEPS[clip]], content[clip].astype(np.float32))
            assert not batch["face"][row, STEPS[clip] :].any()


def test_steps_cut_and_pad_all_clips_to_one_length(root):
    with pytest.warns(UserWarning, match=r"--data\.steps: face of 11 clips is longer than 5 steps"):
        shapes = make(root, steps={"face": 5}).input_shapes
    assert shapes == {"face": [5, 4]}
    data = make(root, steps={"face": 5})
    batch = every(data, "train")
    assert batch["face"].shape[1:] == (5, 4)
    assert batch["length"]["face"].tolist() == [min(STEPS[clip], 5) for clip in batch["id"]]
    assert data.dataset("train").__getitems__([0])["face"].shape[1] == 5


def test_time_may_be_the_last_axis(tmp_path):
    write_index(tmp_path)
    content = {clip: array.T for clip, array in sequences().items()}
    write_folder(tmp_path / "voice", content)
    assert "but s0-0.npy is" in message(lambda: make(tmp_path, {"voice": "voice"}).tables)
    data = make(tmp_path, {"voice": "voice"}, time_last=["voice"], steps={"voice": 20}, standardize=["voice"])
    assert data.input_shapes == {"voice": [4, 20]}
    batch = every(data, "train")
    real = torch.cat([batch["voice"][row, :, : STEPS[clip]] for row, clip in enumerate(batch["id"])], dim=1)
    torch.testing.assert_close(real.mean(1), torch.zeros(4), rtol=0, atol=1e-5)
    torch.testing.assert_close(real.std(1, correction=0), torch.ones(4), rtol=0, atol=1e-5)


def test_standardize_takes_the_steps_of_the_training_clips_alone(root):
    content = sequences()
    for clip in IDS[:5]:  # the test speaker is far off
        content[clip] = content[clip] + 100
    for clip in IDS:
        content[clip][:, 3] = 0.1
    write_folder(root / "face", content)
    data = make(root, standardize="all")
    train = np.concatenate([content[clip] for clip in IDS[5:]]).astype(np.float64)
    for split in ("train", "test"):
        batch = every(data, split)
        for row, clip in enumerate(batch["id"]):
            seen = batch["face"][row, : STEPS[clip]]
            wanted = (content[clip] - train.mean(0))[:, :3] / train.std(0)[:3]
            np.testing.assert_allclose(seen[:, :3], wanted, rtol=1e-4, atol=1e-4)
            assert seen[:, 3].abs().max() < (1e-6 if split == "train" else 200)


def test_a_clip_without_a_step_is_absent_and_told(root):
    np.save(root / "face" / f"{IDS[7]}.npy", np.zeros((0, 4), np.float32))
    data = make(root)
    with pytest.warns(UserWarning, match="face of 1 clips has no step and counts as absent: s1-2"):
        batch = every(data, "train")
    assert [clip for clip, there in zip(batch["id"], batch["mask"]["face"], strict=True) if not there] == [IDS[7]]
    alone = data.dataset("train").__getitems__([2])
    assert alone["face"].shape == (1, 1, 4)
    assert not alone["face"].any()


def test_missing_rates_reach_sequences(root):
    data = make(root, missing={"face": 0.4})
    batch = every(data, "train")
    assert batch["mask"]["face"].tolist() == [not data.is_missing("face", clip) for clip in batch["id"]]
    assert not batch["face"][~batch["mask"]["face"]].any()


def test_values_that_are_not_finite_name_the_clips(root):
    content = sequences()
    content[IDS[3]][1, 1] = np.nan
    write_folder(root / "face", content)
    assert "face is not finite in 1 clips: s0-3" in message(lambda: make(root).tables)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"steps": {"face": 0}}, "--data.steps: 0 of face; at least 1"),
        ({"steps": {"voice": 3}}, "--data.steps names voice; there are face"),
        ({"time_last": ["voice"]}, "--data.time_last names voice"),
        ({"columns": {"voice": ["a"]}}, "--data.columns names voice"),
        ({"confidence": 1.5}, "--data.confidence 1.5"),
        ({"values": ["valence"]}, "no column valence"),
        ({"features": {}}, "--data.features: names no modality"),
    ],
)
def test_impossible_options_are_refused(root, options, text):
    given = {"features": {"face": "face"}, **options}
    assert text in message(lambda: PrecomputedTensorDataModule(str(root), **given))


def test_a_table_of_each_clip(tmp_path):
    write_index(tmp_path)
    (tmp_path / "face").mkdir()
    for clip, array in sequences().items():
        lines = [f"{row}, 0.9, {a:.6f}, {b:.6f}" for row, (a, b, *_) in enumerate(array)]
        lines.append(f"{len(array)}, 0.1, 900, 900")
        (tmp_path / "face" / f"{clip}.csv").write_text("\n".join(["frame, confidence, AU01_r, AU02_r", *lines]))
    assert "of the .csv that are there, --data.columns '{face: [...]}'" in message(
        lambda: make(tmp_path, {"face": "face"}).tables
    )
    data = make(tmp_path, {"face": "face"}, columns={"face": ["AU*_r"]})
    with pytest.warns(UserWarning, match=r"of face, 20 rows without a face \(confidence below 0.7"):
        batch = every(data, "train")
    for row, clip in enumerate(batch["id"]):
        np.testing.assert_allclose(batch["face"][row, : STEPS[clip]], sequences()[clip][:, :2], atol=1e-5)
    assert data.provenance == {"face": {"columns": ["AU01_r", "AU02_r"]}}


def test_every_folder_with_features_is_a_modality_where_none_is_named(root):
    write_folder(root / "voice", values((2,)))
    (root / "notes").mkdir()
    assert PrecomputedTensorDataModule(str(root)).features == {"face": "face", "voice": "voice"}


def test_files_beside_the_index_are_one_modality(tmp_path):
    write_index(tmp_path)
    assert "holds no folder with .npy or .pt files" in message(lambda: PrecomputedTensorDataModule(str(tmp_path)))
    write_folder(tmp_path, sequences())
    assert PrecomputedTensorDataModule(str(tmp_path)).input_shapes == {"features": [0, 4]}


def test_splits_in_place_of_folds(root):
    names = ["train", "Valid", "test", "train"]
    labelled(root, fold=None, split=lambda place: names[place // 5])
    data = make(root, protocol="honest")
    for split, group in (("val", "s1"), ("test", "s2")):
        assert set(every(data, split)["group"]) == {group}
    assert len(every(data, "train")["id"]) == 10
    assert data.num_folds == 1
    assert "which is the protocol honest" in message(lambda: make(root))
    labelled(root, fold=None, split=lambda place: "train" if place < 10 else "test")
    assert "no val clips" in message(lambda: make(root, protocol="honest").rows)
    labelled(root, fold=None, split=lambda place: names[place % 4])
    assert "are in both train and" in message(lambda: make(root, protocol="honest").rows)
    labelled(root, fold=None, split=lambda place: "trian")
    assert "line 2: split is 'trian'; it is train, val or test" in message(lambda: make(root, protocol="honest"))


@pytest.mark.parametrize("prefix", ["soft_", "label_"])
def test_shares_and_numbers_of_raters_are_soft_labels(root, prefix):
    columns = {f"{prefix}sad": lambda place: str(place % 3), f"{prefix}glad": lambda place: "1.5"}
    labelled(root, target=None, **columns)
    data = make(root)
    assert data.tasks == {}
    assert data.class_names == ["sad", "glad"]
    batch = every(data, "test")
    wanted = torch.tensor([[place % 3, 1.5] for place in range(5)])
    torch.testing.assert_close(batch["target"], wanted / wanted.sum(1, keepdim=True))
    assert data.train_labels.tolist() == [int(place % 3 < 1.5) for place in range(5, 20)]
    assert data.outputs == {"class": {"kind": "soft", "classes": ["sad", "glad"]}}
    for broken in ("-1", "", "x"):
        labelled(root, target=None, **{**columns, f"{prefix}sad": lambda place, text=broken: text})
        assert "line 2: " in message(lambda: make(root))
    labelled(root, target=None, **{f"{prefix}sad": lambda place: "0", f"{prefix}glad": lambda place: "0"})
    assert "need a share" in message(lambda: make(root))


def test_classes_and_values_together_are_tasks(root):
    labelled(
        root,
        target=lambda place: "" if place == 3 else str(place % 3),
        value_valence=lambda place: "" if place % 4 == 0 else f"{place / 10 - 1}",
        arousal=lambda place: str(place),
    )
    data = make(root)
    assert data.tasks == {"class": 3, "valence": 0}
    assert data.num_outputs == 4
    target = every(data, "test")["target"]
    assert target["class"].tolist() == [0, 1, 2, -1, 1]
    torch.testing.assert_close(
        target["valence"], torch.tensor([torch.nan, -0.9, -0.8, -0.7, torch.nan]), equal_nan=True
    )
    chosen = make(root, values=["arousal"])
    assert chosen.tasks == {"class": 3, "arousal": 0}
    assert every(chosen, "test")["target"]["arousal"].tolist() == [0, 1, 2, 3, 4]
    labelled(root, value_valence=lambda place: "high")
    assert "value_valence is 'high', not a number" in message(lambda: make(root))


def test_values_alone(root):
    labelled(root, target=None, value_pain=lambda place: str(place))
    data = make(root)
    assert (data.tasks, data.num_outputs, data.class_names) == ({"pain": 0}, 1, [])
    assert data.train_values["pain"].tolist() == list(range(5, 20))
    assert data.outputs == {"pain": {"kind": "value", "unit": "", "range": None}}


TOLD = {"face": {"tool": "OpenFace", "version": "2.2.0", "settings": {"rate": 25}, "columns": ["a", "b", "c", "d"]}}


def test_what_made_the_features_is_kept_in_checkpoints(root):
    with pytest.warns(UserWarning, match=r"features\.json does not tell what made face"):
        assert make(root).provenance == {}
    (root / "features.json").write_text(json.dumps({**TOLD, "another": {"tool": "x"}}))
    data = make(root)
    assert data.provenance == TOLD
    assert data.state_dict()["provenance"] == TOLD
    data.load_state_dict(data.state_dict())
    other = json.loads(json.dumps(data.state_dict()))
    other["provenance"]["face"]["version"] = "2.1.0"
    with pytest.warns(UserWarning, match="trained on face of another version"):
        data.load_state_dict(other)
    (root / "features.json").write_text(json.dumps({"face": {**TOLD["face"], "columns": ["a", "b"]}}))
    assert "columns names 2 values of face, the features have 4" in message(lambda: make(root).tables)


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        "{",
        '{"face": 3}',
        '{"face": {}}',
        '{"face": {"tool": 3}}',
        '{"face": {"tool": "x", "class_path": "os.system"}}',
        '{"face": {"tool": "x", "columns": ["a", "a"]}}',
        '{"face": {"tool": "x", "columns": [1]}}',
        '{"face": {"tool": "x", "settings": NaN}}',
        '{"face": {"tool": "x", "settings": ' + "[" * 200 + "]" * 200 + "}}",
        '{"face": {"tool": "' + "x" * (1 << 20) + '"}}',
    ],
)
def test_a_damaged_provenance_is_one_line(root, text):
    (root / "features.json").write_text(text)
    found = message(lambda: make(root))
    assert str(root / "features.json") in found
    assert "\n" not in found


def test_features_that_fill_the_memory_are_refused(root, monkeypatch):
    size = sum(path.stat().st_size for path in (root / "face").iterdir())
    monkeypatch.setattr("os.sysconf", lambda name: {"SC_PHYS_PAGES": 2 * size - 1, "SC_PAGE_SIZE": 1}[name])
    assert "half of this machine's memory" in message(lambda: make(root).tables)
    monkeypatch.setattr("os.sysconf", lambda name: {"SC_PHYS_PAGES": 2 * size, "SC_PAGE_SIZE": 1}[name])
    assert make(root).input_shapes


@pytest.mark.usefixtures("unrendered")
def test_a_fit_on_classes_and_values_of_unequal_sequences(root, tmp_path, capfd):
    labelled(root, value_valence=lambda place: str(place / 10))
    write_folder(root / "words", values((5,)))
    (root / "features.json").write_text(json.dumps(TOLD))
    run = tmp_path / "run"
    fit = ["fit", "--config", "experiments/features.yaml", "--data.root", str(root), "--trainer.max_epochs", "2"]
    assert cli.main([*fit, "--trainer.default_root_dir", str(run), "--data.protocol", "honest"]) == 0
    result = results.read_result(run)
    assert {"accuracy", "ccc_valence"} <= set(result["selections"]["selected"])
    assert result["provenance"] == TOLD
    assert not [name for name in result["selections"]["selected"] if name.startswith("acc2")]
    stored = torch.load(run / "checkpoints" / "best.ckpt", weights_only=True)
    assert stored["PrecomputedTensorDataModule"]["provenance"] == TOLD
    best = ["--ckpt_path", str(run / "checkpoints" / "best.ckpt")]
    capfd.readouterr()
    assert cli.main(["test", *fit[1:5], "--data.protocol", "honest", *best]) == 0
    selected = (run / "predictions-selected.csv").read_text()
    assert (run / "predictions-test.csv").read_text() == selected
