"""How long a text may be that a model reads."""

from torch import nn


def positions(model: nn.Module) -> int | None:
    """Tokens that its table of positions has rows for, else those that its config says; or None.

    RoBERTa's kind counts from its padding's number on, and never uses the rows before.
    """
    for name, module in model.named_modules():
        if name.endswith("position_embeddings") and isinstance(module, nn.Embedding):
            unused = 0 if module.padding_idx is None else module.padding_idx + 1
            return module.num_embeddings - unused
    return getattr(getattr(model, "config", None), "max_position_embeddings", None)
