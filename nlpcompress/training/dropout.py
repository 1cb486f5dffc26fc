"""Another dropout than a model's own, while it trains."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn
from torch.nn.modules.dropout import _DropoutNd


@contextmanager
def other_dropout(model: nn.Module, chance: float) -> Iterator[None]:
    """All dropout is `chance` for a while: of its layers, and of attention computed by a function,
    whose chance is a number of the module's, as in `attention_dropout`.
    """
    found = [
        (module, name, value) for module in model.modules() for name, value in _chances(module)
    ]
    for module, name, _ in found:
        setattr(module, name, chance)
    try:
        yield
    finally:
        for module, name, before in found:
            setattr(module, name, before)


def _chances(module: nn.Module) -> Iterator[tuple[str, float]]:
    if isinstance(module, _DropoutNd):
        yield "p", module.p
    for name, value in vars(module).items():
        if "dropout" in name and isinstance(value, float):
            yield name, value
