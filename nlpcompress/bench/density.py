"""How much of a model is not zero."""

from collections.abc import Iterable
from itertools import chain

from torch import Tensor, nn

from nlpcompress.models.quantized import weight_of
from nlpcompress.models.weights import body_layers, quantized_weights


def density(model: nn.Module) -> dict[str, float]:
    """`encoder`: share of nonzeros among the body's weights; `model`: among all parameters.

    The body's weights are those of `models.weights.body_layers`, the ones pruning may thin out:
    papers give their densities over these. Embeddings, biases, norms and heads count in `model`
    only. Of quantized weights the numbers that their codes stand for count. Shared tensors count
    once; a share over nothing is left out.
    """
    body = {id(layer.weight): layer for layer in body_layers(model).values()}
    decoded = (module.decoded() for module in quantized_weights(model).values())
    groups = {
        "encoder": (weight_of(layer) for layer in body.values()),
        "model": chain(model.parameters(), decoded),
    }
    shares = {name: _share(tensors) for name, tensors in groups.items()}
    return {name: share for name, share in shares.items() if share is not None}


def _share(tensors: Iterable[Tensor]) -> float | None:
    nonzeros = elements = 0
    for tensor in tensors:
        nonzeros += int(tensor.count_nonzero())
        elements += tensor.numel()
    return nonzeros / elements if elements else None
