"""How much of a model is not zero."""

from collections.abc import Iterable

from torch import Tensor, nn

from nlpcompress.models.weights import body_weights


def density(model: nn.Module) -> dict[str, float]:
    """`encoder`: share of nonzeros among the body's weights; `model`: among all parameters.

    The body's weights are those of `models.weights.body_weights`, the ones pruning may thin out:
    papers give their densities over these. Embeddings, biases, norms and heads count in `model`
    only. Shared tensors count once; a share over nothing is left out.
    """
    groups = {"encoder": body_weights(model).values(), "model": model.parameters()}
    shares = {name: _share(tensors) for name, tensors in groups.items()}
    return {name: share for name, share in shares.items() if share is not None}


def _share(tensors: Iterable[Tensor]) -> float | None:
    once = {id(tensor): tensor for tensor in tensors}.values()
    elements = sum(tensor.numel() for tensor in once)
    return sum(int(tensor.count_nonzero()) for tensor in once) / elements if elements else None
