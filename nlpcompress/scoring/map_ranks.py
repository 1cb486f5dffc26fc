"""Scores of channels by the ranks of their feature maps: data, no labels, no gradients."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from nlpcompress.errors import DataError
from nlpcompress.scoring.examples import on_device_of
from nlpcompress.scoring.trace import no_trace

if TYPE_CHECKING:
    from nlpcompress.axes import Axis, Tap

MAP_DIMENSIONS = 4


def map_rank_scores(
    model: nn.Module, axes: Sequence[Axis], batches: Iterable[Mapping[str, Tensor]]
) -> dict[str, Tensor]:
    """Axis name → mean rank of each channel's maps, float32 `(size,)`.

    The maps `(B, C, H, W)` are those that the layers which read the channels are given, after the
    activation; a rank counts singular values above the largest times max(H, W) times the type's
    precision. Where several layers read the channels, the mean over them. Axes that no layer reads
    as maps are left out. Raises `DataError` without batches.

    Source: Lin et al. 2020 (HRank), equations 4 and 5.
    """
    ranks: dict[str, list[Tensor]] = {axis.name: [] for axis in axes}
    seen = False
    with no_trace(model), torch.no_grad(), ExitStack() as hooks:
        for axis in axes:
            for tap in axis.taps:
                hook = partial(_note, ranks[axis.name], tap, axis.size)
                handle = model.get_submodule(tap.module).register_forward_pre_hook(hook)
                hooks.callback(handle.remove)
        for batch in batches:
            model(**on_device_of(model, batch))
            seen = True
    if not seen:
        raise DataError("no batches to see feature maps of; give at least one")
    return {name: torch.cat(found).mean(0) for name, found in ranks.items() if found}


def _note(ranks: list[Tensor], tap: Tap, size: int, _: nn.Module, args: tuple[Any, ...]) -> None:
    """Ranks `(B · before · after, size)`, if the input is maps."""
    maps = args[0]
    if maps.dim() != MAP_DIMENSIONS or tap.dim % MAP_DIMENSIONS != 1:
        return
    by_position = maps.unflatten(1, (tap.before, size, tap.after)).movedim(2, 3).flatten(0, 2)
    ranks.append(torch.linalg.matrix_rank(by_position.float()).float().cpu())
