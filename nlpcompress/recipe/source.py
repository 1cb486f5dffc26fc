"""The models and the processor that a recipe names; errors hold their path in the recipe."""

import copy
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import torch
import transformers
from safetensors import SafetensorError
from torch import nn
from transformers import PretrainedConfig, PreTrainedModel
from transformers.utils import CONFIG_NAME, IMAGE_PROCESSOR_NAME

from nlpcompress.core.positions import positions
from nlpcompress.data.augmentation.config import AugmentConfig
from nlpcompress.data.augmentation.word_model import WordModel
from nlpcompress.data.config import DataConfig
from nlpcompress.data.load import load_data
from nlpcompress.data.synthetic import VOCABULARY
from nlpcompress.data.table import MASKED_LM
from nlpcompress.data.task_data import TaskData
from nlpcompress.errors import ConfigError
from nlpcompress.models.ensemble import Ensemble
from nlpcompress.models.load import has_head, load_config, load_model, load_processor, resolve
from nlpcompress.models.pretraining import PRETRAINING, order_label
from nlpcompress.models.random import from_config, random_config, random_model, word_tokenizer
from nlpcompress.models.scaling import Factors, scale_config
from nlpcompress.models.tasks import task_named
from nlpcompress.recipe.schema import RANDOM, ModelConfig, Recipe

T = TypeVar("T")


def start_processor(model: ModelConfig) -> Any:
    """Tokenizer or image processor: the one that is named, else the start model's own.

    A random model has one of whole words for texts, and None for images: so has what such a model
    was saved as.
    """
    if model.processor is not None:
        return _processor(model.processor, model.task, "model.processor")
    if model.id == RANDOM:
        return word_tokenizer(VOCABULARY) if task_named(model.task).inputs == "text" else None
    if task_named(model.task).inputs != "text" and _lacks_processor(Path(model.id)):
        return None
    return _processor(model.id, model.task, "model.id")


def _lacks_processor(folder: Path) -> bool:
    return (folder / CONFIG_NAME).exists() and not (folder / IMAGE_PROCESSOR_NAME).exists()


def _processor(name: str, task: str, where: str) -> Any:
    return _found(lambda: load_processor(name, task=task), name, where)


def start_model(model: ModelConfig, *, labels: Sequence[str], seed: int) -> PreTrainedModel:
    """The model the recipe starts from; what its checkpoint lacks is drawn from `seed`.

    Raises `ConfigError` when there is no such model, `DataError` when its labels are others.
    """
    transformers.set_seed(seed)
    if model.id == RANDOM:
        return _random_model(model, labels)
    return _found(
        lambda: load_model(model.id, task=model.task, labels=labels), model.id, "model.id"
    )


def recipe_data(recipe: Recipe, processor: Any) -> TaskData:
    """Both splits, with labels as the start model's `forward` calls them.

    Raises `DataError`, and `ConfigError` when the model has not the heads for pretraining.
    """
    task, names = recipe.model.task, dict[str, Any]()
    if task == PRETRAINING:
        names["order_label"] = order_label(_config(recipe.model).model_type)
    data = scaled_data(recipe)
    return load_data(data, task=task, processor=processor, seed=recipe.seed, **names)


def scaled_data(recipe: Recipe) -> DataConfig:
    """With pictures as large as the model's scaling has them."""
    scaling, size = recipe.model.scaling, recipe.data.image_size
    if scaling is None or size is None:
        return recipe.data
    return recipe.data.model_copy(update={"image_size": round(size * scaling.resolution)})


def skeleton(model: ModelConfig, *, labels: Sequence[str]) -> PreTrainedModel:
    """The start model's shapes under random weights; no weight is read. Raises `ConfigError`."""
    if model.id == RANDOM:
        return _random_model(model, labels)
    config = _config(model)
    if getattr(config, "quantization_config", None) is not None:
        return start_model(model, labels=labels, seed=0)
    return from_config(config, task=model.task, labels=labels)


def _random_model(model: ModelConfig, labels: Sequence[str]) -> PreTrainedModel:
    texts = task_named(model.task).inputs == "text"
    tokenizer = start_processor(model) if texts else None
    return random_model(_config(model), task=model.task, labels=labels, tokenizer=tokenizer)


def check_lengths(recipe: Recipe) -> None:
    """Raises `ConfigError` when texts are to be longer than the start model has positions for."""
    model = recipe.model
    if task_named(model.task).inputs != "text":
        return
    lengths = {"data.max_length": recipe.data.max_length}
    lengths["bench.sequence_lengths"] = max(recipe.bench.sequence_lengths)
    most = _positions(_config(model), at_least=max(lengths.values()))
    for path, length in lengths.items():
        if most is not None and length > most:
            raise ConfigError(
                f"{path}: {length} tokens, but '{model.id}' has positions for {most}; "
                f"write at most {most}"
            )


def _positions(config: PretrainedConfig, *, at_least: int) -> int | None:
    """How many there are, None where that is not said; the model's own only where it is close."""
    stated = getattr(config, "max_position_embeddings", None)
    unused = (getattr(config, "pad_token_id", None) or 0) + 1
    if stated is None or at_least + unused <= stated:
        return stated
    return positions(_without_weights(config))


def _without_weights(config: PretrainedConfig) -> nn.Module:
    """The stock model of a config, with shapes alone."""
    plain = copy.deepcopy(config)
    if hasattr(plain, "quantization_config"):
        del plain.quantization_config
    with torch.device("meta"):
        return transformers.AutoModel.from_config(plain)


def _config(model: ModelConfig) -> PretrainedConfig:
    if model.id == RANDOM:
        config, scaling = random_config(model.config or {}), model.scaling
        return scale_config(config, Factors(scaling.width, scaling.depth)) if scaling else config
    return _found(lambda: load_config(model.id), model.id, "model.id")


def named_teacher(
    teachers: Mapping[str, float], *, task: str, labels: Sequence[str], where: str
) -> nn.Module:
    """The teacher that a stage names, or several, with their weights, as one.

    Raises as `start_model` does.
    """
    models = [
        _found(partial(load_model, name, task=task, labels=labels), name, where)
        for name in teachers
    ]
    return models[0] if len(models) == 1 else Ensemble(models, list(teachers.values()))


def check_teacher_tokenizer(teacher: str, processor: Any, *, task: str, where: str) -> None:
    """Raises `ConfigError` when the teacher's tokenizer numbers tokens in another way."""
    if task_named(task).inputs != "text":
        return
    theirs = _processor(teacher, task, where).get_vocab()
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


def word_model(config: AugmentConfig, where: str) -> WordModel:
    """The masked language model that proposes words. Raises `ConfigError`, `DataError`."""
    name = _named(config)
    check_word_model(config, where)
    masked_lm = _found(lambda: load_model(name, task=MASKED_LM), name, where)
    return WordModel(masked_lm, _processor(name, MASKED_LM, where))


def check_word_model(config: AugmentConfig | None, where: str) -> None:
    """Raises `ConfigError` when the model has no trained head to tell words with."""
    if config is None:
        return
    name = _named(config)
    found = _found(lambda: load_config(name), name, where)
    if not has_head(found, task_named(MASKED_LM)):
        raise ConfigError(
            f"{where}: '{name}' was saved as {' or '.join(found.architectures or ['nothing'])}, "
            "which tells no masked words; name a masked language model, or train one: a recipe "
            f"with the task {MASKED_LM}"
        )


def _named(config: AugmentConfig) -> str:
    assert config.masked_lm is not None, "a recipe without it passed its checks"
    return config.masked_lm


def _found(load: Callable[[], T], model_id: str, where: str) -> T:
    try:
        return load()
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ConfigError(
            f"{where}: '{model_id}' cannot be loaded: {first} (looked at: {resolve(model_id)}); "
            "name a folder, an installed model package or a hub id, and check the connection"
        ) from error
