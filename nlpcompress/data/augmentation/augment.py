"""Copies of texts with some words replaced by words that fit there: TinyBERT's augmentation.

In every copy each word is replaced with a probability by one of the words that a masked language
model, or the nearest word vectors, propose for its place. Nothing else of the text changes.

Source: X. Jiao et al., "TinyBERT: Distilling BERT for Natural Language Understanding", Findings of
EMNLP 2020, section 3.2 and Algorithm 1.
Differs: candidates are filtered to whole words first, so that there are `candidates` of them, and
are never the word itself; neighbours are those of the masked language model's own embeddings unless
word vectors are given; stop words are scikit-learn's. The official code leaves the first text of a
pair at its last copy while the second changes; here both texts of a copy are drawn from their own
originals. It drops a copy that was there before; here it is drawn again, up to ten times.
Cost: one pass of the masked language model for every word of the data, however many copies.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import datasets
import numpy as np
from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

from nlpcompress.data.augmentation.candidates import Limits, Place, find_candidates
from nlpcompress.data.augmentation.config import AugmentConfig
from nlpcompress.data.augmentation.copies import (
    Texts,
    draw_distinct,
    gather,
    generator_of,
    read_texts,
    report,
    with_copies,
)
from nlpcompress.data.augmentation.fingerprint import fingerprint
from nlpcompress.data.augmentation.places_file import Places, read_places, write_places
from nlpcompress.data.augmentation.word_model import WordModel
from nlpcompress.data.augmentation.words import replace_spans

VERSION = 1  # of what this code finds for the same inputs; a change of it is another file


def augment(
    dataset: datasets.Dataset,
    words: WordModel,
    *,
    columns: Sequence[str],
    config: AugmentConfig,
    seed: int,
    cache: Path | None = None,
) -> datasets.Dataset:
    """The rows, then the copies of the first, of the second and so on.

    `columns` are one text, or two of a pair; a copy has the other columns of its row. What is drawn
    for a row depends on the seed and its number alone. With a folder `cache`, what the model
    proposes for the texts, which takes most of the time and depends on no seed, is read from the
    file of its description there, or written to it. Raises `DataError`: no rows, no text in a
    column, or a file there that cannot be read.
    """
    texts = read_texts(dataset, columns)
    places = _places(texts, words, config, cache)
    copies = gather(
        [
            _copies(row, places, config, generator_of(seed, number))
            for number, row in enumerate(texts)
        ]
    )
    report(copies, len(texts), config.copies)
    return with_copies(dataset, columns, copies)


def draw_text(
    text: str, places: Sequence[Place], probability: float, generator: np.random.Generator
) -> str:
    """The text with each place filled, with `probability`, by any of its words alike."""
    chosen = generator.random(len(places)) < probability
    numbers = generator.integers([len(place.words) for place in places])
    new = zip(places, numbers, chosen, strict=True)
    return replace_spans(text, {p.span: p.words[n] for p, n, yes in new if yes})


def _places(
    texts: Sequence[Texts], words: WordModel, config: AugmentConfig, cache: Path | None
) -> Places:
    """For each text, from its file or from the model, which then is written."""
    limits = Limits(config.candidates, _skipped(config), words.longest(config.max_length))
    unique = sorted({text for row in texts for text in row})
    if cache is None:
        return find_candidates(unique, words, limits)
    path = Path(cache) / f"{_key(unique, words, limits)}.arrow"
    if not path.exists():
        write_places(path, find_candidates(unique, words, limits))
    return read_places(path)


def _copies(
    row: Texts,
    places: Mapping[str, tuple[Place, ...]],
    config: AugmentConfig,
    generator: np.random.Generator,
) -> list[Texts]:
    def draw(_: int) -> Texts:
        return tuple(draw_text(t, places[t], config.probability, generator) for t in row)

    return draw_distinct(row, draw, config.copies)


def _skipped(config: AugmentConfig) -> frozenset[str]:
    return frozenset(ENGLISH_STOP_WORDS) if config.skip_stop_words else frozenset()


def _key(texts: Sequence[str], words: WordModel, limits: Limits) -> str:
    """Of all that the proposals come from."""
    settings = [limits.count, sorted(limits.skipped), limits.max_length]
    return fingerprint([VERSION, *settings, texts], words)
