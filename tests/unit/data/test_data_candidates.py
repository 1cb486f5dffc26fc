"""What may stand for a word: asked of a model whose guesses are known, or found by hand."""

import numpy as np
import pytest
import torch
import transformers
from transformers import BertForSequenceClassification, BertForTokenClassification, BertModel

from nlpcompress.data.augmentation import guesses
from nlpcompress.data.augmentation.candidates import Limits, find_candidates
from nlpcompress.data.augmentation.word_model import WordModel
from nlpcompress.errors import DataError
from tests.fill_in import WORDS, byte_level, known_lm, random_lm, tiny_config, wordpiece

LIKELY = {
    "the": ["##ly", ".", "[SEP]", "film", "movie", "2", "book", "play", "fun"],
    "was": ["bad", "##ish", "dull", "!", "good", "fun"],
    "[CLS]": ["a", "un", "the"],
}


def found(text, model, count=3, skipped=(), max_length=64):
    places = find_candidates([text], model, Limits(count, frozenset(skipped), max_length))[text]
    return {text[slice(*place.span)]: set(place.words) for place in places}


@pytest.fixture
def model():
    tokenizer = wordpiece()
    return WordModel(known_lm(tokenizer, LIKELY), tokenizer)


def test_candidates_are_the_likeliest_whole_words_but_the_word_itself(model):
    assert found("the movie was good.", model, skipped=["the", "was"]) == {
        "movie": {"film", "book", "play"},
        "good": {"bad", "dull", "fun"},
    }
    assert found("the movie was good.", model, count=1, skipped=["the", "was"]) == {
        "movie": {"film"},
        "good": {"bad"},
    }


def test_fewer_fitting_words_than_wanted_are_all_there(model):
    words = found("the movie", model, count=100, skipped=["the"])["movie"]
    assert words == {*WORDS, "t", "un", "café"} - {"movie"}


def test_a_candidate_is_written_as_the_word(model):
    assert found("The MOVIE was Good", model, count=2, skipped=["was"]) == {
        "The": {"A", "Un"},
        "MOVIE": {"FILM", "BOOK"},
        "Good": {"Bad", "Dull"},
    }


def test_stop_words_numbers_and_punctuation_have_no_place(model):
    assert set(found("the movie isn't 2, good!", model, skipped=["the"])) == {"movie", "good"}


def test_the_model_reads_the_masked_text_and_the_text_itself_after_it(model):
    found("the movie", model, skipped=["the"])
    asked = model.masked_lm.asked[-1]["ids"]
    texts = [model.tokenizer.convert_ids_to_tokens(row) for row in asked.tolist()]
    assert texts == [["[CLS]", "the", "[MASK]", "[SEP]", "the", "movie", "[SEP]"]]


def test_every_place_is_asked_about_once_in_batches(model, monkeypatch):
    monkeypatch.setattr(guesses, "BATCH_SIZE", 4)
    texts = ["the movie was good", "a dull book", "the movie was good", "", "fun!"]
    model.masked_lm.asked.clear()
    places = find_candidates(texts, model, Limits(2, frozenset(["was"]), 64))
    assert {text: len(p) for text, p in places.items()} == {
        "the movie was good": 3,
        "a dull book": 3,
        "": 0,
        "fun!": 1,
    }
    assert [len(asked["ids"]) for asked in model.masked_lm.asked] == [4, 3]
    assert all((asked["ids"] == 4).sum(1).eq(1).all() for asked in model.masked_lm.asked)


def test_long_texts_go_in_smaller_batches(model, monkeypatch):
    monkeypatch.setattr(guesses, "TOKENS_AT_ONCE", 2 * 11)
    model.masked_lm.asked.clear()
    expected = found("the movie was good", model)
    assert [len(asked["ids"]) for asked in model.masked_lm.asked] == [2, 2]
    monkeypatch.undo()
    assert found("the movie was good", model) == expected


def test_padding_and_neighbours_in_the_batch_change_nothing():
    tokenizer = wordpiece()
    model = WordModel(random_lm(tokenizer), tokenizer)
    texts = ["the movie was good", "fun", "a dull, dull book! a bad play.", "Bob was good"]
    limits = Limits(3, frozenset(), 64)
    together = find_candidates(texts, model, limits)
    assert together == {t: find_candidates([t], model, limits)[t] for t in texts}
    assert len({place.words for place in together[texts[2]]}) > 1


@pytest.mark.parametrize(
    "kind", ["Bert", "Roberta", "DistilBert", "Electra", "Albert", "ModernBert"]
)
def test_the_likeliest_words_are_those_of_plain_passes_in_every_family(kind):
    tokenizer = wordpiece()
    torch.manual_seed(0)
    model, scored = masked_lm_of(kind, len(tokenizer)).eval(), []
    layer = model.get_output_embeddings()
    handle = layer.register_forward_hook(lambda _m, _args, out: scored.append(out.shape[:-1]))
    text = "the movie was good"
    pair = tokenizer(text, text, return_tensors="pt")
    allowed = tokenizer.convert_tokens_to_ids([*WORDS, "t", "un", "café"])
    for place, (span, words) in enumerate(
        (p.span, p.words)
        for p in find_candidates([text], WordModel(model, tokenizer), Limits(3, frozenset(), 64))[
            text
        ]
    ):
        ids = pair["input_ids"].clone()
        ids[0, place + 1] = tokenizer.mask_token_id
        more = {"token_type_ids": pair["token_type_ids"]} if kind != "DistilBert" else {}
        more = {} if kind == "ModernBert" else more
        with torch.no_grad():
            scores = model(input_ids=ids, **more).logits[0, place + 1]
        others = [n for n in allowed if tokenizer.convert_ids_to_tokens(n) != text[slice(*span)]]
        best = sorted(others, key=lambda n: -scores[n])[:3]
        assert set(tokenizer.convert_ids_to_tokens(best)) == set(words)
    handle.remove()
    assert not any(module._forward_pre_hooks for module in model.modules())
    assert scored[1] == (4, 1)  # after the check of the model: four words, at one place each


def masked_lm_of(kind, vocabulary_size):
    """A random model of 1 layer, its masked language model's head included."""
    sizes = {"num_hidden_layers": 1, "num_attention_heads": 2, "hidden_size": 16}
    others = {"intermediate_size": 8, "max_position_embeddings": 66, "pad_token_id": 0}
    if kind == "DistilBert":
        sizes = {"n_layers": 1, "n_heads": 2, "dim": 16, "hidden_dim": 8}
        others = {"max_position_embeddings": 66, "pad_token_id": 0}
    if kind in ("Electra", "Albert"):
        others |= {"embedding_size": 8}
    if kind == "ModernBert":
        others |= {"cls_token_id": 2, "sep_token_id": 3, "bos_token_id": 2, "eos_token_id": 3}
    if kind == "Roberta":
        others |= {"type_vocab_size": 2}
    config = getattr(transformers, f"{kind}Config")(vocab_size=vocabulary_size, **sizes, **others)
    model = getattr(transformers, f"{kind}ForMaskedLM")(config)
    with torch.no_grad():  # scores apart from each other
        for weight in model.parameters():
            weight.copy_(torch.randn_like(weight) * 0.5)
    return model


def test_the_model_sees_no_more_than_it_takes(model):
    text = "the movie was good " * 15  # 60 words
    assert len(find_candidates([text], model, Limits(2, frozenset(), 64))[text]) == 60
    lengths = {asked["ids"].shape[1] for asked in model.masked_lm.asked[1:]}
    assert lengths == {64}
    short = find_candidates([text], model, Limits(2, frozenset(), 12))[text]
    assert [place.span for place in short][-1] == (42, 47)  # ten words and two marks
    assert model.masked_lm.asked[-1]["ids"].shape[1] == 12


def test_modes_come_back_and_dropout_is_off():
    tokenizer = wordpiece()
    known = known_lm(tokenizer, LIKELY).train()
    known.bert.encoder.eval()
    before = [module.training for module in known.modules()]
    found("the movie", WordModel(known, tokenizer))
    assert [module.training for module in known.modules()] == before
    assert not any(asked["training"] for asked in known.asked)


def test_a_word_of_several_tokens_has_the_nearest_by_the_mean_of_its_embeddings(model):
    tokenizer, weights = model.tokenizer, model.masked_lm.get_input_embeddings().weight
    numbers = tokenizer.convert_tokens_to_ids(["good", "##ly", "bad", "book", "film", "fun"])
    good, ly, bad, book, film, fun = numbers
    with torch.no_grad():
        weights.zero_()
        weights[good], weights[ly] = torch.eye(16)[0] * 2, torch.eye(16)[1] * 2
        weights[bad] = torch.eye(16)[:2].sum(0) * 100  # cosine 1
        weights[book] = torch.eye(16)[:3].sum(0)  # .82
        weights[film] = torch.eye(16)[0] * 9  # .71, as "good" itself
        weights[fun] = -torch.eye(16)[1]
    assert found("Goodly", model, count=2) == {"Goodly": {"Bad", "Book"}}
    assert found("Goodly", model, count=4) == {"Goodly": {"Bad", "Book", "Good", "Film"}}


def test_word_vectors_stand_in_for_the_embeddings():
    tokenizer = wordpiece()
    words = ["goodly", "goodly!", "fine", "Goodly", "awful", "nice"]
    vectors = np.array([[1, 0], [1, 0], [0.9, 0.1], [1, 0], [-1, 0], [0.5, 0.5]])
    model = WordModel(random_lm(tokenizer), tokenizer, (words, vectors))
    assert found("GOODLY badly", model, count=2) == {"GOODLY": {"FINE", "NICE"}}


@pytest.mark.parametrize("trim_offsets", [True, False])
def test_byte_level_words_begin_with_the_mark_or_stand_where_none_is(trim_offsets):
    tokenizer = byte_level(trim_offsets)
    likely = {
        "Ġwas": ["ing", "good", "a", "Ġw", "Ġbad", "it", "Ġfun"],
        "(": ["Ġfun", "ing", "it", ".", "fun", "bad"],
        "<s>": ["Ġbad", "ing", "w", "bad"],
    }
    model = WordModel(known_lm(tokenizer, likely), tokenizer)
    text = "fun was good (good)"
    places = find_candidates([text], model, Limits(2, frozenset(["was"]), 64))[text]
    assert [(p.span, set(p.words)) for p in places] == [
        ((0, 3), {"bad", "w"}),
        ((8, 12), {"w", "bad"}),
        ((14, 18), {"fun", "bad"}),
    ]


def test_a_word_of_several_tokens_is_not_mixed_up_with_itself_in_another_text():
    tokenizer = byte_level()
    model = WordModel(random_lm(tokenizer), tokenizer)
    with torch.no_grad():
        weights = model.masked_lm.get_input_embeddings().weight.zero_()
        for token, directions in {
            "Ġw": [0],
            "w": [1],
            "ing": [2],
            "Ġgood": [0, 2],
            "Ġbad": [1, 2],
        }.items():
            weights[tokenizer.convert_tokens_to_ids(token), directions] = 1
    texts, limits = ["wing was", "was wing", "(wing)"], Limits(1, frozenset(["was"]), 64)
    together = find_candidates(texts, model, limits)
    assert [together[text][0].words for text in texts] == [("bad",), ("good",), ("bad",)]


def test_what_is_no_masked_language_model_is_refused():
    tokenizer = wordpiece()
    for kind, shape in (
        (BertForSequenceClassification, r"shape \(1, 2\)"),
        (BertForTokenClassification, r"shape \(1, 1, 2\)"),
        (BertModel, "no logits"),
    ):
        with pytest.raises(DataError, match=f"{kind.__name__} gives .*{shape}.*AutoModelForMasked"):
            WordModel(kind(tiny_config(tokenizer)), tokenizer)


def test_what_does_not_belong_together_is_refused(tokenizer):
    pieces = wordpiece()
    with pytest.raises(DataError, match="has no mask token"):
        WordModel(random_lm(pieces), tokenizer)
    with pytest.raises(DataError, match=r"fast tokenizer.*got function"):
        WordModel(random_lm(pieces), lambda text: text)
    rows = len(pieces)
    for size in (rows - 1, rows + 1025):
        with pytest.raises(DataError, match=f"has {rows} tokens, BertForMaskedLM has {size}"):
            WordModel(random_lm(pieces, vocab_size=size), pieces)
    WordModel(random_lm(pieces, vocab_size=rows + 40), pieces)
    pieces.mask_token = None
    with pytest.raises(DataError, match="has no mask token"):
        WordModel(random_lm(pieces), pieces)


def test_rows_beyond_the_tokenizer_are_never_candidates():
    tokenizer = wordpiece()
    model = WordModel(random_lm(tokenizer, vocab_size=len(tokenizer) + 40), tokenizer)
    assert len(found("movie", model, count=100)["movie"]) == 14


def test_word_vectors_of_another_shape_are_refused():
    tokenizer = wordpiece()
    for words, vectors in (
        (["a"], np.zeros((2, 3))),
        (["a"], np.zeros(1)),
        (["a"], np.ones((1, 1)) * np.nan),
    ):
        with pytest.raises(DataError, match="one row for each of the 1 words"):
            WordModel(random_lm(tokenizer), tokenizer, (words, vectors))
