"""Small whole numbers side by side in bytes, and back again.

Code `i` of b bits lies in the bits `i·b` to `i·b + b - 1` of the bytes, lowest first: the 3-bit
codes 1, 2, 3 are the bits …011 010 001. ONNX Runtime has 2, 4 and 8 bits in this order too.

This file needs torch only: a copy of it lies beside saved models.
"""

from collections.abc import Iterator
from math import gcd

import torch
from torch import Tensor

BITS = range(2, 9)
"""Bits that a code may have."""


def packed_size(count: int, bits: int) -> int:
    """Bytes of so many codes."""
    return -(-count * bits // 8)


def pack_codes(codes: Tensor, bits: int) -> Tensor:
    """Codes below 2^bits, uint8 `(n,)` → uint8 `(⌈n·bits / 8⌉,)`.

    >>> pack_codes(torch.tensor([1, 2, 3], dtype=torch.uint8), 3)
    tensor([209,   0], dtype=torch.uint8)
    """
    if bits == 8:
        return codes.clone()
    lanes, width = _lanes(bits)
    rows = torch.nn.functional.pad(codes, (0, -len(codes) % lanes)).view(-1, lanes)
    packed = rows.new_zeros(len(rows), width)
    for lane, byte, shift in _overlaps(bits):
        packed[:, byte] |= _shifted(rows[:, lane], shift)
    return packed.view(-1)[: packed_size(len(codes), bits)]


def unpack_codes(packed: Tensor, bits: int, count: int) -> Tensor:
    """The reverse: uint8 `(⌈count·bits / 8⌉,)` → uint8 `(count,)`."""
    if bits == 8:
        return packed
    lanes, width = _lanes(bits)
    bytes_ = torch.nn.functional.pad(packed, (0, -len(packed) % width)).view(-1, width)
    rows = bytes_.new_zeros(len(bytes_), lanes)
    for lane, byte, shift in _overlaps(bits):
        rows[:, lane] |= _shifted(bytes_[:, byte], -shift)
    return rows.bitwise_and_(2**bits - 1).view(-1)[:count]


def _lanes(bits: int) -> tuple[int, int]:
    """Codes that fill whole bytes together, and how many bytes."""
    common = gcd(8, bits)
    return 8 // common, bits // common


def _overlaps(bits: int) -> Iterator[tuple[int, int, int]]:
    """Code, byte that holds a part of it, and how far left the code is moved there."""
    lanes, width = _lanes(bits)
    for lane in range(lanes):
        for byte in range(width):
            shift = lane * bits - 8 * byte
            if -bits < shift < 8:
                yield lane, byte, shift


def _shifted(values: Tensor, left: int) -> Tensor:
    return values << left if left >= 0 else values >> -left
