"""Movement pruning: training decides what stays by which way it moves the weights.

Each weight, block, head or neuron has a score that grows when training moves it away from zero.
With blocks, heads and neurons what is empty in the end leaves the model for good.

    - method: movement
      config: {mask: topk, final_threshold: 0.15}
      train: {num_train_epochs: 10, learning_rate: 3.0e-5, warmup_steps: 500}

Source: Sanh et al. 2020, sections 4 and 5 (masks, schedule, regularisers); Lagunas et al. 2021,
sections 3 and 4, for blocks (`block: [32, 32], neurons: true` is their "hybrid", with `fill: true`
and a training after it "hybrid-filled"); Louizos et al. 2018 for `mask: l0`.
Differs: exactly the asked number of weights stays (its code keeps arbitrary rows among equal
scores), rounded to the nearest, at least one a gate; a schedule without a ramp is refused (it
jumps). Evaluation in the middle of training sees the threshold of that step (Lagunas': the last).
Only embedding tables are frozen, not the norm behind them. `initial_score: magnitude` is ours: from
equal scores the first cuts fall almost at random, which a training of a few epochs on little data
does not recover from. What fills up starts from zero, not from noise, so that cutting changes no
output.
Cost: labelled data; no teacher (add `logits` for one); one training, longer than fine-tuning; the
scores add a gradient and two AdamW moments for each of their values.
"""

from functools import partial
from typing import Annotated, ClassVar, Literal

from pydantic import BeforeValidator, Field, model_validator
from torch import Tensor, nn

from nlpcompress.core.method import Context, Method
from nlpcompress.core.plan import Plan
from nlpcompress.gates import (
    ConcreteGate,
    Gate,
    GatePlaces,
    GateSet,
    HardConcrete,
    Rule,
    ScheduledGates,
    ScoreGate,
    expected_l0,
    keep_above,
    keep_above_sigmoid,
)
from nlpcompress.losses import l1_penalty
from nlpcompress.methods.pruning.gating import structured_places, weight_places
from nlpcompress.methods.pruning.gradual import GradualConfig
from nlpcompress.methods.pruning.zeros import plan_for_zeros
from nlpcompress.models.weights import embedding_tables

L0 = HardConcrete(temperature=2 / 3, edge=1e-4)
"""The distribution of Sanh et al. 2020."""

Mask = Annotated[
    Literal["topk", "threshold", "sigmoid", "l0"],
    BeforeValidator(lambda name: "sigmoid" if name == "sigmoied_threshold" else name),
]


class MovementConfig(GradualConfig):
    """What is pruned, how a score decides, and how scores learn."""

    mask: Mask = Field(
        "topk",
        description="topk: the largest scores; threshold: scores above it; sigmoid: their sigmoids "
        "above it (soft movement; also written sigmoied_threshold); l0: hard concrete gates",
    )
    heads: bool = Field(False, description="score whole attention heads")
    neurons: bool = Field(False, description="score whole feed-forward neurons")
    final_lambda: float = Field(
        0.0, ge=0, description="weight of the sparsity penalty in the end; needed by all but topk"
    )
    mask_scores_learning_rate: float = Field(1e-2, gt=0, description="learning rate of the scores")
    initial_score: float | Literal["magnitude"] = Field(
        0.0,
        description="all scores at the start (Sanh et al. take 2.197 for l0); or magnitude, for "
        "short trainings: the mean magnitude of a score's weights over that of their matrix",
    )
    min_keep: float = Field(
        0.005, ge=0, lt=1, description="for thresholds: the share of each matrix that always stays"
    )
    freeze_embeddings: bool = Field(True, description="do not train the embedding tables")

    @model_validator(mode="after")
    def _fits(self) -> "MovementConfig":
        if self.mask != "topk" and (self.scope == "global" or self.pattern):
            key = "pattern" if self.pattern else "scope: global"
            raise ValueError(f"{key} is for mask: topk, not for mask: {self.mask}")
        if (self.scope == "global" or self.pattern) and (self.heads or self.neurons):
            raise ValueError(
                "scope: global and pattern compare single weights or blocks; leave out heads and "
                "neurons, which hold more weights"
            )
        if self.mask in ("sigmoid", "l0") and not self.final_lambda:
            raise ValueError(
                f"mask: {self.mask} prunes only what the penalty pushes down; set final_lambda, "
                "such as 10.0"
            )
        return self


class Movement(Method):
    """Prunes while it trains, by scores that learn."""

    name: ClassVar[str] = "movement"
    Config: ClassVar[type[MovementConfig]] = MovementConfig
    cuts: ClassVar[bool] = True
    scheduled: ClassVar[bool] = True

    def prepare(self, model: nn.Module, ctx: Context) -> GateSet:
        """Gates on the body's weights, all open."""
        config: MovementConfig = self.config
        gates = _gate_set(model, _places(model, ctx, config), config)
        if config.initial_score == "magnitude":
            gates.start_at_magnitudes()
        return gates

    def plan(self, model: nn.Module, ctx: Context) -> Plan:
        """What is empty leaves; zeros that are left are there to stay."""
        return plan_for_zeros(model, ctx, fill=self.config.fill)


def _places(model: nn.Module, ctx: Context, config: MovementConfig) -> list[GatePlaces]:
    if not (config.block or config.heads or config.neurons):
        return weight_places(model)
    return structured_places(
        model,
        ctx,
        block=config.block,
        heads=config.heads,
        neurons=config.neurons,
        readers_only=config.mask == "l0",
    )


def _gate_set(model: nn.Module, places: list[GatePlaces], config: MovementConfig) -> GateSet:
    score = 0.0 if config.initial_score == "magnitude" else config.initial_score
    options = {
        "learning_rate": config.mask_scores_learning_rate,
        "weight": config.final_lambda,
        "frozen": embedding_tables(model) if config.freeze_embeddings else (),
    }
    if config.mask == "l0":
        concrete = [ConcreteGate(place, distribution=L0, score=score) for place in places]
        return GateSet(model, concrete, penalty=expected_l0, **options)
    scored = [ScoreGate(place, score=score) for place in places]
    schedule, rule = config.schedule(share=config.mask == "topk"), _rule(config)
    return ScheduledGates(model, scored, schedule=schedule, rule=rule, penalty=_l1, **options)


def _rule(config: MovementConfig) -> Rule:
    if config.mask == "topk":
        return config.share_rule()
    above = keep_above if config.mask == "threshold" else keep_above_sigmoid
    return partial(above, least=config.min_keep)


def _l1(gate: Gate) -> Tensor:
    return l1_penalty(gate.scores)
