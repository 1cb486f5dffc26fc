"""What a method is: it looks or teaches, and returns a plan. What it is given to do so."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

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
    `example_inputs` is one small batch without labels, good for one forward pass.
    """

    example_inputs: Batch
    batches: Callable[[], Iterable[Batch]] = field(default=tuple)
    teacher: nn.Module | None = None
    seed: int = 0


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
    objective of that name to weigh it differently.
    """

    name: str
    weight: float
    loss: Callable[[Step], torch.Tensor]
    needs_teacher: bool = False


class Method(Protocol):
    """A way to compress. All three verbs are pure with respect to the model's shape.

    A method is built from its `Config`, kept unchanged as `config`.
    """

    name: ClassVar[str]
    Config: ClassVar[type[Config]]
    needs_teacher: ClassVar[bool]
    needs_batches: ClassVar[bool]
    config: Any

    def objectives(self, ctx: Context) -> tuple[Objective, ...]:
        """Terms of the training loss; none when the method does not teach."""
        ...

    def plan(self, model: nn.Module, ctx: Context) -> Plan:
        """What to cut, decided on the model as it is now; the empty plan if it only teaches."""
        ...
