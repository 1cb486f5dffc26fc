"""Distillation of the logits: the student learns the teacher's softened answers beside the labels.

The loss is `alpha_ce · T² · KL(teacher ‖ student) + alpha_task · task loss`; it cuts nothing.

    - method: logits
      config: {temperature: 2.0, alpha_ce: 0.5}
      train: {num_train_epochs: 3, learning_rate: 5.0e-5}

Source: Hinton et al. 2015, section 2; Ba and Caruana 2014 for `loss: mse`. Weights as in Sanh et
al. 2019 and DistilBERT's `run_squad_w_distillation.py` (temperature 2, 0.5 and 0.5).
Differs: `alpha_ce` weighs the soft targets, as in DistilBERT; in other libraries `alpha` may weigh
the labels. Token outputs count only where a label is set (not -100), or where attention is; starts
and ends of answers are never at padding. Labels that do not exclude each other are a distribution
each. A single output (regression) has none: the squared difference stands in for it.
Cost: data, labelled unless `alpha_task: 0`; a teacher of the same labels and vocabulary; one
training; the teacher's weights and one forward pass of it a batch.
"""

from functools import partial
from typing import Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from nlpcompress.core.config import Config
from nlpcompress.core.method import Context, Method, Objective, Step
from nlpcompress.losses import logits_mse, soft_label_loss, soft_target_loss

SPANS = ("start_logits", "end_logits")


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
        softened = soft_label_loss if _labels_apart(ctx.teacher) else soft_target_loss
        loss = partial(softened, temperature=config.temperature)
        soft_targets = partial(answer_loss, loss=logits_mse if config.loss == "mse" else loss)
        return (
            Objective("soft_targets", config.alpha_ce, soft_targets, needs_teacher=True),
            Objective("task", config.task_weight, _task),
        )


def answer_loss(step: Step, loss: Any) -> Tensor:
    """`loss(student, teacher, mask=)` of the answers of a batch; the mean of starts and ends."""
    pairs = _pairs(step.outputs, step.teacher_outputs, step.inputs.get("attention_mask"))
    return torch.stack([_difference(*pair, loss, _mask(pair[0], step)) for pair in pairs]).mean()


def _difference(student: Tensor, teacher: Tensor, loss: Any, mask: Tensor | None) -> Tensor:
    single = student.shape[-1] == 1
    return (logits_mse if single else loss)(student, teacher, mask=mask)


def _labels_apart(teacher: nn.Module | None) -> bool:
    problem = getattr(getattr(teacher, "config", None), "problem_type", None)
    return problem == "multi_label_classification"


def _task(step: Step) -> Tensor:
    return step.task_loss


def _pairs(student: Any, teacher: Any, attention: Tensor | None) -> list[tuple[Tensor, Tensor]]:
    """The logits to compare; question answering has two, of starts and of ends."""
    if "logits" in student:
        return [(student["logits"], teacher["logits"])]
    return [(_unpadded(student[n], attention), _unpadded(teacher[n], attention)) for n in SPANS]


def _unpadded(logits: Tensor, attention: Tensor | None) -> Tensor:
    """Logits of places `(B, T)`, as low as can be at padding."""
    if attention is None:
        return logits
    return logits.masked_fill(attention == 0, torch.finfo(logits.dtype).min)


def _mask(logits: Tensor, step: Step) -> Tensor | None:
    """Which tokens `(B, T)` of token logits `(B, T, C)` count; None for one answer an example."""
    if logits.dim() < 3:
        return None
    for name, unused in (("labels", -100), ("attention_mask", 0)):
        values = step.inputs.get(name)
        if values is not None and values.shape == logits.shape[:-1]:
            return values != unused
    return None
