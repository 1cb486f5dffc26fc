"""Codes as ONNX Runtime's operators for few bits read them: `MatMulNBits`, `GatherBlockQuantized`.

A row is cut into blocks of a power of two; each block has a scale and a zero point of its own, and
lies in whole bytes, lowest bits first. Groups of several rows, or longer than a block, are said by
repeating theirs. Codes of 3 bits lie in 4, those of 5 to 7 in 8.
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad

from nlpcompress.models.codes import pack_codes
from nlpcompress.models.grid import Scheme
from nlpcompress.models.quantized import Quantized

BLOCKS = (16, 32, 64, 128, 256)
"""Lengths of blocks that onnxruntime 1.32 reads in all bits."""
SCALE_BYTES = 2


class Blocks(NamedTuple):
    """A matrix `(rows, columns)` in blocks.

    `codes` uint8 `(rows, blocks, block · bits / 8)`, `scales` float32 `(rows, blocks)`, `zeros`
    uint8 `(rows, ⌈blocks · bits / 8⌉)`; None: all are 2^(bits - 1).
    """

    bits: int
    block: int
    codes: Tensor
    scales: Tensor
    zeros: Tensor | None


def container_of(bits: int) -> int:
    """Bits that a code takes in the file: 2, 4 or 8."""
    return next(size for size in (2, 4, 8) if size >= bits)


def block_of(scheme: Scheme) -> int | None:
    """The length whose codes and scales take the fewest bytes; None: no length fits the groups."""
    whole_rows = scheme.group_size == scheme.columns
    fitting = [block for block in BLOCKS if whole_rows or scheme.group_size % block == 0]
    return min(fitting, key=lambda block: _row_bytes(scheme, block), default=None)


def blocks_of(module: Quantized, block: int) -> Blocks:
    """The module's own codes, in blocks of that length."""
    scheme, grid = module.scheme, module.grid()
    bits, count = container_of(scheme.bits), -(-scheme.columns // block)
    shift = 2 ** (bits - 1) - scheme.middle if scheme.sym else 0
    codes = pad(module.codes() + shift, (0, count * block - scheme.columns))
    return Blocks(
        bits=bits,
        block=block,
        codes=pack_codes(codes.flatten(), bits).view(scheme.rows, count, -1),
        scales=by_blocks(grid.scale, scheme, block),
        zeros=None if scheme.sym else _packed_rows(by_blocks(grid.zero, scheme, block), bits),
    )


def by_blocks(values: Tensor, scheme: Scheme, block: int) -> Tensor:
    """A value a group, `(below, beside)` → one a block of each row, `(rows, blocks)`."""
    of_block = torch.arange(0, scheme.columns, block, device=values.device) // scheme.group_size
    return values.repeat_interleave(scheme.group_rows, dim=0)[:, of_block].contiguous()


def _row_bytes(scheme: Scheme, block: int) -> float:
    count, bits = -(-scheme.columns // block), container_of(scheme.bits)
    return count * (block * bits / 8 + SCALE_BYTES + bits / 8)


def _packed_rows(values: Tensor, bits: int) -> Tensor:
    """`(rows, n)` → `(rows, ⌈n · bits / 8⌉)`: each row begins a byte."""
    rows, count = values.shape
    padded = pad(values, (0, -count % (8 // bits)))
    return pack_codes(padded.flatten(), bits).view(rows, -1)
