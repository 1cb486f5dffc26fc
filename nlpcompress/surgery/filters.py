"""The edits `svd_conv`, `tucker_conv` and `cp_conv`: filters become a chain of smaller ones."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.func import functional_call

from nlpcompress.core.edits import CpConv, SvdConv, TuckerConv
from nlpcompress.errors import PlanError
from nlpcompress.models.cp import cp
from nlpcompress.models.filters import Chain, CpConv2d, SvdConv2d, TuckerConv2d, put_chain
from nlpcompress.models.svd import truncated_svd
from nlpcompress.models.tucker import tucker2
from nlpcompress.surgery.holders import holders_of, weight_named
from nlpcompress.surgery.verify import Forward

Decomposing = SvdConv | TuckerConv | CpConv


class Decomposed(NamedTuple):
    """The path of a convolution, and the chain that stands there from now on."""

    path: str
    chain: Chain


def decomposed(model: nn.Module, edits: Sequence[Decomposing]) -> list[Decomposed]:
    """What each edit makes of its filters; the model is not changed.

    Raises `PlanError` for a weight that is not there or not one convolution's own, for ranks that
    are more than its channels or save nothing, and for a weight that is named twice.
    """
    paths = [_path(model, edit) for edit in edits]
    twice = [path for place, path in enumerate(paths) if path in paths[:place]]
    if twice:
        raise PlanError(f"'{twice[0]}.weight' is decomposed twice; one of the edits is enough")
    layers = [model.get_submodule(path) for path in paths]
    made = [_empty(edit, layer) for edit, layer in zip(edits, layers, strict=True)]
    for layer, chain in zip(layers, made, strict=True):
        _fill(chain, layer.weight)
    return [Decomposed(path, chain) for path, chain in zip(paths, made, strict=True)]


def with_products(model: nn.Module, made: Sequence[Decomposed]) -> Forward:
    """A forward pass of dense convolutions, whose filters are what the chains stand for."""

    def forward(inputs: Mapping[str, Tensor]) -> Any:
        values = {f"{path}.weight": chain.weight for path, chain in made}
        return functional_call(model, values, (), dict(inputs))

    return forward


def decompose(model: nn.Module, made: Sequence[Decomposed]) -> None:
    """Put the chains in."""
    for path, chain in made:
        put_chain(model, path, chain)


def _path(model: nn.Module, edit: Decomposing) -> str:
    name = weight_named(model, edit.weight, op=edit.op)
    holders = holders_of(model, name, op=edit.op, kinds=(nn.Conv2d,))
    if len(holders) > 1:
        raise PlanError(f"{edit.op}: '{name}' is shared by {' and '.join(holders)}")
    (path,) = holders
    return path


def _empty(edit: Decomposing, layer: nn.Conv2d) -> Chain:
    out, into = len(layer.weight) // layer.groups, layer.weight.shape[1]
    if isinstance(edit, TuckerConv) and not (edit.ranks[0] <= out and edit.ranks[1] <= into):
        raise PlanError(
            f"tucker_conv: '{edit.weight}' has {out} outputs and {into} inputs in a group; the "
            f"ranks {list(edit.ranks)} must not be more"
        )
    chain = _chain(edit, layer)
    before, after = layer.weight.numel(), sum(part.weight.numel() for part in chain)
    if after >= before:
        raise PlanError(
            f"{edit.op}: '{edit.weight}' has {before} numbers and would have {after}; choose "
            "smaller ranks, or leave it as it is"
        )
    return chain


def _chain(edit: Decomposing, layer: nn.Conv2d) -> Chain:
    if isinstance(edit, TuckerConv):
        return TuckerConv2d(layer, edit.ranks)
    kind = SvdConv2d if isinstance(edit, SvdConv) else CpConv2d
    return kind(layer, edit.rank)


@torch.no_grad()
def _fill(chain: Chain, filters: Tensor) -> None:
    """Each group by itself."""
    parts = filters.detach().unflatten(0, (chain.groups, -1))
    factors: Callable[[Tensor], Sequence[Tensor]]
    if isinstance(chain, TuckerConv2d):
        factors = partial(_tucker_weights, ranks=chain.ranks)
    else:
        weights = _svd_weights if isinstance(chain, SvdConv2d) else _cp_weights
        factors = partial(weights, rank=chain.rank)
    for layer, values in zip(chain, zip(*map(factors, parts), strict=True), strict=True):
        layer.weight.copy_(torch.cat(values).view_as(layer.weight))


def _svd_weights(filters: Tensor, rank: int) -> Sequence[Tensor]:
    """In the order in which the chain runs."""
    return truncated_svd(filters.flatten(1), rank)


def _tucker_weights(filters: Tensor, ranks: tuple[int, int]) -> Sequence[Tensor]:
    found = tucker2(filters, ranks)
    return found.first, found.core, found.last


def _cp_weights(filters: Tensor, rank: int) -> Sequence[Tensor]:
    found = cp(filters, rank)
    return found.into.T, found.rows.T, found.columns.T, found.out
