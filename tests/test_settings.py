import pytest

from datamodules.errors import DataError
from experiments.settings.config import merge, parse_value, read_yaml


@pytest.mark.parametrize("text", [
    "1e-3", "1.0e-3", "-2E5", "26.30e+6", "1_000", "0.5", "3", "true", "null", "2020-01-02", "[1e-4, 2]", "{a: 1e-3}",
    "version", "1.5.2",
])  # fmt: skip
def test_values_are_read_as_the_command_line_reads_them(text):
    from jsonargparse._loaders_dumpers import yaml_load

    assert repr(parse_value(text)) == repr(yaml_load(text))


def test_lists_append_and_mappings_merge():
    base = {"a": {"x": 1, "y": 2}, "list": [1]}
    assert merge(base, {"a": {"y": 3}, "list+": [2, 3]}) == {"a": {"x": 1, "y": 3}, "list": [1, 2, 3]}
    assert merge(base, {"list": [9], "new+": "z"}) == {"a": {"x": 1, "y": 2}, "list": [9], "new": ["z"]}
    assert base == {"a": {"x": 1, "y": 2}, "list": [1]}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a: [1\n", "bad.yaml, line 2: not valid YAML"),
        (b"- 1\n", "expected a mapping"),
        (b"# nothing\n", "holds no settings"),
        (b"", "holds no settings"),
        (b"\x89PNG\r\n", "not a text file"),
        (b"PK\x00\x01", "not a text file"),
        (None, "No such file"),
    ],
)
def test_an_unreadable_file_is_named(tmp_path, content, message):
    path = tmp_path / "bad.yaml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match=r"bad\.yaml") as caught:
        read_yaml(path)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
