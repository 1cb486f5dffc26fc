"""Packed codes: every bit where the format says, and back without a loss."""

import numpy as np
import pytest
import torch

from nlpcompress.models.codes import BITS, pack_codes, packed_size, unpack_codes


def drawn(count, bits):
    generator = torch.Generator().manual_seed(count)
    return torch.randint(0, 2**bits, (count,), generator=generator, dtype=torch.uint8)


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("count", [0, 1, 2, 7, 8, 9, 63, 1001])
def test_what_is_packed_comes_back(bits, count):
    codes = drawn(count, bits)
    packed = pack_codes(codes, bits)
    assert packed.dtype == torch.uint8 and len(packed) == packed_size(count, bits)
    assert torch.equal(unpack_codes(packed, bits, count), codes)


@pytest.mark.parametrize("bits", BITS)
def test_bits_lie_one_after_the_other_lowest_first(bits):
    codes = drawn(41, bits)
    stream = [code >> bit & 1 for code in codes.tolist() for bit in range(bits)]
    expected = np.packbits(stream, bitorder="little")
    assert pack_codes(codes, bits).tolist() == expected.tolist()


def test_packing_leaves_its_input_alone():
    codes = drawn(16, 8)
    pack_codes(codes, 8).zero_()
    assert torch.equal(codes, drawn(16, 8))
