"""What must not stand where others read it."""

import re
from collections.abc import Mapping
from typing import Any

SECRET_KEY = re.compile(r"token$|password|secret|api_?key", re.IGNORECASE)
REMOVED = "<removed>"


def for_readers(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """A recipe without secrets, and without the folder where its result was put on some machine."""
    return {key: value for key, value in without_secrets(recipe).items() if key != "out"}


def without_secrets(value: Any) -> Any:
    """The same JSON value; under keys that are called like a secret nothing is left of it.

    >>> without_secrets({"hub_token": "abc", "seed": 1})
    {'hub_token': '<removed>', 'seed': 1}
    """
    if isinstance(value, Mapping):
        return {
            key: REMOVED if SECRET_KEY.search(str(key)) and inner else without_secrets(inner)
            for key, inner in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [without_secrets(inner) for inner in value]
    return value
