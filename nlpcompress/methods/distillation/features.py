"""Distillation of features: the student learns what the teacher computes in between.

Hidden states, attentions, queries, keys and values are read by hooks while both models run; widths
and heads that differ are made equal by projections that learn beside the student and are gone
afterwards.

    - method: features
      config:
        intermediate_matches:
          - {feature: hidden, loss: mse, layers: uniform}
          - {feature: attention, loss: mse, layers: uniform}
          - {feature: hidden, loss: cosine, layer_S: 3, layer_T: 6, weight: 0.5, proj: linear}
      train: {num_train_epochs: 5, learning_rate: 5.0e-5}

Source: Romero et al. 2015 (FitNets), section 2.2; Jiao et al. 2020 (TinyBERT), equations 7 to 9;
Wang et al. 2020 (MiniLM), equations 2 to 5; Park et al. 2019 (RKD); Zagoruyko and Komodakis 2017
(attention transfer). The keys of a match are TextBrewer's.
Differs: layers count from 1, and 0 is what goes into the first, for attentions as for hidden
states. A match of several layers is their mean; it has one projection for the hidden states of all
of them, and one for each pair of attentions.
Cost: data, labelled unless `alpha_task: 0`; a teacher with the student's vocabulary; one training;
the teacher's weights and one forward pass of it a batch, and the features of both.
"""

from collections.abc import Sequence
from typing import ClassVar

from pydantic import Field, PositiveFloat
from torch import nn

from nlpcompress.core.config import Config
from nlpcompress.core.method import Context, Objective, task_objective
from nlpcompress.methods.distillation.looking_inside import LooksInside
from nlpcompress.methods.distillation.match import Match


class FeaturesConfig(Config):
    """What is compared, and what else the student learns from."""

    intermediate_matches: tuple[Match, ...] = Field(
        (Match(layers="uniform"),),
        min_length=1,
        strict=False,
        description="the features that are compared",
    )
    alpha_task: float | None = Field(
        None, ge=0, description="weight of the task's own loss; not given: 1, or another method's"
    )
    proj_learning_rate: PositiveFloat = Field(1e-3, description="learning rate of projections")


class FeatureDistillation(LooksInside):
    """Teaches the student what the teacher computes in between."""

    name: ClassVar[str] = "features"
    Config: ClassVar[type[FeaturesConfig]] = FeaturesConfig

    def matches(self, student: nn.Module, teacher: nn.Module) -> Sequence[Match]:
        """Those of the config."""
        return self.config.intermediate_matches

    def objectives(self, ctx: Context) -> tuple[Objective, ...]:
        """`task`, if it is weighed here; the features' own come with what `prepare` returns."""
        weight = self.config.alpha_task
        return () if weight is None else (task_objective(weight),)
