"""Distillation of the logits: the student learns the teacher's softened answers beside the labels.

The loss is `alpha_ce · T² · KL(teacher ‖ student) + alpha_task · task loss`; it cuts nothing.

    - method: logits
      config: {temperature: 2.0, alpha_ce: 0.5}
      train: {num_train_epochs: 3, learning_rate: 5.0e-5}

Source: Hinton et al. 2015, section 2. Weights as in Sanh et al. 2019 and DistilBERT's
`run_squad_w_distillation.py` (temperature 2, 0.5 and 0.5).
Differs: `alpha_ce` weighs the soft targets, as in DistilBERT; in other libraries `alpha` may weigh
the labels. Token outputs count only where a label is set (not -100), or where attention is. A
single output (regression) has no distribution: the squared difference stands in for it.
Cost: data, labelled unless `alpha_task: 0`; a teacher of the same labels and vocabulary; one
training; the teacher's weights and one forward pass of it a batch.
"""

from typing import Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from nlpcompress.core.config import Config
from nlpcompress.core.method import Context, Method, Objective, Step
from nlpcompress.errors import ConfigError
from nlpcompress.losses import logits_mse, soft_target_loss


class LogitsConfig(Config):
    """Weights and softness of logit distillation."""

    temperature: float = Field(
        2.0,
        gt=0,
        description="softens both distributions: logits are divided by it; 1 = as they are",
    )
    alpha_ce: float = Field(0.5, ge=0, description="weight of the soft targets (not of the labels)")
    alpha_task: float | None = Field(
        None, ge=0, description="weight of the task's own loss; not given: 1 - alpha_ce, at least 0"
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
        """`soft_targets` and `task`. Raises `ConfigError` for a multi-label teacher."""
        _refuse_multi_label(ctx.teacher)
        return (
            Objective("soft_targets", self.config.alpha_ce, self._soft_targets, needs_teacher=True),
            Objective("task", self.config.task_weight, _task),
        )

    def _soft_targets(self, step: Step) -> Tensor:
        pairs = _pairs(step.outputs, step.teacher_outputs)
        return torch.stack([self._difference(*pair, _mask(pair[0], step)) for pair in pairs]).mean()

    def _difference(self, student: Tensor, teacher: Tensor, mask: Tensor | None) -> Tensor:
        if student.shape[-1] == 1:
            return logits_mse(student, teacher, mask=mask)
        temperature = self.config.temperature
        return soft_target_loss(student, teacher, temperature=temperature, mask=mask)


def _refuse_multi_label(teacher: nn.Module | None) -> None:
    problem = getattr(getattr(teacher, "config", None), "problem_type", None)
    if problem == "multi_label_classification":
        raise ConfigError(
            "logits: the teacher's problem_type is 'multi_label_classification', but soft targets "
            "are one distribution over the labels; distil a single-label or a regression teacher"
        )


def _task(step: Step) -> Tensor:
    return step.task_loss


def _pairs(student: Any, teacher: Any) -> list[tuple[Tensor, Tensor]]:
    """The logits to compare; question answering has two, of starts and of ends."""
    names = ("logits",) if "logits" in student else ("start_logits", "end_logits")
    return [(student[name], teacher[name]) for name in names]


def _mask(logits: Tensor, step: Step) -> Tensor | None:
    """Which tokens `(B, T)` of token logits `(B, T, C)` count; None for one answer an example."""
    if logits.dim() < 3:
        return None
    for name, unused in (("labels", -100), ("attention_mask", 0)):
        values = step.inputs.get(name)
        if values is not None and values.shape == logits.shape[:-1]:
            return values != unused
    return None
