"""Weights that a stage's training leaves as they are: `freeze: ['*word_embeddings*']`."""

from collections.abc import Collection, Sequence
from contextlib import AbstractContextManager
from fnmatch import filter as matching

from torch import nn

from nlpcompress.core.modes import untrained
from nlpcompress.errors import ConfigError
from nlpcompress.recipe.schema import Recipe
from nlpcompress.recipe.source import skeleton


def frozen(model: nn.Module, patterns: Sequence[str]) -> AbstractContextManager[None]:
    """The weights whose names match do not learn for a while."""
    own = dict(model.named_parameters())
    return untrained(own[name] for name in _named(patterns, own))


def check_frozen(recipe: Recipe, *, labels: Sequence[str]) -> None:
    """Raises `ConfigError` when a pattern matches no weight of the start model, or all match."""
    if not any(stage.freeze for stage in recipe.stages):
        return
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
