"""Normalisations: over the features of a token (never exact), or over the batch (exact)."""

from nlpcompress.axes.atoms import freeze, unify, with_zero
from nlpcompress.axes.call import Call, Result, Value
from nlpcompress.axes.notes import Role
from nlpcompress.axes.rules.elementwise import moved


def layer_norm(call: Call) -> Result:
    """Over the last dimensions: cutting some features changes the mean and variance of the rest."""
    return _over_features(call, "normalised by layer norm")


def rms_norm(call: Call) -> Result:
    """As layer norm, without the mean."""
    return _over_features(call, "normalised by RMS norm")


def group_norm(call: Call) -> Result:
    """Over groups of channels."""
    channels = call.dims("input")[1]
    freeze(channels, "normalised in groups")
    call.note(Role.NORMALISED, channels)
    for name in ("weight", "bias"):
        if call.has(name):
            unify(channels, call.dims(name)[0])
    return moved(call.value("input"))


def batch_norm(call: Call) -> Result:
    """Each channel by statistics of its own; a masked weight and bias give zero."""
    x = call.dims("input")
    affine = call.has("weight") and call.has("bias")
    for name in ("weight", "bias", "running_mean", "running_var"):
        if call.has(name):
            unify(x[1], call.dims(name)[0])
    channels = with_zero(x[1], True) if affine else x[1]
    return Value((with_zero(x[0], False), channels, *(with_zero(d, False) for d in x[2:])))


def _over_features(call: Call, reason: str) -> Result:
    x = call.dims("input")
    for position in range(-len(call["normalized_shape"]), 0):
        freeze(x[position], reason)
        call.note(Role.NORMALISED, x[position])
        for name in ("weight", "bias"):
            if call.has(name):
                unify(x[position], call.dims(name)[position])
    return moved(call.value("input"))
