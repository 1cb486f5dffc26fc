"""Copies of texts: different, aligned with their rows, and the same again for the same seed."""

import logging
import re

import datasets
import numpy as np
import pytest
import torch
from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

from nlpcompress.data.augmentation import augment as augment_module
from nlpcompress.data.augmentation.augment import AugmentConfig, augment, draw_text
from nlpcompress.data.augmentation.candidates import Limits, Place, find_candidates
from nlpcompress.data.augmentation.word_model import WordModel
from nlpcompress.data.config import DataConfig
from nlpcompress.data.movies import ARCHIVE, read_snippets
from nlpcompress.data.places import find_archive
from nlpcompress.errors import ConfigError, DataError
from tests.fill_in import WORDS, byte_level, known_lm, random_lm, wordpiece

TEXTS = ("The movie was good.", "a  bad, DULL film!", "fun book, good play", "was the")
PAIR = ("text", "other")


def rows_of(texts=TEXTS, **more):
    labels = [number % 2 for number in range(len(texts))]
    features = datasets.Features(
        {
            "number": datasets.Value("int32"),
            "text": datasets.Value("string"),
            **{name: datasets.Value("string") for name in more},
            "label": datasets.ClassLabel(names=["no", "yes"]),
        }
    )
    values = {"number": range(len(texts)), "text": list(texts), **more, "label": labels}
    return datasets.Dataset.from_dict(values, features=features)


@pytest.fixture(scope="module")
def model():
    tokenizer = wordpiece()
    return WordModel(random_lm(tokenizer), tokenizer)


def copies_of(model, data=None, columns=("text",), seed=0, cache=None, **config):
    values = {"copies": 6, "candidates": 4, **config}
    data = rows_of() if data is None else data
    settings = AugmentConfig(**values)
    return augment(data, model, columns=columns, config=settings, seed=seed, cache=cache)


def test_originals_come_first_and_copies_follow_with_their_rows_columns(model):
    data = rows_of()
    made = copies_of(model, data)
    assert made.features == data.features
    assert made[: len(data)] == data[:]
    numbers = made["number"][len(data) :]
    assert numbers == sorted(numbers)
    assert numbers.count(0) == 6
    assert made["label"][:] == [number % 2 for number in made["number"]]


def test_a_chosen_part_of_the_data_is_copied_and_nothing_else(model):
    made = copies_of(model, rows_of().select([2, 0]), copies=2)
    assert made["number"][:] == [2, 0, 2, 2, 0, 0]


def test_copies_differ_from_their_text_and_from_each_other_in_words_alone(model):
    made = copies_of(model)
    for number, text in enumerate(TEXTS):
        copies = [row["text"] for row in made if row["number"] == number][1:]
        assert len({text, *copies}) == len(copies) + 1
        for copy in copies:
            known = [word.lower() for word in copy.replace(",", "").strip(".!").split()]
            assert set(known) <= {*WORDS, "t", "un", "café"}
            assert [c for c in copy if not c.isalpha()] == [c for c in text if not c.isalpha()]
    assert [row["text"] for row in made if row["number"] == 1][1].split()[2].isupper()


def test_words_come_from_the_candidates_of_their_place(model):
    text, limits = TEXTS[2], Limits(4, frozenset(), 512)
    places = find_candidates([text], model, limits)[text]
    made = copies_of(model, rows_of([text]), copies=40, probability=1.0)["text"][1:]
    words = [copy.replace(",", "").split() for copy in made]
    for column, place in zip(zip(*words, strict=True), places, strict=True):
        assert set(column) == set(place.words)


def test_too_few_different_copies_are_said_and_not_repeated(caplog):
    tokenizer = wordpiece()
    likely = {"the": ["film", "book"], "[CLS]": ["fun"]}
    words = WordModel(known_lm(tokenizer, likely), tokenizer)
    with caplog.at_level(logging.INFO, "nlpcompress"):
        made = copies_of(words, rows_of(["the movie", "was the"]), copies=5, candidates=2)
    assert sorted(made["text"]) == ["the book", "the film", "the movie", "was the"]
    assert "2 copies of 2 examples; 2 have fewer than 5" in caplog.text


def test_a_copy_that_was_there_is_drawn_again():
    tokenizer = wordpiece()
    words = WordModel(known_lm(tokenizer, {"the": [*WORDS[1:8], "café"]}), tokenizer)
    made = copies_of(words, rows_of(["the movie"] * 20), copies=4, candidates=8)
    # with one draw each, six of ten would be the original again, and some of the others the same
    assert len(made) >= 20 + 72


def test_stop_words_are_replaced_only_when_asked(model):
    kept = copies_of(model, rows_of(["The movie was fun"]), copies=20)["text"]
    assert {copy.split()[0] for copy in kept} == {"The"}
    assert {copy.split()[2] for copy in kept} == {"was"}
    free = copies_of(model, rows_of(["The movie was fun"]), copies=20, skip_stop_words=False)
    assert {copy.split()[0] for copy in free["text"]} > {"The"}


def test_both_texts_of_a_pair_are_drawn_from_their_own_originals(model):
    texts, others = ["fun movie (1)", "good book (2)"] * 5, ["dull play [1]", "bad film [2]"] * 5
    made = copies_of(model, rows_of(texts, other=others), PAIR, copies=12, probability=0.3)
    assert made["text"][:10] == texts
    assert made["other"][:10] == others
    changed = set()
    for row in made.select(range(10, len(made))):
        first, second = texts[row["number"]], others[row["number"]]
        assert row["text"][-3:] == first[-3:]
        assert row["other"][-3:] == second[-3:]
        assert row["label"] == row["number"] % 2
        changed.add((row["text"] != first, row["other"] != second))
    # the first text is not left at a copy where the second changes
    assert changed == {(True, False), (False, True), (True, True)}


def test_the_same_text_in_two_columns_changes_apart(model):
    made = copies_of(model, rows_of([TEXTS[0]], other=[TEXTS[0]]), PAIR, copies=10)
    assert any(row["text"] != row["other"] for row in made)


def test_a_seed_gives_the_same_copies_and_another_seed_others(model):
    first = copies_of(model)["text"][:]
    assert copies_of(model)["text"][:] == first
    assert copies_of(model, seed=1)["text"][:] != first


def test_equal_texts_in_two_rows_have_different_copies(model):
    made = copies_of(model, rows_of([TEXTS[0]] * 2))["text"][2:]
    assert made[:6] != made[6:]


def test_what_comes_before_and_after_a_row_does_not_change_its_copies(model):
    def of_row_two(texts):
        made = copies_of(model, rows_of(texts))
        return [row["text"] for row in made if row["number"] == 2]

    expected = of_row_two(TEXTS)
    assert of_row_two(["fun", "the good, bad, dull film " * 5, TEXTS[2]]) == expected
    assert of_row_two([*TEXTS, "good"]) == expected
    assert len(expected) == 7


def test_the_library_leaves_torch_and_numpy_randomness_alone(model):
    torch.manual_seed(3)
    np.random.seed(3)
    before = torch.get_rng_state(), np.random.get_state()[1].copy()
    copies_of(model)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert (np.random.get_state()[1] == before[1]).all()


def test_places_are_filled_as_often_as_asked_and_evenly():
    places = [Place((0, 1), ("b", "c", "d")), Place((2, 3), ("e",))]
    generator = np.random.default_rng(0)
    made = [draw_text("a a", places, 0.4, generator) for _ in range(6000)]
    firsts, seconds = zip(*(copy.split() for copy in made), strict=True)
    # standard error of a share of 6000: .0063
    assert firsts.count("a") / 6000 == pytest.approx(0.6, abs=0.025)
    assert seconds.count("e") / 6000 == pytest.approx(0.4, abs=0.025)
    for word in "bcd":
        assert firsts.count(word) / 6000 == pytest.approx(0.4 / 3, abs=0.02)
    both = sum(f != "a" and s == "e" for f, s in zip(firsts, seconds, strict=True))
    assert both / 6000 == pytest.approx(0.16, abs=0.02)


@pytest.mark.parametrize("make", [wordpiece, byte_level])
def test_a_text_that_is_not_touched_is_returned_verbatim(make):
    tokenizer = make()
    words = WordModel(random_lm(tokenizer), tokenizer)
    text = " \tGood  (was) 'fun',\u00a0it 12\n"
    places = find_candidates([text], words, Limits(4, frozenset(), 64))[text]
    assert draw_text(text, places, 0.0, np.random.default_rng(0)) == text
    changed = draw_text(text, places, 1.0, np.random.default_rng(0))
    assert changed != text
    assert "".join(c for c in changed if not c.isalpha()) == " \t  () '',\u00a0 12\n"


def made_files(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_second_time_proposals_come_from_the_file(model, tmp_path, monkeypatch):
    cache = tmp_path / "new" / "folder"
    first = copies_of(model, cache=cache)
    assert [name.endswith(".arrow") for name in made_files(cache)] == [True]
    monkeypatch.setattr(augment_module, "find_candidates", None)
    again = copies_of(model, cache=cache)
    assert again[:] == first[:]
    assert again.features == first.features
    assert len(copies_of(model, seed=1, copies=2, probability=0.6, cache=cache)) > len(TEXTS)
    with pytest.raises(TypeError):
        copies_of(model, candidates=3, cache=cache)


def test_what_was_read_from_the_file_makes_the_same_copies(model, tmp_path):
    without = copies_of(model, seed=3)
    for _ in range(2):
        assert copies_of(model, seed=3, cache=tmp_path)[:] == without[:]


def test_whatever_proposals_come_from_names_another_file(tmp_path):
    tokenizer, seen = wordpiece(), 0

    def makes_a_new_file(words, data=None, **changes):
        nonlocal seen
        copies_of(words, data, cache=tmp_path, **changes)
        new, seen = len(made_files(tmp_path)) - seen, len(made_files(tmp_path))
        return new == 1

    words = WordModel(random_lm(tokenizer), tokenizer)
    assert makes_a_new_file(words)
    assert not makes_a_new_file(words)
    tokenizer("a", "b", truncation="only_second", max_length=6, padding="max_length")
    assert not makes_a_new_file(words)
    assert not makes_a_new_file(words, masked_lm="/its/folder")
    for changes in ({"seed": 1}, {"copies": 5}, {"probability": 0.5}):
        assert not makes_a_new_file(words, **changes)
    for changes in ({"candidates": 3}, {"skip_stop_words": False}, {"max_length": 20}):
        assert makes_a_new_file(words, **changes)
    assert makes_a_new_file(words, rows_of([*TEXTS[:3], "was a"]))
    assert not makes_a_new_file(words, rows_of([*TEXTS[1:], TEXTS[0]]))
    with torch.no_grad():
        words.masked_lm.bert.encoder.layer[0].output.dense.weight[0, 0] += 1e-3
    assert makes_a_new_file(words)
    words.masked_lm.config.layer_norm_eps = 1e-3
    assert makes_a_new_file(words)
    vectors = np.eye(2)
    assert makes_a_new_file(WordModel(words.masked_lm, tokenizer, (["a", "b"], vectors)))
    assert makes_a_new_file(WordModel(words.masked_lm, tokenizer, (["a", "b"], vectors[::-1])))
    assert makes_a_new_file(WordModel(words.masked_lm, tokenizer, (["a", "c"], vectors)))
    assert makes_a_new_file(WordModel(words.masked_lm, wordpiece((*WORDS[1:], WORDS[0]))))


@pytest.mark.parametrize("moment", ["fsync", "replace"])
def test_a_run_stopped_while_writing_leaves_nothing(model, tmp_path, monkeypatch, moment):
    def killed(*_):
        raise KeyboardInterrupt

    expected = copies_of(model)
    target = "os.fsync" if moment == "fsync" else "pathlib.Path.replace"
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(target, killed)
        copies_of(model, cache=tmp_path)
    assert made_files(tmp_path) == []
    assert copies_of(model, cache=tmp_path)[:] == expected[:]
    assert len(made_files(tmp_path)) == 1


def test_a_damaged_file_is_refused_by_name(model, tmp_path):
    copies_of(model, cache=tmp_path)
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(DataError, match=rf"{path.name} cannot be read .*delete it"):
        copies_of(model, cache=tmp_path)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ((), "no text columns were named; name one or two of: number, text, label"),
        (("txt",), "no column 'txt'; did you mean 'text'"),
        (("label",), "column 'label' holds int64, not text"),
    ],
)
def test_columns_that_are_no_texts_are_refused(model, columns, message):
    with pytest.raises(DataError, match=message):
        copies_of(model, columns=columns)


def test_no_rows_and_gaps_are_refused(model):
    with pytest.raises(DataError, match="no rows"):
        copies_of(model, rows_of().select([]))
    with pytest.raises(DataError, match=r"row 1 \(rows count from 0\) has no text"):
        copies_of(model, rows_of(["fun", None]))


@pytest.mark.parametrize(
    "values", [{"copies": 0}, {"probability": 0.0}, {"probability": 1.5}, {"candidates": 0}]
)
def test_a_value_out_of_bounds_is_refused(values):
    with pytest.raises(ConfigError, match=f"augment.{next(iter(values))}: "):
        AugmentConfig.parse(values, where="augment")


def test_every_field_is_described_and_the_papers_values_are_the_default():
    assert all(field.description for field in AugmentConfig.model_fields.values())
    config = AugmentConfig()
    assert (config.copies, config.probability, config.candidates) == (20, 0.4, 15)


LETTERS = "abcdefghijklmnopqrstuvwxyz"


def test_real_snippets_keep_their_form_and_have_four_of_ten_words_replaced():
    try:
        archive = find_archive(ARCHIVE, None)
    except DataError as error:
        pytest.skip(str(error))
    rows = read_snippets(DataConfig(name="movie-snippets", path=str(archive))).train
    rows = rows.select(range(50)).add_column("number", range(50))
    pieces = (f"##{letter}" for letter in LETTERS)
    tokenizer = wordpiece((*LETTERS, *pieces, *WORDS[:8]), longest=512)
    words = WordModel(random_lm(tokenizer), tokenizer)
    made = augment(rows, words, columns=("text",), config=AugmentConfig(copies=4), seed=0)
    assert made[:50] == rows[:]
    assert len(made) >= 50 + 4 * 45
    assert made["label"][:] == [rows[number]["label"] for number in made["number"]]
    old, new = [], []
    for row in made.select(range(50, len(made))):
        original = rows[row["number"]]["text"]
        assert re.sub("[a-zA-Z]+", "a", row["text"]) == re.sub("[a-zA-Z]+", "a", original)
        old += re.findall("[a-zA-Z]+", original)
        new += re.findall("[a-zA-Z]+", row["text"])
    pairs = list(zip(old, new, strict=True))
    assert {after.lower() for before, after in pairs if before != after} <= {*LETTERS, *WORDS}
    assert all(a == b for b, a in pairs if b.lower() in ENGLISH_STOP_WORDS)
    content = [(b, a) for b, a in pairs if b.lower() not in ENGLISH_STOP_WORDS and len(b) > 2]
    assert sum(a != b for b, a in content) / len(content) == pytest.approx(0.4, abs=0.05)
