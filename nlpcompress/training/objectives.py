"""The terms of the training loss: collected from the methods, added up, and metered."""

from collections.abc import Mapping, Sequence

import torch
from accelerate import Accelerator
from torch import Tensor
from transformers import TrainingArguments

from nlpcompress.core.method import Context, Gates, Method, Objective, task_objective
from nlpcompress.errors import ConfigError

TASK = "task"


def collect_objectives(
    methods: Sequence[Method], gates: Gates | None, ctx: Context
) -> tuple[Objective, ...]:
    """All methods' objectives, what gates cost, and the task loss unless a method weighs it.

    Objectives of weight 0 are left out, but for the task's, which is logged in any case; those that
    run the student again come last. Raises `ConfigError` when two have one name, or when nothing is
    left to learn from.
    """
    found = [objective for method in methods for objective in method.objectives(ctx)]
    found += gates.objectives() if gates is not None else ()
    names = [objective.name for objective in found]
    doubled = sorted({name for name in names if names.count(name) > 1})
    if doubled:
        raise ConfigError(
            f"two methods bring an objective '{doubled[0]}'; train with one of them in this stage"
        )
    if TASK not in names:
        found.append(task_objective(1.0))
    if not any(objective.weight > 0 for objective in found):
        raise ConfigError(f"all objectives ({', '.join(names)}) have weight 0: nothing to learn")
    counting = [o for o in found if o.weight > 0 or o.name == TASK]
    return tuple(sorted(counting, key=lambda o: o.runs_again))


def refuse_checkpointing(objectives: Sequence[Objective], args: TrainingArguments) -> None:
    """Raises `ConfigError` where passes of smaller networks would be made again as the whole one's.

    Gradient checkpointing runs layers once more in the backward pass, when masks are open again.
    """
    again = [objective.name for objective in objectives if objective.runs_again]
    if again and args.gradient_checkpointing:
        raise ConfigError(
            f"the objective '{again[0]}' runs smaller networks, which gradient_checkpointing would "
            "run again as the whole one; leave it out"
        )


def weighted_sum(objectives: Sequence[Objective], losses: Mapping[str, Tensor]) -> Tensor:
    """Σ weight · loss."""
    first, *others = (objective.weight * losses[objective.name] for objective in objectives)
    return sum(others, start=first)


class ObjectiveMeter:
    """Means of the unweighted losses between two logs, kept on the device until then."""

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._steps = 0

    def add(self, losses: Mapping[str, Tensor]) -> None:
        """Count one micro-batch."""
        for name, loss in losses.items():
            value = loss.detach().float().mean()
            self._sums[name] = self._sums[name] + value if name in self._sums else value
        self._steps += 1

    def drain(self, accelerator: Accelerator) -> dict[str, float]:
        """`loss_<name>` → mean over the micro-batches and processes since the last drain."""
        if not self._steps:
            return {}
        means = torch.stack(list(self._sums.values())) / self._steps
        values = accelerator.reduce(means, reduction="mean").tolist()
        names = [f"loss_{name}" for name in self._sums]
        self._sums, self._steps = {}, 0
        return dict(zip(names, values, strict=True))
