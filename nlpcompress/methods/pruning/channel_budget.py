"""How many channels may stay for a share of the multiplications, or of the parameters, to stay."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from nlpcompress.axes import Axis
from nlpcompress.errors import ConfigError
from nlpcompress.methods.pruning.ranking import Kept


class CutPrice:
    """What is left of a model's price when axes keep fewer positions.

    `prices` are those of each tensor whole; a tensor's price falls with each of its axes.
    """

    def __init__(self, axes: Sequence[Axis], prices: Mapping[str, int]) -> None:
        self.prices, self.sizes = prices, {axis.name: axis.size for axis in axes}
        self.axes_of: dict[str, list[str]] = {name: [] for name in prices}
        for axis in axes:
            for part in axis.slices:
                if part.tensor in prices:
                    self.axes_of[part.tensor].append(axis.name)

    def share(self, kept: Kept) -> float:
        """Of the whole price, for the positions that stay of some axes."""
        left = {name: len(positions) / self.sizes[name] for name, positions in kept.items()}
        parts = (
            price * math.prod(left.get(axis, 1.0) for axis in self.axes_of[name])
            for name, price in self.prices.items()
        )
        return math.fsum(parts) / sum(self.prices.values())


def most_within(choose: Callable[[float], Kept], price: CutPrice, share: float, key: str) -> Kept:
    """The most positions whose price is at most `share`, by bisection over their number.

    `choose` gives the positions that stay of a fraction of all; more for a larger fraction. Raises
    `ConfigError` with the least share there is, called `key` in the config.
    """
    total = sum(price.sizes.values())
    least = price.share(choose(0.0))
    if least > share:
        raise ConfigError(
            f"{key} is {share}, but with these floors the least possible is {least:.4g}; raise "
            f"{key}, or lower floor or round_to"
        )
    fits, breaks = 0, total + 1
    while breaks - fits > 1:
        count = (fits + breaks) // 2
        if price.share(choose(count / total)) <= share:
            fits = count
        else:
            breaks = count
    return choose(fits / total)
