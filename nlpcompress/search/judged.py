"""What trials come to."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple


class SoFar(NamedTuple):
    """A trial on the way: what it is compared by at this step, all that it costs, and what it
    misses by.

    Where it is given up, searchers know it by what it misses.
    """

    value: float
    step: int
    costs: Mapping[str, float]
    misses: Mapping[str, float] = MappingProxyType({})


GoesOn = Callable[[SoFar], bool]
"""Whether a dearer run follows."""


class Judged(NamedTuple):
    """What a trial came to: the objective, what each bound is missed by, and all that it costs.

    A bound that holds has 0 or less; misses are shares of the bound, so that they compare.
    """

    value: float
    misses: Mapping[str, float]
    costs: Mapping[str, float]
