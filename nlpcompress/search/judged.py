"""What trials come to."""

from collections.abc import Mapping
from typing import NamedTuple


class Judged(NamedTuple):
    """What a trial came to: the objective, what each bound is missed by, and all that it costs.

    A bound that holds has 0 or less; misses are shares of the bound, so that they compare.
    """

    value: float
    misses: Mapping[str, float]
    costs: Mapping[str, float]
