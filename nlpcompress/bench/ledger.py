"""Where the bytes of a model are, each tensor counted once however many names it has."""

import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from torch import Tensor, nn

from nlpcompress.core.weight_file import read_weight_file
from nlpcompress.errors import FormatError
from nlpcompress.models.quantized import PARTS as BUFFERS
from nlpcompress.models.quantized import QuantizedEmbedding
from nlpcompress.models.weights import quantized_weights

PARTS = ("embeddings", "encoder", "head")
HEADERS = "file headers"
WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"


def parameter_count(model: nn.Module) -> int:
    """Elements of all parameters and numbers in packed weights, shared ones once.

    Scales and zero points of packed weights are none.
    """
    packed = (module.scheme for module in quantized_weights(model).values())
    dense = sum(parameter.numel() for parameter in model.parameters())
    return dense + sum(scheme.rows * scheme.columns for scheme in packed)


def stored_bytes(model: nn.Module) -> int:
    """Bytes of parameters and persistent buffers, shared ones once."""
    return sum(_bytes(tensor) for _, tensor in _stored(model))


def bytes_on_disk(folder: str | Path) -> int:
    """Bytes of the files of weights in a model folder: what is stored, packed or not.

    Raises `FormatError` when a file is not there.
    """
    return sum(path.stat().st_size for path in _files(Path(folder)))


def size_ledger(model: nn.Module, folder: str | Path | None = None) -> dict[str, int]:
    """Bytes of the weights by part; they add up to `stored_bytes`.

    `head` is what lies outside the base model (`model.base_model_prefix`), `embeddings` the tables
    and what else lies in a module called "embeddings", `encoder` the rest. With the `folder` that
    the model was saved to, the bytes are those of its files; they add up to `bytes_on_disk`, with
    the names and shapes in the files as `file headers`. Raises `FormatError` as that does.
    """
    ledger = dict.fromkeys(PARTS, 0)
    part_of = parts_of(model)
    for name, size in sizes_of(model, folder):
        ledger[part_of(name)] += size
    if folder is not None:
        ledger[HEADERS] = bytes_on_disk(folder) - sum(ledger.values())
    return ledger


def sizes_of(model: nn.Module, folder: str | Path | None = None) -> Iterator[tuple[str, int]]:
    """Name and bytes of each tensor, shared ones once; with the `folder` as they lie there."""
    return _stored_sizes(model) if folder is None else _sizes_on_disk(Path(folder))


def parts_of(model: nn.Module) -> Callable[[str], str]:
    """A function that gives for a tensor's name the part it belongs to, as in `size_ledger`."""
    tables = {
        f"{path}.{name}"
        for path, module in model.named_modules()
        if isinstance(module, (nn.Embedding, QuantizedEmbedding))
        for name in BUFFERS
    }
    return partial(_part, tables=tables, base=getattr(model, "base_model_prefix", ""))


def _part(name: str, tables: set[str], base: str) -> str:
    if name in tables or "embeddings" in name.split("."):
        return "embeddings"
    return "head" if base and not name.startswith(f"{base}.") else "encoder"


def _stored_sizes(model: nn.Module) -> Iterator[tuple[str, int]]:
    return ((name, _bytes(tensor)) for name, tensor in _stored(model))


def _sizes_on_disk(folder: Path) -> Iterator[tuple[str, int]]:
    for path in _files(folder):
        yield from read_weight_file(path).sizes.items()


def _files(folder: Path) -> list[Path]:
    files = [folder / WEIGHTS]
    if not files[0].is_file() and (folder / INDEX).is_file():
        index = json.loads((folder / INDEX).read_text(encoding="utf-8"))
        files = [folder / name for name in sorted(set(index["weight_map"].values()))]
    for path in files:
        if not path.is_file():
            raise FormatError(f"there is no {path}; give the folder of a saved model")
    return files


def _stored(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Names and tensors of the state dict, those in the same memory once (also on meta)."""
    seen: set[tuple[int, int, int]] = set()
    for name, tensor in model.state_dict().items():
        place = (tensor.untyped_storage()._cdata, tensor.storage_offset(), tensor.numel())
        if place not in seen:
            seen.add(place)
            yield name, tensor


def _bytes(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()
