"""The PyTorch side of a comparison: a model as a callable from a batch to logits."""

from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor, nn

from nlpcompress.export.inputs import NOT_INPUTS
from nlpcompress.export.mode import exporting

Array = np.ndarray
Batch = Mapping[str, Tensor]
Predictor = Callable[[Batch], Array]


def torch_logits(model: nn.Module) -> Predictor:
    """`model` in eval mode as batch → logits; its own mode is back after each call.

    Of a question-answering model start and end logits, stacked last `(B, T, 2)`.
    """

    @torch.no_grad()
    def predict(batch: Batch) -> Array:
        inputs = {name: value for name, value in batch.items() if name not in NOT_INPUTS}
        with exporting(model):
            outputs = model(**inputs)
        return _logits(outputs).numpy(force=True)

    return predict


def _logits(outputs: Tensor | Mapping[str, Tensor]) -> Tensor:
    if isinstance(outputs, Tensor):
        return outputs
    if "start_logits" in outputs and "end_logits" in outputs:
        return torch.stack([outputs["start_logits"], outputs["end_logits"]], dim=-1)
    return outputs["logits"] if "logits" in outputs else next(iter(outputs.values()))
