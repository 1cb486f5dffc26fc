"""How long TinyBERT trains on each GLUE task, in both of its phases."""

import math
from typing import Any

from transformers import TrainingArguments

from nlpcompress.core.nearest import nearest
from nlpcompress.errors import ConfigError

LAYER_EPOCHS = {
    "cola": 50,
    "mnli": 5,
    "mrpc": 20,
    "qnli": 10,
    "qqp": 5,
    "rte": 20,
    "sst2": 10,
    "stsb": 20,
}
"""Epochs over augmented data in `phase: layers`."""
PREDICTION_EPOCHS = 3
BATCH = 32


def tinybert_arguments(
    task: str, phase: str, *, rows: int, output_dir: str, **changes: Any
) -> TrainingArguments:
    """`TrainingArguments` of one phase (`layers` or `prediction`) for a GLUE task.

    `rows` is the number of training examples, augmented ones included; `changes` are further
    `TrainingArguments`, and go before. Batches of 32, weight decay 0.01; for layers the learning
    rate is 5e-5 all the time, for predictions 3e-5 with a tenth of the steps of warm-up, then
    falling to 0.

    Source: Jiao et al. 2020, section 4.2, and the table in `task_distill.py`.
    Differs: that table is never applied there, as its keys are misspelt.
    Raises `ConfigError` for another task or phase.
    """
    if task not in LAYER_EPOCHS:
        raise ConfigError(f"no schedule for the task '{task}'{nearest(task, LAYER_EPOCHS)}")
    phases = {"layers": _layers, "prediction": _prediction}
    if phase not in phases:
        raise ConfigError(f"phase '{phase}'; choose layers or prediction")
    plain = {"output_dir": output_dir, "per_device_train_batch_size": BATCH, "weight_decay": 0.01}
    return TrainingArguments(**{**plain, **phases[phase](task, rows), **changes})


def _layers(task: str, rows: int) -> dict[str, Any]:
    return {
        "num_train_epochs": LAYER_EPOCHS[task],
        "learning_rate": 5e-5,
        "lr_scheduler_type": "constant",
    }


def _prediction(task: str, rows: int) -> dict[str, Any]:
    steps = math.ceil(rows / BATCH) * PREDICTION_EPOCHS
    return {
        "num_train_epochs": PREDICTION_EPOCHS,
        "learning_rate": 3e-5,
        "lr_scheduler_type": "linear",
        "warmup_steps": round(0.1 * steps),
    }
