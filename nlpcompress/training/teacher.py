"""The teacher of a training: checked against the student, frozen, and run without gradients."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from nlpcompress.core.method import Method
from nlpcompress.errors import ConfigError
from nlpcompress.models.inputs import accepts


def prepare_teacher(teacher: nn.Module, student: nn.Module, *, device: torch.device) -> nn.Module:
    """The teacher on `device`, in eval mode, without gradients; the same object.

    Raises `ConfigError` when it shares parameters with the student, or when its labels or its
    vocabulary are not the student's.
    """
    _check_apart(teacher, student)
    _check_labels(teacher, student)
    _check_vocabulary(teacher, student)
    return teacher.to(device).eval().requires_grad_(False)


def require_teacher(methods: Sequence[Method], teacher: nn.Module | None) -> None:
    """Raises `ConfigError` when a method needs a teacher and there is none."""
    needing = [method.name for method in methods if method.needs_teacher]
    if needing and teacher is None:
        raise ConfigError(
            f"method '{needing[0]}' learns from a teacher, but none was given; "
            "pass teacher=, usually the model before it was cut"
        )


def teacher_runner(teacher: nn.Module, label_names: Sequence[str]) -> Callable[[Any], Any]:
    """From a batch to the teacher's output; labels, and what it does not know, stay out."""

    def run(inputs: Mapping[str, Tensor]) -> Any:
        known = {k: v for k, v in inputs.items() if k not in label_names and accepts(teacher, k)}
        with torch.no_grad():
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
    if any(_is_language_model(model) for model in (teacher, student)):
        return
    theirs, own = _config(teacher, "id2label"), _config(student, "id2label")
    if theirs is None or own is None or theirs == own:
        return
    if len(theirs) != len(own):
        raise ConfigError(
            f"the teacher has {len(theirs)} labels ({_some(theirs)}), the student {len(own)} "
            f"({_some(own)}); both must answer the same question: use a teacher of this task"
        )
    if sorted(theirs.values()) == sorted(own.values()):
        raise ConfigError(
            f"the teacher's labels are in another order ({_some(theirs)}) than the student's "
            f"({_some(own)}); load one of them with the other's id2label and train it so"
        )


def _check_vocabulary(teacher: nn.Module, student: nn.Module) -> None:
    theirs, own = _config(teacher, "vocab_size"), _config(student, "vocab_size")
    if theirs is not None and own is not None and theirs != own:
        raise ConfigError(
            f"the teacher's vocabulary has {theirs} tokens, the student's {own}: they have other "
            "tokenizers, and the same ids mean other words; use a teacher with the student's one"
        )


def _is_language_model(model: nn.Module) -> bool:
    return isinstance(model, PreTrainedModel) and model.get_output_embeddings() is not None


def _config(model: nn.Module, name: str) -> Any:
    return getattr(getattr(model, "config", None), name, None)


def _some(labels: Mapping[int, str]) -> str:
    names = [str(name) for _, name in sorted(labels.items())]
    return ", ".join(names[:5]) + (", …" if len(names) > 5 else "")
