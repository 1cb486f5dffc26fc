"""The edit `keep_layers`: some layers of the stack stay, and the stock config says so."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from nlpcompress.errors import FormatError, PlanError
from nlpcompress.models.layers import layers_of, only_layers
from nlpcompress.models.structure import describe, skeleton
from nlpcompress.surgery.verify import Forward

LAYER_NUMBERS = ("layer_idx", "layer_id")
PERIOD = "global_attn_every_n_layers"  # ModernBERT; transformers 5 turns it into `layer_types`
FULL = "full_attention"
SIMPLE = (bool, int, float, str, tuple)
REGULARISING = ("p", "training", "gradient_checkpointing")


def check_layers(model: nn.Module, layers: Sequence[int]) -> None:
    """Raises `PlanError` when the model has no such layers, or no one stack of them."""
    path, stack = layers_of(model)
    if layers[-1] >= len(stack):
        raise PlanError(
            f"'{path}' has layers 0 to {len(stack) - 1} at this point of the plan, got {layers[-1]}"
        )


def bypassed(model: nn.Module, layers: Sequence[int]) -> Forward:
    """A forward pass in which dropped layers return their input: what the cut model computes."""

    def forward(inputs: Mapping[str, Tensor]) -> Any:
        with only_layers(model, layers):
            return model(**inputs)

    return forward


def cut_layers(model: nn.Module, layers: Sequence[int]) -> None:
    """Shorten the stack, renumber what stays, and shorten the config.

    Raises `PlanError` when a layer would not be what the config makes at its new place.
    """
    _, stack = layers_of(model)
    odd_before = [
        _oddities(stack[i], layer) for i, layer in enumerate(layers_of(skeleton(model))[1])
    ]
    _cut_config(model.config, depth=len(stack), layers=layers)
    for i in reversed(range(len(stack))):
        if i not in layers:
            del stack[i]
    for new, old in enumerate(layers):
        _renumber(stack[new], old, new)
    _check_stock(model, [odd_before[i] for i in layers])


def _renumber(layer: nn.Module, old: int, new: int) -> None:
    for module in layer.modules():
        for name in LAYER_NUMBERS:
            if getattr(module, name, None) == old:
                setattr(module, name, new)


def _cut_config(config: Any, *, depth: int, layers: Sequence[int]) -> None:
    period = _period(config, layers)
    for name, value in list(vars(config).items()):
        if "layer" in name and isinstance(value, (list, tuple)) and len(value) == depth:
            setattr(config, name, [value[i] for i in layers])
    config.num_hidden_layers = len(layers)
    if period:
        setattr(config, PERIOD, period)


def _period(config: Any, layers: Sequence[int]) -> int | None:
    """ModernBERT: a period of global layers that both generations read as these layers."""
    if config.model_type != "modernbert":
        return None
    kinds = getattr(config, "layer_types", None)
    is_global = [kinds[i] == FULL if kinds else i % getattr(config, PERIOD) == 0 for i in layers]
    for period in range(1, len(layers) + 1):
        if is_global == [i % period == 0 for i in range(len(layers))]:
            return period
    raise PlanError(
        f"of the layers {list(layers)} these have global attention: {is_global}, and "
        "ModernBertConfig can only say every n-th, from the first on; keep layer 0 and an even "
        "spacing of global layers"
    )


def _check_stock(model: nn.Module, odd_before: list[set[str]]) -> None:
    try:
        describe(model)
    except FormatError as error:
        raise PlanError(f"the config cannot say these layers: {error}") from error
    _, stack = layers_of(model)
    _, stock = layers_of(skeleton(model))
    for i, (layer, made) in enumerate(zip(stack, stock, strict=True)):
        odd = sorted(_oddities(layer, made) - odd_before[i])
        if odd:
            raise PlanError(
                f"the config cannot say these layers: at place {i} it makes a layer with another "
                f"{', '.join(odd)}"
            )


def _oddities(layer: nn.Module, made: nn.Module) -> set[str]:
    """Names of simple attributes in which a layer is not what its config makes; dropout aside."""
    live, stock = _simple_attributes(layer), _simple_attributes(made)
    return {name for name in live.keys() | stock.keys() if live.get(name) != stock.get(name)}


def _simple_attributes(layer: nn.Module) -> dict[str, Any]:
    return {
        f"{path}.{name}".lstrip("."): value
        for path, module in layer.named_modules()
        for name, value in vars(module).items()
        if isinstance(value, SIMPLE)
        and name not in REGULARISING
        and not name.startswith(("_", "drop"))
    }
