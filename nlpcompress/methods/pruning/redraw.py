"""The weights that a model's own initialisation draws, to put in place of trained ones."""

import copy
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from nlpcompress.errors import ConfigError
from nlpcompress.scoring import same_randomness


def redrawn(model: nn.Module, own: Mapping[str, Tensor], *, seed: int) -> dict[str, Tensor]:
    """Name → tensor of a new model of the config, for every name of `own`, on the CPU.

    It is drawn with another seed than `seed` itself, which may have drawn the model at hand.
    Raises `ConfigError` for a model that its config does not make.
    """
    if not isinstance(model, PreTrainedModel):
        raise ConfigError(
            f"weights drawn anew come from a new model of the config, but {type(model).__name__} "
            "is no transformers model; use another control"
        )
    other = int(torch.randint(2**31, (), generator=torch.Generator().manual_seed(seed)))
    with same_randomness(other):
        fresh = type(model)(copy.deepcopy(model.config)).state_dict()
    changed = [n for n in own if n not in fresh or fresh[n].shape != own[n].shape]
    if changed:
        raise ConfigError(
            f"weights drawn anew come from a new model of the config, whose '{changed[0]}' is not "
            "of the shape that it has here, as the model was cut before; use another control"
        )
    return {name: fresh[name] for name in own}
