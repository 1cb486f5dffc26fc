"""The models and the processor that a recipe names; errors hold their path in the recipe."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import transformers
from safetensors import SafetensorError
from transformers import PretrainedConfig, PreTrainedModel

from nlpcompress.data.synthetic import VOCABULARY
from nlpcompress.errors import ConfigError
from nlpcompress.models.load import load_model, load_processor, resolve
from nlpcompress.models.random import from_config, random_config, random_model, word_tokenizer
from nlpcompress.models.tasks import task_named
from nlpcompress.recipe.schema import RANDOM, ModelConfig, Recipe

T = TypeVar("T")


def start_processor(model: ModelConfig) -> Any:
    """Tokenizer or image processor of the start model; None for a random image model."""
    if model.id == RANDOM:
        return word_tokenizer(VOCABULARY) if task_named(model.task).inputs == "text" else None
    return _found(lambda: load_processor(model.id, task=model.task), model.id, "model.id")


def start_model(model: ModelConfig, *, labels: Sequence[str], seed: int) -> PreTrainedModel:
    """The model the recipe starts from; what its checkpoint lacks is drawn from `seed`.

    Raises `ConfigError` when there is no such model, `DataError` when its labels are others.
    """
    transformers.set_seed(seed)
    if model.id == RANDOM:
        return random_model(model.config or {}, task=model.task, labels=labels, words=VOCABULARY)
    return _found(
        lambda: load_model(model.id, task=model.task, labels=labels), model.id, "model.id"
    )


def skeleton(model: ModelConfig, *, labels: Sequence[str]) -> PreTrainedModel:
    """The start model's shapes under random weights; no weight is read. Raises `ConfigError`."""
    if model.id == RANDOM:
        return random_model(model.config or {}, task=model.task, labels=labels, words=VOCABULARY)
    config = _config(model)
    if getattr(config, "quantization_config", None) is not None:
        return start_model(model, labels=labels, seed=0)
    return from_config(config, task=model.task, labels=labels)


def check_lengths(recipe: Recipe) -> None:
    """Raises `ConfigError` when texts are to be longer than the start model has positions for."""
    model = recipe.model
    if task_named(model.task).inputs != "text":
        return
    positions = getattr(_config(model), "max_position_embeddings", None)
    lengths = {"data.max_length": recipe.data.max_length}
    lengths["bench.sequence_lengths"] = max(recipe.bench.sequence_lengths)
    for path, length in lengths.items():
        if positions is not None and length > positions:
            raise ConfigError(
                f"{path}: {length} tokens, but '{model.id}' has positions for {positions}; "
                f"write at most {positions}"
            )


def _config(model: ModelConfig) -> PretrainedConfig:
    if model.id == RANDOM:
        return random_config(model.config or {})
    return _found(
        lambda: transformers.AutoConfig.from_pretrained(resolve(model.id)), model.id, "model.id"
    )


def named_teacher(teacher: str, *, task: str, labels: Sequence[str], where: str) -> PreTrainedModel:
    """A teacher that a stage names. Raises as `start_model` does."""
    return _found(lambda: load_model(teacher, task=task, labels=labels), teacher, where)


def check_teacher_tokenizer(teacher: str, processor: Any, *, task: str, where: str) -> None:
    """Raises `ConfigError` when the teacher's tokenizer numbers tokens in another way."""
    if task_named(task).inputs != "text":
        return
    theirs = _found(lambda: load_processor(teacher, task=task), teacher, where).get_vocab()
    own = processor.get_vocab()
    if theirs == own:
        return
    other = sorted(
        token for token in own.keys() | theirs.keys() if own.get(token) != theirs.get(token)
    )
    some = ", ".join(map(repr, other[:3]))
    raise ConfigError(
        f"{where}: the teacher '{teacher}' has another tokenizer than the student: {len(other)} "
        f"tokens ({some}, …) have another id or none, so the same ids mean other words; name a "
        "teacher with the student's tokenizer"
    )


def _found(load: Callable[[], T], model_id: str, where: str) -> T:
    try:
        return load()
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ConfigError(
            f"{where}: '{model_id}' cannot be loaded: {first} (looked at: {resolve(model_id)}); "
            "name a folder, an installed model package or a hub id, and check the connection"
        ) from error
