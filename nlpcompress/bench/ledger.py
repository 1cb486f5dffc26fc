"""Where the bytes of a model are, each tensor counted once however many names it has."""

from collections.abc import Iterator

from torch import Tensor, nn

PARTS = ("embeddings", "encoder", "head")


def parameter_count(model: nn.Module) -> int:
    """Elements of all parameters, shared ones once."""
    return sum(parameter.numel() for parameter in model.parameters())


def stored_bytes(model: nn.Module) -> int:
    """Bytes of parameters and persistent buffers, shared ones once."""
    return sum(_bytes(tensor) for _, tensor in _stored(model))


def size_ledger(model: nn.Module) -> dict[str, int]:
    """Bytes of the weights by part; they add up to `stored_bytes`.

    `head` is what lies outside the base model (`model.base_model_prefix`), `embeddings` the tables
    and what else lies in a module called "embeddings", `encoder` the rest.
    """
    ledger = dict.fromkeys(PARTS, 0)
    tables = {f"{name}.weight" for name, m in model.named_modules() if isinstance(m, nn.Embedding)}
    for name, tensor in _stored(model):
        ledger[_part(name, tables, getattr(model, "base_model_prefix", ""))] += _bytes(tensor)
    return ledger


def _part(name: str, tables: set[str], base: str) -> str:
    if name in tables or "embeddings" in name.split("."):
        return "embeddings"
    return "head" if base and not name.startswith(f"{base}.") else "encoder"


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
