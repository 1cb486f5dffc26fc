"""Operations that only rearrange dimensions."""

from nlpcompress.axes.atoms import Dim, leaves, new_dim, regroup
from nlpcompress.axes.call import Call, Result, Value


def reshape(call: Call) -> Result:
    """view, reshape, flatten, unflatten, squeeze, unsqueeze: factors in order, cut anew."""
    if call.has("dtype"):
        return NotImplemented
    return Value(tuple(regroup(call.dims("self"), call.shape)))


def permute(call: Call) -> Result:
    """Dimensions in a new order."""
    x = call.dims("self")
    return Value(tuple(x[i] for i in call["dims"]))


def transpose(call: Call) -> Result:
    """Two dimensions swapped."""
    x = list(call.dims("self"))
    if x:
        i, j = call.index("dim0", len(x)), call.index("dim1", len(x))
        x[i], x[j] = x[j], x[i]
    return Value(tuple(x))


def reverse(call: Call) -> Result:
    """All dimensions in reverse order: `.T`."""
    return Value(call.dims("self")[::-1])


def expand(call: Call) -> Result:
    """Copies along dimensions of size 1: new ones, the same at every index, hence never zero."""
    return Value(_broadcast(call.dims("self"), call.shape_of(call["self"]), call.shape))


def repeat(call: Call) -> Result:
    """Whole copies behind each other: `copies × size`."""
    x, times = call.dims("self"), call["repeats"]
    x = ((),) * (len(times) - len(x)) + x
    return Value(tuple(new_dim(n) + leaves(dim) for n, dim in zip(times, x, strict=True)))


def repeat_interleave(call: Call) -> Result:
    """Each entry `repeats` times in place: `size × copies`."""
    if not call.has("dim") or not isinstance(call["repeats"], int):
        return NotImplemented
    x = list(call.dims("self"))
    position = call.index("dim", len(x))
    x[position] = leaves(x[position]) + new_dim(call["repeats"])
    return Value(tuple(x))


def _broadcast(x: tuple[Dim, ...], old: tuple[int, ...], new: tuple[int, ...]) -> tuple[Dim, ...]:
    offset = len(new) - len(old)
    kept = [i >= offset and old[i - offset] == n for i, n in enumerate(new)]
    return tuple(x[i - offset] if kept[i] else new_dim(n) for i, n in enumerate(new))
