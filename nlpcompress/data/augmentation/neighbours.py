"""The words whose vectors point most nearly the same way."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from nlpcompress.data.augmentation.vocabulary import Vocabulary
from nlpcompress.data.augmentation.word_model import WordModel

AT_ONCE = 128

Pieces = tuple[str, tuple[int, ...]]  # a word and its tokens, which differ with what is before it


@dataclass(frozen=True)
class Table:
    """Words and, row for row, their vectors of length 1: float32 `(W, H)`."""

    words: tuple[str, ...]
    units: torch.Tensor


def nearest_words(
    pieces: Collection[Pieces], model: WordModel, vocabulary: Vocabulary, count: int
) -> dict[Pieces, tuple[str, ...]]:
    """For each word up to `count` others by cosine, in the table's order.

    A word's vector is the mean of its tokens' input embeddings and is compared with those of the
    vocabulary's whole words. With a table of word vectors it is the one in the table, and a word
    that is not in the table has no neighbours.
    """
    if model.vectors is None:
        table, queries = _own_table(model, vocabulary), _means(pieces, model)
    else:
        table, queries = _given_table(*model.vectors), _rows(pieces, *model.vectors)
    rows = _rows_by_word(table)
    found: dict[Pieces, tuple[str, ...]] = dict.fromkeys(pieces, ())
    words = list(queries)
    for start in range(0, len(words), AT_ONCE):
        some = words[start : start + AT_ONCE]
        scores = torch.stack([queries[word] for word in some]) @ table.units.T
        for word, row in zip(some, scores, strict=True):
            row[rows.get(word[0].casefold(), [])] = -torch.inf
            found[word] = _best(row, table, count)
    return found


def _best(scores: torch.Tensor, table: Table, count: int) -> tuple[str, ...]:
    top = scores.topk(min(count, len(scores)))
    kept = top.indices[top.values > -torch.inf].sort().values
    return tuple(table.words[row] for row in kept.tolist())


def _own_table(model: WordModel, vocabulary: Vocabulary) -> Table:
    numbers = torch.tensor(list(vocabulary.after_space), dtype=torch.long)
    vectors = model.embeddings[numbers.to(model.embeddings.device)]
    return Table(tuple(vocabulary.after_space.values()), _units(vectors))


def _means(pieces: Collection[Pieces], model: WordModel) -> dict[Pieces, torch.Tensor]:
    weights = model.embeddings
    return {word: weights[list(word[1])].float().mean(0).cpu() for word in pieces}


def _given_table(words: Sequence[str], vectors: np.ndarray) -> Table:
    kept = [row for row, word in enumerate(words) if word.isalpha()]
    return Table(tuple(words[row] for row in kept), _units(_float(vectors)[kept]))


def _rows(
    words: Collection[Pieces], named: Sequence[str], vectors: np.ndarray
) -> dict[Pieces, torch.Tensor]:
    rows, values = {word: row for row, word in enumerate(named)}, _float(vectors)
    places = {word: rows.get(word[0], rows.get(word[0].lower())) for word in words}
    return {word: values[row] for word, row in places.items() if row is not None}


def _float(vectors: np.ndarray) -> torch.Tensor:
    return torch.as_tensor(np.ascontiguousarray(vectors)).float()


def _units(vectors: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.normalize(vectors.float().cpu(), dim=1)


def _rows_by_word(table: Table) -> dict[str, list[int]]:
    rows: dict[str, list[int]] = {}
    for row, word in enumerate(table.words):
        rows.setdefault(word.casefold(), []).append(row)
    return rows
