"""The `train:` block of a stage: TrainingArguments of transformers, checked, not built."""

import dataclasses
import enum
import typing
from collections.abc import Mapping
from typing import Any

import pydantic
from transformers import TrainingArguments

from nlpcompress.core.config import number_in_text
from nlpcompress.core.nearest import nearest

OWNED = {
    "output_dir": "the recipe keeps checkpoints in <out>/.stages",
    "overwrite_output_dir": "the recipe keeps checkpoints in <out>/.stages",
    "resume_from_checkpoint": "a killed run resumes by itself",
    "seed": "set the recipe's own `seed`",
    "data_seed": "set the recipe's own `seed`",
    "local_rank": "it comes from the launcher",
    "do_train": "a stage trains when it has a `train:` block",
    "do_eval": "the report measures the test set; nothing else may look at it",
    "do_predict": "the report measures the test set; nothing else may look at it",
    "eval_strategy": "the report measures the test set; nothing else may look at it",
    "eval_on_start": "the report measures the test set; nothing else may look at it",
    "load_best_model_at_end": "there is no validation set, and the test set chooses nothing",
    "save_only_model": "a killed run resumes from whole checkpoints",
    "remove_unused_columns": "the data set and its collate function belong together",
    "push_to_hub": "use `nlpcompress push` when the run is done",
    "hub_model_id": "use `nlpcompress push` when the run is done",
    "hub_token": "use `nlpcompress push` when the run is done",
    "hub_strategy": "use `nlpcompress push` when the run is done",
    "hub_private_repo": "use `nlpcompress push` when the run is done",
    "hub_always_push": "use `nlpcompress push` when the run is done",
    "hub_revision": "use `nlpcompress push` when the run is done",
}
"""Keys that a recipe answers itself, and how."""

NOT_PORTABLE = {
    "warmup_ratio": "transformers 5 has no such key; write `warmup_steps`, a whole number",
    "no_cuda": "transformers 5 has no such key; write `use_cpu`",
    "use_mps_device": "transformers 5 has no such key",
    "evaluation_strategy": "no supported transformers has such a key",
    "adafactor": "transformers 5 has no such key; write `optim: adafactor`",
    "per_gpu_train_batch_size": "transformers 5 has no such key; write "
    "`per_device_train_batch_size`",
    "per_gpu_eval_batch_size": "transformers 5 has no such key; write `per_device_eval_batch_size`",
    "save_safetensors": "transformers 5 has no such key, and always saves safetensors",
    "half_precision_backend": "transformers 5 has no such key",
    "fp16_opt_level": "transformers 5 has no such key",
    "torchdynamo": "transformers 5 has no such key; write `torch_compile`",
    "logging_dir": "transformers 5 has no such key",
    "include_inputs_for_metrics": "transformers 5 has no such key",
    "include_tokens_per_second": "transformers 5 has no such key",
    "jit_mode_eval": "transformers 5 has no such key",
    "past_index": "transformers 5 has no such key",
    "activation_checkpointing": "transformers 4.57 has no such key; write `gradient_checkpointing`",
    "train_sampling_strategy": "transformers 4.57 has no such key; write `group_by_length: true`",
    "use_cache": "transformers 4.57 has no such key",
    "enable_jit_checkpoint": "transformers 4.57 has no such key",
}
"""Keys of only one of the generations that a recipe must run on."""

POSITIVE = frozenset(
    {
        "num_train_epochs",
        "per_device_train_batch_size",
        "per_device_eval_batch_size",
        "gradient_accumulation_steps",
        "learning_rate",
        "logging_steps",
        "save_steps",
        "save_total_limit",
    }
)
WHOLE = frozenset({"warmup_steps"})
"""Transformers 5 reads a fraction here as a share of all steps, 4.57 refuses it."""


GROUP_BY_LENGTH = "group_by_length"
"""A key of transformers 4.57, which recipes may use; it is translated for transformers 5."""


def train_problems(train: Mapping[str, Any], where: str) -> list[str]:
    """One line for each key that is unknown, not for recipes, or has a wrong value."""
    known = _hints()
    found = [(key, _problem(str(key), value, known)) for key, value in train.items()]
    return [f"{where}.{key}: {problem}" for key, problem in found if problem]


def _hints() -> dict[str, Any]:
    hints = typing.get_type_hints(TrainingArguments)
    own = {
        field.name: hints[field.name]
        for field in dataclasses.fields(TrainingArguments)
        if not field.name.startswith("_")
    }
    return {GROUP_BY_LENGTH: bool, **own}


def _problem(key: str, value: object, known: Mapping[str, Any]) -> str | None:
    if key in OWNED:
        return f"not for a recipe to set: {OWNED[key]}"
    if key in NOT_PORTABLE:
        return f"works on only some transformers: {NOT_PORTABLE[key]}"
    if key not in known:
        allowed = set(known) - set(OWNED) - set(NOT_PORTABLE)
        return f"no key of TrainingArguments{nearest(key, allowed)}"
    return _bound_problem(key, value) or _type_problem(known[key], value)


def _type_problem(hint: Any, value: object) -> str | None:
    choices = _choices(hint)
    if choices and isinstance(value, str):
        return None if value in choices else f"unknown value '{value}'{nearest(value, choices)}"
    try:
        adapter = pydantic.TypeAdapter(hint, config={"strict": True, "allow_inf_nan": False})
        adapter.validate_python(value)
    except pydantic.ValidationError as error:
        return _explain(error, hint, value)
    return None


def _choices(hint: Any) -> list[str]:
    """The texts a key takes when its type is an enumeration (or text that names its members)."""
    kinds = typing.get_args(hint) or (hint,)
    enums = [k for k in kinds if isinstance(k, type) and issubclass(k, enum.Enum)]
    return [str(member.value) for kind in enums for member in kind]


def _explain(error: pydantic.ValidationError, hint: Any, value: object) -> str:
    number = number_in_text(value)
    if number is not None:
        return (
            f"{value!r} is text, not a number; write {number} "
            "(YAML 1.1 reads 1e-3 as text, 1.0e-3 as a number)"
        )
    wanted = " or ".join(dict.fromkeys(e["msg"] for e in error.errors(include_url=False)))
    return f"{wanted[:1].lower()}{wanted[1:]} (value: {value!r})"


def _bound_problem(key: str, value: object) -> str | None:
    if key in POSITIVE and isinstance(value, int | float) and value <= 0:
        return f"must be above 0 (value: {value!r})"
    if key in WHOLE and isinstance(value, float):
        return f"must be a whole number of steps (value: {value!r})"
    return None
