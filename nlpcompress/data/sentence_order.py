"""Sentence-order prediction: two segments of a document that follow one another, or swapped.

Source: Lan et al. 2020 (ALBERT), section 3.1: both segments come from one document and follow one
another; half of the pairs are swapped, and the model tells which.
Differs: every pair is there in both orders, where ALBERT draws one of them, so that no words of a
pair tell its label; every segment is trained on before and behind a neighbour, so that it does not
tell its own place; segments end where sentences do, and those of a document are of like length, so
that no length tells it either (a last one that takes what is left would be short).
"""

import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import accumulate, pairwise

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

    Every text (a pair of columns is two) gives as many pairs of segments as it has, each some
    sentences that fit half of `max_length` beside the special tokens. With `overlap` a segment
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
    segments = even_segments([len(ids) for ids in encoded], room)
    joined = [" ".join(sentences[start:end]) for start, end in segments]
    step = 1 if overlap else 2
    yield from zip(joined[::step], joined[1::step], strict=False)


def even_segments(lengths: Sequence[int], room: int) -> list[tuple[int, int]]:
    """Consecutive sentences in few like segments of at most `room` tokens: first, and one behind
    the last.

    Each cut is at the end of the sentence nearest to its share of the tokens, so that no place in a
    document has shorter segments than another. A longer sentence counts as much as there is room,
    and is cut off later.

    >>> even_segments([10] * 7, 30)
    [(0, 2), (2, 5), (5, 7)]
    """
    held = [min(length, room) for length in lengths]
    ends = list(accumulate(held))
    count = -(-ends[-1] // room)
    while count < len(lengths):
        cuts = sorted({_nearest(ends, ends[-1] * part / count) for part in range(1, count)})
        segments = list(pairwise([0, *cuts, len(lengths)]))
        if all(sum(held[first:behind]) <= room for first, behind in segments):
            return segments
        count += max(1, count // 16)
    return list(pairwise(range(len(lengths) + 1)))


def _nearest(ends: Sequence[int], place: float) -> int:
    """How many sentences lie before the cut nearest to so many tokens: at least one, not all."""
    behind = max(1, bisect_left(ends, place))
    nearer = place - ends[behind - 1] > ends[behind] - place
    return min(behind + nearer, len(ends) - 1)
