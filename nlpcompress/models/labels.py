"""What a model's answers mean: the names of its labels."""

from collections.abc import Mapping
from typing import Any

from torch import nn
from transformers import PreTrainedModel


def labels_of(model: nn.Module) -> Mapping[int, str] | None:
    """Number → name; None when the model has none, or answers with words."""
    return None if is_language_model(model) else config_value(model, "id2label")


def is_language_model(model: nn.Module) -> bool:
    """Whether the model's answers are the words of its vocabulary."""
    return isinstance(model, PreTrainedModel) and model.get_output_embeddings() is not None


def config_value(model: nn.Module, name: str) -> Any:
    """A field of the model's config; None without such a field, or without a config."""
    return getattr(getattr(model, "config", None), name, None)


def some_labels(labels: Mapping[int, str]) -> str:
    """The first five names, for an error."""
    names = [str(name) for _, name in sorted(labels.items())]
    return ", ".join(names[:5]) + (", …" if len(names) > 5 else "")
