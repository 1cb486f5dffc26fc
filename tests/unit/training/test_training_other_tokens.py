"""A student learns from a teacher of other tokens, by what that says of the same examples."""

import copy

import pytest
import torch
from datasets import Dataset
from transformers import DataCollatorWithPadding, TrainingArguments

from nlpcompress.core.plan import plan_from_json
from nlpcompress.errors import ConfigError
from nlpcompress.methods import make_method
from nlpcompress.models.random import random_config, random_model, word_tokenizer
from nlpcompress.models.tokenizers import fit_tokenizer
from nlpcompress.surgery import apply_plan
from nlpcompress.training import CompressionTrainer
from tests.unit.methods.test_methods_keep_vocabulary import BERT, TEXTS, WORDS

ALL_BUT = "bright"


def rows(tokenizer):
    return Dataset.from_list([{**tokenizer(t), "labels": n % 2} for n, t in enumerate(TEXTS)])


@pytest.fixture
def pair():
    """A teacher, a student without one of its words, and both tokenizers."""
    tokenizer = word_tokenizer(WORDS)
    torch.manual_seed(0)
    teacher = random_model(
        random_config(BERT), task="text-classification", labels=("a", "b"), tokenizer=tokenizer
    )
    dropped = tokenizer.get_vocab()[ALL_BUT]
    tokens = [token for token in range(len(tokenizer)) if token != dropped]
    plan = plan_from_json([{"op": "keep_vocabulary", "tokens": tokens}])
    student = apply_plan(copy.deepcopy(teacher), plan)
    return teacher.eval(), tokenizer, student, fit_tokenizer(tokenizer, plan)


def trainer(pair, tmp_path, *, method="logits", data=True, **options):
    teacher, own, student, tokenizer = pair
    arguments = TrainingArguments(
        str(tmp_path), max_steps=1, report_to="none", use_cpu=True, per_device_train_batch_size=5
    )
    theirs = (rows(own), DataCollatorWithPadding(own)) if data else None
    return CompressionTrainer(
        student,
        arguments,
        train_dataset=rows(tokenizer),
        data_collator=DataCollatorWithPadding(tokenizer),
        methods=[make_method(method, {})],
        teacher=teacher,
        teacher_cache=tmp_path / "answers",
        teacher_data=theirs,
        **options,
    )


def test_the_answers_are_those_to_the_teachers_own_tokens(pair, tmp_path):
    teacher, own, _, _ = pair
    learning = trainer(pair, tmp_path)
    with torch.no_grad():
        said = learning.teacher(torch.arange(len(TEXTS)))["logits"]
        expected = teacher(**own(TEXTS, padding=True, return_tensors="pt")).logits
    assert torch.allclose(said, expected, atol=1e-6)
    assert ALL_BUT in TEXTS[-1]
    assert learning.train().global_step == 1
    assert learning.state.log_history[-1]["train_loss"] > 0


def test_what_cannot_be_learnt_is_told(pair, tmp_path):
    with pytest.raises(ConfigError, match="teacher's vocabulary has 13 tokens, the student's 12"):
        trainer(pair, tmp_path, data=False)
    with pytest.raises(ConfigError, match="'features' compares what teacher and student hold of"):
        trainer(pair, tmp_path, method="features")


def test_answers_for_each_token_are_those_to_other_tokens(pair, tmp_path):
    _, tokenizer, *_ = pair
    taggers = [
        random_model(
            random_config(BERT), task="token-classification", labels=("a", "b"), tokenizer=tokenizer
        )
        for _ in range(2)
    ]
    with pytest.raises(ConfigError, match="answers for each token, and the tokens of teacher_data"):
        trainer((taggers[0], tokenizer, taggers[1], tokenizer), tmp_path)
    assert not (tmp_path / "answers").exists()
