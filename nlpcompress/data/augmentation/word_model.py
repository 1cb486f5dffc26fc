"""The masked language model that proposes words, with its tokenizer, checked to fit together."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from nlpcompress.core.modes import eval_mode
from nlpcompress.core.positions import positions
from nlpcompress.errors import DataError

# Models whose embeddings are rounded up to a round number of rows have this many more at most.
PADDED_ROWS = 1024


@dataclass(frozen=True)
class WordModel:
    """What proposes words: `masked_lm` for words of one token, word vectors for others.

    `vectors` are words and their vectors, a float array `(W, H)`, as in a file of GloVe; left out,
    the model's own input embeddings are used. Raises `DataError` when the parts do not fit.
    """

    masked_lm: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    vectors: tuple[Sequence[str], np.ndarray] | None = None

    def __post_init__(self) -> None:
        _check_tokenizer(self.tokenizer)
        _check_sizes(self.masked_lm, self.tokenizer)
        _check_logits(self.masked_lm, self.tokenizer)
        if self.vectors is not None:
            _check_vectors(*self.vectors)

    @property
    def embeddings(self) -> torch.Tensor:
        """float `(V, H)`, V the rows the model has, which may be more than the tokenizer's."""
        return self.masked_lm.get_input_embeddings().weight.detach()

    def longest(self, max_length: int) -> int:
        """Tokens the model takes at once, at most `max_length`."""
        limits = (max_length, self.tokenizer.model_max_length, positions(self.masked_lm))
        return int(min(limit for limit in limits if limit is not None))


def _check_tokenizer(tokenizer: object) -> None:
    if not isinstance(tokenizer, PreTrainedTokenizerBase) or not tokenizer.is_fast:
        raise DataError(
            f"augmentation needs a fast tokenizer, which knows the place of every token in the "
            f"text, got {type(tokenizer).__name__}"
        )
    if tokenizer.mask_token_id is None:
        raise DataError(
            f"{type(tokenizer).__name__} has no mask token, so its model fills no gaps; name a "
            "masked language model and its own tokenizer"
        )
    if tokenizer.pad_token_id is None:
        raise DataError(f"{type(tokenizer).__name__} has no padding token; set one")


def _check_sizes(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
    rows = model.get_input_embeddings().weight.shape[0]
    tokens = max(tokenizer.get_vocab().values()) + 1
    if not tokens <= rows <= tokens + PADDED_ROWS:
        raise DataError(
            f"the tokenizer has {tokens} tokens, {type(model).__name__} has {rows}: they do not "
            "belong together; load both from the same folder or id"
        )


def _check_logits(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
    ids = torch.tensor([[tokenizer.mask_token_id]], device=device_of(model))
    with eval_mode(model), torch.no_grad():
        outputs = model(input_ids=ids)
    logits, rows = outputs.get("logits"), model.get_input_embeddings().weight.shape[0]
    if logits is None or tuple(logits.shape) != (1, 1, rows):
        shape = "no logits" if logits is None else f"logits of shape {tuple(logits.shape)}"
        raise DataError(
            f"{type(model).__name__} gives {shape} for one token, a masked language model one for "
            f"each of the {rows} tokens; load it with AutoModelForMaskedLM"
        )


def _check_vectors(words: Sequence[str], vectors: np.ndarray) -> None:
    if vectors.ndim != 2 or len(words) != len(vectors) or not np.isfinite(vectors).all():
        raise DataError(
            f"word vectors must be finite numbers, one row for each of the {len(words)} words; got "
            f"the shape {vectors.shape}"
        )


def device_of(model: nn.Module) -> torch.device:
    return next(model.parameters()).device
