"""What names a model or its inputs in a hash: equal only if all that computes is."""

import hashlib
from collections.abc import Mapping
from typing import Any

import torch

UNIMPORTANT = ("transformers_version", "_name_or_path", "use_cache")
"""Of a config: changes no answer to whole inputs. Trainers switch `use_cache` off."""


def hash_tensors(tensors: Mapping[str, Any], start: str = "") -> bytes:
    """SHA-256 of `start` and the tensors, in their order; other values are passed over.

    Equal only if names, types, shapes and values are.
    """
    found = hashlib.sha256(start.encode())
    for name, value in tensors.items():
        if isinstance(value, torch.Tensor):
            plain = value.detach().cpu().contiguous()
            found.update(f"{name} {plain.dtype} {tuple(plain.shape)}".encode())
            found.update(plain.reshape(-1).view(torch.uint8).numpy().data)
    return found.digest()


def class_and_config(model: Any) -> tuple[str, dict[str, Any]]:
    """What a model is beside its weights: its class's name, and its config if it has one."""
    config = model.config.to_dict() if hasattr(model, "config") else {}
    kept = {key: config[key] for key in sorted(config) if key not in UNIMPORTANT}
    return type(model).__name__, kept
