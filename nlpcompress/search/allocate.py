"""Which choice each item gets: least loss within a size, or least size within a loss."""

import math
from collections.abc import Mapping, Sequence
from fractions import Fraction
from numbers import Integral

from nlpcompress.errors import ConfigError
from nlpcompress.search.choice import Choice, Items, above_floors, check_items
from nlpcompress.search.exact import common_unit, in_units, most_units
from nlpcompress.search.knapsack import cheapest
from nlpcompress.search.size import effective_bits


def allocate(
    items: Items,
    budget: int,
    *,
    floors: Mapping[str, int] | None = None,
    weights: int | None = None,
) -> dict[str, int]:
    """Item → bit width: the least total loss with a total size of at most `budget` bits.

    Of equal losses the smaller size wins; the result does not depend on the order of items or
    choices. `floors` has the least bit width of some items. `weights`, the number of weights of
    all items together, only lets errors tell bits per weight. The optimum is exact: what HAWQ-V3
    solves as an integer linear program [Yao et al., ICML 2021, arXiv:2011.10680, §3.4]. Raises
    `ConfigError` for a budget that cannot be met.

    >>> four, eight = Choice(4, 400, 0.5), Choice(8, 800, 0.1)
    >>> allocate({"query": [four, eight], "key": [four, eight._replace(loss=0.2)]}, 1200)
    {'query': 8, 'key': 4}
    """
    allowed = _allowed(items, floors)
    if not isinstance(budget, Integral):
        raise ConfigError(f"the budget is {budget!r}; it must be a whole number of bits")
    least = sum(int(min(c.size for c in choices)) for choices in allowed.values())
    if least > budget:
        raise ConfigError(
            f"the budget is {_told(budget, weights)}, but the least possible is "
            f"{_told(least, weights)}; raise the budget, lower floors or offer narrower choices"
        )
    unit = _unit(allowed)
    pairs = [[(int(c.size), in_units(c.loss, unit)) for c in row] for row in allowed.values()]
    return _named(items, allowed, cheapest(pairs, int(budget)))


def allocate_for_loss(
    items: Items, bound: float, *, floors: Mapping[str, int] | None = None
) -> dict[str, int]:
    """Item → bit width: the least total size with a total loss of at most `bound`.

    Of equal sizes the smaller loss wins. The total is the exact sum of the losses, rounded once
    (`math.fsum`). Raises `ConfigError` for a bound that cannot be met.
    """
    allowed = _allowed(items, floors)
    if not math.isfinite(bound):
        raise ConfigError(f"the bound of the loss is {bound}; it must be a finite number")
    least = math.fsum(min(c.loss for c in choices) for choices in allowed.values())
    if least > bound:
        raise ConfigError(
            f"the bound of the loss is {bound}, but the least possible is {least}; "
            "raise the bound or offer wider choices"
        )
    unit = _unit(allowed)
    pairs = [[(in_units(c.loss, unit), int(c.size)) for c in row] for row in allowed.values()]
    return _named(items, allowed, cheapest(pairs, most_units(bound, unit)))


def _allowed(items: Items, floors: Mapping[str, int] | None) -> dict[str, Sequence[Choice]]:
    """The choices that the floors leave, items by name and choices by bits."""
    check_items(items)
    allowed = above_floors(items, floors or {})
    return {name: sorted(allowed[name]) for name in sorted(allowed)}


def _unit(items: Items) -> Fraction:
    return common_unit(choice.loss for choices in items.values() for choice in choices)


def _named(items: Items, allowed: Items, picks: Sequence[int]) -> dict[str, int]:
    widths = {name: allowed[name][i].bits for name, i in zip(allowed, picks, strict=True)}
    return {name: widths[name] for name in items}


def _told(size: int, weights: int | None) -> str:
    per_weight = f" ({effective_bits(size, weights):.3f} per weight)" if weights else ""
    return f"{size} bits{per_weight}"
