"""Titles that the report's table and the card's share."""

from collections.abc import Iterable


def macs_title(shapes: Iterable[str | None]) -> str:
    """Of a column of multiply-accumulates, with the input shape if one pass is behind them all.

    >>> macs_title(["8x64", "8x64"])
    'MACs at 8x64, millions'
    >>> macs_title(["8x64", None])
    'MACs, millions'
    """
    several = set(shapes)
    at = f" at {several.pop()}" if len(several) == 1 and None not in several else ""
    return f"MACs{at}, millions"
