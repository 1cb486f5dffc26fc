"""Gives layers one set of weights, and tokens short codes: ALBERT's two savings, for any encoder.

Layers share all their weights, or those of their attention or feed-forward network, in groups; the
table of tokens becomes a product of two matrices. It buys size and no speed: as many layers run.

    - method: albert
      config: {share: attention, embedding_size: 128}

Source: Lan et al. 2020 (ALBERT), section 3.1: factorized embeddings (E = 128), cross-layer sharing
(all; attention; FFN), and the groups of its released code.
Differs: ALBERT is trained so from the start; here a trained model is made so, from the mean of its
layers, the first, or the one whose weights change the others' outputs least, and its table from the
best one of rank E. The sum of token, place and segment is as wide as the layers, and normalised
there; in ALBERT all three are E wide. With `embedding_size` left out and whole layers in groups
that follow each other a BERT so shared is a stock ALBERT (`as_albert`).
Cost: `num_samples` examples, and a forward pass of all layers for each, for `initial: best`; the
same examples' tokens are counted for `embedding_weighting: frequency`. What is left needs training:
`layerwise` or `logits` with the model before as the teacher.
"""

from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field, PositiveInt, model_validator
from torch import nn

from nlpcompress.core.config import Config
from nlpcompress.core.edits import Edit, FactorEmbedding, Indices, ShareLayers
from nlpcompress.core.method import Context, Method
from nlpcompress.core.plan import Plan
from nlpcompress.errors import PlanError
from nlpcompress.models.albert import dealt
from nlpcompress.models.layers import layers_of
from nlpcompress.scoring import best_sources, first_examples, nearest_of_rank, token_counts

Groups = Annotated[tuple[Indices, ...], Field(strict=False, min_length=1)]


class AlbertConfig(Config):
    """What is shared by whom, and how long the tokens' codes are."""

    share: Literal["all", "attention", "ffn", "none"] = Field(
        "all", description="what layers of a group have in common; none: embeddings alone"
    )
    groups: PositiveInt | Groups = Field(
        1,
        description="so many groups of layers that follow each other, or their numbers from 0, "
        "such as [[0, 2, 4], [1, 3, 5]]; layers that are not named share with none",
    )
    initial: Literal["mean", "first", "best"] = Field(
        "mean",
        description="what a group starts from: the mean of its layers, its first, or the one whose "
        "weights change what its layers put out least when all have them",
    )
    embedding_size: int | None = Field(
        None, ge=1, description="numbers a token (128 in the paper); null: the table stays whole"
    )
    embedding_weighting: Literal["none", "frequency"] = Field(
        "none", description="which rows of the table have to be near: all alike, or by their use"
    )
    num_samples: int | None = Field(
        512, ge=1, description="examples for `best` and `frequency`; null: all of them"
    )

    @model_validator(mode="after")
    def _something(self) -> "AlbertConfig":
        if self.share == "none" and self.embedding_size is None:
            raise ValueError("share is none and embedding_size is null: nothing is left to do")
        named = [] if isinstance(self.groups, int) else [i for g in self.groups for i in g]
        twice = sorted({layer for layer in named if named.count(layer) > 1})
        if twice:
            raise ValueError(f"layer {twice[0]} is in two groups; each can be in one")
        return self


class Albert(Method):
    """Decides on groups, on what they start from, and on the table."""

    name: ClassVar[str] = "albert"
    Config: ClassVar[type[AlbertConfig]] = AlbertConfig
    cuts: ClassVar[bool] = True

    def plan(self, model: nn.Module, ctx: Context) -> Plan:
        """At most one `factor_embedding`, and a `share_layers` for each group of two and more.

        With `embedding_weighting: frequency` the table has its rank afterwards, so that the edit
        changes nothing. Raises `PlanError` when there is no such layer or table.
        """
        config, groups = self.config, self._groups(model)
        sources = self._sources(model, groups, ctx)
        if config.embedding_size and config.embedding_weighting == "frequency":
            self._weigh_by_frequency(model, ctx)
        return decide(config, groups, sources)

    def _groups(self, model: nn.Module) -> list[tuple[int, ...]]:
        if self.config.share == "none":
            return []
        return groups_of(len(layers_of(model)[1]), self.config.groups)

    def _sources(
        self, model: nn.Module, groups: Sequence[tuple[int, ...]], ctx: Context
    ) -> list[int | Literal["mean"]]:
        if self.config.initial != "best" or not groups:
            mean = self.config.initial == "mean"
            return ["mean" if mean else layers[0] for layers in groups]
        batches = first_examples(ctx.batches(), self.config.num_samples)
        return [*best_sources(model, groups, self.config.share, batches)]

    def _weigh_by_frequency(self, model: nn.Module, ctx: Context) -> None:
        table = getattr(model.get_input_embeddings(), "weight", None)
        if not isinstance(table, nn.Parameter):
            raise PlanError("albert: the model has no dense table of tokens to factor")
        batches = first_examples(ctx.batches(), self.config.num_samples)
        counts = token_counts(batches, len(table))
        with torch.no_grad():
            # A token that was not seen counts as one that was seen once.
            best = nearest_of_rank(table, self.config.embedding_size, counts=counts.clamp(min=1))
            table.copy_(best)


def groups_of(depth: int, groups: int | Sequence[Sequence[int]]) -> list[tuple[int, ...]]:
    """Layers of each group with two and more of them; `depth` is the number of all.

    A number of groups deals layers out as ALBERT's config does. Raises `PlanError` for layers that
    the model has not, and for more groups than layers.

    >>> groups_of(6, 2)
    [(0, 1, 2), (3, 4, 5)]
    """
    if isinstance(groups, int):
        if groups > depth:
            raise PlanError(f"albert: {groups} groups of {depth} layers; ask for at most {depth}")
        numbers = dealt(depth, groups)
        members = [tuple(i for i in range(depth) if numbers[i] == g) for g in range(groups)]
    else:
        members = [tuple(group) for group in groups]
    beyond = [layer for group in members for layer in group if layer >= depth]
    if beyond:
        raise PlanError(f"albert: no layer {beyond[0]}, the model has 0 to {depth - 1}")
    return [group for group in members if len(group) > 1]


def decide(
    config: AlbertConfig,
    groups: Sequence[tuple[int, ...]],
    sources: Sequence[int | Literal["mean"]],
) -> Plan:
    """The edits: the table first, then the groups, each from its source."""
    edits: list[Edit] = []
    if config.embedding_size is not None:
        edits.append(FactorEmbedding(size=config.embedding_size))
    if config.share != "none":
        edits += [
            ShareLayers(layers=layers, part=config.share, source=source)
            for layers, source in zip(groups, sources, strict=True)
        ]
    return Plan(tuple(edits))
