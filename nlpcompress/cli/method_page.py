"""A method as a page of text: what its docstring says, and every key of its config."""

import importlib
import textwrap
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import yaml

from nlpcompress.methods.table import METHODS

WIDTH = 100


class Key(NamedTuple):
    """One key of a method's config, all in words."""

    name: str
    default: str
    kind: str
    about: str


def method_page(name: str) -> Iterator[str]:
    """The lines of the page. Raises `UnknownNameError`."""
    yield from (f"# {name}", "", method_text(name), "", "Keys of its config:", "")
    keys = list(method_keys(name))
    for key in keys:
        yield f"  {key.name}: {key.default}  ({key.kind})"
        indent = " " * 6
        yield textwrap.fill(key.about, WIDTH, initial_indent=indent, subsequent_indent=indent)
    if not keys:
        yield "  none"


def method_text(name: str) -> str:
    """What it does, its source, how it differs from that, what it costs."""
    return (importlib.import_module(METHODS.load(name).__module__).__doc__ or "").strip()


def method_keys(name: str) -> Iterator[Key]:
    """All that its config may say."""
    schema = METHODS.load(name).Config.model_json_schema()
    for key, field in schema.get("properties", {}).items():
        about = " ".join(field["description"].split())
        yield Key(key, _value(field.get("default")), _kind(field, schema), about)


def _value(default: Any) -> str:
    """As a recipe says it."""
    return yaml.safe_dump(default, default_flow_style=True, width=1000).split("\n...")[0].strip()


def _kind(field: Mapping[str, Any], schema: Mapping[str, Any]) -> str:
    """What a key may hold, in words."""
    if "$ref" in field:
        field = schema["$defs"][field["$ref"].rpartition("/")[2]]
    if "anyOf" in field:
        return " or ".join(_kind(one, schema) for one in field["anyOf"])
    if "enum" in field:
        return " | ".join(map(_value, field["enum"]))
    if "const" in field:
        return _value(field["const"])
    items = field.get("items")
    if field.get("type") == "array" and items:
        return f"list of {_kind(items, schema)}"
    return f"{field.get('type', 'any')}{_bounds(field)}"


def _bounds(field: Mapping[str, Any]) -> str:
    signs = {
        "minimum": "at least",
        "exclusiveMinimum": "above",
        "maximum": "at most",
        "exclusiveMaximum": "below",
    }
    parts = [f"{sign} {_value(field[key])}" for key, sign in signs.items() if key in field]
    return f" {' and '.join(parts)}" if parts else ""
