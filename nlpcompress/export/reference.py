"""The PyTorch side of a comparison: a model as a callable from a batch to logits."""

from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor, nn

from nlpcompress.export.inputs import NOT_INPUTS
from nlpcompress.export.mode import exporting, suited
from nlpcompress.models.halves import in_float32

Array = np.ndarray
Batch = Mapping[str, Tensor]
Predictor = Callable[[Batch], Array]


def torch_logits(model: nn.Module) -> Predictor:
    """`model` in eval mode as batch → logits; its own mode is back after each call.

    Of a model that holds half types it is a float32 copy, as what is exported of it. Of a
    question-answering model start and end logits, stacked last `(B, T, 2)`.
    """

    exact = in_float32(model)

    @torch.no_grad()
    def predict(batch: Batch) -> Array:
        inputs = {name: value for name, value in batch.items() if name not in NOT_INPUTS}
        with exporting(exact):
            outputs = exact(**suited(inputs, exact))
        return _logits(outputs).numpy(force=True)

    return predict


def _logits(outputs: Tensor | Mapping[str, Tensor]) -> Tensor:
    if isinstance(outputs, Tensor):
        return outputs
    if "start_logits" in outputs and "end_logits" in outputs:
        return torch.stack([outputs["start_logits"], outputs["end_logits"]], dim=-1)
    return outputs["logits"] if "logits" in outputs else next(iter(outputs.values()))
