"""Plain texts into rows for masked language modelling: blocks of a corpus, or a text a row."""

from collections.abc import Iterable, Iterator
from typing import Any

import datasets
import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from nlpcompress.data.tokenize import tokenize
from nlpcompress.errors import DataError

Tokens = list[int]
DOCUMENT = "document"


def corpus_rows(
    texts: datasets.Dataset,
    tokenizer: PreTrainedTokenizerBase,
    *,
    columns: tuple[str, ...],
    max_length: int,
    group: bool,
) -> datasets.Dataset:
    """Rows of at most `max_length` tokens with the tokenizer's special ones: its inputs, no labels.

    With `group` the texts follow one another, a separator between two, and are cut into blocks, of
    which the last may be short; all token ids are in memory at once. Else each text (or pair) is
    cut off. Rows without any ordinary token are left out. Raises `DataError` when none is left, or
    when `max_length` has no room beside the special tokens.
    """
    room = max_length - tokenizer.num_special_tokens_to_add(pair=len(columns) == 2 and not group)
    if room < 1:
        raise DataError(
            f"data.max_length is {max_length}, and {max_length - room} special tokens leave no "
            "room for text; raise it"
        )
    if group:
        rows = _blocks(texts, tokenizer, columns=columns, size=room)
    else:
        rows = tokenize(texts, tokenizer, columns=columns, max_length=max_length)
    return with_tokens(rows, tokenizer)


def with_tokens(rows: datasets.Dataset, tokenizer: PreTrainedTokenizerBase) -> datasets.Dataset:
    """The rows that have an ordinary token. Raises `DataError` when none is left."""
    special = set(tokenizer.all_special_ids)
    found = rows.filter(
        lambda ids: not special.issuperset(ids),
        input_columns="input_ids",
        keep_in_memory=True,
        load_from_cache_file=False,
        desc="Looking for tokens",
    )
    if len(found) == 0:
        raise DataError(
            f"none of {len(rows)} rows has a token that the tokenizer knows: there is nothing to "
            "mask; check data.text_columns and the tokenizer"
        )
    return found


def count_tokens(rows: datasets.Dataset, size: int) -> Tensor:
    """How often each id below `size` occurs in `input_ids`: int64 `(size,)`."""
    counts = torch.zeros(size, dtype=torch.int64)
    for batch in rows.iter(batch_size=1000):
        ids = torch.tensor([token for row in batch["input_ids"] for token in row])
        counts += torch.bincount(ids, minlength=size)
    return counts


def special_ends(tokenizer: PreTrainedTokenizerBase, text: str) -> tuple[Tokens, Tokens]:
    """What the tokenizer puts before a text and behind it; it is asked by way of `text`.

    Fast tokenizers of transformers 5 have no method that would tell.
    """
    plain, whole = (
        tokenizer(text, add_special_tokens=special, verbose=False)["input_ids"]
        for special in (False, True)
    )
    for start in range(len(whole) - len(plain) + 1):
        end = start + len(plain)
        if whole[start:end] == plain:
            return whole[:start], whole[end:]
    raise DataError(
        f"{type(tokenizer).__name__} does not only put special tokens around a text, so blocks "
        "cannot be cut; set data.masking.group to false"
    )


def cut_blocks(documents: Iterable[Tokens], *, size: int, separator: Tokens) -> Iterator[Tokens]:
    """All documents, `separator` between two, in blocks of `size` tokens; the last may be shorter.

    >>> list(cut_blocks([[1, 2], [3], [4, 5, 6]], size=3, separator=[0]))
    [[1, 2, 0], [3, 0, 4], [5, 6]]
    """
    held: Tokens = []
    between: Tokens = []
    for document in documents:
        held = [*held, *between, *document]
        between = separator
        whole = len(held) - len(held) % size
        yield from (held[start : start + size] for start in range(0, whole, size))
        held = held[whole:]
    if held:
        yield held


def _blocks(
    texts: datasets.Dataset,
    tokenizer: PreTrainedTokenizerBase,
    *,
    columns: tuple[str, ...],
    size: int,
) -> datasets.Dataset:
    documents = (row[DOCUMENT] for row in _documents(texts, tokenizer, columns) if row[DOCUMENT])
    before, behind = _ends(texts[columns[0]], tokenizer)
    mark = tokenizer.eos_token_id if tokenizer.sep_token_id is None else tokenizer.sep_token_id
    separator = [] if mark is None else [mark]
    blocks = cut_blocks(documents, size=size, separator=separator)
    ids = [[*before, *block, *behind] for block in blocks]
    columns_of_rows = {
        "input_ids": ids,
        "token_type_ids": [[0] * len(row) for row in ids],
        "attention_mask": [[1] * len(row) for row in ids],
    }
    names = {*tokenizer.model_input_names, "input_ids", "attention_mask"}
    kept = {name: values for name, values in columns_of_rows.items() if name in names}
    feature = datasets.Features({name: datasets.List(datasets.Value("int64")) for name in kept})
    return datasets.Dataset.from_dict(kept, features=feature)


def _documents(
    texts: datasets.Dataset, tokenizer: PreTrainedTokenizerBase, columns: tuple[str, ...]
) -> datasets.Dataset:
    """A row a text, without special tokens; the two texts of a pair are two."""

    def encode(batch: dict[str, list[Any]]) -> dict[str, list[Any]]:
        plain = [text for row in zip(*(batch[c] for c in columns), strict=True) for text in row]
        return {DOCUMENT: tokenizer(plain, add_special_tokens=False, verbose=False)["input_ids"]}

    return texts.map(
        encode,
        batched=True,
        remove_columns=texts.column_names,
        keep_in_memory=True,
        load_from_cache_file=False,
        desc="Tokenising",
    )


def _ends(texts: Iterable[str], tokenizer: PreTrainedTokenizerBase) -> tuple[Tokens, Tokens]:
    """By way of the first text that has tokens; where none has, there is nothing to put ends to."""
    for text in texts:
        if tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]:
            return special_ends(tokenizer, text)
    return [], []
