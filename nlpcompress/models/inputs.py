"""Which inputs a model takes, or, when it is several, any of them."""

from torch import nn

from nlpcompress.models.ensemble import members_of
from nlpcompress.models.signature import named_inputs, takes


def accepts(model: nn.Module, name: str) -> bool:
    """Whether the model's `forward` takes an input of that name.

    The open `**kwargs` of transformers' models do not count: they pass unknown names on in silence.
    """
    return any(takes(member, name) for member in members_of(model))


def input_names(model: nn.Module) -> list[str]:
    """Names of the inputs that the model's `forward` spells out."""
    return list(dict.fromkeys(n for member in members_of(model) for n in named_inputs(member)))
