"""What methods that compare features have in common: they say which, and the rest is here."""

from abc import abstractmethod
from collections.abc import Collection, Sequence
from typing import ClassVar

from torch import nn

from nlpcompress.core.method import Context, Gates, Method
from nlpcompress.errors import ConfigError
from nlpcompress.methods.distillation.match import Match
from nlpcompress.methods.distillation.matching import FeatureMatching, pairs_of


class LooksInside(Method):
    """A method that learns from what a teacher computes in between."""

    needs_teacher: ClassVar[bool] = True
    looks_inside: ClassVar[bool] = True

    @abstractmethod
    def matches(self, student: nn.Module, teacher: nn.Module) -> Sequence[Match]:
        """Which features are compared, and how; none when they weigh nothing."""

    def prepare(self, model: nn.Module, ctx: Context) -> Gates | None:
        """Hooks on both models, and projections where widths differ.

        Raises `ConfigError` for layers that are not there, features that a model does not have,
        and widths that differ without a projection; `PlanError` where layers are named by number
        and a model is not one stack of them.
        """
        assert ctx.teacher is not None, "a method that needs a teacher was let through without one"
        matches, rate = self.matches(model, ctx.teacher), self.config.proj_learning_rate
        return FeatureMatching(model, ctx, matches, proj_learning_rate=rate) if matches else None

    def looked_at(self, model: nn.Module, teacher: nn.Module) -> Collection[tuple[str, int | str]]:
        """The teacher's side of all matches. Raises `ConfigError` for attentions compared by KL."""
        matches = self.matches(model, teacher)
        return {
            (kind, place)
            for match, pairs in zip(matches, pairs_of(matches, model, teacher), strict=True)
            for kind in _stored(match)
            for _, place in pairs
        }


def _stored(match: Match) -> tuple[str, ...]:
    """The kinds that a match is made of."""
    if match.feature != "attention":
        return (match.feature,)
    if match.loss != "mse":
        raise ConfigError(
            f"{match.name} needs what the teacher's attention adds to its scores, which is not "
            "stored; compare by mse, or leave teacher_cache out"
        )
    return ("queries", "keys")
