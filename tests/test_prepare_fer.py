"""datamodules/catalogues/faces/fer_plus.py: FER-2013 as three sites hand it out, and the votes of FER+ beside it."""

from collections import Counter

import pytest

import cli
from datamodules.catalogues.faces import fer_plus
from datamodules.catalogues.faces.corpus import CATEGORIES, Files
from datamodules.catalogues.faces.fer_plus import VOTED, majority
from datamodules.errors import DataError
from datamodules.reading.tables import Row
from datamodules.store.reader import Store

PIXELS = " ".join(str(i % 256) for i in range(48 * 48))
USAGES = ("Training", "PublicTest", "PrivateTest")
VOTES = "Usage,Image name," + ",".join(VOTED)


def parse(folder):
    ignored = Counter()
    stills = list(fer_plus.stills(Files(folder), ignored))
    return [(still.id.removeprefix("fer_plus/"), CATEGORIES[still.label], still.split) for still in stills], ignored


@pytest.fixture
def corpus(tmp_path):
    """FER-2013 with votes: a close vote, clear ones, one that is not a face, one for another expression."""
    folder = tmp_path / "fer_plus"
    folder.mkdir()
    labels, usages = (0, 3, 6, 0, 4, 2), (*USAGES, "Training", "Training", "PrivateTest")
    rows = [f"{label},{PIXELS},{usage}" for label, usage in zip(labels, usages, strict=True)]
    (folder / "fer2013.csv").write_text("\n".join(["emotion,pixels,Usage", *rows]) + "\n")
    votes = [
        "Training,fer0000000.png,4,0,0,1,3,2,0,0,0,0",
        "PublicTest,fer0000001.png,0,9,0,0,0,0,0,0,1,0",
        "PrivateTest,,0,0,0,0,0,0,0,0,0,10",
        "Training,fer0000003.png,1,0,0,1,1,1,1,5,0,0",
        "Training,fer0000004.png,2,0,0,0,0,0,0,0,8,0",
        "PrivateTest,fer0000005.png,1,0,6,0,0,0,3,0,0,0",
    ]
    (folder / "fer2013new.csv").write_text("\n".join([VOTES, *votes]) + "\n")
    return folder


def test_the_majority_of_the_votes_is_the_label(corpus):
    stills, ignored = parse(corpus)
    assert stills == [
        ("fer2013-000003", "happy", "val"),
        ("fer2013-000005", "contempt", "train"),
        ("fer2013-000007", "surprise", "test"),
    ]
    assert ignored == {
        "fer_plus pictures voted to be no face": 1,
        "fer_plus pictures without a majority for one expression": 2,
    }


def test_without_votes_the_labels_are_those_of_fer_2013(corpus):
    (corpus / "fer2013new.csv").unlink()
    stills, ignored = parse(corpus)
    assert [label for _, label, _ in stills] == ["anger", "happy", "neutral", "anger", "sad", "fear"]
    assert not ignored


@pytest.mark.parametrize(("given", "expected"), [
    ("4,0,0,1,3,2,0,0,0,0", "unknown"),  # without the single vote 4 of 9
    ("6,0,1,1,0,0,0,0,2,0", "neutral"),
    ("3,1,1,1,1,1,1,0,1,0", "neutral"),  # 3 of 10, but the others are single votes
    ("5,0,5,0,0,0,0,0,0,0", "unknown"),
    ("1,1,1,1,1,1,1,1,1,1", "unknown"),
    ("0,0,0,0,0,0,0,0,0,0", "unknown"),
    ("2,0,0,0,0,0,0,0,1,7", "NF"),
])  # fmt: skip
def test_a_majority_is_more_than_half_without_single_votes(given, expected):
    assert majority(Row(zip(VOTED, given.split(","), strict=True))) == expected


def test_columns_are_found_by_name(corpus):
    first = parse(corpus)
    header, *rows = (corpus / "fer2013new.csv").read_text().splitlines()
    turned = [";".join(reversed(line.split(","))) for line in (header, *rows)]
    (corpus / "fer2013new.csv").write_text("\ufeff" + "\r\n".join(turned))
    assert parse(corpus) == first


def test_kaggles_table_is_read_as_fer2013(corpus):
    rows = [line.split(",") for line in (corpus / "fer2013.csv").read_text().splitlines()[1:]]
    (corpus / "fer2013.csv").unlink()
    lines = ["emotion, Usage, pixels", *(f"{label},{usage},{pixels}" for label, pixels, usage in rows)]
    (corpus / "icml_face_data.csv").write_text("\n".join(lines) + "\n")
    (corpus / "train.csv").write_text(f"emotion,pixels\n0,{PIXELS}\n")  # lies beside it on Kaggle
    stills, _ = parse(corpus)
    assert stills == [
        ("icml_face_data-000003", "happy", "val"),
        ("icml_face_data-000005", "contempt", "train"),
        ("icml_face_data-000007", "surprise", "test"),
    ]
    (corpus / "fer2013new.csv").unlink()
    assert [split for _, _, split in parse(corpus)[0]] == ["train", "val", "test", "train", "train", "test"]


@pytest.mark.parametrize(
    ("name", "old", "new", "message"),
    [
        (
            "fer2013new.csv",
            "Training,fer0000000",
            "PublicTest,fer0000000",
            r"new\.csv, line 2: Usage is 'PublicTest', but 'Training'",
        ),
        (
            "fer2013new.csv",
            "PublicTest,fer0000001.png,0,9,0,0,0,0,0,0,1,0\n",
            "",
            "line 3: Usage is 'PrivateTest', but 'PublicTest'",
        ),
        (
            "fer2013new.csv",
            "PrivateTest,fer0000005.png,1,0,6,0,0,0,3,0,0,0\n",
            "",
            r"fer2013\.csv has more rows than fer2013new\.csv",
        ),
        ("fer2013.csv", f"2,{PIXELS},PrivateTest\n", "", r"fer2013new\.csv has more rows than fer2013\.csv"),
        ("fer2013new.csv", ",9,", ",many,", "line 3: 'many' is no number of votes for happiness"),
        ("fer2013new.csv", ",9,", ",-9,", "'-9' is no number"),
        ("fer2013new.csv", ",contempt,", ",scorn,", "no column contempt"),
        ("fer2013.csv", ",Usage", ",Use", "no column Usage; put fer2013"),
    ],
)
def test_votes_that_do_not_belong_to_the_pictures_are_refused(corpus, name, old, new, message):
    text = (corpus / name).read_text()
    assert old in text
    (corpus / name).write_text(text.replace(old, new, 1))
    with pytest.raises(DataError, match=message) as error:
        parse(corpus)
    assert len(str(error.value).splitlines()) == 1


def test_votes_beside_train_csv_alone_are_refused(corpus):
    (corpus / "fer2013.csv").rename(corpus / "train.csv")
    (corpus / "train.csv").write_text(f"emotion,pixels\n0,{PIXELS}\n")
    with pytest.raises(DataError, match=r"cannot be joined to train\.csv.*put fer2013\.csv or icml_face_data\.csv"):
        parse(corpus)


def test_what_was_left_aside_is_told_and_other_votes_are_another_source(corpus, tmp_path, capsys):
    command = ["prepare", "faces", "--source", str(corpus.parent), "--out", str(tmp_path / "out")]
    command += ["--views.face.size", "16"]
    assert cli.main(command) == 0
    assert "1 fer_plus pictures voted to be no face ignored" in capsys.readouterr().out
    assert sorted(Store(tmp_path / "out/prepared").labels) == [
        CATEGORIES.index(n) for n in ("happy", "surprise", "contempt")
    ]
    votes = corpus / "fer2013new.csv"
    votes.write_text(votes.read_text().replace("0,9,0,0,0,0,0,0,1", "9,0,0,0,0,0,0,0,1"))
    assert cli.main(command) == 2
    assert "made from other source files" in capsys.readouterr().err
