"""Several trainings of one stage: each but the first starts from a step of the first.

In `output_dir` lie `rewind/checkpoint-<k>`, the first training at the step that the others go back
to, and `round-<r>` with the checkpoints of each training. Between two trainings the start of the
next one is written as a checkpoint, so that a round, like a killed run, is always a resumed one.
"""

from __future__ import annotations

import copy
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor, nn
from transformers import TrainerCallback, TrainerState, TrainingArguments
from transformers.trainer_utils import SchedulerType

from nlpcompress.core.method import Method, Turn
from nlpcompress.errors import ConfigError, FormatError
from nlpcompress.gates.plain import only_gates, without_gates
from nlpcompress.training.checkpoints import (
    last_checkpoint,
    mark_complete,
    require_complete,
    unmark,
)

STATE = "trainer_state.json"
RANDOM = ("rng_state*.pth",)
OPTIMIZER = ("optimizer*", "scheduler.pt", "scaler.pt")


def method_of_rounds(methods: Sequence[Method]) -> Method | None:
    """The one method that asks for several trainings. Raises `ConfigError` for two."""
    asking = [method for method in methods if method.rounds.trainings > 1]
    if len(asking) > 1:
        raise ConfigError(
            f"{' and '.join(method.name for method in asking)} both ask for several trainings; "
            "train with one of them, then with the other"
        )
    return asking[0] if asking else None


class RoundFolders:
    """Where the rounds lie in `root`."""

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root)
        self.rewind = self.root / "rewind"

    def round(self, number: int) -> Path:
        """The folder of the training `number`, from 0."""
        return self.root / f"round-{number}"

    def number_of(self, checkpoint: str | Path) -> int:
        """Which training a checkpoint is of. Raises `FormatError` when it is of none."""
        name = Path(checkpoint).parent.name
        if not (match := re.fullmatch(r"round-(\d+)", name)):
            raise FormatError(
                f"'{checkpoint}' does not lie in a folder round-<number>, but this method trains "
                "in rounds; resume from a checkpoint of a round, or with True from the last"
            )
        return int(match[1])

    def last_checkpoint(self) -> str | None:
        """The last whole checkpoint of the last training that has one."""
        found = (last_checkpoint(folder) for folder in reversed(self._rounds()))
        return next((checkpoint for checkpoint in found if checkpoint), None)

    def clear(self) -> None:
        """Take away what a training left that did not get to a whole checkpoint."""
        for folder in (*self._rounds(), self.rewind):
            shutil.rmtree(folder, ignore_errors=True)

    def _rounds(self) -> list[Path]:
        numbered = {
            int(match[1]): path
            for path in self.root.glob("round-*")
            if (match := re.fullmatch(r"round-(\d+)", path.name))
        }
        return [numbered[number] for number in sorted(numbered)]


class SaveRewindPoint(TrainerCallback):
    """Calls `save` once, when the training stands at `step`."""

    def __init__(self, step: int, save: Callable[[], None]) -> None:
        self.step, self.save = step, save

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, *_: Any, **__: Any
    ) -> None:
        """Step 0 has no step before it."""
        if state.global_step == self.step == 0:
            self.save()

    def on_step_end(self, args: TrainingArguments, state: TrainerState, *_: Any, **__: Any) -> None:
        """Before any checkpoint of that step, so that none is newer than the rewind point."""
        if state.global_step == self.step:
            self.save()


class RefuseLateRewind(TrainerCallback):
    """A training must be longer than the way back."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, *_: Any, **__: Any
    ) -> None:
        """Raises `ConfigError`."""
        if self.step >= state.max_steps:
            raise ConfigError(
                f"rewind_to: {self.step} is not before the end of a training of {state.max_steps} "
                "optimizer steps; lower it, or train longer"
            )


class TrainingRounds:
    """Runs the trainings that `method` asks `trainer` for, from the first or from a checkpoint."""

    def __init__(self, trainer: Any, method: Method) -> None:
        self.trainer, self.method, self.rounds = trainer, method, method.rounds
        self.folders = RoundFolders(trainer.args.output_dir)
        self.number = 0

    def run(self, checkpoint: str | None, train: Callable[..., Any]) -> Any:
        """`train(checkpoint, then)` for each round; `then` is called before the gates close.

        Raises `ConfigError` when the trainer cannot be rewound, `FormatError` when the output
        folder has rounds of another training.
        """
        self._check()
        self.number = 0 if checkpoint is None else self.folders.number_of(checkpoint)
        if checkpoint is None:
            self._start()
        while True:
            last = self.number >= self.rounds.trainings - 1
            with self._round():
                output = train(checkpoint, None if last else self._turn)
            if last:
                return output
            self.number += 1
            checkpoint = str(self._start_of(self.number))

    def _check(self) -> None:
        if self.trainer.args.save_only_model:
            raise ConfigError(
                f"{self.method.name} goes back to the optimizer of an earlier step, which "
                "save_only_model leaves out of checkpoints; leave save_only_model away"
            )
        if self.trainer.optimizer is not None:
            raise ConfigError(
                f"{self.method.name} trains several times, each time with an optimizer of its own, "
                "but optimizers= brings one that was made before; leave it out, and choose the "
                "optimizer with TrainingArguments(optim=…)"
            )

    def _start(self) -> None:
        found = self.folders.last_checkpoint()
        if found is not None:
            raise FormatError(
                f"'{self.folders.root}' has rounds of an earlier training, the last checkpoint is "
                f"'{found}'; go on with resume_from_checkpoint=True, or choose an empty output_dir"
            )
        self._on_main(self.folders.clear)

    @contextmanager
    def _round(self) -> Iterator[None]:
        """The trainer's arguments and callbacks are those of this round."""
        trainer, args, step = self.trainer, self.trainer.args, self.rounds.rewind_to
        callbacks: list[TrainerCallback] = [RefuseLateRewind(step)]
        if self.number == 0:
            callbacks.append(SaveRewindPoint(step, self._save_rewind_point))
        trainer.args = self._arguments(args)
        for callback in callbacks:
            trainer.add_callback(callback)
        try:
            yield
        finally:
            for callback in callbacks:
                trainer.remove_callback(callback)
            trainer.args = args

    def _arguments(self, args: TrainingArguments) -> TrainingArguments:
        changed = copy.copy(args)
        changed.output_dir = str(self.folders.round(self.number))
        if self.number and self.rounds.learning_rate is not None:
            changed.learning_rate = self.rounds.learning_rate
            changed.lr_scheduler_type = SchedulerType.CONSTANT
            changed.warmup_steps = 0
            changed.warmup_ratio = 0.0
        return changed

    def _save_rewind_point(self) -> None:
        args, folder = self.trainer.args, self.trainer.args.output_dir
        args.output_dir = str(self.folders.rewind)
        try:
            self.trainer._save_checkpoint(self.trainer.model, trial=None)
        finally:
            args.output_dir = folder

    def _turn(self) -> None:
        """Set the model and its gates as the next training starts, and write them down."""
        trainer, model = self.trainer, self.trainer.model
        final = snapshot(model)
        rewind = self.folders.rewind / f"checkpoint-{self.rounds.rewind_to}"
        trainer._load_from_checkpoint(require_complete(rewind))
        initial = snapshot(model)
        model.load_state_dict(final if self.rounds.keep_weights else initial | only_gates(final))
        turn = Turn(self.number + 1, without_gates(initial), without_gates(final))
        self.method.between(model, trainer.gates, turn, trainer.context())
        self._write_start(turn.number, rewind)

    def _write_start(self, number: int, rewind: Path) -> None:
        start, anew = self._start_of(number), self._is_anew(number)
        self._on_main(partial(shutil.rmtree, start.parent, ignore_errors=True))
        self.trainer.save_model(str(start), _internal_call=True)
        kept = RANDOM if anew or self.rounds.learning_rate is not None else (*RANDOM, *OPTIMIZER)
        self._on_main(partial(self._complete_start, start, rewind, kept))
        if number > 1:
            self._on_main(partial(remove, self._start_of(number - 1)))

    def _complete_start(self, start: Path, rewind: Path, patterns: Sequence[str]) -> None:
        for path in (path for pattern in patterns for path in rewind.glob(pattern)):
            shutil.copy(path, start / path.name)
        state = TrainerState.load_from_json(str(rewind / STATE))
        state.log_history = list(self.trainer.state.log_history)
        state.best_metric = state.best_model_checkpoint = state.best_global_step = None
        if start.name == "checkpoint-0":
            state.global_step, state.epoch, state.total_flos = 0, 0, 0
        state.save_to_json(str(start / STATE))
        mark_complete(start)

    def _start_of(self, number: int) -> Path:
        step = 0 if self._is_anew(number) else self.rounds.rewind_to
        return self.folders.round(number) / f"checkpoint-{step}"

    def _is_anew(self, number: int) -> bool:
        return self.rounds.last_anew and number == self.rounds.trainings - 1

    def _on_main(self, act: Callable[[], None]) -> None:
        """One process writes, the others wait before and after."""
        self.trainer.accelerator.wait_for_everyone()
        if self.trainer.args.should_save:
            act()
        self.trainer.accelerator.wait_for_everyone()


def snapshot(model: nn.Module) -> dict[str, Tensor]:
    """Copies of all that is saved of a model, on the CPU."""
    return {name: value.to("cpu", copy=True) for name, value in model.state_dict().items()}


def remove(checkpoint: Path) -> None:
    """First its marker, then the rest."""
    if checkpoint.is_dir():
        unmark(checkpoint)
        shutil.rmtree(checkpoint, ignore_errors=True)
