"""Examples of a batch: where, how many, and how each one's own loss follows from the mean."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

from nlpcompress.core.counts import IGNORED
from nlpcompress.core.modes import eval_mode
from nlpcompress.errors import DataError
from nlpcompress.models.inputs import accepts


def batch_size(batch: Mapping[str, Tensor]) -> int:
    """Number of examples: the length of the first tensor's dimension 0."""
    return next(iter(batch.values())).shape[0]


def on_device_of(model: nn.Module, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The batch, where the model's first parameter is."""
    device = next(model.parameters()).device
    return {key: value.to(device, non_blocking=True) for key, value in batch.items()}


def example_outputs(model: nn.Module, inputs: Mapping[str, Tensor]) -> Any:
    """What the model says of a small batch, in eval mode; it is given what it takes of it."""
    known = {name: value for name, value in inputs.items() if accepts(model, name)}
    with eval_mode(model), torch.no_grad():
        return model(**on_device_of(model, known))


def labelled_loss(model: nn.Module, batch: Mapping[str, Tensor]) -> Tensor:
    """The model's own loss, a scalar. Raises `DataError` where it returns none."""
    loss = getattr(model(**batch), "loss", None)
    if loss is None:
        raise DataError(
            f"the model returned no loss for a batch of {', '.join(batch)}; "
            "Taylor scores need labelled batches"
        )
    return loss


def example_scales(batch: Mapping[str, Tensor], *, shifted: bool = False) -> Tensor:
    """`(B,)` factors that turn a gradient of the batch's loss into one of each example's own loss.

    A batch's loss is a mean over its `N` labels, an example's own over its `n`; the part of the
    example in the batch's is hence `n / N` of its own, and the factor `N / n`: the batch size when
    each example has one label. Labels of -100 do not count; an example without labels gets 0.
    `shifted`: the first label of each row is not used (causal language models).
    """
    labels = batch.get("labels")
    if labels is None:
        size = batch_size(batch)
        return torch.full((size,), float(size), device=next(iter(batch.values())).device)
    used = labels[..., 1:] if shifted else labels
    counts = torch.ones_like(used) if used.is_floating_point() else (used != IGNORED)
    own = counts.reshape(len(labels), -1).sum(-1).float()
    return torch.where(own > 0, own.sum() / own.clamp(min=1), torch.zeros_like(own))


def shifts_labels(model: nn.Module) -> bool:
    """Whether each token's label is the next token. `loss_type` knows only some of these models."""
    return type(model).__name__ in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.values()


def first_examples(
    batches: Iterable[Mapping[str, Tensor]], count: int | None
) -> Iterator[Mapping[str, Tensor]]:
    """The first `count` examples (None: all), the last batch cut short where needed."""
    left = count
    for batch in batches:
        if left is not None and left <= batch_size(batch):
            yield {key: value[:left] for key, value in batch.items()}
            return
        left = left if left is None else left - batch_size(batch)
        yield batch
