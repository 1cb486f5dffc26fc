"""Distillation of the logits: the student learns the teacher's softened answers beside the labels.

The loss is `alpha_ce · T² · KL(teacher ‖ student) + alpha_task · task loss`; it cuts nothing.

    - method: logits
      config: {temperature: 2.0, alpha_ce: 0.5}
      train: {num_train_epochs: 3, learning_rate: 5.0e-5}

Source: Hinton et al. 2015, section 2; Ba and Caruana 2014 for `loss: mse`; Sau and Balasubramanian
2016, section 3, for `noise_sigma`, which acts as many teachers would. Weights as in Sanh et al.
2019 and DistilBERT's `run_squad_w_distillation.py` (temperature 2, 0.5 and 0.5).
Differs: `alpha_ce` weighs the soft targets, as in DistilBERT; in other libraries `alpha` may weigh
the labels. Token outputs count only where a label is set (not -100), or where attention is; starts
and ends of answers are never at padding. Labels that do not exclude each other are a distribution
each. Regression has none: the squared difference stands in for it. An example that is drawn for
noise is so with all its tokens, its start and its end.
Cost: data, labelled unless `alpha_task: 0`; a teacher of the same labels and vocabulary; one
training; the teacher's weights and one forward pass of it a batch.
"""

from functools import partial
from typing import ClassVar, Literal

from pydantic import Field

from nlpcompress.core.config import Config
from nlpcompress.core.method import Context, Method, Objective, task_objective
from nlpcompress.losses import logits_mse, noisy_logits
from nlpcompress.methods.distillation.answer_count import AnswerCount
from nlpcompress.methods.distillation.answers import answer_loss, soft_loss_of


class LogitsConfig(Config):
    """Weights and softness of logit distillation."""

    temperature: float = Field(
        2.0,
        gt=0,
        description="softens both distributions: logits are divided by it; 1 = as they are",
    )
    loss: Literal["kl", "mse"] = Field(
        "kl", description="kl: of the softened distributions; mse: of the logits as they are"
    )
    alpha_ce: float = Field(0.5, ge=0, description="weight of the soft targets (not of the labels)")
    alpha_task: float | None = Field(
        None, ge=0, description="weight of the task's own loss; not given: 1 - alpha_ce, at least 0"
    )
    noise_sigma: float = Field(
        0.0,
        ge=0,
        description="noise of the teacher: each of its logits is multiplied by 1 + a normal number "
        "of this standard deviation, drawn anew each time; 0 = none",
    )
    noise_fraction: float = Field(
        1.0,
        gt=0,
        le=1,
        description="chance of an example to have noise at all; the paper tries values up to 1, "
        "per data set",
    )

    @property
    def task_weight(self) -> float:
        """`alpha_task`, or what `alpha_ce` leaves of 1."""
        return max(0.0, 1 - self.alpha_ce) if self.alpha_task is None else self.alpha_task


class LogitsDistillation(Method):
    """Teaches the student the teacher's softened logits."""

    name: ClassVar[str] = "logits"
    Config: ClassVar[type[LogitsConfig]] = LogitsConfig
    needs_teacher: ClassVar[bool] = True

    def objectives(self, ctx: Context) -> tuple[Objective, ...]:
        """`soft_targets` and `task`."""
        config: LogitsConfig = self.config
        softened = soft_loss_of(ctx.teacher, config.temperature)
        sigma, fraction = config.noise_sigma, config.noise_fraction
        soft_targets = partial(
            answer_loss,
            loss=logits_mse if config.loss == "mse" else softened,
            noise=partial(noisy_logits, sigma=sigma, fraction=fraction) if sigma else None,
        )
        count = AnswerCount(ctx.teacher, ctx.example_inputs)
        return (
            Objective("soft_targets", config.alpha_ce, soft_targets, True, count),
            task_objective(config.task_weight),
        )
