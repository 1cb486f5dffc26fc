"""Sentence-order prediction: two segments of a document that follow one another, or swapped.

Source: Lan et al. 2020 (ALBERT), section 3.1: both segments come from one document and follow one
another; half of the pairs are swapped, and the model tells which.
Differs: every pair is there in both orders, where ALBERT draws one of them, so that no words of a
pair tell its label; every segment is trained on before and behind a neighbour, so that it does not
tell its own place; segments end where sentences do, and no pair is shorter than its document allows
(ALBERT makes one in ten shorter).
"""

import re
from collections.abc import Iterator, Sequence

import datasets
from transformers import PreTrainedTokenizerBase

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
    overlap: bool = False,
) -> datasets.Dataset:
    """Rows with the texts `first` and `second` and `labels`: each pair in order, then swapped.

    Every text (a pair of columns is two) gives as many pairs of segments as it has, each segment as
    many sentences as fit half of `max_length` beside the special tokens. With `overlap` a segment
    is in a pair with both of its neighbours, without in one. Raises `DataError` when no text has
    two segments, or `max_length` has no room.
    """
    room = room_of_segment(tokenizer, max_length)
    documents = [row[column] for row in texts for column in columns]
    pairs = [
        pair
        for document in documents
        for pair in segment_pairs(document, tokenizer, room, overlap=overlap)
    ]
    if not pairs:
        raise DataError(
            f"none of {len(documents)} texts has two segments; sentence-order needs documents of "
            "several sentences"
        )
    first, second = zip(*(order for pair in pairs for order in (pair, pair[::-1])), strict=True)
    return datasets.Dataset.from_dict(
        {"first": first, "second": second, "labels": [0, 1] * len(pairs)}
    )


def room_of_segment(tokenizer: PreTrainedTokenizerBase, max_length: int) -> int:
    """Tokens that a segment may have. Raises `DataError` when there is no room for two."""
    room = (max_length - tokenizer.num_special_tokens_to_add(pair=True)) // 2
    if room < 1:
        raise DataError(
            f"data.max_length is {max_length}, which has no room for two segments; raise it"
        )
    return room


def segment_pairs(
    text: str, tokenizer: PreTrainedTokenizerBase, room: int, *, overlap: bool = False
) -> Iterator[tuple[str, str]]:
    """Segments of at most `room` tokens, each with the next.

    Without `overlap` two and two, and one that is left over is left out.
    """
    sentences = [part for part in SENTENCE_END.split(text) if part and not part.isspace()]
    if len(sentences) < 2:
        return
    encoded = tokenizer(sentences, add_special_tokens=False, verbose=False)["input_ids"]
    segments = fill([len(ids) for ids in encoded], room)
    joined = [" ".join(sentences[start:end]) for start, end in segments]
    step = 1 if overlap else 2
    yield from zip(joined[::step], joined[1::step], strict=False)


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
