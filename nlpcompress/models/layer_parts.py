"""A layer's parameters by their part: its attention, its feed-forward network, the rest."""

from torch import nn

from nlpcompress.models.heads import PROJECTIONS, QUERIES, projection


def parameters_of(layer: nn.Module, part: str) -> dict[str, nn.Parameter]:
    """Name in the layer → parameter of `part`: all, attention or ffn; none if it has none.

    The attention is what holds queries, with all that lies in the same child of the layer; the FFN
    is every other child with linear layers. Norms of their own are in neither.
    """
    kinds = {child: _kind(module) for child, module in layer.named_children()}
    return {
        name: parameter
        for name, parameter in layer.named_parameters(remove_duplicate=False)
        if part in ("all", kinds.get(name.partition(".")[0]))
    }


def _kind(module: nn.Module) -> str:
    if any(projection(part, QUERIES) for part in module.modules()):
        return "attention"
    return "ffn" if any(isinstance(part, PROJECTIONS) for part in module.modules()) else "rest"
