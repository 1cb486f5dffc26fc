"""Losses between what student and teacher hold in between: hidden states and feature maps."""

import torch.nn.functional as F
from torch import Tensor

from nlpcompress.losses.reduction import as_pair, at_least_float32, masked_mean


def hidden_mse(student: Tensor, teacher: Tensor, *, mask: Tensor | None = None) -> Tensor:
    """Mean squared difference of hidden states `(…, D)`, over D and the rows of `mask`, a scalar.

    `mask` `(…,)` is the attention mask for token states `(B, T, D)`. Widths that differ are made
    equal before, by a learned projection. No gradient reaches the teacher; half precision is
    computed in float32. Raises `ValueError` when the shapes differ, as all losses here do.

    Source: Romero et al. 2015 (FitNets), equation 3; Jiao et al. 2020 (TinyBERT), equations 8, 9.
    Differs: FitNets sums and halves; TinyBERT's code averages over padding, too.
    """
    own, target = as_pair(student, teacher, "states")
    return masked_mean((own - target).square().mean(-1), mask)


def hidden_cosine(student: Tensor, teacher: Tensor, *, mask: Tensor | None = None) -> Tensor:
    """1 - cosine of the angle between hidden states `(…, D)`, averaged over the rows of `mask`.

    Source: Sanh et al. 2019 (DistilBERT), section 3, `L_cos`, on the last hidden states.
    """
    own, target = as_pair(student, teacher, "states")
    return masked_mean(1 - F.cosine_similarity(own, target, dim=-1), mask)


def attention_transfer(student: Tensor, teacher: Tensor) -> Tensor:
    """Mean squared difference of two images' maps of activity `(B, C, H, W)`, a scalar.

    An example's map is the mean over the channels of the squared features, flattened and divided by
    its Euclidean norm; the numbers of channels may differ, H and W may not.

    Source: Zagoruyko and Komodakis 2017, equation 2 with p = 2 and its code's `at_loss`, which
    averages over places where the paper has the norm.
    """
    own, target = (at_least_float32(maps).square().mean(1) for maps in (student, teacher))
    own, target = as_pair(own, target, "maps of activity")
    own, target = (F.normalize(maps.flatten(1), dim=1) for maps in (own, target))
    return (own - target).square().mean()
