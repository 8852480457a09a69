"""datamodules/catalogues/empathetic: the same conversations in every form that people have them in."""

import csv
import itertools

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from wordpiece import train_wordpiece

import cli
from datamodules.catalogues.empathetic.catalogue import EmpatheticDialogues
from datamodules.catalogues.empathetic.files import HEADER, NAMES
from datamodules.errors import DataError

FILES = ("train", "valid", "test")
RATING = "5|5|5_2|2|5"


def row(conv, index, text="I won", prompt="I won, really", context="proud", tags="", rating=RATING):
    return [conv, str(index), context, prompt, str(3 + index % 2), text, rating, tags]


def escaped(rows):
    """Lines as the official files have them."""
    return "\n".join([HEADER, *(",".join(field.replace(",", "_comma_") for field in one) for one in rows)]) + "\n"


def corpus(folder, text):
    """Three files of the same content, the conversations' names apart."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in FILES:
        (folder / f"{name}.csv").write_text(text.replace("hit:", f"{name}:"), encoding="utf-8", newline="")
    return folder


def read(folder, text):
    return EmpatheticDialogues().scan(corpus(folder, text))


def conversations_of(found):
    """What is told of them, without the lines that cannot be used."""
    return [one for one in found.entries if not one.problem]


def problems_of(found):
    return [(one.id, one.problem) for one in found.entries if one.problem]


ROWS = [
    row("hit:1", 1, "Yes, I did", prompt='"Never", he said'),
    row("hit:1", 2, 'He said "no", really', prompt='"Never", he said'),
    row("hit:1", 3, '"Why not?"', prompt='"Never", he said'),
    row("hit:2", 1, "Well; then\tgo", prompt='I said "5" and left'),
    row("hit:2", 2, "Bad, bad, bad", prompt='I said "5" and left'),
]
TURNS = [("Yes, I did", '"Why not?"'), ("Well; then\tgo",)]


def saved(frame, **options):
    return frame.to_csv(**{"index": False, **options})


SAVED = {
    "pandas": {},
    "pandas with its index": {"index": True},
    "an index with a name": {"index": True, "index_label": "number"},
    "everything quoted": {"quoting": csv.QUOTE_ALL},
    "text quoted": {"quoting": csv.QUOTE_NONNUMERIC},
    "another order": {"columns": NAMES[::-1]},
    "prompt last": {"columns": [*(name for name in NAMES if name != "prompt"), "prompt"]},
    "semicolons": {"sep": ";"},
    "tabs": {"sep": "\t", "lineterminator": "\r\n"},
    "Excel": {"sep": ";", "lineterminator": "\r\n", "mark": "\ufeff"},
    "no ratings": {"columns": NAMES[:6]},
}


@pytest.mark.parametrize("how", SAVED)
def test_saved_again_is_the_same(tmp_path, how):
    official = read(tmp_path / "official", escaped(ROWS))
    assert [one.texts["turns"] for one in conversations_of(official)] == TURNS * 3
    assert [one.texts["prompt"] for one in conversations_of(official)[:2]] == [
        '"Never", he said',
        'I said "5" and left',
    ]
    options = dict(SAVED[how])
    mark = options.pop("mark", "")
    text = mark + saved(pd.DataFrame(ROWS, columns=NAMES), **options)
    again = read(tmp_path / "again", text)
    assert again.entries == official.entries
    assert again.facts == {"groups": "speakers"}
    assert not problems_of(again)


def test_saved_again_with_the_commas_as_they_were(tmp_path):
    official = read(tmp_path / "official", escaped(ROWS))
    kept = [[field.replace(",", "_comma_") for field in one] for one in ROWS]
    assert read(tmp_path / "again", saved(pd.DataFrame(kept, columns=NAMES))).entries == official.entries


def test_a_column_that_had_holes_is_the_same(tmp_path):
    frame = pd.DataFrame(ROWS, columns=NAMES).astype({"utterance_idx": float, "speaker_idx": float})
    again = read(tmp_path / "again", saved(frame))
    assert again.entries == read(tmp_path / "official", escaped(ROWS)).entries
    assert again.entries[0].group == "4"


# Two quotation marks side by side could be one that a program doubled: nothing in the official files tells.
TEXT = st.text("ab \"',;|\t", max_size=12).map(str.strip).filter(lambda text: '""' not in text)


@st.composite
def conversations(draw):
    rows = []
    for number in range(draw(st.integers(1, 3))):
        prompt = draw(TEXT)
        for index in range(1, draw(st.integers(1, 3)) + 1):
            tags = draw(st.sampled_from(["", "<HI>"]))
            rows.append(row(f"hit:{number}", index, draw(TEXT), prompt, tags=tags))
            if draw(st.booleans()):
                rows[-1].append(draw(TEXT) + "|" + draw(TEXT))  # retrieval candidates
    return rows


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=conversations(), shape=st.tuples(
    st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC]), st.sampled_from(",;\t"),
    st.permutations(range(len(NAMES))), st.booleans(), st.sampled_from(["\n", "\r\n"]), st.booleans(),
))  # fmt: skip
def test_whatever_is_said_it_is_read_as_it_was(tmp_path, rows, shape):
    official = read(tmp_path / "official", escaped(rows))
    assert not problems_of(official)
    for one, (_, own) in zip(official.entries, itertools.groupby(rows, lambda fields: fields[0]), strict=False):
        own = list(own)
        turns = tuple(fields[5] for fields in own if int(fields[1]) % 2)
        assert (one.texts["prompt"], one.texts["turns"]) == (own[0][3], turns)
    quoting, delimiter, order, counted, end, mark = shape
    path = tmp_path / "saved.csv"
    with path.open("w", newline="", encoding="utf-8-sig" if mark else "utf-8") as file:
        writer = csv.writer(file, delimiter=delimiter, quoting=quoting, lineterminator=end)
        for number, fields in enumerate([NAMES, *rows]):
            count = ["" if fields is NAMES else number] * counted
            writer.writerow([*count, *(fields[place] for place in order), *fields[len(NAMES) :]])
    again = read(tmp_path / "again", path.read_text(encoding="utf-8"))
    assert again.entries == official.entries
    assert again.ignored == official.ignored


def test_a_comma_that_nobody_quoted_cuts_nothing(tmp_path):
    lines = [
        "hit:1,1,proud,I won, really,4,Yes,5|5|5_2|2|5,",  # half of a prompt was the speaker
        "hit:2,1,proud,I won,4,Yes, I did,5|5|5_2|2|5,",
        "hit:3,1,proud,I won, really,4,Yes,5|5|5_2|2|5",
        "hit:4,1,proud,I won,4,Yes, well, no,5|5|5_2|2|5",  # its ratings are no candidates
        "hit:5,1,proud,I won, really,4,Yes,no rating,",
        "hit:6,1,proud,I won\\, really,4,Yes,5|5|5_2|2|5,",
        "hit:7,1,proud,I won,4,Yes,5|5|5_2|2|5,,some text",
        "hit:A,1,proud,I won, really,4,Yes,no rating",
        "hit:B,1,proud,I won,4,Yes, I did,no rating",
        "hit:8,1,proud,I won,4,Yes,5|5|5_2|2|5,,",  # an empty list of candidates
        "hit:9,1,proud,I won,4,Yes,5|5|5_2|2|5,,one|two",
    ]
    found = read(tmp_path, "\n".join([HEADER, *lines]))
    told = [(one.id, one.group, one.texts["prompt"], one.texts["turns"]) for one in conversations_of(found)[:2]]
    assert told == [
        ("train:8", "4", "I won", ("Yes",)),
        ("train:9", "4", "I won", ("Yes",)),
    ]
    assert [place for place, _ in problems_of(found)[:9]] == [f"train.csv:{number}" for number in range(2, 11)]
    assert len(problems_of(found)) == 27
    assert found.ignored["ninth fields"] == 6


@pytest.mark.parametrize(("lines", "message"), [
    (["hit:1,1,proud,I won,4,He said \"no\" again,5|5|5,", 'hit:2,1,proud,"I won, really",4,Yes,5|5|5,'],
     r"train\.csv: line 2 is written as in the official files, line 3 as by a program that quotes"),
    (['hit:1,1,proud,"I won, really",4,Yes,5|5|5,', 'hit:2,1,proud,"I won, really,4,Yes,5|5|5,'],
     r"train\.csv, line 3: a quotation mark is not closed"),
    (['hit:1,1,proud,"I won, really",4,Yes,5|5|5,', "hit:2,1,proud,I won, really,4,Yes,5|5|5,"],
     r"train\.csv, line 3: 9 values for 8 columns"),
])  # fmt: skip
def test_what_can_be_read_in_two_ways_is_refused_with_its_line(tmp_path, lines, message):
    with pytest.raises(DataError, match=message) as error:
        read(tmp_path, "\n".join([HEADER, *lines]))
    assert len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize(("text", "message"), [
    ("context,prompt\nproud,I won, really\n", r"train\.csv, line 2: 3 values for 2 columns"),
    ('context,prompt\nproud,"I won" he said\n', r"train\.csv, line 2: "),
    ("conv_id,context,prompt\nhit:1,proud,x\n", "there is no utterance_idx, speaker_idx, utterance"),
    (",conv_id,context,prompt,speaker_idx,utterance\n0,hit:1,proud,x,4,y\n", "there is no utterance_idx"),
    ("conv_id,utterance_idx,context,prompt,speaker_idx,prompt\nhit:1,1,proud,x,4,y\n", "column 'prompt' comes twice"),
    (HEADER + "\n", r"train\.csv: a header and nothing else"),
    ("prompt,context\n", r"train\.csv: a header and nothing else"),
    (HEADER + "\nhit:1,1,proud\n", r"train\.csv: no line can be used, the first train\.csv:2 \(3 fields"),
    (HEADER + "\nhit:1," + "9" * 5000 + ",proud,x,4,y,5|5|5,\n", "no line can be used, the first .*utterance_idx"),
    (HEADER + "\n,1,proud,x,4,y,5|5|5,\n", "no line can be used, the first .*conv_id is empty"),
])  # fmt: skip
def test_a_file_that_gives_nothing_or_is_unclear_is_refused(tmp_path, text, message):
    with pytest.raises(DataError, match=message) as error:
        read(tmp_path, text)
    assert len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize("empty", FILES)
@pytest.mark.parametrize("header", [HEADER, "prompt,context"])
def test_a_header_alone_is_no_corpus(tmp_path, capsys, header, empty):
    raw = corpus(tmp_path / "raw", escaped(ROWS) if header == HEADER else "prompt,context\nI won,proud\n")
    (raw / f"{empty}.csv").write_text(header + "\n")
    train_wordpiece(["i won"], raw / "tokenizer")
    assert cli.main(["prepare", "empathetic", "--source", str(raw), "--out", str(tmp_path / "out")]) == 2
    assert f"{empty}.csv: a header and nothing else" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_files_of_two_kinds_are_refused(tmp_path):
    corpus(tmp_path, escaped(ROWS))
    (tmp_path / "valid.csv").write_text("prompt,context\nI won,proud\n")
    with pytest.raises(DataError, match=r"valid\.csv holds prompts alone, train\.csv conversations"):
        EmpatheticDialogues().scan(tmp_path)


def test_a_conversation_has_one_emotion(tmp_path):
    rows = [row("hit:1", 1), row("hit:1", 2, "Well done"), row("hit:1", 3, context="sad")]
    with pytest.raises(DataError, match=r"train\.csv, line 4: 'train:1' is 'sad', but 'proud' in .*train\.csv, line 2"):
        read(tmp_path, escaped(rows))
    rows[2][2] = " Proud"
    assert [one.columns["emotion"] for one in read(tmp_path, escaped(rows)).entries] == ["proud"] * 3


def test_equal_lines_count_once_and_different_ones_are_refused(tmp_path, capsys):
    rows = [row("hit:1", 1), row("hit:1", 2, "Well done"), row("hit:1", 1, rating=""), row("hit:1", 3)]
    found = read(tmp_path / "raw", escaped(rows))
    assert found.entries[0].texts["turns"] == ("I won", "I won")
    assert found.ignored["lines that say what another says"] == 3
    train_wordpiece(["i won"], tmp_path / "raw/tokenizer")
    command = ["prepare", "empathetic", "--source", str(tmp_path / "raw"), "--out", str(tmp_path / "out")]
    for name in FILES:  # other prompts, or they would be taken out
        path = tmp_path / f"raw/{name}.csv"
        path.write_text(path.read_text().replace("really", name))
    assert cli.main(command) == 0
    assert "3 lines that say what another says" in capsys.readouterr().out
    for changed in (row("hit:1", 1, "I lost"), row("hit:1", 3, prompt="another")):
        with pytest.raises(DataError, match=r"train\.csv, line 4: .* in .*train\.csv, line 2; correct one of them"):
            read(tmp_path / "raw", escaped([*rows[:2], changed]))


def test_lines_that_another_program_joined_are_not_one_turn(tmp_path):
    """What pandas makes of the official files where quotation marks count: two utterances in one."""
    text = saved(pd.DataFrame([row("hit:1", 1), row("hit:1", 3, "Why?,5|5|5,\nhit:1_conv,4")], columns=NAMES))
    found = read(tmp_path, text)
    assert found.entries[0].texts["turns"] == ("I won",)
    assert problems_of(found)[0] == ("train.csv:3", "a line break inside a text: several lines were read as one")


def test_half_of_a_pair_in_a_text_is_refused_with_its_file(tmp_path, capsys):
    raw = corpus(tmp_path / "raw", escaped(ROWS))
    path = raw / "valid.csv"
    path.write_bytes(path.read_bytes().replace(b"Bad, bad", b"Bad").replace(b"Yes", b"\xed\xa0\x80"))
    train_wordpiece(["i won"], raw / "tokenizer")
    assert cli.main(["prepare", "empathetic", "--source", str(raw), "--out", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert "valid.csv cannot be read as UTF-8 text" in error
    assert len(error.strip().splitlines()) == 1


@pytest.mark.realdata
def test_the_official_sample_saved_again(realdata, tmp_path):
    sample = (realdata / "empatheticdialogues" / "official_format_sample.csv").read_text(encoding="utf-8")
    official = read(tmp_path / "official", sample)
    assert len(conversations_of(official)) == len(official.entries) == 15
    rows = [line.replace("\n", "").split(",") for line in sample.splitlines()[1:]]
    frame = pd.DataFrame([[field.replace("_comma_", ",") for field in fields] for fields in rows], columns=NAMES)
    for options in SAVED.values():
        options = {name: value for name, value in options.items() if name != "mark"}
        assert read(tmp_path / "again", saved(frame, **options)).entries == official.entries
