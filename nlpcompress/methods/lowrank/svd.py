"""Replaces matrices by the product of two narrow ones, where that saves numbers.

Each matrix gets the best one of a rank: nearest by itself, or for the inputs that it is really
given. The ranks are one number, or follow from the share of the output's square that is to stay, or
from the share of the numbers that may, which goes to the matrices that need it most. Filters count
as matrices of outputs by all that they see: a narrower bank and a 1 × 1 convolution stand for them.

    - method: svd
      config: {keep: 0.5, weighting: activations}

Source: the truncated singular value decomposition (Eckart and Young 1936); `activations`: Chen et
al. 2021 (DRONE, NeurIPS), its closed form for one matrix.
Differs: DRONE finds the matrices' ratios of errors by trials on the task, in the order in which
they run; here `energy` is one such ratio for all, and `keep` spreads a budget by one ranking.
Filters are always taken by themselves, and those of several groups are left alone.
Cost: nothing with `weighting: none`; else `num_samples` examples, no labels, one forward pass. A
recipe should train afterwards, with `logits` or `layerwise`. Two products for one: below half of
the ranks that save numbers it is faster too, above it may not be.
"""

from collections.abc import Iterator, Mapping
from typing import ClassVar, Literal, NamedTuple

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from nlpcompress.core.config import Config, refuse_several
from nlpcompress.core.edits import LowRank, SvdConv
from nlpcompress.core.method import Context, Method
from nlpcompress.core.plan import Plan
from nlpcompress.errors import PlanError
from nlpcompress.models.factors import matrix_of
from nlpcompress.models.layer_parts import parameters_of
from nlpcompress.models.layers import layers_of
from nlpcompress.models.structure import names_on_disk
from nlpcompress.models.weights import body_weights
from nlpcompress.scoring import (
    energies,
    first_examples,
    input_moments,
    nearest_of_rank,
    rank_of_energy,
)

HALF = 0.5
MATRIX = 2


class SvdConfig(Config):
    """How low the ranks, and what is near."""

    keep: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="share of the matrices' numbers that stays, spread by what each rank holds; "
        "0.5 if neither `energy` nor `rank` is given",
    )
    energy: float | None = Field(
        None, gt=0, lt=1, description="share of each output's square that stays at least"
    )
    rank: int | None = Field(None, ge=1, description="one rank for all")
    weighting: Literal["none", "activations"] = Field(
        "none", description="what is near: the numbers, or the outputs for the inputs of the data"
    )
    part: Literal["all", "attention", "ffn"] = Field(
        "all", description="matrices of the whole body, or of its layers' attention or FFN alone"
    )
    num_samples: int | None = Field(
        512, ge=1, description="examples to see inputs of; null: all of them"
    )

    @model_validator(mode="after")
    def _one_way(self) -> "SvdConfig":
        names = ("keep", "energy", "rank")
        refuse_several([name for name in names if getattr(self, name) is not None])
        return self


class Spectrum(NamedTuple):
    """A matrix's shape and its energies, descending."""

    rows: int
    columns: int
    energies: Tensor

    @property
    def price(self) -> int:
        """Numbers that one rank costs."""
        return self.rows + self.columns

    @property
    def most(self) -> int:
        """The greatest rank that saves numbers."""
        return (self.rows * self.columns - 1) // self.price


class Svd(Method):
    """Decides on ranks by singular values."""

    name: ClassVar[str] = "svd"
    Config: ClassVar[type[SvdConfig]] = SvdConfig
    cuts: ClassVar[bool] = True

    def plan(self, model: nn.Module, ctx: Context) -> Plan:
        """One `low_rank` edit, of filters `svd_conv`, for each matrix that gets smaller.

        With `weighting: activations` those matrices have the rank afterwards, so that the edits
        change nothing. Raises `PlanError` when there is no matrix, or none that saves.
        """
        matrices = _matrices(model, self.config.part)
        moments = self._moments(model, matrices, ctx)
        spectra = {
            name: Spectrum(*matrix.shape, energies(matrix, inputs=moments.get(name)))
            for name, matrix in _values(model, matrices).items()
        }
        ranks = decide(spectra, self.config)
        on_disk = names_on_disk(model)
        for name in moments.keys() & ranks.keys():
            _write(model, matrices[name][0], ranks[name], moments[name])
        return Plan(tuple(_edit(model, n, on_disk[n], rank) for n, rank in ranks.items()))

    def _moments(
        self, model: nn.Module, matrices: Mapping[str, list[str]], ctx: Context
    ) -> dict[str, Tensor]:
        if self.config.weighting == "none":
            return {}
        batches = first_examples(ctx.batches(), self.config.num_samples)
        dense = {name: paths for name, paths in matrices.items() if not _filters(model, name)}
        return input_moments(model, dense, batches) if dense else {}


def decide(spectra: Mapping[str, Spectrum], config: SvdConfig) -> dict[str, int]:
    """Name → rank of the matrices that get smaller. Raises `PlanError` when none does."""
    if config.rank is not None:
        ranks = dict.fromkeys(spectra, config.rank)
    elif config.energy is not None:
        ranks = {name: rank_of_energy(s.energies, config.energy) for name, s in spectra.items()}
    else:
        ranks = ranks_of_budget(spectra, config.keep or HALF)
    chosen = {name: rank for name, rank in ranks.items() if rank <= spectra[name].most}
    if not chosen:
        raise PlanError(
            f"svd: none of {len(spectra)} matrices would get smaller; ask for less than "
            f"{'rank' if config.rank else 'energy' if config.energy else 'keep'} "
            f"{config.rank or config.energy or config.keep or HALF}"
        )
    return chosen


def ranks_of_budget(spectra: Mapping[str, Spectrum], keep: float) -> dict[str, int]:
    """Ranks that take at most `keep` of all numbers, each matrix at least rank 1.

    Raises `PlanError` when rank 1 takes more.
    Ranks are bought by the share of their matrix's energy that they hold for each number that they
    cost. After the greatest rank that saves numbers comes the whole matrix, with its full rank.
    """
    whole, least = (sum(of) for of in zip(*map(_extremes, spectra.values()), strict=True))
    room = int(keep * whole) - least
    if room < 0:
        raise PlanError(
            f"svd: keep is {keep}, but with rank 1 for all the least possible is "
            f"{least / whole:.3g}; raise keep"
        )
    ranks, closed = dict.fromkeys(spectra, 1), set[str]()
    steps = [step for name, spectrum in spectra.items() for step in _steps(name, spectrum)]
    for step in sorted(steps, key=lambda step: -step.worth):
        if step.name in closed or step.cost > room or step.worth == 0:
            closed.add(step.name)
        else:
            ranks[step.name], room = step.rank, room - step.cost
    return ranks


def _extremes(spectrum: Spectrum) -> tuple[int, int]:
    """Numbers of the whole matrix, and of rank 1, or whole where that saves nothing."""
    whole = spectrum.rows * spectrum.columns
    return whole, min(spectrum.price, whole)


class Step(NamedTuple):
    """From one rank to the next of a matrix: share of energy a number, numbers, the new rank."""

    name: str
    worth: float
    cost: int
    rank: int


def _steps(name: str, spectrum: Spectrum) -> Iterator[Step]:
    whole = spectrum.energies.sum().clamp(min=torch.finfo(torch.float64).tiny)
    shares = (spectrum.energies / whole).tolist()
    price, most = spectrum.price, spectrum.most
    for rank in range(2, most + 1):
        yield Step(name, shares[rank - 1] / price, price, rank)
    rest = spectrum.rows * spectrum.columns - most * price
    worth = min(shares[most - 1] / price, sum(shares[most:]) / rest)
    yield Step(name, worth, rest, min(spectrum.rows, spectrum.columns))


def _matrices(model: nn.Module, part: str) -> dict[str, list[str]]:
    """First name of each matrix, or bank of filters, of the body → paths of what holds it."""
    wanted, holders = _names(model, part), {}
    for name, weight in body_weights(model).items():
        path = name.removesuffix(".weight")
        if name in wanted and _matrix_at(model, path) is not None:
            holders.setdefault(id(weight), []).append(path)
    if not holders:
        raise PlanError(f"svd: the model has no dense matrices of {part}")
    return {f"{paths[0]}.weight": paths for paths in holders.values()}


def _names(model: nn.Module, part: str) -> set[str]:
    if part == "all":
        return set(body_weights(model))
    path, stack = layers_of(model)
    return {
        f"{path}.{i}.{name}" for i, layer in enumerate(stack) for name in parameters_of(layer, part)
    }


def _values(model: nn.Module, matrices: Mapping[str, list[str]]) -> dict[str, Tensor]:
    return {name: _matrix(model, paths[0]) for name, paths in matrices.items()}


def _matrix(model: nn.Module, path: str) -> Tensor:
    matrix = _matrix_at(model, path)
    assert matrix is not None, f"'{path}' was chosen for its matrix"
    return matrix


def _matrix_at(model: nn.Module, path: str) -> Tensor | None:
    module = model.get_submodule(path)
    if type(module) is nn.Conv2d and module.groups == 1:
        return module.weight.flatten(1)
    return matrix_of(module)


def _filters(model: nn.Module, name: str) -> bool:
    return model.get_parameter(name).dim() > MATRIX


def _edit(model: nn.Module, name: str, on_disk: str, rank: int) -> LowRank | SvdConv:
    kind = SvdConv if _filters(model, name) else LowRank
    return kind(weight=on_disk, rank=rank)


@torch.no_grad()
def _write(model: nn.Module, path: str, rank: int, inputs: Tensor) -> None:
    matrix = _matrix(model, path)
    matrix.copy_(nearest_of_rank(matrix, rank, inputs=inputs))
