"""Synthetic texts of Tang et al. 2019, section 3.3: how often each rule is applied."""

from collections import Counter

import numpy as np
import pytest

from nlpcompress.data.augmentation.replace_tokens import ReplaceConfig, count_words, draw_text

DRAWS = 20_000
# four standard errors of a share of 20,000 draws are below .0142
NEAR = 0.0142


def drawn(text, corpus=("x x x y",), **config):
    unigrams, generator = count_words(corpus), np.random.default_rng(0)
    settings = ReplaceConfig(**config)
    return [draw_text(text, unigrams, settings, "[MASK]", generator) for _ in range(DRAWS)]


def test_the_papers_probabilities_are_the_default():
    config = ReplaceConfig()
    probabilities = config.mask_probability, config.replace_probability, config.ngram_probability
    assert probabilities == (0.1, 0.1, 0.25)
    assert (config.longest_ngram, config.copies) == (5, 20)


def test_a_word_is_masked_or_replaced_or_neither():
    found = Counter(drawn("a", mask_probability=0.3, replace_probability=0.4))
    shares = {word: count / DRAWS for word, count in found.items()}
    assert shares == {
        "[MASK]": pytest.approx(0.3, abs=NEAR),
        "x": pytest.approx(0.4 * 0.75, abs=NEAR),  # by its frequency
        "y": pytest.approx(0.4 * 0.25, abs=NEAR),
        "a": pytest.approx(0.3, abs=NEAR),
    }


def test_words_change_independently():
    texts = drawn("a b", mask_probability=0.3, replace_probability=0.0, ngram_probability=0.0)
    assert texts.count("[MASK] [MASK]") / DRAWS == pytest.approx(0.09, abs=NEAR)
    assert texts.count("[MASK] b") / DRAWS == pytest.approx(0.21, abs=NEAR)


def test_an_ngram_is_kept_as_often_as_asked_with_every_length_and_place_alike():
    words = [*"abcdefg"]
    texts = drawn(
        " ".join(words), mask_probability=0.0, replace_probability=0.0, ngram_probability=0.25
    )
    found = Counter(texts)
    expected = {" ".join(words): 0.75}
    for size in range(1, 6):
        places = len(words) - size + 1
        for first in range(places):
            expected[" ".join(words[first : first + size])] = 0.25 / 5 / places
    assert set(found) == set(expected)
    for text, share in expected.items():
        error = 4 * (share * (1 - share) / DRAWS) ** 0.5
        assert found[text] / DRAWS == pytest.approx(share, abs=error)


def test_an_ngram_of_a_short_text_is_at_most_all_of_it():
    texts = drawn("a b", mask_probability=0.0, replace_probability=0.0, ngram_probability=1.0)
    shares = {text: count / DRAWS for text, count in Counter(texts).items()}
    assert shares == {
        "a b": pytest.approx(0.8, abs=NEAR),  # lengths 2 to 5
        "a": pytest.approx(0.1, abs=NEAR),
        "b": pytest.approx(0.1, abs=NEAR),
    }
