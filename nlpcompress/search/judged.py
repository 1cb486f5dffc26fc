"""What trials come to."""

from collections.abc import Callable, Mapping
from typing import NamedTuple


class SoFar(NamedTuple):
    """A trial on the way: the objective at this step, and all that it costs."""

    value: float
    step: int
    costs: Mapping[str, float]


GoesOn = Callable[[SoFar], bool]
"""Whether a dearer run follows."""


class Judged(NamedTuple):
    """What a trial came to: the objective, what each bound is missed by, and all that it costs.

    A bound that holds has 0 or less; misses are shares of the bound, so that they compare.
    """

    value: float
    misses: Mapping[str, float]
    costs: Mapping[str, float]
