"""Synthetic texts without a language model: seeded, in turns for pairs, labels kept or dropped."""

import datasets
import numpy as np
import pytest

from nlpcompress.data.augmentation.replace_tokens import ReplaceConfig, count_words, replace_tokens
from nlpcompress.data.augmentation.words import word_spans
from nlpcompress.errors import ConfigError, DataError

TEXTS = (
    "The sun, it's warm (very).",
    "ice and snow; no sun at all!",
    "one day we saw the far north",
)


def rows_of(texts=TEXTS, **more):
    values = {"text": list(texts), **more, "label": [number % 2 for number in range(len(texts))]}
    return datasets.Dataset.from_dict({**values, "number": range(len(texts))})


def made_of(data=None, columns=("text",), seed=0, mask_token="[MASK]", drop=(), **config):
    return replace_tokens(
        rows_of() if data is None else data,
        columns=columns,
        config=ReplaceConfig(**{"copies": 8, **config}),
        seed=seed,
        mask_token=mask_token,
        drop=drop,
    )


def test_originals_come_first_and_all_texts_of_a_row_differ():
    made = made_of()
    assert made[:3] == rows_of()[:]
    assert made["label"][:] == [number % 2 for number in made["number"]]
    for number in range(3):
        texts = [row["text"] for row in made if row["number"] == number]
        assert len(set(texts)) == len(texts) == 9


def test_only_words_change_when_nothing_is_cut():
    made = made_of(replace_probability=0.5, ngram_probability=0.0)
    allowed = {text[a:b] for text in TEXTS for a, b in word_spans(text)} | {"MASK"}
    for row in made:
        original = TEXTS[row["number"]]
        spans, old = word_spans(row["text"].replace("[MASK]", "MASK")), word_spans(original)
        assert len(spans) == len(old)
        text = row["text"].replace("[MASK]", "MASK")
        assert {text[a:b] for a, b in spans} <= allowed
        assert "".join(c for c in text if not (c.isalnum() or c == "'")) == "".join(
            c for c in original if not (c.isalnum() or c == "'")
        )


def test_a_kept_ngram_is_a_part_of_the_text():
    made = made_of(mask_probability=0.0, replace_probability=0.0, ngram_probability=1.0)
    for row in made.select(range(3, len(made))):
        text = row["text"]
        assert text in TEXTS[row["number"]]
        assert 1 <= len(word_spans(text)) <= 5
        assert (word_spans(text)[0][0], word_spans(text)[-1][1]) == (0, len(text))


def test_labels_are_dropped_or_kept():
    assert made_of(drop=["label"]).column_names == ["text", "number"]
    assert made_of(drop=["label"])["text"][:] == made_of()["text"][:]
    with pytest.raises(DataError, match=r"cannot drop \['lable'\]"):
        made_of(drop=["lable"])
    with pytest.raises(DataError, match=r"cannot drop \['text'\]"):
        made_of(drop=["text"])


def test_texts_of_a_pair_change_in_turns():
    others = ["a b c d e f g h i j k l"] * 3
    made = made_of(
        rows_of(other=others),
        ("text", "other"),
        mask_probability=0.5,
        replace_probability=0.5,
        copies=6,
    )
    assert len(made) == 3 + 18
    for place, row in enumerate(made.select(range(3, 21))):
        changed = row["text"] != TEXTS[row["number"]], row["other"] != others[0]
        assert changed == ((True, False), (False, True), (True, True))[place % 3]


def test_a_seed_and_a_rows_number_decide():
    first = made_of()["text"][:]
    assert made_of()["text"][:] == first
    assert made_of(seed=1)["text"][:] != first
    # the same words in all, so the same distribution, but in other rows
    shuffled = made_of(rows_of([TEXTS[1], TEXTS[0], TEXTS[2]]))
    of_last = [row["text"] for row in shuffled if row["number"] == 2]
    assert of_last == [row["text"] for row in made_of() if row["number"] == 2]


def test_words_are_counted_over_all_texts():
    unigrams = count_words(["b a b", "It's b!"])
    assert unigrams.words == ("It's", "a", "b")
    assert unigrams.up_to == pytest.approx([0.2, 0.4, 1.0])


def test_the_ends_of_the_distribution_are_words():
    class Fixed:
        def __init__(self, value):
            self.value = value

        def random(self):
            return self.value

    unigrams = count_words(["a b c c"])
    drawn = [unigrams.draw(Fixed(u)) for u in (0.0, 0.2499, 0.25, 0.5, np.nextafter(1, 0))]
    assert drawn == ["a", "a", "b", "c", "c"]


def test_a_text_without_words_has_no_copies():
    made = made_of(rows_of(["...", *TEXTS]))
    assert made["number"][:].count(0) == 1


def test_what_cannot_be_done_is_refused():
    with pytest.raises(DataError, match="no mask token; set mask_probability to 0"):
        made_of(mask_token=None)
    assert len(made_of(mask_token=None, mask_probability=0.0)) > 3
    with pytest.raises(DataError, match="hold no words"):
        made_of(rows_of(["...", "!", "?"]))
    with pytest.raises(DataError, match="no column 'txt'"):
        made_of(columns=("txt",))
    with pytest.raises(ConfigError, match=r"mask_probability 0\.6 and .* 0\.5 add up to more than"):
        ReplaceConfig.parse({"mask_probability": 0.6, "replace_probability": 0.5})
    assert all(field.description for field in ReplaceConfig.model_fields.values())
