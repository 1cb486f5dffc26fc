"""The teacher of a training: checked against the student, frozen, and run without gradients.

A list of teachers is an ensemble of equal weights; each of its models is checked.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from nlpcompress.core.method import Method
from nlpcompress.errors import ConfigError
from nlpcompress.models.ensemble import Ensemble, members_of
from nlpcompress.models.inputs import accepts
from nlpcompress.models.labels import config_value, labels_of, some_labels


def prepare_teacher(
    teacher: nn.Module, student: nn.Module, *, device: torch.device, own_tokens: bool = False
) -> nn.Module:
    """The teacher on `device`, in eval mode, without gradients; the same object.

    Raises `ConfigError` when it shares parameters with the student, or when its labels or, unless
    it has `own_tokens`, its vocabulary are not the student's; so for each model of an ensemble.
    """
    _check_apart(teacher, student)
    for member in members_of(teacher):
        _check_labels(member, student)
        if not own_tokens:
            _check_vocabulary(member, student)
    return teacher.to(device).eval().requires_grad_(False)


def require_teacher(
    methods: Sequence[Method], teacher: nn.Module | Sequence[nn.Module] | None
) -> nn.Module | None:
    """The teacher; of several, an ensemble of equal weights.

    Raises `ConfigError` when a method needs a teacher and there is none, or looks into an ensemble,
    and for what is no model.
    """
    several = isinstance(teacher, list | tuple)
    for one in teacher if several else [teacher]:
        if not isinstance(one, nn.Module | None):
            raise ConfigError(
                f"a teacher is a model, got {one!r}; load it first, as with "
                "nlpcompress.models.load_model(name, task=…)"
            )
    if several:
        teacher = Ensemble(teacher)
    needing = [method.name for method in methods if method.needs_teacher]
    if needing and teacher is None:
        raise ConfigError(
            f"method '{needing[0]}' learns from a teacher, but none was given; "
            "pass teacher=, usually the model before it was cut"
        )
    inside = [method.name for method in methods if method.looks_inside]
    if inside and isinstance(teacher, Ensemble):
        raise ConfigError(
            f"method '{inside[0]}' looks into the teacher, and an ensemble of "
            f"{len(members_of(teacher))} has no one inside; give it one of them, or learn from "
            "the answers of all with the method 'logits'"
        )
    return teacher


def teacher_runner(
    teacher: nn.Module,
    label_names: Sequence[str],
    *,
    precision: Callable[[], AbstractContextManager[Any]] = nullcontext,
) -> Callable[[Any], Any]:
    """From a batch to the teacher's output; labels, and what it does not know, stay out.

    It runs within a `precision()`, such as an autocast.
    """

    def run(inputs: Mapping[str, Tensor]) -> Any:
        known = {k: v for k, v in inputs.items() if k not in label_names and accepts(teacher, k)}
        with torch.no_grad(), precision():
            return teacher(**known)

    return run


def _check_apart(teacher: nn.Module, student: nn.Module) -> None:
    own = {id(parameter) for parameter in student.parameters()}
    if any(id(parameter) in own for parameter in teacher.parameters()):
        raise ConfigError(
            "teacher and student share parameters, and a teacher must not change; "
            "pass a copy: teacher=copy.deepcopy(model)"
        )


def _check_labels(teacher: nn.Module, student: nn.Module) -> None:
    theirs, own = labels_of(teacher), labels_of(student)
    if theirs is None or own is None or theirs == own:
        return
    if len(theirs) != len(own):
        raise ConfigError(
            f"the teacher has {len(theirs)} labels ({some_labels(theirs)}), the student {len(own)} "
            f"({some_labels(own)}); both must answer the same question: use a teacher of this task"
        )
    if sorted(theirs.values()) == sorted(own.values()):
        raise ConfigError(
            f"the teacher's labels are in another order ({some_labels(theirs)}) than the student's "
            f"({some_labels(own)}); load one of them with the other's id2label and train it so"
        )


def _check_vocabulary(teacher: nn.Module, student: nn.Module) -> None:
    theirs, own = config_value(teacher, "vocab_size"), config_value(student, "vocab_size")
    if theirs is not None and own is not None and theirs != own:
        raise ConfigError(
            f"the teacher's vocabulary has {theirs} tokens, the student's {own}: they have other "
            "tokenizers, and the same ids mean other words; use a teacher with the student's one"
        )
