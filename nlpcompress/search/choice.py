"""What an item may get and what that costs, checked; and what a whole allocation costs."""

import math
from collections.abc import Mapping, Sequence
from numbers import Integral
from typing import NamedTuple

from nlpcompress.core.nearest import nearest
from nlpcompress.errors import ConfigError


class Choice(NamedTuple):
    """One bit width of one item (a weight matrix or a block)."""

    bits: int
    size: int  # bits on disk, scales and zero points included
    loss: float  # what the task is thought to lose: sensitivity · ‖ΔW‖²


Items = Mapping[str, Sequence[Choice]]


class Total(NamedTuple):
    """What all items of an allocation cost together."""

    size: int  # bits on disk
    loss: float  # the exact sum, rounded once


def total(items: Items, widths: Mapping[str, int]) -> Total:
    """The cost of giving each item the bit width `widths` has for it.

    Raises `ConfigError` when the names differ or an item has no choice of that width.
    """
    check_items(items)
    check_names(widths, items)
    missing = [name for name in items if name not in widths]
    if missing:
        raise ConfigError(f"'{missing[0]}' got no bit width; give each item one")
    chosen = [_choice(name, items[name], bits) for name, bits in widths.items()]
    return Total(sum(int(c.size) for c in chosen), math.fsum(c.loss for c in chosen))


def check_items(items: Items) -> None:
    """Raises `ConfigError` for no items and for choices that cannot be compared or told apart."""
    if not items:
        raise ConfigError("there are no items to give bit widths to; name at least one matrix")
    for name, choices in items.items():
        if not choices:
            raise ConfigError(f"'{name}' has no choice; give it at least one bit width")
        for choice in choices:
            _check_choice(name, choice)
        widths = [choice.bits for choice in choices]
        twice = sorted({bits for bits in widths if widths.count(bits) > 1})
        if twice:
            raise ConfigError(f"'{name}' has several choices of {twice[0]} bits; give one a width")


def check_names(named: Mapping[str, object], items: Items) -> None:
    """Raises `ConfigError` for a name that is no item's."""
    for name in named:
        if name not in items:
            raise ConfigError(f"'{name}' is none of the items{nearest(name, items)}")


def above_floors(items: Items, floors: Mapping[str, int]) -> Items:
    """The items with the choices of at least as many bits as their floor.

    Raises `ConfigError` for a floor of an unknown item and for one above all its choices.
    """
    check_names(floors, items)
    for name, floor in floors.items():
        widest = max(choice.bits for choice in items[name])
        if not floor <= widest:
            raise ConfigError(
                f"'{name}' must get at least {floor} bits, but its widest choice has {widest}; "
                "lower the floor or offer a wider choice"
            )
    return {
        name: [c for c in choices if name not in floors or c.bits >= floors[name]]
        for name, choices in items.items()
    }


def _choice(name: str, choices: Sequence[Choice], bits: int) -> Choice:
    for choice in choices:
        if choice.bits == bits:
            return choice
    offered = ", ".join(str(choice.bits) for choice in choices)
    raise ConfigError(f"'{name}' got {bits} bits, but its choices are: {offered}")


def _check_choice(name: str, choice: Choice) -> None:
    if not isinstance(choice.size, Integral) or choice.size < 0:
        raise ConfigError(
            f"the size of '{name}' at {choice.bits} bits is {choice.size!r}; "
            "it must be a whole number of bits, 0 or more"
        )
    if not (math.isfinite(choice.loss) and choice.loss >= 0):
        raise ConfigError(
            f"the loss of '{name}' at {choice.bits} bits is {float(choice.loss)}; it must be a "
            "finite number, 0 or more (‖ΔW‖² is; is the sensitivity a mean of squares?)"
        )
