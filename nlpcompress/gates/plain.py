"""The state of a gated model: its weights by the names that they have without gates, and the rest.

bert.x.parametrizations.weight.original  → bert.x.weight
compression_gates.gates.0.mask           → only_gates
"""

import re
from collections.abc import Mapping

from torch import Tensor

from nlpcompress.gates.gate_set import NAME

_GATED = re.compile(r"(^|\.)parametrizations\.(\w+)\.original$")


def without_gates(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The same tensors less the gates' own; what is trained under a gate has its old name."""
    return {
        _GATED.sub(r"\1\2", name): tensor for name, tensor in state.items() if not _of_gates(name)
    }


def only_gates(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The gates' own tensors, such as their masks."""
    return {name: tensor for name, tensor in state.items() if _of_gates(name)}


def _of_gates(name: str) -> bool:
    return name.startswith(f"{NAME}.")
