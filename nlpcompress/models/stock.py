"""The stock config that says a cut model's shapes, where there is one: it reloads anywhere."""

import copy
from collections.abc import Iterator
from itertools import chain, product
from typing import Any

from torch import nn

from nlpcompress.models.factors import ranks
from nlpcompress.models.filters import chains
from nlpcompress.models.heads import head_widths
from nlpcompress.models.quantized import schemes
from nlpcompress.models.structure import describe, named_tensors, skeleton

# One number for all layers, by the families' names: BERT and Llama, DistilBERT, T5, GPT-2, BART.
NEURONS = (
    "intermediate_size",
    "hidden_dim",
    "d_ff",
    "n_inner",
    "encoder_ffn_dim",
    "decoder_ffn_dim",
)
# Only configs with a head size apart from hidden_size / heads can say fewer heads: Llama and T5.
HEAD_SIZE = ("head_dim", "d_kv")
MOST_VALUES = (
    2  # a width that equals another one (Llama's neurons and hidden size) may be seen twice
)


def stock_fields(model: nn.Module) -> dict[str, int] | None:
    """The config fields whose change gives a stock skeleton this model's shapes, if any can."""
    if ranks(model) or chains(model) or schemes(model):
        return None
    options = [_choices(model.config, name, values) for name, values in _options(model)]
    attempts = (dict(chain(*choice)) for choice in product(*options))
    return next((fields for fields in attempts if _is_said_by(model, fields)), None)


def _choices(config: Any, name: str, values: set[int]) -> list[tuple[tuple[str, int], ...]]:
    """Each new value of one field, and leaving it; one width cannot say three different ones."""
    changes = values - {getattr(config, name)} if len(values) <= MOST_VALUES else set()
    return [*[((name, value),) for value in sorted(changes)], ()]


def _options(model: nn.Module) -> Iterator[tuple[str, set[int]]]:
    """Each field that may have to change, with the values that some changed tensor asks for."""
    for name in NEURONS:
        values = _neurons(model, _value(model.config, name))
        if values:
            yield name, values
    yield from _heads(model)


def _value(config: Any, name: str) -> int | None:
    """The field as a number: GPT-2 writes None for four times its hidden size."""
    if name == "n_inner" and getattr(config, name, 0) is None:
        return 4 * config.n_embd
    return getattr(config, name, None)


def _is_said_by(model: nn.Module, fields: dict[str, int]) -> bool:
    config = copy.deepcopy(model.config)
    for name, value in fields.items():
        setattr(config, name, value)
    return describe(model, config) == {}


def _neurons(model: nn.Module, width: int | None) -> set[int]:
    """New values of a width, from the dimensions that were a multiple of it (fused gates: two)."""
    if not isinstance(width, int):
        return set()
    made = named_tensors(skeleton(model))
    values = set()
    for name, tensor in named_tensors(model).items():
        for new, old in zip(tensor.shape, made[name].shape, strict=True):
            if new != old and old % width == 0 and new % (old // width) == 0:
                values.add(new // (old // width))
    return values


def _heads(model: nn.Module) -> Iterator[tuple[str, set[int]]]:
    config = model.config
    size = next((getattr(config, n) for n in HEAD_SIZE if getattr(config, n, None)), None)
    widths = set(head_widths(model).values())
    if size is None or len(widths) != 1:
        return
    query, key = (width // size for width in widths.pop())
    # Llama's config in transformers 5 refuses a hidden size that the heads do not divide.
    if hasattr(config, "d_kv") or config.hidden_size % query == 0:
        name = config.attribute_map.get("num_attention_heads", "num_attention_heads")
        yield name, {query}
        if hasattr(config, "num_key_value_heads"):
            yield "num_key_value_heads", {key}
