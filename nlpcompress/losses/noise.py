"""A teacher who errs a little, and otherwise each time."""

import torch
from torch import Tensor

from nlpcompress.losses.reduction import at_least_float32


def noisy_logits(
    logits: Tensor,
    *,
    sigma: float,
    fraction: float = 1.0,
    generator: torch.Generator | None = None,
) -> Tensor:
    """`(1 + ε) · logits`, ε ~ N(0, sigma²), for examples drawn with the chance `fraction`.

    Logits have the shape `(B, …)`. Each example is drawn for itself, whole, and each of its logits
    has an ε of its own. The others, and all with `sigma` 0, are unchanged; then nothing is drawn.
    Without a `generator` the global one of the logits' device draws. Half precision comes back as
    float32.

    Source: Sau and Balasubramanian 2016, section 3: `z' = (1 + ξ) · z` with a vector ξ of noise.
    Differs: a share of each batch is drawn anew; no state.
    """
    if sigma == 0 or fraction == 0:
        return logits
    values = at_least_float32(logits)
    device = values.device
    chosen = torch.rand(len(values), device=device, generator=generator) < fraction
    noise = torch.randn(values.shape, dtype=values.dtype, device=device, generator=generator)
    return values + values * (sigma * noise) * chosen.view(-1, *[1] * (values.dim() - 1))
