"""What a network may be worth before it is trained: a number each, from one batch; more is better.

None of them is to be trusted alone: put parameters and MACs beside them, which rank networks of one
family as well or better in most published comparisons.

Source: Abdelfattah et al. 2021 (Zero-Cost Proxies for Lightweight NAS), section 3, for the sums
over weights and for the vote; Mellor et al. 2021 (Neural Architecture Search without Training) for
codes of activations, and its first version of 2020 for correlations of Jacobians.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from itertools import combinations
from typing import Any

import torch
from torch import Tensor, nn
from transformers.activations import ACT2CLS

from nlpcompress.models.weights import body_layers, body_weights
from nlpcompress.scoring.examples import labelled_loss, on_device_of
from nlpcompress.scoring.saliency import grasp_scores, snip_scores, synflow_scores
from nlpcompress.scoring.trace import no_trace

Batch = Mapping[str, Tensor]
ACTIVATIONS: tuple[Any, ...] = tuple(
    {kind[0] if isinstance(kind, tuple) else kind for kind in ACT2CLS.values()} - {nn.Identity}
)
"""What transformers has as activations; those of torch are among them."""
SMALL = 1e-5
VOTERS = ("synflow", "jacobian_covariance", "snip")


def zero_cost_proxies(model: nn.Module, batch: Batch) -> dict[str, float]:
    """Every proxy of `PROXIES` on a labelled batch, and the number of parameters to compare with.

    Texts of the batch should have no padding. `grasp` takes two passes back, all others one or
    none. Raises `DataError` as the scores of weights do.
    """
    found = {name: proxy(model, batch) for name, proxy in PROXIES.items()}
    return {"parameters": float(sum(p.numel() for p in model.parameters())), **found}


def grad_norm(model: nn.Module, batch: Batch) -> float:
    """The sum over layers of the norms ‖∂L/∂w‖."""
    with _trainable(model):
        weights = list(body_weights(model).values())
        loss = labelled_loss(model, on_device_of(model, batch))
        gradients = torch.autograd.grad(loss, weights, allow_unused=True, materialize_grads=True)
    return float(sum(gradient.float().norm() for gradient in gradients))


def snip(model: nn.Module, batch: Batch) -> float:
    """Σ |∂L/∂w · w|."""
    return _total(snip_scores(model, body_weights(model), [batch]))


def grasp(model: nn.Module, batch: Batch) -> float:
    """-Σ w · (H g)."""
    return -_total(grasp_scores(model, body_weights(model), [batch], temperature=1.0))


def synflow(model: nn.Module, batch: Batch) -> float:
    """Σ |∂R/∂|w| · |w||; no data."""
    inputs = {name: values for name, values in batch.items() if name != "labels"}
    return _total(synflow_scores(model, body_weights(model), inputs))


def fisher(model: nn.Module, batch: Batch) -> float:
    """½ Σ over channels of the mean over examples of (Σ over places of ∂L/∂z · z)², z each output.

    L is the batch's mean loss.
    """
    outputs: list[Tensor] = []
    with _trainable(model), _heard(body_layers(model).values(), outputs):
        loss = labelled_loss(model, on_device_of(model, batch))
        gradients = torch.autograd.grad(loss, outputs, allow_unused=True, materialize_grads=True)
    pairs = zip(gradients, outputs, strict=True)
    return 0.5 * sum(float(_of_channels(g * z.detach()).square().mean(0).sum()) for g, z in pairs)


def jacobian_covariance(model: nn.Module, batch: Batch) -> float:
    """-Σ (log(λ + k) + 1 / (λ + k)), λ the eigenvalues of the correlations between the examples'
    Jacobians ∂(Σ logits)/∂x, k = 1e-5. x are the pixels, or the embeddings of tokens.
    """
    with _trainable(model), _differentiable(model, on_device_of(model, batch)) as (inputs, at):
        logits = model(**inputs).logits
        (jacobian,) = torch.autograd.grad(logits.sum(), at)
    correlations = torch.corrcoef(jacobian.flatten(1).double())
    values = torch.linalg.eigvalsh(correlations.nan_to_num()) + SMALL
    return -float((values.log() + 1 / values).sum())


def naswot(model: nn.Module, batch: Batch) -> float:
    """log |det K|, K the number of activations that two examples have on the same side of zero.

    NaN for a model whose activations are no modules.
    """
    heard: list[Tensor] = []
    activations = [module for module in model.modules() if isinstance(module, ACTIVATIONS)]
    with no_trace(model), torch.no_grad(), _heard(activations, heard, inputs=True):
        model(**on_device_of(model, batch))
    if not heard:
        return float("nan")
    codes = torch.cat([(values > 0).flatten(1) for values in heard], dim=1).double()
    kernel = codes @ codes.T + (1 - codes) @ (1 - codes).T
    return float(torch.linalg.slogdet(kernel).logabsdet)


PROXIES: dict[str, Callable[[nn.Module, Batch], float]] = {
    "grad_norm": grad_norm,
    "snip": snip,
    "grasp": grasp,
    "synflow": synflow,
    "fisher": fisher,
    "jacobian_covariance": jacobian_covariance,
    "naswot": naswot,
}


def votes(found: Sequence[Mapping[str, float]], voters: Sequence[str] = VOTERS) -> list[int]:
    """Of several networks, how many others each beats by most of the voters.

    >>> votes([{"a": 1, "b": 1, "c": 9}, {"a": 2, "b": 2, "c": 3}], ["a", "b", "c"])
    [0, 1]
    """
    won = [0] * len(found)
    for one, other in combinations(range(len(found)), 2):
        ahead = sum(found[one][voter] > found[other][voter] for voter in voters)
        won[one if 2 * ahead > len(voters) else other] += 1
    return won


def _total(scores: Mapping[str, Tensor]) -> float:
    return float(sum(values.double().sum() for values in scores.values()))


def _of_channels(values: Tensor) -> Tensor:
    """`(B, C, H, W)`, `(B, T, C)` or `(B, C)`, summed over places: `(B, C)`."""
    if values.dim() == 4:
        return values.sum((2, 3))
    return values.flatten(1, -2).sum(1) if values.dim() > 2 else values


@contextmanager
def _trainable(model: nn.Module) -> Iterator[None]:
    """All parameters have gradients; everything is put back."""
    with no_trace(model), torch.enable_grad():
        model.requires_grad_(True)
        yield


@contextmanager
def _heard(
    modules: Sequence[nn.Module] | Any, heard: list[Tensor], *, inputs: bool = False
) -> Iterator[None]:
    """What modules give, or are given, is noted as they run."""

    def note(_: nn.Module, args: tuple[Any, ...], output: Tensor) -> None:
        heard.append(args[0] if inputs else output)

    with ExitStack() as hooks:
        for module in modules:
            hooks.callback(module.register_forward_hook(note).remove)
        yield


@contextmanager
def _differentiable(model: nn.Module, batch: Batch) -> Iterator[tuple[dict[str, Tensor], Tensor]]:
    """The batch without labels, and what of it has gradients."""
    inputs = {name: values for name, values in batch.items() if name != "labels"}
    floats = [name for name, values in inputs.items() if values.is_floating_point()]
    if floats:
        inputs[floats[0]] = inputs[floats[0]].detach().requires_grad_()
        yield inputs, inputs[floats[0]]
        return
    table = model.get_input_embeddings()
    with torch.no_grad():
        embedded = table(inputs["input_ids"])
    embedded.requires_grad_()
    handle = table.register_forward_hook(partial(_replaced, embedded))
    try:
        yield inputs, embedded
    finally:
        handle.remove()


def _replaced(by: Tensor, *_: Any) -> Tensor:
    return by
