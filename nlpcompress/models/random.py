"""Tiny models with random weights, and a tokenizer of whole words, for smoke runs."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import transformers
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import (
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
)

from nlpcompress.core.nearest import nearest
from nlpcompress.errors import ConfigError, NlpCompressError
from nlpcompress.models.cells import register
from nlpcompress.models.pretraining import PRETRAINING, order_label
from nlpcompress.models.tasks import Task, task_named

T = TypeVar("T")
SPECIAL = {
    "pad_token": "[PAD]",
    "unk_token": "[UNK]",
    "cls_token": "[CLS]",
    "sep_token": "[SEP]",
    "mask_token": "[MASK]",
}


def random_model(
    config: PretrainedConfig,
    *,
    task: str,
    labels: Sequence[str],
    tokenizer: PreTrainedTokenizerBase | None = None,
) -> PreTrainedModel:
    """A model with the task's head, weights drawn from torch's random state, in eval mode.

    The vocabulary of a text model is its `tokenizer`'s.
    """
    if tokenizer is not None:
        config.vocab_size, config.pad_token_id = len(tokenizer), tokenizer.pad_token_id
    return from_config(config, task=task, labels=labels)


def from_config(config: PretrainedConfig, *, task: str, labels: Sequence[str]) -> PreTrainedModel:
    """A model of that config with the task's head and random weights, in eval mode.

    Raises `ConfigError` for values that make no model, and for pretraining of one without those
    heads.
    """
    entry = task_named(task)
    if task == PRETRAINING:
        order_label(config.model_type)
    _set_head(config, entry, labels)
    return _told(lambda: getattr(transformers, entry.auto_class).from_config(config)).eval()


def random_config(config: Mapping[str, Any]) -> PretrainedConfig:
    """Of a `model_type` and fields of its config, every key checked. Raises `ConfigError`."""
    register()
    values = dict(config)
    kind = values.pop("model_type", None)
    known = transformers.CONFIG_MAPPING
    if not isinstance(kind, str) or kind not in known:
        raise ConfigError(
            f"model.config.model_type: unknown model type {kind!r}{nearest(str(kind), known)}"
        )
    fields = vars(known[kind]()) | dict.fromkeys(known[kind].attribute_map)
    wrong = [key for key in values if key not in fields]
    if wrong:
        public = [field for field in fields if not field.startswith("_")]
        raise ConfigError(
            "\n".join(f"model.config.{key}: unknown key{nearest(key, public)}" for key in wrong)
        )
    return _told(lambda: transformers.AutoConfig.for_model(kind, **values))


def _told(make: Callable[[], T]) -> T:
    """transformers has no one kind of error for values that make no model."""
    try:
        return make()
    except NlpCompressError:
        raise
    except Exception as error:
        said = " ".join(str(error).split()) or type(error).__name__
        raise ConfigError(f"model.config: no such model can be made: {said}") from error


def word_tokenizer(words: Sequence[str]) -> PreTrainedTokenizerFast:
    """One id a word in lower case, `[CLS] a [SEP]`, `[CLS] a [SEP] b [SEP]`; others are `[UNK]`."""
    vocabulary = {token: i for i, token in enumerate([*SPECIAL.values(), *words])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token=SPECIAL["unk_token"]))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[(name, vocabulary[name]) for name in ("[CLS]", "[SEP]")],
    )
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **SPECIAL)


def _set_head(config: PretrainedConfig, task: Task, labels: Sequence[str]) -> None:
    if task.problem_type:
        config.problem_type = task.problem_type
    if task.labelled:
        config.id2label = dict(enumerate(labels))
        config.label2id = {label: i for i, label in enumerate(labels)}
    elif task.problem_type == "regression":
        config.num_labels = 1
