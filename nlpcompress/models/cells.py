"""Networks of cells, each a small graph of operations: what DARTS searches. Experimental.

A cell adds up, for each of its nodes, what operations make of earlier nodes and of the two cells
before, and puts its nodes side by side. All cells of a kind are alike; `reduction` cells, at a
third and two thirds of the depth, halve the sides and double the channels. An edge with several
operations is their mean, so that a config may name a network to search in.

Source: Liu et al. 2019 (DARTS), section 2.1.
Differs: no auxiliary tower, no dropped paths; a cell after a reduction takes means of the larger
maps, where DARTS has two shifted products.
This file needs torch and transformers only: a copy of it lies beside saved models, with the one
that it imports by a relative name for that reason.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any

import torch
import transformers
from torch import Tensor, nn
from transformers import PretrainedConfig, PreTrainedModel
from transformers.modeling_outputs import (
    BaseModelOutputWithPoolingAndNoAttention,
    ImageClassifierOutputWithNoAttention,
)

from .cell_operations import OPERATIONS

NORMAL, REDUCTION = "normal", "reduction"
Edges = Sequence[Sequence[str]]
"""Names of the operations on each edge, edge by edge as `edges_of` has them."""


class CellConfig(PretrainedConfig):
    """A network of cells. `normal` and `reduction` name the operations of all edges of a cell.

    Left out, each edge has all of them, and `none`.
    """

    model_type = "nlpcompress_cells"

    def __init__(
        self,
        num_channels: int = 3,
        channels: int = 16,
        num_cells: int = 8,
        nodes: int = 4,
        normal: Edges | None = None,
        reduction: Edges | None = None,
        **others: Any,
    ) -> None:
        self.num_channels, self.channels = num_channels, channels
        self.num_cells, self.nodes = num_cells, nodes
        count = len(list(edges_of(nodes)))
        self.normal = _checked(normal, count, NORMAL)
        self.reduction = _checked(reduction, count, REDUCTION)
        super().__init__(**others)


def edges_of(nodes: int) -> Iterator[tuple[int, int]]:
    """(node, source) of each edge of a cell; sources 0 and 1 are the two cells before, 2 node 0.

    >>> list(edges_of(2))
    [(0, 0), (0, 1), (1, 0), (1, 1), (1, 2)]
    """
    for node in range(nodes):
        for source in range(2 + node):
            yield node, source


def nodes_of(count: int) -> int:
    """How many nodes a cell with so many edges has."""
    return next(nodes for nodes in range(1, count + 1) if len(list(edges_of(nodes))) == count)


def _checked(edges: Edges | None, count: int, kind: str) -> list[list[str]]:
    if edges is None:
        return [list(OPERATIONS) for _ in range(count)]
    if len(edges) != count:
        raise ValueError(f"{kind} has {len(edges)} edges; a cell of these nodes has {count}")
    unknown = {name for names in edges for name in names} - set(OPERATIONS)
    if unknown:
        raise ValueError(f"{kind}: no operation {min(unknown)}; there are {', '.join(OPERATIONS)}")
    return [list(names) for names in edges]


class Edge(nn.Module):
    """Operations from one place to another: their mean, by `shares` where there are any.

    `kept` are those that take part; None: all.
    """

    def __init__(self, names: Sequence[str], channels: int, stride: int) -> None:
        super().__init__()
        made = {name: OPERATIONS[name](channels, stride) for name in names}
        self.operations = nn.ModuleDict(made)
        self.shares: Callable[[], Tensor] | None = None
        self.kept: Collection[str] | None = None

    def forward(self, maps: Tensor) -> Tensor | None:
        """None where nothing takes part."""
        parts = {
            name: operation
            for name, operation in self.operations.items()
            if self.kept is None or name in self.kept
        }
        if not parts:
            return None
        answers = [operation(maps) for operation in parts.values()]
        if self.shares is None or self.kept is not None:
            return sum(answers) / len(answers)
        return sum(share * answer for share, answer in zip(self.shares(), answers, strict=True))


class Cell(nn.Module):
    """One cell: maps of the two cells before it → its nodes, side by side."""

    def __init__(self, edges: Edges, widths: tuple[int, int], channels: int, kind: str) -> None:
        super().__init__()
        self.kind, self.nodes = kind, nodes_of(len(edges))
        self.before_last, self.last = (ReluConvNorm(width, channels) for width in widths)
        strides = [2 if kind == REDUCTION and s < 2 else 1 for _, s in edges_of(self.nodes)]
        self.edges = nn.ModuleList(
            Edge(names, channels, stride) for names, stride in zip(edges, strides, strict=True)
        )

    def forward(self, before_last: Tensor, last: Tensor) -> Tensor:
        """`(B, C, H, W)` each; the former may have twice the sides of the latter."""
        before_last = self.before_last(before_last)
        if before_last.shape[-1] != last.shape[-1]:
            before_last = nn.functional.avg_pool2d(before_last, 2, ceil_mode=True)
        states = [before_last, self.last(last)]
        for node in range(self.nodes):
            states.append(sum(self._arriving(node, states)))
        return torch.cat(states[2:], 1)

    def _arriving(self, node: int, states: Sequence[Tensor]) -> Iterator[Tensor]:
        for edge, (at, source) in zip(self.edges, edges_of(self.nodes), strict=True):
            if at == node and (answer := edge(states[source])) is not None:
                yield answer


class ReluConvNorm(nn.Sequential):
    """To another number of channels."""

    def __init__(self, given: int, made: int) -> None:
        super().__init__(nn.ReLU(), nn.Conv2d(given, made, 1, bias=False), nn.BatchNorm2d(made))


class CellPreTrainedModel(PreTrainedModel):
    """What both classes have in common."""

    config_class = CellConfig
    base_model_prefix = "cells"
    main_input_name = "pixel_values"
    _no_split_modules = ("Cell",)


class CellModel(CellPreTrainedModel):
    """A stem and cells."""

    def __init__(self, config: CellConfig) -> None:
        super().__init__(config)
        stem = 3 * config.channels
        self.stem = nn.Sequential(
            nn.Conv2d(config.num_channels, stem, 3, padding=1, bias=False), nn.BatchNorm2d(stem)
        )
        self.layers, widths, channels = nn.ModuleList(), (stem, stem), config.channels
        for number in range(config.num_cells):
            kind = kind_of(number, config.num_cells)
            channels *= 2 if kind == REDUCTION else 1
            self.layers.append(Cell(getattr(config, kind), widths, channels, kind))
            widths = (widths[1], config.nodes * channels)
        self.width = widths[1]
        self.post_init()

    def forward(
        self, pixel_values: Tensor, return_dict: bool | None = None
    ) -> BaseModelOutputWithPoolingAndNoAttention:
        """`(B, C, H, W)` → the last maps, and their means `(B, channels)`."""
        before_last = last = self.stem(pixel_values)
        for cell in self.layers:
            before_last, last = last, cell(before_last, last)
        return BaseModelOutputWithPoolingAndNoAttention(
            last_hidden_state=last, pooler_output=last.mean((2, 3))
        )


class CellsForImageClassification(CellPreTrainedModel):
    """Cells and a classifier on the means of the last maps."""

    def __init__(self, config: CellConfig) -> None:
        super().__init__(config)
        self.cells = CellModel(config)
        self.classifier = nn.Linear(self.cells.width, config.num_labels)
        self.post_init()

    def forward(
        self, pixel_values: Tensor, labels: Tensor | None = None, return_dict: bool | None = None
    ) -> ImageClassifierOutputWithNoAttention:
        """`(B, C, H, W)` → `logits` `(B, labels)`, and with `labels` `(B,)` their cross-entropy."""
        logits = self.classifier(self.cells(pixel_values).pooler_output)
        loss = None if labels is None else nn.functional.cross_entropy(logits, labels)
        return ImageClassifierOutputWithNoAttention(loss=loss, logits=logits)


def kind_of(number: int, count: int) -> str:
    """Of the cell at a place among so many."""
    return REDUCTION if number in (count // 3, 2 * count // 3) else NORMAL


def register(_module: Any = None) -> None:
    """Make the classes known to transformers' auto classes; a second call changes nothing.

    The argument is what import hooks pass: the module that was imported. The auto classes are named
    here and not imported above, as their import is what calls this.
    """
    transformers.AutoConfig.register(CellConfig.model_type, CellConfig, exist_ok=True)
    transformers.AutoModel.register(CellConfig, CellModel, exist_ok=True)
    transformers.AutoModelForImageClassification.register(
        CellConfig, CellsForImageClassification, exist_ok=True
    )


CellConfig.register_for_auto_class()
CellModel.register_for_auto_class("AutoModel")
CellsForImageClassification.register_for_auto_class("AutoModelForImageClassification")
