"""TrainingArguments of a stage: what the recipe says, over what every stage needs."""

import dataclasses
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from transformers import TrainingArguments

from nlpcompress.errors import ConfigError
from nlpcompress.recipe.launch import LONGEST_WAIT, on_cpu
from nlpcompress.recipe.schema import Recipe
from nlpcompress.recipe.train_keys import GROUP_BY_LENGTH

PRECISION = "ACCELERATE_MIXED_PRECISION"
LAUNCHED_WITH = os.environ.get(PRECISION, "no")
"""What the launcher says: transformers 4 writes what a stage has there, and the next would read it.
"""
DEFAULTS: dict[str, Any] = {
    "save_total_limit": 2,
    "report_to": "none",
    "disable_tqdm": not sys.stderr.isatty(),
    "ddp_timeout": int(LONGEST_WAIT.total_seconds()),
}


def training_arguments(recipe: Recipe, position: int, output: Path) -> TrainingArguments:
    """Arguments of stage `position`. Raises `ConfigError` for values that do not go together."""
    train = _renamed(recipe.stages[position].train or {})
    saving = {} if "save_steps" in train or "save_strategy" in train else {"save_strategy": "epoch"}
    owned = {
        "output_dir": str(output),
        "seed": recipe.seed,
        "remove_unused_columns": False,
    }
    os.environ[PRECISION] = LAUNCHED_WITH
    machine = {"use_cpu": True} if on_cpu() else {}
    try:
        return TrainingArguments(**{**DEFAULTS, **saving, **machine, **train, **owned})
    except (ValueError, TypeError, ImportError) as error:
        raise ConfigError(f"stages.{position}.train: {error}") from None


def _renamed(train: Mapping[str, Any]) -> dict[str, Any]:
    """Batches of texts of like length, as the installed transformers calls them."""
    if GROUP_BY_LENGTH in {field.name for field in dataclasses.fields(TrainingArguments)}:
        return dict(train)
    rest = {key: value for key, value in train.items() if key != GROUP_BY_LENGTH}
    grouped = {"train_sampling_strategy": "group_by_length"} if train.get(GROUP_BY_LENGTH) else {}
    return {**rest, **grouped}


def check_arguments(recipe: Recipe, output: Path) -> None:
    """Build the arguments of every stage that trains, before any work. Raises `ConfigError`."""
    for position, stage in enumerate(recipe.stages):
        if stage.train is not None:
            training_arguments(recipe, position, output)
