"""Tensors made from nothing, and operations that concern no axis."""

from nlpcompress.axes.atoms import new_dim, with_zero
from nlpcompress.axes.call import Call, Result, Value, fresh

COUNTED = "its positions are counted"


def zeros(call: Call) -> Result:
    """The same at every index, so nothing stands against cutting it."""
    return Value(tuple(new_dim(n, zero=True) for n in call.shape))


def filled(call: Call) -> Result:
    """ones, full: the same at every index, but not zero."""
    return Value(tuple(new_dim(n) for n in call.shape))


def zeros_like(call: Call) -> Result:
    """As wide as another tensor is."""
    return Value(tuple(with_zero(dim, True) for dim in call.dims("self")))


def filled_like(call: Call) -> Result:
    """ones_like, full_like."""
    return Value(tuple(with_zero(dim, False) for dim in call.dims("self")))


def counted(call: Call) -> Result:
    """arange, linspace, eye: the value tells the position, which a cut would shift."""
    return fresh(call.node.meta["val"], COUNTED)


def nothing(_: Call) -> Result:
    """Assertions and bookkeeping without a result."""
    return None


def opaque(call: Call) -> Result:
    """Inside `torch.vmap`, where dimensions are hidden: known, and frozen on purpose."""
    return call.freeze_all("computed inside torch.vmap")
