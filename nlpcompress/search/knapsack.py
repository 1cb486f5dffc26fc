"""The multiple-choice knapsack, solved exactly in whole numbers.

Differs: `scipy.optimize.milp` (HiGHS) is not used, as its tolerances are absolute (1e-6): with
losses from 1e-12 to 1e3 most of its solutions are worse than the best.
"""

import math
from collections.abc import Sequence
from itertools import count

from nlpcompress.search.join import join
from nlpcompress.search.relaxation import Option, Solution, relax, undominated
from nlpcompress.search.sweep import Bounds, stages, sweep

Options = Sequence[Sequence[Option]]


def cheapest(items: Sequence[Sequence[tuple[int, int]]], limit: int) -> tuple[int, ...]:
    """The index of one (weight, cost) pair of each item: least cost, then least weight.

    The weights sum to at most `limit`; the caller sees to it that the lightest pairs do. A wider
    sweep follows a narrow one, with the narrow one's solution as the bound, until nothing that
    could be better is left out. The problem is NP-hard: many items of distinct weights whose costs
    follow from their weights by one formula, without any noise, may take very long.
    """
    options = [undominated(item) for item in items]
    limit = _reachable(options, limit)
    price, best = relax(options, limit)
    # Costs in units of 1 / denominator make the price of a unit of weight a whole number.
    unit = price.denominator
    options = [[o._replace(cost=o.cost * unit) for o in item] for item in options]
    best = best._replace(cost=best.cost * unit)
    for width in (64 * 4**i for i in count()):
        best, proven = _improved(options, price.numerator, limit, best, width)
        if proven:
            break
    return best.places


def _reachable(items: Options, limit: int) -> int:
    """The largest sum of weights up to `limit` that the common divisor of differences allows."""
    lightest = sum(options[0].weight for options in items)
    step = math.gcd(*(o.weight - options[0].weight for options in items for o in options))
    return limit - (limit - lightest) % step if step else lightest


def _improved(
    items: Options, price: int, limit: int, best: Solution, width: int
) -> tuple[Solution, bool]:
    """A solution as good as `best` or better, and whether it is proven to be the best."""
    floors = [min(o.cost + price * o.weight for o in options) for options in items]
    gap = best.cost - (sum(floors) - price * limit)
    if not gap:
        return best, True
    near = [
        [o for o in options if o.cost + price * o.weight - floor <= gap]
        for options, floor in zip(items, floors, strict=True)
    ]
    found, all_kept = _met(near, best.places, Bounds(limit, best.cost, price), width)
    return (min(best, found) if found else best), all_kept


def _met(
    items: Options, places: Sequence[int], bounds: Bounds, width: int
) -> tuple[Solution | None, bool]:
    """The best of two halves' states together, and whether no state was left out.

    Two sweeps of half the items need far fewer states than one of all [Horowitz and Sahni,
    Computing Partitions, Journal of the ACM 21(2), 1974]. `places` are a good solution's.
    """
    good = [
        next(o.weight for o in options if o.place == place)
        for options, place in zip(items, places, strict=True)
    ]
    order = sorted(range(len(items)), key=lambda i: (-_second(items[i], bounds.price), i))
    halves = order[::2], order[1::2]
    (heads, all_heads), (tails, all_tails) = (
        sweep(stages(items, half + other, good, bounds.price)[: len(half)], bounds, width)
        for half, other in (halves, halves[::-1])
    )
    return join(heads, tails, bounds.limit), all_heads and all_tails


def _second(options: Sequence[Option], price: int) -> int:
    """How much the second best option costs above the best, its weight paid for; 0 if alone.

    Items whose second option is dear come first: they leave few states.
    """
    paid = sorted(option.cost + price * option.weight for option in options)
    return paid[1] - paid[0] if len(paid) > 1 else 0
