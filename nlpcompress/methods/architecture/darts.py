"""Searches the operations of a network of cells by gradients, and drops the others. Experimental.

The model's config names the network to search in (`model_type: nlpcompress_cells`). Each edge of
its cells is the mean of all operations, by shares that are learnt with the weights; in the middle
of the training each node keeps the strongest edges, each with its strongest operation, and the rest
of the training is of what was chosen.

    - method: darts
      config: {choice_learning_rate: 0.01}
      train: {num_train_epochs: 10, learning_rate: 2.0e-3}

Source: Liu et al. 2019 (DARTS), first-order: section 2.2, equation 2, for the mean; section 2.4 for
what is kept; section 3.1 and the released code for the rates (3e-4, without momentum's bias).
Differs: shares learn on the batches that weights learn on (DARTS alternates between two halves of
the data); weights go on from the search (DARTS begins anew with a larger network: put the result's
`normal` and `reduction` into a config for that). Known to end in many skip connections when it
searches for long.
Cost: labelled pictures; one training, with all operations of all edges in its first part.
"""

from collections.abc import Sequence
from functools import partial
from typing import ClassVar

from pydantic import Field
from torch import nn

from nlpcompress.core.config import Config
from nlpcompress.core.edits import KeepOperations
from nlpcompress.core.method import Context, Method
from nlpcompress.core.plan import Plan
from nlpcompress.errors import PlanError
from nlpcompress.gates.relaxed_operations import RelaxedOperations
from nlpcompress.models.cells import NORMAL, REDUCTION, Cell, CellConfig, Edges, edges_of, nodes_of

NONE = "none"


class DartsConfig(Config):
    """What is kept, and how shares are learnt."""

    edges: int = Field(2, ge=1, description="edges that stay of those that lead to a node")
    choose_at: float = Field(
        0.5, gt=0, le=1, description="share of the training after which operations are chosen"
    )
    choice_learning_rate: float = Field(
        3e-4, gt=0, description="learning rate of the shares; higher in short trainings"
    )
    choice_weight_decay: float = Field(1e-3, ge=0, description="weight decay of the shares")


class Darts(Method):
    """Chooses operations by gradients."""

    name: ClassVar[str] = "darts"
    Config: ClassVar[type[DartsConfig]] = DartsConfig
    cuts: ClassVar[bool] = True
    scheduled: ClassVar[bool] = True

    def prepare(self, model: nn.Module, ctx: Context) -> RelaxedOperations:
        """Shares for the edges of both kinds of cells.

        Raises `PlanError` for a model that is no network of cells, or has nothing to choose.
        """
        config = self.config
        return RelaxedOperations(
            model,
            _cells(model),
            decide=partial(strongest, keep=config.edges),
            choose_at=config.choose_at,
            group={"lr": config.choice_learning_rate, "weight_decay": config.choice_weight_decay},
        )

    def plan(self, model: nn.Module, ctx: Context) -> Plan:
        """A `keep_operations` edit of what the training chose; without one nothing is dropped."""
        kept = {cell.kind: [edge.kept for edge in cell.edges] for cell in _cells(model)}
        if any(names is None for own in kept.values() for names in own):
            return Plan()
        there = {kind: getattr(model.config, kind) for kind in (NORMAL, REDUCTION)}
        return Plan((KeepOperations(**(there | kept)),))


def strongest(shares: Sequence[Sequence[float]], names: Edges, *, keep: int = 2) -> list[list[str]]:
    """Of each edge the operation that stays, or none: each node keeps its `keep` best edges.

    An edge is as good as its best operation other than none.

    >>> strongest([[0.7, 0.2, 0.1], [0.1, 0.6, 0.3]], [["none", "a", "b"]] * 2, keep=1)
    [[], ['a']]
    """
    nodes = nodes_of(len(names))
    best = [
        max((share, name) for share, name in zip(row, own, strict=True) if name != NONE)
        for row, own in zip(shares, names, strict=True)
    ]
    kept: list[list[str]] = [[] for _ in names]
    for node in range(nodes):
        arriving = [place for place, (at, _) in enumerate(edges_of(nodes)) if at == node]
        for place in sorted(arriving, key=lambda p: -best[p][0])[:keep]:
            kept[place] = [best[place][1]]
    return kept


def _cells(model: nn.Module) -> list[Cell]:
    if not isinstance(model.config, CellConfig):
        raise PlanError(
            f"darts searches networks of cells ({CellConfig.model_type}), and this is a "
            f"{model.config.model_type}"
        )
    cells = [module for module in model.modules() if isinstance(module, Cell)]
    widths = {len(edge.operations) for cell in cells for edge in cell.edges}
    if len(widths) != 1 or min(widths) < 2:
        raise PlanError(
            "darts chooses among as many operations on every edge, two at least; this network has "
            f"{', '.join(map(str, sorted(widths)))} a place"
        )
    return cells
