"""All gates that one method puts on a model, with what moves them and what they cost."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from nlpcompress.core.method import Objective, Progress, Step
from nlpcompress.errors import ConfigError
from nlpcompress.gates.attach import attach, detach, original
from nlpcompress.gates.gate import Gate
from nlpcompress.gates.schedule import CubicSchedule
from nlpcompress.losses import l0_penalty

NAME = "compression_gates"
Rule = Callable[[Sequence[Tensor], float], Sequence[Tensor]]
Penalty = Callable[[Gate], Tensor]


def expected_l0(gate: Gate) -> Tensor:
    """The penalty of hard concrete gates."""
    return l0_penalty(gate.distribution.chance_open(gate.scores))


def mean_magnitude(model: nn.Module, gate: Gate) -> Tensor:
    """Of the weights under each value of the gate, averaged over the tensors it lies on."""
    means = [cover.mean(original(model, cover.tensor).abs()) for cover in gate.places.covers]
    return torch.stack([mean.reshape(gate.mask.shape) for mean in means]).mean(0)


class GateSet(nn.Module):
    """Gates on the tensors of `model`, which holds this module as `compression_gates`.

    Scores train with `learning_rate`, without weight decay. `penalty` of a gate is averaged over
    the gates of a kind, then over the kinds, and weighed with `weight` in the training loss.
    `frozen` parameters do not train until the gates close.
    Raises `ConfigError` when the model has gates already.
    """

    def __init__(
        self,
        model: nn.Module,
        gates: Sequence[Gate],
        *,
        learning_rate: float = 0.0,
        penalty: Penalty | None = None,
        weight: float = 0.0,
        frozen: Iterable[nn.Parameter] = (),
    ) -> None:
        super().__init__()
        if hasattr(model, NAME):
            raise ConfigError("the model has gates already; train with one method that puts gates")
        self.gates, self.learning_rate = nn.ModuleList(gates), learning_rate
        self.penalty, self.weight = penalty, weight
        self.to(next(model.parameters()).device)
        self._order = attach(model, gates)
        model.add_module(NAME, self)
        self._model = (model,)
        self._frozen = [p.requires_grad_(False) for p in frozen if p.requires_grad]

    def parameter_groups(self) -> list[dict[str, Any]]:
        """One group, or none when nothing is learnt."""
        parameters = list(self.parameters())
        group = {"params": parameters, "lr": self.learning_rate, "weight_decay": 0.0}
        return [group] if parameters else []

    def objectives(self) -> tuple[Objective, ...]:
        """`sparsity`, if it weighs anything."""
        if self.penalty is None or not self.weight:
            return ()
        return (Objective("sparsity", self.weight, self._sparsity),)

    @torch.no_grad()
    def start_at_magnitudes(self) -> None:
        """Set scores to the mean magnitude of the weights under them, 1 on average over a gate."""
        for gate in self.gates:
            means = mean_magnitude(self._model[0], gate)
            gate.scores.copy_(means / means.mean().clamp_min(torch.finfo(means.dtype).tiny))

    def advance(self, progress: Progress) -> None:
        """Nothing to do for gates that move by training alone."""

    def close(self) -> None:
        """Write the factors of evaluation into the weights, and leave the model."""
        model = self._model[0]
        self.eval()
        detach(self._order)
        delattr(model, NAME)
        for parameter in self._frozen:
            parameter.requires_grad_()

    def _sparsity(self, step: Step) -> Tensor:
        kinds = dict.fromkeys(gate.places.kind for gate in self.gates)
        return torch.stack([self._mean_penalty(kind) for kind in kinds]).mean()

    def _mean_penalty(self, kind: str) -> Tensor:
        gates = [gate for gate in self.gates if gate.places.kind == kind]
        return torch.stack([self.penalty(gate) for gate in gates]).mean()


class ScheduledGates(GateSet):
    """Gates whose masks are set anew before each step: `rule(values of each gate, level)`.

    A gate's values are its scores, or without scores the mean magnitude of the weights under it.
    The penalty grows with the level: its weight is `weight · level / final level`.
    """

    def __init__(
        self,
        model: nn.Module,
        gates: Sequence[Gate],
        *,
        schedule: CubicSchedule,
        rule: Rule,
        **options: Any,
    ) -> None:
        super().__init__(model, gates, **options)
        self.schedule, self.rule, self.level = schedule, rule, schedule.initial

    @torch.no_grad()
    def advance(self, progress: Progress) -> None:
        """Set the masks for the next step. Raises `ConfigError` when the schedule has no ramp."""
        self.level = self.schedule.at(progress)
        masks = self.rule([self._values(gate) for gate in self.gates], self.level)
        for gate, mask in zip(self.gates, masks, strict=True):
            gate.mask.copy_(mask)

    def _values(self, gate: Gate) -> Tensor:
        return gate.scores if hasattr(gate, "scores") else mean_magnitude(self._model[0], gate)

    def _sparsity(self, step: Step) -> Tensor:
        return super()._sparsity(step) * (self.level / self.schedule.final)
