"""Which tokens stay, by their counts; and that model and tokenizer then go together."""

import pytest
import torch
from datasets import Dataset
from transformers import DataCollatorWithPadding, TrainingArguments

from nlpcompress.core.method import Context
from nlpcompress.errors import ConfigError, PlanError
from nlpcompress.methods import make_method
from nlpcompress.methods.pruning.keep_vocabulary import KeepVocabularyConfig, decide
from nlpcompress.models.random import random_config, random_model, word_tokenizer
from nlpcompress.models.tokenizers import fit_tokenizer
from nlpcompress.surgery import apply_plan
from nlpcompress.training import CompressionTrainer
from tests.families import FAMILIES

WORDS = ("good", "bad", "film", "plot", "very", "dull", "bright", "new")
TEXTS = ["very good film", "very bad film", "good plot", "dull", "very very bright"]
BERT = {
    "model_type": "bert",
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 16,
}


def decided(counts, own=(), needs=lambda token: {token}, **config):
    return decide(dict(enumerate(counts)), own, needs, KeepVocabularyConfig(**config))


@pytest.mark.parametrize(
    ("config", "kept"),
    [
        ({}, (0, 1, 3, 4)),  # all that occur, and token 4, the tokenizer's own
        ({"size": 3}, (0, 3, 4)),
        ({"size": 2}, (3, 4)),
        ({"min_count": 2}, (0, 3, 4)),
        ({"min_count": 10}, (4,)),
    ],
)
def test_the_most_frequent_stay(config, kept):
    assert decided([5, 1, 0, 9, 0], own=[4], **config) == kept


def test_of_equal_counts_the_lower_id_stays():
    assert decided([2, 2, 2, 2], size=2) == (0, 1)


def test_a_token_brings_what_it_needs_or_does_not_come():
    parts = {3: {3, 1, 0}, 2: {2, 0}}

    def needs(token):
        return parts.get(token, {token})

    assert decided([0, 0, 5, 9], needs=needs, size=3) == (0, 1, 3)
    assert decided([0, 0, 5, 9], needs=needs, size=4) == (0, 1, 2, 3)
    assert decided([0, 0, 5, 9], needs=needs, size=2) == ()


def test_a_size_without_room_is_told():
    with pytest.raises(ConfigError, match="size is 1, but 2 tokens stay in any case"):
        decided([1, 1, 1], own=[0, 1], size=1)


@pytest.fixture
def parts():
    """A model, its tokenizer, and batches of the texts."""
    tokenizer = word_tokenizer(WORDS)
    torch.manual_seed(0)
    model = random_model(
        random_config(BERT), task="text-classification", labels=("a", "b"), tokenizer=tokenizer
    )
    rows = [tokenizer(text) for text in TEXTS]
    return model.eval(), tokenizer, rows


def test_model_and_tokenizer_keep_the_words_of_the_texts(parts):
    model, tokenizer, rows = parts
    batch = tokenizer.pad(rows, return_tensors="pt")
    ctx = Context({}, lambda: [batch], processor=tokenizer)
    plan = make_method("keep_vocabulary", {}).plan(model, ctx)
    small = fit_tokenizer(tokenizer, plan)
    assert set(WORDS) - set(small.get_vocab()) == {"new"}
    with torch.no_grad():
        before = model(**batch).logits
        apply_plan(model, plan)
        again = small(TEXTS, padding=True, return_tensors="pt")
        assert torch.equal(model(**again).logits, before)


def test_where_all_tokens_stay_there_is_no_edit(parts):
    model, tokenizer, _ = parts
    batch = tokenizer([" ".join([*WORDS, "[MASK]", "[UNK]"])], return_tensors="pt")
    ctx = Context({}, lambda: [batch], processor=tokenizer)
    assert len(make_method("keep_vocabulary", {}).plan(model, ctx)) == 0


def test_the_ids_up_to_the_padding_stay_where_positions_count_from_it():
    model, inputs = FAMILIES["roberta"]()
    model.config.bos_token_id = model.config.eos_token_id = 2
    tokenizer = word_tokenizer([str(n) for n in range(55)])
    ctx = Context(inputs, lambda: [inputs], processor=tokenizer)
    (edit,) = make_method("keep_vocabulary", {}).plan(model, ctx)
    assert edit.tokens[:2] == (0, 1)
    apply_plan(model, [edit.to_json()], inputs)


def test_without_a_tokenizer_it_is_told(parts):
    model, tokenizer, rows = parts
    batch = tokenizer.pad(rows, return_tensors="pt")
    with pytest.raises(PlanError, match="give the trainer processing_class="):
        make_method("keep_vocabulary", {}).plan(model, Context({}, lambda: [batch]))


@pytest.fixture
def trainer(parts, tmp_path):
    model, tokenizer, rows = parts
    data = Dataset.from_list([{**row, "labels": number % 2} for number, row in enumerate(rows)])
    arguments = TrainingArguments(str(tmp_path), max_steps=1, report_to="none", use_cpu=True)
    return CompressionTrainer(
        model,
        arguments,
        train_dataset=data,
        data_collator=DataCollatorWithPadding(tokenizer),
        processing_class=tokenizer,
        methods=[make_method("keep_vocabulary", {"size": 9})],
    )


def test_a_trainer_is_left_with_the_tokenizer_of_what_stays(trainer, tmp_path):
    trainer.train()
    model = trainer.compress()
    assert model.config.vocab_size == len(trainer.processing_class) == 9
    assert {"very", "good"} <= set(trainer.processing_class.get_vocab())
    trainer.save_model(tmp_path / "saved")
    assert (tmp_path / "saved" / "tokenizer.json").is_file()
