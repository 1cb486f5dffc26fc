"""What the student answers beside what the teacher does, for every kind of head."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from nlpcompress.core.counts import IGNORED
from nlpcompress.core.method import Step
from nlpcompress.losses import logits_mse, soft_label_loss, soft_target_loss

SPANS = ("start_logits", "end_logits")
Noise = Callable[[Tensor], Tensor]


def soft_loss_of(teacher: nn.Module | None, temperature: float) -> Callable[..., Tensor]:
    """The loss of softened answers: of one distribution, or one a label where many may hold.

    Numbers (regression) are no distribution: their squared differences.
    """
    problem = getattr(getattr(teacher, "config", None), "problem_type", None)
    if problem == "regression":
        return logits_mse
    apart = problem == "multi_label_classification"
    return partial(soft_label_loss if apart else soft_target_loss, temperature=temperature)


def answer_loss(
    step: Step,
    loss: Callable[..., Tensor],
    *,
    all_tokens: bool = False,
    noise: Noise | None = None,
) -> Tensor:
    """`loss(student, teacher, mask=, classes=)` of a batch's answers; the mean of starts and ends.

    Of answers for tokens those count that have a label, or with `all_tokens` all but padding; no
    answer starts or ends at padding. A single output (regression) is compared by the squared
    difference. `noise` changes the teacher's logits `(B, …)`; starts and ends of an example
    together.
    """
    theirs = _answers(step.teacher_outputs)
    if noise is not None:
        theirs = _together(theirs, noise)
    found = []
    for name, student in _answers(step.outputs).items():
        mask = _counting(student, step, all_tokens=all_tokens)
        places = _places(step) if name in SPANS else None
        chosen = logits_mse if student.shape[-1] == 1 else loss
        found.append(chosen(student, theirs[name], mask=mask, classes=places))
    return torch.stack(found).mean()


def _answers(outputs: Any) -> dict[str, Tensor]:
    """The logits; question answering has two, of starts and of ends."""
    names = ("logits",) if "logits" in outputs else SPANS
    return {name: outputs[name] for name in names}


def _together(answers: dict[str, Tensor], noise: Noise) -> dict[str, Tensor]:
    changed = noise(torch.stack(list(answers.values()), dim=1))
    return dict(zip(answers, changed.unbind(1), strict=True))


def _places(step: Step) -> Tensor | None:
    """Bool `(B, T)`, where an answer may start or end; None: everywhere."""
    attention = step.inputs.get("attention_mask")
    return None if attention is None else attention.bool()


def _counting(logits: Tensor, step: Step, *, all_tokens: bool) -> Tensor | None:
    """Which tokens `(B, T)` of token logits `(B, T, C)` count; None for one answer an example."""
    if logits.dim() < 3:
        return None
    unused_of = {"attention_mask": 0} if all_tokens else {"labels": IGNORED, "attention_mask": 0}
    for name, unused in unused_of.items():
        values = step.inputs.get(name)
        if values is not None and values.shape == logits.shape[:-1]:
            return values != unused
    return None
