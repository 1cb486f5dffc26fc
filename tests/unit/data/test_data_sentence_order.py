"""Pairs of segments: whole sentences, one document, in both orders, split by document."""

import numpy as np
import pytest

from nlpcompress.data import sentence_order
from nlpcompress.data.config import DataConfig
from nlpcompress.data.load import load_data
from nlpcompress.data.sentence_order import even_segments, segment_pairs
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
        ([10] * 7, 30, [(0, 2), (2, 5), (5, 7)]),
        ([50, 3, 3, 3], 10, [(0, 1), (1, 4)]),
        ([1, 30, 1, 1], 10, [(0, 1), (1, 2), (2, 4)]),
    ],
)
def test_segments_are_whole_sentences_cut_where_shares_end(lengths, room, expected):
    assert even_segments(lengths, room) == expected


def test_no_segment_is_empty_where_long_sentences_end_a_text():
    lengths = [1, 30, 3, 30, 13, 8, 1, 5, 8, 1, 13, 5, 30, 30]
    segments = even_segments(lengths, 30)
    assert segments[-2:] == [(12, 13), (13, 14)]
    assert [s for a, b in segments for s in range(a, b)] == list(range(len(lengths)))


def test_segments_of_a_long_text_are_found_in_few_tries(monkeypatch):
    asked, nearest = [], sentence_order._nearest
    monkeypatch.setattr(sentence_order, "_nearest", lambda *args: asked.append(1) or nearest(*args))
    even_segments([20, 60] * 1000, 60)
    assert len(asked) < 20 * 2000


def test_segments_fit_hold_every_sentence_and_no_place_has_the_shorter_ones():
    draw = np.random.default_rng(0)
    shorter_is_later = []
    for _ in range(600):
        lengths = draw.integers(1, 30, size=draw.integers(6, 30)).tolist()
        segments = even_segments(lengths, 60)
        assert [s for a, b in segments for s in range(a, b)] == list(range(len(lengths)))
        sizes = [sum(lengths[a:b]) for a, b in segments]
        assert all(0 < size <= 60 for size in sizes)
        if len(sizes) > 1:
            shorter_is_later.append((1 + np.sign(sizes[-2] - sizes[-1])) / 2)
    assert len(shorter_is_later) > 500
    assert np.mean(shorter_is_later) == pytest.approx(0.5, abs=0.06)


def test_pairs_follow_one_another_and_none_overlap(tokenizer):
    text = document(0)
    pairs = list(segment_pairs(text, tokenizer, room=10))
    assert len(pairs) == 2, "nine sentences in five segments, of which one is left over"
    joined = " ".join(part for pair in pairs for part in pair)
    assert text.startswith(joined)
    assert all(len(tokenizer.tokenize(part)) <= 10 for pair in pairs for part in pair)


def test_pairs_that_overlap_go_on_from_segment_to_segment(tokenizer):
    text = document(0)
    pairs = list(segment_pairs(text, tokenizer, room=10, overlap=True))
    assert len(pairs) == 4 and pairs[::2] == list(segment_pairs(text, tokenizer, room=10))
    assert [later for _, later in pairs[:-1]] == [earlier for earlier, _ in pairs[1:]]
    assert " ".join([pairs[0][0], *(later for _, later in pairs)]) == text


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


def test_labels_say_the_order_and_every_pair_is_in_both(corpus, tokenizer):
    data = load_data(corpus, task="sentence-order", processor=tokenizer)
    assert data.labels == ("in order", "swapped") and data.task == "sentence-order"
    for rows in (data.train, data.test):
        for row in rows:
            first, second, documents = places(row, tokenizer)
            assert (first > second) == row["labels"] and len(documents) == 1
        starts = [places(row, tokenizer)[:2] for row in rows]
        assert starts[1::2] == [(second, first) for first, second in starts[::2]]
    assert data.together == 2, "and a training draws both into one batch"
    batch = data.collate([data.train[0], data.train[1]])
    assert batch["labels"].tolist() == data.train["labels"][:2]
    assert (batch["input_ids"] == tokenizer.sep_token_id).sum(1).tolist() == [2, 2]


def test_no_document_has_pairs_in_both_splits(corpus, tokenizer):
    data = load_data(corpus, task="sentence-order", processor=tokenizer)
    seen = [
        set.union(*(places(row, tokenizer)[2] for row in rows)) for rows in (data.train, data.test)
    ]
    assert not seen[0] & seen[1] and len(seen[0]) == 8 and len(seen[1]) == 2


def test_training_segments_are_before_and_behind_and_no_test_segment_is_in_two_pairs(
    corpus, tokenizer
):
    data = load_data(corpus, task="sentence-order", processor=tokenizer)
    assert len(data.train) == 8 * 4 * 2 and len(data.test) == 2 * 2 * 2
    train, test = ([places(row, tokenizer)[:2] for row in rows] for rows in (data.train, data.test))
    in_order = [pair for pair in train if pair[0] < pair[1]]
    assert {first for first, _ in in_order} & {second for _, second in in_order}
    assert len({start for pair in test for start in pair}) == len(test)


def test_the_test_rows_are_the_same_whatever_the_seed(corpus, tokenizer):
    first, *others = (
        load_data(corpus, task="sentence-order", processor=tokenizer, seed=seed)
        for seed in range(6)
    )
    for other in others:
        assert first.test["input_ids"] == other.test["input_ids"]
        assert first.train["input_ids"] != other.train["input_ids"]


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
