"""YAML that is wrong is named with its line and column."""

import pytest

from nlpcompress.errors import ConfigError
from nlpcompress.recipe.text import read_yaml, to_yaml


def _read(tmp_path, text):
    path = tmp_path / "r.yaml"
    path.write_text(text, encoding="utf-8")
    return read_yaml(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("version: 1\nname: [a, b\nseed: 0\n", "r.yaml, line 3, column 5: not YAML: "),
        (
            "seed: 0\nname: a\nseed: 1\n",
            "line 3, column 1: not YAML: the key 'seed' is given twice",
        ),
        ("a:\n  x: 1\n  x: 2\n", "line 3, column 3: not YAML: the key 'x' is given twice"),
        ("[a]: 1\n", "line 1, column 1: not YAML: found unhashable key"),
        ("a:\n\tb: 1\n", "line 2, column 1: not YAML: found character"),
        ("- a\n- b\n", "r.yaml: a recipe is a mapping (version:, name:, model:, …), got a list"),
        ("", "a recipe is a mapping (version:, name:, model:, …), got nothing"),
        ("just text", "got text"),
        (
            "a: !!python/object/apply:os.system [ls]\n",
            "not YAML: could not determine a constructor",
        ),
    ],
)
def test_names_the_place(tmp_path, text, message):
    with pytest.raises(ConfigError) as raised:
        _read(tmp_path, text)
    assert message in str(raised.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"none\.yaml cannot be read: .*No such file"):
        read_yaml(tmp_path / "none.yaml")


def test_bytes_that_are_no_text_are_named(tmp_path):
    (tmp_path / "r.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="cannot be read"):
        read_yaml(tmp_path / "r.yaml")


def test_what_is_written_reads_back(tmp_path):
    values = {"name": "é", "train": {"learning_rate": 1e-05, "x": None}, "list": [1, 2.0, "1e-3"]}
    assert _read(tmp_path, to_yaml(values)) == values
