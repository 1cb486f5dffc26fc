"""How sure a share of right answers is."""

import math

QUANTILE = 1.959964
"""Of the normal distribution, for 95 %."""


def interval(share: float, samples: int) -> tuple[float, float]:
    """The 95 % interval of a share that was seen on so many independent rows.

    Source: Wilson 1927 (Probable Inference), whose interval holds at 0 and 1, too.

    >>> [round(end, 4) for end in interval(0.8726, 2009)]
    [0.8573, 0.8865]
    """
    squared = QUANTILE**2 / samples
    inner = share * (1 - share) / samples + squared / (4 * samples)
    middle, half = share + squared / 2, QUANTILE * math.sqrt(inner)
    return (middle - half) / (1 + squared), (middle + half) / (1 + squared)
