"""Lottery tickets: train, drop the least weights, go back, train what is left; again and again.

What is found is a small network that gets as far as the whole one when it is trained from an early
step on, and what was known then: weights, optimizer, schedule, order of the data.

    - method: lottery_ticket
      config: {rounds: 10, prune: 0.2, rewind: weights, rewind_to: 500}
      train: {num_train_epochs: 10, learning_rate: 1.0e-3}

Source: Frankle and Carbin 2019, section 1 (rounds, weights of step 0) and section 2 (controls);
Frankle et al. 2020, section 3, for a later step; Renda et al. 2020, section 2 (`rewind`); Zhou et
al. 2019, section 3 and figure 3 (`criterion`).
Differs: the head, embeddings, norms and biases are never pruned, and shares count without them
(Frankle and Carbin prune the last layer at half the rate). The initial weights of Zhou et al.'s
criteria are those of step `rewind_to`. Rewound weights come with the optimizer's moments of that
step. Fine-tuning starts with a new optimizer, and trains as many steps as rewinding does. With
`control: random_reinit` the last training is a whole one, from step 0.
Cost: labelled data; no teacher; `rounds + 1` trainings; one mask of the size of the weights, two
copies of them on the CPU between trainings; on the disk two checkpoints beside those asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import ClassVar, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from nlpcompress.core.config import Config
from nlpcompress.core.method import Context, Method, Rounds, Turn
from nlpcompress.core.plan import Plan
from nlpcompress.errors import PlanError
from nlpcompress.gates import FixedGate, GateSet
from nlpcompress.gates.plain import without_gates
from nlpcompress.gates.topk import keep_largest, keep_largest_of_all
from nlpcompress.methods.pruning.gating import weight_places
from nlpcompress.methods.pruning.redraw import redrawn
from nlpcompress.methods.pruning.zeros import plan_for_zeros
from nlpcompress.models.weights import body_weights
from nlpcompress.models.zeros import weights_with_zeros

LEAST_DENSITY = 1e-4
Tensors = Mapping[str, Tensor]
Criterion = Literal[
    "large_final",
    "large_init_large_final",
    "magnitude_increase",
    "movement",
    "large_init",
    "small_final",
    "random",
]

CRITERIA: dict[str, Callable[[Tensor, Tensor, float], Tensor]] = {
    "large_final": lambda first, last, alpha: last.abs(),
    "large_init_large_final": lambda first, last, alpha: torch.minimum(
        alpha * last.abs(), first.abs()
    ),
    "magnitude_increase": lambda first, last, alpha: last.abs() - first.abs(),
    "movement": lambda first, last, alpha: (last - first).abs(),
    "large_init": lambda first, last, alpha: first.abs(),
    "small_final": lambda first, last, alpha: -last.abs(),
}
"""What is kept where it is largest, of initial and final weights; Zhou et al. 2019, figure 3."""


class LotteryTicketConfig(Config):
    """How much goes in how many rounds, by what, and what each round starts from."""

    rounds: int = Field(10, ge=1, le=100, description="times that weights are dropped; trainings-1")
    prune: float = Field(
        0.2, gt=0, lt=1, description="share of the weights that are left which goes in each round"
    )
    rewind: Literal["weights", "learning_rate", "none"] = Field(
        "weights",
        description="weights: all goes back to step rewind_to; learning_rate: all but the weights; "
        "none: fine-tune with a constant rate",
    )
    rewind_to: int = Field(
        0, ge=0, description="optimizer step of the first training that the others start at"
    )
    finetune_learning_rate: float | None = Field(
        None, gt=0, description="the constant rate of rewind: none, such as the last of the first"
    )
    criterion: Criterion = Field(
        "large_final", description="what says that a weight is needed; the last two are controls"
    )
    alpha: float = Field(
        1.0, gt=0, description="weighs final against initial weights in large_init_large_final"
    )
    scope: Literal["global", "matrix"] = Field(
        "global",
        description="the share goes from all matrices together, where small ones may lose all, or "
        "from each of them",
    )
    control: Literal["none", "random_mask", "random_reinit"] = Field(
        "none",
        description="in the last training: as many weights of each matrix at random places, or all "
        "weights drawn anew under the masks that were found",
    )

    @model_validator(mode="after")
    def _fits(self) -> LotteryTicketConfig:
        if self.density < LEAST_DENSITY:
            raise ValueError(
                f"{self.rounds} rounds that each prune {self.prune:g} leave the share "
                f"{self.density:.1g} of the weights, less than {LEAST_DENSITY:g}; lower rounds or "
                "prune"
            )
        if (self.rewind == "none") != (self.finetune_learning_rate is not None):
            raise ValueError(
                "finetune_learning_rate is the constant rate of rewind: none, and only of that; "
                f"it is {self.finetune_learning_rate} with rewind: {self.rewind}"
            )
        if self.control != "none" and self.rewind != "weights":
            raise ValueError(
                f"control: {self.control} is held against tickets with rewound weights; use it "
                f"with rewind: weights, not with rewind: {self.rewind}"
            )
        return self

    @property
    def density(self) -> float:
        """The share of the weights left in the end, up to rounding in each round."""
        return (1 - self.prune) ** self.rounds


class LotteryTicket(Method):
    """Prunes between trainings that start from the same step."""

    name: ClassVar[str] = "lottery_ticket"
    Config: ClassVar[type[LotteryTicketConfig]] = LotteryTicketConfig
    cuts: ClassVar[bool] = True

    @property
    def rounds(self) -> Rounds:
        """One training to find what is large, and one after each pruning."""
        config: LotteryTicketConfig = self.config
        return Rounds(
            trainings=config.rounds + 1,
            rewind_to=config.rewind_to,
            keep_weights=config.rewind != "weights",
            learning_rate=config.finetune_learning_rate,
            last_anew=config.control == "random_reinit",
        )

    def prepare(self, model: nn.Module, ctx: Context) -> GateSet:
        """Gates on the body's weights, open but for zeros that were there to stay.

        A round to come has its masks from `between`, by way of the checkpoint it starts from.
        """
        places = {place.covers[0].tensor: place for place in weight_places(model)}
        masks = open_places(model, body_weights(model))
        return GateSet(model, [FixedGate(p, mask=masks[name]) for name, p in places.items()])

    def between(self, model: nn.Module, gates: GateSet, turn: Turn, ctx: Context) -> None:
        """Shrink the masks; before the last training do what the control asks for.

        Raises `PlanError` when the training diverged, `ConfigError` when weights are to be drawn
        anew for a model that its config does not make.
        """
        config: LotteryTicketConfig = self.config
        gate_of = {gate.places.covers[0].tensor: gate for gate in gates.gates}
        found = {n: g.mask.cpu().reshape(turn.final[n].shape) for n, g in gate_of.items()}
        generator = torch.Generator().manual_seed(ctx.seed + turn.number)
        masks = decide(turn.initial, turn.final, found, config, generator=generator)
        if turn.number == config.rounds and config.control == "random_mask":
            open_at_first = open_places(model, {name: turn.initial[name] for name in masks})
            masks = at_random_places(masks, open_at_first, generator=generator)
        if turn.number == config.rounds and config.control == "random_reinit":
            draw_anew(model, turn.initial, seed=ctx.seed)
        for name, mask in masks.items():
            gate_of[name].mask.copy_(mask.reshape(gate_of[name].mask.shape))

    def plan(self, model: nn.Module, ctx: Context) -> Plan:
        """What is empty leaves; zeros that are left are there to stay."""
        return plan_for_zeros(model, ctx)


def decide(
    initial: Tensors,
    final: Tensors,
    masks: Tensors,
    config: LotteryTicketConfig,
    *,
    generator: torch.Generator | None = None,
) -> dict[str, Tensor]:
    """The masks of the next round: of what is left the best by the criterion, the others go.

    `initial` and `final` hold the weights of each mask's name. What goes is `prune` of what is
    left, rounded to the nearest, but one weight stays: in all, or of each matrix. Equal scores: the
    earlier weight stays. `generator` is for `random` alone. Raises `PlanError` for weights that are
    no finite numbers.

    >>> first = {"a": torch.tensor([1.0, 9.0, 3.0]), "b": torch.tensor([5.0, 5.0])}
    >>> last = {"a": torch.tensor([4.0, -8.0, 3.0]), "b": torch.tensor([0.5, -6.0])}
    >>> masks = {"a": torch.tensor([True, False, True]), "b": torch.tensor([True, True])}
    >>> left = decide(first, last, masks, LotteryTicketConfig(prune=0.5))
    >>> {name: mask.int().tolist() for name, mask in left.items()}
    {'a': [1, 0, 0], 'b': [0, 1]}
    """
    scores = {
        name: _scores(name, initial[name], final[name], config, generator).masked_fill(
            ~mask, -torch.inf
        )
        for name, mask in masks.items()
    }
    if config.scope == "global":
        kept = keep_largest_of_all(list(scores.values()), _count(masks.values(), config.prune))
    else:
        kept = [keep_largest(scores[n], _count([masks[n]], config.prune)) for n in masks]
    return {name: mask & found for (name, found), mask in zip(masks.items(), kept, strict=True)}


def at_random_places(
    masks: Tensors, among: Tensors, *, generator: torch.Generator
) -> dict[str, Tensor]:
    """As many weights of each matrix, at random places of those that are true in `among`."""
    return {
        name: _random(mask, generator, among[name], count=int(mask.sum()))
        for name, mask in masks.items()
    }


def open_places(model: nn.Module, weights: Tensors) -> dict[str, Tensor]:
    """Bool masks of `weights`, false at zeros that were there to stay in the model."""
    lasting = weights_with_zeros(model)
    return {
        name: weight != 0 if name in lasting else torch.ones_like(weight, dtype=torch.bool)
        for name, weight in weights.items()
    }


@torch.no_grad()
def draw_anew(model: nn.Module, initial: Tensors, *, seed: int) -> None:
    """Parameters and buffers of the gated model as its own initialisation draws them."""
    own = without_gates(model.state_dict())
    for name, value in redrawn(model, initial, seed=seed).items():
        own[name].copy_(value)


def _scores(
    name: str,
    initial: Tensor,
    final: Tensor,
    config: LotteryTicketConfig,
    generator: torch.Generator | None,
) -> Tensor:
    if not bool(final.isfinite().all()):
        raise PlanError(
            f"a weight of '{name}' is no finite number after training, so nothing can be ranked: "
            "the training diverged; lower the learning rate"
        )
    if config.criterion == "random":
        return torch.rand(final.shape, generator=generator)
    return CRITERIA[config.criterion](initial, final, config.alpha)


def _count(masks: Iterable[Tensor], prune: float) -> int:
    left = sum(int(mask.sum()) for mask in masks)
    return max(1, left - round(prune * left))


def _random(mask: Tensor, generator: torch.Generator, among: Tensor, *, count: int) -> Tensor:
    noise = torch.rand(mask.shape, generator=generator)
    return keep_largest(noise.masked_fill(~among, -1), count) & among
