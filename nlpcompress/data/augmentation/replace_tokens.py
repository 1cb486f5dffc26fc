"""Synthetic texts for distillation without labels: words masked, replaced at random, or cut out.

A teacher labels them; what a human said of the original text no longer holds.

Source: R. Tang et al., "Distilling Task-Specific Knowledge from BERT into Simple Neural Networks",
arXiv:1903.12136, section 3.3.
Differs: no part-of-speech tagger is needed, so the word that replaces another comes from the data's
unigram distribution as a whole, where the paper takes it from that of the same part of speech.
Texts keep their case and spacing. A copy that was there before is drawn again, up to ten times; the
paper leaves it out.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import datasets
import numpy as np

from nlpcompress.data.augmentation.config import ReplaceConfig
from nlpcompress.data.augmentation.copies import (
    Texts,
    draw_distinct,
    gather,
    generator_of,
    read_texts,
    report,
    with_copies,
)
from nlpcompress.data.augmentation.words import word_spans
from nlpcompress.errors import DataError


@dataclass(frozen=True)
class Unigrams:
    """The words of some texts in their order as strings, and how often each is met, summed up."""

    words: tuple[str, ...]
    up_to: np.ndarray

    def draw(self, generator: np.random.Generator) -> str:
        """A word by its frequency."""
        return self.words[int(np.searchsorted(self.up_to, generator.random(), side="right"))]


def replace_tokens(
    dataset: datasets.Dataset,
    *,
    columns: Sequence[str],
    config: ReplaceConfig,
    seed: int,
    mask_token: str | None = None,
    drop: Sequence[str] = (),
) -> datasets.Dataset:
    """The rows, then the texts made of the first, of the second and so on.

    Of a pair the first text changes, then the second, then both, in turns. Columns in `drop` (the
    label, say) are left out of all rows; others are copied. What is drawn for a row depends on the
    seed, its number and the words of all the data. Raises `DataError`: no rows, no text in a
    column, no such column to drop, or no `mask_token` where words are masked.
    """
    if config.mask_probability > 0 and not mask_token:
        raise DataError(
            "words are masked, but the tokenizer has no mask token; set mask_probability to 0"
        )
    if lost := [name for name in drop if name in columns or name not in dataset.column_names]:
        raise DataError(f"cannot drop {lost}: not other columns of the data than its texts")
    texts = read_texts(dataset, columns)
    unigrams = count_words(text for row in texts for text in row)
    drawn = [
        draw_distinct(row, _drawing(row, unigrams, config, mask_token, generator), config.copies)
        for row, generator in ((row, generator_of(seed, n)) for n, row in enumerate(texts))
    ]
    copies = gather(drawn)
    report(copies, len(texts), config.copies)
    return with_copies(dataset.remove_columns(list(drop)), columns, copies)


def count_words(texts: Iterable[str]) -> Unigrams:
    """The distribution of words, as they are written. Raises `DataError` when there are none."""
    found = Counter(text[start:end] for text in texts for start, end in word_spans(text))
    if not found:
        raise DataError("the texts hold no words, so none can be replaced")
    words = tuple(sorted(found))
    shares = np.cumsum([found[word] for word in words])
    return Unigrams(words, shares / shares[-1])


def draw_text(
    text: str,
    unigrams: Unigrams,
    config: ReplaceConfig,
    mask_token: str | None,
    generator: np.random.Generator,
) -> str:
    """One synthetic text. Each word is masked, replaced or left, then an n-gram of them is kept."""
    spans = word_spans(text)
    if not spans:
        return text
    words = [text[start:end] for start, end in spans]
    between = [text[end:start] for (_, end), (start, _) in pairwise(spans)]
    for number, u in enumerate(generator.random(len(words))):
        if u < config.mask_probability:
            words[number] = mask_token or ""
        elif u < config.mask_probability + config.replace_probability:
            words[number] = unigrams.draw(generator)
    if generator.random() < config.ngram_probability:
        first, last = _ngram(len(words), config.longest_ngram, generator)
        return _joined(words[first:last], between[first : last - 1])
    return text[: spans[0][0]] + _joined(words, between) + text[spans[-1][1] :]


def _ngram(count: int, longest: int, generator: np.random.Generator) -> tuple[int, int]:
    size = min(int(generator.integers(1, longest + 1)), count)
    first = int(generator.integers(count - size + 1))
    return first, first + size


def _joined(words: Sequence[str], between: Sequence[str]) -> str:
    pairs = zip(between, words[1:], strict=True)
    return words[0] + "".join(gap + word for gap, word in pairs)


def _drawing(
    row: Texts,
    unigrams: Unigrams,
    config: ReplaceConfig,
    mask_token: str | None,
    generator: np.random.Generator,
) -> Callable[[int], Texts]:
    """Copy number → texts: all of a single text, of a pair the first, the second, both in turns."""
    turns = ((True,),) if len(row) == 1 else ((True, False), (False, True), (True, True))

    def draw(number: int) -> Texts:
        changed = zip(row, turns[number % len(turns)], strict=True)
        return tuple(
            draw_text(text, unigrams, config, mask_token, generator) if yes else text
            for text, yes in changed
        )

    return draw
