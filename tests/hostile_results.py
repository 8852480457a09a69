"""What a run or a preparation leaves behind, damaged, for test_hostile.py."""

import json
from collections.abc import Callable
from pathlib import Path

import hostile
from hostile import content, cut


def json_with(**changes: object) -> hostile.Damage:
    """A JSON object with some fields replaced; None removes one."""

    def damage(path: Path) -> None:
        found = json.loads(path.read_text())
        for name, value in changes.items():
            found.pop(name)
            if value is not None:
                found[name] = value
        path.write_text(json.dumps(found))

    return damage


def lines_with(change: Callable[[list[str]], list[str]]) -> hostile.Damage:
    return lambda path: path.write_text("\n".join(change(path.read_text().splitlines())) + "\n")


ANY_FILE = {
    "empty": content(b""),
    "text": content(b"hello"),
    "a list": content(b"[1]"),
    "a string": content(b'"hello"'),
    "null": content(b"null"),
    "a number": content(b"3"),
    "not UTF-8": content(b"\xff\xfe\x00"),
    "NUL bytes": content(bytes(100)),
    "cut off": cut(0.5),
    "a folder": hostile.folder,
    "a deep nest": content(b"[" * 100_000 + b"]" * 100_000),
    "5,000 digits": content(b'{"schema": ' + b"9" * 5000 + b"}"),
}


OWN = {
    "result.json": {
        "another schema": json_with(schema=99),
        "no class names": json_with(class_names=None),
        "one class name twice": json_with(class_names=["calm", "calm", "sad", "angry"]),
        "class names that are a number": json_with(class_names=4),
        "neither classes nor values": json_with(class_names=[]),
        "an output that means nothing": json_with(outputs={"valence": "value"}),
        "a value from a to b": json_with(outputs={"valence": {"kind": "value", "range": ["a", "b"]}}),
        "values alone, of which there are no predictions": json_with(
            class_names=[], outputs={"valence": {"kind": "value"}}
        ),
        "a baseline in words": json_with(baselines={"accuracy": "half"}),
        "a score that is none": json_with(selections={"selected": {"epoch": 2, "accuracy": "good"}}),
        "no selection": json_with(selections={}),
        "an unknown selection": json_with(selections={"../../x": {"epoch": 2, "accuracy": 0.5}}),
        "another number of test clips": json_with(n_test=7),
        "a number of clips in words": json_with(n_test="many"),
        "parameters that are none": json_with(parameters=3),
    },
    "predictions-selected.csv": {
        "missing": hostile.remove,
        "a header alone": lines_with(lambda lines: lines[:1]),
        "rows missing": lines_with(lambda lines: lines[: len(lines) // 2]),
        "a row cut off": lines_with(lambda lines: [*lines[:-1], lines[-1][:9]]),
        "a target out of range": lines_with(lambda lines: [*lines[:-1], lines[-1].replace(",", ",7,", 1)]),
        "a target of 9": lines_with(lambda lines: [*lines[:-1], ",".join([*lines[-1].split(",")[:2], "9,1,0,0,0"])]),
        "a negative target": lines_with(
            lambda lines: [*lines[:-1], ",".join([*lines[-1].split(",")[:2], "-1,1,0,0,0"])]
        ),
        "a target in words": lines_with(lambda lines: [*lines[:-1], "a,b,happy,1,0,0,0"]),
        "NaN": lines_with(lambda lines: [*lines[:-1], ",".join([*lines[-1].split(",")[:3], "nan,0,0,0"])]),
        "another class": lines_with(lambda lines: [lines[0].replace("p_calm", "p_cold"), *lines[1:]]),
        "a field of 200 kB": lines_with(lambda lines: [*lines, "x" * 200_000 + ",b,0,1,0,0,0"]),
    },
    "metrics.csv": {
        "a header alone": lines_with(lambda lines: lines[:1]),
        "words": lines_with(lambda lines: [lines[0], "one,two,three,four,five"]),
        "a row too wide": lines_with(lambda lines: [*lines, "1,2,3,4,5,6,7,8"]),
    },
}


# What is no damage: a table of epochs with none, and what a report does not need.
HARMLESS = {("metrics.csv", "a header alone"), ("metrics.csv", "cut off")}  # the last number may be shorter


MANIFESTS = {**ANY_FILE, "missing": hostile.remove, "an object of nothing": content(b"{}")}
