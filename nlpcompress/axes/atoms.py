"""Atoms: the indivisible pieces of tensor dimensions, unified and split as operations demand.

A dimension is an ordered product of factors, outermost first. The 32 columns of a query
projection start as one atom of 32; viewing them as 4 heads of 8 splits it into two atoms, and
every tensor that shares it sees the split. Union-find with one addition: a class may have been
split into parts, which then stand in its place.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from math import prod
from typing import NamedTuple

UNALIGNED = "its parts do not line up with those of another dimension"


class Atom:
    """Index positions that must be cut together. `frozen` is the first reason against it."""

    __slots__ = ("frozen", "parent", "parts", "size")

    def __init__(self, size: int, frozen: str | None = None) -> None:
        self.size = size
        self.frozen = frozen
        self.parent: Atom | None = None
        self.parts: tuple[Atom, ...] = ()


class Factor(NamedTuple):
    """One atom of a dimension; `zero`: the tensor is zero at the atom's masked indices."""

    atom: Atom
    zero: bool


Dim = tuple[Factor, ...]


def root(atom: Atom) -> Atom:
    """The atom that stands for this one's class."""
    while atom.parent is not None:
        atom = atom.parent
    return atom


def new_dim(size: int, *, frozen: str | None = None, zero: bool = False) -> Dim:
    """A fresh dimension; one of size 1 has no factors."""
    return () if size == 1 else (Factor(Atom(size, frozen), zero),)


def leaves(dim: Iterable[Factor]) -> Dim:
    """The factors as they are now: representatives, split ones replaced by their parts."""
    found: list[Factor] = []
    for factor in dim:
        atom = root(factor.atom)
        if atom.parts:
            found += leaves(Factor(part, factor.zero) for part in atom.parts)
        else:
            found.append(Factor(atom, factor.zero))
    return tuple(found)


def size_of(dim: Iterable[Factor]) -> int:
    return prod(factor.atom.size for factor in dim)


def freeze(dim: Iterable[Factor], reason: str) -> None:
    """Forbid cutting any atom of the dimension; the first reason stays."""
    for factor in leaves(dim):
        factor.atom.frozen = factor.atom.frozen or reason


def with_zero(dim: Iterable[Factor], zero: bool) -> Dim:
    return tuple(Factor(factor.atom, zero) for factor in dim)


def split(atom: Atom, outer: int) -> None:
    """Make a class `outer × (size / outer)`."""
    atom = root(atom)
    assert not atom.parts and atom.size % outer == 0
    atom.parts = (Atom(outer, atom.frozen), Atom(atom.size // outer, atom.frozen))


def join(a: Atom, b: Atom) -> None:
    """Make two classes of one size the same."""
    a, b = root(a), root(b)
    if a is not b:
        b.parent = a
        a.frozen = a.frozen or b.frozen


def unify(x: Dim, y: Dim) -> bool:
    """Make two dimensions the same, splitting atoms where needed; freeze both if they cannot be."""
    left, right = deque(leaves(x)), deque(leaves(y))
    while left and right:
        if _expand(left) or _expand(right):
            continue
        a, b = root(left[0].atom), root(right[0].atom)
        if a.size == b.size:
            join(a, b)
            left.popleft()
            right.popleft()
        elif not _split_larger(a, b):
            break
    if left or right:
        freeze(x, UNALIGNED)
        freeze(y, UNALIGNED)
    return not (left or right)


def regroup(dims: Iterable[Dim], shape: Sequence[int]) -> list[Dim]:
    """Distribute the factors of a tensor over a new shape of as many elements.

    Where the shapes share no boundary, what is left of both is frozen.
    """
    queue = deque(leaves(factor for dim in dims for factor in dim))
    result: list[Dim] = []
    for size in shape:
        taken = _take(queue, size)
        if taken is None:
            freeze(queue, UNALIGNED)
            return result + [new_dim(n, frozen=UNALIGNED) for n in shape[len(result) :]]
        result.append(taken)
    return result


def _take(queue: deque[Factor], size: int) -> Dim | None:
    taken: list[Factor] = []
    while size > 1:
        if not queue:
            return None
        if _expand(queue):
            continue
        atom = root(queue[0].atom)
        if atom.size and size % atom.size == 0:
            size //= atom.size
            taken.append(queue.popleft())
        elif atom.size % size == 0:
            split(atom, size)
        else:
            freeze(taken, UNALIGNED)
            return None
    return tuple(taken)


def _expand(queue: deque[Factor]) -> bool:
    """Replace a head that has been split meanwhile by its parts."""
    atom = root(queue[0].atom)
    if atom.parts:
        queue.extendleft(reversed(leaves([queue.popleft()])))
    return bool(atom.parts)


def _split_larger(a: Atom, b: Atom) -> bool:
    small, large = sorted((a, b), key=lambda atom: atom.size)
    if small.size == 0 or large.size % small.size:
        return False
    split(large, small.size)
    return True
