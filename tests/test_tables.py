"""Tables that others wrote: every way to write one thing is one thing, what is unclear is refused with its line."""

import csv
import os

import pytest

from datamodules.errors import DataError
from datamodules.reading import tables
from datamodules.reading.names import check_name, fault_in_name
from datamodules.reading.tables import Table, read_table, settle

WANTED = [{"id": "c1", "group": "s1", "text": "well, that is it"}, {"id": "c 2", "group": "s1", "text": ""}]


def table(tmp_path, content):
    path = tmp_path / "index.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"], ids=["plain", "bom"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"], ids=["lf", "crlf", "cr"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"], ids=["comma", "semicolon", "tab"])
def test_one_table_is_one_table_however_it_is_written(tmp_path, mark, end, delimiter):
    rows = [["id ", " group", "text"], [" c1", "s1 ", '"well, that is it"'], ["c 2", " s1", " "], ["", "", ""], [""]]
    path = table(tmp_path, mark + end.join(delimiter.join(row) for row in rows).encode())
    found = read_table(path, ("id", "group"))
    assert found == WANTED
    assert [row.line for row in found] == [2, 3]
    assert found[1].where == f"{path}, line 3"


def test_line_breaks_inside_quotation_marks_belong_to_the_value(tmp_path):
    path = table(tmp_path, 'id,text\na,"one\ntwo"\n\nb,"say ""hi"""\n')
    found = read_table(path)
    assert [(row["id"], row["text"], row.line) for row in found] == [("a", "one\ntwo", 2), ("b", 'say "hi"', 5)]


def test_a_header_alone_is_a_table_without_rows(tmp_path):
    reader = Table(table(tmp_path, "id;group\n"), ["id"])
    assert reader.names == ["id", "group"]
    assert list(reader) == []


def test_the_wanted_columns_decide_where_a_header_can_be_divided_twice(tmp_path):
    path = table(tmp_path, "id;group,of;what\na;1;2\n")
    assert read_table(path, ("id", "what")) == [{"id": "a", "group,of": "1", "what": "2"}]
    with pytest.raises(DataError, match="commas and semicolons alike"):
        read_table(table(tmp_path, "id,group;what\n"))


def test_row_numbers_of_another_program_are_left_out(tmp_path):
    assert read_table(table(tmp_path, ",id\n0,a\n7,b\n")) == [{"id": "a"}, {"id": "b"}]
    with pytest.raises(DataError, match="line 3: column 1 has no name and is no row number"):
        read_table(table(tmp_path, ",id\n0,a\nx,b\n"))


def test_a_file_may_begin_with_data_where_its_columns_are_known(tmp_path):
    for content in ("a,1\nb,2\n", "name,size\na,1\nb,2\n"):
        assert read_table(table(tmp_path, content), ("name", "size"), headerless=True) == [
            {"name": "a", "size": "1"},
            {"name": "b", "size": "2"},
        ]


def test_long_fields_are_read_and_endless_ones_refused(tmp_path, monkeypatch):
    long = "7" * 200_000
    assert read_table(table(tmp_path, f'id,text\na,{long}\nb,"{long}"\n'))[1]["text"] == long
    monkeypatch.setattr(tables, "LONGEST", 150_000)
    with pytest.raises(DataError, match=r"index.csv, line 2: longer than"):
        read_table(table(tmp_path, f"id,text\na,{long}"))
    limit = csv.field_size_limit(150_000)
    try:
        with pytest.raises(DataError, match=r"index.csv, line 2: field larger than"):
            read_table(table(tmp_path, 'id,text\na,"' + ("7" * 99_999 + "\n") * 2 + '"'))
    finally:
        csv.field_size_limit(limit)
    assert limit == 1 << 24


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "the file is empty"),
        ("\n \n", "the file is empty"),
        ("id,group\na,s1\nb,s1,x\n", "line 3: 3 values for 2 columns, divided at commas"),
        ("id;group\na;s1\nb\n", "line 3: 1 values for 2 columns, divided at semicolons"),
        ("id,group\na,s1,\n", "line 2: 3 values for 2 columns"),
        ('id,group\n"a\nb",s1\nc\n', "line 4: 1 values"),
        ("id,group, id\n", "line 1: column 'id' comes twice"),
        ("id,group,\n", "line 1: column 3 has no name"),
        ("name,group\n", "no column id, it has 'name, group'"),
        ('id,group\na,s1\nb,"s1\nc,s2\n', "line 3: a quotation mark is not closed"),
        ('id,group\na,"s1"x\n', "line 2: "),
        (b"id,group\r\na,s1\r\nb,Andr\xe9\r\n", "line 3: not UTF-8 text"),
        ("id,group\na,s1\n".encode("utf-16"), "line 1: not UTF-8 text"),
        ("id,group\na,s\0\n", "line 2: not UTF-8 text"),
    ],
)
def test_what_is_unclear_is_refused_with_its_line(tmp_path, content, message):
    path = table(tmp_path, content)
    with pytest.raises(DataError) as caught:
        read_table(path, ("id", "group"), "--data.index")
    assert str(caught.value).startswith(f"--data.index {path}")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_is_no_file_is_told_and_never_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.csv")
    for name, message in (("pipe.csv", "not a file"), ("", "not a file"), ("none.csv", "no such file")):
        with pytest.raises(DataError, match=message):
            read_table(tmp_path / name)


def test_equal_copies_are_counted_and_contradictions_refused():
    entries = [("a", 1, "x, line 2"), ("b", 2, "x, line 3"), ("a", 1, "x, line 4"), ("a", 1, "x, line 4")]
    assert settle(entries) == ({"a": 1, "b": 2}, 2)
    with pytest.raises(DataError) as caught:
        settle([*entries, ("b", 3, "y, line 9")])
    assert str(caught.value) == "y, line 9: 'b' is '3', but '2' in x, line 3; correct one of them"


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "../../x",
        "a/b",
        "/etc/passwd",
        "..\\x",
        "a\nb",
        "a\0",
        "a\x1b[2J",
        " a",
        "a ",
        "\u2028",
        "é" * 101,
        "\udce9",
    ],
)
def test_names_that_are_no_file_names_are_refused(name):
    assert fault_in_name(name)
    with pytest.raises(DataError, match=r"index.csv, line 3: .* cannot be the name of a file: "):
        check_name(name, "index.csv, line 3")


@pytest.mark.parametrize("name", ["a", "..a", "a..", "clip 1.mp4", "-x", "s1_中文", "🙂", "a:b", "x" * 200])
def test_names_of_files_pass(name):
    assert check_name(name, "here") == name
