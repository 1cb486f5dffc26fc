"""What layers and embeddings are given: second moments of inputs, counts of tokens."""

from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import pad, unfold

from nlpcompress.errors import DataError
from nlpcompress.scoring.examples import on_device_of
from nlpcompress.scoring.trace import no_trace

Batch = Mapping[str, Tensor]


def input_moments(
    model: nn.Module, modules: Mapping[str, Iterable[str]], batches: Iterable[Batch]
) -> dict[str, Tensor]:
    """Mean of x xᵀ over the inputs x of some modules: name → float64 `(columns, columns)`.

    `modules` has under each name the paths of those whose inputs count together, such as all layers
    that share a weight. The inputs of a convolution are the windows that its filters see, in the
    order of a filter's numbers; it must have one group. Tokens that the batch's `attention_mask`
    leaves out do not count. Raises `DataError` without batches.
    """
    totals: dict[str, Tensor] = {}
    with no_trace(model), torch.no_grad(), ExitStack() as stack:
        seen = _Seen(totals)
        for name, paths in modules.items():
            for path in paths:
                hook = partial(seen.add, name)
                handle = model.get_submodule(path).register_forward_pre_hook(hook)
                stack.callback(handle.remove)
        for batch in batches:
            here = on_device_of(model, batch)
            seen.mask = here.get("attention_mask")
            model(**here)
    if not seen.counts:
        raise DataError("no batches to look at inputs with; give at least one")
    return {name: total.cpu() / seen.counts[name] for name, total in totals.items()}


class _Seen:
    """Sums over what has been seen."""

    def __init__(self, totals: dict[str, Tensor]) -> None:
        self.totals = totals
        self.counts: dict[str, int] = {}
        self.mask: Tensor | None = None

    def add(self, name: str, module: nn.Module, args: tuple[Any, ...]) -> None:
        states = self._real(_windows(module, args[0].detach()))
        moment = (states.T @ states).double()
        self.totals[name] = self.totals[name] + moment if name in self.totals else moment
        self.counts[name] = self.counts.get(name, 0) + len(states)

    def _real(self, states: Tensor) -> Tensor:
        """`(tokens, columns)`, float32."""
        if self.mask is not None and states.shape[:-1] == self.mask.shape:
            states = states[self.mask.bool()]
        return states.reshape(-1, states.shape[-1]).float()


def _windows(module: nn.Module, inputs: Tensor) -> Tensor:
    """`(B, in, H, W)` → `(B, places, in · height · width)` for filters; else the inputs."""
    if not isinstance(module, nn.Conv2d):
        return inputs
    mode = "constant" if module.padding_mode == "zeros" else module.padding_mode
    padded = pad(inputs, module._reversed_padding_repeated_twice, mode)
    return unfold(padded, module.kernel_size, module.dilation, 0, module.stride).transpose(1, 2)


def token_counts(batches: Iterable[Batch], tokens: int) -> Tensor:
    """How often each id occurs in `input_ids` where the attention mask is one: int64 `(tokens,)`.

    Raises `DataError` without batches or ids.
    """
    counts = torch.zeros(tokens, dtype=torch.int64)
    for batch in batches:
        if "input_ids" not in batch:
            raise DataError(f"a batch of {', '.join(batch)} has no input_ids to count tokens in")
        ids, mask = batch["input_ids"], batch.get("attention_mask")
        counts += torch.bincount(
            ids[mask.bool()] if mask is not None else ids.flatten(), minlength=tokens
        )
    if not counts.any():
        raise DataError("no batches to count tokens in; give at least one")
    return counts
