"""Lan et al. 2020 (ALBERT), section 3.1: spans of whole words, p(n) ∝ 1/n, n at most 3."""

import pytest
import torch

from nlpcompress.core.counts import IGNORED
from nlpcompress.data.config import MaskingConfig
from nlpcompress.data.masking import MaskingCollate, Spans, choice_chances, ordinary_tokens
from nlpcompress.data.spans import choose_spans, continuing_pieces, length_chances
from nlpcompress.errors import DataError
from nlpcompress.models.random import word_tokenizer

LENGTH, ROWS = 120, 400


def row(seed):
    """Words of one to three pieces, three sentences: what is ordinary, and what goes on."""
    generator = torch.Generator().manual_seed(seed)
    continues = torch.rand(LENGTH, generator=generator) < 0.25
    ordinary = torch.ones(LENGTH, dtype=torch.bool)
    ordinary[[0, 40, 90, LENGTH - 1]] = False
    return ordinary, continues


def chosen_rows(**options):
    for seed in range(ROWS):
        ordinary, continues = row(seed)
        generator = torch.Generator().manual_seed(seed)
        yield ordinary, continues, choose_spans(ordinary, continues, generator=generator, **options)


def lengths_of_single_spans():
    """Words a span, in rows that can hold one: those are never neighbours of another."""
    found = []
    for seed in range(4000):
        ordinary, continues = row(seed)
        generator = torch.Generator().manual_seed(seed)
        chosen = choose_spans(ordinary, continues, probability=0.015, most=3, generator=generator)
        starts = chosen & (~continues | ~torch.roll(ordinary, 1))
        if chosen.any() and _runs(chosen) == 1:
            found.append(int(starts.sum()))
    return found


def _runs(chosen):
    return int((chosen & ~torch.roll(chosen, 1)).sum())


def test_lengths_fall_as_one_over_n():
    assert length_chances(3).tolist() == pytest.approx([6 / 11, 3 / 11, 2 / 11])
    found = torch.tensor(lengths_of_single_spans())
    assert len(found) > 2000
    for n, chance in enumerate((6 / 11, 3 / 11, 2 / 11), start=1):
        share = float((found == n).float().mean())
        assert share == pytest.approx(chance, abs=4 * (chance * (1 - chance) / len(found)) ** 0.5)


@pytest.mark.parametrize("probability", [0.05, 0.15])
def test_the_share_is_the_one_that_was_asked_for(probability):
    shares = [
        float(chosen.sum() / ordinary.sum())
        for ordinary, _, chosen in chosen_rows(probability=probability, most=3)
    ]
    found = torch.tensor(shares)
    assert float(found.mean()) == pytest.approx(
        probability, abs=4 * float(found.std()) / len(shares) ** 0.5
    )


def test_spans_are_whole_words_and_stay_in_their_sentence():
    for ordinary, continues, chosen in chosen_rows(probability=0.3, most=3):
        assert not (chosen & ~ordinary).any()
        goes_on = continues & ordinary & torch.roll(ordinary, 1)
        assert chosen[goes_on].equal(torch.roll(chosen, 1)[goes_on]), "a word is chosen whole"


def test_nothing_to_choose_from_chooses_nothing():
    nothing = torch.zeros(5, dtype=torch.bool)
    generator = torch.Generator().manual_seed(0)
    assert not choose_spans(nothing, nothing, probability=0.9, most=3, generator=generator).any()


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        (["play", "##ing", "now"], [False, True, False]),
        (["▁play", "ing", "▁now"], [False, True, False]),
        (["Ġplay", "ing", "Ġnow"], [False, True, False]),
    ],
)
def test_words_are_told_by_the_marks_of_the_vocabulary(pieces, expected):
    tokenizer = word_tokenizer(pieces)
    found = continuing_pieces(tokenizer)
    ids = [tokenizer.get_vocab()[piece] for piece in pieces]
    assert found[ids].tolist() == expected


@pytest.mark.parametrize(
    "pieces",
    [
        ["play", "##ing", "##ed", "now", "▁"],
        ["play", "##ing", "##ed", "now", "Ġ", "▁"],
        ["▁play", "▁now", "ing", "##"],
        ["Ġplay", "Ġnow", "ing", "##", "▁"],
    ],
)
def test_signs_that_are_marks_of_others_do_not_mislead(pieces):
    """A WordPiece of many languages has the letter Ġ, others the sign ## for itself."""
    tokenizer = word_tokenizer(pieces)
    found = continuing_pieces(tokenizer)[[tokenizer.get_vocab()[piece] for piece in pieces]]
    goes_on = {"ing", "##ing", "##ed"}
    assert [p in goes_on for p in pieces[:3]] == found[:3].tolist()


def test_a_vocabulary_without_marks_is_refused():
    with pytest.raises(DataError, match=r"data\.masking\.ngram to 1"):
        continuing_pieces(word_tokenizer(["play", "now"]))


def test_a_batch_has_the_same_spans_again_and_others_with_another_seed():
    pieces = [f"{'##' * (i % 3 == 0)}w{i}" for i in range(50)]
    tokenizer = word_tokenizer(pieces)
    ordinary = ordinary_tokens(tokenizer)
    chances = choice_chances(torch.ones(len(ordinary)), ordinary, probability=0.15, smoothing=0.0)
    spans = Spans(continuing_pieces(tokenizer), 0.15, 3)
    ids = torch.randint(5, 55, (8, 100), generator=torch.Generator().manual_seed(0))
    rows = [{"input_ids": row.tolist(), "attention_mask": [1] * 100} for row in ids]
    first, again, other = (
        MaskingCollate(tokenizer, chances, seed, spans)(rows)["labels"] for seed in (0, 0, 1)
    )
    assert first.equal(again) and not first.equal(other)
    share = float((first != IGNORED).float().mean())
    assert share == pytest.approx(0.15, abs=0.05)
    (alone,) = (MaskingCollate(tokenizer, chances, 0, spans)(rows[:1])["labels"],)
    assert (alone != IGNORED).any()


def test_spans_and_smoothing_exclude_each_other():
    with pytest.raises(ValueError, match="leave one of them out"):
        MaskingConfig(ngram=3, smoothing=0.7)
