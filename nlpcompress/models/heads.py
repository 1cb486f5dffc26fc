"""How many heads an attention has: told from its projections, and noted in its integers.

This file needs torch and transformers only: a copy of it lies beside saved models.
"""

from collections.abc import Mapping
from fractions import Fraction
from math import gcd
from typing import Any

from torch import nn
from transformers.pytorch_utils import Conv1D

try:
    from nlpcompress.models.factors import FactoredLinear
    from nlpcompress.models.quantized import Quantized, QuantizedLinear
except ImportError:
    from .nlpcompress_factors import FactoredLinear
    from .nlpcompress_quantized import Quantized, QuantizedLinear

# A module with one of these children is an attention; its output is heads × head size (three times
# that where query, key and value are one projection).
QUERIES = ("query", "q_lin", "q_proj", "q", "query_proj", "Wqkv", "qkv", "c_attn", "in_proj")
KEYS = ("key", "k_lin", "k_proj", "k", "key_proj")
PROJECTIONS = (nn.Linear, Conv1D, FactoredLinear, QuantizedLinear)

# Integers that an attention keeps beside its projections, whichever of them this generation of
# transformers has: numbers of heads, and widths of all heads together (`dim` DistilBERT,
# `inner_dim` T5, the last two GPT-2).
FOLLOWS_QUERIES = ("num_attention_heads", "num_heads", "n_heads", "n_head")
FOLLOWS_QUERIES += ("all_head_size", "inner_dim", "dim", "embed_dim", "split_size")
FOLLOWS_KEYS = ("num_key_value_heads", "num_kv_heads")
QUERIES_PER_KEY = ("num_key_value_groups",)


def head_widths(model: nn.Module) -> dict[str, tuple[int, int]]:
    """Attention module → output widths of its query and key projections (equal if they are one)."""
    widths = {}
    for path, module in model.named_modules():
        query, key = projection(module, QUERIES), projection(module, KEYS)
        if query:
            widths[path] = (_width(module, query), _width(module, key or query))
    return widths


def projection(attention: nn.Module, names: tuple[str, ...]) -> str | None:
    """Name of the child that is a projection and called so."""
    return next(
        (n for n, m in attention.named_children() if n in names and isinstance(m, PROJECTIONS)),
        None,
    )


def changed_heads(model: nn.Module, stock: nn.Module) -> dict[str, list[int]]:
    """Name of each query and key weight whose number of heads changed → [kept, of]."""
    config, ratios = model.config, {}
    queries = getattr(config, "num_attention_heads", None)
    counts = (queries, getattr(config, "num_key_value_heads", None) or queries)
    made = head_widths(stock)
    for path, now in head_widths(model).items():
        attention = model.get_submodule(path)
        for names, new, old, count in zip((QUERIES, KEYS), now, made[path], counts, strict=True):
            name = projection(attention, names)
            if name and new != old:
                ratios[_weight_name(path, attention, name)] = _ratio(new, old, count)
    return ratios


def scale_recorded_heads(model: nn.Module, ratios: Mapping[str | None, list[int]]) -> None:
    """Scale every attention's integers as `changed_heads` says that they were scaled."""
    for path, module in list(model.named_modules()):
        query, key = projection(module, QUERIES), projection(module, KEYS)
        if query:
            of_query, of_key = (
                Fraction(*ratios.get(_weight_name(path, module, name), (1, 1)))
                for name in (query, key or query)
            )
            scale_heads(module, of_query, of_key)


def scale_heads(attention: nn.Module, query: Fraction, key: Fraction) -> None:
    """Scale the attention's noted integers as its query and key projections were scaled.

    `scale_heads(attn, Fraction(1, 2), Fraction(1, 2))` turns `num_heads` 4 into 2 and leaves the
    queries per key.
    """
    for names, ratio in (
        (FOLLOWS_QUERIES, query),
        (FOLLOWS_KEYS, key),
        (QUERIES_PER_KEY, query / key),
    ):
        for name in names:
            value = getattr(attention, name, None)
            if type(value) is int and (value * ratio).denominator == 1:
                setattr(attention, name, int(value * ratio))


def _width(attention: nn.Module, name: str) -> int:
    module = attention.get_submodule(name)
    if isinstance(module, FactoredLinear):
        module = module.second
    if isinstance(module, Quantized):
        return module.scheme.rows
    return module.weight.shape[1 if isinstance(module, Conv1D) else 0]


def _weight_name(path: str, attention: nn.Module, name: str) -> str:
    """Name of the tensor whose dimension is the heads'."""
    factored = isinstance(attention.get_submodule(name), FactoredLinear)
    return f"{path}.{name}.{'second.' * factored}weight"


def _ratio(new: int, old: int, count: Any) -> list[int]:
    """[kept, of] with `of` the number of heads where that is known, else in lowest terms."""
    if type(count) is int and new * count % old == 0:
        return [new * count // old, count]
    return [new // gcd(new, old), old // gcd(new, old)]
