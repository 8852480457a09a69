"""Tables for test_hostile.py, of labels, of clips and of experiments: broken ones, and one written in other ways."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import hostile
import numpy as np
from hostile import content
from test_plain_yaml import ALIASES

BROKEN = {
    "missing": hostile.remove,
    "empty": content(b""),
    "blank lines": content(b"\n\n\n"),
    "a folder": hostile.folder,
    "a pipe": hostile.fifo,
    "an endless device": hostile.linked("/dev/zero"),
    "not UTF-8": lambda path: path.write_bytes(path.read_bytes() + b"\xff\xfe\xfd,1,2,3\n"),
    "UTF-16": lambda path: path.write_bytes(path.read_text().encode("utf-16")),
    "NUL bytes": lambda path: path.write_bytes(path.read_bytes() + b"a\0b,1,2,3\n"),
    "random": content(np.random.default_rng(0).bytes(5000)),
    "a web page": content(b"<!doctype html>\n<html><body>404</body></html>\n"),
    "a pickle": content(b"\x80\x04\x95\x0e\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix\x94."),
    "a number": content(b"3\n"),
    "a list of numbers": content(b"[1, 2, 3]"),
    "a deep nest": content(b"[" * 100_000 + b"]" * 100_000),
    "5,000 digits": content(b"[" + b"9" * 5000 + b"]"),
    "another header": lambda path: path.write_text("colour,size\nred,3\n"),
    "a header alone": lambda path: path.write_text(path.read_text().splitlines()[0] + "\n"),
    "cut in the middle": lambda path: os.truncate(path, path.stat().st_size // 2 + 3),
    "a row too wide": lambda path: path.write_text(path.read_text() + "a,b,c,d,e,f,g,h,i,j,k,l,m\n" * 2),
    "a field of 200 kB": lambda path: path.write_text(path.read_text() + "x" * 200_000 + ",1,2,3\n"),
    "an open quotation mark": lambda path: path.write_text(path.read_text() + '"never closed,1,2,3\n'),
}


# What is no fault of that format: a quotation mark of EmpatheticDialogues is a letter.
FINE = {("empathetic", "an open quotation mark")}


def rewritten(
    change: Callable[[list[list[str]]], list[list[str]]], between: str = ",", end: str = "\n"
) -> hostile.Damage:
    """The same table in other words: its cells changed, joined again."""

    def damage(path: Path) -> None:
        rows = change([line.split(",") for line in path.read_text().splitlines()])
        path.write_bytes("".join(between.join(row) + end for row in rows).encode())

    return damage


SAME = {
    "a byte order mark": lambda path: path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes()),
    "CRLF": rewritten(list, end="\r\n"),
    "semicolons": rewritten(list, between=";"),
    "tabs": rewritten(list, between="\t"),
    "blanks around everything": rewritten(lambda rows: [[f" {value} " for value in row] for row in rows]),
    "everything quoted": rewritten(lambda rows: [[f'"{value}"' for value in row] for row in rows]),
    "an index column in front": rewritten(
        lambda rows: [["" if place == 0 else str(place - 1), *row] for place, row in enumerate(rows)]
    ),
    "columns backwards": rewritten(lambda rows: [row[::-1] for row in rows]),
    "every row twice": rewritten(lambda rows: [rows[0], *(row for row in rows[1:] for _ in range(2))]),
    "no end of the last line": lambda path: path.write_text(path.read_text().rstrip("\n")),
    "blank lines": lambda path: path.write_text(path.read_text().replace("\n", "\n\n")),
}


NAMES = ["../../x", "../Val/1_7", "/etc/hostname", "..", ".", "a/b", "a\\b", "x" * 300, "a\x1bb"]


INDEXES = {
    "no rows": "id,group,target,fold\n",
    "a column less": "id,group,target\ns0-0,s0,0\n",
    "a worded label": "s1-2,s1,happy,1",
    "a label of 10^9": "s1-2,s1,1000000000,1",
    "a negative label": "s1-2,s1,-1,1",
    "a label of 5,000 digits": f"s1-2,s1,{'9' * 5000},1",
    "a fold of 10^9": "s1-2,s1,0,1000000000",
    "no group": "s1-2,,0,1",
    "no id": ",s1,0,1",
    "an id twice, differently": "s1-2,s1,0,1\ns1-2,s1,1,1",
    "an id that is a path": "../s1-2,s1,0,1",
    "a speaker in two folds": "s1-2,s0,0,1",
    "a row too wide": "s1-2,s1,0,1,7,8",
    "a clip without a file": "s9-9,s1,0,1",
}


TABLE = """
title: Hostile
source: nobody
corpus: hostile
folds: [0]
seeds: [1]
protocols: [honest]
rows:
  - {name: audio, label: Audio, experiment: ravdess_features, overrides: {model.class_path: AudioOnly}}
"""


ROW_NAMES = ["../../x", "", ".", "..", "a/b", "a\\b", "line\nbreak", "x" * 300, "\x1b[2J"]


TABLE_FILES = {
    "a list of rows that is text": TABLE.replace("rows:", "more:") + "rows: all\n",
    "two rows of one name": TABLE + "  - {name: audio, label: Again, experiment: ravdess_features}\n",
    "an experiment that is not there": TABLE.replace("ravdess_features", "nonesuch"),
    "an experiment that is a path": TABLE.replace("ravdess_features", "../../nonesuch"),
    "folds of text": TABLE.replace("folds: [0]", "folds: all"),
    "a seed beyond 32 bits": TABLE.replace("seeds: [1]", f"seeds: [{2**70}]"),
    "rows that need each other": TABLE.replace("label: Audio", "needs: {audio: audio}, label: Audio"),
    "a published figure of text": TABLE.replace(
        "label: Audio", "published: {accuracy: high, provenance: reported}, label: Audio"
    ),
    "overrides that are a list": TABLE.replace("{model.class_path: AudioOnly}", "[1]"),
    "a bomb where a number belongs": TABLE.replace("folds: [0]", f"folds: [{json.dumps(ALIASES)}]"),
    "a bomb where a text belongs": TABLE.replace("title: Hostile", f"title: [{json.dumps(ALIASES)}]"),
    "a bomb where a row belongs": TABLE.replace("rows:", f"rows: {json.dumps(ALIASES)}\nvary:"),
    "a bomb that is published": TABLE.replace(
        "label: Audio", f"published: {{accuracy: {json.dumps(ALIASES)}, provenance: reported}}, label: Audio"
    ),
    "a class where a text belongs": TABLE.replace("title: Hostile", "title: {class_path: os.system}"),
    "a corpus that is a path": TABLE.replace("corpus: hostile", "corpus: ../../hostile"),
}
