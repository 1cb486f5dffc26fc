"""Who gets how many bits, by what all of them together may take or lose.

The losses of choices are Ω · ‖ΔW‖² [Dong et al. 2020 (HAWQ-V2), section 3.2]. A bound of the loss
is a share of what the fewest bits for all (that floors allow) would lose, as the loss itself has no
scale.
"""

import fnmatch
import math
from collections.abc import Collection, Mapping, Sequence
from decimal import ROUND_CEILING, Context, Decimal
from itertools import count

from nlpcompress.core.nearest import nearest
from nlpcompress.errors import ConfigError
from nlpcompress.methods.quantization.config import HessianMixedConfig
from nlpcompress.search import (
    Choice,
    above_floors,
    allocate,
    allocate_for_loss,
    by_ranking,
    megabytes_to_bits,
    reversed_ranks,
    total,
)

Costs = Mapping[str, Sequence[Choice]]
"""Block → what each of its choices takes and loses."""


def decide(
    config: HessianMixedConfig,
    sensitivity: Mapping[str, float],
    costs: Costs,
    numbers: int,
) -> dict[str, int]:
    """Block → bits, of its Ω, for a budget what each choice costs there, and of all `numbers`.

    Raises `ConfigError` for a budget that nobody can meet, and for floors of no block.
    """
    order = reversed_ranks(sensitivity) if config.order == "reversed" else sensitivity
    if not config.budgets:
        return by_ranking(order, *config.choices)
    costs = floored(costs, config.floors)
    items = weighed(costs, order)
    if config.megabytes is not None:
        return within_megabytes(items, config.megabytes)
    if config.effective_bits is not None:
        return allocate(items, int(config.effective_bits * numbers), weights=numbers)
    straight = weighed(costs, sensitivity)
    found = within_loss_share(straight, config.max_loss_share)
    return found if order is sensitivity else allocate(items, total(straight, found).size)


def floored(costs: Costs, patterns: Mapping[str, int]) -> Costs:
    """Without the choices of fewer bits than the block's floor. Raises as `floors_of` does."""
    return above_floors(costs, floors_of(patterns, costs))


def floors_of(patterns: Mapping[str, int], blocks: Collection[str]) -> dict[str, int]:
    """Block → the greatest of the floors whose patterns match its name.

    Raises `ConfigError` for a pattern that matches none.

    >>> floors_of({"layers.*": 3, "layers.0": 4}, ["layers.0", "layers.1", "head"])
    {'layers.0': 4, 'layers.1': 3}
    """
    floors: dict[str, int] = {}
    for pattern, floor in patterns.items():
        matched = fnmatch.filter(blocks, pattern)
        if not matched:
            raise ConfigError(f"floors: '{pattern}' matches no block{nearest(pattern, blocks)}")
        floors |= {block: max(floor, floors.get(block, 0)) for block in matched}
    return floors


def weighed(costs: Costs, sensitivity: Mapping[str, float]) -> dict[str, list[Choice]]:
    """The same choices, their losses times the block's Ω."""
    return {
        block: [choice._replace(loss=choice.loss * sensitivity[block]) for choice in own]
        for block, own in costs.items()
    }


def within_megabytes(costs: Costs, megabytes: float) -> dict[str, int]:
    """Block → bits: the least loss in so many megabytes of 10⁶ bytes.

    Raises `ConfigError` with the least megabytes that would do.
    """
    budget, least = megabytes_to_bits(megabytes), least_megabytes(costs)
    if megabytes_to_bits(least) > budget:
        raise ConfigError(
            f"megabytes is {megabytes}, but the least possible is {least}; raise megabytes, or "
            "offer fewer bits or larger groups"
        )
    return allocate(costs, budget)


def within_loss_share(costs: Costs, share: float) -> dict[str, int]:
    """Block → bits: the least size that loses at most `share` of what the fewest bits for all do.

    Raises `ConfigError` with the least share that would do.
    """
    least = least_share(costs)
    if least > share:
        raise ConfigError(
            f"max_loss_share is {share}, but the least possible is {least}; raise max_loss_share, "
            "or offer more bits or smaller groups"
        )
    return allocate_for_loss(costs, share * _narrowest_loss(costs))


def least_megabytes(costs: Costs) -> float:
    """What the smallest choice of each block takes, in whole bytes."""
    bits = sum(min(choice.size for choice in own) for own in costs.values())
    sizes = (whole / 1e6 for whole in count(-(-bits // 8)))
    return next(size for size in sizes if megabytes_to_bits(size) >= bits)


def least_share(costs: Costs) -> float:
    """What the best choice of each block loses, as a share: four digits, rounded up.

    >>> least_share({"query": [Choice(2, 200, 3.0), Choice(4, 400, 0.2)]})
    0.06667
    """
    best = math.fsum(min(choice.loss for choice in own) for own in costs.values())
    if not best:
        return 0.0
    digits = Context(prec=4, rounding=ROUND_CEILING)
    return float(digits.divide(Decimal(best), Decimal(_narrowest_loss(costs))))


def _narrowest_loss(costs: Costs) -> float:
    """Of the fewest bits for all."""
    return math.fsum(min(own, key=lambda choice: choice.bits).loss for own in costs.values())
