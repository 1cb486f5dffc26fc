"""A model made ready to be exported, and put back as it was."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from torch import Tensor, nn

from nlpcompress.core.modes import eval_mode
from nlpcompress.models.halves import batch_in_float32


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


def suited(batch: Mapping[str, Tensor], model: nn.Module) -> dict[str, Tensor]:
    """The batch as a model in float32 takes it, on its device."""
    device = next(model.parameters()).device
    return {name: value.to(device) for name, value in batch_in_float32(batch).items()}
