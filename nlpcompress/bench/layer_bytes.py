"""Where the bytes of layers are: in each one's attention, its feed-forward network, the rest."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from torch import nn

from nlpcompress.bench.ledger import sizes_of
from nlpcompress.models.layer_parts import kinds_of
from nlpcompress.models.layers import stacks_of

ENCODER, REST = "encoder", "rest"
Layer = dict[str, int]
"""Part → bytes of its weights."""


def layer_bytes(model: nn.Module, folder: str | Path | None = None) -> tuple[Layer, ...]:
    """Of each layer in order, or each stage or block of a convolutional model; none without any.

    Of several stacks it is the one with most bytes. What layers share counts in the first of them.
    With the `folder` that the model was saved to, the bytes are those of its files.
    """
    sizes = dict(sizes_of(model, folder))
    found = [_of_stack(path, stack, sizes) for path, stack in stacks_of(model)]
    return max(found, key=_total, default=())


def by_parts(ledger: Mapping[str, int], layers: Sequence[Layer]) -> dict[str, int]:
    """A ledger whose encoder is told by its layers' parts, where they are known.

    >>> by_parts({"encoder": 90, "head": 5}, [{"attention": 30, "ffn": 40, "rest": 0}])
    {'attention': 30, 'ffn': 40, 'rest of the encoder': 20, 'head': 5}
    """
    told = {kind: sum(layer[kind] for layer in layers) for kind in ("attention", "ffn")}
    if not layers or not any(told.values()):
        return dict(ledger)
    rest = {"rest of the encoder": ledger[ENCODER] - sum(told.values())}
    split: dict[str, int] = {}
    for part, size in ledger.items():
        split |= {**told, **rest} if part == ENCODER else {part: size}
    return split


def _of_stack(path: str, stack: nn.ModuleList, sizes: Mapping[str, int]) -> tuple[Layer, ...]:
    return tuple(_of_layer(f"{path}.{i}.", layer, sizes) for i, layer in enumerate(stack))


def _of_layer(prefix: str, layer: nn.Module, sizes: Mapping[str, int]) -> Layer:
    kinds, found = kinds_of(layer), {"attention": 0, "ffn": 0, REST: 0}
    for child, size in _under(prefix, sizes):
        found[kinds.get(child, REST)] += size
    return found


def _under(prefix: str, sizes: Mapping[str, int]) -> Iterator[tuple[str, int]]:
    for name, size in sizes.items():
        if name.startswith(prefix):
            yield name.removeprefix(prefix).partition(".")[0], size


def _total(layers: Sequence[Layer]) -> int:
    return sum(sum(layer.values()) for layer in layers)
