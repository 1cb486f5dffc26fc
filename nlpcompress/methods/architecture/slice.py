"""Takes a smaller network out of a larger one: the first positions of its axes, and some layers.

Nothing is scored: `sort` has put the best first, and `supernet` has trained what is first to go
alone.

    - method: slice
      config: {heads: 0.5, neurons: [1.0, 1.0, 0.5, 0.5, 0.25, 0.25], layers: 4}

Source: Yu et al. 2019 (Slimmable Neural Networks), section 3; Hou et al. 2020 (DynaBERT), section
2, for heads, neurons and depth.
Differs: every axis may have a share of its own; layers are spread over the depth.
Cost: nothing; the network of a `supernet` needs no training after it, but `recalibrate_norms` where
it has batch norms.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, ClassVar

from pydantic import Field
from torch import nn

from nlpcompress.axes import Axis, find_axes
from nlpcompress.core.config import Config
from nlpcompress.core.edits import Edit, Keep, KeepLayers
from nlpcompress.core.method import Context, Method
from nlpcompress.core.plan import Plan
from nlpcompress.errors import PlanError
from nlpcompress.methods.architecture.elastic import count_of, elastic_axes
from nlpcompress.methods.pruning.keep_layers import CHOICES
from nlpcompress.models.layers import layers_of
from nlpcompress.scoring import on_device_of

Share = Annotated[float, Field(gt=0, le=1)]
Shares = Share | Annotated[tuple[Share, ...], Field(strict=False, min_length=1)]


class SliceConfig(Config):
    """How much of each kind of axis stays: a share of all, or one for each axis in order."""

    heads: Shares = Field(1.0, description="of every attention's heads")
    neurons: Shares = Field(1.0, description="of every feed-forward network's neurons")
    channels: Shares = Field(1.0, description="of every layer's channels, in models without heads")
    layers: int | None = Field(
        None, ge=1, description="how many layers stay, spread from the first to the last"
    )
    round_to: int = Field(
        1, ge=1, description="neurons and channels that stay are a multiple of it, or all"
    )


class Slice(Method):
    """Decides by places alone."""

    name: ClassVar[str] = "slice"
    Config: ClassVar[type[SliceConfig]] = SliceConfig
    cuts: ClassVar[bool] = True

    def plan(self, model: nn.Module, ctx: Context) -> Plan:
        """A `keep` edit for each axis that is cut, then one for layers.

        Raises `PlanError` for kinds that the model has not, and for more shares or layers than
        there are.
        """
        config = self.config
        wanted = {
            kind: shares
            for kind in ("heads", "neurons", "channels")
            if (shares := getattr(config, kind)) != 1.0
        }
        axes = find_axes(model, on_device_of(model, ctx.example_inputs)) if wanted else None
        found = elastic_axes(axes, tuple(wanted)) if axes is not None else {}
        depth = None if config.layers is None else len(layers_of(model)[1])
        return decide(found, wanted, config, depth)


def decide(
    axes: Mapping[str, Sequence[Axis]],
    shares: Mapping[str, float | tuple[float, ...]],
    config: SliceConfig,
    depth: int | None,
) -> Plan:
    """The edits for axes by kind, with their shares, of a model of `depth` layers."""
    keeps = [edit for kind, own in axes.items() for edit in _keeps(kind, own, shares[kind], config)]
    return Plan((*keeps, *_layers(config.layers, depth)))


def _keeps(
    kind: str, axes: Sequence[Axis], shares: float | tuple[float, ...], config: SliceConfig
) -> Iterator[Edit]:
    each = shares if isinstance(shares, tuple) else (shares,) * len(axes)
    if len(each) != len(axes):
        raise PlanError(
            f"slice: {kind} has {len(each)} shares, but there are {len(axes)} axes of that kind "
            f"({', '.join(axis.name for axis in axes)})"
        )
    for axis, share in zip(axes, each, strict=True):
        count = count_of(share, axis.size, 1 if kind == "heads" else config.round_to)
        if count < axis.size:
            yield Keep(axis=axis.name, indices=tuple(range(count)))


def _layers(count: int | None, depth: int | None) -> Iterator[Edit]:
    if count is None or depth is None or count == depth:
        return
    if count > depth:
        raise PlanError(f"slice: {count} of {depth} layers; keep at most {depth}")
    yield KeepLayers(layers=tuple(CHOICES["spread"](depth, count)))
