"""The one stack of layers that depth edits cut."""

from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from torch import nn

from nlpcompress.errors import PlanError


def layers_of(model: nn.Module) -> tuple[str, nn.ModuleList]:
    """Path and list of the model's layers: the one list as long as `config.num_hidden_layers`, all
    of one class.

    Raises `PlanError` when there is none (convolutional models), when one layer is shared by all
    depths (ALBERT), or when there are several stacks (encoder-decoders).
    """
    name, config = type(model).__name__, model.config
    if hasattr(config, "num_hidden_groups"):
        raise PlanError(
            f"{name} runs the same {config.num_hidden_groups} group(s) of layers at every depth, "
            "so there is no list of layers to keep some of; lower config.num_hidden_layers instead"
        )
    staged = hasattr(config, "depths")
    depth = None if staged else getattr(config, "num_hidden_layers", None)
    stacks = [(path, layers) for path, layers in stacks_of(model) if len(layers) == depth]
    if len(stacks) != 1:
        found = ", ".join(path for path, _ in stacks) or "none"
        raise PlanError(f"{name} needs exactly one stack of layers for keep_layers; found: {found}")
    return stacks[0]


@contextmanager
def only_layers(model: nn.Module, kept: Collection[int]) -> Iterator[None]:
    """All layers but those `kept` hand on what they are given, as if they were not there."""
    _, stack = layers_of(model)
    with ExitStack() as hooks:
        for number, layer in enumerate(stack):
            if number not in kept:
                handle = layer.register_forward_hook(_return_input, with_kwargs=True)
                hooks.callback(handle.remove)
        yield


def _return_input(
    layer: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any
) -> Any:
    hidden = args[0] if args else kwargs["hidden_states"]
    return (hidden, *output[1:]) if isinstance(output, tuple) else hidden


def stacks_of(model: nn.Module) -> list[tuple[str, nn.ModuleList]]:
    """Lists of modules of one class that do not lie inside such a list, with their paths."""
    found: list[tuple[str, nn.ModuleList]] = []
    for path, module in model.named_modules():
        inside = any(path.startswith(f"{outer}.") for outer, _ in found)
        if isinstance(module, nn.ModuleList) and not inside and len({type(m) for m in module}) == 1:
            found.append((path, module))
    return found
