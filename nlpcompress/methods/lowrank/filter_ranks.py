"""Ranks of filter banks, by the energies of their outputs and their inputs, for Tucker-2 and CP."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from nlpcompress.core.config import Config, refuse_several
from nlpcompress.errors import PlanError
from nlpcompress.models.structure import names_on_disk
from nlpcompress.models.tucker import mode_energies
from nlpcompress.models.weights import body_weights
from nlpcompress.scoring import evidence_rank, rank_of_energy

HALF = 0.5
STEPS = 40


class FilterRanksConfig(Config):
    """How low the ranks."""

    keep: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="share of the filters' numbers that stays at most, with one `energy` for all; "
        "0.5 if nothing else is given",
    )
    energy: float | None = Field(
        None, gt=0, lt=1, description="share of the square of each unfolding that stays at least"
    )
    bayes: bool = Field(
        False, description="ranks by variational Bayes: what is more than noise stays"
    )
    least: int = Field(1, ge=1, description="no rank is lower")

    @model_validator(mode="after")
    def _one_way(self) -> "FilterRanksConfig":
        refuse_several([name for name in ("keep", "energy", "bayes") if getattr(self, name)])
        return self


class Bank(NamedTuple):
    """Filters of one convolution: the shape of a group's, their number, and the mean energies."""

    out: int
    into: int
    height: int
    width: int
    groups: int
    of_outputs: Tensor
    of_inputs: Tensor

    @property
    def numbers(self) -> int:
        """As it is."""
        return self.groups * self.out * self.into * self.height * self.width


Ranks = tuple[int, int]
"""Of the outputs and of the inputs."""
Price = Callable[[Bank, Ranks], int]
"""Numbers that a bank has for such ranks."""


def banks(model: nn.Module) -> dict[str, Bank]:
    """Name on disk → bank, of the body's convolutions with filters larger than 1 × 1.

    Depthwise ones have nothing to share. Raises `PlanError` when there are none.
    """
    on_disk, found = names_on_disk(model), {}
    for name, weight in body_weights(model).items():
        layer = model.get_submodule(name.removesuffix(".weight"))
        if type(layer) is nn.Conv2d and weight[0, 0].numel() > 1 and weight.shape[1] > 1:
            found[on_disk[name]] = _bank(weight.detach(), layer.groups)
    if not found:
        raise PlanError("the model has no convolutions with filters larger than 1 × 1 to factor")
    return found


def decide(found: Mapping[str, Bank], config: FilterRanksConfig, price: Price) -> dict[str, Ranks]:
    """Name → ranks of the banks that get smaller. Raises `PlanError` when none does."""
    if config.bayes:
        ranks = {name: _bayes(bank) for name, bank in found.items()}
    elif config.energy is not None:
        ranks = {name: _by_energy(bank, config.energy) for name, bank in found.items()}
    else:
        ranks = _within(found, config.keep or HALF, config.least, price)
    ranks = {name: _at_least(found[name], own, config.least) for name, own in ranks.items()}
    return smaller(found, ranks, price)


def smaller(
    found: Mapping[str, Bank], ranks: Mapping[str, Ranks], price: Price
) -> dict[str, Ranks]:
    """The ranks that save numbers. Raises `PlanError` when none does."""
    chosen = {n: own for n, own in ranks.items() if price(found[n], own) < found[n].numbers}
    if not chosen:
        raise PlanError(f"none of {len(found)} filter banks would get smaller; ask for less")
    return chosen


def _bank(weight: Tensor, groups: int) -> Bank:
    parts = weight.unflatten(0, (groups, -1))
    outputs, inputs = zip(*(mode_energies(part) for part in parts), strict=True)
    return Bank(*parts.shape[1:], groups, torch.stack(outputs).mean(0), torch.stack(inputs).mean(0))


def _by_energy(bank: Bank, energy: float) -> Ranks:
    return rank_of_energy(bank.of_outputs, energy), rank_of_energy(bank.of_inputs, energy)


def _bayes(bank: Bank) -> Ranks:
    others = bank.height * bank.width
    return (
        evidence_rank(bank.of_outputs, bank.out, bank.into * others),
        evidence_rank(bank.of_inputs, bank.into, bank.out * others),
    )


def _at_least(bank: Bank, ranks: Ranks, least: int) -> Ranks:
    return min(bank.out, max(least, ranks[0])), min(bank.into, max(least, ranks[1]))


def _within(found: Mapping[str, Bank], keep: float, least: int, price: Price) -> dict[str, Ranks]:
    """The greatest energy for all whose ranks take at most `keep` of all numbers."""
    room = keep * sum(bank.numbers for bank in found.values())

    def at(energy: float) -> dict[str, Ranks]:
        return {n: _at_least(b, _by_energy(b, energy), least) for n, b in found.items()}

    def taken(ranks: Mapping[str, Ranks]) -> int:
        return sum(min(price(found[n], own), found[n].numbers) for n, own in ranks.items())

    fits, breaks = 0.0, 1.0
    if taken(at(fits)) > room:
        share = taken(at(fits)) / sum(bank.numbers for bank in found.values())
        raise PlanError(
            f"keep is {keep}, but with ranks of at least {least} the least possible is "
            f"{share:.3g}; raise keep"
        )
    for _ in range(STEPS):
        middle = (fits + breaks) / 2
        fits, breaks = (middle, breaks) if taken(at(middle)) <= room else (fits, middle)
    return at(fits)
