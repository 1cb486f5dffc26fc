"""From a model to its named axes."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from nlpcompress.axes.atoms import Atom, leaves, size_of
from nlpcompress.axes.axis import Axes, Axis, Slice
from nlpcompress.axes.export import export_graph
from nlpcompress.axes.kinds import Sighting, kind_of, sightings
from nlpcompress.axes.names import Scopes, common, numbered, role_name
from nlpcompress.axes.taps import taps_of
from nlpcompress.axes.trace import Trace
from nlpcompress.models.factors import second_factors
from nlpcompress.models.filters import rank_columns
from nlpcompress.models.quantized import schemes

HEAD_DIM = "the head size is a constant in the model's code"
TWICE = "appears twice in one dimension of a tensor"
QUANTIZED = "quantized: cut first, then quantize"
UNSTORED = "in a buffer that transformers does not store"
HIDDEN = "kernel"
RANK = "rank"


@dataclass
class Draft:
    """An axis before it has a name."""

    atom: Atom
    slices: list[Slice]
    sighting: Sighting
    between_factors: bool
    quantized: bool
    unstored: bool

    @property
    def kind(self) -> str:
        return RANK if self.between_factors else kind_of(self.sighting)

    @property
    def frozen(self) -> str | None:
        if len({(cut.tensor, cut.dim) for cut in self.slices}) < len(self.slices):
            return self.atom.frozen or TWICE
        of_the_code = HEAD_DIM if self.kind == "head_dim" else None
        of_a_tensor = QUANTIZED if self.quantized else UNSTORED if self.unstored else None
        return self.atom.frozen or of_the_code or of_a_tensor

    @property
    def paths(self) -> list[str]:
        """Modules that make the axis, or hold it where no operation makes it."""
        return self.sighting.makers or [cut.tensor.rpartition(".")[0] for cut in self.slices]


def find_axes(model: nn.Module, example_inputs: Mapping[str, Tensor]) -> Axes:
    """Read the model's graph once and name every set of slices that must be cut together.

    `example_inputs` are keyword arguments of one forward pass; only shapes matter, so tensors
    (and the model) may be on the meta device. The model is not changed.

    Raises `AxisError` when the model cannot be exported on these inputs.
    """
    traced = Trace(model, export_graph(model, example_inputs))
    quantized = {f"{path}.weight" for path in schemes(model)}
    every = _drafts(traced, second_factors(model) | rank_columns(model), quantized, unstored(model))
    drafts = [draft for draft in every if draft.kind != HIDDEN]
    taps = taps_of(model, traced.notes.consumers)
    axes = [
        Axis(
            name=name,
            kind=draft.kind,
            size=draft.atom.size,
            frozen=draft.frozen,
            slices=tuple(draft.slices),
            taps=taps.get(draft.atom, ()),
        )
        for name, draft in zip(_names(model, drafts), drafts, strict=True)
    ]
    return Axes(axes, traced.notes.unknown_ops)


def unstored(model: nn.Module) -> set[str]:
    """Names of buffers that are made anew with the model, and as the config says."""
    stored = model.state_dict().keys()
    return {name for name, _ in model.named_buffers()} - stored


def _drafts(
    traced: Trace, seconds: Collection[str], quantized: Collection[str], made: Collection[str]
) -> list[Draft]:
    """One for each atom of a parameter or buffer, in the order in which the graph makes them.

    The columns of the tensors in `seconds` are the ranks of factored matrices; those in `quantized`
    are packed, those in `made` not stored.
    """
    slices: dict[Atom, list[Slice]] = {}
    for name, dims in traced.tensors.items():
        for position, dim in enumerate(dims):
            factors = leaves(dim)
            for i, factor in enumerate(factors):
                before, after = size_of(factors[:i]), size_of(factors[i + 1 :])
                slices.setdefault(factor.atom, []).append(Slice(name, position, before, after))
    seen = sightings(traced.notes.seen, slices)
    drafts = [
        Draft(
            atom,
            cuts,
            seen.get(atom, Sighting()),
            between_factors=any(cut.tensor in seconds and cut.dim == 1 for cut in cuts),
            quantized=any(cut.tensor in quantized for cut in cuts),
            unstored=any(cut.tensor in made for cut in cuts),
        )
        for atom, cuts in slices.items()
    ]
    return sorted(drafts, key=lambda draft: draft.sighting.order)


def _names(model: nn.Module, drafts: list[Draft]) -> list[str]:
    every = [path for draft in drafts for path in draft.paths]
    scopes = Scopes(every, getattr(model, "base_model_prefix", ""))
    return numbered(
        ".".join(
            (*common([scopes.of(path) for path in draft.paths]), role_name(draft.kind, draft.paths))
        )
        for draft in drafts
    )
