"""A model made ready to be exported, and put back as it was."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

from nlpcompress.core.modes import eval_mode


@contextmanager
def exporting(model: nn.Module) -> Iterator[None]:
    """Eval mode and no key-value cache (a cache cannot be an output) for the time of the block.

    Every module gets its own training flag back, and every config its own `use_cache`.
    """
    configs = {id(c): c for m in model.modules() if (c := getattr(m, "config", None)) is not None}
    caching = [config for config in configs.values() if getattr(config, "use_cache", False)]
    for config in caching:
        config.use_cache = False
    try:
        with eval_mode(model):
            yield
    finally:
        for config in caching:
            config.use_cache = True
