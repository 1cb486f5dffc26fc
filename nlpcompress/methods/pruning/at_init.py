"""Pruning at initialization: which weights a network needs is decided before it is trained.

Each weight of the body is scored once or in rounds, the best of all matrices together stay, and the
training of this stage has the others at zero: they neither count nor learn.

    - method: at_init
      config: {criterion: synflow, keep: 0.1}
      train: {num_train_epochs: 10, learning_rate: 1.0e-3}

Source: Tanaka et al. 2020, section 6 and algorithm 1 (`synflow`, 100 exponential rounds); Lee et
al. 2019 (`snip`); Wang et al. 2020 (`grasp`); Frankle et al. 2021, section 4, for the controls.
Differs: the head, embeddings, norms and biases are never pruned, and `keep` counts without them. At
least `min_per_layer` weights of each matrix stay: SynFlow alone keeps every layer of a chain alive,
but not the layers that a residual connection goes around. Exactly the asked number stays. With
`control: reinit` the whole model is drawn anew from its config.
Cost: `synflow`, no data, but 100 passes of one example in float64 and about six float64 copies of
the weights; `snip` and `grasp`, `num_samples` labelled examples, one backward pass and one double
one; no teacher; one training; one mask of the size of the weights.
"""

from collections.abc import Iterator, Mapping
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from nlpcompress.core.config import Config
from nlpcompress.core.method import Context, Method
from nlpcompress.core.plan import Plan
from nlpcompress.errors import ConfigError, PlanError
from nlpcompress.gates import FixedGate, GateSet
from nlpcompress.gates.topk import keep_largest, keep_largest_of_all
from nlpcompress.methods.pruning.gating import weight_places
from nlpcompress.methods.pruning.redraw import redrawn
from nlpcompress.methods.pruning.zeros import plan_for_zeros
from nlpcompress.models.weights import body_weights
from nlpcompress.models.zeros import weights_with_zeros
from nlpcompress.scoring import (
    first_examples,
    grasp_scores,
    snip_scores,
    synflow_scores,
)

SYNFLOW_STEPS = 100
Tensors = Mapping[str, Tensor]


class AtInitConfig(Config):
    """By what weights are judged, how many stay, and the paper's sanity checks."""

    criterion: Literal["synflow", "snip", "grasp", "magnitude", "random"] = Field(
        "synflow", description="what says that a weight is needed; the last two are controls"
    )
    keep: float = Field(0.1, gt=0, le=1, description="share of all weights of the body that stay")
    steps: int | None = Field(
        None,
        ge=1,
        description="rounds of scoring; after round k of n the share keep^(k/n) is left; null: "
        "100 for synflow, 1 for the others",
    )
    num_samples: int | None = Field(
        128, ge=1, description="training examples for snip and grasp in each round; null: all"
    )
    temperature: float = Field(200.0, gt=0, description="divides the logits in grasp's loss")
    min_per_layer: int = Field(
        1, ge=0, description="weights of each matrix that stay at least; 0: a layer may die"
    )
    control: Literal["none", "shuffle", "reinit"] = Field(
        "none",
        description="shuffle each mask within its matrix, or draw all weights anew under the "
        "masks: if training gets as far, the choice of single weights said little",
    )

    @property
    def rounds(self) -> int:
        """Rounds of scoring."""
        return self.steps or (SYNFLOW_STEPS if self.criterion == "synflow" else 1)


class AtInit(Method):
    """Prunes before training."""

    name: ClassVar[str] = "at_init"
    Config: ClassVar[type[AtInitConfig]] = AtInitConfig
    cuts: ClassVar[bool] = True

    def prepare(self, model: nn.Module, ctx: Context) -> GateSet:
        """Gates on the body's weights, shut for good where nothing is to be learnt.

        Raises `ConfigError` when the floors of all matrices are more than `keep`, or the model
        cannot be drawn anew; `PlanError` for scores that are no ranking; `DataError` without
        labelled batches for `snip` and `grasp`.
        """
        masks = find_masks(model, ctx, self.config)
        if self.config.control == "shuffle":
            masks = shuffled(masks, seed=ctx.seed)
        if self.config.control == "reinit":
            draw_anew(model, seed=ctx.seed)
        places = {place.covers[0].tensor: place for place in weight_places(model)}
        return GateSet(model, [FixedGate(p, mask=masks[name]) for name, p in places.items()])

    def plan(self, model: nn.Module, ctx: Context) -> Plan:
        """What is empty leaves; zeros that are left are there to stay.

        Raises `PlanError` for a model that was not trained under the masks.
        """
        weights = body_weights(model)
        prunes = _counts(weights, self.config.keep, rounds=1) != [_size(weights)]
        if prunes and not any(bool((weight == 0).any()) for weight in weights.values()):
            raise PlanError(
                "no weight of the body is 0: at_init puts its masks on when a training starts, and "
                "this model has not been trained with it; give the stage a train block, such as "
                "train: {num_train_epochs: 1, learning_rate: 1.0e-3}"
            )
        return plan_for_zeros(model, ctx)


def find_masks(model: nn.Module, ctx: Context, config: AtInitConfig) -> dict[str, Tensor]:
    """Name → bool mask of the body's weights. Zeros that were there to stay stay shut.

    Each round scores the model as the masks of the rounds before leave it.
    """
    weights = {name: weight.detach() for name, weight in body_weights(model).items()}
    lasting = weights_with_zeros(model)
    masks = {
        name: w != 0 if name in lasting else torch.ones_like(w, dtype=torch.bool)
        for name, w in weights.items()
    }
    counts = _counts(weights, config.keep, rounds=config.rounds)
    _require_room(masks, counts[-1], config.min_per_layer)
    for count in counts:
        masked = {name: weight * masks[name] for name, weight in weights.items()}
        scores = _scores(model, masked, ctx, config)
        masks = decide(scores, count=count, min_per_layer=config.min_per_layer, among=masks)
    return masks


def decide(
    scores: Tensors, *, count: int, min_per_layer: int = 0, among: Tensors | None = None
) -> dict[str, Tensor]:
    """Masks that are true at exactly the `count` largest scores of all tensors, larger is kept.

    Each tensor first keeps its `min_per_layer` largest, or all of a smaller one, and the others
    get less. Only what is true in `among` can stay. Equal scores: the earlier one stays.
    Raises `ConfigError` when the floors are more than `count`, `PlanError` for scores that are no
    numbers, or all zero.

    >>> scores = {"a": torch.tensor([9.0, 8.0, 7.0]), "b": torch.tensor([1.0, 2.0])}
    >>> {name: mask.int().tolist() for name, mask in decide(scores, count=2).items()}
    {'a': [1, 1, 0], 'b': [0, 0]}
    >>> masks = decide(scores, count=2, min_per_layer=1)
    >>> {name: mask.int().tolist() for name, mask in masks.items()}
    {'a': [1, 0, 0], 'b': [0, 1]}
    """
    _check(scores)
    among = among or {name: torch.ones_like(s, dtype=torch.bool) for name, s in scores.items()}
    _require_room(among, count, min_per_layer)
    ranked = [_with_floor(scores[name], among[name], min_per_layer) for name in scores]
    masks = keep_largest_of_all(ranked, count)
    return {name: mask & among[name] for name, mask in zip(scores, masks, strict=True)}


def shuffled(masks: Tensors, *, seed: int) -> dict[str, Tensor]:
    """Each mask in a random order: as many weights of each matrix, but others."""
    generator = torch.Generator().manual_seed(seed)
    return {name: _in_order(mask, generator) for name, mask in masks.items()}


def draw_anew(model: nn.Module, *, seed: int) -> None:
    """The model gets the weights of a new one of its config. Raises `ConfigError` as `redrawn`."""
    model.load_state_dict(redrawn(model, model.state_dict(), seed=seed))


def _scores(
    model: nn.Module, weights: Tensors, ctx: Context, config: AtInitConfig
) -> dict[str, Tensor]:
    if config.criterion == "synflow":
        return synflow_scores(model, weights, ctx.example_inputs)
    if config.criterion == "magnitude":
        return {name: weight.abs() for name, weight in weights.items()}
    if config.criterion == "random":
        return dict(_noise(weights, torch.Generator().manual_seed(ctx.seed)))
    batches = list(first_examples(ctx.batches(), config.num_samples))
    if config.criterion == "snip":
        return snip_scores(model, weights, batches)
    return grasp_scores(model, weights, batches, temperature=config.temperature)


def _noise(weights: Tensors, generator: torch.Generator) -> Iterator[tuple[str, Tensor]]:
    for name, weight in weights.items():
        yield name, torch.rand(weight.shape, generator=generator).to(weight.device)


def _counts(weights: Tensors, keep: float, *, rounds: int) -> list[int]:
    """Weights left after each round, rounded to the nearest, at least one."""
    return [max(1, round(_size(weights) * keep ** (k / rounds))) for k in range(1, rounds + 1)]


def _size(weights: Tensors) -> int:
    return sum(weight.numel() for weight in weights.values())


def _with_floor(scores: Tensor, among: Tensor, floor: int) -> Tensor:
    """What cannot stay ranks last, the best `floor` of the others first."""
    ranked = scores.masked_fill(~among, -torch.inf)
    return ranked.masked_fill(keep_largest(ranked, floor) & among, torch.inf)


def _in_order(mask: Tensor, generator: torch.Generator) -> Tensor:
    order = torch.randperm(mask.numel(), generator=generator).to(mask.device)
    return mask.reshape(-1)[order].reshape(mask.shape)


def _require_room(among: Tensors, count: int, min_per_layer: int) -> None:
    floors = sum(min(min_per_layer, int(mask.sum())) for mask in among.values())
    if floors > count:
        raise ConfigError(
            f"keep leaves {count} of {_size(among)} weights, but min_per_layer: {min_per_layer} "
            f"keeps {floors} in {len(among)} matrices; raise keep, or lower min_per_layer"
        )


def _check(scores: Tensors) -> None:
    for name, values in scores.items():
        if not bool(values.isfinite().all()):
            raise PlanError(
                f"a weight of '{name}' has a score that is no finite number to rank by; does the "
                "model's output or loss overflow on these inputs?"
            )
    if not any(bool(values.any()) for values in scores.values()):
        raise PlanError(
            "the score of every weight is 0: the output does not depend on the body. In a later "
            "round: raise keep or min_per_layer, so that a path through every layer is left; in "
            "the first, synflow's embeddings of ones may become zeros in a layer norm: use snip"
        )
