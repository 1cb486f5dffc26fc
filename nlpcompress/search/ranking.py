"""Bit widths by the order of sensitivities alone, and the reversed order as a control."""

import math
from collections.abc import Mapping

from nlpcompress.errors import ConfigError


def by_ranking(
    sensitivity: Mapping[str, float],
    low: int,
    high: int,
    share_low: float = 0.5,
    reverse: bool = False,
) -> dict[str, int]:
    """Item → `low` bits for the least sensitive share, `high` for the others, as in Q-BERT.

    The share is of the number of items, rounded to the nearest, half up; equal sensitivities
    rank by name. `reverse` gives `low` to the most sensitive, as many: for items of one size the
    same budget [Shen et al., Q-BERT, AAAI 2020, arXiv:1909.05840, table 5]. Raises `ConfigError`
    for no items, a sensitivity that is not finite, a share outside (0, 1) and `low` ≥ `high`.

    >>> by_ranking({"first": 9.0, "last": 0.5}, 2, 3)
    {'first': 3, 'last': 2}
    """
    if not low < high:
        raise ConfigError(f"low is {low} bits and high is {high}; low must be below high")
    if not 0 < share_low < 1:
        raise ConfigError(f"share_low is {share_low}; it must lie between 0 and 1, both excluded")
    ranked = _ranked(sensitivity)
    if reverse:
        ranked.reverse()
    narrow = set(ranked[: math.floor(share_low * len(ranked) + 0.5)])
    return {name: low if name in narrow else high for name in sensitivity}


def reversed_ranks(sensitivity: Mapping[str, float]) -> dict[str, float]:
    """The same values in the reverse order: the most sensitive item gets the least value.

    Losses of these values, allocated under the same budget, are the control of `allocate`.
    Raises `ConfigError` for no items and for a sensitivity that is not finite.

    >>> reversed_ranks({"first": 9.0, "middle": 2.0, "last": 0.5})
    {'first': 0.5, 'middle': 2.0, 'last': 9.0}
    """
    ranked = _ranked(sensitivity)
    partner = dict(zip(ranked, reversed(ranked), strict=True))
    return {name: sensitivity[partner[name]] for name in sensitivity}


def _ranked(sensitivity: Mapping[str, float]) -> list[str]:
    """The names, least sensitive first."""
    if not sensitivity:
        raise ConfigError("there are no sensitivities to rank by; name at least one item")
    for name, value in sensitivity.items():
        if not math.isfinite(value):
            raise ConfigError(
                f"the sensitivity of '{name}' is {float(value)}, not a number to rank by"
            )
    return sorted(sensitivity, key=lambda name: (sensitivity[name], name))
