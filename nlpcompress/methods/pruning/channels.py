"""Cuts the channels of convolutional networks that matter least, by any of the field's criteria.

A channel is everything that must go with it: its filter, its batch norm, what reads it, and all
that residual sums and depthwise filters tie to it. In transformers the same cuts neurons.

    - method: channels
      config: {criterion: taylor, keep_macs: 0.5, round_to: 8}

Criteria: `l1`, `l2`: norms of the weights (Li et al. 2017); `batch_norm`: scales of batch norms,
with a training under an L1 penalty (Liu et al. 2017, Network Slimming); `taylor`: |∂L/∂z · z| of
activations (Molchanov et al. 2017, equation 8), `taylor_weight`: (g · w)² of weights (Molchanov et
al. 2019, equation 8); `hrank`: ranks of feature maps (Lin et al. 2020); `two_layer`: shares of
large weights in the layer and in the next (Singh et al. 2019); `random`: the control.
Source: those above, in `nlpcompress/scoring`.
Differs: scores are of all that is cut together, with floors in each layer, as a whole layer may
vanish else; one global ranking unless `per_layer` (HRank's rates by layer are set by hand), of
scores made comparable by `normalize`: as in the papers for taylor and batch_norm, by each layer's
mean for the others.
Cost: nothing for l1, l2, batch_norm, two_layer and random; `num_samples` examples for hrank, with
labels for taylor and taylor_weight. A recipe should train afterwards; to cut little by little,
alternate this stage with a training.
"""

import math
from collections.abc import Sequence
from fnmatch import fnmatchcase
from functools import partial
from typing import ClassVar

from pydantic import Field, model_validator
from torch import nn

from nlpcompress.axes import Axes, Axis, find_axes
from nlpcompress.core.config import Config, refuse_several
from nlpcompress.core.method import Context, Method
from nlpcompress.core.nearest import nearest
from nlpcompress.core.plan import Plan
from nlpcompress.errors import PlanError
from nlpcompress.gates.magnitude_penalty import MagnitudePenalty
from nlpcompress.methods.pruning.channel_budget import CutPrice, most_within
from nlpcompress.methods.pruning.channel_scores import (
    Criterion,
    Normalize,
    channel_scores,
    normalized,
    penalised,
)
from nlpcompress.methods.pruning.importance import Choose, ScoringConfig, final_scores
from nlpcompress.methods.pruning.layer_axes import channels_to_cut
from nlpcompress.methods.pruning.ranking import Kept, Scores, keep_best, keep_plan
from nlpcompress.scoring import on_device_of, weight_uses

HALF = 0.5
PENALTIES = {"batch_norm": 1e-4, "two_layer": 1e-5}
NORMALIZED: dict[str, Normalize] = {"taylor": "l2", "batch_norm": "none"}


class ChannelsConfig(Config):
    """How many channels stay, by which criterion."""

    criterion: Criterion = Field("taylor", description="what a channel is worth")
    keep: float | None = Field(
        None, gt=0, le=1, description="share of all channels that stays; 0.5 if nothing is given"
    )
    keep_macs: float | None = Field(
        None, gt=0, le=1, description="instead: share of the multiply-accumulates that stays"
    )
    keep_parameters: float | None = Field(
        None, gt=0, le=1, description="instead: share of the parameters that stays"
    )
    per_layer: bool = Field(
        False, description="the same share of each layer; else one ranking over all of them"
    )
    normalize: Normalize | None = Field(
        None,
        description="each layer's scores by their L2 norm or by their mean, or none; null: l2 for "
        "taylor, none for batch_norm, mean for others",
    )
    floor: float = Field(0.1, ge=0, le=1, description="share of each layer that stays at least")
    round_to: int = Field(
        8, ge=1, description="each layer keeps a multiple of this many channels, or all of them"
    )
    ignore: tuple[str, ...] = Field(
        (), strict=False, description="axes that stay whole: names, or patterns like stages.0.*"
    )
    rounds: int = Field(
        1, ge=1, description="with taylor: score again this often, dropping an equal share each"
    )
    num_samples: int | None = Field(
        512, ge=1, description="training examples to score with in each round; null: all"
    )
    penalty: float | None = Field(
        None,
        ge=0,
        description="with a training: price of the sum of magnitudes, of batch norms' scales for "
        "batch_norm (null: 1e-4), of weights for two_layer (null: 1e-5), for others null: none",
    )
    threshold: float = Field(
        1.0, gt=0, description="of two_layer: a weight is large beyond this many layer means"
    )

    @model_validator(mode="after")
    def _fits(self) -> "ChannelsConfig":
        refuse_several(self.shares)
        if self.rounds > 1 and self.criterion != "taylor":
            raise ValueError(f"rounds go with the criterion taylor, not with {self.criterion}")
        return self

    @property
    def shares(self) -> dict[str, float]:
        """What is to stay, by its key; at most one is given."""
        names = ("keep", "keep_macs", "keep_parameters")
        return {name: getattr(self, name) for name in names if getattr(self, name) is not None}


class Channels(Method):
    """Decides on channels by scores."""

    name: ClassVar[str] = "channels"
    Config: ClassVar[type[ChannelsConfig]] = ChannelsConfig
    cuts: ClassVar[bool] = True
    needs_batches: ClassVar[bool] = True
    stores_scores: ClassVar[bool] = True

    def prepare(self, model: nn.Module, ctx: Context) -> MagnitudePenalty | None:
        """The penalty that makes a criterion's weights sparse; None where there is none."""
        config = self.config
        penalty = PENALTIES.get(config.criterion, 0.0) if config.penalty is None else config.penalty
        if not penalty:
            return None
        return MagnitudePenalty(penalised(model, self._axes(model, ctx), config.criterion), penalty)

    def plan(self, model: nn.Module, ctx: Context) -> Plan:
        """One `keep` edit for each layer that loses channels.

        Raises `PlanError` where nothing can be cut or scored, `ConfigError` for a share that floors
        do not allow.
        """
        axes = self._axes(model, ctx)
        ((key, share),) = (self.config.shares or {"keep": HALF}).items()
        prices = None if key == "keep" else CutPrice(axes, _prices(model, ctx, key))
        choose = partial(self._choose, key, prices)
        scores = self._scores(model, axes, ctx, choose, share)
        return keep_plan(scores, choose(scores, share))

    def _axes(self, model: nn.Module, ctx: Context) -> list[Axis]:
        found = find_axes(model, on_device_of(model, ctx.example_inputs))
        ignored = [pattern for pattern in self.config.ignore if not _matching(found, pattern)]
        if ignored:
            raise PlanError(
                f"channels: ignore names '{ignored[0]}', which is no axis"
                f"{nearest(ignored[0], [axis.name for axis in found])}"
            )
        skipped = {name for pattern in self.config.ignore for name in _matching(found, pattern)}
        return [axis for axis in channels_to_cut(found) if axis.name not in skipped]

    def _scores(
        self, model: nn.Module, axes: Sequence[Axis], ctx: Context, choose: Choose, share: float
    ) -> dict[str, list[float]]:
        config = self.config
        if ctx.sizes_only:
            return {axis.name: [1.0] * axis.size for axis in axes}
        if config.criterion == "taylor":
            scoring = ScoringConfig(
                keep=share, normalize=False, rounds=config.rounds, num_samples=config.num_samples
            )
            return final_scores(model, axes, ctx, config=scoring, choose=choose)
        scores = channel_scores(
            model,
            axes,
            ctx,
            config.criterion,
            num_samples=config.num_samples,
            threshold=config.threshold,
        )
        return {name: one.tolist() for name, one in scores.items()}

    def _choose(self, key: str, prices: CutPrice | None, scores: Scores, share: float) -> Kept:
        ranked = partial(self._ranked, scores)
        return ranked(share) if prices is None else most_within(ranked, prices, share, key)

    def _ranked(self, scores: Scores, keep: float) -> Kept:
        config = self.config
        how = config.normalize or NORMALIZED.get(config.criterion, "mean")
        scores = {name: normalized(own, how) for name, own in scores.items()}
        floors = {n: max(1, math.ceil(config.floor * len(own))) for n, own in scores.items()}
        parts = [{n: own} for n, own in scores.items()] if config.per_layer else [scores]
        kept: Kept = {}
        for part in parts:
            kept |= keep_best(part, keep=keep, min_keep=floors, round_to=config.round_to)
        return kept


def _matching(axes: Axes, pattern: str) -> list[str]:
    return [axis.name for axis in axes if fnmatchcase(axis.name, pattern)]


def _prices(model: nn.Module, ctx: Context, key: str) -> dict[str, int]:
    """Name of each tensor → its multiply-accumulates, or its numbers."""
    sizes = {name: weight.numel() for name, weight in model.named_parameters()}
    if key == "keep_parameters":
        return sizes
    uses = weight_uses(model, ctx.example_inputs)
    return {name: sizes[name] * count for name, count in uses.items() if name in sizes}
