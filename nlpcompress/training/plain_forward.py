"""A model trained with mixed precision computes as it did before: in its own precision."""

from torch import nn

ORIGINAL, PREPARED = "_original_forward", "_is_accelerate_prepared"
"""Where accelerate keeps the forward that it has wrapped into autocast, and that it has."""


def restore_forward(model: nn.Module) -> bool:
    """Undo accelerate's wrapping of `model.forward`; False where there was none.

    A wrapped model saves weights that, reloaded, say something else. accelerate's own
    `unwrap_model(…, keep_fp32_wrapper=False)` follows `__wrapped__` to its end, and with autocast
    takes off the decorators of transformers, too: return types, and hidden states on demand. The
    next training wraps anew.
    """
    original = model.__dict__.pop(ORIGINAL, None)
    if original is None:
        return False
    model.__dict__.pop(PREPARED, None)
    model.__dict__.pop("forward", None)
    if model.forward != original:
        model.forward = original
    return True
