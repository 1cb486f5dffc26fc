"""The units of a size budget."""

import math

from nlpcompress.errors import ConfigError


def effective_bits(size: int, weights: int) -> float:
    """Mean bits on disk of one weight: `size` bits, scales counted, by the number of weights."""
    if weights <= 0:
        raise ConfigError(f"the number of weights is {weights}; it must be positive")
    return size / weights


def megabytes_to_bits(megabytes: float) -> int:
    """The whole bits in so many megabytes of 10⁶ bytes.

    >>> megabytes_to_bits(1.5)
    12000000
    """
    if not (math.isfinite(megabytes) and megabytes >= 0):
        raise ConfigError(f"the size is {megabytes} MB; it must be a finite number, 0 or more")
    return math.floor(megabytes * 8e6)
