"""Scores of single weights for pruning before training: SNIP, GraSP and SynFlow.

Every function takes a model and `weights`, name → values, such as `body_weights(model)`; the model
is scored as if it held these values, which may be masked ones. It returns name → scores of the same
shapes; **larger means keep**.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import cross_entropy

from nlpcompress.core.counts import IGNORED
from nlpcompress.errors import DataError
from nlpcompress.scoring.examples import batch_size, on_device_of, shifts_labels
from nlpcompress.scoring.trace import no_trace

Weights = Mapping[str, Tensor]
Batch = Mapping[str, Tensor]
Derive = Callable[[Tensor], list[Tensor]]


def snip_scores(model: nn.Module, weights: Weights, batches: Sequence[Batch]) -> dict[str, Tensor]:
    """|∂L/∂w · w|, what a first step away from each weight costs: name → float32 or wider.

    L is the mean loss over all labels of all batches: gradients are summed over the batches, and
    the absolute value is taken of the sum. Examples may cancel each other, and how they are batched
    does not matter. Raises `DataError` without batches or labels.

    Source: Lee et al. 2019, equations 5 and 6: ∂L/∂c at c = 1, where c multiplies the weight.
    Differs: not divided by the sum of all scores, which moves no ranking; in eval mode (batch norm
    with its running statistics, no dropout).
    """
    with no_trace(model), torch.enable_grad():
        loss = _Loss(model, _leaves(weights))
        gradients = loss.mean_gradients(batches)
    return {
        name: (gradient * weights[name].detach()).abs()
        for name, gradient in zip(weights, gradients, strict=True)
    }


def grasp_scores(
    model: nn.Module,
    weights: Weights,
    batches: Sequence[Batch],
    *,
    temperature: float = 200.0,
) -> dict[str, Tensor]:
    """w · (H g), what each weight adds to the gradient's norm: name → signed, float32 or wider.

    g and H are the gradient and the Hessian of the mean loss by the `weights` alone, over all
    labels of all batches, with logits divided by `temperature`; each batch runs twice. The paper's
    score is the negative of this one, and the largest go; here the largest stay.

    Double backward: attention runs in its plain form, as torch's fused kernels have none. An
    attention implementation from elsewhere (flash, flex) has to be changed to `sdpa` or `eager`
    before. Labels that are no classes (float: regression, multi-label) have no temperature: the
    model's own loss counts. Raises `DataError` without batches or labels.

    Source: Wang et al. 2020, equation 8, and its code for the temperature of 200.
    Differs: in eval mode; the head and the embeddings are not part of g and H unless `weights` hold
    them; nothing is initialised anew (its code draws the linear layers again).
    """
    with no_trace(model), torch.enable_grad(), sdpa_kernel(SDPBackend.MATH):
        loss = _Loss(model, _leaves(weights), temperature)
        products = loss.mean_hessian_products(batches, loss.mean_gradients(batches))
    return {
        name: product * weights[name].detach()
        for name, product in zip(weights, products, strict=True)
    }


def synflow_scores(model: nn.Module, weights: Weights, example_inputs: Batch) -> dict[str, Tensor]:
    """|∂R/∂|w| · |w||, R the sum of the outputs, all parameters absolute: name → float64.

    No data: every float input (an image) is all ones, of the shape of the first example. Buffers
    are as they are and not changed: eval mode, in which batch norm is a fixed scale and shift by
    its running statistics. Everything is in float64, as sums over paths overflow float32.

    Without biases, in a chain of linear or convolutional layers with ReLU, R = 1ᵀ(Π|W|)1 and a
    weight's score is the sum over all paths through it: what flows into a unit flows out of it, so
    that each layer's scores add up to R, and no layer dies while another has more to give. ReLU6
    counts as ReLU: a unit at its ceiling would seem to carry nothing.

    Text models read tokens: the input embeddings of all of the first example's tokens become ones,
    with all tokens visible. Positions, softmax attention, layer norm and GELU stay as they are,
    absolute parameters apart. The paper has none of them. With them R is no sum over paths, scores
    of layers do not add up alike, and some come out negative: hence the outer absolute value, that
    changes nothing in the paper's networks. Where tokens differ by relative positions alone (T5,
    DeBERTa, Llama) they hold the same values, and queries and keys score next to nothing. Where
    layer norm comes first, with no positions added (ModernBERT), it makes zeros of the ones, and
    all scores are 0.

    Source: Tanaka et al. 2020, equation 2 and section 4; float64 after Abdelfattah et al. 2021.
    """
    inputs = {key: _plain(key, value[:1]) for key, value in example_inputs.items()}
    leaves = {name: w.detach().double().abs().requires_grad_() for name, w in weights.items()}
    with no_trace(model), _linear(model, inputs), torch.enable_grad():
        values = {**_absolute(model), **leaves}
        outputs = functional_call(model, values, (), on_device_of(model, inputs))
        found = _gradients(_answer(outputs).sum(), leaves)
    return {
        name: gradient.mul_(leaves[name].detach()).abs_()
        for name, gradient in zip(leaves, found, strict=True)
    }


class _Loss(NamedTuple):
    """A model's mean loss over the labels of a batch, at given values of its weights."""

    model: nn.Module
    leaves: dict[str, Tensor]
    temperature: float = 1.0

    def mean_gradients(self, batches: Sequence[Batch]) -> list[Tensor]:
        """∂L/∂w of the mean over all labels."""
        return self._mean(batches, lambda loss: _gradients(loss, self.leaves))

    def mean_hessian_products(
        self, batches: Sequence[Batch], vectors: Sequence[Tensor]
    ) -> list[Tensor]:
        """H v of the mean over all labels."""
        return self._mean(batches, lambda loss: _hessian_product(loss, self.leaves, vectors))

    def _mean(self, batches: Sequence[Batch], derive: Derive) -> list[Tensor]:
        totals: list[Tensor] = []
        labels = 0
        for batch in batches:
            count = self._label_count(batch)
            if not count:
                continue
            found = [_wide(value) * count for value in derive(self._of(batch))]
            totals = [a + b for a, b in zip(totals, found, strict=True)] if totals else found
            labels += count
        if not labels:
            raise DataError(
                "no labels to score with: the data set is empty, or all of its labels are "
                f"{IGNORED}; give at least one labelled batch"
            )
        return [total / labels for total in totals]

    def _of(self, batch: Batch) -> Tensor:
        here = on_device_of(self.model, batch)
        outputs = functional_call(self.model, self.leaves, (), here)
        loss = getattr(outputs, "loss", None)
        if loss is None:
            raise DataError(
                f"the model returned no loss for a batch of {', '.join(batch)}; SNIP and GraSP "
                "need labelled batches"
            )
        labels = here.get("labels")
        if self.temperature == 1 or labels is None or labels.is_floating_point():
            return loss
        logits = outputs.logits
        if shifts_labels(self.model):
            logits, labels = logits[:, :-1], labels[:, 1:]
        scaled = _wide(logits).flatten(0, -2) / self.temperature
        return cross_entropy(scaled, labels.flatten(), ignore_index=IGNORED)

    def _label_count(self, batch: Batch) -> int:
        """Labels that the batch's mean is over; examples, where labels are not called so."""
        labels = batch.get("labels")
        if labels is None or labels.is_floating_point():
            return batch_size(batch)
        return int(((labels[:, 1:] if shifts_labels(self.model) else labels) != IGNORED).sum())


def _hessian_product(
    loss: Tensor, leaves: Mapping[str, Tensor], vectors: Sequence[Tensor]
) -> list[Tensor]:
    found = _gradients(loss, leaves, create_graph=True)
    products = [(g * v.to(g.dtype)).sum() for g, v in zip(found, vectors, strict=True)]
    return _gradients(torch.stack(products).sum(), leaves)


def _gradients(
    value: Tensor, leaves: Mapping[str, Tensor], *, create_graph: bool = False
) -> list[Tensor]:
    """Zeros for what `value` does not depend on."""
    at = list(leaves.values())
    found = torch.autograd.grad(
        value, at, create_graph=create_graph, allow_unused=True, materialize_grads=True
    )
    return list(found)


def _leaves(weights: Weights) -> dict[str, Tensor]:
    return {name: weight.detach().clone().requires_grad_() for name, weight in weights.items()}


def _wide(values: Tensor) -> Tensor:
    return values.to(torch.promote_types(values.dtype, torch.float32))


def _absolute(model: nn.Module) -> dict[str, Tensor]:
    """All parameters, absolute, and all buffers, in float64."""
    parameters = {name: p.detach().double().abs() for name, p in model.named_parameters()}
    buffers = {n: b.double() if b.is_floating_point() else b for n, b in model.named_buffers()}
    return {**buffers, **parameters}


def _plain(key: str, values: Tensor) -> Tensor:
    """Nothing but ones, for what is no token."""
    if values.is_floating_point():
        return torch.ones_like(values, dtype=torch.float64)
    return torch.ones_like(values) if key.endswith("attention_mask") else values


@contextmanager
def _linear(model: nn.Module, inputs: Batch) -> Iterator[None]:
    """The embeddings of all tokens are ones, and activations have no ceiling."""
    ceilings = [(m, m.max_val) for m in model.modules() if isinstance(m, nn.ReLU6)]
    tables = _tables(model) if "input_ids" in inputs else []
    hooks = [table.register_forward_hook(_ones) for table in tables]
    try:
        for activation, _ in ceilings:
            activation.max_val = torch.inf
        yield
    finally:
        for activation, ceiling in ceilings:
            activation.max_val = ceiling
        for hook in hooks:
            hook.remove()


def _ones(module: nn.Module, args: tuple[Any, ...], output: Tensor) -> Tensor:
    return torch.ones_like(output)


def _tables(model: nn.Module) -> list[nn.Module]:
    """Modules that read tokens from the input embeddings: an encoder's and a decoder's."""
    weight = model.get_input_embeddings().weight
    return [
        module
        for module in model.modules()
        if isinstance(module, nn.Embedding) and module.weight is weight
    ]


def _answer(outputs: Any) -> Tensor:
    """The logits, or whatever a model without logits gives first."""
    if isinstance(outputs, Tensor):
        return outputs
    logits = getattr(outputs, "logits", None)
    return outputs[0] if logits is None else logits
