"""Texts into token numbers, in memory."""

from typing import Any

import datasets
from transformers import PreTrainedTokenizerBase

from nlpcompress.errors import DataError


def checked_tokenizer(processor: object, max_length: int) -> PreTrainedTokenizerBase:
    """The processor. Raises `DataError` if it is no tokenizer, cannot pad or takes fewer tokens."""
    if not isinstance(processor, PreTrainedTokenizerBase):
        raise DataError(
            f"text is read through a tokenizer, got {type(processor).__name__}; pass the model's "
            "tokenizer"
        )
    if processor.pad_token_id is None:
        raise DataError(
            f"{type(processor).__name__} has no padding token; set tokenizer.pad_token = "
            "tokenizer.eos_token and model.config.pad_token_id to its number"
        )
    if max_length > processor.model_max_length:
        raise DataError(
            f"data.max_length is {max_length}, the tokenizer's model takes at most "
            f"{processor.model_max_length}; lower it"
        )
    return processor


def tokenize(
    rows: datasets.Dataset,
    tokenizer: PreTrainedTokenizerBase,
    *,
    columns: tuple[str, ...],
    max_length: int,
) -> datasets.Dataset:
    """The rows with `columns` (a text, or a pair) replaced by at most `max_length` tokens."""

    def encode(batch: dict[str, list[Any]]) -> dict[str, list[Any]]:
        return dict(
            tokenizer(
                *(batch[column] for column in columns), truncation=True, max_length=max_length
            )
        )

    return rows.map(
        encode,
        batched=True,
        remove_columns=list(columns),
        keep_in_memory=True,
        load_from_cache_file=False,
        desc="Tokenising",
    )
