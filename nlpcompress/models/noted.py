"""Grids that a training has found: noted beside the weight until `quantize` makes codes of it."""

from torch import nn

from nlpcompress.models.grid import Grid

SCALE, ZERO = "noted_scale", "noted_zero"


def note_grid(module: nn.Module, grid: Grid) -> None:
    """Say on which grid the module's weight lies."""
    module.register_buffer(SCALE, grid.scale)
    module.register_buffer(ZERO, grid.zero)


def noted_grid(module: nn.Module) -> Grid | None:
    """What was noted; None if nothing was."""
    tables = module._buffers
    return Grid(tables[SCALE], tables[ZERO]) if SCALE in tables else None
