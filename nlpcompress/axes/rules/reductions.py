"""Operations that reduce, order or pool positions of a dimension."""

from collections.abc import Callable, Sequence

from nlpcompress.axes.atoms import Dim, freeze, leaves, new_dim
from nlpcompress.axes.call import Call, Result, Value
from nlpcompress.axes.notes import Consumer, Role
from nlpcompress.axes.rules.contractions import NOT_ZERO, SPATIAL
from nlpcompress.axes.rules.elementwise import moved

MIXES = {
    "softmax": "softmax over it",
    "log_softmax": "softmax over it",
    "cumsum": "summed up along it",
    "cumprod": "multiplied up along it",
    "flip": "its order is reversed",
    "roll": "its order is rolled",
    "sort": "sorted along it",
    "argsort": "sorted along it",
    "topk": "the largest along it are chosen",
    "tril": "masked by position along it",
    "triu": "masked by position along it",
}


def mean(call: Call) -> Result:
    """Cutting changes the divisor."""
    for position in _reduced(call):
        call.note(Role.NORMALISED, call.dims("self")[position])
    return _reduce(call, lambda dim: freeze(dim, "averaged over"))


def sum_over(call: Call) -> Result:
    """Exact where masked entries are zero."""
    return _reduce(call, lambda dim: _sum(call, dim))


def pick(call: Call) -> Result:
    """amax, amin, argmax, argmin, all, any, var, std, norm …: every entry counts."""
    result = _reduce(call, lambda dim: freeze(dim, f"reduced by {call.op}"))
    return [moved(value) for value in result] if isinstance(result, list) else moved(result)


def mix(call: Call) -> Result:
    """softmax, cumsum, flip, sort …: same shape, but an entry depends on the others of its row."""
    name = call.op
    x = call.dims("self")
    for position in _mixed(call, name, len(x)):
        freeze(x[position], MIXES[name])
    several = isinstance(call.node.meta["val"], (list, tuple))
    value = moved(call.value("self"))
    return [value, value] if several else value


def pool(call: Call) -> Result:
    """Over the last dimensions, two for pictures: channels stay."""
    x = call.dims("self" if call.has("self") else "input")
    kept = len(x) - _pooled(call)
    for dim in x[kept:]:
        freeze(dim, SPATIAL)
    return Value((*x[:kept], *(new_dim(n, frozen=SPATIAL) for n in call.shape[kept:])))


def _pooled(call: Call) -> int:
    return int(call.op[-2])


def _mixed(call: Call, name: str, ndim: int) -> Sequence[int]:
    if name in ("tril", "triu"):
        return (-2, -1)
    if name in ("flip", "roll"):
        return tuple(call["dims"]) or tuple(range(ndim))
    return (call.index("dim", ndim),)


def _reduced(call: Call) -> list[int]:
    ndim = len(call.dims("self"))
    if not call.has("dim"):
        return list(range(ndim))
    dims = call["dim"] if isinstance(call["dim"], (list, tuple)) else [call["dim"]]
    return [dim % ndim for dim in dims] or list(range(ndim))


def _reduce(call: Call, drop: Callable[[Dim], None]) -> Value | list[Value]:
    """Reduced dimensions vanish, or stay with size 1; `drop` judges each."""
    x, reduced = call.dims("self"), _reduced(call)
    for position in reduced:
        drop(x[position])
    several = isinstance(call.node.meta["val"], (list, tuple))
    if len(call.shapes[0] if several else call.shape) == len(x):
        value = Value(tuple(() if i in reduced else dim for i, dim in enumerate(x)))
    else:
        value = Value(tuple(dim for i, dim in enumerate(x) if i not in reduced))
    return [value] * len(call.shapes) if several else value


def _sum(call: Call, dim: Dim) -> None:
    freeze([factor for factor in leaves(dim) if not factor.zero], NOT_ZERO)
    call.notes.consumers.append(Consumer(dim, None))
