"""Puts heads, neurons and channels in the order of their importance.

The model computes what it did; the first positions of every axis are then those that a smaller
network should have, as `supernet` and `slice` take them.

    - method: sort

Source: Cai et al. 2020 (Once-for-All), section 3.3, who sort channels by the norms of their filters
before a smaller network is taken out.
Differs: by the Taylor criterion of Molchanov et al. 2017, as `head_importance` and
`neuron_importance` score.
Cost: labelled data (`num_samples` examples), one backward pass a batch; no training.
"""

from collections.abc import Mapping, Sequence
from typing import ClassVar

from pydantic import Field
from torch import nn

from nlpcompress.axes import find_axes
from nlpcompress.core.config import Config
from nlpcompress.core.edits import Permute
from nlpcompress.core.method import Context, Method
from nlpcompress.core.plan import Plan
from nlpcompress.methods.architecture.elastic import elastic_axes, kinds_of
from nlpcompress.scoring import on_device_of, stored_taylor_scores


class SortConfig(Config):
    """What positions are scored on."""

    num_samples: int = Field(512, ge=1, description="training examples")


class Sort(Method):
    """Orders positions by what the loss would miss most."""

    name: ClassVar[str] = "sort"
    Config: ClassVar[type[SortConfig]] = SortConfig
    cuts: ClassVar[bool] = True
    needs_batches: ClassVar[bool] = True
    stores_scores: ClassVar[bool] = True

    def plan(self, model: nn.Module, ctx: Context) -> Plan:
        """One `permute` edit for each axis that is not in order."""
        axes = find_axes(model, on_device_of(model, ctx.example_inputs))
        found = elastic_axes(axes, kinds_of(axes))
        chosen = [axis for own in found.values() for axis in own]
        if ctx.sizes_only:
            return Plan()
        return decide(stored_taylor_scores(model, chosen, ctx, num_samples=self.config.num_samples))


def decide(scores: Mapping[str, Sequence[float]]) -> Plan:
    """The best first; of equals the one that was first.

    >>> decide({"layers.0.heads": [0.1, 0.9, 0.5]}).edits[0].order
    (1, 2, 0)
    """
    orders = {
        axis: tuple(sorted(range(len(values)), key=lambda place: -values[place]))
        for axis, values in scores.items()
    }
    edits = [Permute(axis=axis, order=order) for axis, order in orders.items()]
    return Plan(tuple(edit for edit in edits if list(edit.order) != sorted(edit.order)))
