"""Learns how many bits each layer's weights get, by gradients, and trains them in those.

Every weight is the mean of its roundings to all of `bits`, each by a share that is learnt with it
and that the blocks' sizes have a price in. In the middle of the training the likeliest bits within
the budget are chosen; the rest of it trains them.

    - method: learned_bits
      config: {bits: [2, 4, 8], effective_bits: 4.0}
      train: {num_train_epochs: 3, learning_rate: 2.0e-5}

Source: Wu et al. 2018 (Mixed Precision Quantization of ConvNets via Differentiable Neural
Architecture Search); Liu et al. 2019 (DARTS), first-order; Cai and Vasconcelos 2020 (EdMIPS), who
mix the weights and not what layers answer.
Differs: shares learn on the batches that weights learn on; one exact choice within a budget instead
of the likeliest option of each block; weights go on from the search, and do not begin anew.
Cost: labelled data; one training, with a rounding to each of `bits` a step in its first part.
"""

from collections.abc import Iterator, Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import Field, field_validator
from torch import nn

from nlpcompress.core.method import Context, Method
from nlpcompress.core.plan import Plan
from nlpcompress.errors import ConfigError
from nlpcompress.gates.fake_quant import MovingFakeQuant
from nlpcompress.gates.fake_quant_set import Rounded
from nlpcompress.gates.relaxed import RelaxedChoice, RelaxedChoices
from nlpcompress.gates.relaxed_bits import RelaxedFakeQuant, RelaxedFakeQuantSet
from nlpcompress.methods.choosing import ChoosingConfig
from nlpcompress.methods.quantization.blocks import Blocks, blocks_by
from nlpcompress.methods.quantization.config import Bits, HessianMixedConfig
from nlpcompress.methods.quantization.hessian_mixed import HessianMixed
from nlpcompress.methods.quantization.places import (
    Place,
    forget_notes,
    matrix_at,
    places_of,
    scheme_of,
    stored_bits,
)
from nlpcompress.models.grid import Scheme
from nlpcompress.models.noted import noted
from nlpcompress.scoring import on_device_of


class LearnedBitsConfig(ChoosingConfig):
    """Among which bits, within which budget, and how the choice is learnt."""

    bits: Annotated[tuple[Bits, ...], Field(strict=False, min_length=2)] = Field(
        (2, 4, 8), description="of each weight of the body: what there is to choose from"
    )
    effective_bits: float = Field(
        4.0,
        gt=0,
        description="mean bits a weight of the body may take, scales and zero points counted",
    )
    blocks: Literal["layers", "matrices"] | None = Field(
        None, description="what has one number of bits; null: layers, matrices where there are none"
    )
    groups: int = Field(
        128, ge=1, description="groups of rows in each matrix, or the most below that divide it"
    )
    embedding_bits: Bits | None = Field(
        8, description="of tables, by rows, once trained; null: they stay floats"
    )
    range_momentum: float = Field(
        0.95, ge=0, lt=1, description="of the moving averages that ranges are"
    )

    @field_validator("bits")
    @classmethod
    def _ascend(cls, bits: tuple[int, ...]) -> tuple[int, ...]:
        if list(bits) != sorted(set(bits)):
            raise ValueError("bits must ascend without repeats")
        return bits


class LearnedBits(Method):
    """Chooses bits by gradients, and codes the weights."""

    name: ClassVar[str] = "learned_bits"
    Config: ClassVar[type[LearnedBitsConfig]] = LearnedBitsConfig
    cuts: ClassVar[bool] = True
    quantizes: ClassVar[bool] = True
    scheduled: ClassVar[bool] = True

    def prepare(self, model: nn.Module, ctx: Context) -> RelaxedFakeQuantSet:
        """A choice for each block, and grids of all bits for each of its weights."""
        config = self.config
        found = places_of(model, on_device_of(model, ctx.example_inputs))
        body = {name: place for name, place in found.items() if not place.is_table}
        forget_notes(model, found.values())
        blocks = blocks_by(model, config.blocks, body)
        schemes = {name: self._schemes(place) for name, place in body.items()}
        choices = {block: _choice(names, schemes) for block, names in blocks.items()}
        numbers = sum(place.rows * place.columns for place in body.values())
        return RelaxedFakeQuantSet(
            model,
            list(self._parts(model, blocks, body, schemes, choices)),
            RelaxedChoices(
                choices,
                budget=int(config.effective_bits * numbers),
                choose_at=config.choose_at,
                numbers=numbers,
            ),
            size_weight=config.size_weight,
            learning_rate=config.choice_learning_rate,
        )

    def plan(self, model: nn.Module, ctx: Context) -> Plan:
        """A `quantize` edit for each weight, on the grid that the training has noted.

        Raises `ConfigError` without a training.
        """
        config = self.config
        if not ctx.sizes_only and not any(noted(module) for module in model.modules()):
            raise ConfigError(
                "learned_bits learns bits in a training, and this stage has none; give it a train "
                "block, or use hessian_mixed, which rounds without one"
            )
        rounding = HessianMixedConfig(
            bits=config.bits,
            effective_bits=config.effective_bits,
            blocks=config.blocks,
            groups=config.groups,
            embedding_bits=config.embedding_bits,
        )
        return HessianMixed(rounding).plan(model, ctx)

    def _schemes(self, place: Place) -> list[Scheme]:
        return [
            scheme_of(place, bits, groups=self.config.groups, group_size=-1, sym=False)
            for bits in self.config.bits
        ]

    def _parts(
        self,
        model: nn.Module,
        blocks: Blocks,
        body: Mapping[str, Place],
        schemes: Mapping[str, list[Scheme]],
        choices: Mapping[str, RelaxedChoice],
    ) -> Iterator[Rounded]:
        momentum = self.config.range_momentum
        for block, names in blocks.items():
            for name in names:
                matrix = matrix_at(model, body[name])
                grids = [
                    MovingFakeQuant(matrix, scheme, "min_max", momentum=momentum)
                    for scheme in schemes[name]
                ]
                yield Rounded(RelaxedFakeQuant(grids, choices[block]), body[name].paths)


def _choice(names: list[str], schemes: Mapping[str, list[Scheme]]) -> RelaxedChoice:
    """Of a block: what its weights take together, for each number of bits."""
    sizes = zip(*([stored_bits(scheme) for scheme in schemes[name]] for name in names), strict=True)
    return RelaxedChoice([sum(own) for own in sizes])
