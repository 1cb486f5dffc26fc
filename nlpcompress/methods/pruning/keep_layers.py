"""Drops whole layers: a shallower student, whose layers are copies of some of the teacher's.

Nothing is scored. Embeddings, heads and the layers that stay keep their weights; the result is a
stock model, only with fewer layers, and a good start for distillation.

    - method: keep_layers
      config: {layers: spread, count: 6}

Source: Sanh et al. 2019 (DistilBERT), section 3, "student initialization", and its
`extract_distilbert.py` (layers 0, 2, 4, 7, 9, 11 of 12: `spread`); Sajjad et al. 2023 for `first`
(their "top-layer dropping") and `every_other`.
Differs: token-type embeddings and pooler stay, as the student has the teacher's own class.
Cost: nothing here; a recipe should train afterwards, with `triple_loss`, `layerwise` or `logits`.
"""

from collections.abc import Callable
from typing import ClassVar, Literal

from pydantic import Field, model_validator
from torch import nn

from nlpcompress.core.config import Config
from nlpcompress.core.edits import Indices, KeepLayers
from nlpcompress.core.method import Context, Method
from nlpcompress.core.plan import Plan
from nlpcompress.errors import PlanError
from nlpcompress.models.layers import layers_of

CHOICES: dict[str, Callable[[int, int], list[int]]] = {
    "every_other": lambda depth, count: [i * depth // count for i in range(count)],
    "spread": lambda depth, count: [
        int(i * (depth - 1) / max(count - 1, 1) + 0.5) for i in range(count)
    ],
    "first": lambda depth, count: list(range(count)),
    "last": lambda depth, count: list(range(depth - count, depth)),
}
"""Which `count` of `depth` layers, numbered from 0. `spread` rounds halves up."""


class KeepLayersConfig(Config):
    """Which layers stay."""

    layers: Literal["every_other", "spread", "first", "last"] | Indices = Field(
        "every_other",
        description="every_other: even steps from the first on (0, 2, 4, …); spread: even steps "
        "from the first to the last (0, 2, 4, 7, 9, 11); first; last; or their numbers from 0",
    )
    count: int | None = Field(
        None, ge=1, description="how many stay; not given: half of them, rounded up"
    )

    @model_validator(mode="after")
    def _one_of_both(self) -> "KeepLayersConfig":
        if self.count is not None and not isinstance(self.layers, str):
            raise ValueError(f"count: {self.count} beside layers by number; leave it out")
        return self


class DropLayers(Method):
    """Decides by a layer's place alone."""

    name: ClassVar[str] = "keep_layers"
    Config: ClassVar[type[KeepLayersConfig]] = KeepLayersConfig
    cuts: ClassVar[bool] = True

    def plan(self, model: nn.Module, ctx: Context) -> Plan:
        """One `keep_layers` edit. Raises `PlanError` for a model without one stack of layers."""
        return decide(len(layers_of(model)[1]), self.config)


def decide(depth: int, config: KeepLayersConfig) -> Plan:
    """The layers of `depth` that stay, ascending.

    Raises `PlanError` for more layers than there are, or for numbers of none.

    >>> decide(12, KeepLayersConfig(layers="spread", count=6)).edits[0].layers
    (0, 2, 4, 7, 9, 11)
    """
    chosen = _chosen(depth, config)
    if chosen[-1] >= depth:
        raise PlanError(f"keep_layers: layers {chosen}, but the model has 0 to {depth - 1}")
    return Plan((KeepLayers(layers=tuple(chosen)),))


def _chosen(depth: int, config: KeepLayersConfig) -> list[int]:
    if not isinstance(config.layers, str):
        return sorted(set(config.layers))
    count = config.count or (depth + 1) // 2
    if count > depth:
        raise PlanError(f"keep_layers: count {count} of {depth} layers; keep at most {depth}")
    return CHOICES[config.layers](depth, count)
