"""YAML text to plain values, with the place of every fault; and back."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from nlpcompress.errors import ConfigError


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping a YAML file holds.

    Raises `ConfigError` when it is missing, is no YAML (with line and column), names a key twice,
    or holds something else than a mapping.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"the recipe {path} cannot be read: {error}") from None
    values = _parse(text, str(path))
    if not isinstance(values, dict):
        raise ConfigError(
            f"{path}: a recipe is a mapping (version:, name:, model:, …), got {_kind(values)}"
        )
    return values


def read_value(text: str, where: str) -> Any:
    """What YAML reads in the text of one value, as in `key=0.5` or `key=[1, 8]`."""
    return _parse(text, where)


def to_yaml(values: Mapping[str, Any]) -> str:
    """YAML that `read_yaml` reads back to equal values, keys in their own order."""
    return yaml.safe_dump(dict(values), sort_keys=False, allow_unicode=True, width=100)


def _parse(text: str, where: str) -> Any:
    try:
        return yaml.load(text, Loader=_UniqueKeys)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"{where}, line {mark.line + 1}, column {mark.column + 1}" if mark else where
        raise ConfigError(f"{place}: not YAML: {error.problem or error.context}") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{where}: not YAML: {error}") from None


class _UniqueKeys(yaml.SafeLoader):
    """The safe loader, except that a key given twice is an error: the first would be lost."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                continue
            if key.value in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key '{key.value}' is given twice", key.start_mark
                )
            seen.add(key.value)
        return super().construct_mapping(node, deep=deep)


def _kind(value: object) -> str:
    names = {type(None): "nothing", list: "a list", str: "text"}
    return names.get(type(value), f"a {type(value).__name__}")
