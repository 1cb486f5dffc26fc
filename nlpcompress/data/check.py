"""Everything about a data set that can be refused before it is read."""

from nlpcompress.core.nearest import nearest
from nlpcompress.data.config import PICTURE_CHANGES, DataConfig
from nlpcompress.data.files import check_files
from nlpcompress.data.hub import hub_id
from nlpcompress.data.table import (
    CORPUS_TASKS,
    DATASET_TASKS,
    DATASETS,
    FILE_FORMATS,
    IMAGES,
    MASKING_TASKS,
    PRETRAINING,
    TASKS,
)
from nlpcompress.errors import DataError


def check_source(config: DataConfig, *, task: str) -> None:
    """Raises `DataError`: an unknown name, one not for the task, or options not for the name."""
    _check_name(config.name)
    _check_task(config.name, task)
    _check_keys(config, task)
    if config.name in FILE_FORMATS:
        check_files(config)
    elif config.files:
        raise DataError(
            f"data.files goes with data.name {', '.join(FILE_FORMATS)}, not with '{config.name}'"
        )
    if config.path is not None and (config.name in FILE_FORMATS or config.name not in DATASETS):
        raise DataError(
            f"data.path says where a built-in data set lies; '{config.name}' does not use it"
        )


def _check_name(name: str) -> None:
    if name in DATASETS:
        return
    if "/" not in name:
        raise DataError(
            f"unknown data set '{name}'{nearest(name, DATASETS)} (a hub id is owner/name)"
        )
    hub_id(name)


def _check_task(name: str, task: str) -> None:
    if task not in TASKS:
        raise DataError(f"no data can be read for the task '{task}'{nearest(task, TASKS)}")
    served = DATASET_TASKS.get(name, TASKS)
    if task not in served:
        raise DataError(f"data set '{name}' serves {', '.join(served)}, not {task}")


def _check_keys(config: DataConfig, task: str) -> None:
    if task in CORPUS_TASKS and config.label_column is not None:
        raise DataError(
            f"data.label_column: '{config.label_column}', but the labels of {task} are made from "
            "the text itself; leave it out"
        )
    if task not in MASKING_TASKS and config.masking is not None:
        raise DataError(
            f"data.masking goes with model.task {' or '.join(MASKING_TASKS)}, not with {task}; "
            "leave it out"
        )
    for key in ("image_size", *PICTURE_CHANGES):
        if task != IMAGES and getattr(config, key):
            raise DataError(
                f"data.{key} goes with model.task {IMAGES}, not with {task}; leave it out"
            )
    if task == PRETRAINING and config.masking is not None and not config.masking.group:
        raise DataError(
            f"data.masking.group: false, but rows of {task} are pairs of segments; leave it out"
        )
