"""datamodules/store/reader.py and journal.py."""

import json
import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from datamodules.errors import DataError
from datamodules.reading.stand_in import is_stand_in
from datamodules.store.reader import Store
from datamodules.store.writer import StoreWriter

ARRAYS = {"video": "u8", "mfcc": "f32"}
SETTINGS = {"size": 8, "face": "none"}


def clip(i):
    rng = np.random.default_rng(i)
    video = rng.integers(0, 256, (2 + i, 3, 3), dtype=np.uint8)
    return {"video": video, "mfcc": rng.normal(size=(2, 5)).astype(np.float32)}


def open_writer(folder, arrays=ARRAYS, settings=SETTINGS, synthetic=False):
    return StoreWriter(folder, arrays, settings, synthetic)


def fill(writer, ids):
    for i in ids:
        if i == 2:
            writer.skip("c2", "c2.mp4", "no face\nfound", "h2")
        else:
            writer.add(f"c{i}", f"{i % 2:02d}", i % 8, clip(i), f"h{i}", padded=int(i == 3))
    return writer


def everything(folder):
    return {path.name: path.read_bytes() for path in sorted(Path(folder).iterdir())}


@pytest.fixture
def folder(tmp_path):
    fill(open_writer(tmp_path / "store"), range(6)).finish({"tool": "1"})
    return tmp_path / "store"


def test_reads_back_what_was_written(folder):
    store = Store(folder)
    assert store.ids == ["c0", "c1", "c3", "c4", "c5"]
    assert store.groups == ["00", "01", "01", "00", "01"]
    assert store.labels.dtype == np.int64
    assert store.labels.tolist() == [0, 1, 3, 4, 5]
    for row, i in enumerate([0, 1, 3, 4, 5]):
        for name, expected in clip(i).items():
            assert store.shape(name, row) == expected.shape
            np.testing.assert_array_equal(store.read(name, row), expected)
            assert store.read(name, row).dtype == store.arrays[name]
    assert store.manifest["counts"] == {"used": 5, "skipped": 1, "padded": 1}
    assert not store.synthetic
    assert (folder / "skipped.csv").read_text().splitlines()[1] == "c2,c2.mp4,no face found,h2"
    assert not (folder / "journal.jsonl").exists()
    store.verify()


def test_read_is_a_read_only_view(folder):
    store = Store(folder)
    first = store.read("video", 1)
    assert np.shares_memory(first, store.read("video", 1))
    with pytest.raises(ValueError, match="read-only"):
        first[0] = 0


def test_a_pickled_store_carries_no_data(folder):
    store = Store(folder)
    expected = store.read("video", 4).copy()
    again = pickle.loads(pickle.dumps(store))
    assert again._maps == {}
    np.testing.assert_array_equal(again.read("video", 4), expected)


def read_in_child(store, queue):
    queue.put(store.read("mfcc", 2).sum().item())


def test_reads_after_a_fork(folder):
    store = Store(folder)
    expected = store.read("mfcc", 2).sum().item()
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    child = context.Process(target=read_in_child, args=(store, queue))
    child.start()
    assert queue.get(timeout=30) == expected
    child.join()


def test_empty_array_and_empty_store(tmp_path):
    writer = StoreWriter(tmp_path / "a", {"text": "i64"}, {}, True)
    writer.add("x", "x", 0, {"text": np.zeros((0, 3), np.int64)})
    writer.finish()
    store = Store(tmp_path / "a")
    assert store.synthetic
    assert store.read("text", 0).shape == (0, 3)
    StoreWriter(tmp_path / "b", {"text": "i64"}, {}, True).finish()
    assert len(Store(tmp_path / "b")) == 0


@pytest.mark.parametrize("stop", range(7))
def test_carries_on_after_an_interruption(tmp_path, folder, stop):
    fill(open_writer(tmp_path / "again"), range(stop)).close()
    # What a kill leaves behind: bytes of a clip that was not logged, and half a line of the log.
    with (tmp_path / "again/video.u8").open("ab") as file:
        file.write(b"half a clip")
    with (tmp_path / "again/journal.jsonl").open("ab") as file:
        file.write(b'{"record": {"us')
    with pytest.raises(DataError, match="not finished"):
        Store(tmp_path / "again")
    writer = open_writer(tmp_path / "again")
    assert list(writer.done) == [f"c{i}" for i in range(stop)]
    fill(writer, range(stop, 6)).finish({"tool": "1"})
    assert everything(tmp_path / "again") == everything(folder)


def test_a_journal_ahead_of_its_arrays_is_not_believed(tmp_path, folder):
    fill(open_writer(tmp_path / "again"), range(5)).close()
    os.truncate(tmp_path / "again/mfcc.f32", 70)  # clips 0 whole, 1 in part
    writer = open_writer(tmp_path / "again")
    assert list(writer.done) == ["c0"]
    fill(writer, range(1, 6)).finish({"tool": "1"})
    assert everything(tmp_path / "again") == everything(folder)


KILLED = """
import sys, os, signal
sys.path.insert(0, sys.argv[2]); sys.path.insert(0, sys.argv[3])
from test_store import fill, open_writer
from pathlib import Path
writer = fill(open_writer(Path(sys.argv[1])), range(4))
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_kill_9(tmp_path, folder):
    here = Path(__file__).resolve().parent
    command = [sys.executable, "-c", KILLED, str(tmp_path / "again"), str(here.parent), str(here)]
    assert subprocess.run(command).returncode == -signal.SIGKILL
    writer = open_writer(tmp_path / "again")
    assert list(writer.done) == ["c0", "c1", "c2", "c3"]
    fill(writer, range(4, 6)).finish({"tool": "1"})
    assert everything(tmp_path / "again") == everything(folder)


def test_finished_store_is_left_alone(folder):
    before = everything(folder)
    writer = open_writer(folder)
    assert writer.complete
    writer.check_sources([f"c{i}" for i in range(6)], {f"c{i}": f"h{i}" for i in range(6)})
    assert writer.finish({"tool": "2"}) == json.loads(before["manifest.json"])
    assert everything(folder) == before


def test_other_settings_are_taken_where_nothing_was_written_yet(tmp_path):
    open_writer(tmp_path / "s").close()
    fill(open_writer(tmp_path / "s", settings={"size": 9, "face": "none"}), range(2)).finish()
    assert Store(tmp_path / "s").manifest["settings"]["size"] == 9


@pytest.mark.parametrize("finished", [True, False])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"settings": {"size": 9, "face": "none"}}, "size was 8, now 9"),
        ({"settings": {"size": 8}}, "face was 'none', now None"),
        ({"synthetic": True}, "synthetic was False, now True"),
        ({"arrays": {"video": "u8", "mfcc": "f16"}}, "dtypes.mfcc was 'f32', now 'f16'"),
    ],
)
def test_other_settings_are_refused(tmp_path, change, message, finished):
    writer = fill(open_writer(tmp_path / "s"), range(3))
    writer.finish() if finished else writer.close()
    before = everything(tmp_path / "s")
    with pytest.raises(DataError, match=message) as error:
        open_writer(tmp_path / "s", **change)
    assert "--out" in str(error.value)
    assert error.value.exit_code == 2
    assert everything(tmp_path / "s") == before


@pytest.mark.parametrize("finished", [True, False])
@pytest.mark.parametrize(
    ("ids", "changed", "message"),
    [
        ([0, 1, 2, 3], 1, "the file of clip c1 changed"),
        ([0, 2, 3], None, "clip c1 is no longer there"),
        ([0, "05", 1, 2, 3], None, "clip c05 is new"),
    ],
)
def test_other_sources_are_refused(tmp_path, finished, ids, changed, message):
    writer = fill(open_writer(tmp_path / "s"), range(4))
    writer.finish() if finished else writer.close()
    hashes = {f"c{i}": "other" if i == changed else f"h{i}" for i in ids}
    with pytest.raises(DataError, match=message):
        open_writer(tmp_path / "s").check_sources(list(hashes), hashes)


def test_more_sources_than_a_finished_store_holds_are_refused(folder):
    hashes = {f"c{i}": f"h{i}" for i in range(7)}
    with pytest.raises(DataError, match="clip c6 is new"):
        open_writer(folder).check_sources(list(hashes), hashes)


@pytest.mark.parametrize("repaired", [True, False])
def test_a_skipped_clip_that_was_repaired_or_removed_is_done_again(tmp_path, repaired):
    fill(open_writer(tmp_path / "s"), range(5)).close()
    hashes = {f"c{i}": f"h{i}" for i in range(6)}
    if repaired:
        hashes["c2"] = "better"
    else:
        del hashes["c2"]
    writer = open_writer(tmp_path / "s")
    writer.check_sources(list(hashes), hashes)
    assert list(writer.done) == ["c0", "c1"]
    if repaired:
        writer.add("c2", "00", 2, clip(2), "better")
    fill(writer, range(3, 6)).finish()
    store = Store(tmp_path / "s")
    assert store.ids == [f"c{i}" for i in ([0, 1, 2, 3, 4, 5] if repaired else [0, 1, 3, 4, 5])]
    np.testing.assert_array_equal(store.read("video", len(store) - 1), clip(5)["video"])
    store.verify()


def test_fingerprint_follows_data_settings_and_kind_but_not_tools(tmp_path):
    def fingerprint(name, ids=range(4), versions=None, **kind):
        return fill(open_writer(tmp_path / name, **kind), ids).finish(versions)["fingerprint"]

    first = fingerprint("a")
    assert fingerprint("b", versions={"numpy": "9"}) == first
    others = [
        fingerprint("c", ids=range(3)),
        fingerprint("d", settings={**SETTINGS, "size": 9}),
        fingerprint("e", synthetic=True),
    ]
    assert len({first, *others}) == 4


ELSEWHERE = b'{"fingerprint": "", "synthetic": true, "arrays": {"../x": {"dtype": "u8", "bytes": 0}}}'


@pytest.mark.parametrize(
    ("file", "damage", "message"),
    [
        ("COMPLETE", None, "not finished"),
        ("manifest.json", None, r"store/manifest\.json is missing"),
        ("manifest.json", b"{", r"store/manifest\.json is damaged"),
        ("manifest.json", b"[]", r"store/manifest\.json is damaged"),
        ("manifest.json", b'{"fingerprint": "", "synthetic": true, "arrays": {}}', r"store/manifest\.json is damaged"),
        ("manifest.json", ELSEWHERE, r"store/manifest\.json is damaged"),
        ("index.csv", None, r"store/index\.csv is missing"),
        ("index.csv", b"id,group\nc0,00\n", r"store/index\.csv is damaged"),
        ("index.csv", b"\xff\xfe", r"store/index\.csv is damaged"),
        ("video.u8", None, r"store/video\.u8 is missing"),
        ("video.u8", b"", "0 bytes instead of"),
        ("video.u8", b"xx", "2 bytes instead of"),
        ("video.u8", bytes(10_000), "10000 bytes instead of"),
    ],
)
def test_damage_is_found_on_opening(folder, file, damage, message):
    (folder / file).unlink() if damage is None else (folder / file).write_bytes(damage)
    with pytest.raises(DataError, match=message) as caught:
        Store(folder)
    assert "Error(" not in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("below", ["", "below"])
def test_a_folder_that_cannot_be_made_names_the_option(tmp_path, below):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="--out: cannot write"):
        open_writer(tmp_path / "file" / below)


def test_an_array_that_cannot_be_written_names_the_option(tmp_path):
    (tmp_path / "s" / "mfcc.f32").mkdir(parents=True)
    with pytest.raises(DataError, match="--out: cannot write"):
        open_writer(tmp_path / "s")


def test_an_edited_index_is_found(folder):
    path = folder / "index.csv"
    path.write_text(path.read_text().replace("c0,00,0", "c0,00,1"))
    with pytest.raises(DataError, match="edited"):
        Store(folder)


@pytest.mark.parametrize("check", [lambda folder: Store(folder).verify(), open_writer])
def test_a_flipped_bit_is_found(folder, check):
    with (folder / "mfcc.f32").open("r+b") as file:
        file.seek(10)
        byte = file.read(1)
        file.seek(10)
        file.write(bytes([byte[0] ^ 1]))
    with pytest.raises(DataError, match=r"mfcc\.f32 was damaged after preparing; delete the folder and prepare again"):
        check(folder)


def test_a_lost_list_of_skipped_clips_is_named(folder):
    (folder / "skipped.csv").unlink()
    with pytest.raises(DataError, match=r"skipped\.csv is missing"):
        open_writer(folder)


def test_missing_store_names_the_next_step(tmp_path):
    with pytest.raises(DataError, match="prepare"):
        Store(tmp_path / "nowhere")


def test_bad_clips_are_refused(tmp_path):
    writer = open_writer(tmp_path / "s")
    writer.add("c0", "00", 0, clip(0))
    with pytest.raises(DataError, match="comes twice"):
        writer.add("c0", "00", 0, clip(0))
    with pytest.raises(DataError, match="mfcc is float64"):
        writer.add("c1", "00", 0, {**clip(1), "mfcc": np.zeros((2, 5))})
    with pytest.raises(DataError, match="the store holds"):
        writer.add("c1", "00", 0, {"video": clip(1)["video"]})


def test_two_writers_exclude_each_other(tmp_path):
    first = open_writer(tmp_path / "s")
    with pytest.raises(DataError, match="another process"):
        open_writer(tmp_path / "s")
    assert (tmp_path / "s" / "journal.jsonl.lock").exists()
    first.close()
    assert not (tmp_path / "s" / "journal.jsonl.lock").exists()
    open_writer(tmp_path / "s").close()


def test_a_store_that_is_damaged_is_let_go(tmp_path):
    writer = open_writer(tmp_path / "s")
    writer.close()
    log = tmp_path / "s" / "journal.jsonl"
    whole = log.read_bytes()
    for damage in (b"{\n", b"[1]\n"):
        log.write_bytes(damage)
        with pytest.raises(DataError, match="is damaged"):
            open_writer(tmp_path / "s")
    log.write_bytes(whole)
    open_writer(tmp_path / "s").close()


def test_a_full_disk_says_so(tmp_path):
    writer = open_writer(tmp_path / "s")
    writer._journal._open[0].close()
    with Path("/dev/full").open("ab", buffering=0) as full:
        writer._journal._open[0] = full
        with pytest.raises(DataError, match="No space left"):
            writer.add("c0", "00", 0, clip(0))


def test_part_of_a_stand_in_is_one_and_an_unfinished_one_is_refused(tmp_path):
    part = tmp_path / "corpus" / "Actor_01"
    part.mkdir(parents=True)
    assert not is_stand_in(part, "ravdess")
    (tmp_path / "corpus" / "SYNTHETIC").write_text("drawn\n")
    assert is_stand_in(part, "ravdess")
    assert is_stand_in(part.parent, "ravdess")
    (tmp_path / "corpus" / "SYNTHETIC").write_text("drawn (incomplete)\n")
    with pytest.raises(DataError, match="synth ravdess"):
        is_stand_in(part, "ravdess")


def flip(path, byte):
    content = bytearray(path.read_bytes())
    content[byte] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(("byte", "row"), [(0, 0), (17, 0), (18, 1), (-1, 4)])
def test_a_flipped_bit_is_found_when_its_clip_is_first_read(folder, byte, row):
    flip(folder / "video.u8", byte)
    store = Store(folder)  # 7 GB are not read at every start
    with pytest.raises(DataError, match=rf"video\.u8 was damaged after preparing, at clip {store.ids[row]}"):
        store.read("video", row)
    for other in set(range(5)) - {row}:
        np.testing.assert_array_equal(store.read("video", other), clip([0, 1, 3, 4, 5][other])["video"])
        store.read("mfcc", other)


def test_a_clip_is_checked_once(folder, monkeypatch):
    store = Store(folder)
    store.read("video", 1)
    monkeypatch.setattr("datamodules.store.reader.zlib.crc32", lambda values: pytest.fail("checked again"))
    store.read("video", 1)


def test_a_store_of_an_earlier_version_is_hashed_whole_and_gets_its_checksums_when_prepared_again(folder):
    whole = everything(folder)
    (folder / "checksums.json").unlink()
    for row in range(5):
        Store(folder).read("video", row)
    flip(folder / "video.u8", -1)
    with pytest.raises(DataError, match=r"video\.u8 was damaged"):
        Store(folder).read("video", 0)
    flip(folder / "video.u8", -1)
    assert open_writer(folder).complete
    assert everything(folder) == whole


@pytest.mark.parametrize("text", ["[]", "null", "{", "{}", '{"video": 3, "mfcc": []}', '{"video": [1], "mfcc": [1]}'])
def test_damaged_checksums_are_named(folder, text):
    (folder / "checksums.json").write_text(text)
    with pytest.raises(DataError, match=r"checksums\.json is damaged.*prepare again"):
        Store(folder)


@pytest.mark.parametrize("text", ["[]", "null", "3", '"a"', '{"fingerprint": 3}', "[" * 100_000])
def test_another_kind_of_manifest_is_named(folder, text):
    (folder / "manifest.json").write_text(text)
    with pytest.raises(DataError, match=r"manifest\.json is damaged"):
        Store(folder)


@pytest.mark.parametrize(
    "line",
    [
        "3",
        "{}",
        "null",
        "[]",
        '"used"',
        '{"record": 3, "ends": [0, 0]}',
        '{"record": {}, "ends": [0, 0]}',
        '{"record": {"used": {}}, "ends": [0, 0]}',
        '{"record": {"used": 3}, "ends": [0, 0]}',
        '{"record": {"skipped": {"id": 3, "file": "", "reason": "", "source_sha256": ""}}, "ends": [0, 0]}',
        '{"record": {"skipped": {"id": "a", "file": "", "reason": "", "source_sha256": ""}}, "ends": [0]}',
        '{"record": {"skipped": {"id": "a", "file": "", "reason": "", "source_sha256": ""}}, "ends": ["0", 0]}',
        "{",
    ],
)
@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_journal_line_that_is_none_is_one_line(tmp_path, line, place):
    writer = fill(open_writer(tmp_path / "store"), range(2))
    writer.close()
    path = tmp_path / "store" / "journal.jsonl"
    lines = path.read_text().splitlines()
    lines[place] = line
    path.write_text("\n".join(lines) + "\n")
    before = everything(tmp_path / "store")
    with pytest.raises(DataError) as caught:
        open_writer(tmp_path / "store")
    assert "\n" not in str(caught.value) or place == 0  # a header that is an object is of other settings
    assert str(tmp_path / "store") in str(caught.value)
    assert everything(tmp_path / "store") == before
