"""Which of a tokenizer's tokens are whole words, for tokenizers of several kinds."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from transformers import PreTrainedTokenizerBase

from nlpcompress.errors import DataError


@dataclass(frozen=True)
class Vocabulary:
    """Tokens of letters alone that stand for a word, number → text.

    `mark` is what a token that begins a word begins with: "Ġ" in byte-level BPE, "▁" with
    Metaspace, "" where tokens that go on in a word are marked instead (WordPiece). `after_space`
    fit where the word before ended; `glued` fit at the text's start or right after punctuation,
    where a marked tokenizer uses tokens without the mark. These also go on within words, so of them
    only those count that are in the vocabulary with the mark as well.

    A token that is only ever the head of longer words cannot be told from a word.
    """

    mark: str
    after_space: Mapping[int, str]
    glued: Mapping[int, str]


def find_words(tokenizer: PreTrainedTokenizerBase) -> Vocabulary:
    """Raises `DataError` for a tokenizer that does not mark where words begin."""
    mark, going_on = _marks(description(tokenizer))
    special = {*tokenizer.all_special_tokens, *tokenizer.get_added_vocab()}
    tokens = {t: n for t, n in tokenizer.get_vocab().items() if t not in special}
    if not mark:
        words = {n: t for t, n in tokens.items() if not (going_on and t.startswith(going_on))}
        words = {n: t for n, t in sorted(words.items()) if t.isalpha()}
        return Vocabulary("", words, words)
    texts = {n: _text(tokenizer, t) for t, n in tokens.items()}
    begin = {n: texts[n] for t, n in tokens.items() if t.startswith(mark) and texts[n].isalpha()}
    bare = {t: n for t, n in tokens.items() if mark + t in tokens and texts[n].isalpha()}
    glued = {n: texts[n] for n in bare.values()}
    return Vocabulary(mark, dict(sorted(begin.items())), dict(sorted(glued.items())))


def description(tokenizer: PreTrainedTokenizerBase) -> dict[str, Any]:
    """All that a fast tokenizer is, without the settings that each call changes."""
    values = json.loads(tokenizer.backend_tokenizer.to_str())
    return {name: value for name, value in values.items() if name not in ("truncation", "padding")}


def _text(tokenizer: PreTrainedTokenizerBase, token: str) -> str:
    return tokenizer.convert_tokens_to_string([token]).strip()


def _marks(values: Mapping[str, Any]) -> tuple[str, str]:
    """What begins a token that begins a word, and one that does not."""
    model, before = values["model"], json.dumps(values["pre_tokenizer"])
    if model["type"] == "WordPiece":
        return "", model["continuing_subword_prefix"]
    if model["type"] == "WordLevel":
        return "", ""
    if '"ByteLevel"' in before:
        return "Ġ", ""
    if '"Metaspace"' in before:
        return "▁", ""
    raise DataError(
        f"a {model['type']} tokenizer without ByteLevel or Metaspace does not say where words "
        "begin; use a masked language model with WordPiece, byte-level BPE or SentencePiece tokens"
    )
