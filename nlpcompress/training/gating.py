"""What gates and lasting zeros need of a training: their steps and their optimizer group."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from transformers import TrainerCallback, TrainerState, TrainingArguments

from nlpcompress.core.method import Context, Gates, Method, Progress
from nlpcompress.errors import ConfigError


def prepare_gates(
    methods: Sequence[Method], model: nn.Module, context: Callable[[], Context]
) -> Gates | None:
    """Put the gates of the one method that has some on the model; only then a context is made.

    Raises `ConfigError` for two such methods.
    """
    gating = [method for method in methods if type(method).prepare is not Method.prepare]
    if len(gating) > 1:
        raise ConfigError(
            f"{' and '.join(method.name for method in gating)} both put gates on the model; train "
            "with one of them, then with the other"
        )
    return gating[0].prepare(model, context()) if gating else None


def progress_of(state: TrainerState, args: TrainingArguments) -> Progress:
    """Where the training stands. Warm-up is in steps, whatever unit `args` have it in."""
    return Progress(state.global_step, state.max_steps, args.get_warmup_steps(state.max_steps))


class AdvanceGates(TrainerCallback):
    """Moves the gates before each optimizer step."""

    def __init__(self, gates: Gates) -> None:
        self.gates = gates

    def on_step_begin(
        self, args: TrainingArguments, state: TrainerState, *_: Any, **__: Any
    ) -> None:
        """Accumulated micro-batches of a step see the same gates."""
        self.gates.advance(progress_of(state, args))


class KeepZeros(TrainerCallback):
    """Sets weights that were zero before the training back to zero after each step."""

    def __init__(self, weights: Sequence[Tensor]) -> None:
        self.zeros = [(weight, weight == 0) for weight in weights]

    @torch.no_grad()
    def on_optimizer_step(self, *_: Any, **__: Any) -> None:
        """Whatever the optimizer is: no assumption on what it does with a gradient of zero."""
        for weight, zero in self.zeros:
            weight.masked_fill_(zero, 0)


@contextmanager
def held_out(gates: nn.Module) -> Iterator[None]:
    """The gates' parameters look frozen, so that no one else puts them into an optimizer."""
    parameters = list(gates.parameters())
    for parameter in parameters:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in parameters:
            parameter.requires_grad_()


def refuse_own_optimizer(optimizer: Any, gates: Gates) -> None:
    """Raises `ConfigError` when the user's optimizer leaves gates with something to learn out."""
    if optimizer is not None and gates.parameter_groups():
        raise ConfigError(
            "a method of this training learns scores, which need a group of their own in the "
            "optimizer, but optimizers= brings one that was made before; leave it out, and choose "
            "the optimizer with TrainingArguments(optim=…)"
        )
