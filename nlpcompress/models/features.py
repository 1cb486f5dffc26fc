"""What a model computes in between, taken by hooks while it runs: no second pass, no flags."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import ExitStack
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from nlpcompress.errors import ConfigError
from nlpcompress.models.layers import layers_of


class Attention(NamedTuple):
    """What one attention was given, after positions were turned in: `(B, heads, T, head size)`.

    `bias` is what is added to the scores for positions and padding, or says with bools who may look
    at whom; it broadcasts to `(B, heads, T, T)`.
    """

    queries: Tensor
    keys: Tensor
    values: Tensor
    scale: float
    bias: Tensor | None

    @property
    def scores(self) -> Tensor:
        """Before the softmax, without the bias: `(B, heads, T, T)`."""
        return self.queries @ self.keys.transpose(-1, -2) * self.scale

    @property
    def biased_scores(self) -> Tensor:
        """Before the softmax, with all that is added to them: `(B, heads, T, T)`."""
        if self.bias is None:
            return self.scores
        if self.bias.dtype == torch.bool:  # true where a query may look at a key
            return self.scores.masked_fill(~self.bias, torch.finfo(self.scores.dtype).min)
        return self.scores + self.bias


class Features:
    """Hidden states and attentions of a model's last forward pass.

    `states` are places whose output is wanted: a layer's number from 1 (0 is what goes into the
    first), or the path of any module. `attentions` are numbers of layers from 1. Tensors are those
    of the pass itself, with its gradients, and are let go when the next begins. `close` takes all
    hooks off. Raises `ConfigError` for a layer or module that the model does not have, `PlanError`
    for numbers where the model has not one stack of layers.
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        states: Collection[int | str] = (),
        attentions: Collection[int] = (),
    ) -> None:
        self._name = type(model).__name__
        self._states: dict[int | str, Tensor] = {}
        self._attentions: dict[int, Attention] = {}
        self._hooks = ExitStack()
        places = {place: _module(model, place) for place in states}
        layers = {number: _layer(model, number) for number in attentions}
        self._on(model.register_forward_pre_hook(self._forget))
        for place, module in places.items():
            if place == 0:
                self._on(module.register_forward_pre_hook(partial(self._keep_input, place)))
            else:
                self._on(module.register_forward_hook(partial(self._keep_output, place)))
        for number, layer in layers.items():
            self._watch(layer, number)

    def state(self, place: int | str) -> Tensor:
        """Of the last pass. Raises `ConfigError` when the place was not reached."""
        if place not in self._states:
            raise ConfigError(f"{self._name} did not reach {place!r} in its last forward pass")
        return self._states[place]

    def attention(self, layer: int) -> Attention:
        """Of the last pass. Raises `ConfigError` when the layer did not use torch's attention."""
        if layer not in self._attentions:
            raise ConfigError(
                f"layer {layer} of {self._name} made no attention that can be read: it must run "
                "torch's scaled_dot_product_attention; load the model with "
                "attn_implementation='sdpa', or leave the attention out"
            )
        return self._attentions[layer]

    def close(self) -> None:
        """Leave the model as it was."""
        self._hooks.close()
        self._forget()

    def _on(self, handle: Any) -> None:
        self._hooks.callback(handle.remove)

    def _forget(self, *_: Any) -> None:
        self._states.clear()
        self._attentions.clear()

    def _keep_input(self, place: int | str, module: nn.Module, args: tuple[Any, ...]) -> None:
        self._states[place] = args[0]

    def _keep_output(self, place: int | str, module: nn.Module, args: Any, output: Any) -> None:
        self._states[place] = output if isinstance(output, Tensor) else output[0]

    def _watch(self, module: nn.Module, layer: int) -> None:
        """While the layer runs, its first attention is read."""
        reader = _ReadAttention(partial(self._attentions.setdefault, layer))
        self._on(module.register_forward_pre_hook(lambda *_: reader.__enter__() and None))
        leave = module.register_forward_hook(
            lambda *_: reader.__exit__(None, None, None), always_call=True
        )
        self._on(leave)


class _ReadAttention(TorchFunctionMode):
    """Hands the arguments of `scaled_dot_product_attention` on as it is called."""

    def __init__(self, keep: Any) -> None:
        super().__init__()
        self._keep = keep

    def __torch_function__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        """Every torch function that is called meanwhile passes here."""
        kwargs = kwargs or {}
        if function is torch.nn.functional.scaled_dot_product_attention:
            self._keep(_attention(*args, **kwargs))
        return function(*args, **kwargs)


def _attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    *_: Any,
    scale: float | None = None,
    enable_gqa: bool = False,
    **__: Any,
) -> Attention:
    """By the names of torch's own arguments."""
    if enable_gqa:
        times = query.shape[-3] // key.shape[-3]
        key, value = (t.repeat_interleave(times, -3) for t in (key, value))
    scale = query.shape[-1] ** -0.5 if scale is None else scale
    return Attention(query, key, value, scale, attn_mask)


def _module(model: nn.Module, place: int | str) -> nn.Module:
    if isinstance(place, int):
        return _layer(model, place or 1)
    try:
        return model.get_submodule(place)
    except AttributeError:
        raise ConfigError(
            f"{type(model).__name__} has no module '{place}'; name one of its modules, or a layer "
            "by its number from 1"
        ) from None


def _layer(model: nn.Module, number: int) -> nn.Module:
    _, layers = layers_of(model)
    if not 1 <= number <= len(layers):
        raise ConfigError(
            f"layer {number} is not one of the layers 1 to {len(layers)} of {type(model).__name__}"
            "; 0, where states are meant, is what goes into the first"
        )
    return layers[number - 1]
