"""Words of a plain text as spans of characters, so that all between them stays as it was."""

import re
from collections.abc import Mapping

Span = tuple[int, int]

WORD = re.compile(r"\w+(?:['’]\w+)*")
# Letters only, and no half of a contraction: neither the "don" nor the "t" of "don't".
LETTERS = re.compile(r"(?<!\w)(?<!\w['’])[^\W\d_]+(?!\w)(?!['’]t\b)")


def word_spans(text: str) -> list[Span]:
    """Start and end of every word; a contraction is one, punctuation is none.

    >>> [("don't go, 2x!")[start:end] for start, end in word_spans("don't go, 2x!")]
    ["don't", 'go', '2x']
    """
    return [match.span() for match in WORD.finditer(text)]


def letter_spans(text: str) -> list[Span]:
    """Start and end of every word of letters alone; of "Bob's" it is "Bob", of "don't" nothing."""
    return [match.span() for match in LETTERS.finditer(text)]


def replace_spans(text: str, new: Mapping[Span, str]) -> str:
    """The text with some of its spans, which must not overlap, replaced.

    >>> replace_spans("so  good!", {(4, 8): "bad"})
    'so  bad!'
    """
    parts, done = [], 0
    for (start, end), word in sorted(new.items()):
        parts += [text[done:start], word]
        done = end
    return "".join([*parts, text[done:]])


def with_case_of(word: str, new: str) -> str:
    """`new` as `word` is written (LOUD, Titled) unless it has capitals of its own."""
    if new != new.lower():
        return new
    if len(word) > 1 and word.isupper():
        return new.upper()
    return new[:1].upper() + new[1:] if word[:1].isupper() else new
