"""Pairs of segments: whole sentences, one document, half of them swapped, split by document."""

import datasets
import numpy as np
import pytest

from nlpcompress.data.config import DataConfig
from nlpcompress.data.load import load_data
from nlpcompress.data.sentence_order import fill, order_rows, segment_pairs
from nlpcompress.errors import DataError
from nlpcompress.models.random import word_tokenizer

WORDS = [f"w{i}" for i in range(400)]


@pytest.fixture(scope="module")
def tokenizer():
    return word_tokenizer([*WORDS, "."])


def document(number, sentences=9, length=4):
    """Every word once in all documents: a word tells its document and its place."""
    start = number * sentences * length
    words = WORDS[start : start + sentences * length]
    return " ".join(f"{' '.join(words[i : i + length])}." for i in range(0, len(words), length))


@pytest.fixture
def corpus(tmp_path):
    path = tmp_path / "corpus.csv"
    path.write_text("text\n" + "\n".join(f'"{document(n)}"' for n in range(10)))
    return DataConfig(name="csv", files={"train": str(path)}, max_length=24)


@pytest.mark.parametrize(
    ("lengths", "room", "expected"),
    [
        ([3, 4, 9, 2, 2], 8, [(0, 2), (2, 3), (3, 5)]),
        ([9], 4, [(0, 1)]),
        ([1, 1, 1], 3, [(0, 3)]),
        ([5, 1, 5], 5, [(0, 1), (1, 2), (2, 3)]),
    ],
)
def test_segments_are_filled_with_whole_sentences(lengths, room, expected):
    assert fill(lengths, room) == expected


def test_pairs_follow_one_another_and_none_overlap(tokenizer):
    text = document(0)
    pairs = list(segment_pairs(text, tokenizer, room=10))
    assert len(pairs) == 2, "nine sentences in five segments, of which one is left over"
    joined = " ".join(part for pair in pairs for part in pair)
    assert text.startswith(joined)
    assert all(len(tokenizer.tokenize(part)) <= 10 for pair in pairs for part in pair)


@pytest.mark.parametrize("text", ["one sentence", "", "  \n ", "A. "])
def test_what_has_no_two_sentences_has_no_pair(text, tokenizer):
    assert list(segment_pairs(text, tokenizer, room=10)) == []


def test_lines_end_sentences_too(tokenizer):
    assert list(segment_pairs("w1 w2\nw3 w4", tokenizer, room=3)) == [("w1 w2", "w3 w4")]


def places(row, tokenizer):
    """Number of the first word of each segment, and the documents that the row has words of."""
    separator = tokenizer.sep_token_id
    ids = np.array(row["input_ids"])
    cut = list(ids).index(separator)
    numbers = [
        [int(word[1:]) for word in tokenizer.convert_ids_to_tokens(part) if word[0] == "w"]
        for part in (ids[:cut], ids[cut:])
    ]
    return numbers[0][0], numbers[1][0], {n // 36 for part in numbers for n in part}


def test_labels_say_the_order_and_half_are_swapped(corpus, tokenizer):
    data = load_data(corpus, task="sentence-order", processor=tokenizer)
    assert data.labels == ("in order", "swapped") and data.task == "sentence-order"
    for rows in (data.train, data.test):
        for row in rows:
            first, second, documents = places(row, tokenizer)
            assert (first > second) == row["labels"] and len(documents) == 1
        assert sum(rows["labels"]) == len(rows) // 2
    batch = data.collate([data.train[0], data.train[1]])
    assert batch["labels"].tolist() == data.train["labels"][:2]
    assert (batch["input_ids"] == tokenizer.sep_token_id).sum(1).tolist() == [2, 2]


def test_no_document_has_pairs_in_both_splits(corpus, tokenizer):
    data = load_data(corpus, task="sentence-order", processor=tokenizer)
    seen = [
        set.union(*(places(row, tokenizer)[2] for row in rows)) for rows in (data.train, data.test)
    ]
    assert not seen[0] & seen[1] and len(seen[0]) == 8 and len(seen[1]) == 2


def test_the_test_rows_are_the_same_whatever_the_seed(corpus, tokenizer):
    first, *others = (
        load_data(corpus, task="sentence-order", processor=tokenizer, seed=seed)
        for seed in range(6)
    )
    for other in others:
        assert first.test["input_ids"] == other.test["input_ids"]
        assert first.train["labels"] != other.train["labels"]


def test_what_cannot_be_paired_is_told(corpus, tokenizer, tmp_path):
    with pytest.raises(DataError, match="no room for two segments"):
        load_data(
            corpus.model_copy(update={"max_length": 4}), task="sentence-order", processor=tokenizer
        )
    path = tmp_path / "short.csv"
    path.write_text("text\nw1 w2\nw3\nw4\n")
    short = DataConfig(name="csv", files={"train": str(path)}, max_length=24)
    with pytest.raises(DataError, match="several sentences"):
        load_data(short, task="sentence-order", processor=tokenizer)
    with pytest.raises(DataError, match="made from the text itself"):
        labelled = corpus.model_copy(update={"label_column": "text"})
        load_data(labelled, task="sentence-order", processor=tokenizer)
    with pytest.raises(
        DataError, match="serves text-classification, masked-lm, not sentence-order"
    ):
        load_data(DataConfig(name="movie-snippets"), task="sentence-order", processor=tokenizer)


def test_order_rows_keep_their_pairs_under_another_seed(tokenizer):
    texts = datasets.Dataset.from_dict({"text": [document(n) for n in range(5)]})
    drawn = [
        order_rows(texts, tokenizer, columns=("text",), max_length=24, seed=seed) for seed in (0, 1)
    ]
    pairs = [[{row["first"], row["second"]} for row in rows] for rows in drawn]
    assert pairs[0] == pairs[1] and drawn[0]["labels"] != drawn[1]["labels"]
