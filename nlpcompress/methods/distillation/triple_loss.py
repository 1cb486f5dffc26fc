"""DistilBERT's triple loss: the teacher's soft answers, the task's labels, and its last states.

The loss is `alpha_ce · T² · KL(teacher ‖ student) + alpha_task · task loss + alpha_cos · (1 - cos)`
of the last hidden states, token by token; the task is masked language modelling on plain text, or
any other of a teacher that was fine-tuned for it. The student is best made by `keep_layers`.

    - method: triple_loss
      config: {temperature: 2.0, alpha_ce: 5.0, alpha_task: 2.0, alpha_cos: 1.0}
      train: {num_train_epochs: 3, learning_rate: 5.0e-4, warmup_steps: 1000}

Source: Sanh et al. 2019 (DistilBERT), section 3; the weights 5, 2, 1 and T = 2 are those of the
commands in its code's README (the code's own defaults are others).
Differs: student and teacher may have other widths, with `proj: linear`. The divergence is a mean
over the tokens that are no padding, as there; `soft_targets: labelled` takes only those with a
label, which for masked language modelling are the masked ones.
Cost: plain text, or labelled data; a teacher with the student's vocabulary; one training; the
teacher's weights and one forward pass of it a batch, and its last states.
"""

from collections.abc import Sequence
from functools import partial
from typing import ClassVar, Literal

from pydantic import Field, PositiveFloat
from torch import nn

from nlpcompress.core.config import Config
from nlpcompress.core.method import Context, Objective, task_objective
from nlpcompress.methods.distillation.answer_count import AnswerCount
from nlpcompress.methods.distillation.answers import answer_loss, soft_loss_of
from nlpcompress.methods.distillation.looking_inside import LooksInside
from nlpcompress.methods.distillation.match import Match
from nlpcompress.models.stored_teacher import depth_of


class TripleLossConfig(Config):
    """The weights of the three losses."""

    temperature: float = Field(
        2.0, gt=0, description="softens both distributions: logits are divided by it"
    )
    alpha_ce: float = Field(5.0, ge=0, description="weight of the soft targets")
    alpha_task: float = Field(2.0, ge=0, description="weight of the task's own loss")
    alpha_cos: float = Field(1.0, ge=0, description="weight of the last hidden states' cosine")
    soft_targets: Literal["all", "labelled"] = Field(
        "all", description="of answers for tokens: all but padding, or only where a label is set"
    )
    proj: Literal["linear", "auto"] | None = Field(
        None, description="project the student's last states to the teacher's width (see features)"
    )
    proj_learning_rate: PositiveFloat = Field(1e-3, description="learning rate of the projection")


class TripleLoss(LooksInside):
    """Teaches a student as DistilBERT was taught."""

    name: ClassVar[str] = "triple_loss"
    Config: ClassVar[type[TripleLossConfig]] = TripleLossConfig

    def matches(self, student: nn.Module, teacher: nn.Module) -> Sequence[Match]:
        """The last states of both; none when the cosine weighs nothing."""
        config: TripleLossConfig = self.config
        if not config.alpha_cos:
            return ()
        last = {"layer_S": depth_of(student), "layer_T": depth_of(teacher)}
        return [Match(loss="cosine", weight=config.alpha_cos, proj=config.proj, **last)]

    def objectives(self, ctx: Context) -> tuple[Objective, ...]:
        """`soft_targets` and `task`; the cosine comes with what `prepare` returns."""
        config: TripleLossConfig = self.config
        everywhere = config.soft_targets == "all"
        soft_targets = partial(
            answer_loss,
            loss=soft_loss_of(ctx.teacher, config.temperature),
            all_tokens=everywhere,
        )
        count = AnswerCount(ctx.teacher, ctx.example_inputs, all_tokens=everywhere)
        return (
            Objective("soft_targets", config.alpha_ce, soft_targets, True, count),
            task_objective(config.alpha_task),
        )
