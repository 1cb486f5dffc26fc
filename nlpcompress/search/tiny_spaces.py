"""Which family of networks to search in: that whose members do the most within the memory.

Of each pair of width and resolution networks are drawn; those that fit are compared by their MACs,
as a network that computes more under the same limits is likely to know more.

Source: Lin et al. 2020 (MCUNet, TinyNAS), section 3.1, and its space: kernels 3, 5 and 7,
expansions 3, 4 and 6, 2 to 4 blocks a stage.
Differs: channels of stages, which the paper does not print, are those of ProxylessNAS. Of its ten
spaces for 320 kB and 1 MB the best is the same, narrow ones have fewer MACs here (see the tests).
"""

import random
from collections.abc import Iterator, Sequence
from statistics import mean
from typing import NamedTuple

from nlpcompress.core.divisible import divisible
from nlpcompress.errors import ConfigError
from nlpcompress.search.inverted_residuals import Block, Network, cost

KERNELS, EXPANSIONS, DEPTHS = (3, 5, 7), (3, 4, 6), (2, 3, 4)
STEM, FIRST, LAST = 32, 16, 320
STAGES = ((24, 2), (40, 2), (80, 2), (96, 1), (192, 2))
"""Channels and stride of each stage of many blocks; one block of `LAST` channels follows."""


class TinySpace(NamedTuple):
    """Networks of one width (of all channels) and one resolution."""

    width: float
    resolution: int


class Limits(NamedTuple):
    """Bytes of activations alive at once, and of parameters; both are 8-bit numbers."""

    memory: int
    storage: int


class JudgedSpace(NamedTuple):
    """A space, the MACs of networks in it that fit, ascending, and how many were drawn for them."""

    space: TinySpace
    macs: list[int]
    drawn: int

    @property
    def mean(self) -> float:
        """Of the MACs; 0 where nothing fits."""
        return mean(self.macs) if self.macs else 0.0


def judge_spaces(
    spaces: Sequence[TinySpace], limits: Limits, *, classes: int, count: int = 1000, seed: int = 0
) -> list[JudgedSpace]:
    """Draw `count` networks of each space that fit; the space whose networks do most comes first.

    Where few fit, as many are drawn as would take 50 times `count`. Raises `ConfigError` when no
    space has one that fits.
    """
    found = [_judged(space, limits, classes, count, random.Random(seed)) for space in spaces]
    if not any(judged.macs for judged in found):
        raise ConfigError(
            f"of {len(spaces)} spaces no network drawn fits in {limits.memory} bytes of "
            f"activations and {limits.storage} of parameters; raise a limit, or offer less width "
            "or resolution"
        )
    return sorted(found, key=lambda judged: -judged.mean)


def draw(space: TinySpace, classes: int, chance: random.Random) -> Network:
    """A network of the space."""
    blocks = list(_blocks(space.width, chance))
    stem = divisible(STEM * space.width)
    return Network(stem, blocks, 0, classes, space.resolution)


def _judged(
    space: TinySpace, limits: Limits, classes: int, count: int, chance: random.Random
) -> JudgedSpace:
    fitting: list[int] = []
    drawn = 0
    while len(fitting) < count and drawn < 50 * count:
        drawn += 1
        found = cost(draw(space, classes, chance))
        if found.peak <= limits.memory and found.parameters <= limits.storage:
            fitting.append(found.macs)
    return JudgedSpace(space, sorted(fitting), drawn)


def _blocks(width: float, chance: random.Random) -> Iterator[Block]:
    given, made = divisible(STEM * width), divisible(FIRST * width)
    yield Block(given, given, made)
    for channels, stride in (*STAGES, (LAST, 1)):
        depth = 1 if channels == LAST else chance.choice(DEPTHS)
        for position in range(depth):
            given, made = made, divisible(channels * width)
            inside = given * chance.choice(EXPANSIONS)
            yield Block(given, inside, made, chance.choice(KERNELS), stride if position == 0 else 1)
