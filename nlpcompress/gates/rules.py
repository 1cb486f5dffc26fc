"""From the values of all gates and a level of the schedule to masks."""

import math
from collections.abc import Sequence

from torch import Tensor

from nlpcompress.gates.topk import keep_largest, keep_largest_of_all


def keep_share(values: Sequence[Tensor], level: float) -> list[Tensor]:
    """In each gate the fraction `level` of largest values, rounded to the nearest, at least one."""
    return [keep_largest(tensor, _count(tensor.numel(), level)) for tensor in values]


def keep_share_of_all(values: Sequence[Tensor], level: float) -> list[Tensor]:
    """The fraction `level` of largest values of all gates together; a gate may lose all."""
    return keep_largest_of_all(values, _count(sum(v.numel() for v in values), level))


def keep_above(values: Sequence[Tensor], level: float, *, least: float = 0.0) -> list[Tensor]:
    """Values above `level`, but in each gate at least one and the fraction `least` of them."""
    return [
        (tensor > level) | keep_largest(tensor, _count(tensor.numel(), least)) for tensor in values
    ]


def keep_above_sigmoid(
    values: Sequence[Tensor], level: float, *, least: float = 0.0
) -> list[Tensor]:
    """As `keep_above`, of σ(values): soft movement. Level 0 keeps all, level 1 the least."""
    return keep_above(values, _logit(level), least=least)


def _logit(share: float) -> float:
    if 0 < share < 1:
        return math.log(share / (1 - share))
    return math.inf if share >= 1 else -math.inf


def _count(total: int, share: float) -> int:
    return max(1, round(share * total))
