"""Trains a network so that its beginnings are good networks, too: one training for many sizes.

In each step the whole network learns the task, and the smallest and some random smaller ones learn
its answers; all of them share their weights. A stage `sort` before it puts what matters first;
`slice` after it takes a network out that needs no training, and a recipe's `search:` over the
shares of `slice` finds the best that holds a budget.

    - method: supernet
      config: {heads: [0.25, 0.5, 1.0], neurons: [0.25, 0.5, 1.0], layers: [4, 6]}
      train: {num_train_epochs: 3, learning_rate: 5.0e-5}

Source: Yu and Huang 2019 (Universally Slimmable Networks), "The Sandwich Rule", with two random
networks a step, and "Inplace Distillation"; Cai et al. 2020 (Once-for-All); Hou et
al. 2020 (DynaBERT) for heads, neurons and depth of transformers.
Differs: every axis is drawn by itself; batch norms keep the whole network's statistics, and a stage
`recalibrate_norms` after `slice` finds the smaller one's; smaller networks are masks on the whole
one, which compute what `slice` gives, and take its time.
Cost: data; a step takes as many passes as there are networks in it; no teacher but the network.
"""

import random
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from nlpcompress.axes import Axis, find_axes
from nlpcompress.core.config import Config
from nlpcompress.core.method import Context, Method, Objective
from nlpcompress.core.modes import eval_mode
from nlpcompress.errors import ConfigError
from nlpcompress.gates.slices import Network, SliceGates, resized
from nlpcompress.methods.architecture.elastic import count_of, elastic_axes, kinds_of
from nlpcompress.methods.distillation.answer_count import AnswerCount
from nlpcompress.methods.distillation.answers import answer_loss, soft_loss_of
from nlpcompress.methods.pruning.gating import axis_places
from nlpcompress.methods.pruning.keep_layers import CHOICES
from nlpcompress.models.layers import layers_of
from nlpcompress.scoring import on_device_of

Shares = Annotated[
    tuple[Annotated[float, Field(gt=0, le=1)], ...], Field(strict=False, min_length=1)
]
ALL = (0.25, 0.5, 0.75, 1.0)


class SupernetConfig(Config):
    """Which smaller networks there are, and how they learn."""

    heads: Shares = Field(ALL, description="shares of an attention's heads that a network may have")
    neurons: Shares = Field(ALL, description="of a feed-forward network's neurons")
    channels: Shares = Field(ALL, description="of a layer's channels, in models without heads")
    layers: Annotated[tuple[int, ...], Field(strict=False)] = Field(
        (), description="numbers of layers that a network may have, spread; empty: all of them"
    )
    resolutions: Shares = Field(
        (1.0,), description="shares of the pictures' sides that a network may see them with"
    )
    samples: int = Field(2, ge=0, description="random networks a step, beside the smallest")
    temperature: float = Field(1.0, gt=0, description="of the whole network's answers")
    weight: float = Field(1.0, gt=0, description="of the mean loss of the smaller networks")
    round_to: int = Field(
        1, ge=1, description="neurons and channels of a network are a multiple of it, or all"
    )


class Supernet(Method):
    """Teaches the beginnings of a network what the whole of it says."""

    name: ClassVar[str] = "supernet"
    Config: ClassVar[type[SupernetConfig]] = SupernetConfig

    def prepare(self, model: nn.Module, ctx: Context) -> SliceGates:
        """A gate on each elastic axis, open but where smaller networks run.

        Raises `ConfigError` for numbers of layers that the model has not.
        """
        config: SupernetConfig = self.config
        axes = find_axes(model, on_device_of(model, ctx.example_inputs))
        found = elastic_axes(axes, kinds_of(axes))
        chosen = [(kind, axis) for kind, own in found.items() for axis in own]
        depth = len(layers_of(model)[1]) if config.layers else None
        if depth is not None and not all(1 <= count <= depth for count in config.layers):
            raise ConfigError(f"supernet: layers {list(config.layers)}, but the model has {depth}")
        _check_resolutions(model, on_device_of(model, ctx.example_inputs), config.resolutions)
        loss = partial(answer_loss, loss=soft_loss_of(model, config.temperature))
        count = AnswerCount(model, ctx.example_inputs)
        return SliceGates(
            model,
            axis_places(model, [axis for _, axis in chosen], "slices"),
            draw=partial(networks, chosen, config, depth, ctx.seed),
            objective=Objective("slices", config.weight, loss, count=count),
        )


def networks(
    axes: Sequence[tuple[str, Axis]],
    config: SupernetConfig,
    depth: int | None,
    seed: int,
    step: int,
) -> list[Network]:
    """The smallest network, and `samples` random ones, equal on all processes of a training."""
    chance = random.Random(f"{seed} {step}")
    offered = [_counts(kind, axis, config) for kind, axis in axes]
    depths = sorted(config.layers)
    sides = sorted(config.resolutions)
    least = _spread(depth, depths[0] if depths else None)
    smallest = Network(tuple(map(min, offered)), least, sides[0])
    drawn = [
        Network(
            tuple(chance.choice(counts) for counts in offered),
            _spread(depth, chance.choice(depths) if depths else None),
            chance.choice(sides) if len(sides) > 1 else sides[0],
        )
        for _ in range(config.samples)
    ]
    return [smallest, *drawn]


def _check_resolutions(
    model: nn.Module, inputs: Mapping[str, Tensor], resolutions: Sequence[float]
) -> None:
    """Raises `ConfigError` when the model takes pictures of one size, or none."""
    least = min(resolutions)
    if least == 1.0:
        return
    try:
        with eval_mode(model), torch.no_grad():
            model(**resized(inputs, least))
    except (KeyError, ValueError, RuntimeError) as error:
        raise ConfigError(
            f"supernet: resolutions {list(resolutions)}, but the model cannot see its inputs at "
            f"{least} of their sides ({error}); leave resolutions out"
        ) from error


def _counts(kind: str, axis: Axis, config: SupernetConfig) -> list[int]:
    round_to = 1 if kind == "heads" else config.round_to
    return [count_of(share, axis.size, round_to) for share in getattr(config, kind)]


def _spread(depth: int | None, count: int | None) -> tuple[int, ...] | None:
    if depth is None or count is None or count == depth:
        return None
    return tuple(CHOICES["spread"](depth, count))
