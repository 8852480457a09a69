"""datamodules/catalogues/clips: folds that are given, handed back, or made by speaker and class."""

import itertools
from pathlib import Path

import numpy as np
import pytest
from clip_folders import folder, scanned, table

from datamodules.catalogues.clips.division import class_shares, divide
from datamodules.errors import DataError
from datamodules.reading.tables import read_table


def clips(root: Path, header: str, rows: list[str], **options):
    folder(root, *(row.split(",")[0] for row in rows), labels_csv=table(header, *rows))
    return scanned(root, **options)


def refused(root: Path, header: str, rows: list[str], **options) -> str:
    with pytest.raises(DataError) as found:
        clips(root, header, rows, **options)
    assert len(str(found.value).splitlines()) == 1
    return str(found.value)


def unevenness(shares: np.ndarray, fold, count: int) -> float:
    """How far the folds of groups are from being alike, 0 at best."""
    sums = np.stack([shares[np.asarray(fold) == one].sum(0) for one in range(count)])
    return float(np.square(sums - shares.sum(0) / count).sum())


def folds_of(scan) -> dict[str, str]:
    return {entry.id: entry.columns["fold"] for entry in scan.entries}


SPEAKERS = [
    f"{speaker}-{take}.wav,{'joy' if take % 2 else 'rage'},{speaker}" for speaker in "abcdefg" for take in range(4)
]


def test_folds_are_made_by_speaker_and_class(tmp_path):
    scan = clips(tmp_path, "file,label,speaker", SPEAKERS)
    by_speaker = {(entry.group, entry.columns["fold"]) for entry in scan.entries}
    assert len(by_speaker) == 7
    assert {fold for _, fold in by_speaker} == set("01234")
    assert scan.facts["folds"]["count"] == 5
    assert folds_of(scan) != folds_of(scanned(tmp_path, fold_seed=1))
    assert folds_of(scan) == folds_of(scanned(tmp_path))


def tiny(seed: int) -> tuple[list[str], list[int], int]:
    """Return the groups and classes of a few clips, drawn, and a number of folds."""
    rng = np.random.default_rng(seed)
    count = int(rng.integers(2, 4))
    names = [f"g{one}" for one in range(rng.integers(count, 7))]
    groups = [*names, *rng.choice(names, int(rng.integers(0, 15))).tolist()]
    return groups, rng.integers(0, 3, len(groups)).tolist(), count


@pytest.mark.parametrize("seed", range(40))
def test_folds_are_as_even_as_any_division_could_be(seed):
    groups, classes, count = tiny(seed)
    shares, names = class_shares(groups, classes), sorted(set(groups))
    made = divide(groups, classes, count, seed=0)
    assert set(made) == set(names)
    assert set(made.values()) == set(range(count))  # none is empty
    every = [fold for fold in itertools.product(range(count), repeat=len(names)) if len(set(fold)) == count]
    best = min(unevenness(shares, fold, count) for fold in every)
    worst = max(unevenness(shares, fold, count) for fold in every)
    own = unevenness(shares, [made[name] for name in names], count)
    assert own <= best + 0.1 * (worst - best) + 1e-9


def test_most_tiny_divisions_are_the_best_there_is():
    reached = 0
    for seed in range(40):
        groups, classes, count = tiny(seed)
        shares, names = class_shares(groups, classes), sorted(set(groups))
        own = [divide(groups, classes, count, seed=0)[name] for name in names]
        every = [fold for fold in itertools.product(range(count), repeat=len(names)) if len(set(fold)) == count]
        reached += unevenness(shares, own, count) <= min(unevenness(shares, fold, count) for fold in every) + 1e-9
    assert reached >= 36


def test_a_known_division():
    """Two speakers have all the joy, four the rage: a fold of two has one of the former and two of the latter."""
    groups = [name for name in "abcdef" for _ in range(4)]
    classes = [int(name in "ab") for name in groups]
    made = divide(groups, classes, 2, seed=3)
    assert made["a"] != made["b"]
    assert sorted(made[name] for name in "cdef") == [0, 0, 1, 1]


def test_as_many_folds_as_speakers_leave_one_out():
    assert sorted(divide(list("abcde"), [0, 0, 0, 1, 1], 5, seed=0).values()) == [0, 1, 2, 3, 4]


def test_many_clips_of_no_speaker_are_divided_evenly():
    classes = np.random.default_rng(0).integers(0, 4, 2000).tolist()
    made = divide([f"c{one:04}" for one in range(2000)], classes, 5, seed=0)
    for label in range(4):
        counts = np.bincount([made[f"c{one:04}"] for one in range(2000) if classes[one] == label], minlength=5)
        assert counts.max() - counts.min() <= 1


def test_too_few_speakers_are_told_with_the_number_that_works(tmp_path, capsys):
    assert "--folds 8: there are 7 speakers; the largest number of folds that works is 7" in refused(
        tmp_path, "file,label,speaker", SPEAKERS, folds=8
    )
    assert scanned(tmp_path, folds=7).facts["folds"]["count"] == 7
    few = [row for row in SPEAKERS if row.endswith(("a", "b", "c"))]
    assert clips(tmp_path / "few", "file,label,speaker", few).facts["folds"]["count"] == 3
    assert "--folds 1: at least 2" in refused(tmp_path, "file,label,speaker", SPEAKERS, folds=1)
    one = [row for row in SPEAKERS if row.endswith("a")]
    assert "all 4 clips are of one speaker, 'a'" in refused(tmp_path / "one", "file,label,speaker", one)


def test_without_speakers_the_unit_is_the_clip_and_that_is_said(tmp_path, capsys):
    rows = [",".join(row.split(",")[:2]) for row in SPEAKERS]
    scan = clips(tmp_path, "file,label", rows)
    assert all(entry.group == entry.id for entry in scan.entries)
    said = capsys.readouterr().out
    assert "no column speaker: whether one person is in two folds cannot be checked; the unit is the clip" in said
    assert "5 folds made of 28 clips" in said
    assert scan.facts["speakers"] is False


def test_a_class_that_is_too_rare_for_the_folds_is_told(tmp_path, capsys):
    clips(tmp_path, "file,label,speaker", [*SPEAKERS, "x.wav,awe,a"])
    assert "too rare for 5 parts: awe (1 clip of 1 speaker); some do not test it" in capsys.readouterr().out


@pytest.mark.parametrize(("column", "values", "message"), [
    ("fold", ("1", "2", "1", "2"), "speaker 's1' is in fold 0 (a) and fold 1 (b), and a network would know whom it is"),
    ("split", ("train", "test", "train", "test"), "speaker 's1' is in split train (a) and split test (b)"),
    ("fold", ("1", "1", "2", ""), "1 of 4 clips have no fold (d); give it to all or none"),
    ("split", ("train", "train", "test", ""), "1 of 4 clips have no split (d)"),
    ("split", ("train", "train", "tset", "test"), "line 4: split 'tset' is none of train, val, test; correct it"),
    ("fold", ("1", "1", "x", "2"), "line 4: fold 'x' is no whole number from 0 on"),
    ("fold", ("3", "3", "3", "3"), "every clip is of fold 3, and two are needed"),
    ("split", ("train", "train", "val", "val"), "no clip is of the split test"),
])  # fmt: skip
def test_folds_and_splits_that_cannot_be_are_refused(tmp_path, column, values, message):
    who = ("a.wav,joy,s1", "b.wav,rage,s1", "c.wav,joy,s2", "d.wav,rage,s3")
    rows = [f"{one},{value}" for one, value in zip(who, values, strict=True)]
    assert message in refused(tmp_path, f"file,label,speaker,{column}", rows)


def test_given_folds_are_counted_from_zero_and_splits_have_their_usual_names(tmp_path, capsys):
    rows = ["a.wav,joy,2", "b.wav,rage,2", "c.wav,joy,5", "d.wav,rage,10"]
    assert folds_of(clips(tmp_path / "f", "file,label,fold", rows)) == {"a": "0", "b": "0", "c": "1", "d": "2"}
    assert "folds 2, 5, 10 are 0 to 2 here" in capsys.readouterr().out
    rows = ["a.wav,joy,Training", "b.wav,rage,DEV", "c.wav,joy,train", "d.wav,rage,test"]
    scan = clips(tmp_path / "s", "file,label,split", rows)
    assert [entry.split for entry in scan.entries] == ["train", "val", "train", "test"]
    assert scan.facts["folds"] | {"sha256": ""} == {"source": "split", "count": 3, "seed": None, "sha256": ""}
    assert scan.beside["folds.csv"].splitlines()[:2] == ["clip,speaker,split", "a,a,train"]
    assert "--folds 3: every clip has a split already" in refused(
        tmp_path / "s", "file,label,split", rows, folds=3
    ).replace("its", "a")


def test_a_tenth_of_the_speakers_who_train_validates_where_none_is_said_to(tmp_path, capsys):
    rows = [f"{row},{'test' if row.endswith('g') else 'train'}" for row in SPEAKERS]
    scan = clips(tmp_path, "file,label,speaker,split", rows)
    held = {entry.group for entry in scan.entries if entry.split == "val"}
    assert len(held) == 1
    assert not held & {entry.group for entry in scan.entries if entry.split != "val"}
    assert "no split val: 4 of 24 clips of train validate, by speaker, seed 0" in capsys.readouterr().out


def test_what_was_written_can_be_handed_back(tmp_path):
    made = clips(tmp_path, "file,label,speaker", [*SPEAKERS, "nobody knows.wav,,a"], fold_seed=7)
    assert [entry.id for entry in made.entries if entry.dropped] == ["nobody knows"]
    path = tmp_path / "cited.csv"
    path.write_text(made.beside["folds.csv"])
    back = scanned(tmp_path, splits=path, labels=tmp_path / "labels.csv")
    assert folds_of(back) == folds_of(made)
    assert back.beside["folds.csv"] == made.beside["folds.csv"]
    assert back.facts["folds"] == {**made.facts["folds"], "source": "given", "seed": None}


@pytest.mark.parametrize(("text", "message"), [
    ("clip,speaker,fold\na,s1,0\n", "1 of 2 clips are not listed (b)"),
    ("clip,speaker,fold\na,s1,0\nb,s9,1\n", "line 3: b is of 's9', the clips say 's2'"),
    ("clip,speaker\na,s1\nb,s2\n", "no column fold or split; it has clip, speaker"),
    ("speaker,fold\ns1,0\n", "no column clip"),
    ("clip,fold\na,0\na,1\nb,1\n", "line 3: 'a' has fold '1', but '0' in"),
])  # fmt: skip
def test_folds_that_do_not_fit_the_clips_are_refused(tmp_path, text, message):
    (tmp_path / "my.csv").write_text(text)
    rows = ["a.wav,joy,s1", "b.wav,rage,s2"]
    options = {"splits": tmp_path / "my.csv", "labels": tmp_path / "labels.csv"}
    assert message in refused(tmp_path, "file,label,speaker", rows, **options)


def test_parts_of_a_file_may_be_listed_by_the_file(tmp_path):
    rows = ["a.wav,joy,0,2", "a.wav,rage,2,4", "b.wav,joy,,", "c.wav,rage,,"]
    (tmp_path / "my.csv").write_text("clip,fold\na,0\nb,1\nc,1\n")
    scan = clips(tmp_path, "file,label,start,end", rows, splits=tmp_path / "my.csv", labels=tmp_path / "labels.csv")
    assert folds_of(scan) == {"a@0-2": "0", "a@2-4": "0", "b": "1", "c": "1"}
    assert [row["speaker"] for row in _read(tmp_path, scan.beside["folds.csv"])] == ["a", "a", "b", "c"]


@pytest.mark.parametrize("listed", ["a@0-2", "a", "a@0-2@1"])
def test_people_in_a_part_of_a_file_may_be_listed_by_the_part_or_the_file(tmp_path, listed):
    rows = ["a.wav,joy,0,2,s,1", "a.wav,rage,0,2,s,2", "b.wav,joy,,,t,1", "c.wav,rage,,,u,1"]
    second = "a@0-2@2,0\n" if listed == "a@0-2@1" else ""
    (tmp_path / "my.csv").write_text(f"clip,fold\n{listed},0\n{second}b,1\nc,1\n")
    header = "file,label,start,end,speaker,person"
    scan = clips(tmp_path, header, rows, splits=tmp_path / "my.csv", labels=tmp_path / "labels.csv")
    assert folds_of(scan) == {"a@0-2@1": "0", "a@0-2@2": "0", "b": "1", "c": "1"}


def _read(folder: Path, text: str):
    path = folder / "written.csv"
    path.write_text(text)
    return read_table(path)
