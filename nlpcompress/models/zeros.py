"""Whether a model's zeros are there to stay: a line in its config that save and load hand on."""

from torch import Tensor, nn

from nlpcompress.models.weights import body_weights

FIELD = "zeros_stay"
"""A field that no stock config has; transformers keeps it."""


def note_zeros(model: nn.Module) -> None:
    """From now on the zeros in the body's weights are meant."""
    setattr(model.config, FIELD, True)


def weights_with_zeros(model: nn.Module) -> dict[str, Tensor]:
    """Name → weight of the body's weights whose zeros are to stay; none if nobody said so."""
    if not getattr(getattr(model, "config", None), FIELD, False):
        return {}
    return {name: w for name, w in body_weights(model).items() if bool((w == 0).any())}
