"""One hash of many tensors: equal only if their names, types, shapes and values are."""

import hashlib
from collections.abc import Mapping
from typing import Any

import torch


def hash_tensors(tensors: Mapping[str, Any], start: str = "") -> bytes:
    """SHA-256 of `start` and the tensors, in their order; other values are passed over."""
    found = hashlib.sha256(start.encode())
    for name, value in tensors.items():
        if isinstance(value, torch.Tensor):
            plain = value.detach().cpu().contiguous()
            found.update(f"{name} {plain.dtype} {tuple(plain.shape)}".encode())
            found.update(plain.reshape(-1).view(torch.uint8).numpy().data)
    return found.digest()
