"""A training resumed from its last step is over: Trainer would take one step more.

`Trainer` looks whether it has to stop after a step, never before the first one.
"""

from typing import Any

from transformers import TrainerCallback, TrainerState, TrainingArguments


class NothingLeftError(Exception):
    """Nothing is left to train; the model is as the checkpoint has it."""


class StopWhenOver(TrainerCallback):
    """Raises `NothingLeftError` before the first step of a resumed training that has none left."""

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, *_: Any, **__: Any
    ) -> None:
        """Weights, optimizer and state are loaded by now."""
        if 0 < state.max_steps <= state.global_step:
            raise NothingLeftError
