"""A text as tokens, with the words in it that may be replaced."""

import inspect
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nlpcompress.data.augmentation.word_model import WordModel
from nlpcompress.data.augmentation.words import Span, letter_spans


@dataclass(frozen=True)
class Word:
    """A word of a text: its characters, its tokens and their positions in the encoded text."""

    span: Span
    text: str
    ids: tuple[int, ...]
    positions: tuple[int, ...]


@dataclass(frozen=True)
class Encoded:
    text: str
    inputs: Mapping[str, list[int]]
    words: tuple[Word, ...]


def encode(text: str, model: WordModel, skipped: Collection[str], longest: int) -> Encoded:
    """Tokens of the text and, where there is room, of the text again, at most `longest`."""
    spans = [span for span in letter_spans(text) if text[slice(*span)].lower() not in skipped]
    if not spans:
        return Encoded(text, {}, ())
    tokenizer = model.tokenizer
    settings = {
        "max_length": longest,
        "return_offsets_mapping": True,
        "return_attention_mask": True,
    }
    inputs = tokenizer(text, truncation=True, **settings)
    special = tokenizer.num_special_tokens_to_add
    if len(inputs["input_ids"]) + special(pair=True) - special(pair=False) < longest:
        inputs = tokenizer(text, text, truncation="only_second", **settings)
    words = _words(text, spans, inputs, inputs.sequence_ids(0))
    taken = inspect.signature(model.masked_lm.forward).parameters
    return Encoded(text, {n: v for n, v in inputs.items() if n in taken}, tuple(words))


def _words(
    text: str, spans: Sequence[Span], inputs: Mapping[str, Any], sequences: Sequence[int | None]
) -> Iterator[Word]:
    """The words whose characters are those of their tokens, but for space before them."""
    offsets = inputs["offset_mapping"]
    first = [position for position, sequence in enumerate(sequences) if sequence == 0]
    for start, end in spans:
        here = [p for p in first if offsets[p][0] < end and offsets[p][1] > start]
        if not here:
            continue  # cut off
        covered = text[offsets[here[0]][0] : offsets[here[-1]][1]].strip()
        if covered == text[start:end]:
            ids = tuple(inputs["input_ids"][position] for position in here)
            yield Word((start, end), covered, ids, tuple(here))
