"""Words of a text are found by characters, and what is between them never moves."""

import pytest

from nlpcompress.data.augmentation.vocabulary import find_words
from nlpcompress.data.augmentation.words import (
    letter_spans,
    replace_spans,
    with_case_of,
    word_spans,
)
from nlpcompress.errors import DataError
from tests.fill_in import byte_level, wordpiece

TEXT = "  Don't stop,\tit's Bob's café (x2) 'good' 12!\n"


def cut(text, spans):
    return [text[start:end] for start, end in spans]


def test_words_are_found_and_a_contraction_is_one():
    words = ["Don't", "stop", "it's", "Bob's", "café", "x2", "good", "12"]
    assert cut(TEXT, word_spans(TEXT)) == words


def test_words_of_letters_leave_out_numbers_and_halves_of_contractions():
    assert cut(TEXT, letter_spans(TEXT)) == ["stop", "it", "Bob", "café", "good"]


def test_replacing_changes_nothing_around():
    spans = letter_spans(TEXT)
    assert replace_spans(TEXT, {}) == TEXT
    assert replace_spans(TEXT, {spans[4]: "very bad", spans[0]: "go"}) == (
        "  Don't go,\tit's Bob's café (x2) 'very bad' 12!\n"
    )


@pytest.mark.parametrize(
    ("word", "new", "written"),
    [
        ("good", "bad", "bad"),
        ("Good", "bad", "Bad"),
        ("GOOD", "bad", "BAD"),
        ("A", "the", "The"),
        ("good", "Paris", "Paris"),
        ("GOOD", "Paris", "Paris"),
    ],
)
def test_a_new_word_is_written_as_the_old_one(word, new, written):
    assert with_case_of(word, new) == written


def test_words_of_wordpiece_are_the_tokens_of_letters_without_the_mark_of_pieces():
    found = find_words(wordpiece())
    words = [
        "movie",
        "film",
        "play",
        "book",
        "good",
        "bad",
        "dull",
        "fun",
        "the",
        "was",
        "a",
        "isn",
        "t",
        "un",
        "café",
    ]
    assert [*found.after_space.values()] == words
    assert found.glued == found.after_space
    assert found.mark == ""


def test_words_of_byte_level_tokens_begin_with_a_space_or_could():
    tokenizer = byte_level()
    found = find_words(tokenizer)
    assert found.mark == "Ġ"
    assert [*found.after_space.values()] == ["good", "bad", "fun", "w", "was"]
    assert tokenizer.convert_ids_to_tokens([*found.after_space]) == [
        f"Ġ{word}" for word in found.after_space.values()
    ]
    # "ing" and "it" have no form with a space: they only go on in words
    assert sorted(tokenizer.convert_ids_to_tokens([*found.glued])) == ["bad", "fun", "good", "w"]


def test_a_tokenizer_that_marks_no_words_is_refused(monkeypatch):
    tokenizer = byte_level()
    monkeypatch.setattr(
        "nlpcompress.data.augmentation.vocabulary.description",
        lambda _: {"model": {"type": "BPE"}, "pre_tokenizer": {"type": "Whitespace"}},
    )
    with pytest.raises(DataError, match="BPE tokenizer without ByteLevel or Metaspace"):
        find_words(tokenizer)
