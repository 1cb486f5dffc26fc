"""A method as a page of text: what its docstring says, and every key of its config."""

import importlib
import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from nlpcompress.methods.table import METHODS

WIDTH = 100


def method_page(name: str) -> Iterator[str]:
    """The lines of the page. Raises `UnknownNameError`."""
    method = METHODS.load(name)
    text = importlib.import_module(method.__module__).__doc__ or ""
    yield from (f"# {name}", "", text.strip(), "", "Keys of its config:", "")
    schema = method.Config.model_json_schema()
    for key, field in schema.get("properties", {}).items():
        yield f"  {key}: {_value(field.get('default'))}  ({_kind(field, schema)})"
        about = " ".join(field["description"].split())
        yield textwrap.fill(about, WIDTH, initial_indent=" " * 6, subsequent_indent=" " * 6)
    if not schema.get("properties"):
        yield "  none"


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
