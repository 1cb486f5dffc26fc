"""Several teachers that answer as one."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers.utils import ModelOutput

from nlpcompress.errors import ConfigError
from nlpcompress.models.labels import config_value, labels_of, some_labels
from nlpcompress.models.signature import takes

Combine = Literal["logits", "probabilities"]
SPANS = ("start_logits", "end_logits")


class Ensemble(nn.Module):
    """Answers with a weighted mean of what its teachers answer; `config` is the first one's.

    `combine: logits` takes the mean of the logits, that is the geometric mean of the distributions,
    at any temperature. `combine: probabilities` takes the mean of the distributions, returned as
    its logarithm; it is exact at temperature 1, and with another one the mean is softened instead
    of the mean of the softened being taken. Labels that do not exclude each other are a
    distribution each; a number (regression) is averaged in both cases.

    `weights`, one a teacher, need not sum to 1; equal ones if not given. Each teacher gets the
    inputs that its own `forward` takes, and one of weight 0 does not run.

        teacher = Ensemble([bert, distilbert], weights=[2.0, 1.0])

    Raises `ConfigError` for less than two teachers, weights that are not theirs, and teachers of
    other labels or another vocabulary than the first.

    Source: Hinton et al. 2015, sections 2 and 5.3 (both means of an ensemble's predictions).
    """

    def __init__(
        self,
        teachers: Sequence[nn.Module],
        weights: Sequence[float] | None = None,
        combine: Combine = "logits",
    ) -> None:
        super().__init__()
        _check_teachers(teachers)
        _check_combine(combine)
        self.teachers = nn.ModuleList(teachers)
        self.weights = _normalized(weights, len(teachers))
        self.combine = combine
        self.config = getattr(teachers[0], "config", None)

    def forward(self, **inputs: Any) -> ModelOutput:
        """`logits`, or `start_logits` and `end_logits`, in float32 or wider.

        Raises `ConfigError` when the teachers' outputs are of other names or shapes.
        """
        active = [(t, w) for t, w in zip(self.teachers, self.weights, strict=True) if w > 0]
        answers = [_answers(teacher, inputs) for teacher, _ in active]
        weights = [weight for _, weight in active]
        mean = self._mean_logits if self.combine == "logits" else self._mean_probabilities
        found = {}
        for name in answers[0]:
            stacked = torch.stack([answer[name] for answer in _alike(answers)])
            shares = stacked.new_tensor(weights).view(-1, *[1] * (stacked.dim() - 1))
            hidden = _padding(name, stacked[0], inputs.get("attention_mask"))
            found[name] = mean(stacked, shares, hidden)
        return ModelOutput(found)

    def extra_repr(self) -> str:
        """What is not in the teachers."""
        return f"weights={self.weights}, combine={self.combine}"

    @staticmethod
    def _mean_logits(logits: Tensor, shares: Tensor, _: Tensor | None) -> Tensor:
        return (shares * logits).sum(0)

    def _mean_probabilities(self, logits: Tensor, shares: Tensor, hidden: Tensor | None) -> Tensor:
        kind = config_value(self, "problem_type")
        if kind == "regression" or logits.shape[-1] == 1:
            return (shares * logits).sum(0)
        if kind == "multi_label_classification":
            yes, no = (_log_mean(F.logsigmoid(side), shares) for side in (logits, -logits))
            return yes - no
        if hidden is not None:
            logits = logits.masked_fill(hidden, torch.finfo(logits.dtype).min)
        return _log_mean(F.log_softmax(logits, dim=-1), shares)


def members_of(teacher: nn.Module) -> tuple[nn.Module, ...]:
    """The models that a teacher consists of; itself, when it is no ensemble."""
    if not isinstance(teacher, Ensemble):
        return (teacher,)
    return tuple(member for each in teacher.teachers for member in members_of(each))


def _log_mean(logarithms: Tensor, shares: Tensor) -> Tensor:
    """log Σ share · exp(logarithm), over the first dimension."""
    return torch.logsumexp(logarithms + shares.log(), dim=0)


def _answers(teacher: nn.Module, inputs: Mapping[str, Any]) -> dict[str, Tensor]:
    output = teacher(**{name: value for name, value in inputs.items() if takes(teacher, name)})
    names = [name for name in ("logits", *SPANS) if name in output]
    if not names:
        raise ConfigError(
            f"{type(teacher).__name__} has no logits to combine (it returns {', '.join(output)}); "
            "give models with the task's head"
        )
    return {name: _wide(output[name]) for name in names}


def _alike(answers: list[dict[str, Tensor]]) -> list[dict[str, Tensor]]:
    shapes = [{name: tuple(values.shape) for name, values in a.items()} for a in answers]
    if any(shape != shapes[0] for shape in shapes):
        raise ConfigError(
            f"the teachers of an ensemble answer in other shapes: {'; '.join(map(str, shapes))}; "
            "all must answer the same question"
        )
    return answers


def _padding(name: str, logits: Tensor, attention: Tensor | None) -> Tensor | None:
    """Where places `(B, T)` are padding, which no share of a distribution of places may go to."""
    if name not in SPANS or attention is None or attention.shape != logits.shape:
        return None
    return attention == 0


def _wide(values: Tensor) -> Tensor:
    return values.to(torch.promote_types(values.dtype, torch.float32))


def _normalized(weights: Sequence[float] | None, count: int) -> tuple[float, ...]:
    given = [1.0] * count if weights is None else [float(weight) for weight in weights]
    if len(given) != count:
        raise ConfigError(f"{count} teachers, but {len(given)} weights; give one a teacher")
    if not all(math.isfinite(weight) and weight >= 0 for weight in given) or not sum(given):
        raise ConfigError(
            f"weights of teachers are {given}; they must be at least 0, finite, and not all 0"
        )
    return tuple(weight / sum(given) for weight in given)


def _check_combine(combine: str) -> None:
    if combine not in get_args(Combine):
        raise ConfigError(f"combine is '{combine}'; allowed: {', '.join(get_args(Combine))}")


def _check_teachers(teachers: Sequence[nn.Module]) -> None:
    if len(teachers) < 2:
        raise ConfigError(
            f"an ensemble of {len(teachers)} teacher(s); give two or more, or one as it is, "
            "without a list"
        )
    for number, teacher in enumerate(teachers[1:], start=2):
        _check_labels(number, labels_of(teacher), labels_of(teachers[0]))
        _check_vocabulary(number, *(config_value(t, "vocab_size") for t in (teacher, teachers[0])))


def _check_labels(number: int, own: Mapping[int, str] | None, first: Any) -> None:
    if own is not None and first is not None and own != first:
        raise ConfigError(
            f"teacher {number} of the ensemble has the labels {some_labels(own)}, the first "
            f"{some_labels(first)}; all must answer with the same labels, in the same order"
        )


def _check_vocabulary(number: int, own: int | None, first: int | None) -> None:
    if own is not None and first is not None and own != first:
        raise ConfigError(
            f"teacher {number} of the ensemble has a vocabulary of {own} tokens, the first of "
            f"{first}: the same ids mean other words; use teachers with one tokenizer"
        )
