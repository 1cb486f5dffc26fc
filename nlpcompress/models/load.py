"""Models and their processors, by folder, hub id or installed package."""

from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import transformers
from transformers import PretrainedConfig, PreTrainedModel

from nlpcompress.errors import DataError
from nlpcompress.models.cells import register
from nlpcompress.models.pretraining import PRETRAINING, order_label
from nlpcompress.models.tasks import Task, task_named


def resolve(model_id: str) -> str:
    """A folder, the folder in the installed package of that name, or the hub id as it is."""
    if Path(model_id).is_dir():
        return model_id
    try:
        files = metadata.files(model_id) or []
    except (metadata.PackageNotFoundError, ValueError):
        return model_id
    folders = [Path(file.locate()).parent for file in files if file.name == "config.json"]
    return next((str(folder) for folder in folders if any(folder.glob("*.safetensors"))), model_id)


def load_config(model_id: str) -> PretrainedConfig:
    """The model's config, a network of cells' too."""
    register()
    return transformers.AutoConfig.from_pretrained(resolve(model_id))


def load_model(model_id: str, *, task: str, labels: Sequence[str] = ()) -> PreTrainedModel:
    """The model with the task's head: the trained one where the checkpoint has it, else a new one
    for `labels`.

    `labels` are the classes in the order of the head's outputs; none for tasks without classes.
    Raises `UnknownNameError` for an unknown task, `DataError` when a trained head has other labels,
    `ConfigError` for pretraining of a model without those heads.
    """
    entry, folder = task_named(task), resolve(model_id)
    config = load_config(model_id)
    if task == PRETRAINING:
        order_label(config.model_type)
    if entry.labelled:
        _set_labels(config, entry, tuple(labels), model_id)
    if entry.problem_type:
        config.problem_type = entry.problem_type
    if entry.problem_type == "regression":
        _set_regression(config, entry, model_id)
    return getattr(transformers, entry.auto_class).from_pretrained(folder, config=config)


def load_processor(model_id: str, *, task: str) -> Any:
    """The tokenizer, or the image processor for image tasks."""
    images = task_named(task).inputs == "images"
    loader = transformers.AutoImageProcessor if images else transformers.AutoTokenizer
    return loader.from_pretrained(resolve(model_id))


def has_head(config: PretrainedConfig, task: Task) -> bool:
    """Whether the checkpoint of this config was saved with the task's head."""
    suffix = task.auto_class.removeprefix("Auto").removeprefix("Model")
    return any(name.endswith(suffix) for name in config.architectures or ())


def _set_labels(
    config: PretrainedConfig, task: Task, labels: tuple[str, ...], model_id: str
) -> None:
    own = tuple(config.id2label[i] for i in range(config.num_labels))
    if has_head(config, task):
        if labels and (len(own) != len(labels) or (_are_named(own) and own != labels)):
            raise DataError(
                f"the trained head of '{model_id}' has the labels {list(own)}, the data has "
                f"{list(labels)}; give the data's label names in the model's order, or start from "
                "a model without this head"
            )
        labels = labels or own
    if not labels:
        raise DataError(
            f"'{model_id}' has no trained head for this task: give the labels of a new one"
        )
    config.id2label = dict(enumerate(labels))
    config.label2id = {label: i for i, label in enumerate(labels)}


def _set_regression(config: PretrainedConfig, task: Task, model_id: str) -> None:
    if has_head(config, task) and config.num_labels != 1:
        raise DataError(
            f"the trained head of '{model_id}' has {config.num_labels} outputs, a regression needs "
            "one; start from a model without this head"
        )
    config.num_labels = 1


def _are_named(labels: tuple[str, ...]) -> bool:
    return labels != tuple(f"LABEL_{i}" for i in range(len(labels)))
