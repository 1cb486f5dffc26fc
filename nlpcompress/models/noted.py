"""Grids that a method has put weights on: noted beside them until `quantize` makes codes of it."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from nlpcompress.models.activations import RoundedInputs
from nlpcompress.models.grid import Grid, Scheme

SCALE, ZERO, SCHEME = "noted_scale", "noted_zero", "noted_scheme"
INPUT_BITS, ENDS = "noted_input_bits", "noted_ends"


class Note(NamedTuple):
    """How a dense module's weight is to be coded."""

    scheme: Scheme
    grid: Grid


def note_grid(module: nn.Module, scheme: Scheme, grid: Grid) -> None:
    """Say on which grid the module's weight lies."""
    module.register_buffer(SCALE, grid.scale)
    module.register_buffer(ZERO, grid.zero)
    setattr(module, SCHEME, scheme)


def noted(module: nn.Module) -> Note | None:
    """What was noted; None if nothing was."""
    tables = module._buffers
    if SCALE not in tables:
        return None
    return Note(getattr(module, SCHEME), Grid(tables[SCALE], tables[ZERO]))


def note_inputs(module: nn.Module, bits: int, ends: Tensor | None) -> None:
    """Say how the module's inputs are rounded; `ends` are float32 `(2,)`, None: each call's own."""
    setattr(module, INPUT_BITS, bits)
    module._buffers.pop(ENDS, None)
    if ends is not None:
        module.register_buffer(ENDS, ends)


def noted_inputs(module: nn.Module) -> RoundedInputs | None:
    """What was noted; None if nothing was."""
    bits, ends = getattr(module, INPUT_BITS, None), module._buffers.get(ENDS)
    if bits is None:
        return None
    return RoundedInputs(bits, None if ends is None else ends.float().view(torch.int32).clone())


def forget_note(module: nn.Module) -> None:
    """Where a note is, there is none afterwards."""
    for name in (SCALE, ZERO, ENDS):
        module._buffers.pop(name, None)
    for name in (SCHEME, INPUT_BITS):
        vars(module).pop(name, None)
