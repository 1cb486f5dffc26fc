"""Checks that a cut model computes what its masked original computes."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from nlpcompress.core.modes import eval_mode
from nlpcompress.errors import VerificationError

# Largest |difference| / largest |value|. Sums run in another order in the smaller model, and each
# rounding of a half type costs its 2^-11 or 2^-8 through all layers.
TOLERANCES = {torch.float64: 1e-10, torch.float32: 1e-5, torch.float16: 2e-2, torch.bfloat16: 1e-1}

Forward = Callable[[Mapping[str, Tensor]], Any]


@contextmanager
def verified(
    model: nn.Module,
    inputs: Mapping[str, Tensor],
    *,
    what: str,
    reference: Forward,
    tolerance: float | None = None,
) -> Iterator[None]:
    """Run `reference` before the block and the model after it, and compare.

    `reference` computes the masked model's output. `tolerance` is of the largest relative error, by
    default that of the outputs' dtype; raises `VerificationError` with both, and `what` was cut.
    """
    before = floating_outputs(model, inputs, reference)
    if not before:
        raise VerificationError(
            f"the model returns no floating tensors, so cutting {what} cannot be verified"
        )
    yield
    try:
        after = floating_outputs(model, inputs)
    except (RuntimeError, ValueError) as error:
        raise VerificationError(
            f"the model does not run after cutting {what}: {error}; it is left uncut"
        ) from error
    difference = relative_error(before, after)
    allowed = _tolerance(model, before) if tolerance is None else tolerance
    if not difference <= allowed:
        raise VerificationError(
            f"after cutting {what} the model differs from its masked original by {difference:.1e} "
            f"relative, allowed are {allowed:.0e}; it is left uncut"
        )


def _tolerance(model: nn.Module, outputs: list[Tensor]) -> float:
    """That of the coarsest type among weights and outputs."""
    weights = (p for p in model.parameters() if p.is_floating_point())
    return max(TOLERANCES[dtype] for dtype in {t.dtype for t in (*outputs, *weights)})


def relative_error(expected: list[Tensor], actual: list[Tensor]) -> float:
    """Largest |expected - actual| / largest |expected|; infinite where shapes differ, NaN where any
    output holds one.
    """
    if [t.shape for t in expected] != [t.shape for t in actual]:
        return float("inf")
    errors = [_error(e.double(), a.double()) for e, a in zip(expected, actual, strict=True)]
    return float(torch.tensor(errors, dtype=torch.float64).max())


def _error(expected: Tensor, actual: Tensor) -> float:
    scale = expected.abs().max().clamp(min=torch.finfo(torch.float32).tiny)
    return float((expected - actual).abs().max() / scale)


@torch.no_grad()
def floating_outputs(
    model: nn.Module, inputs: Mapping[str, Tensor], forward: Forward | None = None
) -> list[Tensor]:
    """Floating tensors that the model (or `forward`) puts out in eval mode; modes are restored."""
    with eval_mode(model):
        outputs = forward(inputs) if forward else model(**inputs)
    return [t for t in _values(outputs) if isinstance(t, Tensor) and t.is_floating_point()]


def _values(outputs: Any) -> list[Any]:
    if isinstance(outputs, Mapping):
        return list(outputs.values())
    return list(outputs) if isinstance(outputs, (tuple, list)) else [outputs]
