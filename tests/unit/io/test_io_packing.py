"""Packed tensors come back to the last bit, or are refused."""

import pytest
import torch

from nlpcompress.errors import FormatError
from nlpcompress.io.packing import (
    Packed,
    pack,
    pack_int8,
    placeholders,
    rounded_to_int8,
    unpack,
)

TYPES = (torch.float32, torch.float16, torch.bfloat16)
SHAPES = ((5, 7), (1, 8), (3, 1), (2, 3, 3, 3), (64, 97))


def sparse(shape, dtype=torch.float32, *, keep=0.3, seed=0):
    """Random rows of very different sizes, the last one all zeros if there are several."""
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(shape, generator=generator)
    weight *= 10 ** (4 * torch.rand(shape[0], generator=generator) - 3).view(
        -1, *[1] * (len(shape) - 1)
    )
    weight[torch.rand(shape, generator=generator) >= keep] = 0
    if shape[0] > 1:
        weight[-1] = 0
    return weight.to(dtype)


def bits(tensor):
    return tensor.contiguous().view(torch.uint8)


@pytest.mark.parametrize("dtype", [*TYPES, torch.float64])
@pytest.mark.parametrize("shape", SHAPES)
def test_nonzeros_come_back_to_the_last_bit(shape, dtype):
    weight = sparse(shape, dtype)
    again = unpack(pack(weight), shape, dtype)
    assert again.dtype is dtype
    assert torch.equal(bits(again), bits(weight))


@pytest.mark.parametrize("keep", [0.0, 1.0])
def test_a_tensor_of_zeros_and_one_without_any(keep):
    weight = sparse((4, 5), keep=keep)[:3]
    assert len(pack(weight).values) == weight.count_nonzero() == 15 * keep
    assert torch.equal(unpack(pack(weight), (3, 5), weight.dtype), weight)
    codes = rounded_to_int8(weight)
    assert torch.equal(unpack(pack_int8(codes), (3, 5), weight.dtype), codes)


def test_the_layout_is_the_documented_one():
    weight = torch.tensor([[0.0, 5, 0], [7, 0, 0], [0, 0, -1]])
    packed = pack(weight)
    assert packed.mask.tolist() == [0b00001010, 0b1]
    assert packed.values.tolist() == [5, 7, -1]
    packed = pack_int8(weight)
    assert packed.values.tolist() == [127, 127, -127]
    assert packed.scale.tolist() == pytest.approx([5 / 127, 7 / 127, 1 / 127], rel=1e-5)
    assert {name: part.dtype for name, part in packed.parts().items()} == {
        "": torch.int8,
        "_mask": torch.uint8,
        "_scale": torch.int32,
    }


def test_special_values_are_kept_and_a_negative_zero_is_a_zero():
    weight = torch.tensor([[-0.0, float("nan"), float("-inf"), 1e-45]])
    again = unpack(pack(weight), (1, 4), weight.dtype)
    assert torch.equal(bits(again)[:, 4:], bits(weight)[:, 4:])
    assert len(pack(weight).values) == 3
    assert again[0, 0] == 0


@pytest.mark.parametrize("dtype", [*TYPES, torch.float64])
@pytest.mark.parametrize("shape", SHAPES)
def test_rounded_weights_are_held_exactly_by_int8(shape, dtype):
    for seed in range(10):
        rounded = rounded_to_int8(sparse(shape, dtype, seed=seed))
        packed = Packed.of_parts(pack_int8(rounded).parts())
        again = unpack(packed, shape, dtype)
        assert again.dtype is dtype
        assert torch.equal(bits(again + 0), bits(rounded + 0)), "+ 0: no negative zeros"


@pytest.mark.parametrize(
    ("dtype", "digits"), [(torch.float32, 24), (torch.float16, 11), (torch.bfloat16, 8)]
)
def test_a_rounded_row_has_its_scale_again_whatever_its_greatest_value(dtype, digits):
    """All mantissas of the type, each the greatest of a row; for float32 every 61st."""
    mantissas = torch.arange(2 ** (digits - 1), 2**digits, 61 if digits == 24 else 1)
    greatest = mantissas.double() * 2.0**-digits
    weight = (greatest.unsqueeze(1) * torch.tensor([[1, -0.7, 0.3]])).to(dtype)
    rounded = rounded_to_int8(weight)
    packed = pack_int8(rounded)
    assert torch.equal(packed.scale, greatest.float() / 127)
    assert torch.equal(packed.values.view(-1, 3)[:, 0], torch.full((len(weight),), 127).char())
    assert torch.equal(unpack(packed, weight.shape, dtype), rounded)


@pytest.mark.parametrize("dtype", TYPES)
def test_rounding_takes_the_nearest_of_255_steps_a_row(dtype):
    weight = sparse((64, 97), dtype)
    rounded = rounded_to_int8(weight).double()
    step = weight.double().abs().amax(dim=1, keepdim=True) / 127
    half_a_step = step * (0.5 + 1e-5) + torch.finfo(dtype).eps / 2 * rounded.abs()
    assert ((rounded - weight).abs() <= half_a_step).all()
    assert (rounded[weight == 0] == 0).all()


def test_rounding_twice_changes_nothing():
    rounded = rounded_to_int8(sparse((64, 97)))
    assert torch.equal(rounded_to_int8(rounded), rounded)


def test_what_int8_cannot_hold_is_refused():
    weight = rounded_to_int8(sparse((6, 40)))
    row = int(weight.abs().amax(dim=1).argmax())
    place = int(weight[row].abs().argmin())
    weight[row, place] = weight[row].abs().max() * 0.3333
    with pytest.raises(FormatError, match=rf"1 of 6 rows are not .* row {row}; round them first"):
        pack_int8(weight)
    for value in (float("nan"), float("inf")):
        weight[row, place] = value
        with pytest.raises(FormatError, match="1 of 6 rows"):
            pack_int8(weight)
        with pytest.raises(FormatError, match="not finite"):
            rounded_to_int8(weight)


def test_rows_too_small_for_a_scale_become_zero():
    weight = torch.full((2, 3), 1e-40)
    weight[1] = 1.0
    assert rounded_to_int8(weight)[0].tolist() == [0, 0, 0]
    assert rounded_to_int8(weight)[1].tolist() == pytest.approx([1, 1, 1], rel=1e-5)
    with pytest.raises(FormatError, match="row 0"):
        pack_int8(weight)


def torn(packed):
    beyond = packed.mask.clone()
    beyond[-1] |= 0x80
    yield Packed(packed.values[1:], packed.mask, packed.scale)
    yield Packed(packed.values, packed.mask[1:], packed.scale)
    yield Packed(packed.values, beyond, packed.scale)
    if packed.scale is not None:
        yield Packed(packed.values, packed.mask, packed.scale[1:])


@pytest.mark.parametrize("kind", [pack, pack_int8])
def test_parts_that_do_not_belong_together_are_refused(kind):
    weight = rounded_to_int8(sparse((5, 7)))
    for packed in torn(kind(weight)):
        with pytest.raises(FormatError, match=r"is torn: .* do not make the shape \(5, 7\)"):
            unpack(packed, (5, 7), weight.dtype)


@pytest.mark.parametrize("kind", [pack, pack_int8])
def test_placeholders_have_the_shapes_of_the_parts(kind):
    weight = rounded_to_int8(sparse((5, 7)))
    packed = kind(weight)
    made = placeholders(weight.to("meta"), packed.scheme, len(packed.values))
    assert all(part.is_meta for part in made.values())
    shapes = {name: part.shape for name, part in packed.parts().items()}
    assert {name: part.shape for name, part in made.items()} == shapes
