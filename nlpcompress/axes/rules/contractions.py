"""Sums of products: linear layers, matrix products, convolutions.

Each has inputs contracted over a shared dimension. That is exact under a mask as long as one of
the two factors is zero there, which a parameter always is: its slices are what the mask zeroes.
"""

from typing import Any

from torch import fx

from nlpcompress.axes.atoms import Atom, Dim, Factor, freeze, leaves, new_dim, unify, with_zero
from nlpcompress.axes.call import Call, Result, Value
from nlpcompress.axes.consumers import consumer
from nlpcompress.axes.notes import Role
from nlpcompress.axes.rules.elementwise import merge

NOT_ZERO = "summed over while a masked entry is not zero there"
SPATIAL = "a position in space"


def linear(call: Call) -> Result:
    """`(…, in) · (out, in)ᵀ + (out)`."""
    x, weight = call.dims("input"), call.dims("weight")
    if len(weight) != 2:
        return NotImplemented
    contract(call, x[-1], weight[1], call["input"])
    bias = call.dims("bias") if call.has("bias") else None
    out = _made(call, Role.LINEAR_OUT, weight[0], bias)
    return Value((*(_lead(dim, bias) for dim in x[:-1]), out))


def addmm(call: Call) -> Result:
    """`(out) + (N, in) · (in, out)`: transformers' `Conv1D`."""
    x, weight, bias = call.dims("mat1"), call.dims("mat2"), call.dims("self")
    if len(bias) != 1:
        return NotImplemented
    contract(call, x[1], weight[0], call["mat1"])
    return Value((_lead(x[0], bias), _made(call, Role.LINEAR_OUT, weight[1], bias)))


def matmul(call: Call) -> Result:
    """`(…, M, K) · (…, K, N)`; one of two batched tensors is an attention."""
    other = "other" if call.has("other") else "mat2"
    return product(call, "self", other)


def baddbmm(call: Call) -> Result:
    """`β·self + α·(B, M, K) · (B, K, N)`."""
    result = product(call, "batch1", "batch2")
    return Value(merge((call.dims("self"), result.dims), call.shape, zero=all))


def product(call: Call, first: str, second: str) -> Any:
    """The product of two arguments; a plain matrix is a projection, as in a linear layer."""
    x, y = call.dims(first), call.dims(second)
    if min(len(x), len(y)) < 2:
        return NotImplemented
    contract(call, x[-1], y[-2], call[first])
    batch = merge((x[:-2], y[:-2]), call.shape[:-2], zero=any)
    if min(len(x), len(y)) == 2:
        call.note(Role.LINEAR_OUT, y[-1] if len(y) == 2 else x[-2])
    else:
        call.note(Role.ATTENTION, tuple(factor for dim in batch for factor in dim))
        call.note(Role.HEAD_DIM, x[-1])
        call.note(Role.HEAD_DIM, y[-1])
    return Value((*batch, x[-2], y[-1]))


def convolution(call: Call) -> Result:
    """`(B, C, …)` with a weight of `(out, C / groups, …)`."""
    x, weight = call.dims("input"), call.dims("weight")
    if len(x) != len(weight) or (call.has("transposed") and call["transposed"]):
        return NotImplemented
    for kernel in weight[2:]:
        freeze(kernel, "the size of a kernel")
        call.note(Role.KERNEL, kernel)
    for dim in x[2:]:
        freeze(dim, SPATIAL)
    bias = call.dims("bias") if call.has("bias") else None
    if call["groups"] == 1:
        contract(call, x[1], weight[1], call["input"])
        call.note(Role.CONV_OUT, weight[0])
    else:
        _grouped(call, call["groups"])
    out = _with_bias(weight[0], bias)
    return Value((_lead(x[0], bias), out, *(new_dim(n, frozen=SPATIAL) for n in call.shape[2:])))


def _grouped(call: Call, groups: int) -> None:
    """Input and output channels are `groups × rest`; the rest of the input is summed over.

    In a depthwise convolution nothing is: its groups are the channels that come in.
    """
    channels, weight = call.dims("input")[1], call.dims("weight")
    outer = (Factor(Atom(groups), True),)
    made = new_dim(call.shape_of(call["weight"])[0] // groups, zero=True)
    unify(channels, outer + weight[1])
    unify(weight[0], outer + made)
    call.note(Role.CONV_OUT, made)
    if weight[1]:
        call.note(Role.GROUPS, outer)
        call.notes.consumers.append(consumer(call, weight[1], call["input"]))


def contract(call: Call, x: Dim, y: Dim, node: fx.Node) -> None:
    """Sum over `x` (a dimension of the result of `node`) against `y`."""
    unify(x, y)
    for a, b in zip(leaves(x), leaves(y), strict=False):
        if not (a.zero or b.zero):
            freeze((a,), NOT_ZERO)
    call.notes.consumers.append(consumer(call, x, node))


def _made(call: Call, role: Role, dim: Dim, bias: tuple[Dim, ...] | None) -> Dim:
    """The output dimension, noted as made here."""
    call.note(role, dim)
    return _with_bias(dim, bias)


def _with_bias(dim: Dim, bias: tuple[Dim, ...] | None) -> Dim:
    """Tied to the bias: zero where both weight and bias are masked."""
    if bias is None:
        return dim
    unify(dim, bias[0])
    zeros = [a.zero and b.zero for a, b in zip(leaves(dim), leaves(bias[0]), strict=False)]
    return tuple(f._replace(zero=z) for f, z in zip(leaves(dim), zeros, strict=False))


def _lead(dim: Dim, bias: tuple[Dim, ...] | None) -> Dim:
    return dim if bias is None else with_zero(dim, False)
