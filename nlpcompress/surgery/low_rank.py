"""The edits `low_rank` and `factor_embedding`: a matrix becomes the product of two narrow ones."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from torch import Tensor, nn
from torch.func import functional_call
from transformers.pytorch_utils import Conv1D

from nlpcompress.core.edits import FactorEmbedding, LowRank
from nlpcompress.errors import PlanError
from nlpcompress.models.factors import DENSE, matrix_of, put_factors
from nlpcompress.models.svd import truncated_svd
from nlpcompress.surgery.holders import (
    Holders,
    holders_of,
    say_tied,
    table_of,
    weight_named,
)
from nlpcompress.surgery.verify import Forward

Factoring = LowRank | FactorEmbedding


class Factored(NamedTuple):
    """A weight's factors, and the modules that hold it by their paths."""

    holders: Holders
    first: Tensor
    second: Tensor


def factored(model: nn.Module, edits: Sequence[Factoring]) -> list[Factored]:
    """What each edit makes of its weight; the model is not changed.

    Raises `PlanError` for a weight that is not there, is no matrix, would not get smaller, or is
    named twice.
    """
    names = [_weight_name(model, edit) for edit in edits]
    twice = [name for place, name in enumerate(names) if name in names[:place]]
    if twice:
        raise PlanError(f"'{twice[0]}' is factored twice; one of the edits is enough")
    checked = [_checked(model, edit, name) for edit, name in zip(edits, names, strict=True)]
    return [
        Factored(holders, *truncated_svd(_matrix(holders), _rank(edit)))
        for edit, holders in zip(edits, checked, strict=True)
    ]


def truncated(model: nn.Module, made: Sequence[Factored]) -> Forward:
    """A forward pass in which the weights are dense and of their new ranks."""

    def forward(inputs: Mapping[str, Tensor]) -> Any:
        values: dict[str, Tensor] = {}
        for holders, first, second in made:
            turned = isinstance(next(iter(holders.values())), Conv1D)
            dense = (second @ first).T if turned else second @ first
            once = {id(module): path for path, module in holders.items()}
            values |= dict.fromkeys(_weights(once.values()), dense)
        return functional_call(model, values, (), dict(inputs), tie_weights=False)

    return forward


def factor(model: nn.Module, made: Sequence[Factored]) -> None:
    """All modules that hold a weight get the same two factors."""
    table = table_of(model)
    for holders, *values in made:
        trained = next(iter(holders.values())).weight.requires_grad
        first, second = (nn.Parameter(value, requires_grad=trained) for value in values)
        for path in holders:
            put_factors(model, path, first, second)
    if any(table is module for holders, *_ in made for module in holders.values()):
        say_tied(model, False)


def _checked(model: nn.Module, edit: Factoring, name: str) -> Holders:
    """The weight's holders."""
    holders = holders_of(model, name, op=edit.op, kinds=DENSE)
    weight, rank = model.get_parameter(name), _rank(edit)
    rows, columns = weight.shape
    most = (rows * columns - 1) // (rows + columns)
    if rank > most:
        raise PlanError(
            f"{edit.op}: '{name}' ({rows} × {columns}) of rank {rank} would not be smaller; it is "
            f"up to rank {most}"
        )
    return holders


def _rank(edit: Factoring) -> int:
    return edit.rank if isinstance(edit, LowRank) else edit.size


def _weight_name(model: nn.Module, edit: Factoring) -> str:
    """The weight's name in the modules. Raises `PlanError`."""
    if isinstance(edit, FactorEmbedding):
        return _token_table(model)
    name = weight_named(model, edit.weight, op=edit.op)
    if model.get_parameter(name).dim() != 2:
        raise PlanError(f"low_rank: '{name}' is no matrix; filters are not factored so")
    return name


def _token_table(model: nn.Module) -> str:
    table = table_of(model)
    paths = [path for path, module in model.named_modules() if module is table]
    if table is None or not paths or matrix_of(table) is None:
        raise PlanError(
            f"factor_embedding: {type(model).__name__} has no dense table of tokens "
            f"({type(table).__name__})"
        )
    return f"{paths[0]}.weight"


def _weights(paths: Iterable[str]) -> list[str]:
    return [f"{path}.weight" for path in paths]


def _matrix(holders: Holders) -> Tensor:
    matrix = matrix_of(next(iter(holders.values())))
    assert matrix is not None, "was checked"
    return matrix
