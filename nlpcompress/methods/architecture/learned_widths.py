"""Learns how many heads and neurons each layer keeps, by gradients, and trains what is left.

Every layer is the mean of its narrower selves (their first heads, their first neurons), each by a
share that is learnt with the weights and that their sizes have a price in. In the middle of the
training the likeliest widths within the budget are chosen; the rest of it trains them. Put `sort`
before it, so that what comes first is what matters.

    - method: learned_widths
      config: {keep: 0.5}
      train: {num_train_epochs: 3, learning_rate: 5.0e-5}

Source: Liu et al. 2019 (DARTS), first-order, for the softmax over options; Wan et al. 2020
(FBNetV2), section 3.1, for masks of the first channels in place of an operation for each width.
Differs: shares learn on the batches that weights learn on (FBNetV2 alternates); no Gumbel noise;
one exact choice within a budget instead of the likeliest option of each layer.
Cost: labelled data; one training, whose steps cost what they cost without it.
"""

from collections.abc import Sequence
from typing import Annotated, ClassVar

from pydantic import Field
from torch import nn

from nlpcompress.axes import Axis, find_axes
from nlpcompress.core.method import Context, Method
from nlpcompress.core.plan import Plan
from nlpcompress.errors import ConfigError
from nlpcompress.gates.relaxed import RelaxedChoice, RelaxedChoices
from nlpcompress.gates.relaxed_widths import RelaxedWidth, RelaxedWidths
from nlpcompress.methods.architecture.elastic import count_of, elastic_axes
from nlpcompress.methods.choosing import ChoosingConfig
from nlpcompress.methods.pruning.gating import axis_places
from nlpcompress.methods.pruning.zeros import plan_for_zeros
from nlpcompress.scoring import on_device_of

Shares = Annotated[
    tuple[Annotated[float, Field(gt=0, le=1)], ...], Field(strict=False, min_length=2)
]


class LearnedWidthsConfig(ChoosingConfig):
    """Among which widths, within which budget, and how the choice is learnt."""

    keep: float = Field(
        0.5, gt=0, le=1, description="share of the numbers of all heads and neurons that may stay"
    )
    heads: Shares | None = Field(
        (0.25, 0.5, 0.75, 1.0), description="shares of a layer's heads; null: heads stay"
    )
    neurons: Shares | None = Field(
        (0.125, 0.25, 0.5, 0.75, 1.0), description="shares of a layer's neurons; null: they stay"
    )
    round_to: int = Field(8, ge=1, description="neurons in multiples of this")


class LearnedWidths(Method):
    """Chooses widths by gradients."""

    name: ClassVar[str] = "learned_widths"
    Config: ClassVar[type[LearnedWidthsConfig]] = LearnedWidthsConfig
    cuts: ClassVar[bool] = True
    scheduled: ClassVar[bool] = True

    def prepare(self, model: nn.Module, ctx: Context) -> RelaxedWidths:
        """A choice for the heads and one for the neurons of each layer.

        Raises `ConfigError` when the narrowest widths are above the budget.
        """
        config = self.config
        axes = find_axes(model, on_device_of(model, ctx.example_inputs))
        kinds = [kind for kind in ("heads", "neurons") if getattr(config, kind) is not None]
        chosen = [(kind, a) for kind, own in elastic_axes(axes, kinds).items() for a in own]
        offered = [(axis, self._counts(kind, axis)) for kind, axis in chosen]
        prices = [_price(model, axis) for axis, _ in offered]
        self._check(offered, prices)
        choices = {
            axis.name: RelaxedChoice([count * price for count in counts])
            for (axis, counts), price in zip(offered, prices, strict=True)
        }
        places = axis_places(model, [axis for axis, _ in offered], "slices", readers_only=True)
        gates = [
            RelaxedWidth(place, counts, choices[axis.name])
            for place, (axis, counts) in zip(places, offered, strict=True)
        ]
        whole = sum(a.size * price for (a, _), price in zip(offered, prices, strict=True))
        return RelaxedWidths(
            model,
            gates,
            RelaxedChoices(choices, budget=int(config.keep * whole), choose_at=config.choose_at),
            weight=config.size_weight,
            learning_rate=config.choice_learning_rate,
        )

    def plan(self, model: nn.Module, ctx: Context) -> Plan:
        """What was not chosen is zero, and leaves."""
        return plan_for_zeros(model, ctx)

    def _counts(self, kind: str, axis: Axis) -> list[int]:
        round_to = 1 if kind == "heads" else self.config.round_to
        shares = getattr(self.config, kind)
        return sorted({count_of(share, axis.size, round_to) for share in shares})

    def _check(self, offered: Sequence[tuple[Axis, list[int]]], prices: Sequence[int]) -> None:
        rows = list(zip(offered, prices, strict=True))
        whole = sum(axis.size * price for (axis, _), price in rows)
        least = sum(counts[0] * price for (_, counts), price in rows) / whole
        if least > self.config.keep:
            raise ConfigError(
                f"keep is {self.config.keep}, but the narrowest widths take {least:.4g}; raise "
                "keep, or offer smaller shares of heads or neurons"
            )


def _price(model: nn.Module, axis: Axis) -> int:
    """Numbers that one position has in all tensors."""
    tensors = dict(model.named_parameters())
    own = [tensors[part.tensor] for part in axis.slices if part.tensor in tensors]
    return sum(tensor.numel() // axis.size for tensor in own)
