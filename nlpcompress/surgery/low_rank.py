"""The edits `low_rank` and `factor_embedding`: a matrix becomes the product of two narrow ones."""

from collections.abc import Iterable, Mapping
from typing import Any

from torch import Tensor, nn
from torch.func import functional_call
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from nlpcompress.core.edits import FactorEmbedding, LowRank
from nlpcompress.core.nearest import nearest
from nlpcompress.errors import PlanError
from nlpcompress.models.factors import DENSE, matrix_of, put_factors
from nlpcompress.models.structure import DiskNames, named_tensors
from nlpcompress.models.svd import truncated_svd
from nlpcompress.surgery.verify import Forward

TIED = "tie_word_embeddings"


def check_factored(model: nn.Module, edit: LowRank | FactorEmbedding) -> None:
    """Raises `PlanError` for a weight that is not there, is no matrix, or would not get smaller."""
    name = _weight_name(model, edit)
    rank, holders = _rank(edit), _holders(model, name)
    weight = model.get_parameter(name)
    others = {n for n, t in named_tensors(model).items() if t is weight} - set(_weights(holders))
    odd = sorted({path for path, module in holders.items() if matrix_of(module) is None} | others)
    if odd:
        kinds = ", ".join(kind.__name__ for kind in DENSE)
        raise PlanError(
            f"{edit.op}: '{name}' cannot be factored: '{odd[0]}' holds it, and that is none of "
            f"{kinds}"
        )
    rows, columns = weight.shape
    most = (rows * columns - 1) // (rows + columns)
    if rank > most:
        raise PlanError(
            f"{edit.op}: '{name}' ({rows} × {columns}) of rank {rank} would not be smaller; it is "
            f"up to rank {most}"
        )


def truncated(model: nn.Module, edit: LowRank | FactorEmbedding) -> Forward:
    """A forward pass in which the weight is dense and of that rank."""

    def forward(inputs: Mapping[str, Tensor]) -> Any:
        holders = _holders(model, _weight_name(model, edit))
        first, second = _factors(holders, _rank(edit))
        turned = isinstance(next(iter(holders.values())), Conv1D)
        dense = (second @ first).T if turned else second @ first
        once = {id(module): path for path, module in holders.items()}
        values = dict.fromkeys(_weights(once.values()), dense)
        return functional_call(model, values, (), dict(inputs), tie_weights=False)

    return forward


def factor(model: nn.Module, edit: LowRank | FactorEmbedding) -> None:
    """All modules that hold the weight get the same two factors.

    The stock config can no longer say that a decoder is tied to the table of tokens; the record of
    shared weights does.
    """
    name = _weight_name(model, edit)
    holders, trained = _holders(model, name), model.get_parameter(name).requires_grad
    first, second = (
        nn.Parameter(value, requires_grad=trained) for value in _factors(holders, _rank(edit))
    )
    of_tokens = _embedding(model) in holders.values()
    for path in holders:
        put_factors(model, path, first, second)
    if of_tokens:
        for part in model.modules():
            if isinstance(part, PreTrainedModel) and hasattr(part.config, TIED):
                setattr(part.config, TIED, False)


def _rank(edit: LowRank | FactorEmbedding) -> int:
    return edit.rank if isinstance(edit, LowRank) else edit.size


def _weight_name(model: nn.Module, edit: LowRank | FactorEmbedding) -> str:
    """The weight's name in the modules. Raises `PlanError`."""
    if isinstance(edit, FactorEmbedding):
        return _token_table(model)
    name = DiskNames(model)(edit.weight)
    matrices = [n for n, tensor in named_tensors(model).items() if tensor.dim() == 2]
    if name not in matrices:
        raise PlanError(f"low_rank: no matrix '{edit.weight}'{nearest(edit.weight, matrices)}")
    return name


def _token_table(model: nn.Module) -> str:
    table = _embedding(model)
    paths = [path for path, module in model.named_modules() if module is table and table]
    if not paths or matrix_of(table) is None:
        raise PlanError(
            f"factor_embedding: {type(model).__name__} has no dense table of tokens "
            f"({type(table).__name__})"
        )
    return f"{paths[0]}.weight"


def _embedding(model: nn.Module) -> nn.Module | None:
    try:
        return model.get_input_embeddings() if isinstance(model, PreTrainedModel) else None
    except NotImplementedError:  # a model of pictures
        return None


def _holders(model: nn.Module, name: str) -> dict[str, nn.Module]:
    """Path → module of all whose `weight` it is."""
    weight = model.get_parameter(name)
    return {
        path: module
        for path, module in model.named_modules(remove_duplicate=False)
        if module._parameters.get("weight") is weight
    }


def _weights(paths: Iterable[str]) -> list[str]:
    return [f"{path}.weight" for path in paths]


def _factors(holders: Mapping[str, nn.Module], rank: int) -> tuple[Tensor, Tensor]:
    matrix = matrix_of(next(iter(holders.values())))
    assert matrix is not None, "was checked"
    return truncated_svd(matrix, rank)
