"""Which weights of a saved model are packed, and the rewriting of its files."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from nlpcompress.errors import ConfigError, FormatError
from nlpcompress.io.format import read_json
from nlpcompress.io.packing import BITMASK, INT8, Packed, pack, pack_int8, rounded_to_int8
from nlpcompress.models.structure import named_tensors, names_on_disk
from nlpcompress.models.weights import body_weights

Storage = Literal["dense", "bitmask", "bitmask-int8"]
DENSE, INDEX = "dense", "model.safetensors.index.json"

ENTRY = 200
"""Bytes that one more packed weight costs in the header of its file and in config.json, about."""

Packing = dict[str, dict[str, Any]]


def check_storage(storage: str) -> None:
    """Raise `ConfigError` for anything but the three kinds of storage."""
    if storage not in get_args(Storage):
        raise ConfigError(f"storage {storage!r} is none of {', '.join(get_args(Storage))}")


def round_to_int8(model: nn.Module) -> None:
    """Round the body's weights in place, so that storage "bitmask-int8" holds them exactly.

    Each row gets 255 even steps up to its greatest absolute value; zeros stay zeros, and small
    values become zeros. It changes what the model computes: measure it afterwards. Raises
    `FormatError` for weights that are not finite.
    """
    with torch.no_grad():
        for weight in body_weights(model).values():
            weight.copy_(rounded_to_int8(weight))


def pack_folder(folder: Path, model: nn.Module, storage: str) -> Packing:
    """Pack the body's weights in the files that `model.save_pretrained(folder)` has written.

    Only weights that get smaller are packed; those that share memory with others stay. Returns name
    on disk → `{"scheme": …, "nonzeros": …, "dtype": …}`, `{}` if nothing is packed. Raises
    `FormatError` when int8 codes cannot hold a weight exactly.
    """
    if storage == DENSE:
        return {}
    names, packing = _names_to_pack(model), Packing()
    for path in sorted(folder.glob("*.safetensors")):
        packing |= _pack_file(path, names, storage)
    if packing and (folder / INDEX).exists():
        _rewrite_index(folder)
    return packing


def _names_to_pack(model: nn.Module) -> set[str]:
    on_disk, holders = names_on_disk(model), {}
    for name, tensor in named_tensors(model).items():
        holders.setdefault(id(tensor), []).append(name)
    weights = body_weights(model)
    alone = [name for name, weight in weights.items() if holders.get(id(weight)) == [name]]
    return {on_disk[name] for name in alone if name in on_disk}


def _pack_file(path: Path, names: set[str], storage: str) -> Packing:
    tensors, packing = {}, Packing()
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
        for name in file.keys():  # noqa: SIM118
            weight = file.get_tensor(name)
            packed = _smallest(name, weight, storage) if name in names else None
            if packed is None:
                tensors[name] = weight
                continue
            tensors |= {name + suffix: part for suffix, part in packed.parts().items()}
            packing[name] = _recipe(packed, weight)
    if packing:
        _save(tensors, path, metadata)
    return packing


def _smallest(name: str, weight: Tensor, storage: str) -> Packed | None:
    """The shortest of the kinds that `storage` allows; None where that is the dense tensor."""
    nonzeros, mask = int(weight.count_nonzero()), -(-weight.numel() // 8)
    sizes = {DENSE: weight.nbytes, BITMASK: mask + nonzeros * weight.element_size() + ENTRY}
    if storage == INT8:
        sizes[INT8] = mask + nonzeros + 4 * weight.shape[0] + ENTRY
    kind = min(sizes, key=sizes.__getitem__)
    if kind == DENSE:
        return None
    try:
        return pack(weight) if kind == BITMASK else pack_int8(weight)
    except FormatError as error:
        raise FormatError(f"'{name}' cannot be stored as {INT8}: {error}") from error


def _recipe(packed: Packed, weight: Tensor) -> dict[str, Any]:
    return {
        "scheme": packed.scheme,
        "nonzeros": len(packed.values),
        "dtype": str(weight.dtype).removeprefix("torch."),
    }


def _save(tensors: Mapping[str, Tensor], path: Path, metadata: dict[str, str] | None) -> None:
    """By a second file: the tensors lie in the mapped first one."""
    new = path.with_suffix(".new")
    save_file(dict(tensors), new, metadata=metadata)
    new.replace(path)


def _rewrite_index(folder: Path) -> None:
    index = read_json(folder / INDEX)
    places, size = {}, 0
    for shard in sorted(set(index["weight_map"].values())):
        with safe_open(folder / shard, framework="pt") as file:
            for name in file.keys():  # noqa: SIM118
                places[name], size = shard, size + file.get_tensor(name).nbytes
    index["weight_map"] = dict(sorted(places.items()))
    index["metadata"] = index.get("metadata", {}) | {"total_size": size}
    (folder / INDEX).write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")
