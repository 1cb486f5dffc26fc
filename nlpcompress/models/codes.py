"""Small whole numbers side by side in bytes, and back again.

Code `i` of b bits lies in the bits `i·b` to `i·b + b - 1` of the bytes, lowest first: the 3-bit
codes 1, 2, 3 are the bits …011 010 001. ONNX Runtime has 2, 4 and 8 bits in this order too.

This file needs torch only: a copy of it lies beside saved models.
"""

from math import gcd

import torch
from torch import Tensor, nn

BITS = range(2, 9)
"""Bits that a code may have."""
WORDS = {2: torch.int16, 4: torch.int32, 8: torch.int64}
"""Codes that fill whole bytes together → the type with a byte for each, the first one lowest."""


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
    padded = codes.new_zeros(-(-len(codes) // lanes) * lanes)
    padded[: len(codes)] = codes
    words = padded.view(WORDS[lanes])
    for together in reversed(_steps(lanes)):
        lower = _lower(together, lanes, bits)
        upper = (words >> together * (8 - bits)).bitwise_and_(lower << together * bits)
        words.bitwise_and_(lower).bitwise_or_(upper)
    packed = _columns(_bytes(words, lanes), width)
    return packed.flatten()[: packed_size(len(codes), bits)]


def unpack_codes(packed: Tensor, bits: int, count: int) -> Tensor:
    """The reverse: uint8 `(⌈count·bits / 8⌉,)` → uint8 `(count,)`."""
    if bits == 8:
        return packed
    lanes, width = _lanes(bits)
    if width == 1:
        words = packed.to(WORDS[lanes])
    else:
        padded = nn.functional.pad(packed, (0, -len(packed) % width)).view(-1, width)
        words = _columns(padded, lanes).flatten().view(WORDS[lanes])
    for together in _steps(lanes):
        lower = _lower(together, lanes, bits)
        upper = (words << together * (8 - bits)).bitwise_and_(lower << together * 8)
        words.bitwise_and_(lower).bitwise_or_(upper)
    return _bytes(words, lanes).flatten()[:count]


def _lanes(bits: int) -> tuple[int, int]:
    """Codes that fill whole bytes together, and how many bytes."""
    common = gcd(8, bits)
    return 8 // common, bits // common


def _steps(lanes: int) -> list[int]:
    """How many codes lie together after each halving: 4, 2, 1 for eight of them."""
    return [lanes >> step for step in range(1, lanes.bit_length())]


def _lower(together: int, lanes: int, bits: int) -> int:
    """Ones at the lower one of every two neighbours, of so many codes without gaps each."""
    ones = 2 ** (together * bits) - 1
    return sum(ones << 8 * lane for lane in range(0, lanes, 2 * together))


def _columns(bytes_: Tensor, width: int) -> Tensor:
    """As many columns: further ones are zero. One at a time, as short rows are slow to copy."""
    new = bytes_.new_zeros(len(bytes_), width)
    for column in range(min(width, bytes_.shape[1])):
        new[:, column] = bytes_[:, column]
    return new


def _bytes(words: Tensor, lanes: int) -> Tensor:
    return words.view(torch.uint8).view(-1, lanes)
