"""Stores weights in few bits, fewer where the loss is flat: Q-BERT's mixed precision.

The greatest eigenvalues of the Hessian say which layers bear coarse numbers. With a training the
weights learn to be coarse; without one they are rounded as they are. `compensate` is for both: a
training starts where columns make up for each other's errors.

    - method: hessian_mixed
      config: {bits: [2, 3]}
      train: {num_train_epochs: 3, learning_rate: 2.0e-5}

Source: Shen et al. 2020 (Q-BERT), sections 3.1 (Ω = |mean λ| + std λ over runs, on 10 % of the data
each) and 3.2 (groups of output rows, 128 a matrix); Dong et al. 2020 (HAWQ-V2) for traces, and for
budgets, by Ω · ‖ΔW‖²; Esser et al. 2020 (LSQ) for learned steps; Frantar et al. 2023 (GPTQ) for
errors that other columns make up for.
Differs: eigenvalues by Lanczos, on `num_samples` examples a run; the classifier and the pooler stay
as they are, tables of embeddings are rounded row by row, inputs of layers only if it is asked for.
The released code groups inputs instead of outputs, moves ranges in evaluations too, and drops what
its groups leave over.
Cost: labelled data; for two and more `bits` about twenty Hessian products of all layers a run;
training takes a rounding of all weights a step.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar

from accelerate.utils import broadcast_object_list
from torch import Tensor, nn

from nlpcompress.axes.norms import norms_after
from nlpcompress.core.edits import FoldNorms, Quantize
from nlpcompress.core.method import Context, Method
from nlpcompress.core.plan import Plan
from nlpcompress.gates.fake_inputs import MovingInputs
from nlpcompress.gates.fake_quant import FakeQuant, LearnedFakeQuant, MovingFakeQuant
from nlpcompress.gates.fake_quant_set import FakeQuantSet, Inputs, Rounded
from nlpcompress.methods.quantization.blocks import Blocks, blocks_by, choices, omegas
from nlpcompress.methods.quantization.budgets import decide, floored, least_share
from nlpcompress.methods.quantization.compensation import Compensation
from nlpcompress.methods.quantization.config import HessianMixedConfig
from nlpcompress.methods.quantization.places import (
    Place,
    forget_notes,
    matrix_at,
    places_of,
    scheme_of,
)
from nlpcompress.models.activations import RoundedInputs
from nlpcompress.models.folding import fold
from nlpcompress.models.grid import Scheme
from nlpcompress.models.noted import note_inputs, noted
from nlpcompress.scoring import first_examples, input_ends, on_device_of
from nlpcompress.scoring.hessian import Runs
from nlpcompress.search import Choice

EIGHT = 8


class HessianMixed(Method):
    """Decides on bits by the Hessian, trains weights on their grids, codes them."""

    name: ClassVar[str] = "hessian_mixed"
    Config: ClassVar[type[HessianMixedConfig]] = HessianMixedConfig
    cuts: ClassVar[bool] = True
    quantizes: ClassVar[bool] = True
    needs_batches: ClassVar[bool] = True
    stores_scores: ClassVar[bool] = True

    def prepare(self, model: nn.Module, ctx: Context) -> FakeQuantSet:
        """Decide on bits, and round the weights in each forward pass.

        Tables of 8 bits and those that a decoder is tied to are left to the plan. Called by all
        processes of a training, which do as the main one decides.
        """
        places = _places(model, ctx)
        forget_notes(model, places.values())
        (schemes,) = broadcast_object_list([self._schemes(model, places, ctx, shared=True)])
        parts = [
            Rounded(self._fake_quant(matrix_at(model, places[name]), scheme), places[name].paths)
            for name, scheme in schemes.items()
            if not places[name].is_table or (scheme.bits < EIGHT and len(places[name].paths) == 1)
        ]
        if self.config.compensate:
            self._compensation(model, places, schemes, ctx).start(model)
        inputs = {path: self._moving_inputs() for path in self._with_inputs(places)}
        rate = self.config.step_learning_rate
        return FakeQuantSet(model, parts, inputs=inputs, learning_rate=rate)

    def plan(self, model: nn.Module, ctx: Context) -> Plan:
        """A `quantize` edit for each weight: on the grid that a training has noted, or its own."""
        places = _places(model, ctx)
        if trained := _noted_schemes(model, places):
            return Plan(self._edits(model, places, self._tables(places) | trained))
        folds = self._fold(model, ctx)
        schemes = self._schemes(model, places, ctx)
        self._note_inputs(model, self._with_inputs(places), ctx)
        if self.config.compensate and not ctx.sizes_only:
            self._compensation(model, places, schemes, ctx).round(model)
        return Plan((*folds, *self._edits(model, places, schemes)))

    def _edits(
        self, model: nn.Module, places: Mapping[str, Place], schemes: Mapping[str, Scheme]
    ) -> tuple[Quantize, ...]:
        return tuple(self._edit(model, places[name], scheme) for name, scheme in schemes.items())

    def _edit(self, model: nn.Module, place: Place, scheme: Scheme) -> Quantize:
        config = self.config
        on_its_grid = noted(model.get_submodule(place.paths[0])) is not None
        return Quantize(
            weight=place.on_disk,
            bits=scheme.bits,
            group_rows=scheme.group_rows,
            group_size=scheme.group_size,
            sym=scheme.sym,
            range="noted" if on_its_grid else config.range,
            input_bits=None if place.is_table else config.input_bits,
            input_range="dynamic" if place.is_table or not config.input_bits else "noted",
        )

    def _with_inputs(self, places: Mapping[str, Place]) -> list[str]:
        """Paths of the layers whose inputs are rounded."""
        body = [place for place in places.values() if not place.is_table]
        return [path for place in body for path in place.paths] if self.config.input_bits else []

    def _moving_inputs(self) -> Inputs:
        if self.config.input_range == "dynamic":
            return RoundedInputs(self.config.input_bits)
        return MovingInputs(self.config.input_bits, momentum=self.config.range_momentum)

    def _note_inputs(self, model: nn.Module, paths: Sequence[str], ctx: Context) -> None:
        ends: Mapping[str, Tensor] = {}
        if paths and self.config.input_range == "static":
            ends = input_ends(model, paths, first_examples(ctx.batches(), self.config.num_samples))
        for path in paths:
            note_inputs(model.get_submodule(path), self.config.input_bits, ends.get(path))

    def _fold(self, model: nn.Module, ctx: Context) -> tuple[FoldNorms, ...]:
        """Done at once, as all that follows looks at the folded filters."""
        norms = norms_after(model, ctx.example_inputs) if self.config.fold_norms else {}
        if norms and not ctx.sizes_only:
            fold(model, norms)
        return (FoldNorms(),) if norms else ()

    def _compensation(
        self,
        model: nn.Module,
        places: Mapping[str, Place],
        schemes: Mapping[str, Scheme],
        ctx: Context,
    ) -> Compensation:
        config = self.config
        body = [name for name in schemes if not places[name].is_table]
        blocks = blocks_by(model, config.blocks, body)

        def examples() -> Iterator[Mapping[str, Tensor]]:
            return first_examples(ctx.batches(), config.num_samples)

        return Compensation(blocks, places, schemes, config.range, examples)

    def _schemes(
        self, model: nn.Module, places: Mapping[str, Place], ctx: Context, *, shared: bool = False
    ) -> dict[str, Scheme]:
        """Name of each weight to quantize → how; `shared` says that all processes are asked."""
        body = [name for name, place in places.items() if not place.is_table]
        bits = dict.fromkeys(body, self.config.choices[0])
        if len(self.config.choices) > 1:
            blocks = blocks_by(model, self.config.blocks, body)
            sensitivity = self._sensitivity(model, blocks, ctx, shared=shared)
            found = self._bits_of_blocks(model, blocks, places, sensitivity)
            bits = {name: found[block] for block, names in blocks.items() for name in names}
        return self._tables(places) | {n: self._scheme(places[n], b) for n, b in bits.items()}

    def _tables(self, places: Mapping[str, Place]) -> dict[str, Scheme]:
        bits = self.config.embedding_bits
        return {
            name: scheme_of(place, bits, groups=None, group_size=-1, sym=self.config.sym)
            for name, place in places.items()
            if place.is_table and bits is not None
        }

    def _scheme(self, place: Place, bits: int) -> Scheme:
        config = self.config
        return scheme_of(
            place, bits, groups=config.groups, group_size=config.group_size, sym=config.sym
        )

    def _sensitivity(
        self, model: nn.Module, blocks: Blocks, ctx: Context, *, shared: bool
    ) -> dict[str, float] | None:
        """Of each block; None where only sizes are asked for."""
        if ctx.sizes_only:
            return None
        config = self.config
        runs = Runs(config.runs, config.sensitivity, seed=ctx.seed)
        batches = list(first_examples(ctx.batches(), config.runs * config.num_samples))
        return omegas(model, blocks, batches, runs, shared=shared, cache=ctx.cache)

    def _bits_of_blocks(
        self,
        model: nn.Module,
        blocks: Blocks,
        places: Mapping[str, Place],
        sensitivity: Mapping[str, float] | None,
    ) -> dict[str, int]:
        config = self.config
        costs: dict[str, list[Choice]] = {}
        if config.budgets:
            costs = {
                block: choices([self._options(model, places[name]) for name in names], config.range)
                for block, names in blocks.items()
            }
        if sensitivity is None and config.max_loss_share is not None:
            # Whether a share can be met depends on the sensitivities, which are not known here.
            share = max(config.max_loss_share, least_share(floored(costs, config.floors)))
            config = config.model_copy(update={"max_loss_share": share})
        numbers = sum(places[n].rows * places[n].columns for own in blocks.values() for n in own)
        return decide(config, sensitivity or dict.fromkeys(blocks, 1.0), costs, numbers)

    def _options(self, model: nn.Module, place: Place) -> tuple[Tensor, list[Scheme]]:
        return matrix_at(model, place), [self._scheme(place, bits) for bits in self.config.choices]

    def _fake_quant(self, matrix: Tensor, scheme: Scheme) -> FakeQuant:
        kind, ranges = self.config.range, self.config.train_ranges
        if ranges == "fixed":
            return FakeQuant(matrix, scheme, kind)
        if ranges == "learned" or kind == "mse":
            return LearnedFakeQuant(matrix, scheme, kind)
        return MovingFakeQuant(matrix, scheme, kind, momentum=self.config.range_momentum)


def _places(model: nn.Module, ctx: Context) -> dict[str, Place]:
    return places_of(model, on_device_of(model, ctx.example_inputs))


def _noted_schemes(model: nn.Module, places: Mapping[str, Place]) -> dict[str, Scheme]:
    notes = {name: noted(model.get_submodule(place.paths[0])) for name, place in places.items()}
    return {name: note.scheme for name, note in notes.items() if note is not None}
