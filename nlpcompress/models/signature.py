"""What the `forward` of one model is written to take."""

import inspect

from torch import nn
from transformers import PreTrainedModel


def takes(model: nn.Module, name: str) -> bool:
    """Whether the model's `forward` takes an input of that name.

    The open `**kwargs` of transformers' models do not count: they pass unknown names on in silence.
    """
    parameters = inspect.signature(model.forward).parameters
    takes_all = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    return name in parameters or (takes_all and not isinstance(model, PreTrainedModel))


def named_inputs(model: nn.Module) -> list[str]:
    """Names of the inputs that the model's `forward` spells out."""
    parameters = inspect.signature(model.forward).parameters.values()
    return [p.name for p in parameters if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)]
