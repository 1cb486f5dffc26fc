"""The loss of a batch whose examples belong to several classes at once, as mixed ones do."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor
from torch.nn.functional import cross_entropy

from nlpcompress.data.pictures.mixup import SOFT_LABELS


def of_soft_labels(
    loss: Tensor, outputs: Any, inputs: Mapping[str, Any], *, smoothing: float
) -> Tensor:
    """Cross-entropy in nats to the batch's soft labels; `loss` where it has none."""
    soft = inputs.get(SOFT_LABELS)
    if soft is None:
        return loss
    return cross_entropy(outputs["logits"].float(), soft, label_smoothing=smoothing)
