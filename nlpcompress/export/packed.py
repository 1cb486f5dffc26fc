"""Modules that are exported with their codes: for a while they stand where quantized ones do.

They cannot be run, only traced: their forward names ONNX's operators.

==================  ================================  ==============================================
quantized           inputs                            in the file
==================  ================================  ==============================================
linear              floats                            `MatMulNBits`
linear, whole rows  rounded to 8 bits                 `MatMulInteger`, of codes in bytes
embedding                                             `GatherBlockQuantized`
convolution                                           `DequantizeLinear` of codes in bytes, `Conv`
groups that no block of a power of two fits in        `DequantizeLinear` before a product of floats
==================  ================================  ==============================================
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, embedding, linear
from torch.onnx.ops import symbolic, symbolic_multi_out

from nlpcompress.export.nbits import block_of, blocks_of
from nlpcompress.models.activations import RoundedInputs, steps_between
from nlpcompress.models.grid import Scheme
from nlpcompress.models.quantized import (
    CONVOLUTION,
    Quantized,
    QuantizedConv2d,
    QuantizedEmbedding,
    QuantizedLinear,
)

MICROSOFT, VERSION = "com.microsoft", 1
EIGHT = 8


def packed(module: Quantized) -> nn.Module:
    """What the module is exported as."""
    block = block_of(module.scheme)
    if isinstance(module, QuantizedConv2d):
        return ByteConv2d(module)
    if isinstance(module, QuantizedEmbedding):
        return ByteEmbedding(module) if block is None else NBitEmbedding(module, block)
    assert isinstance(module, QuantizedLinear)
    if _on_integers(module):
        return IntegerLinear(module)
    return ByteLinear(module) if block is None else NBitLinear(module, block)


def _on_integers(module: Quantized) -> bool:
    """A sum over several scales of one row is no product of integers."""
    inputs, scheme = module.inputs, module.scheme
    rounded = isinstance(inputs, RoundedInputs) and inputs.bits == EIGHT
    return rounded and scheme.group_size == scheme.columns


class _InBlocks(nn.Module):
    """Codes, scales and zero points for an operator of ONNX Runtime."""

    def __init__(self, module: Quantized, block: int) -> None:
        super().__init__()
        blocks = blocks_of(module, block)
        self.scheme, self.bits, self.block = module.scheme, blocks.bits, block
        self.register_buffer("codes", blocks.codes)
        self.register_buffer("scales", blocks.scales)
        self.register_buffer("zeros", blocks.zeros)


class NBitLinear(_InBlocks):
    """Products of floats with codes that are decoded on the way."""

    def __init__(self, module: QuantizedLinear, block: int) -> None:
        super().__init__(module, block)
        self.inputs, self.bias = module.inputs, module.bias

    def forward(self, hidden: Tensor) -> Tensor:
        """`(…, columns)` → `(…, rows)`."""
        product = symbolic(
            f"{MICROSOFT}::MatMulNBits",
            (self.inputs(hidden), self.codes, self.scales, self.zeros),
            {
                "K": self.scheme.columns,
                "N": self.scheme.rows,
                "bits": self.bits,
                "block_size": self.block,
            },
            dtype=hidden.dtype,
            shape=(*hidden.shape[:-1], self.scheme.rows),
            version=VERSION,
        )
        return product if self.bias is None else product + self.bias


class NBitEmbedding(_InBlocks):
    """Rows that are decoded when they are read."""

    def forward(self, ids: Tensor) -> Tensor:
        """Ids `(…)` → `(…, columns)`. A decoder that is tied to the table has its codes."""
        columns = self.scales.shape[1] * self.block
        rows = symbolic(
            f"{MICROSOFT}::GatherBlockQuantized",
            (self.codes.flatten(1), ids, self.scales, self.zeros),
            {"gather_axis": 0, "quantize_axis": 1, "block_size": self.block, "bits": self.bits},
            dtype=torch.float32,
            shape=(*ids.shape, columns),
            version=VERSION,
        )
        return rows if columns == self.scheme.columns else rows[..., : self.scheme.columns]


class IntegerLinear(nn.Module):
    """Inputs as 8-bit numbers, by the range of each call or a fixed one, times codes.

    Codes of up to 7 bits are signed: ONNX Runtime is faster with those, and sums of two products
    cannot saturate in 16 bits as they could with 8.
    """

    def __init__(self, module: QuantizedLinear) -> None:
        super().__init__()
        scheme, grid = module.scheme, module.grid()
        codes, zeros = module.codes(), grid.zero.expand(-1, 1)
        zeros = zeros.repeat_interleave(scheme.group_rows, dim=0).flatten()
        if scheme.bits < EIGHT:
            codes, zeros = (_signed(values, scheme) for values in (codes, zeros))
        scales = grid.scale.repeat_interleave(scheme.group_rows, dim=0).flatten()
        self.rows, self.bias, self.dynamic = scheme.rows, module.bias, module.inputs.ends is None
        if not self.dynamic:
            scale, zero = steps_between(*module.inputs.ends.view(torch.float32), EIGHT)
            self.register_buffer("input_scale", scale)
            self.register_buffer("input_zero", zero.to(torch.uint8))
        self.register_buffer("codes", codes.T.contiguous())
        self.register_buffer("scales", scales)
        self.register_buffer("zeros", zeros.contiguous())

    def forward(self, hidden: Tensor) -> Tensor:
        """`(…, columns)` → `(…, rows)`."""
        numbers, scale, zero = self._numbers(hidden)
        product = symbolic(
            "MatMulInteger",
            (numbers, self.codes, zero, self.zeros),
            dtype=torch.int32,
            shape=(*hidden.shape[:-1], self.rows),
        )
        result = product.to(hidden.dtype) * (scale * self.scales)
        return result if self.bias is None else result + self.bias

    def _numbers(self, hidden: Tensor) -> Sequence[Tensor]:
        """uint8, their scale and their zero point."""
        if self.dynamic:
            return symbolic_multi_out(
                "DynamicQuantizeLinear",
                (hidden,),
                dtypes=(torch.uint8, hidden.dtype, torch.uint8),
                shapes=(hidden.shape, (), ()),
            )
        grid = (self.input_scale, self.input_zero)
        numbers = symbolic("QuantizeLinear", (hidden, *grid), dtype=torch.uint8, shape=hidden.shape)
        return numbers, *grid


class _InBytes(nn.Module):
    """A code a byte, group after group, each with its scale and zero point."""

    def __init__(self, module: Quantized) -> None:
        super().__init__()
        scheme, grid = module.scheme, module.grid()
        self.scheme = scheme
        self.register_buffer("codes", module.codes().view(-1, scheme.group_size))
        for name, values in (("scales", grid.scale), ("zeros", grid.zero)):
            of_rows = values.repeat_interleave(scheme.group_rows, dim=0)
            self.register_buffer(name, of_rows.flatten())

    def decoded(self) -> Tensor:
        """`(rows, columns)` of floats."""
        groups = symbolic(
            "DequantizeLinear",
            (self.codes, self.scales, self.zeros),
            {"axis": 0},
            dtype=torch.float32,
            shape=self.codes.shape,
        )
        return groups.view(self.scheme.rows, self.scheme.columns)


class ByteLinear(_InBytes):
    """Products of floats with a matrix that is decoded before."""

    def __init__(self, module: QuantizedLinear) -> None:
        super().__init__(module)
        self.inputs, self.bias = module.inputs, module.bias

    def forward(self, hidden: Tensor) -> Tensor:
        """`(…, columns)` → `(…, rows)`."""
        return linear(self.inputs(hidden), self.decoded(), self.bias)


class ByteEmbedding(_InBytes):
    """Rows of a table that is decoded before."""

    def forward(self, ids: Tensor) -> Tensor:
        """Ids `(…)` → `(…, columns)`."""
        return embedding(ids, self.decoded())


class ByteConv2d(_InBytes):
    """A convolution whose filters are decoded before."""

    def __init__(self, module: QuantizedConv2d) -> None:
        super().__init__(module)
        self.inputs, self.bias = module.inputs, module.bias
        for name in ("kernel_size", *CONVOLUTION):
            setattr(self, name, getattr(module, name))

    def forward(self, pictures: Tensor) -> Tensor:
        """`(B, in, H, W)` → `(B, rows, H', W')`."""
        filters = self.decoded().view(self.scheme.rows, -1, *self.kernel_size)
        options = {name: getattr(self, name) for name in CONVOLUTION}
        return conv2d(self.inputs(pictures), filters, self.bias, **options)


def _signed(values: Tensor, scheme: Scheme) -> Tensor:
    return (values.to(torch.int16) - scheme.middle).to(torch.int8)
