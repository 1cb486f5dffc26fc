"""Which modules hold a weight: shared layers and tied tables have it more than once."""

from collections.abc import Collection, Mapping

from torch import nn
from transformers import PreTrainedModel

from nlpcompress.core.nearest import nearest
from nlpcompress.errors import PlanError
from nlpcompress.models.quantized import schemes
from nlpcompress.models.structure import DiskNames, named_tensors

Holders = Mapping[str, nn.Module]
"""Path → module."""
TIED = "tie_word_embeddings"


def weight_named(model: nn.Module, name: str, *, op: str) -> str:
    """Name on disk → in the modules.

    Raises `PlanError` when no weight with rows is called so, or when it is quantized.
    """
    found = DiskNames(model)(name)
    if found in {f"{path}.weight" for path in schemes(model)}:
        raise PlanError(
            f"{op}: '{name}' is quantized already; make it smaller first, then quantize once"
        )
    weights = [
        n for n, tensor in named_tensors(model).items() if tensor.dim() > 1 and n.endswith("weight")
    ]
    if found not in weights:
        raise PlanError(f"{op}: no weight '{name}'{nearest(name, weights)}")
    return found


def holders_of(model: nn.Module, name: str, *, op: str, kinds: Collection[type]) -> Holders:
    """All modules whose `weight` the parameter `name` is.

    Raises `PlanError` when another than one of `kinds` itself (no subclass) holds it.
    """
    weight = model.get_parameter(name)
    holders = {
        path: module
        for path, module in model.named_modules(remove_duplicate=False)
        if module._parameters.get("weight") is weight
    }
    others = {n for n, t in named_tensors(model).items() if t is weight}
    others -= {f"{path}.weight" for path in holders}
    odd = sorted({path for path, module in holders.items() if type(module) not in kinds} | others)
    if odd:
        names = ", ".join(kind.__name__ for kind in kinds)
        raise PlanError(
            f"{op}: '{name}' cannot be changed: '{odd[0]}' holds it, and that is none of {names}"
        )
    return holders


def table_of(model: nn.Module) -> nn.Module | None:
    """The table of tokens; None of a model of pictures."""
    try:
        return model.get_input_embeddings() if isinstance(model, PreTrainedModel) else None
    except NotImplementedError:
        return None


def say_tied(model: nn.Module, tied: bool) -> None:
    """Have every stock config that can say whether a decoder is tied to the table say this.

    Once the table is no stock one, the record of shared weights says it, and no config does.
    """
    for part in model.modules():
        if isinstance(part, PreTrainedModel) and hasattr(part.config, TIED):
            setattr(part.config, TIED, tied)
