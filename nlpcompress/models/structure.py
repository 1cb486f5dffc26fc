"""How a model's shapes differ from the stock ones of its config, as JSON, and back again.

`describe` compares a live model with the skeleton its config makes; `build` gives a stock skeleton
those shapes. The record is keyed by the tensors' names on disk, which transformers keeps equal
between its generations:

    {"shapes": {"bert.encoder.layer.0.attention.self.query.weight": [16, 32], …},
     "heads": {"bert.encoder.layer.0.attention.self.query.weight": [2, 4], …},       # kept, of
     "groups": {"regnet.encoder.stages.0.layers.0.layer.1.convolution.weight": 3},
     "factors": {"bert.embeddings.word_embeddings.weight": 128, …},                  # their rank
     "filters": {"resnet.encoder.….convolution.weight": {"tucker": [16, 12]}, …},     # or cp, svd
     "shared": {"bert.encoder.layer.1.output.dense.weight":
                "bert.encoder.layer.0.output.dense.weight", …},                       # with
     "quantized": {"bert.encoder.layer.0.output.dense.weight":
                   {"bits": 4, "group_size": 128, "group_rows": 1, "sym": false,
                    "rows": 384, "columns": 1536}, …}}

This file needs torch and transformers only: a copy of it lies beside saved models.
"""

import copy
from collections.abc import Callable, Collection, Mapping
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
    from nlpcompress.models.factors import put_empty_factors, ranks
    from nlpcompress.models.filters import chains, put_empty_chain
    from nlpcompress.models.heads import changed_heads, scale_recorded_heads
    from nlpcompress.models.quantized import QuantizedConv2d, put_empty_quantized, records
    from nlpcompress.models.ties import added_ties, tie
except ImportError:
    from .nlpcompress_factors import put_empty_factors, ranks
    from .nlpcompress_filters import chains, put_empty_chain
    from .nlpcompress_heads import changed_heads, scale_recorded_heads
    from .nlpcompress_quantized import QuantizedConv2d, put_empty_quantized, records
    from .nlpcompress_ties import added_ties, tie

    class FormatError(ValueError):
        """The folder cannot be read as a compressed model."""


Structure = dict[str, dict[str, Any]]
Put = Callable[[nn.Module, str, Any], None]
"""Puts a module without values in the place of a dense one, as a record says."""


def describe(model: nn.Module, config: Any = None) -> Structure:
    """How `model` differs from the skeleton of `config` (its own by default); `{}` if it is stock.

    Raises `FormatError` when no shapes could turn the skeleton into the model (modules added or
    replaced).
    """
    stock = skeleton(model, config)
    factors = _put_alike(stock, ranks(model), put_empty_factors)
    filters = {path: chain.record for path, chain in chains(model).items()}
    filters = _put_alike(stock, filters, put_empty_chain)
    heads = changed_heads(model, stock)
    quantized = _put_alike(stock, records(model), put_empty_quantized)
    _check_same_modules(model, stock)
    changed = _changed_shapes(model, stock)
    groups = _changed_groups(model, stock)
    shared = added_ties(named_tensors(model), named_tensors(stock))
    if not any((changed, groups, shared, factors, filters, quantized)):
        return {}
    on_disk = names_on_disk(model)
    _check_saved({*changed, *shared, *shared.values()}, on_disk)
    parts = {
        "shapes": {on_disk[name]: list(shape) for name, shape in changed.items()},
        "heads": {on_disk[name]: ratio for name, ratio in heads.items()},
        "groups": {on_disk[name]: number for name, number in groups.items()},
        "factors": factors,
        "filters": filters,
        "shared": {on_disk[name]: on_disk[first] for name, first in shared.items()},
        "quantized": quantized,
    }
    return {part: values for part, values in parts.items() if values}


def build(model: nn.Module, structure: Structure) -> None:
    """Give a stock skeleton, on the meta device or not, the recorded shapes; values are lost.

    Tensors of the record that this class does not have are passed over: a folder saved with a
    task's head also opens as the bare model, and the other way round.
    """
    _put_recorded(model, structure.get("factors", {}), put_empty_factors)
    _put_recorded(model, structure.get("filters", {}), put_empty_chain)
    _put_recorded(model, structure.get("quantized", {}), put_empty_quantized)
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
    scale_recorded_heads(
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


def _put_alike(stock: nn.Module, live: Mapping[str, Any], put: Put) -> dict[str, Any]:
    """Put into `stock` what the model has at those paths; gives weight's name on disk → record."""
    named = {f"{path}.weight": record for path, record in live.items()}
    if not named:
        return {}
    on_disk = names_on_disk(stock)
    _check_saved(named, on_disk)
    for path, record in live.items():
        put(stock, path, record)
    return {on_disk[name]: record for name, record in named.items()}


def _put_recorded(model: nn.Module, recorded: Mapping[str, Any], put: Put) -> None:
    find = DiskNames(model)
    for name, record in recorded.items():
        if find(name):
            put(model, find(name).removesuffix(".weight"), record)


def _changed_shapes(model: nn.Module, stock: nn.Module) -> dict[str, tuple[int, ...]]:
    made = named_tensors(stock)
    return {n: tuple(t.shape) for n, t in named_tensors(model).items() if t.shape != made[n].shape}


def _changed_groups(model: nn.Module, stock: nn.Module) -> dict[str, int]:
    return {
        f"{path}.weight": module.groups
        for path, module in model.named_modules()
        if isinstance(module, (_ConvNd, QuantizedConv2d))
        and module.groups != stock.get_submodule(path).groups
    }


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
