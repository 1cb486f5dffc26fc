"""The edit `quantize`: a weight becomes packed codes, with a scale for each group of them."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import Any, NamedTuple

from torch import Tensor, nn
from torch.func import functional_call
from transformers.pytorch_utils import Conv1D

from nlpcompress.core.edits import Quantize
from nlpcompress.errors import PlanError
from nlpcompress.models.activations import RoundedInputs, inputs_rounded
from nlpcompress.models.grid import Grid, Scheme, rounded
from nlpcompress.models.noted import noted, noted_inputs
from nlpcompress.models.quantized import DENSE, matrix_of, parts_of, put_quantized
from nlpcompress.models.ranges import check_steps, fitted_grid
from nlpcompress.surgery.holders import (
    Holders,
    holders_of,
    say_tied,
    table_of,
    weight_named,
)
from nlpcompress.surgery.verify import Forward


class Rounding(NamedTuple):
    """A weight's grid, the modules that hold it by their paths, and what rounds their inputs."""

    holders: Holders
    scheme: Scheme
    grid: Grid
    inputs: Mapping[str, RoundedInputs]

    @property
    def matrix(self) -> Tensor:
        """The weight as `(rows, columns)`."""
        matrix = matrix_of(next(iter(self.holders.values())))
        assert matrix is not None, "was checked"
        return matrix


def roundings(model: nn.Module, edits: Sequence[Quantize]) -> list[Rounding]:
    """The grid of each edit's weight; the model is not changed.

    Raises `PlanError` for a weight that is not there, is quantized already or twice, is not finite,
    or that groups do not divide.
    """
    names = [weight_named(model, edit.weight, op=edit.op) for edit in edits]
    twice = [name for place, name in enumerate(names) if name in names[:place]]
    if twice:
        raise PlanError(f"'{twice[0]}' is quantized twice; one of the edits is enough")
    return [_rounding(model, edit, name) for edit, name in zip(edits, names, strict=True)]


def with_rounded_values(model: nn.Module, made: Sequence[Rounding]) -> Forward:
    """A forward pass in which the weights are dense and lie on their grids."""

    def forward(inputs: Mapping[str, Tensor]) -> Any:
        values: dict[str, Tensor] = {}
        for rounding in made:
            holder = next(iter(rounding.holders.values()))
            dense = rounded(rounding.matrix, rounding.scheme, rounding.grid)
            as_it_lies = dense.T if isinstance(holder, Conv1D) else dense.view_as(holder.weight)
            once = {id(module): path for path, module in rounding.holders.items()}
            values |= {f"{path}.weight": as_it_lies for path in once.values()}
        with ExitStack() as hooks:
            for rounding in made:
                for path, rounded_inputs in rounding.inputs.items():
                    hooks.enter_context(inputs_rounded(rounding.holders[path], rounded_inputs))
            return functional_call(model, values, (), dict(inputs), tie_weights=False)

    return forward


def quantize(model: nn.Module, made: Sequence[Rounding]) -> None:
    """All modules that hold a weight get the same codes."""
    table = table_of(model)
    for rounding in made:
        parts = parts_of(rounding.matrix, rounding.scheme, rounding.grid)
        for path in rounding.holders:
            put_quantized(model, path, rounding.scheme, parts, rounding.inputs.get(path))
    if any(table is module for rounding in made for module in rounding.holders.values()):
        say_tied(model, False)


def _rounding(model: nn.Module, edit: Quantize, name: str) -> Rounding:
    holders = holders_of(model, name, op=edit.op, kinds=DENSE)
    matrix = matrix_of(next(iter(holders.values())))
    assert matrix is not None, "holders are dense"
    scheme = _scheme(edit, name, *matrix.shape)
    grid = _grid(edit, name, holders, scheme, matrix)
    return Rounding(holders, scheme, grid, dict(_inputs(edit, holders)))


def _scheme(edit: Quantize, name: str, rows: int, columns: int) -> Scheme:
    """Raises `PlanError` when groups do not divide the matrix."""
    sizes = {"group_rows": (edit.group_rows, rows), "group_size": (edit.group_size, columns)}
    found = {}
    for key, (asked, whole) in sizes.items():
        found[key] = whole if asked == -1 else asked
        if whole % found[key]:
            near = [n for n in range(1, whole + 1) if whole % n == 0]
            best = sorted(sorted(near, key=lambda n: abs(n - asked))[:4])
            raise PlanError(
                f"quantize: {key} {asked} does not divide the {rows} × {columns} of '{name}'; "
                f"some that do: {', '.join(map(str, best))}, and -1"
            )
    return Scheme(rows, columns, edit.bits, found["group_rows"], found["group_size"], edit.sym)


def _grid(edit: Quantize, name: str, holders: Holders, scheme: Scheme, matrix: Tensor) -> Grid:
    if edit.range != "noted":
        return fitted_grid(matrix, scheme, edit.range)
    note = next((n for n in map(noted, holders.values()) if n is not None), None)
    if note is None or note.scheme != scheme:
        raise PlanError(
            f"quantize: nothing has noted ranges of {scheme.groups} groups of {scheme.bits} bits "
            f"for '{name}'; use range min_max, percentile or mse"
        )
    check_steps(note.grid, matrix)
    return note.grid


def _inputs(edit: Quantize, holders: Holders) -> Iterator[tuple[str, RoundedInputs]]:
    if edit.input_bits is None:
        return
    for path, module in holders.items():
        found = noted_inputs(module) if edit.input_range == "noted" else None
        if isinstance(module, nn.Embedding) or (edit.input_range == "noted" and found is None):
            raise PlanError(
                f"quantize: '{path}' has no inputs to round, or nothing has noted their range; use "
                "input_range dynamic, and leave input_bits out for embeddings"
            )
        yield path, found or RoundedInputs(edit.input_bits)
