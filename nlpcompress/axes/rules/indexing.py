"""Operations that pick, cut up or put together positions of a dimension."""

from typing import Any

from nlpcompress.axes.atoms import Dim, freeze, leaves, new_dim, regroup, unify
from nlpcompress.axes.call import Call, Result, Value, is_tensor
from nlpcompress.axes.notes import Role
from nlpcompress.axes.rules.elementwise import merge, moved

PART = "only a part of it is used (sliced)"
CHOSEN = "indexed by position"
CONCATENATED = "concatenated with something else"
PARTS = "equal parts of one projection, used differently"


def embedding(call: Call) -> Result:
    """Rows of `(rows, D)` looked up by ids."""
    rows, features = call.dims("weight")
    freeze(rows, "looked up by ids that come with the data")
    call.note(Role.ROWS, rows)
    call.note(Role.EMBEDDING_OUT, features)
    return Value((*moved(call.value("indices")).dims, features))


def select(call: Call) -> Result:
    """One index of a dimension, which vanishes."""
    x = call.dims("self")
    position = call.index("dim", len(x))
    freeze(x[position], CHOSEN)
    return Value(x[:position] + x[position + 1 :])


def slice_(call: Call) -> Result:
    """A range of a dimension; the whole range changes nothing."""
    x = call.dims("self")
    position = call.index("dim", len(x))
    old, new = call.shape_of(call["self"])[position], call.shape[position]
    if old == new:
        return Value(x)
    freeze(x[position], PART)
    return Value(_replaced(x, position, new_dim(new, frozen=PART)))


def split(call: Call) -> Result:
    """split, chunk: equal parts share one axis, so that cutting j cuts j of every part."""
    x = call.dims("self")
    position = call.index("dim", len(x))
    lengths = [shape[position] for shape in call.shapes]
    if len(set(lengths)) > 1:
        freeze(x[position], PART)
        return [Value(_replaced(x, position, new_dim(n, frozen=PART))) for n in lengths]
    outer, inner = regroup([x[position]], (len(lengths), lengths[0]))
    freeze(outer, PARTS)
    call.note(Role.PARTS, outer)
    return [Value(_replaced(x, position, inner))] * len(lengths)


def unbind(call: Call) -> Result:
    """All indices of a dimension, one result each."""
    x = call.dims("self")
    position = call.index("dim", len(x))
    freeze(x[position], PARTS)
    call.note(Role.PARTS, x[position])
    return [Value(x[:position] + x[position + 1 :])] * len(call.shapes)


def concatenate(call: Call) -> Result:
    """cat: parts lie one after the other in the joined dimension."""
    values = [call.value_of(node).dims for node in call["tensors"]]
    if len({len(dims) for dims in values}) > 1:
        return NotImplemented
    position = call.index("dim", len(values[0]))
    for dims in values:
        freeze(dims[position], CONCATENATED)
    alike = [_replaced(dims, position, ()) for dims in values]
    sizes = _with(call.shape, position, 1)
    joined = new_dim(call.shape[position], frozen=CONCATENATED)
    return Value(_replaced(merge(alike, sizes, zero=all), position, joined))


def stack(call: Call) -> Result:
    """Parts along a new dimension."""
    values = [call.value_of(node).dims for node in call["tensors"]]
    position = call.index("dim", len(call.shape))
    shape = call.shape[:position] + call.shape[position + 1 :]
    merged = merge(values, shape, zero=all)
    joined = new_dim(call.shape[position], frozen=CONCATENATED)
    return Value((*merged[:position], joined, *merged[position:]))


def pad(call: Call) -> Result:
    """Constant entries before and after; pairs count from the last dimension."""
    x, pairs = call.dims("self"), call["pad"]
    result = list(x if not call.has("value") or call["value"] == 0 else moved(Value(x)).dims)
    for i in range(len(pairs) // 2):
        if pairs[2 * i] or pairs[2 * i + 1]:
            freeze(x[-1 - i], "padded")
            result[-1 - i] = new_dim(call.shape[-1 - i], frozen="padded")
    return (
        NotImplemented if call.has("mode") and call["mode"] != "constant" else Value(tuple(result))
    )


def gather(call: Call) -> Result:
    """`out[i][j] = self[i][index[i][j]]`: the dimension is indexed, the others run along."""
    x, index = call.dims("self"), call.dims("index")
    position = call.index("dim", len(x))
    freeze(x[position], CHOSEN)
    sizes = call.shape_of(call["self"])
    result: list[Dim] = []
    for i, (a, b) in enumerate(zip(x, index, strict=True)):
        if i == position:
            result.append(b)
        elif sizes[i] == call.shape[i]:
            unify(a, b)
            result.append(leaves(a))
        else:
            freeze(a, PART)
            result.append(b)
    return Value(tuple(result))


def index_select(call: Call) -> Result:
    """Chosen entries of one dimension."""
    x = call.dims("self")
    position = call.index("dim", len(x))
    freeze(x[position], CHOSEN)
    return Value(_replaced(x, position, call.dims("index")[0]))


def index(call: Call) -> Result:
    """`x[i, :, j]` with integer tensors: indexed dimensions give way to the indices' own."""
    x = call.dims("self")
    chosen = {i: node for i, node in enumerate(call["indices"]) if node is not None}
    if any(node.meta["val"].dtype.is_floating_point or _mask(node) for node in chosen.values()):
        return NotImplemented
    for position in chosen:
        freeze(x[position], CHOSEN)
    rest = [dim for i, dim in enumerate(x) if i not in chosen]
    ndim = len(call.shape) - len(rest)
    positions = sorted(chosen)
    adjacent = positions[-1] - positions[0] == len(positions) - 1
    start = positions[0] if adjacent else 0
    indices = [call.value_of(node).dims for node in chosen.values()]
    picked = merge(indices, call.shape[start : start + ndim], zero=lambda flags: False)
    return Value((*rest[:start], *picked, *rest[start:]))


def _mask(node: Any) -> bool:
    return is_tensor(node) and str(node.meta["val"].dtype) in ("torch.bool", "torch.uint8")


def _replaced(dims: tuple[Dim, ...], position: int, dim: Dim) -> tuple[Dim, ...]:
    return (*dims[:position], dim, *dims[position + 1 :])


def _with(shape: tuple[int, ...], position: int, size: int) -> tuple[int, ...]:
    return (*shape[:position], size, *shape[position + 1 :])
