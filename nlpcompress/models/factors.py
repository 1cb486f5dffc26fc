"""A matrix as the product of two narrow ones: the modules that hold it so.

A weight `(rows, columns)` of rank r is `second @ first`, with `second` `(rows, r)` and `first`
`(r, columns)`. A linear layer turns `columns` numbers into `rows`; an embedding has a row a token.

This file needs torch and transformers only: a copy of it lies beside saved models.
"""

from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

try:
    from nlpcompress.models.quantized import weight_of
except ImportError:
    from .nlpcompress_quantized import weight_of

DENSE = (nn.Linear, Conv1D, nn.Embedding)
"""What can be factored: these classes themselves, and not what others made of them."""


class FactoredLinear(nn.Module):
    """`x @ first.T @ second.T + bias`, for `x` `(…, columns)`."""

    def __init__(
        self, first: nn.Parameter, second: nn.Parameter, bias: nn.Parameter | None
    ) -> None:
        super().__init__()
        self.rank = len(first)
        self.first = _linear(first)
        self.second = _linear(second)
        self.bias = bias

    @property
    def weight(self) -> Tensor:
        """The product, `(rows, columns)`, computed when it is asked for."""
        return weight_of(self.second) @ weight_of(self.first)

    def forward(self, hidden: Tensor) -> Tensor:
        """`(…, columns)` → `(…, rows)`."""
        out = self.second(self.first(hidden))
        return out if self.bias is None else out + self.bias


class FactoredEmbedding(nn.Module):
    """`second[ids] @ first`: a short code a token, and one matrix that makes the codes wide.

    `first` lies as in a decoder's `FactoredLinear`, with which it may be tied.
    """

    def __init__(self, first: nn.Parameter, second: nn.Parameter, padding_idx: int | None) -> None:
        super().__init__()
        self.rank = len(first)
        self.first = first
        self.second = nn.Embedding(*second.shape, padding_idx=padding_idx, device="meta")
        self.second.weight = second

    @property
    def weight(self) -> Tensor:
        """The product, `(tokens, columns)`, computed when it is asked for."""
        return weight_of(self.second) @ self.first

    def forward(self, ids: Tensor) -> Tensor:
        """Ids `(…)` → `(…, columns)`."""
        return self.second(ids) @ self.first


def ranks(model: nn.Module) -> dict[str, int]:
    """Path of each factored module → its rank."""
    return {
        path: module.rank
        for path, module in model.named_modules(remove_duplicate=False)
        if isinstance(module, (FactoredLinear, FactoredEmbedding))
    }


def second_factors(model: nn.Module) -> set[str]:
    """Names of the tensors `second`, each as long as its matrix and as wide as the rank."""
    return {f"{path}.second.weight" for path in ranks(model)}


def matrix_of(module: nn.Module) -> Tensor | None:
    """The weight `(rows, columns)` of a dense module; None where there is nothing to factor."""
    if type(module) not in DENSE:
        return None
    return module.weight.T if isinstance(module, Conv1D) else module.weight


def put_factors(model: nn.Module, path: str, first: nn.Parameter, second: nn.Parameter) -> None:
    """Put a factored module in the place of the dense one at `path`, with its bias."""
    dense = model.get_submodule(path)
    place, _, name = path.rpartition(".")
    new = (
        FactoredEmbedding(first, second, dense.padding_idx)
        if isinstance(dense, nn.Embedding)
        else FactoredLinear(first, second, dense.bias)
    )
    setattr(model.get_submodule(place), name, new.train(dense.training))


def put_empty_factors(model: nn.Module, path: str, rank: int) -> None:
    """The same with factors that have no values yet."""
    matrix = matrix_of(model.get_submodule(path))
    assert matrix is not None, f"'{path}' cannot be factored"
    first, second = (
        nn.Parameter(matrix.new_empty(shape), requires_grad=matrix.requires_grad)
        for shape in ((rank, matrix.shape[1]), (matrix.shape[0], rank))
    )
    put_factors(model, path, first, second)


def _linear(weight: nn.Parameter) -> nn.Linear:
    """Without a bias; nothing is drawn at random."""
    layer = nn.Linear(*reversed(weight.shape), bias=False, device="meta")
    layer.weight = weight
    return layer
