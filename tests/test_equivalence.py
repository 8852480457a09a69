"""The equivalence net notices what differs: on small made files; the net itself is run by hand."""

import csv
import shutil

import pytest
import torch
from equivalence_facts import FailedError, Verdicts, columns, first_difference, of_tensors, prepared_files


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ({"a": "1\n2"}, {"a": "1\n2"}, ""),
        ({"a": "1\n2"}, {"a": "1\n3"}, "a, line 2: '2' became '3'"),
        ({"a": "1\n2"}, {"a": "1"}, "a: 2 lines became 1"),
        ({"a": "1", "b": "1"}, {"a": "1"}, "b is missing here"),
        ({"a": "1"}, {"a": "1", "b": "1"}, "b is missing in the baseline"),
        ({}, {}, "nothing to compare"),
        (FailedError("no"), FailedError("no"), "baseline: no; here: no"),
        ({"a": "1"}, FailedError("no"), "here: no"),
    ],
)
def test_first_difference(before, after, told):
    assert first_difference(before, after) == told


def test_a_difference_is_counted_and_an_expected_one_apart(capsys):
    verdicts = Verdicts({"prepare x*": "another format"})
    verdicts.compare("prepare x: arrays", {"a": "1"}, {"a": "2"})
    verdicts.compare("fit x", {"a": "1"}, {"a": "2"})
    verdicts.compare("fit y", {"a": "1"}, {"a": "1"})
    assert verdicts.counts == {"expected": 1, "DIFFERS": 1, "equal": 1}
    assert verdicts.met == {"prepare x*"}
    assert "(expected: another format)" in capsys.readouterr().out


def test_a_kind_that_one_side_lacks_differs():
    verdicts = Verdicts()
    verdicts.compare_kinds("fit", {"a": {"x": "1"}, "b": {"x": "1"}}, {"a": {"x": "1"}})
    assert verdicts.counts == {"equal": 1, "DIFFERS": 1}


def test_tensors_are_compared_by_value_and_shape_and_order_not_by_file(tmp_path):
    one, two = torch.arange(6.0).view(2, 3), torch.zeros(2, dtype=torch.int64)
    torch.save({"b": one, "a": two}, tmp_path / "x.pt")
    torch.save({"b": one, "a": two}, tmp_path / "y.pt", _use_new_zipfile_serialization=False)
    assert of_tensors(tmp_path / "x.pt") == of_tensors(tmp_path / "y.pt")
    assert of_tensors(tmp_path / "x.pt")[0] == "b torch.float32 (2, 3)\na torch.int64 (2,)"
    for other in ({"a": two, "b": one}, {"b": one.view(3, 2), "a": two}, {"b": one.double(), "a": two}):
        torch.save(other, tmp_path / "y.pt")
        assert of_tensors(tmp_path / "x.pt")[0] != of_tensors(tmp_path / "y.pt")[0]
    torch.save({"b": one.nextafter(one + 1), "a": two}, tmp_path / "y.pt")
    assert of_tensors(tmp_path / "x.pt")[0] == of_tensors(tmp_path / "y.pt")[0]
    assert of_tensors(tmp_path / "x.pt")[1] != of_tensors(tmp_path / "y.pt")[1]


def test_of_a_store_all_but_fingerprints_is_compared(ravdess, tmp_path):
    root = shutil.copytree(ravdess / "prepared", tmp_path / "prepared")
    before = prepared_files(root, {})
    assert before["arrays"].keys() == {"video.u8", "wave.i16", "mfcc.f32"}
    assert "index.csv" in before["tables"]
    (root / "manifest.json").write_text("{}")
    assert prepared_files(root, {}) == before
    rows = list(csv.reader((root / "index.csv").open()))
    rows[1][rows[0].index("source_sha256")] = "other"
    (root / "index.csv").write_text("".join(",".join(row) + "\n" for row in rows))
    after = prepared_files(root, {})
    assert {kind for kind in before if before[kind] != after[kind]} == {"source digests"}
    array = bytearray((root / "mfcc.f32").read_bytes())
    array[0] ^= 1
    (root / "mfcc.f32").write_bytes(array)
    assert prepared_files(root, {})["arrays"] != before["arrays"]


def test_columns_are_dropped_by_name():
    assert columns('epoch,seconds,loss\n0,0.1,"a,b"\n', lambda name: "seconds" in name) == "epoch,loss\n0,a,b"
    assert columns("", lambda name: True) == ""
