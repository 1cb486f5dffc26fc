"""Masked tokens: how many, which, shown as what; the same for the same batch and no other."""

import pickle

import datasets
import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from nlpcompress.core.counts import IGNORED
from nlpcompress.data.masking import (
    MaskingCollate,
    choice_chances,
    mask_rows,
    ordinary_tokens,
)
from nlpcompress.data.synthetic import VOCABULARY
from nlpcompress.errors import DataError
from nlpcompress.models.random import word_tokenizer

SPECIAL = 5
PAD, UNK, CLS, SEP, MASK = range(SPECIAL)
SIZE = SPECIAL + len(VOCABULARY)


@pytest.fixture(scope="module")
def tokenizer():
    return word_tokenizer(VOCABULARY)


def collator(tokenizer, *, probability=0.15, smoothing=0.0, counts=None, seed=0):
    ordinary = ordinary_tokens(tokenizer)
    counts = torch.ones(len(ordinary), dtype=torch.int64) if counts is None else counts
    chances = choice_chances(counts, ordinary, probability=probability, smoothing=smoothing)
    return MaskingCollate(tokenizer, chances, seed)


def words(count, *, seed=0, chances=None):
    random = np.random.RandomState(seed)
    return torch.tensor(random.choice(np.arange(SPECIAL, SIZE), count, p=chances))


def rows_of(*lengths, seed=0):
    ids = [[CLS, *words(n, seed=seed + row).tolist(), SEP] for row, n in enumerate(lengths)]
    return [{"input_ids": row, "attention_mask": [1] * len(row)} for row in ids]


def binomial(count, share):
    """Within four standard deviations."""
    return pytest.approx(share * count, abs=4 * (count * share * (1 - share)) ** 0.5)


def test_the_shares_are_those_of_the_paper(tokenizer):
    ids = words(200_000).view(400, 500)
    masked = collator(tokenizer).mask(ids)
    chosen = masked["labels"] != IGNORED
    assert masked["labels"][chosen].equal(ids[chosen])
    assert masked["input_ids"][~chosen].equal(ids[~chosen])
    count = int(chosen.sum())
    assert count == binomial(ids.numel(), 0.15)
    shown, true = masked["input_ids"][chosen], ids[chosen]
    assert int((shown == MASK).sum()) == binomial(count, 0.8)
    others = (shown != MASK) & (shown != true)
    # any of the 26 words, the token's own among them
    assert int(others.sum()) == binomial(count, 0.1 * 25 / 26)
    assert set(shown[others].tolist()) == set(range(SPECIAL, SIZE))
    assert int((shown == true).sum()) == binomial(count, 0.1 + 0.1 / 26)


def test_rare_and_frequent_tokens_are_chosen_alike_without_smoothing(tokenizer):
    counts = torch.arange(SIZE) ** 2
    assert collator(tokenizer, counts=counts).chances[SPECIAL:].tolist() == pytest.approx(
        [0.15] * len(VOCABULARY)
    )


def test_special_tokens_and_padding_are_never_chosen_nor_shown(tokenizer):
    collate = collator(tokenizer, probability=0.9)
    rows = [{"input_ids": [CLS, UNK, *words(n, seed=n).tolist(), MASK, SEP]} for n in range(1, 60)]
    rows = [{**row, "attention_mask": [1] * len(row["input_ids"])} for row in rows]
    batch = collate(rows)
    plain = [row["input_ids"] + [PAD] * (63 - len(row["input_ids"])) for row in rows]
    ids = torch.tensor(plain)
    chosen = batch["labels"] != IGNORED
    assert int(chosen.sum()) > 1000
    assert int(ids[chosen].min()) >= SPECIAL
    shown = batch["input_ids"][chosen]
    assert set(shown[shown != MASK].tolist()) == set(range(SPECIAL, SIZE))
    assert batch["input_ids"][~chosen].equal(ids[~chosen])
    assert batch["attention_mask"].sum(1).tolist() == [len(row["input_ids"]) for row in rows]
    assert {value.dtype for value in batch.values()} == {torch.int64}


def test_chosen_tokens_follow_their_counts_with_smoothing(tokenizer):
    """By a corpus of Zipf's law; the expected total stays the same."""
    zipf = 1 / np.arange(1, len(VOCABULARY) + 1)
    ids = words(400_000, chances=zipf / zipf.sum()).view(400, 1000)
    counts = torch.bincount(ids.view(-1), minlength=SIZE)
    collate = collator(tokenizer, smoothing=0.7, counts=counts)
    assert float(collate.chances.max()) < 1
    labels = collate.mask(ids)["labels"]
    found = torch.bincount(labels[labels != IGNORED], minlength=SIZE)
    assert int(found.sum()) == binomial(ids.numel(), 0.15)
    wanted = counts[SPECIAL:].double() ** 0.3
    wanted *= 0.15 * ids.numel() / wanted.sum()
    spread = (wanted * (1 - wanted / counts[SPECIAL:])) ** 0.5
    deviations = (found[SPECIAL:] - wanted) / spread
    assert float(deviations.abs().max()) < 4
    assert float((deviations**2).mean()) < 2


def test_chances_above_one_are_cut_and_the_others_make_up_for_it():
    ordinary = torch.tensor([True] * 4)
    counts = torch.tensor([1, 2, 1000, 3000])
    chances = choice_chances(counts, ordinary, probability=0.15, smoothing=1.0).double()
    assert chances[:2].tolist() == [1, 1]
    assert float((chances * counts).sum()) == pytest.approx(0.15 * 4003)
    assert float(chances[2] / chances[3]) == pytest.approx(3)


def test_a_token_that_the_corpus_lacks_counts_as_one_that_occurs_once():
    counts, ordinary = torch.tensor([0, 1, 50]), torch.tensor([True] * 3)
    chances = choice_chances(counts, ordinary, probability=0.2, smoothing=0.5)
    assert chances[0] == chances[1] > chances[2]


def test_the_worked_example():
    counts, ordinary = torch.tensor([9, 1, 4, 16]), torch.tensor([False, True, True, True])
    chances = choice_chances(counts, ordinary, probability=1 / 3, smoothing=0.5)
    assert chances.tolist() == pytest.approx([0, 1, 0.5, 0.25])


def same(one, two):
    return all(one[name].equal(two[name]) for name in one)


def test_the_mask_is_a_function_of_the_batch_and_the_seed_alone(tokenizer):
    rows, collate = rows_of(*[30] * 8), collator(tokenizer)
    first = collate(rows)
    torch.manual_seed(1)
    assert same(first, collate(rows))
    assert same(first, collator(tokenizer)(rows))
    assert same(first, pickle.loads(pickle.dumps(collate))(rows))
    assert not first["labels"].equal(collator(tokenizer, seed=1)(rows)["labels"])
    back = collate(rows[::-1])["labels"].flip(0)
    assert not first["labels"].equal(back)
    assert not first["labels"][:4].equal(collate(rows[:4])["labels"])


def test_a_text_is_masked_at_other_places_beside_other_texts(tokenizer):
    """Batches of one shape, with the same first text."""
    collate, first, others = collator(tokenizer), rows_of(60), rows_of(*[60] * 20, seed=9)
    places = {
        tuple((collate([*first, other])["labels"][0] != IGNORED).tolist()) for other in others
    }
    assert len(places) == len(others)


def test_the_global_randomness_is_not_touched(tokenizer):
    before = torch.get_rng_state()
    collator(tokenizer)(rows_of(30, 30))
    assert torch.get_rng_state().equal(before)


def test_workers_make_the_same_batches(tokenizer):
    rows, collate = rows_of(*[20] * 12), collator(tokenizer)
    alone, helped = (
        list(DataLoader(rows, batch_size=4, collate_fn=collate, num_workers=n)) for n in (0, 2)
    )
    assert all(same(one, two) for one, two in zip(alone, helped, strict=True))


def test_a_batch_always_has_a_token_to_tell(tokenizer):
    """Short texts: by chance alone five tokens of 15 % would have none in 44 of 100 batches."""
    collate = collator(tokenizer)
    chosen = [
        int((collate(rows_of(5, seed=seed))["labels"] != IGNORED).sum()) for seed in range(200)
    ]
    assert min(chosen) == 1
    assert chosen.count(1) > 100
    empty = [{"input_ids": [CLS, UNK, SEP], "attention_mask": [1, 1, 1]}]
    with pytest.raises(DataError, match="1 rows has only special and unknown tokens"):
        collate(empty)


def test_rows_masked_before_are_only_padded(tokenizer):
    rows = datasets.Dataset.from_list(rows_of(9, 4, 12, 7))
    collate = collator(tokenizer, probability=0.5)
    masked = mask_rows(rows, collate)
    batch = collate(list(masked))
    for row, one in enumerate(masked):
        length = len(one["input_ids"])
        assert batch["input_ids"][row, :length].tolist() == one["input_ids"]
        assert batch["labels"][row, :length].tolist() == one["labels"]
        assert set(batch["labels"][row, length:].tolist()) <= {IGNORED}
        pairs = zip(one["input_ids"], one["labels"], rows[row]["input_ids"], strict=True)
        assert all(true == (seen if label < 0 else label) for seen, label, true in pairs)
    assert int((batch["labels"] != IGNORED).sum()) > 8


def test_padding_on_the_left_moves_the_labels_too(tokenizer):
    left = word_tokenizer(VOCABULARY)
    left.padding_side = "left"
    rows = mask_rows(
        datasets.Dataset.from_list(rows_of(9, 4)), collator(tokenizer, probability=0.5)
    )
    batch = collator(left)(list(rows))
    assert batch["labels"][1, -6:].tolist() == rows[1]["labels"]
    assert batch["labels"][1, :5].tolist() == [IGNORED] * 5


def test_a_tokenizer_without_a_mask_is_refused(tokenizer):
    bare = word_tokenizer(VOCABULARY)
    bare.mask_token = None
    with pytest.raises(DataError, match="has no mask token"):
        ordinary_tokens(bare)
    assert ordinary_tokens(tokenizer).sum() == len(VOCABULARY)
