"""datamodules/catalogues/clips: the tables that people's own data come in, and what is wrong with them."""

import importlib.util
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from clip_folders import CASES, entries, folder, scanned, table

import cli
from datamodules.errors import DataError
from datamodules.reading.tables import read_table

FOUR = ("a.mp4", "b.mp4", "c.mp4", "d.mp4")


def case(tmp_path: Path, name: str, *files: str) -> Path:
    folder(tmp_path, *files)
    shutil.copy(CASES / name, tmp_path)
    return tmp_path


def refused(root: Path, **options) -> str:
    """Return the one line that a folder is refused with."""
    with pytest.raises(DataError) as found:
        scanned(root, **options)
    assert len(str(found.value).splitlines()) == 1
    return str(found.value)


def labels_of(root: Path, **options) -> dict[str, str]:
    scan = scanned(root, **options)
    return {entry.id: scan.facts["classes"][entry.label] if entry.label >= 0 else "" for entry in scan.entries}


def test_a_table_of_a_spreadsheet_is_read_and_the_line_with_a_stray_field_refused(tmp_path):
    root = case(tmp_path, "labels_semicolon_bom.csv", "clip_001.mp4", "sub/clip 2.MP4", "clip_003.wav")
    line = refused(root)
    assert "labels_semicolon_bom.csv, line 4: 5 values for 4 columns, divided at semicolons" in line
    path = root / "labels_semicolon_bom.csv"
    path.write_bytes(path.read_bytes().replace(b"no; \r", b"no\r"))
    found = entries(root)
    assert list(found) == ["clip_001", "clip_003", "sub/clip 2"]
    assert [one.group for one in found.values()] == ["s1", "s2", "s1"]
    assert [dict(one.texts) for one in found.values()] == [{"prompt": "well, that is it"}, {"prompt": "no"}, {}]
    assert labels_of(root) == {"clip_001": "happy", "clip_003": "happy", "sub/clip 2": "sad"}
    assert set(found["clip_003"].media) == {"audio"}
    assert found["sub/clip 2"].media["video"].path == root / "sub" / "clip 2.MP4"


def test_a_video_folder_of_hugging_face(tmp_path):
    root = case(tmp_path, "metadata.jsonl", "train/a.mp4", "test/b.mp4")
    (root / "metadata.jsonl").write_text(
        (CASES / "metadata.jsonl").read_text()
        + '{"video_file_name": "train/c.mp4", "label": "sad", "speaker": "s3", "take": 3}\n'
    )
    folder(root, "train/c.mp4")
    found = entries(root)
    assert {one.id: (one.split, one.group) for one in found.values()} == {
        "test/b": ("test", "s2"),
        "train/a": ("val", "s1"),  # no validation was given: one of the two speakers who train
        "train/c": ("train", "s3"),
    }
    assert labels_of(root) == {"test/b": "sad", "train/a": "happy", "train/c": "sad"}
    assert found["train/c"].columns["meta_take"] == "3"
    assert found["train/a"].columns["meta_take"] == ""


def test_tables_of_hugging_face_in_the_folders_of_their_splits(tmp_path):
    root = folder(tmp_path, "train/x/1.wav", "train/2.wav", "val/3.wav", "test/4.wav")
    for split, rows in {
        "train": ("x/1.wav,happy", "2.wav,sad"), "val": ("3.wav,sad",), "test": ("4.wav,happy",),
    }.items():  # fmt: skip
        (root / split / "metadata.csv").write_text(table("file_name,label", *rows))
    assert labels_of(root) == {"test/4": "happy", "train/2": "sad", "train/x/1": "happy", "val/3": "sad"}
    assert [one.split for one in entries(root).values()] == ["test", "train", "train", "val"]


def test_parquet_needs_its_reader_or_is_read(tmp_path):
    root = folder(tmp_path, "a.wav", "b.wav")
    (root / "metadata.parquet").write_bytes(b"PAR1 and no more")
    there = importlib.util.find_spec("pyarrow") or importlib.util.find_spec("fastparquet")
    wanted = (
        "not a table of parquet" if there else "reading parquet needs pyarrow; install it, or save the table as CSV"
    )
    assert wanted in refused(root)


def test_names_of_folders_are_labels_where_there_is_no_table(tmp_path, capsys):
    root = folder(tmp_path, "train/happy/1.wav", "train/sad/1.wav", "train/sad/2.wav", "test/happy/3.wav", "top.wav",
                  ".git/happy/9.wav", "__MACOSX/happy/8.wav", "train/happy/.hidden.wav", "prepared/sad/7.wav",
                  "val/sad/5.wav")  # fmt: skip
    found = scanned(root)
    assert labels_of(root) == {
        "test/happy/3": "happy", "train/happy/1": "happy", "train/sad/1": "sad", "train/sad/2": "sad",
        "val/sad/5": "sad",
    }  # fmt: skip
    assert [one.split for one in found.entries] == ["test", "train", "train", "train", "val"]
    said = capsys.readouterr().out
    assert "names of the folders, for want of a table" in said
    assert "1 files without a row, left out (top.wav)" in said
    assert found.beside["unmatched.csv"].splitlines()[1:] == ["file without a row,top.wav,,"]


def emobox(root: Path, folds: dict[int, dict[str, list[int]]], ending: str = "jsonl") -> Path:
    for number, splits in folds.items():
        for split, clips in splits.items():
            path = root / f"fold_{number}" / f"x_{split}_fold_{number}.{ending}"
            path.parent.mkdir(parents=True, exist_ok=True)
            lines = [
                {"key": f"x-{one}", "wav": f"downloads/x/{one}.wav", "emo": "hap" if one % 2 else "sad", "length": 3.0}
                for one in clips
            ]
            twin = json.dumps({line["key"]: line for line in lines})
            path.write_text("".join(json.dumps(one) + "\n" for one in lines) if ending == "jsonl" else twin)
    return root


@pytest.mark.parametrize("ending", ["jsonl", "json"])
def test_folds_of_emobox_are_those_that_test(tmp_path, ending):
    root = folder(tmp_path, *(f"wavs/{one}.wav" for one in range(4)))
    emobox(root / "data/x", {1: {"train": [2, 3], "test": [0, 1]}, 2: {"train": [0, 1], "test": [2, 3]}}, ending)
    (root / "data/x/label_map.json").write_text('{"hap": "Happy", "sad": "Sad"}')
    found = scanned(root, labels=Path("data/x"))
    assert [(one.id, one.columns["fold"]) for one in found.entries] == [
        ("wavs/0", "0"), ("wavs/1", "0"), ("wavs/2", "1"), ("wavs/3", "1"),
    ]  # fmt: skip
    assert found.facts["classes"] == ["Happy", "Sad"]
    assert found.facts["folds"]["source"] == "given"
    assert found.facts["speakers"] is False
    assert found.facts["metadata"] == []


def test_one_fold_of_emobox_is_a_split_and_one_file_says_nothing_of_folds(tmp_path):
    root = folder(tmp_path / "a", *(f"{one}.wav" for one in range(4)))
    emobox(root, {1: {"train": [1, 2], "valid": [3], "test": [0]}})
    assert [one.split for one in scanned(root).entries] == ["test", "train", "train", "val"]
    root = case(tmp_path / "b", "emobox_train_fold_1.jsonl", *(f"x/{one}.wav" for one in range(3)))
    scan = scanned(root, labels=root / "emobox_train_fold_1.jsonl", folds=3)
    assert labels_of(root, labels=root / "emobox_train_fold_1.jsonl") == {"x/0": "hap", "x/1": "sad", "x/2": "neu"}
    assert scan.facts["folds"]["source"] == "made"
    assert sorted(one.columns["fold"] for one in scan.entries) == ["0", "1", "2"]


def test_folds_of_emobox_that_do_not_divide_are_told(tmp_path):
    root = folder(tmp_path, *(f"{one}.wav" for one in range(3)))
    emobox(root, {1: {"train": [2], "test": [0, 1]}, 2: {"train": [0], "test": [1]}})
    line = refused(root)
    assert "2 clips are tested in no fold or in several (downloads/x/1.wav, downloads/x/2.wav)" in line
    assert line.endswith("take one of the folds: --labels " + str(root / "fold_1"))


AUDFORMAT = """name: tiny
source: made up
usage: unrestricted
splits: {dev: {type: dev}, fit: {type: train}, test: {type: test}}
schemes:
  emotion: {dtype: str, labels: [anger, joy]}
  arousal: {dtype: float, minimum: -1, maximum: 1}
  speaker: {dtype: str}
tables:
  files:
    type: filewise
    columns: {speaker: {scheme_id: speaker}, room: {}}
  fit:
    type: segmented
    split_id: fit
    columns:
      ann: {scheme_id: emotion, rater_id: ann}
      bob: {scheme_id: emotion, rater_id: bob}
      a1: {scheme_id: arousal, rater_id: ann}
      a2: {scheme_id: arousal, rater_id: bob}
  test:
    type: segmented
    split_id: test
    columns: {ann: {scheme_id: emotion, rater_id: ann}}
  dev:
    type: segmented
    split_id: dev
    columns: {ann: {scheme_id: emotion, rater_id: ann}}
"""


def audformat(root: Path) -> Path:
    folder(root, "audio/1.wav", "audio/2.wav", "audio/3.wav", db_yaml=AUDFORMAT)
    tables = {
        "files": ("file,speaker,room", "audio/1.wav,s1,hall", "audio/2.wav,s2,", "audio/3.wav,s3,attic"),
        "fit": (
            "file,start,end,ann,bob,a1,a2",
            "audio/1.wav,0 days 00:00:00,0 days 00:00:01.500000,anger,joy,0.5,0.25",
            "audio/1.wav,0 days 00:00:01.5,NaT,joy,joy,,-0.5",
        ),
        "test": ("file,start,end,ann", "audio/2.wav,0 days 00:00:00.25,0 days 00:01:02,anger"),
        "dev": ("file,start,end,ann", "audio/3.wav,0 days,0 days 00:00:02,joy".replace("0 days,", "0 days 00:00:00,")),
    }
    for name, rows in tables.items():
        (root / f"db.{name}.csv").write_text(table(*rows))
    return root


def test_audformat_with_parts_raters_values_and_splits(tmp_path):
    scan = scanned(audformat(tmp_path))
    first, rest, test, dev = scan.entries
    assert [one.id for one in scan.entries] == [
        "audio/1@0-1.5", "audio/1@1.5-", "audio/2@0.25-62", "audio/3@0-2",
    ]  # fmt: skip
    assert [one.split for one in scan.entries] == ["train", "train", "test", "val"]
    assert [one.group for one in scan.entries] == ["s1", "s1", "s2", "s3"]
    assert (first.media["audio"].start, first.media["audio"].end) == (0.0, 1.5)
    assert (rest.media["audio"].start, rest.media["audio"].end) == (1.5, None)
    assert scan.facts["tasks"] == {
        "label": {"kind": "soft", "classes": ["anger", "joy"]},
        "arousal": {"kind": "value", "unit": "", "range": (-1.0, 1.0)},
    }
    np.testing.assert_array_equal(first.labels["label"].values, np.array([[0.5, 0.5]], np.float32))
    assert first.labels["arousal"] == 0.375
    assert rest.labels["arousal"] == -0.5
    assert "arousal" not in test.labels
    assert [one.columns["meta_room"] for one in scan.entries] == ["hall", "hall", "", "attic"]
    assert dev.columns["soft_joy"] == "1.0"


@pytest.mark.parametrize(("change", "message"), [
    (lambda root: (root / "db.yaml").write_text("name: x\n"), "no header of audformat, it lacks source, usage"),
    (lambda root: (root / "db.yaml").write_text("a: [\n"), "no YAML"),
    (lambda root: (root / "db.fit.csv").rename(root / "db.fit.pkl"), "no table db.fit.csv, only db.fit.pkl"),
    (lambda root: (root / "db.test.csv").write_text("name,ann\nx,joy\n"), "no column file"),
])  # fmt: skip
def test_a_damaged_audformat_is_one_line(tmp_path, change, message):
    change(audformat(tmp_path))
    assert message in refused(tmp_path)


def test_a_task_of_nkululeko_is_the_label(tmp_path):
    root = folder(tmp_path, *FOUR)
    rows = ("a.mp4,s1,joy,f", "b.mp4,s2,rage,m", "c.mp4,s3,joy,f", "d.mp4,s4,rage,m")
    (root / "train.csv").write_text(table("file,speaker,mood,gender", *rows))
    assert labels_of(root) == {"a": "joy", "b": "rage", "c": "joy", "d": "rage"}
    assert scanned(root).facts["metadata"] == ["gender"]
    (root / "train.csv").write_text(table("file,speaker,emotion,mood", *(f"{row}o" for row in rows)))
    assert labels_of(root)["a"] == "joy"
    assert labels_of(root, label="mood")["a"] == "fo"


def test_shares_and_values_with_holes(tmp_path):
    scan = scanned(case(tmp_path, "raters.csv", "c1.mp4", "c2.mp4", "c3.mp4"))
    assert scan.facts["tasks"] == {
        "label": {"kind": "soft", "classes": ["happy", "neutral", "sad"]},
        "valence": {"kind": "value", "unit": "", "range": None},
        "arousal": {"kind": "value", "unit": "", "range": None},
    }
    assert scan.facts["classes"] == ["happy", "neutral", "sad"]
    soft = np.array([one.labels["label"].values[0] for one in scan.entries])
    np.testing.assert_array_equal(soft, np.array([[0.6, 0.4, 0], [0, 0.2, 0.8], [0.2, 0.6, 0.2]], np.float32))
    assert [one.label for one in scan.entries] == [0, 2, 1]
    assert [one.labels.get("valence") for one in scan.entries] == [0.4, -0.6, None]
    assert [one.labels.get("arousal") for one in scan.entries] == [0.1, None, 0.3]
    assert dict(scan.entries[1].columns) == {
        "fold": scan.entries[1].columns["fold"],
        "soft_happy": "0.0", "soft_neutral": "0.2", "soft_sad": "0.8", "value_valence": "-0.6", "value_arousal": "",
    }  # fmt: skip
    assert scan.columns == ("split", *scan.entries[1].columns)
    for one in scan.entries:
        assert sum(float(value) for name, value in one.columns.items() if name.startswith("soft_")) == 1


def test_words_of_raters_are_shares_and_classes_have_the_order_that_is_given(tmp_path):
    root = folder(tmp_path, *FOUR, labels_csv=table(
        "file,speaker,label_ann,label_bob,label_cy", "a.mp4,1,joy,joy,rage", "b.mp4,2,rage,,rage", "c.mp4,3,joy,calm,",
        "d.mp4,4,,,",
    ))  # fmt: skip
    scan = scanned(root, classes="rage, joy,calm,grief")
    assert scan.facts["classes"] == ["rage", "joy", "calm", "grief"]
    soft = [one.labels["label"].values[0].tolist() for one in scan.entries if not one.dropped]
    np.testing.assert_allclose(soft, [[1 / 3, 2 / 3, 0, 0], [1, 0, 0, 0], [0, 0.5, 0.5, 0]], rtol=1e-7)
    assert scan.entries[3].dropped == "no label"


def test_parts_of_a_file_are_clips_of_one_group(tmp_path):
    root = case(tmp_path, "segments.csv", "long.mp4")
    assert [entry.id for entry in scanned(root).entries] == ["long@0-4.2", "long@4.2-9", "long@12.5-"]
    (root / "segments.csv").write_text(
        table("file,start,end,label", "long.mp4,0,2,happy", "long.mp4,2,4,sad", "other.mp4,,,sad")
    )
    folder(root, "other.mp4")
    found = entries(root)
    assert [one.group for one in found.values()] == ["long", "long", "other"]
    assert found["long@0-2"].columns["fold"] == found["long@2-4"].columns["fold"] != found["other"].columns["fold"]
    media = found["long@2-4"].media["video"]
    assert (media.start, media.end, media.path) == (2.0, 4.0, root / "long.mp4")
    assert found["other"].media["video"].start is None


@pytest.mark.parametrize(("header", "row", "message"), [
    ("filename,label", "a.mp4,x", "no column file (or video, audio) among 'filename', 'label'; 'filename' may be what "
     "is called 'file'"),
    ("File,label", "a.mp4,x", "'File' may be what is called 'file'"),
    ("file,labels,mood", "a.mp4,x,y", "no column label (nor label_<class>, nor one of valence, arousal, dominance, "
     "sentiment) among 'file', 'labels', 'mood'; 'labels' may be what is called 'label'"),
    ("file,Valence,a,b", "a.mp4,1,2,3", "'Valence' may be what is called 'valence'"),
    ("file,speaker", "a.mp4,x", "no column label"),
    ("file,label,valence", "a.mp4,x,\"0,4\"", "line 2: valence '0,4' has a decimal comma; save the table with"),
    ("file;label;valence", "a.mp4;x;0,4", "line 2: valence '0,4' has a decimal comma"),
    ("file,label,valence", "a.mp4,x,high", "line 2: valence 'high' is no number"),
    ("file,label,valence", "a.mp4,x,inf", "line 2: valence 'inf' is infinite"),
    ("file,label,start", "a.mp4,x,-1", "line 2: start '-1' is below 0"),
    ("file,label,start,end", "a.mp4,x,3,2", "line 2: it ends at 2 s and starts at 3 s"),
    ("file,label_a,label_b", "a.mp4,-1,2", "line 2: the share of a is below 0"),
    ("file,label", "a.mp4,0.25", "label holds numbers, no names of classes; --values label learns them"),
    ("file,label", ",x", "line 2: no name in the column file"),
    ("file,label,label", "a.mp4,x,y", "column 'label' comes twice"),
    ("file,label", "a.mp4,x", "every label is 'x', and one class cannot be learned"),
])  # fmt: skip
def test_what_is_wrong_with_a_table_is_one_line(tmp_path, header, row, message):
    root = folder(tmp_path, *FOUR, labels_csv=table(header, row))
    assert message in refused(root)


def test_words_and_numbers_of_raters_do_not_mix(tmp_path):
    root = folder(tmp_path, *FOUR, labels_csv=table("file,label_x,label_y", "a.mp4,1,0", "b.mp4,joy,1"))
    assert "line 3: label_x is 'joy'" in refused(root)


@pytest.mark.parametrize(("options", "message"), [
    ({"label": "mod"}, "--label mod: no such column in"),
    ({"values": "valence,rage"}, "--values rage: no such column in"),
    ({"classes": "joy,sad"}, "has rag besides"),
    ({"classes": "joy,rage"}, "'rag' may be 'rage'"),
    ({"classes": "joy,joy"}, "--classes: joy comes twice"),
    ({"labels": Path("other.csv")}, "--labels other.csv: no such file"),
    ({"window": 0.0}, "--window 0.0: give seconds from 0.1 to 600"),
    ({"hop": 1.0}, "--hop 1.0: of windows, which --window SECONDS asks for"),
    ({"window": 2.0, "hop": 3.0}, "--hop 3.0: give seconds from 0.1 to the 2.0 of --window"),
    ({"fold_seed": -1}, "--fold_seed -1: at least 0"),
])  # fmt: skip
def test_an_option_that_makes_no_sense_is_one_line(tmp_path, options, message):
    text = table("file,label,valence,mood", "a.mp4,joy,1,x", "b.mp4,rag,2,y")
    root = folder(tmp_path, *FOUR, labels_csv=text)
    assert message in refused(root, **options)


@pytest.mark.parametrize(("names", "message"), [
    (("labels.xlsx",), "labels.xlsx: a spreadsheet is not read; save it as CSV (UTF-8) and name that"),
    (("labels.csv", "labels.jsonl"), "labels.csv and labels.jsonl; name the one that counts with --labels"),
    (("x.csv", "y.csv"), "2 tables (x.csv, y.csv); name the one that counts with --labels"),
    ((), "no table (labels.csv, metadata.csv, metadata.jsonl, db.yaml) and no folder whose name could be a label"),
])  # fmt: skip
def test_the_table_is_named_where_it_is_not_clear(tmp_path, names, message):
    root = folder(tmp_path, "a.mp4", "b.mp4", *names)
    assert message in refused(root)
    assert "no video, sound or picture in it" in refused(folder(tmp_path / "empty", "x.txt"))


@pytest.mark.parametrize(("text", "message"), [
    ("{\n", "line 1: no JSON"),
    ('["a"]\n', "labels.jsonl, line 1: a str where an object of names and values belongs"),
    ("", "labels.jsonl: the file is empty"),
    ('{"x": 1}\n', "no column file"),
])  # fmt: skip
def test_damaged_lines_of_json_are_told(tmp_path, text, message):
    assert message in refused(folder(tmp_path, *FOUR, labels_jsonl=text))


def test_a_row_that_comes_again_counts_once_and_one_that_contradicts_is_refused(tmp_path, capsys):
    rows = ("a.mp4,joy,s1", "b.mp4,rage,s2", "./a.mp4,joy,s1")
    root = folder(tmp_path, *FOUR, labels_csv=table("file,label,speaker", *rows))
    assert list(entries(root)) == ["a", "b"]
    assert "1 rows of labels.csv that come twice left aside" in capsys.readouterr().out
    (root / "labels.csv").write_text(table("file,label,speaker", *rows, "b.mp4,joy,s2"))
    line = refused(root)
    assert "line 5" in line
    assert "has label 'joy', but 'rage' in" in line
    assert "line 3; correct one of them" in line


def test_what_has_no_counterpart_is_told_before_the_work(tmp_path, capsys):
    text = table("file,label", "a.mp4,joy", "x.mp4,rage", "sub/y.mp4,rage", "b.mp4,rage")
    root, out = folder(tmp_path / "in", *FOUR, labels_csv=text), tmp_path / "out"
    assert cli.main(["prepare", "clips", "--source", str(root), "--out", str(out)]) == 2
    said = capsys.readouterr()
    assert "  2 rows without a file (x.mp4, sub/y.mp4)\n  2 files without a row, left out (c.mp4, d.mp4)" in said.out
    assert "2 of 4 rows have no file in" in said.err
    assert "the first 'x.mp4' (no such file)" in said.err
    assert f"or do without them: --max_missing 2; all are in {out / 'unmatched.csv'}" in said.err
    assert len(said.err.splitlines()) == 1
    assert [(row["what"], row["name"], row["reason"]) for row in read_table(out / "unmatched.csv")] == [
        ("row without a file", "x.mp4", "no such file"), ("row without a file", "sub/y.mp4", "no such file"),
        ("file without a row", "c.mp4", ""), ("file without a row", "d.mp4", ""),
    ]  # fmt: skip
    scan = scanned(root, max_missing=2)
    assert [one.id for one in scan.entries] == ["a", "b"]
    assert scan.ignored == {"rows without a file": 2}


def test_labels_that_differ_in_capitals_are_told(tmp_path, capsys):
    rows = ("a.mp4,Joy,s1", "b.mp4,joy,S1", "c.mp4,rage,s2")
    scanned(folder(tmp_path, *FOUR, labels_csv=table("file,label,speaker", *rows)))
    said = capsys.readouterr().out
    assert "Joy, joy differ in capitals alone" in said
    assert "speakers S1 and s1 differ in capitals alone" in said


def test_numbers_under_any_name_are_values_where_they_are_called_so(tmp_path):
    root = folder(tmp_path, *FOUR, labels_csv=table("file,label,mos", "a.mp4,0.5,3", "b.mp4,-1,", "c.mp4,,NAN"))
    scan = scanned(root, values="label, mos")
    assert list(scan.facts["tasks"]) == ["label", "mos"]
    assert scan.facts["classes"] == []
    assert [dict(entry.labels) for entry in scan.entries] == [{"label": 0.5, "mos": 3.0}, {"label": -1.0}, {}]
    assert [entry.label for entry in scan.entries] == [-1, -1, -1]
    assert scan.entries[2].dropped == "no label"
    assert "has no column of classes; leave the option out" in refused(root, values="label", classes="a,b")


def test_clips_of_which_none_has_a_label_are_refused(tmp_path):
    root = folder(tmp_path, *FOUR, labels_csv=table("file,valence", "a.mp4,", "b.mp4,"))
    assert "none of 2 clips can be used, the first a.mp4 (no label); mend the table" in refused(root)


def test_classes_may_be_whole_numbers(tmp_path):
    root = folder(tmp_path, *FOUR, labels_csv=table("file,label", "a.mp4,1", "b.mp4,0", "c.mp4,1"))
    assert labels_of(root) == {"a": "1", "b": "0", "c": "1"}
