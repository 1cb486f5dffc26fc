"""Which matrices and filters of a model pruning may thin out."""

from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from nlpcompress.models.quantized import Quantized, QuantizedConv2d, QuantizedLinear

LEFT_ALONE = ("pooler", "embeddings", "embeddings_project", "embedding_hidden_mapping_in")
"""Parts of a body that the papers count as embeddings or as the head."""
LAYERS = (nn.Linear, Conv1D, _ConvNd, QuantizedLinear, QuantizedConv2d)


def body_weights(model: nn.Module) -> dict[str, Tensor]:
    """Name → weight of every dense layer among `body_layers`: what pruning may thin out."""
    return {
        f"{path}.weight": layer.weight
        for path, layer in body_layers(model).items()
        if not isinstance(layer, Quantized)
    }


def body_layers(model: nn.Module) -> dict[str, nn.Module]:
    """Path → every linear and convolutional layer of the body, dense or quantized, each once.

    The body is the model without its task head, embeddings and pooler: the linear layers of an
    encoder's attentions and feed-forward networks, all convolutions of a CNN. Sanh et al. 2020 and
    Lagunas et al. 2021 count their densities over these.
    """
    body = getattr(model, "base_model", model)
    inside = {id(module) for module in body.modules()} - {id(_output_embeddings(model))}
    return {
        path: module
        for path, module in model.named_modules()
        if id(module) in inside
        and isinstance(module, LAYERS)
        and not set(path.split(".")) & set(LEFT_ALONE)
    }


def embedding_tables(model: nn.Module) -> list[nn.Parameter]:
    """The weights of all embeddings, of words, places and segments."""
    return [module.weight for module in model.modules() if isinstance(module, nn.Embedding)]


def quantized_weights(model: nn.Module) -> dict[str, Quantized]:
    """Path → module of every packed weight, shared ones once."""
    once: dict[int, tuple[str, Quantized]] = {}
    for path, module in model.named_modules():
        if isinstance(module, Quantized):
            once.setdefault(id(module.weight), (path, module))
    return dict(once.values())


def _output_embeddings(model: nn.Module) -> nn.Module | None:
    return model.get_output_embeddings() if isinstance(model, PreTrainedModel) else None
