"""Explicit tables from a name to a place in the code, imported only when asked for."""

import importlib
from collections.abc import Iterator, Mapping
from typing import Any

from nlpcompress.core.nearest import nearest
from nlpcompress.errors import UnknownNameError


class Registry:
    """One table: `{"name": "package.module:attribute"}`. A lookup imports that one module.

    >>> Registry("edit", {"keep": "nlpcompress.core.edits:Keep"}).load("keep").__name__
    'Keep'
    """

    def __init__(self, what: str, places: Mapping[str, str]) -> None:
        self.what = what
        self._places = dict(places)

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name in self._places

    def __len__(self) -> int:
        return len(self._places)

    def check(self, name: object) -> str:
        """Return `name` if the table has it. Raises `UnknownNameError` with the nearest name."""
        if isinstance(name, str) and name in self._places:
            return name
        raise UnknownNameError(f"unknown {self.what} '{name}'{nearest(str(name), self._places)}")

    def load(self, name: object) -> Any:
        """The object behind `name`. Raises `UnknownNameError`."""
        module, _, attribute = self._places[self.check(name)].partition(":")
        return getattr(importlib.import_module(module), attribute)

    def add(self, name: str, place: str) -> None:
        """Add a user's own entry. A name that is taken is an error, never replaced in silence."""
        if name in self._places:
            raise UnknownNameError(
                f"the {self.what} '{name}' exists already ({self._places[name]}); "
                "choose another name"
            )
        if ":" not in place:
            raise UnknownNameError(
                f"the {self.what} '{name}' needs a place 'package.module:attribute', got {place!r}"
            )
        self._places[name] = place
