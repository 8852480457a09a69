"""Features from disk: joined by id, checked before the first step, and nothing in a file is ever executed."""

import csv
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny import TinyTask

import cli
from datamodules.errors import DataError
from datamodules.shapes.precomputed import PrecomputedTensorDataModule
from lightning_modules.errors import TaskError

SPEAKERS, PER_SPEAKER, CLASSES = 4, 5, 3
IDS = [f"s{speaker}-{clip}" for speaker in range(SPEAKERS) for clip in range(PER_SPEAKER)]


def rows():
    return [
        {"id": clip, "group": clip[:2], "target": str(row % CLASSES), "fold": clip[1]} for row, clip in enumerate(IDS)
    ]


def write_index(root, content=None):
    content = rows() if content is None else content
    with (root / "index.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, content[0])
        writer.writeheader()
        writer.writerows(content)


def values(shape=(6, 4), seed=0):
    """A feature array per clip, all different."""
    drawn = np.random.default_rng(seed).normal(3, 2, (len(IDS), *shape)).astype(np.float32)
    return dict(zip(IDS, drawn, strict=True))


def write_folder(folder, content, suffix=".npy"):
    folder.mkdir(exist_ok=True)
    for clip, array in content.items():
        if suffix == ".pt":
            torch.save(torch.from_numpy(array), folder / f"{clip}.pt")
        else:
            np.save(folder / f"{clip}.npy", array)


def write_npz(path, content, order=None, **extra):
    order = list(content) if order is None else order
    np.savez(path, id=np.array(order), face=np.stack([content[clip] for clip in order]), **extra)


def make(root, features=None, **options):
    return PrecomputedTensorDataModule(str(root), features or {"face": "face"}, **options)


def every(data, split):
    clips = data.dataset(split)
    return clips.__getitems__(list(range(len(clips))))


def message(action):
    with pytest.raises(DataError) as stop:
        action()
    assert stop.value.exit_code == 2
    assert len(str(stop.value).splitlines()) <= 2
    return str(stop.value)


@pytest.fixture
def root(tmp_path):
    """A corpus of one modality, ``face``, in ``.npy`` files."""
    write_index(tmp_path)
    write_folder(tmp_path / "face", values())
    return tmp_path


SHUFFLED = [IDS[row] for row in np.random.default_rng(5).permutation(len(IDS))]


@pytest.mark.parametrize("kind", ["pt", "npy", "npz", "npz with more clips", "npz with bytes as ids"])
def test_features_meet_the_index_by_id(tmp_path, kind):
    content = values()
    write_index(tmp_path)
    features = {"face": "face" if kind in ("pt", "npy") else "all.npz"}
    if kind in ("pt", "npy"):
        write_folder(tmp_path / "face", content, f".{kind}")
    elif kind == "npz":  # the trap: rows in another order than the index
        write_npz(tmp_path / "all.npz", content, SHUFFLED)
    elif kind == "npz with more clips":
        write_npz(tmp_path / "all.npz", {"other": content[IDS[0]] + 1, **content})
    else:
        stacked = np.stack([content[clip] for clip in SHUFFLED])
        np.savez(tmp_path / "all.npz", id=np.array(SHUFFLED, dtype="S"), face=stacked)
    data = make(tmp_path, features, fold=1)
    assert data.input_shapes == {"face": [6, 4]}
    assert data.num_classes == CLASSES
    for split, speakers in (("train", {"s0", "s2", "s3"}), ("test", {"s1"})):
        batch = every(data, split)
        assert set(batch["group"]) == speakers
        assert set(batch) == {"id", "group", "face", "length", "mask", "target"}
        assert batch["face"].dtype == torch.float32
        assert batch["target"].dtype == torch.int64
        assert batch["mask"]["face"].dtype == torch.bool
        for row, clip in enumerate(batch["id"]):
            np.testing.assert_array_equal(batch["face"][row], content[clip])
            assert batch["target"][row] == IDS.index(clip) % CLASSES
            assert batch["group"][row] == clip[:2]
            assert batch["mask"]["face"][row]


def test_named_array_of_an_npz_and_two_modalities(tmp_path):
    write_index(tmp_path)
    faces, voices = values(), values((2,), seed=1)
    np.savez(tmp_path / "all.npz", id=SHUFFLED, f=[faces[c] for c in SHUFFLED], v=[voices[c] for c in SHUFFLED])
    data = make(tmp_path, {"face": "all.npz:f", "voice": "all.npz:v"}, protocol="honest", fold=3)
    assert data.input_shapes == {"face": [6, 4], "voice": [2]}
    batch = every(data, "val")
    assert set(batch["group"]) == {"s0"}
    for row, clip in enumerate(batch["id"]):
        np.testing.assert_array_equal(batch["face"][row], faces[clip])
        np.testing.assert_array_equal(batch["voice"][row], voices[clip])


@pytest.mark.parametrize(
    ("stored", "read"),
    [("float16", "float32"), ("float64", "float32"), ("bfloat16", "float32"), ("uint8", "uint8")],
)
def test_floats_become_float32_and_bytes_stay(tmp_path, stored, read):
    write_index(tmp_path)
    (tmp_path / "face").mkdir()
    tensors = {clip: torch.from_numpy(array).abs().to(getattr(torch, stored)) for clip, array in values().items()}
    for clip, tensor in tensors.items():
        torch.save(tensor.requires_grad_() if tensor.is_floating_point() else tensor, tmp_path / "face" / f"{clip}.pt")
    batch = every(make(tmp_path), "test")
    assert batch["face"].dtype == getattr(torch, read)
    for row, clip in enumerate(batch["id"]):
        assert torch.equal(batch["face"][row], tensors[clip].detach().to(getattr(torch, read)))


def test_missing_clips_are_zeros(root):
    data = make(root, missing={"face": 0.4})
    batch = every(data, "train")
    present = batch["mask"]["face"]
    assert present.tolist() == [not data.is_missing("face", clip) for clip in batch["id"]]
    assert 0 < present.sum() < len(present)
    assert batch["face"][~present].abs().sum() == 0
    assert (batch["face"][present].abs().flatten(1).sum(1) > 0).all()
    assert (every(make(root), "train")["face"] != 0).all()  # what is in memory was not touched


@pytest.mark.parametrize("size", [1, 4])
def test_loaders(root, size):
    data = make(root, batch_size=size)
    batches = list(data.train_dataloader())
    assert len(batches[0]["id"]) == len(batches[0]["face"]) == size
    assert sorted(clip for batch in batches for clip in batch["id"]) == IDS[PER_SPEAKER:]


def test_index_is_missing(tmp_path):
    assert "index.csv" in message(lambda: make(tmp_path))


def broken_index(change):
    content = rows()
    change(content)
    return content


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda rows: [row.pop("fold") for row in rows], "no column fold"),
        (lambda rows: [(row.pop("fold"), row.pop("group")) for row in rows], "no column group, fold"),
        (lambda rows: rows.append({**rows[3], "group": "s9"}), "line 22: 's0-3' has group 's9', but 's0' in "),
        (lambda rows: rows.extend([{**row, "target": "7"} for row in rows]), "line 22: 's0-0' has target '7', but "),
        (lambda rows: rows[1].update(target="happy"), "line 3: target is 'happy'"),
        (lambda rows: rows[1].update(target="-1"), "line 3: target is '-1'"),
        (lambda rows: rows[1].update(target="1.0"), "line 3: target is '1.0'"),
        (lambda rows: rows[2].update(fold=""), "line 4: fold is ''"),
        (lambda rows: rows[2].update(id=""), "line 4: id is empty"),
        (lambda rows: rows[2].update(group=""), "line 4: group is empty"),
    ],
)
def test_broken_index_is_refused(root, change, text):
    write_index(root, broken_index(change))
    found = message(lambda: make(root))
    assert text in found
    assert "index.csv" in found


@pytest.mark.parametrize("content", [b"", b"id,group,target,fold\n", b"\xff\xfe\x00", b"id,group,target,fold\na,b\n"])
def test_unreadable_index_is_refused(root, content):
    (root / "index.csv").write_bytes(content)
    assert "index.csv" in message(lambda: make(root))


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"fold": 4}, "--data.fold 4: PrecomputedTensorDataModule has folds 0 to 3"),
        ({"class_names": ["a", "b"]}, "index.csv, line 4: target 2, but 2 classes"),
        ({"missing": {"voice": 0.1}}, "--data.missing names voice; there are face"),
        ({"features": {"../face": "face"}}, "--data.features: '../face' cannot be the name of a file"),
        ({"standardize": ["voice"]}, "--data.standardize names voice; there are face"),
    ],
)
def test_impossible_options_are_refused(root, options, text):
    assert text in message(lambda: make(root, **options))


def test_shared_group_is_refused(root):
    content = rows()
    content[0]["fold"] = "2"
    write_index(root, content)
    assert "s0 are in both" in message(lambda: make(root).rows)


def test_group_shared_by_folds_that_both_train_is_refused(root):
    content = rows()
    content[0]["fold"] = "2"
    write_index(root, content)
    assert "s0 are in both fold 0 and fold 2" in message(lambda: make(root, fold=1).rows)


def test_targets_that_no_clip_has_are_told(root):
    content = rows()
    content[0]["target"] = "5"
    write_index(root, content)
    with pytest.warns(UserWarning, match=r"index\.csv: no clip has the target 3, 4, yet 5 is one"):
        assert make(root).num_classes == 6


@pytest.mark.parametrize("other", [" s0", "s0 ", '" s0"', "s0\u00a0"])
def test_one_speaker_written_in_two_ways_is_one_speaker(root, other):
    lines = (root / "index.csv").read_text().replace("s0-0,s0,0,0", f" s0-0 ,{other}, 0 ,1").splitlines()
    header = lines[0].replace("target", " target ")
    (root / "index.csv").write_text("\ufeff" + "\r\n".join([header, *lines[1:]]))
    assert make(root).groups == [row["group"] for row in rows()]
    assert "s0 are in both" in message(lambda: make(root).rows)


def test_an_index_with_semicolons_and_blanks_is_the_same_index(root):
    plain = make(root).clips
    text = (root / "index.csv").read_text()
    (root / "index.csv").write_text("\ufeff" + text.replace(",", " ; ").replace("\n", "\r"))
    assert make(root).clips == plain


def test_ids_with_blanks_meet_those_of_the_index(root):
    content = values()
    write_npz(root / "plain.npz", content)
    write_npz(root / "blanks.npz", {f" {clip}": array for clip, array in content.items()})
    for path in sorted((root / "face").iterdir()):
        path.rename(path.with_name(f" {path.stem} .npy"))
    tables = [make(root, {"face": source}).tables["face"] for source in ("face", "plain.npz", "blanks.npz:face")]
    assert tables[0].equal(tables[1])
    assert tables[0].equal(tables[2])


def test_equal_rows_of_an_index_count_once_and_are_told(root):
    write_index(root, [*rows(), *rows()[:3]])
    with pytest.warns(UserWarning, match=r"index\.csv: 3 rows come twice and count once"):
        data = make(root)
    assert data.ids == IDS
    assert len(data.tables["face"]) == len(IDS)


def test_missing_files_are_counted(root):
    for clip in IDS[2:9]:
        (root / "face" / f"{clip}.npy").unlink()
    assert "7 clips" in message(lambda: make(root).tables)
    assert "s0-2, s0-3, s0-4 and 4 more" in message(lambda: make(root).tables)
    assert "no folder and no .npz file" in message(lambda: make(root, {"face": "nowhere"}).tables)


def save(root, array, clip=IDS[4]):
    np.save(root / "face" / f"{clip}.npy", array)


def test_odd_arrays_name_the_file(root):
    good = values()[IDS[4]]
    save(root, good[:, :3])
    assert "s0-4.npy: float32 (6, 3), but s0-0.npy is float32 (6, 4)" in message(lambda: make(root).tables)
    save(root, good[0])
    assert "s0-4.npy: float32 (4,), but s0-0.npy is float32 (6, 4)" in message(lambda: make(root).tables)
    write_folder(root / "face", values((4,)))
    save(root, good[0, :3])
    assert "s0-4.npy: float32 (3,), but s0-0.npy is float32 (4,)" in message(lambda: make(root).tables)
    write_folder(root / "face", values())
    save(root, good.astype(np.float64))
    assert "s0-4.npy: float64 (6, 4)" in message(lambda: make(root).tables)


@pytest.mark.parametrize("dtype", [np.int64, np.bool_, np.complex64, "U3"])
def test_other_types_are_refused(root, dtype):
    write_folder(root / "face", {clip: np.ones((6, 4)).astype(dtype) for clip in IDS})
    assert "expected floats or uint8" in message(lambda: make(root).tables)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_name_the_clips(root, bad):
    for clip in IDS[3:5]:
        array = values()[clip]
        array[5, 3] = bad
        save(root, array, clip)
    assert "face is not finite in 2 clips: s0-3, s0-4" in message(lambda: make(root).tables)


def test_values_beyond_float32_are_refused(root):
    content = {clip: array.astype(np.float64) for clip, array in values().items()}
    content[IDS[4]][0, 0] = 1e300
    write_folder(root / "face", content)
    assert "face is not finite in 1 clips: s0-4" in message(lambda: make(root).tables)


@pytest.mark.parametrize("suffix", [".npy", ".pt"])
@pytest.mark.parametrize("damage", ["empty", "cut", "noise"])
def test_damaged_file_is_named(tmp_path, suffix, damage):
    write_index(tmp_path)
    write_folder(tmp_path / "face", values(), suffix)
    path = tmp_path / "face" / f"{IDS[4]}{suffix}"
    content = path.read_bytes()
    path.write_bytes({"empty": b"", "cut": content[: len(content) // 2], "noise": bytes(range(256)) * 4}[damage])
    found = message(lambda: make(tmp_path).tables)
    assert str(path) in found


@pytest.mark.filterwarnings("ignore:Sparse invariant checks")
@pytest.mark.parametrize("content", [{"a": torch.ones(2)}, [1.0, 2.0], torch.ones(6, 4).to_sparse()])
def test_anything_but_a_plain_tensor_is_refused(tmp_path, content):
    write_index(tmp_path)
    write_folder(tmp_path / "face", values(), ".pt")
    path = tmp_path / "face" / f"{IDS[4]}.pt"
    torch.save(content, path)
    assert str(path) in message(lambda: make(tmp_path).tables)


class Bomb:
    """Makes a file when it is unpickled."""

    def __init__(self, canary):
        self.canary = canary

    def __reduce__(self):
        return os.mkdir, (str(self.canary),)


@pytest.mark.parametrize("suffix", [".pt", ".npy", ".npz"])
def test_nothing_in_a_file_is_executed(root, suffix):
    canary = root / "canary"
    if suffix == ".npz":
        path = root / "face.npz"
        np.savez(path, id=np.array(IDS), face=np.array([Bomb(canary)] * len(IDS), dtype=object))
        np.load(path, allow_pickle=True)["face"]
    elif suffix == ".npy":
        path = root / "face" / f"{IDS[4]}.npy"
        np.save(path, np.array([Bomb(canary)], dtype=object))
        np.load(path, allow_pickle=True)
    else:
        (root / "face" / f"{IDS[4]}.npy").unlink()
        path = root / "face" / f"{IDS[4]}.pt"
        torch.save(Bomb(canary), path)
        torch.load(path, weights_only=False)
    canary.rmdir()  # the file is live: a trusting reader just made it
    source = "face.npz" if suffix == ".npz" else "face"
    assert str(path) in message(lambda: make(root, {"face": source}).tables)
    assert not canary.exists()


def bad_npz(path: Path, kind):
    content = values()
    stacked = np.stack(list(content.values()))
    if kind == "no id":
        np.savez(path, face=stacked)
    elif kind == "other name":
        np.savez(path, id=IDS, faces=stacked)
    elif kind == "clip missing":
        write_npz(path, content, IDS[:-2])
    elif kind == "id twice":
        np.savez(path, id=[*IDS, IDS[0]], face=np.concatenate([stacked, stacked[:1]]))
    elif kind == "ids and rows differ":
        np.savez(path, id=[*IDS, IDS[0]], face=stacked)
    elif kind == "no rows":
        np.savez(path, id=IDS, face=np.float32(3))
    elif kind == "an npy file":
        with path.open("wb") as file:
            np.save(file, stacked)
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "cut":
        np.savez(path, id=IDS, face=stacked)
        path.write_bytes(path.read_bytes()[:-300])
    elif kind == "noise inside":
        np.savez_compressed(path, id=IDS, face=stacked)
        whole = bytearray(path.read_bytes())
        whole[len(whole) // 2 : len(whole) // 2 + 20] = bytes(20)
        path.write_bytes(bytes(whole))


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("no id", "no array id; it holds face"),
        ("other name", "no array face; it holds id, faces"),
        ("clip missing", "2 clips of"),
        ("id twice", "21 ids, 20 of them different, for 21 rows"),
        ("ids and rows differ", "21 ids, 20 of them different, for 20 rows"),
        ("no rows", "rows"),
        ("an npy file", "not a plain .npz file"),
        ("empty", "not a plain .npz file"),
        ("cut", "not a plain .npz file"),
        ("noise inside", "not a plain .npz file"),
        ("nowhere", "which is not there"),
    ],
)
def test_broken_npz_is_refused(root, kind, text):
    bad_npz(root / "face.npz", kind)
    found = message(lambda: make(root, {"face": "face.npz"}).tables)
    assert text in found
    assert "face.npz" in found


@pytest.mark.parametrize("protocol", ["paper", "honest"])
def test_standardize_uses_the_training_clips_alone(root, protocol):
    content = values()
    for clip in IDS[:PER_SPEAKER]:  # the test speaker, and the one who validates, are far off
        content[clip] = content[clip] + 100
    for clip in IDS[PER_SPEAKER : 2 * PER_SPEAKER]:
        content[clip] = content[clip] - (50 if protocol == "honest" else 0)
    write_folder(root / "face", content)
    data = make(root, standardize=["face"], protocol=protocol)
    held = IDS[PER_SPEAKER * (2 if protocol == "honest" else 1) :]
    train = np.stack([content[clip] for clip in held]).astype(np.float64)
    mean, deviation = train.mean(0), train.std(0)
    for split in data.rows:
        batch = every(data, split)
        for row, clip in enumerate(batch["id"]):
            np.testing.assert_allclose(batch["face"][row], (content[clip] - mean) / deviation, rtol=1e-4, atol=1e-4)
    batch = every(data, "train")["face"]
    torch.testing.assert_close(batch.mean(0), torch.zeros(6, 4), rtol=0, atol=1e-5)
    torch.testing.assert_close(batch.std(0, correction=0), torch.ones(6, 4), rtol=0, atol=1e-5)


def test_standardize_leaves_constants_centred(root):
    write_folder(root / "face", {clip: np.full((6, 4), 0.1, np.float32) for clip in IDS})
    data = make(root, standardize=["face"])
    assert data.tables["face"].abs().max() < 1e-6


def test_standardize_takes_bytes_too(root):
    content = {clip: (10 * array).clip(0, 255).astype(np.uint8) for clip, array in values().items()}
    write_folder(root / "face", content)
    batch = every(make(root, standardize=["face"]), "train")["face"]
    torch.testing.assert_close(batch.mean(0), torch.zeros(6, 4), rtol=0, atol=1e-5)


def test_other_modalities_are_left_alone(root):
    write_folder(root / "voice", values(seed=1))
    data = make(root, {"face": "face", "voice": "voice"}, standardize=["face"])
    batch = every(data, "train")
    for row, clip in enumerate(batch["id"]):
        np.testing.assert_array_equal(batch["voice"][row], values(seed=1)[clip])


def change_value(root):
    array = values()[IDS[7]]
    array[2, 2] += 1e-3
    save(root, array, IDS[7])


def change_index(root):
    content = rows()
    content[3]["target"] = "0" if content[3]["target"] != "0" else "1"
    write_index(root, content)


def exchange_names(root):
    one, other = (root / "face" / f"{clip}.npy" for clip in IDS[:2])
    one.rename(root / "kept")
    other.rename(one)
    (root / "kept").rename(other)


@pytest.mark.parametrize("change", [change_value, change_index, exchange_names])
def test_fingerprint_changes_with_any_file(root, change):
    before = make(root).fingerprint
    assert make(root).fingerprint == before
    assert make(root, fold=2, standardize=["face"]).fingerprint == before
    change(root)
    assert make(root).fingerprint != before


def test_fingerprint_tells_which_clip_a_file_belongs_to(root):
    # Same bytes in the same order, but the last clip's features are another file's.
    extra = root / "face" / f"{IDS[-1]}-more.npy"
    np.save(extra, values(seed=3)[IDS[0]])
    before = make(root)
    last, fingerprint = before.tables["face"][-1], before.fingerprint
    (root / "face" / f"{IDS[-1]}.npy").rename(root / "face" / f"{IDS[-2]}x.npy")
    extra.rename(root / "face" / f"{IDS[-1]}.npy")
    after = make(root)
    assert not torch.equal(after.tables["face"][-1], last)
    assert after.fingerprint != fingerprint


def test_other_things_in_the_folder_do_not_matter(root):
    before = make(root)
    fingerprint = before.fingerprint
    (root / "face" / ".cache").mkdir()
    (root / "face" / "notes.txt").write_text("seen")
    after = make(root)
    assert after.fingerprint == fingerprint
    assert torch.equal(after.tables["face"], before.tables["face"])


def test_a_clip_in_both_formats_is_refused(root):
    torch.save(torch.zeros(6, 4), root / "face" / f"{IDS[4]}.pt")
    assert "s0-4" in message(lambda: make(root).tables)


def test_fingerprint_of_missing_features_is_a_clear_error(root):
    assert "nowhere" in message(lambda: make(root, {"face": "nowhere"}).fingerprint)
    assert "nowhere.npz" in message(lambda: make(root, {"face": "nowhere.npz"}).fingerprint)


def test_stand_ins_say_so(root):
    assert make(root).synthetic is False
    (root / "SYNTHETIC").touch()
    assert make(root).synthetic is True


@pytest.mark.parametrize("names", [["a"] * 4, ["a", "b", " a"], ["a", "", "b"], ["a", " ", "b"]], ids=str)
def test_class_names_are_distinct(root, names):
    """Two of one name would share a column of every prediction."""
    assert "--data.class_names" in message(lambda: make(root, class_names=names))
    with pytest.raises(TaskError, match="class_names"):
        TinyTask(num_classes=len(names), class_names=names)


@pytest.mark.parametrize("name", ["target", "fold"])
@pytest.mark.parametrize(
    "value", ["1000000000", "10000", "9" * 5000], ids=["a billion", "ten thousand", "5,000 digits"]
)
def test_numbers_that_would_make_as_many_classes_are_refused(root, name, value):
    content = rows()
    content[3][name] = value
    write_index(root, content)
    text = message(lambda: make(root))
    assert f"{name} of clip {IDS[3]}" in text
    assert "at most 9,999" in text
    content[3][name] = "9999"
    write_index(root, content)
    assert len(make(root).class_names) == 10_000 or make(root).num_folds == 10_000


@pytest.mark.parametrize("suffix", [".pt", ".npz"])
def test_a_flipped_bit_in_a_feature_is_found(tmp_path, suffix):
    write_index(tmp_path)
    if suffix == ".pt":
        write_folder(tmp_path / "face", values(), ".pt")
        path = tmp_path / "face" / f"{IDS[4]}.pt"
    else:
        write_npz(tmp_path / "face.npz", values(), SHUFFLED)
        path = tmp_path / "face.npz"
    whole = bytearray(path.read_bytes())
    whole[whole.index(values()[IDS[4]].tobytes())] ^= 1
    path.write_bytes(whole)
    text = message(lambda: make(tmp_path, {"face": "face" if suffix == ".pt" else "face.npz"}).tables)
    assert str(path) in text
    assert "Bad CRC-32" in text


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", ["meta", "quantized", "expanded"])
def test_tensors_without_values_of_their_own_are_refused(tmp_path, kind):
    write_index(tmp_path)
    write_folder(tmp_path / "face", values(), ".pt")
    content = {
        "meta": torch.empty(6, 4, device="meta"),
        "quantized": torch.quantize_per_tensor(torch.ones(6, 4), 0.1, 0, torch.qint8),
        "expanded": torch.ones(1, 1).expand(6, 10**9),
    }[kind]
    torch.save(content, tmp_path / "face" / f"{IDS[4]}.pt")
    assert f"{IDS[4]}.pt" in message(lambda: make(tmp_path).tables)


def test_an_archive_of_zeros_makes_no_model_of_billions(root):
    zeros = np.zeros((len(IDS), 1 << 20), np.float32)
    np.savez_compressed(root / "all.npz", id=IDS, face=zeros)
    assert "unpack to 83,88" in message(lambda: make(root, {"face": "all.npz"}).input_shapes)


@pytest.mark.parametrize(
    "text", ["[]", "null", "3", "{", "{}", '{"files": []}', '{"files": {"../x": "0"}, "corpus": 3}']
)
def test_a_damaged_manifest_is_one_line(root, text):
    (root / "manifest.json").write_text(text)
    found = message(lambda: make(root))
    assert "manifest.json is damaged" in found
    assert "\n" not in found


def test_two_plain_vectors_are_told_what_is_wanted(root, capsys):
    for name in ("video", "audio"):
        write_folder(root / name, values((35,)))
    options = ["fit", "--config", "experiments/ravdess_features.yaml", "--data.root", str(root)]
    options += ["--data.index", "index.csv"]
    options += ["--data.class_names", "[a, b, c]", "--data.features", "{video: video, audio: audio}"]
    assert cli.main([*options, "--trainer.fast_dev_run", "true"]) == 2
    assert "error: this model reads audio of shape [n_mfcc, T]; the data has [35]" in capsys.readouterr().err
