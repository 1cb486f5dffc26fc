"""Which weights a block of the Hessian has: a layer's, a module's, or one matrix."""

from typing import Literal

from torch import nn

from nlpcompress.models.layers import layers_of
from nlpcompress.models.weights import body_weights

By = Literal["layers", "modules", "matrices"]


def blocks_of(model: nn.Module, by: By) -> dict[str, tuple[str, ...]]:
    """Name of each block → names of its parameters, in the model's order.

    `layers`: all that a layer of the one stack holds, norms and biases too (Q-BERT's blocks);
    `modules`: the weight and bias of each linear and convolutional layer of the body; `matrices`:
    the weights alone. What several modules share is in the first's block. Raises `PlanError` for
    `layers` where there is no one stack of them.
    """
    if by == "layers":
        path, stack = layers_of(model)
        named = {
            f"layers.{i}": [f"{path}.{i}.{name}" for name, _ in layer.named_parameters()]
            for i, layer in enumerate(stack)
        }
    else:
        named = {
            name.removesuffix(".weight"): [name, *_bias(model, name, by)]
            for name in body_weights(model)
        }
    seen: set[int] = set()
    blocks = {block: _unseen(model, names, seen) for block, names in named.items()}
    return {block: names for block, names in blocks.items() if names}


def _bias(model: nn.Module, name: str, by: By) -> list[str]:
    owner = model.get_submodule(name.removesuffix(".weight"))
    has_one = by == "modules" and owner._parameters.get("bias") is not None
    return [name.removesuffix("weight") + "bias"] if has_one else []


def _unseen(model: nn.Module, names: list[str], seen: set[int]) -> tuple[str, ...]:
    own = tuple(name for name in names if id(model.get_parameter(name)) not in seen)
    seen.update(id(model.get_parameter(name)) for name in own)
    return own
