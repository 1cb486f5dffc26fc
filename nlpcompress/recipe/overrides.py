"""`key.path=value` on the command line, laid over the values of a recipe."""

import copy
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from nlpcompress.errors import ConfigError
from nlpcompress.recipe.text import read_value


def apply_overrides(values: Mapping[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """A copy of `values` with each `key.path=value` set, later ones over earlier ones.

    A number in the path counts list items from 0; the value is read as YAML.

    >>> apply_overrides({"stages": [{"config": {"keep": 0.5}}]}, ["stages.0.config.keep=0.6"])
    {'stages': [{'config': {'keep': 0.6}}]}

    Raises `ConfigError` for text without `=` and for paths that lead through a value.
    """
    result = copy.deepcopy(dict(values))
    for override in overrides:
        path, equals, text = override.partition("=")
        if not equals or not path.strip():
            raise ConfigError(
                f"'{override}' is not an override; write key.path=value, such as "
                "stages.1.config.keep=0.6"
            )
        set_value(result, path.strip(), read_value(text, f"override {path.strip()}"))
    return result


def set_value(values: dict[str, Any], path: str, value: Any) -> None:
    """Set what a path leads to, in place; raises `ConfigError` for one that leads nowhere."""
    *parents, last = path.split(".")
    place: Any = values
    for depth, part in enumerate(parents):
        place = _enter(place, part, ".".join(parents[: depth + 1]))
    if isinstance(place, list):
        place[_index(place, last, path)] = value
    elif isinstance(place, dict):
        place[last] = value
    else:
        raise ConfigError(_no_way(path, place))


def values_at(values: Mapping[str, Any], paths: Iterable[str]) -> dict[str, Any]:
    """Path → what it leads to, of those that lead somewhere.

    >>> values_at({"stages": [{"method": None}]}, ["stages.0.method", "stages.0.config"])
    {'stages.0.method': None}
    """
    found: dict[str, Any] = {}
    for path in paths:
        place: Any = values
        try:
            for part in path.split("."):
                place = place[int(part) if isinstance(place, list) else part]
        except (LookupError, TypeError, ValueError):
            continue
        found[path] = place
    return found


def _enter(place: Any, part: str, path: str) -> Any:
    if isinstance(place, list):
        return place[_index(place, part, path)]
    if not isinstance(place, dict):
        raise ConfigError(_no_way(path, place))
    if place.get(part) is None:
        place[part] = {}
    return place[part]


def _index(items: list[Any], part: str, path: str) -> int:
    if part.isdecimal() and int(part) < len(items):
        return int(part)
    raise ConfigError(
        f"override {path}: '{part}' is no item of this list; it holds {len(items)}, counted from 0"
    )


def _no_way(path: str, place: object) -> str:
    return f"override {path}: leads through the value {place!r}, which holds no keys"
