"""Sentence-order prediction: two segments of a document that follow one another, or swapped.

Source: Lan et al. 2020 (ALBERT), section 3.1: both segments come from one document and follow one
another; half of the pairs are swapped, and the model tells which.
Differs: a pair's order is drawn once and not for each epoch, segments end where sentences do, and
no pair is shorter than its document allows (ALBERT makes one in ten shorter).
"""

import re
from collections.abc import Iterator, Sequence

import datasets
import numpy as np
from transformers import PreTrainedTokenizerBase

from nlpcompress.data.split import shuffled
from nlpcompress.errors import DataError

LABELS = ("in order", "swapped")
"""0 and 1, as transformers' `sentence_order_label` has them."""
COLUMNS = ("first", "second")
SENTENCE_END = re.compile(r"(?<=[.!?])\s+|\s*\n\s*")


def order_rows(
    texts: datasets.Dataset,
    tokenizer: PreTrainedTokenizerBase,
    *,
    columns: tuple[str, ...],
    max_length: int,
    seed: int,
) -> datasets.Dataset:
    """Rows with the texts `first` and `second` and `labels`, half of them swapped by `seed`.

    Every text (a pair of columns is two) gives as many pairs of segments as it has, each segment as
    many sentences as fit half of `max_length` beside the special tokens. Raises `DataError` when no
    text has two segments, or `max_length` has no room.
    """
    room = room_of_segment(tokenizer, max_length)
    documents = [row[column] for row in texts for column in columns]
    pairs = [pair for document in documents for pair in segment_pairs(document, tokenizer, room)]
    if not pairs:
        raise DataError(
            f"none of {len(documents)} texts has two segments; sentence-order needs documents of "
            "several sentences"
        )
    swapped = np.zeros(len(pairs), dtype=np.int64)
    swapped[shuffled(len(pairs), seed)[: len(pairs) // 2]] = 1
    turned = [pair[::-1] if swap else pair for pair, swap in zip(pairs, swapped, strict=True)]
    first, second = zip(*turned, strict=True)
    return datasets.Dataset.from_dict({"first": first, "second": second, "labels": swapped})


def room_of_segment(tokenizer: PreTrainedTokenizerBase, max_length: int) -> int:
    """Tokens that a segment may have. Raises `DataError` when there is no room for two."""
    room = (max_length - tokenizer.num_special_tokens_to_add(pair=True)) // 2
    if room < 1:
        raise DataError(
            f"data.max_length is {max_length}, which has no room for two segments; raise it"
        )
    return room


def segment_pairs(
    text: str, tokenizer: PreTrainedTokenizerBase, room: int
) -> Iterator[tuple[str, str]]:
    """Segments of at most `room` tokens, two and two; one that is left over is left out."""
    sentences = [part for part in SENTENCE_END.split(text) if part and not part.isspace()]
    if len(sentences) < 2:
        return
    encoded = tokenizer(sentences, add_special_tokens=False, verbose=False)["input_ids"]
    segments = fill([len(ids) for ids in encoded], room)
    joined = [" ".join(sentences[start:end]) for start, end in segments]
    yield from zip(joined[::2], joined[1::2], strict=False)


def fill(lengths: Sequence[int], room: int) -> list[tuple[int, int]]:
    """Consecutive sentences in segments of at most `room` tokens: first, and one behind the last.

    A sentence that is longer is a segment of its own, and cut off later.

    >>> fill([3, 4, 9, 2, 2], 8)
    [(0, 2), (2, 3), (3, 5)]
    """
    segments: list[tuple[int, int]] = []
    start, held = 0, 0
    for place, length in enumerate(lengths):
        if place > start and held + length > room:
            segments.append((start, place))
            start, held = place, 0
        held += length
    return [*segments, (start, len(lengths))]
