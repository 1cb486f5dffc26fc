"""Which weights of a model can be quantized, and in which groups."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn

from nlpcompress.core.modes import eval_mode
from nlpcompress.models.grid import Scheme
from nlpcompress.models.noted import forget_note
from nlpcompress.models.quantized import DENSE, matrix_of
from nlpcompress.models.structure import names_on_disk
from nlpcompress.models.weights import body_weights


class Place(NamedTuple):
    """A weight: its name on disk, the modules that hold it, and its shape as a matrix."""

    on_disk: str
    paths: tuple[str, ...]
    rows: int
    columns: int
    is_table: bool


def places_of(model: nn.Module, inputs: Mapping[str, Tensor]) -> dict[str, Place]:
    """First name of each weight → its place: the body's matrices and filters, and the embeddings.

    Only of layers that a forward pass calls: some models read a table's weight themselves.
    """
    body, called = {id(w) for w in body_weights(model).values()}, _called(model, inputs)
    holders: dict[int, list[str]] = {}
    for path, module in model.named_modules(remove_duplicate=False):
        weight = module._parameters.get("weight")
        if type(module) in DENSE and (id(weight) in body or isinstance(module, nn.Embedding)):
            holders.setdefault(id(weight), []).append(path)
    on_disk = names_on_disk(model)
    return {
        f"{paths[0]}.weight": _place(model, paths, on_disk[f"{paths[0]}.weight"])
        for paths in map(tuple, holders.values())
        if model.get_submodule(paths[0]) in called and f"{paths[0]}.weight" in on_disk
    }


def scheme_of(place: Place, bits: int, *, groups: int | None, group_size: int, sym: bool) -> Scheme:
    """With `groups`, so many groups of whole rows, or the most below that divide the rows.

    >>> place = Place("x.weight", ("x",), 384, 1536, False)
    >>> scheme_of(place, 4, groups=128, group_size=-1, sym=False).groups
    (128, 1)
    """
    rows, columns = place.rows, place.columns
    group_rows = 1 if groups is None else rows // _divisor(rows, groups)
    return Scheme(rows, columns, bits, group_rows, columns if group_size == -1 else group_size, sym)


def stored_bits(scheme: Scheme) -> int:
    """Bits on disk: codes, scales of 16 bits, zero points."""
    below, beside = scheme.groups
    of_group = 16 + (0 if scheme.sym else scheme.bits)
    return scheme.rows * scheme.columns * scheme.bits + below * beside * of_group


def matrix_at(model: nn.Module, place: Place) -> Tensor:
    """The weight as a matrix `(rows, columns)`."""
    matrix = matrix_of(model.get_submodule(place.paths[0]))
    assert matrix is not None, "places are dense"
    return matrix


def forget_notes(model: nn.Module, places: Iterable[Place]) -> None:
    """Of an earlier training: the one to come notes grids anew."""
    for place in places:
        for path in place.paths:
            forget_note(model.get_submodule(path))


def _place(model: nn.Module, paths: tuple[str, ...], on_disk: str) -> Place:
    module = model.get_submodule(paths[0])
    matrix = matrix_of(module)
    assert matrix is not None, f"'{paths[0]}' was chosen for its kind"
    return Place(on_disk, paths, *matrix.shape, isinstance(module, nn.Embedding))


def _called(model: nn.Module, inputs: Mapping[str, Tensor]) -> set[nn.Module]:
    found: set[nn.Module] = set()
    hooks = [
        module.register_forward_pre_hook(lambda module, _: found.add(module))
        for module in model.modules()
        if type(module) in DENSE
    ]
    try:
        with eval_mode(model), torch.no_grad():
            model(**inputs)
    finally:
        for hook in hooks:
            hook.remove()
    return found


def _divisor(rows: int, most: int) -> int:
    return next(count for count in range(min(rows, most), 0, -1) if rows % count == 0)
