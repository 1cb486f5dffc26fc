"""How many bits a number of a quantized model takes."""

from typing import NamedTuple

from torch import nn

from nlpcompress.bench.ledger import PARTS, parts_of
from nlpcompress.bench.rows import ALL, Bits
from nlpcompress.models.quantized import PARTS as BUFFERS
from nlpcompress.models.weights import quantized_weights


class _Counted(NamedTuple):
    part: str
    numbers: int
    code_bits: int
    stored_bits: int


def effective_bits(model: nn.Module) -> dict[str, Bits]:
    """Part → mean bits a number of the quantized weights in it, shared ones once; `all` over all.

    The parts are those of `size_ledger`. Weights that are not quantized do not count, nor do
    biases; a part without quantized weights is left out.
    """
    part_of, counted = parts_of(model), []
    for path, module in quantized_weights(model).items():
        scheme, buffers = module.scheme, (getattr(module, name) for name in BUFFERS)
        numbers = scheme.rows * scheme.columns
        stored = 8 * sum(buffer.nbytes for buffer in buffers if buffer is not None)
        counted.append(_Counted(part_of(f"{path}.weight"), numbers, numbers * scheme.bits, stored))
    groups = {part: [c for c in counted if part in (c.part, ALL)] for part in (*PARTS, ALL)}
    return {part: _mean(group) for part, group in groups.items() if group}


def quantized_numbers(model: nn.Module) -> int:
    """Numbers of all quantized weights, shared ones once."""
    return sum(m.scheme.rows * m.scheme.columns for m in quantized_weights(model).values())


def _mean(counted: list[_Counted]) -> Bits:
    numbers = sum(c.numbers for c in counted)
    return Bits(
        nominal=sum(c.code_bits for c in counted) / numbers,
        effective=sum(c.stored_bits for c in counted) / numbers,
    )
