"""How sure a share of right answers is."""

import math

QUANTILE = 1.959964
"""Of the normal distribution, for 95 %."""


def half_width(share: float, samples: int) -> float:
    """Half of the 95 % interval of a share that was seen on so many independent rows.

    Source: Wilson 1927 (Probable Inference), whose interval holds at 0 and 1, too.

    >>> round(half_width(0.8726, 2009), 4)
    0.0146
    """
    squared = QUANTILE**2 / samples
    inner = share * (1 - share) / samples + squared / (4 * samples)
    return QUANTILE / (1 + squared) * math.sqrt(inner)
