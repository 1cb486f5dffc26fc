"""Replaces filter banks by smaller ones between two 1 × 1 convolutions, where that saves numbers.

The ranks of outputs and inputs follow from the share of the filters' square that is to stay, from
the share of their numbers that may, or from variational Bayes, which takes the rest for noise.

    - method: tucker
      config: {keep: 0.5}

Source: Kim et al. 2016 (Compression of deep convolutional neural networks for fast and low power
mobile applications), section 3: Tucker-2, ranks by Nakajima et al. 2013, fine-tuning afterwards.
Differs: with groups each of them has these ranks, by the mean of their energies; 1 × 1 convolutions
are left alone, as matrices are for `svd`.
Cost: nothing; a recipe should train afterwards. Fewer multiplications in three layers for one are
not always faster: the report has what was measured.
"""

from typing import ClassVar

from torch import nn

from nlpcompress.core.edits import TuckerConv
from nlpcompress.core.method import Context, Method
from nlpcompress.core.plan import Plan
from nlpcompress.methods.lowrank.filter_ranks import Bank, FilterRanksConfig, Ranks, banks, decide


class TuckerConfig(FilterRanksConfig):
    """How low the ranks."""


class Tucker(Method):
    """Decides on the two ranks of each filter bank."""

    name: ClassVar[str] = "tucker"
    Config: ClassVar[type[TuckerConfig]] = TuckerConfig
    cuts: ClassVar[bool] = True

    def plan(self, model: nn.Module, ctx: Context) -> Plan:
        """One `tucker_conv` edit for each convolution that gets smaller. Raises `PlanError`."""
        ranks = decide(banks(model), self.config, numbers_of)
        return Plan(tuple(TuckerConv(weight=name, ranks=own) for name, own in ranks.items()))


def numbers_of(bank: Bank, ranks: Ranks) -> int:
    """What is left of a bank.

    >>> import torch
    >>> bank = Bank(64, 32, 3, 3, 1, torch.ones(64), torch.ones(32))
    >>> bank.numbers, numbers_of(bank, (16, 8))
    (18432, 2432)
    """
    out, into = ranks
    core = out * into * bank.height * bank.width
    return bank.groups * (bank.out * out + core + into * bank.into)
