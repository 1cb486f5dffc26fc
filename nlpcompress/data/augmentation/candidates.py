"""The words that may stand for each word of a text: what a masked language model says there.

Every place is asked about once, many in a batch, however many copies are drawn from the answers.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from nlpcompress.data.augmentation.encoded_words import Encoded, encode
from nlpcompress.data.augmentation.guesses import guess
from nlpcompress.data.augmentation.neighbours import Pieces, nearest_words
from nlpcompress.data.augmentation.vocabulary import find_words
from nlpcompress.data.augmentation.word_model import WordModel
from nlpcompress.data.augmentation.words import Span, with_case_of


@dataclass(frozen=True)
class Place:
    """Characters `span` of a text, and the words that may stand there."""

    span: Span
    words: tuple[str, ...]


@dataclass(frozen=True)
class Limits:
    """At most `count` words for a place, none for places of `skipped` words (lower case)."""

    count: int
    skipped: frozenset[str]
    max_length: int


def find_candidates(
    texts: Sequence[str], model: WordModel, limits: Limits
) -> dict[str, tuple[Place, ...]]:
    """Text → its places in reading order, without those that no word was found for.

    A word of one token is masked and guessed by the model, which also reads the unmasked text after
    it; candidates are the `count` likeliest whole words other than the word itself. A word of
    several tokens has the `count` nearest neighbours of its vector. Candidates are written as the
    word is (Titled, LOUD) and stand in the order of the vocabulary, not of their rank: a draw does
    not depend on how two that are nearly equal were rounded.
    """
    vocabulary, unique = find_words(model.tokenizer), sorted(set(texts), key=lambda t: (len(t), t))
    longest = model.longest(limits.max_length)
    encoded = [encode(text, model, limits.skipped, longest) for text in unique]
    several = {(w.text, w.ids): None for e in encoded for w in e.words if len(w.ids) > 1}
    near = nearest_words(several, model, vocabulary, limits.count)
    guessed = guess(encoded, model, vocabulary, limits.count)
    return {e.text: tuple(_places(e, guessed.get(e.text, {}), near)) for e in encoded}


def _places(
    encoded: Encoded,
    guessed: Mapping[Span, tuple[str, ...]],
    near: Mapping[Pieces, tuple[str, ...]],
) -> Iterator[Place]:
    for word in encoded.words:
        found = guessed[word.span] if len(word.ids) == 1 else near[word.text, word.ids]
        if found:
            yield Place(word.span, tuple(with_case_of(word.text, new) for new in found))
