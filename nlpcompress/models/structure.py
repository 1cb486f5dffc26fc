"""How a model's shapes differ from the stock ones of its config, as JSON, and back again.

`describe` compares a live model with the skeleton its config makes; `build` gives a stock skeleton
those shapes. The record is keyed by the tensors' names on disk, which transformers keeps equal
between its generations:

    {"shapes": {"bert.encoder.layer.0.attention.self.query.weight": [16, 32], …},
     "heads": {"bert.encoder.layer.0.attention.self.query.weight": [2, 4], …},       # kept, of
     "groups": {"regnet.encoder.stages.0.layers.0.layer.1.convolution.weight": 3},
     "shared": {"bert.encoder.layer.1.output.dense.weight":
                "bert.encoder.layer.0.output.dense.weight", …}}                       # with

This file needs torch and transformers only: a copy of it lies beside saved models.
"""

import copy
from collections.abc import Collection, Mapping
from fractions import Fraction
from math import gcd
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd
from transformers.pytorch_utils import Conv1D

try:
    from transformers.core_model_loading import revert_weight_conversion
except ImportError:  # transformers 4: names in modules and on disk are the same
    revert_weight_conversion = None

try:
    from nlpcompress.errors import FormatError
    from nlpcompress.models.ties import added_ties, tie
except ImportError:
    from .nlpcompress_ties import added_ties, tie

    class FormatError(ValueError):
        """The folder cannot be read as a compressed model."""


Structure = dict[str, dict[str, Any]]

# A module with one of these children is an attention; its output is heads × head size (three times
# that where query, key and value are one projection).
QUERIES = ("query", "q_lin", "q_proj", "q", "query_proj", "Wqkv", "qkv", "c_attn")
KEYS = ("key", "k_lin", "k_proj", "k", "key_proj")

# Integers that an attention keeps beside its projections, whichever of them this generation of
# transformers has: numbers of heads, and widths of all heads together (`dim` DistilBERT,
# `inner_dim` T5, the last two GPT-2).
FOLLOWS_QUERIES = ("num_attention_heads", "num_heads", "n_heads", "n_head")
FOLLOWS_QUERIES += ("all_head_size", "inner_dim", "dim", "embed_dim", "split_size")
FOLLOWS_KEYS = ("num_key_value_heads", "num_kv_heads")
QUERIES_PER_KEY = ("num_key_value_groups",)


def describe(model: nn.Module, config: Any = None) -> Structure:
    """How `model` differs from the skeleton of `config` (its own by default); `{}` if it is stock.

    Raises `FormatError` when no shapes could turn the skeleton into the model (modules added or
    replaced).
    """
    stock = skeleton(model, config)
    _check_same_modules(model, stock)
    changed = _changed_shapes(model, stock)
    groups = _changed_groups(model, stock)
    shared = added_ties(named_tensors(model), named_tensors(stock))
    if not changed and not groups and not shared:
        return {}
    on_disk = names_on_disk(model)
    _check_saved({*changed, *shared, *shared.values()}, on_disk)
    parts = {
        "shapes": {on_disk[name]: list(shape) for name, shape in changed.items()},
        "heads": {on_disk[name]: ratio for name, ratio in _changed_heads(model, stock).items()},
        "groups": {on_disk[name]: number for name, number in groups.items()},
        "shared": {on_disk[name]: on_disk[first] for name, first in shared.items()},
    }
    return {part: values for part, values in parts.items() if values}


def build(model: nn.Module, structure: Structure) -> None:
    """Give a stock skeleton, on the meta device or not, the recorded shapes; values are lost.

    Tensors of the record that this class does not have are passed over: a folder saved with a
    task's head also opens as the bare model, and the other way round.
    """
    find = DiskNames(model)
    tensors = named_tensors(model)
    shapes = {find(name): shape for name, shape in structure.get("shapes", {}).items()}
    replace_tensors(
        model,
        {
            id(tensors[name]): _empty(tensors[name], shape)
            for name, shape in shapes.items()
            if name in tensors
        },
    )
    for name, number in structure.get("groups", {}).items():
        if find(name):
            _owner(model, find(name)).groups = number
    for module in model.modules():
        fit_module(module)
    _scale_recorded_heads(
        model, {find(name): ratio for name, ratio in structure.get("heads", {}).items()}
    )
    tie(model, recorded_ties(model, structure))


def recorded_ties(model: nn.Module, structure: Structure) -> dict[str, str]:
    """The record's shared tensors, those that this class has, by their names in the modules."""
    find = DiskNames(model)
    pairs = ((find(name), find(first)) for name, first in structure.get("shared", {}).items())
    return {name: first for name, first in pairs if name and first}


def skeleton(model: nn.Module, config: Any = None) -> nn.Module:
    """The stock model of the same class on the meta device: shapes and attributes, no values."""
    with torch.device("meta"):
        return type(model)(copy.deepcopy(model.config if config is None else config))


def named_tensors(model: nn.Module) -> dict[str, Tensor]:
    """All parameters and buffers, tied ones under each of their names."""
    return {
        **dict(model.named_parameters(remove_duplicate=False)),
        **dict(model.named_buffers(remove_duplicate=False)),
    }


def replace_tensors(model: nn.Module, replacements: Mapping[int, Tensor]) -> None:
    """Put new tensors for old ones (by `id`) wherever a module holds them: tied ones stay tied."""
    for module in model.modules():
        for table in (module._parameters, module._buffers):
            for name, tensor in table.items():
                table[name] = replacements.get(id(tensor), tensor)


def fit_module(module: nn.Module) -> None:
    """Set the sizes that torch's layers note beside their tensors to what the tensors say."""
    weight = getattr(module, "weight", None)
    if not isinstance(weight, Tensor):
        return
    shape = tuple(weight.shape)
    if isinstance(module, nn.Linear):
        module.out_features, module.in_features = shape
    elif isinstance(module, Conv1D):
        module.nx, module.nf = shape
    elif isinstance(module, _ConvNd) and not module.transposed:
        module.out_channels, module.in_channels = shape[0], shape[1] * module.groups
    elif isinstance(module, _BatchNorm):
        module.num_features = shape[0]
    elif isinstance(module, nn.GroupNorm):
        module.num_channels = shape[0]
    elif isinstance(module, nn.LayerNorm):
        module.normalized_shape = shape
    elif isinstance(module, nn.Embedding):
        module.num_embeddings, module.embedding_dim = shape


def head_widths(model: nn.Module) -> dict[str, tuple[int, int]]:
    """Attention module → output widths of its query and key projections (equal if they are one)."""
    widths = {}
    for path, module in model.named_modules():
        query, key = _projection(module, QUERIES), _projection(module, KEYS)
        if query:
            widths[path] = (_width(module, query), _width(module, key or query))
    return widths


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


def _projection(attention: nn.Module, names: tuple[str, ...]) -> str | None:
    kinds = (nn.Linear, Conv1D)
    return next(
        (n for n, m in attention.named_children() if n in names and isinstance(m, kinds)), None
    )


def _width(attention: nn.Module, projection: str) -> int:
    module = attention.get_submodule(projection)
    return module.weight.shape[1 if isinstance(module, Conv1D) else 0]


def _check_same_modules(model: nn.Module, stock: nn.Module) -> None:
    live, made = _parts(model), _parts(stock)
    odd = sorted(path for path in live.keys() | made.keys() if live.get(path) != made.get(path))
    if odd:
        path = odd[0]
        raise FormatError(
            f"{len(odd)} modules or tensors are not the ones that {type(model.config).__name__} "
            f"makes, first '{path}': {live.get(path, 'nothing')} in the model, "
            f"{made.get(path, 'nothing')} from its config; merge or remove what was added to the "
            "model (adapters, wrappers, parametrizations)"
        )


def _parts(model: nn.Module) -> dict[str, str]:
    modules = {path: type(module).__name__ for path, module in model.named_modules()}
    return modules | dict.fromkeys(named_tensors(model), "a tensor")


def _changed_shapes(model: nn.Module, stock: nn.Module) -> dict[str, tuple[int, ...]]:
    made = named_tensors(stock)
    return {n: tuple(t.shape) for n, t in named_tensors(model).items() if t.shape != made[n].shape}


def _changed_groups(model: nn.Module, stock: nn.Module) -> dict[str, int]:
    return {
        f"{path}.weight": module.groups
        for path, module in model.named_modules()
        if isinstance(module, _ConvNd) and module.groups != stock.get_submodule(path).groups
    }


def _changed_heads(model: nn.Module, stock: nn.Module) -> dict[str, list[int]]:
    """Name of each query and key weight whose number of heads changed → [kept, of]."""
    config, ratios = model.config, {}
    queries = getattr(config, "num_attention_heads", None)
    counts = (queries, getattr(config, "num_key_value_heads", None) or queries)
    made = head_widths(stock)
    for path, now in head_widths(model).items():
        attention = model.get_submodule(path)
        for names, new, old, count in zip((QUERIES, KEYS), now, made[path], counts, strict=True):
            projection = _projection(attention, names)
            if projection and new != old:
                ratios[f"{path}.{projection}.weight"] = _ratio(new, old, count)
    return ratios


def _ratio(new: int, old: int, count: Any) -> list[int]:
    """[kept, of] with `of` the number of heads where that is known, else in lowest terms."""
    if type(count) is int and new * count % old == 0:
        return [new * count // old, count]
    return [new // gcd(new, old), old // gcd(new, old)]


def _scale_recorded_heads(model: nn.Module, ratios: Mapping[str | None, list[int]]) -> None:
    for path, module in list(model.named_modules()):
        query, key = _projection(module, QUERIES), _projection(module, KEYS)
        if query:
            of_query = Fraction(*ratios.get(f"{path}.{query}.weight", (1, 1)))
            of_key = Fraction(*ratios.get(f"{path}.{key}.weight", (1, 1))) if key else of_query
            scale_heads(module, of_query, of_key)


def names_on_disk(model: nn.Module) -> dict[str, str]:
    """Name in the modules → on disk, of saved tensors that transformers does not merge or split."""
    saved = model.state_dict()
    tensors = {name: torch.empty(tensor.shape, device="meta") for name, tensor in saved.items()}
    if revert_weight_conversion is None:
        return {name: name for name in tensors}
    names = {id(tensor): name for name, tensor in tensors.items()}
    reverted = revert_weight_conversion(model, dict(tensors))
    return {names[id(tensor)]: disk for disk, tensor in reverted.items() if id(tensor) in names}


def _check_saved(changed: Collection[str], on_disk: Mapping[str, str]) -> None:
    lost = sorted(set(changed) - set(on_disk))
    if lost:
        raise FormatError(
            f"the shape of '{lost[0]}' was changed, but transformers does not store that tensor as "
            f"it is (it is recomputed, merged or split when loading), so {len(lost)} changed "
            "tensors could not be reloaded"
        )


class DiskNames:
    """From a name on disk to the name in this model's modules, or `None`."""

    def __init__(self, model: nn.Module) -> None:
        self._prefix = f"{getattr(model, 'base_model_prefix', '')}."
        self._known = {name: name for name in named_tensors(model)}
        self._known |= {disk: name for name, disk in names_on_disk(model).items()}

    def __call__(self, name: str) -> str | None:
        for spelling in (name, name.removeprefix(self._prefix), self._prefix + name):
            if spelling in self._known:
                return self._known[spelling]
        return None


def _empty(tensor: Tensor, shape: list[int]) -> Tensor:
    new = torch.empty(shape, dtype=tensor.dtype, device=tensor.device)
    return (
        nn.Parameter(new, requires_grad=tensor.requires_grad)
        if isinstance(tensor, nn.Parameter)
        else new
    )


def _owner(model: nn.Module, name: str) -> nn.Module:
    return model.get_submodule(name.rpartition(".")[0])
