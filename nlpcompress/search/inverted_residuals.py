"""What networks of inverted residuals cost, from their numbers alone: none of them is built.

A network is a stem (a convolution of stride 2), blocks that widen, filter each channel and narrow,
and a classifier on the mean of the last maps: MobileNetV2 and its searched relatives.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

STEM_KERNEL = 3
RGB = 3


class Block(NamedTuple):
    """One inverted residual: `inside` channels between a widening and a narrowing product.

    With as many channels inside as given it does not widen. It adds its input where stride and
    channels allow.
    """

    given: int
    inside: int
    made: int
    kernel: int = 3
    stride: int = 1

    @property
    def adds(self) -> bool:
        """Whether the input is added."""
        return self.stride == 1 and self.given == self.made


class Network(NamedTuple):
    """`head` channels follow the blocks, 0 for none; then the classes."""

    stem: int
    blocks: Sequence[Block]
    head: int
    classes: int
    resolution: int


class Cost(NamedTuple):
    """`parameters` with scales and shifts of norms, `macs` of one picture, `peak` in elements."""

    parameters: int
    macs: int
    peak: int


def cost(network: Network) -> Cost:
    """Peak: the most elements alive at once, activations and norms in their products, a filter of
    each channel in place.

    Source: Lin et al. 2021 (MCUNetV2), figure 1, whose 1372 kB of MobileNetV2 in 8 bits this gives;
    Sandler et al. 2018, section 5.1, for the memory of a block.
    """
    parts = list(_parts(network))
    return Cost(
        parameters=sum(part.parameters for part in parts),
        macs=sum(part.macs for part in parts),
        peak=max(part.peak for part in parts),
    )


def _parts(network: Network) -> Iterator[Cost]:
    """Stem, blocks, head and classifier: parameters, MACs and peak of each."""
    side = halved(network.resolution)
    weights = STEM_KERNEL**2 * RGB * network.stem
    pixels = RGB * network.resolution**2
    yield Cost(weights + 2 * network.stem, weights * side**2, pixels + network.stem * side**2)
    for block in network.blocks:
        yield _block(block, side)
        side = side if block.stride == 1 else halved(side)
    last = network.blocks[-1].made
    if network.head:
        weights = last * network.head
        peak = (last + network.head) * side**2
        yield Cost(weights + 2 * network.head, weights * side**2, peak)
        last = network.head
    weights = last * network.classes
    yield Cost(weights + network.classes, weights, last * side**2 + last)


def _block(block: Block, side: int) -> Cost:
    after = side if block.stride == 1 else halved(side)
    widens = block.inside != block.given
    widening = block.given * block.inside if widens else 0
    filtering = block.kernel**2 * block.inside
    narrowing = block.inside * block.made
    norms = 2 * ((2 if widens else 1) * block.inside + block.made)
    given, inside = block.given * side**2, block.inside * side**2
    kept = given if block.adds else 0
    small = block.inside * after**2 + block.made * after**2
    return Cost(
        widening + filtering + narrowing + norms,
        widening * side**2 + (filtering + narrowing) * after**2,
        max(given + inside if widens else given, kept + inside, kept + small),
    )


def halved(side: int) -> int:
    """The side after a stride of 2, with padding."""
    return (side + 1) // 2
