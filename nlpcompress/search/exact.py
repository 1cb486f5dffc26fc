"""Floats as whole numbers of one unit, so that sums and comparisons of them are exact."""

import math
from collections.abc import Iterable
from fractions import Fraction


def common_unit(values: Iterable[float]) -> Fraction:
    """The power of two that each of the finite floats is a whole multiple of."""
    return Fraction(1, max(Fraction(float(value)).denominator for value in values))


def in_units(value: float, unit: Fraction) -> int:
    """How many units the float is, exactly; `value` must be a multiple of `unit`."""
    return int(Fraction(float(value)) / unit)


def most_units(bound: float, unit: Fraction) -> int:
    """The most units whose sum, rounded to the nearest float, is no more than `bound`.

    So the bound that `math.fsum` gives of some values is met by these values.
    """
    above = Fraction(math.nextafter(float(bound), math.inf))
    return math.floor((Fraction(float(bound)) + above) / 2 / unit)
