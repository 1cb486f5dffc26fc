"""What gates and lasting zeros need of a training: their steps and their optimizer group."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from transformers import TrainerCallback, TrainerState, TrainingArguments

from nlpcompress.core.method import Context, Gates, Method, Objective, Progress
from nlpcompress.errors import ConfigError


def prepare_gates(
    methods: Sequence[Method], model: nn.Module, context: Callable[[], Context]
) -> Gates | None:
    """Put what the methods train beside the weights on the model; only then a context is made.

    Raises `ConfigError` when two methods put gates on the weights, or one of several trains in
    rounds; the model is then as it was.
    """
    preparing = _preparing(methods)
    gating = [method for method in preparing if method.cuts]
    if len(gating) > 1:
        raise ConfigError(
            f"{_names(gating)} both put gates on the model; train with one of them, then with the "
            "other"
        )
    if len(preparing) > 1 and any(method.rounds.trainings > 1 for method in preparing):
        raise ConfigError(
            f"{_names(preparing)} cannot share a training, as one of them asks for several; train "
            "with one, then with the other"
        )
    prepared: list[Gates] = []
    try:
        for method in preparing:
            made = method.prepare(model, context())
            prepared += [made] if made is not None else []
    except BaseException:
        _close(prepared)
        raise
    return AllGates(prepared) if len(prepared) > 1 else next(iter(prepared), None)


class AllGates(nn.Module):
    """What several methods train beside the weights, as one."""

    def __init__(self, parts: Sequence[Gates]) -> None:
        super().__init__()
        self.parts = nn.ModuleList(parts)

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Of all of them, in the order of the methods."""
        return [group for part in self.parts for group in part.parameter_groups()]

    def objectives(self) -> tuple[Objective, ...]:
        """Of all of them."""
        return tuple(objective for part in self.parts for objective in part.objectives())

    def advance(self, progress: Progress) -> None:
        """All of them."""
        for part in self.parts:
            part.advance(progress)

    def close(self) -> None:
        """All of them, the last first."""
        _close(self.parts)


def _close(prepared: Iterable[Gates]) -> None:
    for part in reversed(list(prepared)):
        part.close()


def _preparing(methods: Sequence[Method]) -> list[Method]:
    return [method for method in methods if type(method).prepare is not Method.prepare]


def _names(methods: Sequence[Method]) -> str:
    return " and ".join(method.name for method in methods)


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


def refuse_other_models(
    methods: Sequence[Method], args: TrainingArguments, model_init: Any
) -> None:
    """Raises `ConfigError` when it is not the model as methods prepare it that trains, or is left.

    That is so with `model_init`, with copies for several devices, and with the best model of the
    middle of a training, where a schedule had not come to its end.
    """
    preparing = _preparing(methods)
    scheduled = [method for method in preparing if method.scheduled]
    if preparing and model_init is not None:
        raise ConfigError(
            f"{_names(preparing)} prepare the model before it trains, but model_init= makes "
            "another one then; pass the model itself (model=…)"
        )
    if preparing and args.n_gpu > 1:
        raise ConfigError(
            f"{_names(preparing)} prepare the model before it trains, but on {args.n_gpu} devices "
            "in one process copies of it would train (torch's DataParallel); start one process a "
            "device (torchrun --nproc-per-node …), or show it one device (CUDA_VISIBLE_DEVICES=0)"
        )
    if scheduled and args.load_best_model_at_end:
        raise ConfigError(
            f"{_names(scheduled)} cut by a schedule, and load_best_model_at_end takes weights from "
            "before its end, which would be cut as nobody evaluated them; leave it out, or use it "
            "in a training after this one"
        )


def refuse_own_optimizer(optimizer: Any, gates: Gates) -> None:
    """Raises `ConfigError` when the user's optimizer leaves gates with something to learn out."""
    if optimizer is not None and gates.parameter_groups():
        raise ConfigError(
            "a method of this training learns scores, which need a group of their own in the "
            "optimizer, but optimizers= brings one that was made before; leave it out, and choose "
            "the optimizer with TrainingArguments(optim=…)"
        )
