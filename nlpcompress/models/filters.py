"""Convolutions as chains of smaller ones: the modules that stand where a filter bank was.

    svd      h × w, in → r | 1 × 1, r → out
    tucker   1 × 1, in → r_in | h × w, r_in → r_out | 1 × 1, r_out → out
    cp       1 × 1, in → r | h × 1, each channel alone | 1 × w, each channel alone | 1 × 1, r → out

Strides, paddings and dilations are the dense one's; with its `groups` each group is a chain of its
own, of the same ranks, and the chains run side by side.

This file needs torch and transformers only: a copy of it lies beside saved models.
"""

from typing import Any

import torch
from torch import Tensor, nn

try:
    from nlpcompress.models.quantized import weight_of
except ImportError:
    from .nlpcompress_quantized import weight_of

GEOMETRY = ("kernel_size", "stride", "padding", "dilation", "groups")
Record = dict[str, Any]
"""`{"svd": r}`, `{"tucker": [r_out, r_in]}` or `{"cp": r}`: what config.json says of a chain."""


class SvdConv2d(nn.Sequential):
    """Two convolutions of rank `r`, without values yet."""

    def __init__(self, dense: nn.Conv2d, rank: int) -> None:
        super().__init__()
        _note(self, dense)
        self.rank = rank
        self.first = _wide(dense, dense.in_channels, dense.groups * rank)
        self.last = _last(dense, dense.groups * rank)

    @property
    def record(self) -> Record:
        """As config.json has it."""
        return {"svd": self.rank}

    @property
    def weight(self) -> Tensor:
        """The product, `(out, in / groups, h, w)`, computed when it is asked for."""
        last = weight_of(self.last).view(self.groups, -1, self.rank)
        first = weight_of(self.first).view(self.groups, self.rank, -1)
        return (last @ first).view(self.last.out_channels, -1, *self.kernel_size)


class TuckerConv2d(nn.Sequential):
    """Three convolutions of ranks `(r_out, r_in)`, without values yet."""

    def __init__(self, dense: nn.Conv2d, ranks: tuple[int, int]) -> None:
        (out, into), groups = ranks, dense.groups
        super().__init__()
        _note(self, dense)
        self.ranks = (out, into)
        self.first = _point(dense, dense.in_channels, groups * into)
        self.core = _wide(dense, groups * into, groups * out)
        self.last = _last(dense, groups * out)

    @property
    def record(self) -> Record:
        """As config.json has it."""
        return {"tucker": list(self.ranks)}

    @property
    def weight(self) -> Tensor:
        """The product, `(out, in / groups, h, w)`, computed when it is asked for."""
        out, into = self.ranks
        last = weight_of(self.last).view(self.groups, -1, out)
        core = weight_of(self.core).view(self.groups, out, into, *self.kernel_size)
        first = weight_of(self.first).view(self.groups, into, -1)
        return torch.einsum("goa,gabhw,gbi->goihw", last, core, first).flatten(0, 1)


class CpConv2d(nn.Sequential):
    """Four convolutions of rank `r`, without values yet."""

    def __init__(self, dense: nn.Conv2d, rank: int) -> None:
        super().__init__()
        _note(self, dense)
        self.rank = rank
        channels = rank * dense.groups
        self.first = _point(dense, dense.in_channels, channels)
        self.rows = _line(dense, channels, 0)
        self.columns = _line(dense, channels, 1)
        self.last = _last(dense, channels)

    @property
    def record(self) -> Record:
        """As config.json has it."""
        return {"cp": self.rank}

    @property
    def weight(self) -> Tensor:
        """The product, `(out, in / groups, h, w)`, computed when it is asked for."""
        split = (self.groups, self.rank)
        last = weight_of(self.last).view(self.groups, -1, self.rank)
        lines = (self.rows, self.columns, self.first)
        rows, columns, first = (weight_of(line).view(*split, -1) for line in lines)
        return torch.einsum("gor,grh,grw,gri->goihw", last, rows, columns, first).flatten(0, 1)


CHAINS = (SvdConv2d, TuckerConv2d, CpConv2d)
Chain = SvdConv2d | TuckerConv2d | CpConv2d


def chain_of(dense: nn.Conv2d, record: Record) -> Chain:
    """The chain that a record describes, in the place of `dense`, with its bias."""
    if "svd" in record:
        return SvdConv2d(dense, record["svd"])
    if "cp" in record:
        return CpConv2d(dense, record["cp"])
    out, into = record["tucker"]
    return TuckerConv2d(dense, (out, into))


def put_chain(model: nn.Module, path: str, chain: Chain) -> None:
    """Put it in the place of the dense convolution at `path`."""
    place, _, name = path.rpartition(".")
    setattr(model.get_submodule(place), name, chain)


def put_empty_chain(model: nn.Module, path: str, record: Record) -> None:
    """The chain that a record describes, with values only for what was the dense one's bias."""
    put_chain(model, path, chain_of(model.get_submodule(path), record))


def chains(model: nn.Module) -> dict[str, Chain]:
    """Path of each chain → it."""
    return {
        path: module
        for path, module in model.named_modules(remove_duplicate=False)
        if isinstance(module, CHAINS)
    }


def rank_columns(model: nn.Module) -> set[str]:
    """Names of the tensors whose dimension 1 is a rank."""
    return {
        f"{path}.{name}.weight"
        for path, chain in chains(model).items()
        for name in ("core", "last")
        if hasattr(chain, name)
    }


def _note(chain: nn.Module, dense: nn.Conv2d) -> None:
    """What models read of a convolution: MobileNets work out their padding from it."""
    for name in GEOMETRY:
        setattr(chain, name, getattr(dense, name))


def _point(dense: nn.Conv2d, into: int, out: int, *, bias: bool = False) -> nn.Conv2d:
    """1 × 1, each group by itself."""
    return _like(dense, into, out, kernel_size=1, groups=dense.groups, bias=bias)


def _wide(dense: nn.Conv2d, into: int, out: int) -> nn.Conv2d:
    """With the dense one's window."""
    sizes = {name: getattr(dense, name) for name in GEOMETRY}
    return _like(dense, into, out, **sizes)


def _last(dense: nn.Conv2d, into: int) -> nn.Conv2d:
    layer = _point(dense, into, dense.out_channels, bias=dense.bias is not None)
    layer.bias = dense.bias
    return layer


def _line(dense: nn.Conv2d, channels: int, dim: int) -> nn.Conv2d:
    """Along one dimension of the picture, each channel by itself."""

    def along(sizes: Any, otherwise: int) -> Any:
        return sizes if isinstance(sizes, str) else _one_of(sizes, dim, otherwise)

    return _like(
        dense,
        channels,
        channels,
        kernel_size=along(dense.kernel_size, 1),
        stride=along(dense.stride, 1),
        padding=along(dense.padding, 0),
        dilation=along(dense.dilation, 1),
        groups=channels,
    )


def _one_of(sizes: tuple[int, ...], dim: int, otherwise: int) -> tuple[int, int]:
    return (sizes[0], otherwise) if dim == 0 else (otherwise, sizes[1])


def _like(dense: nn.Conv2d, into: int, out: int, *, bias: bool = False, **sizes: Any) -> nn.Conv2d:
    """Of the dense one's type and device; nothing is drawn at random."""
    mode = dense.padding_mode
    layer = nn.Conv2d(into, out, bias=bias, padding_mode=mode, device="meta", **sizes)
    weight = dense.weight.new_empty(layer.weight.shape)
    layer.weight = nn.Parameter(weight, requires_grad=dense.weight.requires_grad)
    return layer.train(dense.training)
