"""Weights that a stage's training leaves as they are: `freeze: ['*word_embeddings*']`."""

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from fnmatch import filter as matching

import torch
from torch import nn

from nlpcompress.errors import ConfigError
from nlpcompress.recipe.schema import Recipe
from nlpcompress.recipe.source import skeleton


@contextmanager
def frozen(model: nn.Module, patterns: Sequence[str]) -> Iterator[None]:
    """The weights whose names match take no gradient, and no room in an optimizer, for a while."""
    own = dict(model.named_parameters())
    left = [own[name] for name in _named(patterns, own) if own[name].requires_grad]
    for parameter in left:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in left:
            parameter.requires_grad_()


def check_frozen(recipe: Recipe, *, labels: Sequence[str]) -> None:
    """Raises `ConfigError` when a pattern matches no weight of the start model, or all match."""
    if not any(stage.freeze for stage in recipe.stages):
        return
    with torch.device("meta"):
        names = [name for name, _ in skeleton(recipe.model, labels=labels).named_parameters()]
    for position, stage in enumerate(recipe.stages):
        for number, pattern in enumerate(stage.freeze):
            if not matching(names, pattern):
                raise ConfigError(
                    f"stages.{position}.freeze.{number}: '{pattern}' matches no weight of "
                    f"'{recipe.model.id}', whose weights have names like {names[0]}"
                )
        if len(_named(stage.freeze, names)) == len(names):
            raise ConfigError(f"stages.{position}.freeze: leaves nothing to train")


def _named(patterns: Sequence[str], names: Collection[str]) -> set[str]:
    return {name for pattern in patterns for name in matching(names, pattern)}
