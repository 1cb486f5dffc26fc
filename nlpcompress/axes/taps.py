"""Where an axis can be gated: the inputs of the modules that sum over it."""

from collections.abc import Iterable

from torch import nn

from nlpcompress.axes.atoms import Atom, Dim, Factor, leaves, size_of
from nlpcompress.axes.axis import Tap
from nlpcompress.axes.notes import Consumer


def taps_of(model: nn.Module, consumers: Iterable[Consumer]) -> dict[Atom, tuple[Tap, ...]]:
    """One tap for each module that sums over an atom; none at all if any sum has no such module."""
    simple = {name for name, module in model.named_modules() if not list(module.children())}
    found: dict[Atom, dict[Tap | None, None]] = {}
    for consumer in consumers:
        for factor in leaves(consumer.summed):
            tap = _tap(consumer, factor.atom) if consumer.module in simple else None
            found.setdefault(factor.atom, {})[tap] = None
    return {
        atom: tuple(tap for tap in taps if tap is not None)
        for atom, taps in found.items()
        if None not in taps
    }


def place(dim: Dim, atom: Atom) -> tuple[int, int] | None:
    """Elements before and after the atom in a dimension; None if it is not there exactly once."""
    factors = leaves(dim)
    positions = [i for i, factor in enumerate(factors) if factor.atom is atom]
    if len(positions) != 1:
        return None
    before: tuple[Factor, ...] = factors[: positions[0]]
    return size_of(before), size_of(factors[positions[0] + 1 :])


def _tap(consumer: Consumer, atom: Atom) -> Tap | None:
    places = [(i, place(dim, atom)) for i, dim in enumerate(consumer.dims)]
    found = [Tap(consumer.module or "", i, *spot) for i, spot in places if spot]
    return found[0] if len(found) == 1 else None
