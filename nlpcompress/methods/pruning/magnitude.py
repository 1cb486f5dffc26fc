"""Magnitude pruning while training: the smallest weights go, more of them by the cubic schedule.

The control to movement pruning: the same schedule, the same gates, nothing learnt beside the
weights, which are judged anew by their size before each step.

    - method: magnitude
      config: {final_threshold: 0.3}
      train: {num_train_epochs: 10, learning_rate: 3.0e-5, warmup_steps: 500}

Source: Zhu and Gupta 2018, section 3, for pruning while training; Han et al. 2015 for the
criterion; Sanh et al. 2020, table 1, for its place beside movement.
Differs: weights that are shut get no gradient, and so stay as they were; blocks are judged by their
mean magnitude.
Cost: labelled data; no teacher; one training; one mask of the size of the weights.
"""

from typing import ClassVar

from torch import nn

from nlpcompress.core.method import Context, Method
from nlpcompress.core.plan import Plan
from nlpcompress.gates import Gate, GateSet, ScheduledGates
from nlpcompress.methods.pruning.gating import structured_places, weight_places
from nlpcompress.methods.pruning.gradual import GradualConfig
from nlpcompress.methods.pruning.zeros import plan_for_zeros


class MagnitudeConfig(GradualConfig):
    """How much stays, and of what."""


class Magnitude(Method):
    """Prunes the smallest weights while it trains."""

    name: ClassVar[str] = "magnitude"
    Config: ClassVar[type[MagnitudeConfig]] = MagnitudeConfig
    cuts: ClassVar[bool] = True
    scheduled: ClassVar[bool] = True

    def prepare(self, model: nn.Module, ctx: Context) -> GateSet:
        """Gates on the body's weights, all open."""
        block = self.config.block
        places = (
            structured_places(model, ctx, block=block, heads=False, neurons=False)
            if block
            else weight_places(model)
        )
        return ScheduledGates(
            model,
            [Gate(place) for place in places],
            schedule=self.config.schedule(),
            rule=self.config.share_rule(),
        )

    def plan(self, model: nn.Module, ctx: Context) -> Plan:
        """What is empty leaves; zeros that are left are there to stay."""
        return plan_for_zeros(model, ctx, fill=self.config.fill)
