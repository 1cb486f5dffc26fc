"""Spans of one to n whole words: what n-gram masking has a model tell.

Source: Lan et al. 2020 (ALBERT), section 3.1 ("n-gram masking", after Joshi et al. 2020): a span's
length is drawn with p(n) ∝ 1/n, n at most 3.
Differs: a row gets as many spans as come to the asked share of its tokens in expectation, and every
drawn length is kept; the official code stops at a fixed number of tokens, and shortens the spans
that would go beyond.
"""

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from nlpcompress.errors import DataError

STARTS = ("▁", "Ġ")
"""SentencePiece and byte-level BPE mark the pieces that begin a word, WordPiece the others."""
CONTINUES = "##"


def continuing_pieces(tokenizer: PreTrainedTokenizerBase) -> Tensor:
    """Which ids are pieces that go on with the word before: bool `(V,)`.

    The mark that most pieces bear is the vocabulary's: one of many languages also has the signs ▁,
    Ġ and ## for themselves. With marks of beginnings, punctuation goes with the word before it, and
    in byte-level vocabularies the first word of a line too. Raises `DataError` for a vocabulary
    that does not tell.
    """
    pieces = tokenizer.get_vocab()
    bearing = {m: sum(p.startswith(m) for p in pieces) for m in (CONTINUES, *STARTS)}
    mark = max(bearing, key=bearing.__getitem__)
    if not bearing[mark]:
        raise DataError(
            f"the vocabulary of {type(tokenizer).__name__} marks neither where words begin "
            f"({', '.join(STARTS)}) nor where they go on ({CONTINUES}), so there are no whole "
            "words to mask; set data.masking.ngram to 1"
        )
    found = torch.zeros(max(pieces.values()) + 1, dtype=torch.bool)
    for piece, number in pieces.items():
        found[number] = piece.startswith(mark) == (mark == CONTINUES)
    return found


def length_chances(most: int) -> Tensor:
    """p(n) ∝ 1/n for n from 1 to `most`: float64 `(most,)`.

    >>> length_chances(3)
    tensor([0.5455, 0.2727, 0.1818], dtype=torch.float64)
    """
    weights = 1 / torch.arange(1, most + 1, dtype=torch.float64)
    return weights / weights.sum()


def choose_spans(
    ordinary: Tensor,
    continues: Tensor,
    *,
    probability: float,
    most: int,
    generator: torch.Generator,
) -> Tensor:
    """Which tokens of a row lie in chosen spans: bool `(T,)`.

    `ordinary` bool `(T,)` says what may be chosen, `continues` bool `(T,)` what goes on with the
    word before. Spans neither overlap nor reach over a token that is not ordinary; a drawn length
    that has no room left is passed over.
    """
    words = _words(ordinary, continues)
    chances = length_chances(most)
    mean_length = float((chances * torch.arange(1, most + 1)).sum())
    wanted = probability * len(words) / mean_length
    draws = int(wanted + float(torch.rand((), generator=generator)))
    lengths = torch.multinomial(chances, max(draws, 1), replacement=True, generator=generator)
    chosen, taken = torch.zeros_like(ordinary), [False] * len(words)
    for length in (lengths[:draws] + 1).tolist():
        starts = _free_starts(words, taken, length)
        if starts:
            start = starts[int(torch.randint(len(starts), (), generator=generator))]
            taken[start : start + length] = [True] * length
            chosen[words[start][0] : words[start + length - 1][1]] = True
    return chosen


def _words(ordinary: Tensor, continues: Tensor) -> list[tuple[int, int]]:
    """First token of each word and the one behind its last."""
    words: list[tuple[int, int]] = []
    joined = continues.tolist()
    for place in ordinary.nonzero()[:, 0].tolist():
        goes_on = joined[place] and words and words[-1][1] == place
        words[-1:] = [(words[-1][0], place + 1)] if goes_on else [*words[-1:], (place, place + 1)]
    return words


def _free_starts(words: list[tuple[int, int]], taken: list[bool], length: int) -> list[int]:
    """Words from which so many follow one another without a gap, none of them taken."""
    starts, run = [], 0
    for i, (first, _) in enumerate(words):
        joined = i > 0 and words[i - 1][1] == first
        run = 0 if taken[i] else (run if joined else 0) + 1
        if run >= length:
            starts.append(i - length + 1)
    return starts
