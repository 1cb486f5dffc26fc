"""The hash that names what a masked language model made: equal only if all it was made from is."""

import hashlib
import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
import transformers

from nlpcompress.core.hashing import class_and_config, hash_tensors
from nlpcompress.data.augmentation.vocabulary import description
from nlpcompress.data.augmentation.word_model import WordModel


def fingerprint(what: Any, words: WordModel) -> str:
    """Of `what`, which JSON can hold, the model's weights and config, the tokenizer, the word
    vectors, and the versions of the libraries that compute with them. 32 hexadecimal digits.
    """
    versions = [torch.__version__, transformers.__version__, np.__version__]
    model, tokenizer = words.masked_lm, words.tokenizer
    parts = [*class_and_config(model), description(tokenizer), tokenizer.special_tokens_map]
    text = json.dumps([what, versions, parts], sort_keys=True, default=str)
    total = hashlib.sha256(text.encode())
    for part in (hash_tensors(model.state_dict()), *_vectors(words)):
        total.update(part)
    return total.hexdigest()[:32]


def _vectors(words: WordModel) -> Iterator[bytes]:
    if words.vectors is not None:
        named, array = words.vectors
        yield json.dumps([list(named), str(array.dtype), array.shape]).encode()
        yield np.ascontiguousarray(array).tobytes()
