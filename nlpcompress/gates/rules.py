"""From the values of all gates and a level of the schedule to masks."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from nlpcompress.errors import ConfigError
from nlpcompress.gates.topk import keep_largest, keep_largest_of_all


def keep_share(values: Sequence[Tensor], level: float) -> list[Tensor]:
    """In each gate the fraction `level` of largest values, rounded to the nearest, at least one."""
    return [keep_largest(tensor, _count(tensor.numel(), level)) for tensor in values]


def keep_share_of_all(values: Sequence[Tensor], level: float) -> list[Tensor]:
    """The fraction `level` of largest values of all gates together; a gate may lose all."""
    return keep_largest_of_all(values, _count(sum(v.numel() for v in values), level))


def keep_pattern(
    values: Sequence[Tensor], level: float, *, pattern: tuple[int, int]
) -> list[Tensor]:
    """n of each m consecutive values of a row (`pattern` (n, m)), and what `level` allows beyond.

    At a level of n / m or below exactly the pattern is left. Raises `ConfigError` when rows are no
    multiple of m.
    """
    return [_keep_pattern(tensor, level, *pattern) for tensor in values]


def _keep_pattern(values: Tensor, level: float, n: int, m: int) -> Tensor:
    if values.shape[-1] % m:
        raise ConfigError(
            f"rows of {values.shape[-1]} weights have no whole groups of {m}; leave out the pattern"
        )
    groups = values.unflatten(-1, (-1, m))
    best = groups.topk(n, dim=-1).indices
    chosen = torch.zeros_like(groups, dtype=torch.bool).scatter_(-1, best, True).flatten(-2)
    count = max(round(level * values.numel()), values.numel() * n // m)
    return keep_largest(values.masked_fill(chosen, math.inf), count)


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
