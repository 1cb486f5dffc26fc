"""A model made ready to be exported, and put back as it was."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Eval mode and no key-value cache (a cache cannot be an output) for the time of the block.

    Every module gets its own training flag back, and every config its own `use_cache`.
    """
    training = {module: module.training for module in model.modules()}
    configs = {id(c): c for m in model.modules() if (c := getattr(m, "config", None)) is not None}
    caching = [config for config in configs.values() if getattr(config, "use_cache", False)]
    model.eval()
    for config in caching:
        config.use_cache = False
    try:
        yield
    finally:
        for module, flag in training.items():
            module.training = flag
        for config in caching:
            config.use_cache = True
