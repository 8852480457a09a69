"""NoXi as MultiMediate hands it out: a value a line, NOVA's annotations, sessions without a folder of their split."""

import shutil
import struct
from pathlib import Path

import numpy as np
import pytest
from test_media import own_bytes
from test_prepare_engagement import SMALL, film, main

from datamodules.catalogues.noxi import NoXi, classes_of
from datamodules.errors import DataError
from datamodules.reading.tracks import read_nova, read_values
from datamodules.store.reader import Store

HEADER = """<?xml version="1.0" ?>
<annotation ssi-v="3">
    <info ftype="{ftype}" size="{size}" />
    <meta role="expert" annotator="J\u00f6rg" />
    <scheme name="engagement" type="{type}" sr="{rate}" min="{low}" max="{high}" mincolor="#FF0000FF" />
</annotation>
"""


def lines(values):
    return "".join(f"{value:.4f}\n" if value == value else "-nan(ind)\n" for value in values)


def nova(path, values, ftype="ASCII", type="CONTINUOUS", rate=25, low=0, high=1, size=None, encoding="utf-8"):
    size = len(values) if size is None else size
    header = HEADER.format(ftype=ftype, size=size, type=type, rate=rate, low=low, high=high)
    path.write_bytes(header.encode(encoding))
    data = path.with_name(path.name + "~")
    if ftype == "BINARY":
        data.write_bytes(b"".join(struct.pack("<ff", value, 1) for value in values))
    else:
        data.write_text("".join(f"{value:.4f};1.0\n" for value in values))
    return path


@pytest.fixture
def release(tmp_path):
    """Two sessions of 2 s; in both the expert's engagement rises, and the novice's is unknown for the first half."""
    for session in ("train/026", "val/030"):
        for role in ("expert", "novice"):
            own_bytes(film(tmp_path / f"noxi/{session}/{role}.video.mp4", 50, 25))
        folder = tmp_path / "noxi" / session
        (folder / "expert.engagement.annotation.csv").write_text(lines(np.linspace(0, 1, 50)))
        (folder / "novice.engagement.annotation.csv").write_text(lines([np.nan] * 25 + [0.5] * 25))
    return tmp_path / "noxi"


def entries(source, **options):
    return {entry.id: entry for entry in NoXi(**options).scan(source).entries}


def test_a_value_lies_in_a_fifth_of_the_scale_and_that_is_its_level():
    classes = classes_of(np.array([0, 0.19, 0.21, 0.39, 0.41, 0.59, 0.6, 0.79, 0.81, 1, np.nan]))
    np.testing.assert_array_equal(classes[:-1].argmax(1), [0, 0, 0, 0, 1, 1, 2, 2, 2, 2])
    np.testing.assert_array_equal(classes[:-1].sum(1), 1)
    assert np.isnan(classes[-1]).all()


def test_store(release, tmp_path, capsys):
    options = ("--views.people.detector", "test_multimediate:everywhere")
    assert main("noxi", release, tmp_path / "out", *options) == 0
    assert "4 videos used (2 train, 2 val, 0 test), 0 skipped" in capsys.readouterr().out
    store = Store(tmp_path / "out/prepared")
    assert store.ids == [f"noxi/{name}" for name in ("026/expert", "026/novice", "030/expert", "030/novice")]
    assert store.groups == ["026", "026", "030", "030"]
    assert [row["split"] for row in store.rows] == ["train", "train", "val", "val"]
    # step k is row 5 k: 0, 0.10, 0.20, 0.31, 0.41, 0.51, 0.61, 0.71, 0.82, 0.92
    assert store.read("labels", 0).argmax(1).tolist() == [0, 0, 0, 0, 1, 1, 2, 2, 2, 2]
    novice = store.read("labels", 1)
    assert np.isnan(novice[:5]).all()
    assert novice[5:].argmax(1).tolist() == [1] * 5
    assert store.shape("face", 0) == (10, SMALL["face_size"], SMALL["face_size"], 3)


def everywhere(image):
    return {"face": (30, 20, 50, 40), "body": None, "joints": None}


def test_values_with_holes_are_nan(tmp_path):
    """The file has 250 rows; every hole is spelled as Microsoft's C library does."""
    given = Path(__file__).with_name("noxi_expert.engagement.annotation.csv")
    values = read_values(given)
    holes = [line == "-nan(ind)" for line in given.read_text().splitlines()]
    assert len(values) == 250
    assert 0 < sum(holes) < 250
    np.testing.assert_array_equal(np.isnan(values), holes)
    assert values[1:5].tolist() == [0.5075, 0.515, 0.5225, 0.53]


@pytest.mark.parametrize(("text", "message"), [
    ("0.5\n1.4\n", r"row 2 of a\.csv is 1.4, not between 0 and 1"),
    ("0.5 0.5\n", "2 columns, not 1"),
    ("0.5\nhigh\n", "not a table of numbers"),
    ("\n", "0 columns, not 1"),
    ("nan\n-nan(ind)\n", "has no value"),
    ("inf\n", "is inf, not between"),
])  # fmt: skip
def test_other_values_are_a_reason_to_skip_the_video(tmp_path, text, message):
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(ValueError, match=message):
        read_values(tmp_path / "a.csv")


@pytest.mark.parametrize("ftype", ["ASCII", "BINARY"])
def test_an_annotation_of_nova_is_read_in_its_own_scale_and_rate(tmp_path, ftype):
    path = nova(tmp_path / "a.annotation", [-1, 0, 0.5, np.nan, 1], ftype, low=-1, high=1, rate=12.5)
    values, rate = read_nova(path)
    np.testing.assert_array_equal(values, [0, 0.5, 0.75, np.nan, 1])
    assert rate == 12.5


def test_annotations_of_nova_stand_in_for_tables_and_may_name_who_made_them(release):
    folder = release / "train/026"
    (folder / "expert.engagement.annotation.csv").unlink()
    nova(folder / "expert.engagement.gold.annotation", [0.1, 0.9], rate=1)
    series = entries(release)["noxi/026/expert"].labels["engagement"]
    assert (series.values.argmax(1).tolist(), series.rate) == ([0, 2], 1)
    nova(folder / "expert.engagement.silver.annotation", [0.1, 0.9], rate=1)
    problem = entries(release)["noxi/026/expert"].problem
    assert problem.startswith("several annotations of expert: expert.engagement.gold.annotation, expert.engagement.sil")


ENTITIES = '<?xml version="1.0"?><!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/hostname">]><annotation>&x;</annotation>'


@pytest.mark.parametrize(("change", "message"), [
    (lambda path: path.write_text(ENTITIES), "has a DOCTYPE"),
    (lambda path: path.write_bytes(ENTITIES.encode("utf-16")), "has a DOCTYPE"),
    (lambda path: path.write_text("<annotation>"), "no header of an annotation"),
    (lambda path: path.write_text(" " * (1 << 21)), "over 1,048,576 bytes"),
    (lambda path: path.unlink(), r"no a\.annotation"),
    (lambda path: nova(path, [0.5], type="DISCRETE"), "no continuous annotation as ASCII or BINARY .DISCRETE, ASCII"),
    (lambda path: nova(path, [0.5], ftype="JSON"), "CONTINUOUS, JSON"),
    (lambda path: nova(path, [0.5], size=2), "has 1 of 2 values"),
    (lambda path: nova(path, [0.5], rate="fast"), "is missing or no number"),
    (lambda path: nova(path, [0.5], rate=0), "make no sense"),
    (lambda path: nova(path, [0.5], high=0), "make no sense"),
    (lambda path: nova(path, [1.5]), "is 1.5, not between 0 and 1"),
    (lambda path: path.with_name("a.annotation~").unlink(), "no a.annotation~"),
    (lambda path: (nova(path, [0.5], "BINARY"), path.with_name("a.annotation~").write_bytes(b"123")), "is cut off"),
])  # fmt: skip
def test_what_is_wrong_with_an_annotation_of_nova_is_said(tmp_path, change, message):
    path = nova(tmp_path / "a.annotation", [0.5])
    change(path)
    with pytest.raises(ValueError, match=message):
        read_nova(path)


def test_sessions_without_a_folder_of_their_split_have_it_from_a_table(release, tmp_path):
    flat = tmp_path / "flat"
    for session in ("train/026", "val/030"):
        shutil.copytree(release / session, flat / session.rpartition("/")[2])
    assert {entry.problem for entry in NoXi().scan(flat).entries} == {"not below a folder train, dev or test"}
    table = tmp_path / "splits.csv"
    table.write_text("session;split\n026;train\n030;test\n")
    found = entries(flat, splits=table)
    assert {id: entry.split for id, entry in found.items() if "expert" in id} == {
        "noxi/026/expert": "train",
        "noxi/030/expert": "test",
    }
    table.write_text("session,split\n26,train\n")
    assert {one.problem for one in entries(flat, splits=table).values()} == {
        f"not below a folder train, dev or test, nor in {table}"
    }
    table.write_text("session,split\n026,dev\n")
    with pytest.raises(DataError, match=r"--splits .*line 2: split 'dev' is not one of train, val, test"):
        NoXi(splits=table).scan(flat)


def test_what_lacks_its_other_half_is_told(release, capsys):
    (release / "train/026/expert.video.mp4").unlink()
    (release / "val/030/novice.engagement.annotation.csv").unlink()
    assert entries(release)["noxi/030/novice"].problem == "no novice.engagement.annotation.csv"
    said = capsys.readouterr().out
    assert "1 label without a video (train/026/expert), 1 video without a label (val/030/novice)" in said
