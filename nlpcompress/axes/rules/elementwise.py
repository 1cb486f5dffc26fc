"""Operations that work position by position, and what they do to a masked (zero) entry.

Three sorts: those that keep zero at zero, those that move it (a sum over it later is then not
exact), and those that cannot take a zero at all (their mask would give infinities: frozen).
"""

from collections.abc import Callable, Iterable, Sequence

from nlpcompress.axes.atoms import Dim, freeze, leaves, unify, with_zero
from nlpcompress.axes.call import Call, Result, Value, is_tensor

SINGULAR = "a masked zero has no logarithm or inverse"

Combine = Callable[[Iterable[bool]], bool]


def merge(
    operands: Sequence[Sequence[Dim]],
    shape: Sequence[int],
    *,
    zero: Combine,
    constants: tuple[bool, ...] = (),
) -> tuple[Dim, ...]:
    """Broadcast: unify what meets in each dimension of `shape`.

    `zero` says whether the result is zero, given which operands are (`constants`: of numbers);
    an operand that is broadcast along a dimension is not zero there.
    """
    result: list[Dim] = []
    for position, size in enumerate(shape):
        met = [dim for dim in (_at(o, position - len(shape)) for o in operands) if dim]
        absent = (False,) * (len(operands) - len(met))
        result.append(_combined(met, absent + constants, zero) if size != 1 else ())
    return tuple(result)


def _at(dims: Sequence[Dim], position: int) -> Dim:
    return dims[position] if len(dims) >= -position else ()


def _combined(met: list[Dim], others: tuple[bool, ...], zero: Combine) -> Dim:
    if not met:
        return ()
    aligned = [unify(met[0], dim) for dim in met[1:]]
    if not all(aligned):
        return with_zero(leaves(met[0]), False)
    columns = zip(*(leaves(dim) for dim in met), strict=True)
    return tuple(f[0]._replace(zero=zero([x.zero for x in f] + list(others))) for f in columns)


def keeps_zero(call: Call) -> Result:
    """f(0) = 0, one tensor in and out: relu, gelu, tanh, dropout in eval mode, copies and casts."""
    return _first(call)


def moves_zero(call: Call) -> Result:
    """f(0) ≠ 0: sigmoid, exp, cos, comparisons with a number."""
    return moved(_first(call))


def singular(call: Call) -> Result:
    """f(0) is infinite or undefined: log, rsqrt, reciprocal."""
    value = _first(call)
    _refuse_zero(value)
    return moved(value)


def clamp(call: Call) -> Result:
    """`min ≤ x ≤ max`: keeps zero when the bounds do."""
    low, high = _bound(call, "min"), _bound(call, "max")
    inside = (low is None or low <= 0) and (high is None or high >= 0)
    return _first(call) if inside else moved(_first(call))


def hardtanh(call: Call) -> Result:
    """`min_val ≤ x ≤ max_val`."""
    return _first(call) if call["min_val"] <= 0 <= call["max_val"] else moved(_first(call))


def power(call: Call) -> Result:
    """`x ** number` keeps zero when the number is positive."""
    if is_tensor(call["exponent"]) or not is_tensor(call["self"]):
        return NotImplemented
    return keeps_zero(call) if call["exponent"] > 0 else singular(call)


def add(call: Call) -> Result:
    """Also sub, rsub, maximum, minimum, or, xor: zero where both are."""
    return _binary(call, all)


def multiply(call: Call) -> Result:
    """Also and: zero where either is."""
    return _binary(call, any)


def divide(call: Call) -> Result:
    """Zero where the first is; a masked denominator would divide by zero."""
    if is_tensor(call["other"]):
        _refuse_zero(call.value("other"))
    result = merge(_operands(call), call.shape, zero=lambda flags: next(iter(flags)))
    return Value(result) if is_tensor(call["self"]) else NotImplemented


def compare(call: Call) -> Result:
    """eq, ne, lt, le, gt, ge: true or false, not zero."""
    return _binary(call, lambda flags: False)


def where(call: Call) -> Result:
    """`condition ? self : other`: zero where both are."""
    chosen = [call[name] for name in ("self", "other")]
    tensors = [call.value_of(x).dims for x in chosen if is_tensor(x)]
    constants = tuple(x == 0 for x in chosen if not is_tensor(x))
    condition = [with_zero(dim, True) for dim in call.dims("condition")]
    return Value(_select(condition, tensors, call.shape, constants))


def masked_fill(call: Call) -> Result:
    """`mask ? value : self`."""
    mask = [with_zero(dim, True) for dim in call.dims("mask")]
    constants = (not is_tensor(call["value"]) and call["value"] == 0,)
    return Value(_select(mask, [call.dims("self")], call.shape, constants))


def _select(
    mask: list[Dim],
    tensors: list[tuple[Dim, ...]],
    shape: Sequence[int],
    constants: tuple[bool, ...],
) -> tuple[Dim, ...]:
    """What is chosen decides about zero; dimensions that only the mask has are never zero."""
    chosen = merge(tensors, shape, zero=all, constants=constants)
    every = merge([mask, *tensors], shape, zero=all)
    return tuple(dim or with_zero(both, False) for dim, both in zip(chosen, every, strict=True))


def _binary(call: Call, zero: Combine) -> Result:
    operands = [call[name] for name in ("self", "other")]
    constants = tuple(x == 0 for x in operands if not is_tensor(x))
    return Value(merge(_operands(call), call.shape, zero=zero, constants=constants))


def _operands(call: Call) -> list[tuple[Dim, ...]]:
    return [call.dims(name) for name in ("self", "other") if is_tensor(call[name])]


def _first(call: Call) -> Value:
    return call.value_of(call.node.args[0])


def moved(value: Value) -> Value:
    """The same dimensions, no longer zero where masked."""
    return Value(tuple(with_zero(dim, False) for dim in value.dims))


def _refuse_zero(value: Value) -> None:
    for dim in value.dims:
        freeze([factor for factor in leaves(dim) if factor.zero], SINGULAR)


def _bound(call: Call, name: str) -> float | None:
    return call[name] if call.has(name) else None
