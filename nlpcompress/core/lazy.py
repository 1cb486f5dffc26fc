"""Names of a package that are imported when first used."""

from collections.abc import Callable
from typing import Any

from nlpcompress.core.registry import Registry


def attributes(package: str, public: Registry) -> Callable[[str], Any]:
    """What a package calls `__getattr__`: it imports one of its public names.

    What it gives raises `AttributeError` for others, as Python asks.
    """

    def attribute(name: str) -> Any:
        if name not in public:
            raise AttributeError(f"module '{package}' has no attribute {name!r}")
        return public.load(name)

    return attribute
