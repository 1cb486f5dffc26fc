"""TinyBERT's distillation, in two trainings: first what lies in between, then the answers.

In `phase: layers` the student learns the teacher's attention scores, hidden states and embeddings,
and no labels; in `phase: prediction`, a stage of its own, the teacher's logits. The student may be
shallower and narrower and have fewer heads: projections, gone afterwards, make up for it.

    - method: layerwise
      config: {phase: layers}
      train: {num_train_epochs: 10, learning_rate: 5.0e-5, lr_scheduler_type: constant}

Source: Jiao et al. 2020 (TinyBERT), equations 5 to 11 and section 4.2. With a masked language model
as teacher and plain text, `phase: layers` is its general distillation.
Differs: padding does not count, in none of the means (its code sets padded scores to 0 and averages
over them, too). Embeddings and hidden states have a projection each, as in the paper (its code has
one), and only where widths differ (`proj: auto`); heads that differ are learnt as weighted sums
(it demands as many). Soft answers are compared by KL, times T², and averaged over examples (its
code has the mean over classes of the cross-entropy): at T = 1 the gradients differ by the number
of classes. Regression learns the teacher's values; its code learns the label:
`alpha_task: 1.0, alpha_ce: 0.0`.
Cost: data, unlabelled unless `alpha_task`, best augmented; a teacher with the student's vocabulary;
two trainings; the teacher's weights and one forward pass of it a batch, and in the first of them
the attention scores and states of all layers of both.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, ClassVar, Literal

from pydantic import Field, PositiveFloat
from torch import nn

from nlpcompress.core.config import Config
from nlpcompress.core.method import Context, Objective, task_objective
from nlpcompress.methods.distillation.answer_count import AnswerCount
from nlpcompress.methods.distillation.answers import answer_loss, soft_loss_of
from nlpcompress.methods.distillation.layer_maps import LAYER_MAPS, Pairs
from nlpcompress.methods.distillation.looking_inside import LooksInside
from nlpcompress.methods.distillation.match import Match
from nlpcompress.models.stored_teacher import depth_of


class LayerwiseConfig(Config):
    """Which of the two trainings, and the weights of what is learnt in it."""

    phase: Literal["layers", "prediction"] = Field(
        "layers", description="layers: attentions, states, embeddings; prediction: the logits"
    )
    layers: Literal["uniform", "last"] = Field(
        "uniform", description="which layer of the teacher each layer of the student learns from"
    )
    alpha_attention: float = Field(1.0, ge=0, description="weight of the attentions, summed up")
    alpha_hidden: float = Field(1.0, ge=0, description="weight of the hidden states, summed up")
    alpha_embedding: float = Field(1.0, ge=0, description="weight of the embeddings")
    proj: Literal["auto", "linear"] = Field(
        "auto", description="projections only where sizes differ (auto), or everywhere (linear)"
    )
    proj_learning_rate: PositiveFloat = Field(1e-3, description="learning rate of projections")
    temperature: float = Field(1.0, gt=0, description="softens both distributions (prediction)")
    alpha_ce: float = Field(1.0, ge=0, description="weight of the soft targets (prediction)")
    alpha_task: float = Field(0.0, ge=0, description="weight of the task's own loss, in both")


class LayerwiseDistillation(LooksInside):
    """Teaches a student as TinyBERT was taught."""

    name: ClassVar[str] = "layerwise"
    Config: ClassVar[type[LayerwiseConfig]] = LayerwiseConfig

    def matches(self, student: nn.Module, teacher: nn.Module) -> Sequence[Match]:
        """Attentions, states and embeddings; none in `phase: prediction`."""
        if self.config.phase == "prediction":
            return ()
        depths = depth_of(student), depth_of(teacher)
        return list(matches_of(self.config, LAYER_MAPS[self.config.layers](*depths, first=1)))

    def objectives(self, ctx: Context) -> tuple[Objective, ...]:
        """`task` alone in the first phase, the features come with what `prepare` returns."""
        config: LayerwiseConfig = self.config
        task = task_objective(config.alpha_task)
        if config.phase == "layers":
            return (task,)
        loss = partial(answer_loss, loss=soft_loss_of(ctx.teacher, config.temperature))
        count = AnswerCount(ctx.teacher, ctx.example_inputs)
        return (Objective("soft_targets", config.alpha_ce, loss, True, count), task)


def matches_of(config: LayerwiseConfig, pairs: Pairs) -> Iterator[Match]:
    """What is compared: a match's loss is the mean of its pairs, TinyBERT's their sum."""
    shared: dict[str, Any] = {"layers": tuple(pairs), "proj": config.proj}
    if config.alpha_attention:
        weight = config.alpha_attention * len(pairs)
        yield Match(feature="attention", weight=weight, **shared)
    if config.alpha_hidden:
        yield Match(weight=config.alpha_hidden * len(pairs), **shared)
    if config.alpha_embedding:
        yield Match(layer_S=0, layer_T=0, weight=config.alpha_embedding, proj=config.proj)
