"""The fused attention operation."""

from nlpcompress.axes.atoms import Dim, freeze, leaves, new_dim, unify, with_zero
from nlpcompress.axes.call import Call, Result, Value
from nlpcompress.axes.notes import Consumer, Role
from nlpcompress.axes.rules.elementwise import merge

SCALE = "the attention scale depends on the head size"


def attention(call: Call) -> Result:
    """`softmax(Q Kᵀ · scale + mask) V` of `(B, H, T, D)`; grouped queries: H = key heads × each."""
    q, k, v = (call.dims(name) for name in ("query", "key", "value"))
    unify(q[-1], k[-1])
    freeze(q[-1], SCALE)
    unify(k[-2], v[-2])
    freeze(k[-2], "softmax over it")
    heads = _heads(call, q, k, v)
    if call.has("attn_mask"):
        mask = call.dims("attn_mask")
        shape = (*call.shape[:-1], call.shape_of(call["key"])[-2])
        merge(((*heads, q[-2], k[-2]), mask), shape, zero=any)
    call.note(Role.ATTENTION, tuple(factor for dim in heads for factor in dim))
    call.note(Role.HEAD_DIM, q[-1])
    call.note(Role.HEAD_DIM, v[-1])
    call.notes.consumers.append(Consumer(q[-1], None))
    return Value((*heads, with_zero(q[-2], False), v[-1]))


def _heads(
    call: Call, q: tuple[Dim, ...], k: tuple[Dim, ...], v: tuple[Dim, ...]
) -> tuple[Dim, ...]:
    """Batch dimensions of the result: zero where the values are, whatever the scores."""
    result: list[Dim] = []
    sizes = zip(call.shape_of(call["query"]), call.shape_of(call["key"]), strict=True)
    for position, (queries, keys) in enumerate(list(sizes)[:-2]):
        unify(k[position], v[position])
        shared = v[position] + (new_dim(queries // keys) if queries != keys else ())
        unify(q[position], shared)
        result.append(leaves(shared))
    return tuple(result)
