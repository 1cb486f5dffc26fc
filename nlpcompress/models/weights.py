"""Which matrices and filters of a model pruning may thin out."""

from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

LEFT_ALONE = ("pooler", "embeddings", "embeddings_project", "embedding_hidden_mapping_in")
"""Parts of a body that the papers count as embeddings or as the head."""


def body_weights(model: nn.Module) -> dict[str, Tensor]:
    """Name → weight of every linear and convolutional layer of the body, shared ones once.

    The body is the model without its task head, embeddings and pooler: the linear layers of an
    encoder's attentions and feed-forward networks, all convolutions of a CNN. Sanh et al. 2020 and
    Lagunas et al. 2021 count their densities over these.
    """
    body = getattr(model, "base_model", model)
    inside = {id(module) for module in body.modules()} - {id(_output_embeddings(model))}
    return {
        f"{path}.weight": module.weight
        for path, module in model.named_modules()
        if id(module) in inside
        and isinstance(module, (nn.Linear, Conv1D, _ConvNd))
        and not set(path.split(".")) & set(LEFT_ALONE)
    }


def embedding_tables(model: nn.Module) -> list[nn.Parameter]:
    """The weights of all embeddings, of words, places and segments."""
    return [module.weight for module in model.modules() if isinstance(module, nn.Embedding)]


def _output_embeddings(model: nn.Module) -> nn.Module | None:
    return model.get_output_embeddings() if isinstance(model, PreTrainedModel) else None
