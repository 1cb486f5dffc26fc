"""A tensor with zeros as a bit mask and its nonzeros, in its own type or as int8, and back again.

Bit `i % 8` of byte `i // 8` of the mask, lowest first, is set where element `i`, row by row, is not
zero: `[[0, 5, 0], [7, 0, 0]]` has the mask `[0b1010]` and the values `[5, 7]`. A negative zero is a
zero and comes back as the positive one; every other bit pattern comes back as it was.

In the int8 scheme a value is `code * scale` of its row (the tensor's first dimension), the code
from -127 to 127, the scale one float32 a row. On disk the parts of `….weight` are the 1-D tensors

    ….weight        the values, in the weight's type or int8: a reader that does not know the
                    packing fails on the shape instead of taking them for weights
    ….weight_mask   uint8
    ….weight_scale  int32, the bits of the float32 scales: transformers casts what is floating

This file needs torch only: a copy of it lies beside saved models.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

try:
    from nlpcompress.errors import FormatError
except ImportError:

    class FormatError(ValueError):
        """The folder cannot be read as a compressed model."""


BITMASK, INT8 = "bitmask", "bitmask-int8"
SCHEMES = (BITMASK, INT8)
MASK, SCALE = "_mask", "_scale"
SUFFIXES = ("", MASK, SCALE)
GREATEST_CODE = 127


@dataclass(frozen=True)
class Packed:
    """`values` `(nonzeros,)`, `mask` `(⌈elements / 8⌉,)` uint8, and, for int8 values, `scale`
    `(rows,)` float32.
    """

    values: Tensor
    mask: Tensor
    scale: Tensor | None = None

    @property
    def scheme(self) -> str:
        """`bitmask` or `bitmask-int8`."""
        return BITMASK if self.scale is None else INT8

    def parts(self) -> dict[str, Tensor]:
        """What follows the weight's name on disk → 1-D tensor."""
        parts = {"": self.values, MASK: self.mask}
        return parts if self.scale is None else parts | {SCALE: self.scale.view(torch.int32)}

    @staticmethod
    def of_parts(parts: dict[str, Tensor]) -> "Packed":
        """The reverse of `parts`."""
        scale = parts.get(SCALE)
        return Packed(parts[""], parts[MASK], None if scale is None else scale.view(torch.float32))


def placeholders(weight: Tensor, scheme: str, nonzeros: int) -> dict[str, Tensor]:
    """Parts without values, as long as those of a packed `weight`, on its device.

    Also int8 values are announced in the weight's type: transformers 4 draws random numbers into
    some weights before it loads them (GPT-2's projections), which integers do not take.
    """
    mask = weight.new_empty(-(-weight.numel() // 8), dtype=torch.uint8)
    scale = weight.new_empty(weight.shape[0], dtype=torch.float32) if scheme == INT8 else None
    return Packed(weight.new_empty(nonzeros), mask, scale).parts()


def pack(weight: Tensor) -> Packed:
    """The bit mask and the nonzeros of `weight`, of any shape and type."""
    flat = weight.detach().reshape(-1)
    mask = flat != 0
    return Packed(flat[mask], _to_bits(mask))


def pack_int8(weight: Tensor) -> Packed:
    """The same with int8 codes; `weight` has at least two dimensions and is floating.

    The scale of a row is its greatest absolute value / 127. Raises `FormatError` when any value is
    not, to the last bit, a code times its row's scale.
    """
    rows = weight.detach().reshape(weight.shape[0], -1)
    scale = _row_scales(rows)
    codes = _codes(rows, scale)
    exact = (_decoded(codes, scale, rows.dtype) == rows).all(dim=1)
    if not bool(exact.all()):
        raise FormatError(
            f"{int((~exact).sum())} of {len(rows)} rows are not int8 codes times one scale, first "
            f"row {int((~exact).nonzero()[0])}; round them first (`round_to_int8`), then measure "
            "the model again"
        )
    mask = (rows != 0).reshape(-1)
    return Packed(codes.reshape(-1)[mask], _to_bits(mask), scale)


def unpack(packed: Packed, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """The dense tensor of `shape`. int8 values become `dtype`, others keep the type they have.

    Raises `FormatError` when mask, values and shape do not belong together.
    """
    elements = torch.Size(shape).numel()
    bits = _from_bits(packed.mask)
    _check_fit(packed, bits, shape)
    dense = packed.values.new_zeros(elements)
    dense[bits[:elements]] = packed.values
    if packed.scale is not None:
        dense = _decoded(dense.view(shape[0], -1), packed.scale, dtype)
    return dense.view(shape)


def rounded_to_int8(weight: Tensor) -> Tensor:
    """`weight` with each row's values rounded to 255 even steps, such that `pack_int8` is exact.

    The step, a row's scale, is its greatest absolute value / 127. Rows below 1e-36 become zero.
    Raises `FormatError` when a value is not finite.
    """
    if not bool(weight.isfinite().all()):
        raise FormatError("the weight holds values that are not finite; there are no codes for it")
    rows = weight.detach().reshape(weight.shape[0], -1)
    scale = _row_scales(rows)
    return _decoded(_codes(rows, scale), scale, weight.dtype).view(weight.shape)


def _check_fit(packed: Packed, bits: Tensor, shape: tuple[int, ...]) -> None:
    elements = torch.Size(shape).numel()
    set_there, set_beyond = int(bits[:elements].sum()), int(bits[elements:].sum())
    fits = len(packed.mask) == -(-elements // 8) and set_there == len(packed.values)
    scaled = packed.scale is None or len(packed.scale) == shape[0]
    if not fits or not scaled or set_beyond:
        raise FormatError(
            f"a packed tensor is torn: {len(packed.values)} values and {len(packed.mask)} bytes of "
            f"mask with {set_there + set_beyond} bits set do not make the shape {tuple(shape)}; "
            "save or download the model again"
        )


def _row_scales(rows: Tensor) -> Tensor:
    """The greatest absolute value of each row / 127, `(rows,)` float32; 0 instead of a subnormal.

    What is rounded with this scale has it again, though 127 times it may not be the old value: for
    every float32 mantissa (all tried) the 127th of that product is the scale. The 16-bit types
    round the product back to the old value.
    """
    scale = torch.linalg.vector_norm(rows.float(), ord=torch.inf, dim=1) / GREATEST_CODE
    return torch.where(scale < torch.finfo(torch.float32).tiny, 0, scale)


def _codes(rows: Tensor, scale: Tensor) -> Tensor:
    """int8 codes nearest to the rows; zero where the scale is."""
    ratio = rows.float() / torch.where(scale == 0, 1, scale).unsqueeze(1)
    codes = ratio.nan_to_num(0).round().clamp(-GREATEST_CODE, GREATEST_CODE)
    return torch.where(scale.unsqueeze(1) == 0, 0, codes).to(torch.int8)


def _decoded(codes: Tensor, scale: Tensor, dtype: torch.dtype) -> Tensor:
    return (codes.float() * scale.unsqueeze(1)).to(dtype)


def _to_bits(mask: Tensor) -> Tensor:
    padded = torch.nn.functional.pad(mask.to(torch.uint8), (0, -len(mask) % 8))
    return (padded.view(-1, 8) << _places(mask)).sum(dim=1, dtype=torch.uint8)


def _from_bits(packed: Tensor) -> Tensor:
    return ((packed.unsqueeze(1) >> _places(packed)) & 1).bool().view(-1)


def _places(like: Tensor) -> Tensor:
    return torch.arange(8, dtype=torch.uint8, device=like.device)
