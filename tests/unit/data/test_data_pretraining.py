"""Rows for pretraining: the pairs of sentence-order, with tokens masked as for masked-lm."""

import pytest
import torch

from nlpcompress.core.counts import IGNORED
from nlpcompress.data.config import DataConfig, MaskingConfig
from nlpcompress.data.load import load_data
from nlpcompress.errors import ConfigError, DataError
from nlpcompress.models.pretraining import ORDER_LABELS, order_label
from nlpcompress.models.random import word_tokenizer

WORDS = [f"w{i}" for i in range(400)]


@pytest.fixture(scope="module")
def tokenizer():
    return word_tokenizer([*WORDS, *(f"##{word}" for word in WORDS[:9]), "."])


def document(number):
    """Nine sentences of four words; every word once in all documents."""
    words = WORDS[number * 36 : number * 36 + 36]
    return " ".join(f"{' '.join(words[i : i + 4])}." for i in range(0, 36, 4))


@pytest.fixture
def corpus(tmp_path):
    path = tmp_path / "corpus.csv"
    path.write_text("text\n" + "\n".join(f'"{document(n)}"' for n in range(10)))
    return DataConfig(name="csv", files={"train": str(path)}, max_length=24)


def unmasked(batch):
    return torch.where(batch["labels"] == IGNORED, batch["input_ids"], batch["labels"])


@pytest.mark.parametrize("name", ORDER_LABELS.values())
def test_pairs_are_those_of_sentence_order_and_masked_besides(corpus, tokenizer, name):
    made = load_data(corpus, task="pretraining", processor=tokenizer, order_label=name)
    plain = load_data(corpus, task="sentence-order", processor=tokenizer)
    assert (made.task, made.labels) == ("pretraining", ())
    assert name in made.train.column_names and "labels" not in made.train.column_names
    for split in ("train", "test"):
        rows, pairs = getattr(made, split), getattr(plain, split)
        assert rows[name] == pairs["labels"] and len(rows) == len(pairs)
        batch = made.collate(list(rows))
        assert set(batch) - {"token_type_ids"} == {"input_ids", "attention_mask", "labels", name}
        assert batch[name].tolist() == pairs["labels"]
        assert unmasked(batch).equal(plain.collate(list(pairs))["input_ids"])
        assert (batch["labels"] != IGNORED).any()


def test_test_rows_are_the_same_whatever_seed_batch_and_spans(corpus, tokenizer):
    spans = corpus.model_copy(update={"masking": MaskingConfig(ngram=3)})
    first, *others = (
        load_data(config, task="pretraining", processor=tokenizer, seed=seed)
        for seed, config in enumerate((corpus, spans, corpus, spans, corpus, spans))
    )
    for other in others:
        for column in ("input_ids", "labels", "sentence_order_label"):
            assert first.test[column] == other.test[column]
        assert first.train["input_ids"] != other.train["input_ids"]
    alone = first.collate([first.test[1]])["labels"][0]
    together = first.collate([first.test[0], first.test[1]])["labels"][1]
    assert alone.equal(together[: len(alone)])


def test_training_masks_are_a_function_of_the_batch(corpus, tokenizer):
    data = load_data(corpus, task="pretraining", processor=tokenizer)
    rows = [data.train[i] for i in range(8)]
    first, again = (data.collate(rows)["labels"] for _ in range(2))
    other = data.collate([*rows[4:], *rows[:4]])["labels"]
    assert first.equal(again)
    assert not first.equal(torch.cat([other[4:], other[:4]]))


def test_no_span_reaches_from_one_segment_into_the_other(tokenizer, tmp_path):
    path = tmp_path / "corpus.csv"
    path.write_text("text\n" + '"w9 w8.\nw7 w6."\n' * 50)
    masking = MaskingConfig(probability=0.5, ngram=3)
    config = DataConfig(name="csv", files={"train": str(path)}, max_length=9, masking=masking)
    data = load_data(config, task="pretraining", processor=tokenizer)
    batch = data.collate(list(data.train))
    chosen = batch["labels"] != IGNORED
    assert 0.3 < float(chosen[unmasked(batch) > tokenizer.mask_token_id].float().mean()) < 0.7
    assert not chosen[unmasked(batch) == tokenizer.sep_token_id].any()


def test_rows_cannot_be_whole_texts(corpus, tokenizer):
    whole = corpus.model_copy(update={"masking": MaskingConfig(group=False)})
    with pytest.raises(DataError, match=r"data\.masking\.group: false, but rows of pretraining"):
        load_data(whole, task="pretraining", processor=tokenizer)


def test_masking_still_does_not_go_with_order_alone(corpus, tokenizer):
    masked = corpus.model_copy(update={"masking": MaskingConfig()})
    with pytest.raises(DataError, match="masked-lm or pretraining, not with sentence-order"):
        load_data(masked, task="sentence-order", processor=tokenizer)


def test_models_without_both_heads_are_refused():
    assert order_label("albert") == "sentence_order_label"
    assert order_label("bert") == "next_sentence_label"
    with pytest.raises(ConfigError, match="albert and bert have, not roberta; use the task masked"):
        order_label("roberta")


def test_pairs_without_a_known_token_are_left_out(corpus, tokenizer, tmp_path):
    unknown = '"' + "ab cd ef gh ij kl\n" * 4 + '"'
    path = tmp_path / "more.csv"
    path.write_text((tmp_path / "corpus.csv").read_text() + f"\n{unknown}" * 20)
    more = corpus.model_copy(update={"files": {"train": str(path)}})
    pairs = load_data(more, task="sentence-order", processor=tokenizer)
    data = load_data(more, task="pretraining", processor=tokenizer)
    special = set(tokenizer.all_special_ids)
    for all_rows, rows in ((pairs.train, data.train), (pairs.test, data.test)):
        known = [ids for ids in all_rows["input_ids"] if not special.issuperset(ids)]
        assert len(rows) == len(known) < len(all_rows)
    path.write_text(f"text\n{unknown}\n{unknown}\n")
    with pytest.raises(DataError, match="none of 6 rows has a token that the tokenizer knows"):
        load_data(more, task="pretraining", processor=tokenizer)
