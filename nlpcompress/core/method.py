"""What a method is: it looks or teaches, and returns a plan. What it is given to do so."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from nlpcompress.core import counts
from nlpcompress.core.config import Config
from nlpcompress.core.plan import Plan

if TYPE_CHECKING:
    import torch
    from torch import nn

    Batch = Mapping[str, torch.Tensor]


@dataclass(frozen=True)
class Context:
    """What a method may look at besides the model. Tensors are on the CPU; a method moves them.

    `batches()` starts a fresh pass over collated training batches, labels included;
    `example_inputs` is one small batch without labels, good for one forward pass. With
    `sizes_only` how much goes is asked for, and not what: costly scores may be all alike. `cache`
    is a folder where costly scores may be stored, under a hash of all that they come from;
    `processor` is the tokenizer or image processor that the batches were made with, if it is known.
    """

    example_inputs: Batch
    batches: Callable[[], Iterable[Batch]] = field(default=tuple)
    teacher: nn.Module | None = None
    seed: int = 0
    sizes_only: bool = False
    cache: Path | None = None
    processor: Any = None


@dataclass
class Step:
    """One training step, as objectives see it. The teacher runs once, and only if asked for."""

    inputs: Batch
    outputs: Any
    task_loss: torch.Tensor
    run_teacher: Callable[[Batch], Any] | None = None

    @cached_property
    def teacher_outputs(self) -> Any:
        """The teacher's output on the same inputs, without gradients."""
        assert self.run_teacher is not None, (
            "an objective that needs a teacher was let through without one"
        )
        return self.run_teacher(self.inputs)


@dataclass(frozen=True)
class Objective:
    """One term of the training loss: `weight · loss(step)`, logged unweighted as `loss_<name>`.

    The trainer adds the plain task loss, `Objective("task", 1.0, …)`, unless a method brings an
    objective of that name to weigh it differently. `count` says how much of what the loss is a mean
    over a batch has, such as `core.counts.tokens`: micro-batches and processes weigh by it, and a
    step is the same however it is split. Without it all weigh the same. What `runs_again` has the
    student run in its loss, and comes after those that look at the step's own pass.
    """

    name: str
    weight: float
    loss: Callable[[Step], torch.Tensor]
    needs_teacher: bool = False
    count: Callable[[Batch], torch.Tensor] | None = None
    runs_again: bool = False


def task_objective(weight: float) -> Objective:
    """The task's own loss, weighed by a method."""
    return Objective("task", weight, lambda step: step.task_loss, count=counts.labels)


@dataclass(frozen=True)
class Progress:
    """Where a training stands, in optimizer steps: done, in all, and of learning rate warm-up."""

    step: int
    total: int
    warmup: int


@dataclass(frozen=True)
class Rounds:
    """Several trainings of one stage; those after the first go on from its step `rewind_to`.

    That is: with the weights, the optimizer, the schedule, the place in the data and the random
    state which the first training had then. With `keep_weights` the weights of the round before
    stay; with `learning_rate` a new optimizer has that constant rate; with `last_anew` the last
    training starts at step 0 with a new optimizer. In all of them the method decides on the values
    in `between`.
    """

    trainings: int = 1
    rewind_to: int = 0
    keep_weights: bool = False
    learning_rate: float | None = None
    last_anew: bool = False


@dataclass(frozen=True)
class Turn:
    """Between two trainings: the one to come, counted from 1, and what the weights were.

    `initial` at step `rewind_to` of the first training, `final` at the end of the one before; all
    parameters and buffers, on the CPU, by the names that they have without gates.
    """

    number: int
    initial: Mapping[str, torch.Tensor]
    final: Mapping[str, torch.Tensor]


class Gates(Protocol):
    """What a method trains beside the weights. They are on the model from `prepare` to `close`."""

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Groups for the optimizer, each with its own `lr` and `weight_decay`."""
        ...

    def objectives(self) -> tuple[Objective, ...]:
        """What the gates add to the training loss."""
        ...

    def advance(self, progress: Progress) -> None:
        """Open or shut what the schedule says; called before each optimizer step and at the end.

        Raises `ConfigError` when the training is too short for the schedule.
        """
        ...

    def close(self) -> None:
        """Leave the model: what is shut becomes zero in its weights, and no trace stays."""
        ...


class Method:
    """A way to compress: a subclass overrides the verbs it needs. None changes the model's shape.

    A method is built from its `Config`, kept unchanged as `config`. `cuts` says that its plan makes
    the model smaller or sparser, `adjusts` that making it changes values and nothing else,
    `renumbers` that tokens have other ids then, `stores_scores` that costly scores go into the
    context's `cache`, `scheduled` that what it leaves of a model depends on how far the training
    is: a ramp, or a choice in the middle. What it needs is checked before any work: `looks_inside`
    means the teacher itself, as it runs, and not only its answers; `looked_at` says at what.
    """

    name: ClassVar[str]
    Config: ClassVar[type[Config]]
    cuts: ClassVar[bool] = False
    adjusts: ClassVar[bool] = False
    quantizes: ClassVar[bool] = False
    renumbers: ClassVar[bool] = False
    needs_teacher: ClassVar[bool] = False
    looks_inside: ClassVar[bool] = False
    needs_batches: ClassVar[bool] = False
    stores_scores: ClassVar[bool] = False
    scheduled: ClassVar[bool] = False

    def __init__(self, config: Any) -> None:
        self.config = config

    @property
    def rounds(self) -> Rounds:
        """How often a stage trains; once, unless a method asks for more."""
        return Rounds()

    def looked_at(self, model: nn.Module, teacher: nn.Module) -> Collection[tuple[str, int | str]]:
        """What it reads of a teacher in between, so that it can be stored.

        Each is a kind (hidden, queries, keys, values) and a place: a layer's number from 1, or the
        path of a module. Raises `ConfigError` for what cannot be stored.
        """
        return ()

    def prepare(self, model: nn.Module, ctx: Context) -> Gates | None:
        """Put gates on the model for the training to come; None when there is nothing to learn."""
        return None

    def objectives(self, ctx: Context) -> tuple[Objective, ...]:
        """Terms of the training loss; none when the method does not teach."""
        return ()

    def between(self, model: nn.Module, gates: Any, turn: Turn, ctx: Context) -> None:
        """Between two trainings, with gates on: set masks and values for the one to come.

        What is saved of model and gates is what that training starts from.
        """

    def plan(self, model: nn.Module, ctx: Context) -> Plan:
        """What to cut, decided on the model as it is now; the empty plan if it only teaches."""
        return Plan()
