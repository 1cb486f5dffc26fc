"""What a model's config and tables say of its tokens."""

from collections.abc import Iterator
from typing import Any

from torch import nn

TOKEN_ID = "_token_id"
LISTS = ("suppress_tokens", "begin_suppress_tokens", "bad_words_ids", "forced_decoder_ids")


def special_tokens(config: Any, size: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Name → ids, of the tokens that a config names; ids beyond the vocabulary are none."""
    for name, value in vars(config).items():
        ids = value if isinstance(value, (list, tuple)) else (value,)
        if name.endswith(TOKEN_ID) and all(isinstance(i, int) and 0 <= i < size for i in ids):
            yield name, tuple(ids)


def token_lists(config: Any) -> list[str]:
    """Names of a config's lists that say by tokens' numbers what generation is to do with them."""
    return [name for name in LISTS if getattr(config, name, None)]


def tokens_up_to_padding(model: nn.Module) -> range:
    """The ids that must stay what they are: where positions count from the padding's, those up to
    it, as in RoBERTa; else none.
    """
    padding = getattr(model.config, "pad_token_id", None)
    return range(padding + 1) if padding is not None and _leaves_out(model) else range(0)


def _leaves_out(model: nn.Module) -> bool:
    """Whether a table of positions has a row for padding."""
    return any(
        isinstance(module, nn.Embedding) and module.padding_idx is not None
        for path, module in model.named_modules()
        if "position" in path
    )
