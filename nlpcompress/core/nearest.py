"""The end of every "unknown name" message: the nearest name, or what there is."""

from collections.abc import Iterable
from difflib import get_close_matches


def nearest(name: str, allowed: Iterable[str]) -> str:
    """`; did you mean 'x'?` when an allowed name is close to `name`, else all that are allowed."""
    names = sorted(allowed)
    close = get_close_matches(name, names, n=1)
    return f"; did you mean '{close[0]}'?" if close else f"; allowed: {', '.join(names) or 'none'}"
