"""Replaces filter banks by sums of products of four vectors, where that saves numbers.

A convolution becomes four: 1 × 1, h × 1 and 1 × w of each channel alone, and 1 × 1. The rank is the
one that a budget pays for, or the greater of the two that outputs and inputs ask for, by energy or
by variational Bayes.

    - method: cp
      config: {keep: 0.3}

Source: Lebedev et al. 2015 (Speeding-up convolutional neural networks using fine-tuned
CP-decomposition), section 3.
Differs: the paper finds the vectors by nonlinear least squares and the ranks by hand; here it is
alternating least squares with a ridge, as terms that cancel each other (Phan et al. 2020) cannot be
trained; with groups each of them has this rank.
Cost: nothing; a recipe should train afterwards, gently, as chains of four are hard to train. Two of
the four layers are depthwise: few multiplications, but not as fast as their number says.
"""

from collections.abc import Mapping
from typing import ClassVar

from pydantic import Field
from torch import nn

from nlpcompress.core.edits import CpConv
from nlpcompress.core.method import Context, Method
from nlpcompress.core.plan import Plan
from nlpcompress.errors import PlanError
from nlpcompress.methods.lowrank.filter_ranks import (
    HALF,
    Bank,
    FilterRanksConfig,
    Ranks,
    banks,
    decide,
    smaller,
)


class CpConfig(FilterRanksConfig):
    """How low the ranks."""

    keep: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="share of each bank's numbers that stays at most; 0.5 if nothing else is given",
    )


class Cp(Method):
    """Decides on the rank of each filter bank."""

    name: ClassVar[str] = "cp"
    Config: ClassVar[type[CpConfig]] = CpConfig
    cuts: ClassVar[bool] = True

    def plan(self, model: nn.Module, ctx: Context) -> Plan:
        """One `cp_conv` edit for each convolution that gets smaller. Raises `PlanError`."""
        found, config = banks(model), self.config
        if config.energy is None and not config.bayes:
            _check_least(found, config)
            shares = {name: within(bank, config) for name, bank in found.items()}
            ranks = smaller(found, shares, numbers_of)
        else:
            ranks = decide(found, config, numbers_of)
        return Plan(tuple(CpConv(weight=name, rank=max(own)) for name, own in ranks.items()))


def _check_least(found: Mapping[str, Bank], config: CpConfig) -> None:
    """Raises `PlanError` when the least ranks take more than that share of some bank."""
    keep = config.keep or HALF
    least = {n: numbers_of(b, (config.least, 1)) / b.numbers for n, b in found.items()}
    smaller_ones = [(share, name) for name, share in least.items() if share < 1]
    share, name = max(smaller_ones, default=(0.0, ""))
    if share > keep:
        raise PlanError(
            f"keep is {keep}, but with ranks of at least {config.least} the least possible of "
            f"'{name}' is {share:.3g}; raise keep, or lower least"
        )


def within(bank: Bank, config: CpConfig) -> Ranks:
    """The greatest rank that takes at most that share of the bank's numbers."""
    most = int((config.keep or HALF) * bank.numbers / numbers_of(bank, (1, 1)))
    rank = max(config.least, most)
    return rank, rank


def numbers_of(bank: Bank, ranks: Ranks) -> int:
    """What is left of a bank."""
    return bank.groups * max(ranks) * (bank.out + bank.height + bank.width + bank.into)
