"""How far the inputs of layers reach on some data."""

from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from nlpcompress.errors import DataError
from nlpcompress.models.activations import ends_of
from nlpcompress.scoring.examples import on_device_of
from nlpcompress.scoring.trace import no_trace


def input_ends(
    model: nn.Module, paths: Iterable[str], batches: Iterable[Mapping[str, Tensor]]
) -> dict[str, Tensor]:
    """Path → the least and the greatest input in a call, each the mean over calls: float32 `(2,)`.

    Raises `DataError` without batches.
    """
    found: dict[str, list[Tensor]] = {}
    with no_trace(model), torch.no_grad(), ExitStack() as stack:
        for path in paths:
            hook = partial(_note, found.setdefault(path, []))
            handle = model.get_submodule(path).register_forward_pre_hook(hook)
            stack.callback(handle.remove)
        for batch in batches:
            model(**on_device_of(model, batch))
    if not all(found.values()):
        raise DataError("no batches to see inputs on; give at least one")
    return {path: torch.stack(ends).mean(0) for path, ends in found.items()}


def _note(ends: list[Tensor], _: nn.Module, args: tuple[Any, ...]) -> None:
    ends.append(torch.stack(ends_of(args[0])))
