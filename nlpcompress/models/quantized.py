"""Modules whose weight lies in memory and on disk as packed codes; a forward decodes it.

What a reader without this file would take for the weight is 1-D and in bytes, and fails loudly:

    ….weight        int8, the packed codes of the matrix row by row
    ….weight_scale  int16, the bits of a float16 a group: transformers casts what is floating
    ….weight_zero   int8, the packed zero points; symmetric groups store none
    ….inputs.ends   int32, the bits of two float32: where the range of rounded inputs ends, if it is
                    not that of each call

This file needs torch and transformers only: a copy of it lies beside saved models.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, linear
from transformers.pytorch_utils import Conv1D

try:
    from nlpcompress.models.activations import RoundedInputs
    from nlpcompress.models.codes import pack_codes, packed_size, unpack_codes
    from nlpcompress.models.grid import Grid, Scheme, decode, encode
except ImportError:
    from .nlpcompress_activations import RoundedInputs
    from .nlpcompress_codes import pack_codes, packed_size, unpack_codes
    from .nlpcompress_grid import Grid, Scheme, decode, encode

CONVOLUTION = ("stride", "padding", "dilation", "groups")
INPUT_BITS, INPUT_RANGE, DYNAMIC, STATIC = "input_bits", "input_range", "dynamic", "static"
PARTS = ("weight", "weight_scale", "weight_zero")


class Quantized(nn.Module):
    """A weight by its `scheme`. `weight`, `weight_scale` and `weight_zero` are 1-D buffers.

    `inputs` rounds what the layer is given, or passes it on (`nn.Identity`). Nothing of it trains.
    Moved to another floating type it keeps its numbers: what is decoded is cast to the type of the
    inputs.
    """

    weight: Tensor
    weight_scale: Tensor
    weight_zero: Tensor | None

    def __init__(self, scheme: Scheme, parts: dict[str, Tensor]) -> None:
        super().__init__()
        self.scheme = scheme
        self.inputs: nn.Module = nn.Identity()
        for name in PARTS:
            self.register_buffer(name, parts.get(name))

    def grid(self) -> Grid:
        """Scales float32 and zero points uint8, `(below, beside)`."""
        groups = self.scheme.groups
        scale = self.weight_scale.view(torch.float16).float().view(groups)
        if self.weight_zero is None:
            return Grid(scale, torch.full_like(scale, self.scheme.middle, dtype=torch.uint8))
        packed = self.weight_zero.view(torch.uint8)
        return Grid(scale, unpack_codes(packed, self.scheme.bits, scale.numel()).view(groups))

    def codes(self) -> Tensor:
        """uint8 `(rows, columns)`."""
        scheme = self.scheme
        packed = self.weight.view(torch.uint8)
        flat = unpack_codes(packed, scheme.bits, scheme.rows * scheme.columns)
        return flat.view(scheme.rows, scheme.columns)

    def decoded(self) -> Tensor:
        """The matrix `(rows, columns)`, float32."""
        return decode(self.codes(), self.scheme, self.grid())

    def extra_repr(self) -> str:
        """Sizes and bits, as torch's own layers print them."""
        return ", ".join(f"{name}={value}" for name, value in self.scheme._asdict().items())


class QuantizedLinear(Quantized):
    """`x @ decoded.T + bias`, for `x` `(…, columns)`."""

    def __init__(self, scheme: Scheme, parts: dict[str, Tensor], dense: nn.Linear | Conv1D) -> None:
        super().__init__(scheme, parts)
        self.bias = dense.bias

    def forward(self, hidden: Tensor) -> Tensor:
        """`(…, columns)` → `(…, rows)`."""
        return linear(self.inputs(hidden), self.decoded().to(hidden.dtype), self.bias)


class QuantizedEmbedding(Quantized):
    """`decoded[ids]`, of which only those rows are decoded."""

    def __init__(self, scheme: Scheme, parts: dict[str, Tensor], dense: nn.Embedding) -> None:
        super().__init__(scheme, parts)
        self.padding_idx = dense.padding_idx
        like = torch.empty(0, dtype=dense.weight.dtype, device="cpu")
        self.register_buffer("like", like, persistent=False)

    def forward(self, ids: Tensor) -> Tensor:
        """Ids `(…)` → `(…, columns)`, in the type that the module was last moved to."""
        scheme = self.scheme
        if scheme.columns * scheme.bits % 8:
            return self.decoded()[ids].to(self.like.dtype)
        wanted = ids.flatten()
        packed = self.weight.view(torch.uint8).view(scheme.rows, -1)[wanted].flatten()
        codes = unpack_codes(packed, scheme.bits, len(wanted) * scheme.columns)
        grid = Grid(*(values[wanted // scheme.group_rows] for values in self.grid()))
        rows = decode(codes, scheme._replace(rows=len(wanted), group_rows=1), grid)
        return rows.view(*ids.shape, scheme.columns).to(self.like.dtype)


class QuantizedConv2d(Quantized):
    """A convolution whose filters are the rows, `(in / groups · height · width)` columns each."""

    def __init__(self, scheme: Scheme, parts: dict[str, Tensor], dense: nn.Conv2d) -> None:
        super().__init__(scheme, parts)
        self.bias = dense.bias
        for name in ("kernel_size", *CONVOLUTION):
            setattr(self, name, getattr(dense, name))

    def forward(self, pictures: Tensor) -> Tensor:
        """`(B, in, H, W)` → `(B, rows, H', W')`."""
        filters = self.decoded().view(self.scheme.rows, -1, *self.kernel_size)
        options = {name: getattr(self, name) for name in CONVOLUTION}
        return conv2d(self.inputs(pictures), filters.to(pictures.dtype), self.bias, **options)


def matrix_of(module: nn.Module) -> Tensor | None:
    """The weight as a matrix `(rows, columns)`, a row an output; None of what is no dense layer."""
    if type(module) not in DENSE:
        return None
    return module.weight.T if isinstance(module, Conv1D) else module.weight.flatten(1)


def weight_of(module: nn.Module) -> Tensor:
    """The weight as it is computed with: decoded where it lies in codes."""
    return module.decoded() if isinstance(module, Quantized) else module.weight


def parts_of(matrix: Tensor, scheme: Scheme, grid: Grid) -> dict[str, Tensor]:
    """The buffers of a matrix on that grid."""
    codes = encode(matrix, scheme, grid).flatten()
    parts = {
        "weight": pack_codes(codes, scheme.bits).view(torch.int8),
        "weight_scale": grid.scale.flatten().half().view(torch.int16),
    }
    if not scheme.sym:
        parts["weight_zero"] = pack_codes(grid.zero.flatten(), scheme.bits).view(torch.int8)
    return parts


def put_quantized(
    model: nn.Module,
    path: str,
    scheme: Scheme,
    parts: dict[str, Tensor],
    inputs: RoundedInputs | None = None,
) -> None:
    """Put a quantized module in the place of the dense one at `path`, with its bias."""
    dense = model.get_submodule(path)
    place, _, name = path.rpartition(".")
    kind = next(new for old, new in KINDS.items() if isinstance(dense, old))
    module = kind(scheme, parts, dense).train(dense.training)
    if inputs is not None:
        module.inputs = inputs
    setattr(model.get_submodule(place), name, module)


def records(model: nn.Module) -> dict[str, dict[str, Any]]:
    """Path of each quantized module → JSON that `put_empty_quantized` makes the same shapes of."""
    return {
        path: module.scheme._asdict() | _record_of_inputs(module.inputs)
        for path, module in model.named_modules(remove_duplicate=False)
        if isinstance(module, Quantized)
    }


def put_empty_quantized(model: nn.Module, path: str, record: Mapping[str, Any]) -> None:
    """Put a quantized module that has no values yet in the place of the dense one at `path`."""
    scheme = Scheme(*(record[name] for name in Scheme._fields))
    device = model.get_submodule(path).weight.device
    inputs = None
    if INPUT_BITS in record:
        static = record[INPUT_RANGE] == STATIC
        ends = torch.empty(2, dtype=torch.int32, device=device) if static else None
        inputs = RoundedInputs(record[INPUT_BITS], ends)
    put_quantized(model, path, scheme, _empty(scheme, device), inputs)


def schemes(model: nn.Module) -> dict[str, Scheme]:
    """Path of each quantized module → its scheme."""
    return {
        path: module.scheme
        for path, module in model.named_modules(remove_duplicate=False)
        if isinstance(module, Quantized)
    }


def _record_of_inputs(inputs: nn.Module) -> dict[str, Any]:
    if not isinstance(inputs, RoundedInputs):
        return {}
    return {INPUT_BITS: inputs.bits, INPUT_RANGE: DYNAMIC if inputs.ends is None else STATIC}


def _empty(scheme: Scheme, device: torch.device) -> dict[str, Tensor]:
    below, beside = scheme.groups
    sizes = {
        "weight": (packed_size(scheme.rows * scheme.columns, scheme.bits), torch.int8),
        "weight_scale": (below * beside, torch.int16),
        "weight_zero": (packed_size(below * beside, scheme.bits), torch.int8),
    }
    if scheme.sym:
        del sizes["weight_zero"]
    return {
        name: torch.empty(size, dtype=dtype, device=device) for name, (size, dtype) in sizes.items()
    }


KINDS: dict[type[nn.Module], Any] = {
    nn.Linear: QuantizedLinear,
    Conv1D: QuantizedLinear,
    nn.Embedding: QuantizedEmbedding,
    nn.Conv2d: QuantizedConv2d,
}
DENSE = tuple(KINDS)
"""What can be quantized: these classes themselves, and not what others made of them."""
