"""The edits: the only descriptions of a change of shape. Small, JSON, one class an `op`."""

from itertools import pairwise
from typing import Annotated, Literal

from pydantic import Field, NonNegativeInt, PositiveInt, field_validator, model_validator

from nlpcompress.core.config import Config


def _strictly_ascending(indices: tuple[int, ...]) -> tuple[int, ...]:
    if any(a >= b for a, b in pairwise(indices)):
        raise ValueError("indices must ascend without repeats")
    return indices


Indices = Annotated[tuple[NonNegativeInt, ...], Field(strict=False, min_length=1)]


class Keep(Config):
    """Keep these positions of one named axis and cut the others, in every tensor that shares it.

    `{"op": "keep", "axis": "layers.0.heads", "indices": [0, 2, 5]}` leaves three heads in layer 0.
    """

    op: Literal["keep"] = "keep"
    axis: str = Field(min_length=1, description="name of the axis, as `find_axes` gives it")
    indices: Indices = Field(
        description="positions to keep, ascending, counted in the model at this point of the plan"
    )

    _ascending = field_validator("indices")(_strictly_ascending)


class Permute(Config):
    """Put the positions of one named axis in another order, in every tensor that shares it.

    `{"op": "permute", "axis": "layers.0.heads", "order": [2, 0, 1]}` makes head 2 the first. The
    model computes what it did.
    """

    op: Literal["permute"] = "permute"
    axis: str = Field(min_length=1, description="name of the axis, as `find_axes` gives it")
    order: Indices = Field(description="all positions, in the order that they are in afterwards")

    @field_validator("order")
    @classmethod
    def _has_all(cls, order: tuple[int, ...]) -> tuple[int, ...]:
        if sorted(order) != list(range(len(order))):
            raise ValueError(f"must have each of 0 to {len(order) - 1} once")
        return order


class KeepLayers(Config):
    """Keep these layers of the (one) stack of layers and drop the others.

    `{"op": "keep_layers", "layers": [0, 2, 4]}` makes a three-layer model of layers 0, 2 and 4.
    """

    op: Literal["keep_layers"] = "keep_layers"
    layers: Indices = Field(
        description="layers to keep, ascending, counted in the model at this point of the plan"
    )

    _ascending = field_validator("layers")(_strictly_ascending)


class KeepVocabulary(Config):
    """Keep these tokens and drop the others: the table of tokens, and a head that tells them.

    `{"op": "keep_vocabulary", "tokens": [0, 2, 5]}` leaves three tokens, which are 0, 1 and 2 from
    then on; the tokenizer has to follow, see `fit_tokenizer`.
    """

    op: Literal["keep_vocabulary"] = "keep_vocabulary"
    tokens: Indices = Field(
        description="ids to keep, ascending, counted in the model at this point of the plan"
    )

    _ascending = field_validator("tokens")(_strictly_ascending)


class ShareLayers(Config):
    """These layers have one set of weights: all of them, or those of their attention or FFN.

    `{"op": "share_layers", "layers": [0, 1, 2], "part": "ffn", "source": 0}` gives three layers the
    feed-forward network of layer 0.
    """

    op: Literal["share_layers"] = "share_layers"
    layers: Annotated[Indices, Field(min_length=2)] = Field(
        description="layers that share, ascending, counted in the model at this point of the plan"
    )
    part: Literal["all", "attention", "ffn"] = Field("all", description="what of them is shared")
    source: NonNegativeInt | Literal["mean"] = Field(
        "mean", description="the one of these layers whose weights all have from now on, or mean"
    )

    _ascending = field_validator("layers")(_strictly_ascending)

    @model_validator(mode="after")
    def _one_of_them(self) -> "ShareLayers":
        if self.source != "mean" and self.source not in self.layers:
            raise ValueError(f"source {self.source} is not one of the layers {list(self.layers)}")
        return self


class LowRank(Config):
    """A matrix becomes the product of two narrow ones: its truncated singular value decomposition.

    `{"op": "low_rank", "weight": "bert.encoder.layer.0.output.dense.weight", "rank": 64}` turns the
    3072 × 768 numbers of that layer into 64 · (3072 + 768), wherever it is used.
    """

    op: Literal["low_rank"] = "low_rank"
    weight: str = Field(
        min_length=1, description="name on disk of a linear layer's or an embedding's weight"
    )
    rank: PositiveInt = Field(description="below rows · columns / (rows + columns), to save space")


class SvdConv(Config):
    """A filter bank becomes a narrower one before a 1 × 1 convolution: its truncated SVD.

    `{"op": "svd_conv", "weight": "….convolution.weight", "rank": 32}` leaves 32 · (in · 9 + out)
    numbers of out · in · 9; with groups each of them has this rank.
    """

    op: Literal["svd_conv"] = "svd_conv"
    weight: str = Field(min_length=1, description="name on disk of a convolution's weight")
    rank: PositiveInt = Field(description="channels that are left of a group's outputs")


class TuckerConv(Config):
    """A filter bank becomes a smaller one between two 1 × 1 convolutions: its Tucker-2 form.

    `{"op": "tucker_conv", "weight": "….convolution.weight", "ranks": [16, 12]}` leaves 12 · in +
    16 · 12 · 9 + out · 16 numbers of out · in · 9; with groups each of them has these ranks.
    """

    op: Literal["tucker_conv"] = "tucker_conv"
    weight: str = Field(min_length=1, description="name on disk of a convolution's weight")
    ranks: Annotated[tuple[PositiveInt, PositiveInt], Field(strict=False)] = Field(
        description="channels that are left of a group's outputs, and of its inputs"
    )


class CpConv(Config):
    """A filter bank becomes a sum of products of four vectors: 1 × 1, h × 1, 1 × w and 1 × 1.

    `{"op": "cp_conv", "weight": "….convolution.weight", "rank": 32}` leaves 32 · (in + 3 + 3 + out)
    numbers of out · in · 9; with groups each of them has this rank.
    """

    op: Literal["cp_conv"] = "cp_conv"
    weight: str = Field(min_length=1, description="name on disk of a convolution's weight")
    rank: PositiveInt = Field(description="terms of each group's sum")


class FactorEmbedding(Config):
    """The table of tokens becomes the product of two matrices; a decoder tied to it stays tied.

    `{"op": "factor_embedding", "size": 128}` leaves V · 128 + 128 · H numbers of V · H.
    """

    op: Literal["factor_embedding"] = "factor_embedding"
    size: PositiveInt = Field(description="numbers a token, E of ALBERT")


class Quantize(Config):
    """A weight becomes small whole numbers with a scale, and a zero point, for each group of them.

    `{"op": "quantize", "weight": "bert.encoder.layer.0.output.dense.weight", "bits": 4,
    "group_size": 128}` stores half a byte and a bit for each of its numbers, wherever it is used.
    """

    op: Literal["quantize"] = "quantize"
    weight: str = Field(
        min_length=1, description="name on disk of a linear layer's, embedding's or filter's weight"
    )
    bits: int = Field(ge=2, le=8, description="of each number; 2 to 8")
    group_size: PositiveInt | Literal[-1] = Field(
        -1, description="columns (inputs) of a group; -1: all of them"
    )
    group_rows: PositiveInt | Literal[-1] = Field(
        1, description="rows (outputs) of a group; -1: all of them"
    )
    sym: bool = Field(False, description="zero in the middle of every group's range")
    range: Literal["min_max", "percentile", "mse", "noted"] = Field(
        "min_max",
        description="where ranges end: at a group's least and greatest number; at its 0.1 and 99.9 "
        "percentiles; where the squared error is least; or where a training has put them",
    )
    input_bits: int | None = Field(
        None, ge=2, le=8, description="of the layer's inputs, rounded in each call; null: they stay"
    )
    input_range: Literal["dynamic", "noted"] = Field(
        "dynamic",
        description="from the inputs' own least to their greatest, or where a method says",
    )


class FoldNorms(Config):
    """What batch norms multiply by goes into the filters whose output they alone read.

    `{"op": "fold_norms"}` changes nothing that the model computes: each such norm is left with a
    mean of 0, a scale of 1, and its bias. It is for models that train no more: a norm in training
    mode takes the scale out again.
    """

    op: Literal["fold_norms"] = "fold_norms"


Names = Annotated[tuple[str, ...], Field(strict=False)]
Edges = Annotated[tuple[Names, ...], Field(strict=False, min_length=1)]


class KeepOperations(Config):
    """Keep these operations of a network of cells, edge by edge, and drop the others.

    `{"op": "keep_operations", "normal": [["skip_connect"], [], …], "reduction": […]}` leaves one
    operation on the first edge of all normal cells and none on the second.
    """

    op: Literal["keep_operations"] = "keep_operations"
    normal: Edges = Field(description="names of the operations on each edge of a normal cell")
    reduction: Edges = Field(description="of a cell that halves the sides")


class Mask(Config):
    """The zeros in the body's weights are there to stay: training to come leaves them zero.

    `{"op": "mask"}` changes no value; the saved config says it.
    """

    op: Literal["mask"] = "mask"


Edit = (
    Keep
    | Permute
    | KeepLayers
    | KeepVocabulary
    | ShareLayers
    | FactorEmbedding
    | LowRank
    | SvdConv
    | TuckerConv
    | CpConv
    | FoldNorms
    | KeepOperations
    | Quantize
    | Mask
)
EDITS: dict[str, type[Edit]] = {
    "keep": Keep,
    "permute": Permute,
    "keep_layers": KeepLayers,
    "keep_vocabulary": KeepVocabulary,
    "share_layers": ShareLayers,
    "factor_embedding": FactorEmbedding,
    "low_rank": LowRank,
    "svd_conv": SvdConv,
    "tucker_conv": TuckerConv,
    "cp_conv": CpConv,
    "fold_norms": FoldNorms,
    "keep_operations": KeepOperations,
    "quantize": Quantize,
    "mask": Mask,
}
