"""Learns which attention heads to keep, by a random gate on each and a price for open ones.

A gate's distribution has mass at exactly 0; heads whose gate is 0 in the end leave the model, the
gates of the others become part of the output projection.

    - method: head_gates
      config: {l0_weight: 0.1}
      train: {num_train_epochs: 3, learning_rate: 5.0e-5}

Source: Voita et al. 2019, section 5.1 (start from a trained model; loss + λ · Σ P(gate ≠ 0));
Louizos et al. 2018 for hard concrete gates.
Differs: one noise a gate and forward pass, as the official code does by default; the last head of a
layer stays, with its gate's value, even when that is 0; gates have a learning rate of their own.
Cost: labelled data; no teacher; one training from a trained model; a number a head.
"""

from typing import ClassVar

from pydantic import Field
from torch import Tensor, nn

from nlpcompress.axes import find_axes
from nlpcompress.core.config import Config
from nlpcompress.core.method import Context, Method
from nlpcompress.core.plan import Plan
from nlpcompress.gates import ConcreteGate, Gate, GateSet, HardConcrete
from nlpcompress.methods.pruning.gating import ATTENTION, axis_places
from nlpcompress.methods.pruning.layer_axes import heads_to_cut
from nlpcompress.methods.pruning.zeros import plan_for_zeros
from nlpcompress.scoring import on_device_of

VOITA = HardConcrete(temperature=0.33, edge=1e-6)


class HeadGatesConfig(Config):
    """What an open head costs, and how gates learn."""

    l0_weight: float = Field(
        0.1, gt=0, description="price of an open head in the loss; larger keeps fewer heads"
    )
    gate_learning_rate: float = Field(1e-2, gt=0, description="learning rate of the gates")
    initial_score: float = Field(
        2.0, description="log α of all gates at the start; 2 is open 94 % of the time"
    )


class HeadGates(Method):
    """Shuts heads by learnt hard concrete gates."""

    name: ClassVar[str] = "head_gates"
    Config: ClassVar[type[HeadGatesConfig]] = HeadGatesConfig
    cuts: ClassVar[bool] = True

    def prepare(self, model: nn.Module, ctx: Context) -> GateSet:
        """One gate a head, on the output projection of its attention."""
        axes = heads_to_cut(find_axes(model, on_device_of(model, ctx.example_inputs)))
        places = axis_places(model, axes, ATTENTION, readers_only=True)
        score = self.config.initial_score
        gates = [ConcreteGate(place, distribution=VOITA, score=score) for place in places]
        return GateSet(
            model,
            gates,
            learning_rate=self.config.gate_learning_rate,
            penalty=open_heads,
            # the gate set averages over the layers; the paper adds up
            weight=self.config.l0_weight * len(gates),
        )

    def plan(self, model: nn.Module, ctx: Context) -> Plan:
        """Heads whose gate is 0 leave."""
        return plan_for_zeros(model, ctx)


def open_heads(gate: Gate) -> Tensor:
    """Expected number of open heads under a gate, a scalar."""
    return gate.distribution.chance_open(gate.scores).sum()
