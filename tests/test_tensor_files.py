"""The one reader of files of tensors: a flipped bit, a claim of size, a file of another kind."""

import io
import struct
import warnings
import zipfile

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import tensor_archives
from tensor_archives import TensorFileError
from tensor_files import read_feature, read_npz, read_safetensors, read_tensor, read_torch


def refused(read, path):
    """The one line that a reader says of a file."""
    with pytest.raises(TensorFileError) as caught:
        read(path)
    text = str(caught.value)
    assert str(path) in text
    assert "\n" not in text
    assert "\x1b" not in text
    assert len(text) - len(str(path)) < 220
    return text.replace(str(path), "FILE")


def same(one, other):
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(one[name], other[name]) for name in one)
    if isinstance(one, torch.Tensor):
        return one.dtype == other.dtype and torch.equal(one, other)
    if isinstance(one, np.ndarray):
        return one.dtype == other.dtype and np.array_equal(one, other)
    return one == other


CHECKPOINT = {
    "state_dict": {"a.weight": torch.arange(12.0).view(4, 3), "a.bias": torch.arange(4.0)},
    "epoch": 3,
    "hyper_parameters": {"class_names": ["low", "high"], "dropout": 0.5},
}


def npz(path, save=np.savez):
    save(path, id=np.array(["a", "b"]), face=np.arange(6, dtype=np.float32).reshape(2, 3))


FLIPPED = {
    "last.ckpt": (lambda path: torch.save(CHECKPOINT, path), read_torch),
    "clip.pt": (lambda path: torch.save(torch.arange(12.0).view(3, 4), path), read_tensor),
    "all.npz": (npz, read_npz),
    "small.npz": (lambda path: npz(path, np.savez_compressed), read_npz),
}


@pytest.mark.parametrize("name", FLIPPED)
def test_a_flipped_bit_in_any_byte_is_an_error_or_changes_nothing(tmp_path, name):
    write, read = FLIPPED[name]
    path = tmp_path / name
    write(path)
    whole, content = path.read_bytes(), read(path)
    expected = {key: np.array(value) for key, value in content.items()} if name.endswith("npz") else content
    expected = torch.load(io.BytesIO(whole)) if not name.endswith("npz") else expected
    found = {"error": 0, "same": 0}
    damaged = tmp_path / f"flipped.{name.rpartition('.')[2]}"
    for bit in np.random.default_rng(0).choice(8 * len(whole), 300, replace=False).tolist():
        flipped = bytearray(whole)
        flipped[bit // 8] ^= 1 << bit % 8
        damaged.write_bytes(flipped)
        try:
            assert same(expected, read(damaged)), f"bit {bit}"
            found["same"] += 1
        except TensorFileError as error:
            found["error"] += 1
            lines = str(error).splitlines()
            assert [str(damaged) in line for line in lines] == [True]
    assert found["error"] > 100
    assert found["same"] > 0  # padding, time stamps


@pytest.mark.parametrize("bit", range(16))
def test_a_list_of_members_cut_short_is_not_taken_for_a_smaller_archive(tmp_path, bit):
    """The length of a member's comment swallows the members after it, and `zipfile` looks no further."""
    npz(tmp_path / "all.npz")
    whole = bytearray((tmp_path / "all.npz").read_bytes())
    start = whole.index(b"PK\x01\x02")
    whole[start + 32 + bit // 8] ^= 1 << bit % 8
    (tmp_path / "all.npz").write_bytes(whole)
    refused(read_npz, tmp_path / "all.npz")


def test_a_file_is_checked_once_and_again_when_it_changed(tmp_path, monkeypatch):
    path = tmp_path / "clip.pt"
    torch.save(torch.zeros(1000), path)
    monkeypatch.setattr(tensor_archives, "_TICK", 0)
    read_tensor(path)
    opened = []
    monkeypatch.setattr(tensor_archives, "_check_member", lambda archive, member: opened.append(member.filename))
    read_tensor(path)
    assert opened == []
    torch.save(torch.zeros(2000), path)
    read_tensor(path)
    assert opened


def test_headers_alone_can_be_read_unchecked(tmp_path):
    path = tmp_path / "clip.pt"
    torch.save(torch.ones(1000), path)
    whole = bytearray(path.read_bytes())
    whole[whole.index(struct.pack("<f", 1.0) * 10)] ^= 1
    path.write_bytes(whole)
    assert read_tensor(path, check=False).shape == (1000,)
    assert "Bad CRC-32" in refused(read_tensor, path)


def test_what_was_saved_without_checksums_says_how_to_save_it(tmp_path):
    torch.serialization.set_crc32_options(False)
    try:
        torch.save(torch.ones(3), tmp_path / "clip.pt")
    finally:
        torch.serialization.set_crc32_options(True)
    assert "set_crc32_options(True)" in refused(read_tensor, tmp_path / "clip.pt")


def test_the_format_without_checksums_is_read_for_weights_alone_and_says_so(tmp_path):
    path = tmp_path / "old.pth"
    torch.save({"a": torch.ones(3)}, path, _use_new_zipfile_serialization=False)
    assert "before torch 1.6" in refused(read_torch, path)
    with pytest.warns(UserWarning, match="no checksum.*SHA-256 [0-9a-f]{64}"):
        assert torch.equal(read_torch(path, old=True)["a"], torch.ones(3))
    path.write_bytes(b"no file of torch at all")
    assert "not written by torch.save" in refused(lambda path: read_torch(path, old=True), path)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("content", "text"),
    [
        ({"a": torch.ones(2)}, "holds a dict"),
        (torch.ones(6, 4).to_sparse(), "sparse"),
        (torch.quantize_per_tensor(torch.ones(3), 0.1, 0, torch.qint8), "quantized"),
        (torch.empty(3, device="meta"), "meta"),
        (torch.ones(1).expand(10**9, 25), "cannot hold 1000000000x25"),
        (None, "holds a NoneType"),
    ],
    ids=["dict", "sparse", "quantized", "meta", "expanded to 100 GB", "None"],
)
def test_anything_but_one_dense_tensor_is_refused(tmp_path, content, text):
    torch.save(content, tmp_path / "clip.pt")
    assert text in refused(read_feature, tmp_path / "clip.pt")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.bfloat16, torch.float16, torch.int16, torch.bool])
def test_types_that_numpy_has_not_are_read_too(tmp_path, dtype):
    torch.save(torch.tensor([0.0, 1.0, 2.0]).to(dtype), tmp_path / "clip.pt")
    assert read_feature(tmp_path / "clip.pt").astype(float).tolist() == (
        [0, 1, 1] if dtype == torch.bool else [0, 1, 2]
    )


def test_views_that_say_they_are_negative_keep_their_values(tmp_path):
    torch.save(torch.tensor([1 + 2j]).conj().imag, tmp_path / "clip.pt")
    assert read_feature(tmp_path / "clip.pt").tolist() == [-2.0]


def npy(path, array, claim):
    """Writes an array under a header that claims another shape."""
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": array.dtype.str, "fortran_order": False, "shape": claim})
        file.write(array.tobytes())


@pytest.mark.parametrize("claim", [(25 * 10**9,), (3,), (7, 2), (10**30,), ()], ids=str)
def test_npy_headers_that_claim_another_size_are_refused(tmp_path, claim):
    npy(tmp_path / "clip.npy", np.arange(12, dtype=np.float32), claim)
    assert "not a plain .npy file" in refused(read_feature, tmp_path / "clip.npy")


@pytest.mark.parametrize("shape", [(3, 4), (), (0, 3), (1,)], ids=str)
def test_npy_files_read_back(tmp_path, shape):
    array = np.full(shape, 7, np.float32)
    np.save(tmp_path / "clip.npy", array)
    found = read_feature(tmp_path / "clip.npy")
    assert found.shape == shape
    np.testing.assert_array_equal(found, array)


@pytest.mark.parametrize("name", ["clip.npy", "all.npz"])
def test_objects_are_refused(tmp_path, name):
    array = np.array([{"a": 1}], dtype=object)
    np.save(tmp_path / name, array) if name.endswith("npy") else np.savez(tmp_path / name, face=array)
    assert "bject" in refused(read_feature if name.endswith("npy") else read_npz, tmp_path / name)


def test_a_file_larger_than_memory_is_refused_before_it_is_read(tmp_path):
    path, count = tmp_path / "clip.npy", 1 << 43
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": (count,)})
        file.truncate(file.tell() + count)  # all of it a hole
    assert "GB of memory" in refused(read_feature, path)


@pytest.mark.parametrize("megabytes", [60, 100])
def test_an_archive_of_zeros_is_refused_beyond_what_harms_nobody(tmp_path, megabytes):
    path = tmp_path / "all.npz"
    np.savez_compressed(path, face=np.zeros((megabytes, 1 << 20), np.uint8))
    if megabytes == 60:
        assert read_npz(path)["face"].shape == (60, 1 << 20)
    else:
        assert "unpack to 104," in refused(read_npz, path)


def test_a_member_that_claims_more_than_it_holds_is_refused(tmp_path):
    path = tmp_path / "all.npz"
    npz(path, np.savez_compressed)
    whole = bytearray(path.read_bytes())
    start = whole.index(b"PK\x01\x02")
    for place in (start + 24, whole.index(b"PK\x03\x04") + 22):
        whole[place : place + 4] = struct.pack("<L", 1 << 25)
    path.write_bytes(whole)
    refused(read_npz, path)


def test_torch_files_with_packed_members_are_refused(tmp_path):
    """torch maps the bytes as they lie there: packed ones would be taken for values."""
    torch.save(torch.zeros(1000), tmp_path / "whole.pt")
    with (
        zipfile.ZipFile(tmp_path / "whole.pt") as whole,
        zipfile.ZipFile(tmp_path / "clip.pt", "w", zipfile.ZIP_DEFLATED) as packed,
    ):
        for name in whole.namelist():
            packed.writestr(name, whole.read(name))
    assert "is compressed" in refused(read_tensor, tmp_path / "clip.pt")


def test_safetensors_headers_are_checked(tmp_path):
    path = tmp_path / "net.safetensors"
    save_file({"a": torch.ones(3)}, path)
    assert torch.equal(read_safetensors(path)["a"], torch.ones(3))
    path.write_bytes(struct.pack("<Q", 10**11) + path.read_bytes()[8:])
    refused(read_safetensors, path)


@pytest.mark.parametrize("read", [read_torch, read_npz, read_safetensors, read_feature])
def test_what_is_no_file_is_refused(tmp_path, read):
    assert "there is no such file" in refused(read, tmp_path / "nowhere.npy")
    assert "there is no such file" in refused(read, tmp_path)


def test_good_files_are_read_without_a_word(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for name, (write, read) in FLIPPED.items():
            write(tmp_path / name)
            read(tmp_path / name)
