"""What a clean teacher answers, and the training set that comes of it."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.utils.data import default_collate
from transformers.utils import ModelOutput

from nlpcompress.errors import ConfigError, DataError
from nlpcompress.losses import soft_target_loss
from nlpcompress.models.ensemble import Ensemble
from nlpcompress.training.self_training.data import PseudoLabelled, SelfTrainingData
from nlpcompress.training.self_training.pseudo_labels import pseudo_labels
from nlpcompress.training.self_training.selection import Selection
from tests.unit.training.self_training_tiny import Texts, Unlabelled, data
from tests.unit.training.training_tiny import tiny_bert


class Knows(torch.nn.Module):
    """Answers with the first token; where it drops out, with nonsense."""

    def __init__(self, classes=3, problem_type=None):
        super().__init__()
        self.config = SimpleNamespace(problem_type=problem_type)
        self.classes, self.dropout = classes, torch.nn.Dropout(0.5)

    def forward(self, input_ids):
        logits = input_ids[:, :1].float() * torch.arange(self.classes)
        return ModelOutput(logits=self.dropout(logits))


def test_a_teacher_in_training_answers_without_its_dropout_and_goes_on_training():
    teacher, texts = Knows().train(), Unlabelled(21, 0)
    state = torch.get_rng_state()
    found = pseudo_labels(teacher, texts, default_collate, batch_size=4)
    assert torch.equal(found, texts.ids[:, :1].float() * torch.arange(3))
    assert teacher.training and torch.equal(state, torch.get_rng_state())


def test_labels_are_not_looked_at():
    teacher = tiny_bert(num_labels=2).eval()
    with_labels, without = (
        pseudo_labels(teacher, kind(16, 0), default_collate) for kind in (Texts, Unlabelled)
    )
    assert torch.equal(with_labels, without)


def test_an_ensemble_may_answer():
    one, other = (tiny_bert(num_labels=2, seed=seed).eval() for seed in (1, 2))
    texts = Unlabelled(8, 0)
    parts = [pseudo_labels(teacher, texts, default_collate) for teacher in (one, other)]
    both = pseudo_labels(Ensemble([one, other]), texts, default_collate)
    assert torch.allclose(both, sum(parts) / 2, atol=1e-6)


def test_teachers_that_do_not_choose_a_class_are_refused():
    texts = Unlabelled(4, 0)
    with pytest.raises(ConfigError, match=r"logits \(B, C\) with C > 1; Knows answers with \(4, 1"):
        pseudo_labels(Knows(1), texts, default_collate)
    with pytest.raises(ConfigError, match="made for multi_label_classification"):
        pseudo_labels(Knows(3, "multi_label_classification"), texts, default_collate)
    with pytest.raises(DataError, match="unlabelled data set is empty"):
        pseudo_labels(Knows(), Unlabelled(0, 0), default_collate)


def mixed(repeats=2):
    selection = Selection(np.array([3, 0, 3]), np.array([1, 0, 1]), 2, (1, 2))
    return PseudoLabelled(data(labelled=4, unlabelled=5), selection, repeats=repeats)


def test_the_mix_has_true_labels_then_the_teachers():
    rows = [mixed()[i] for i in range(len(mixed()))]
    assert [int(row["labels"]) for row in rows] == [0, 1, 0, 1] * 2 + [1, 0, 1]
    assert torch.equal(rows[5]["input_ids"], Texts(4, 1).ids[1])
    assert torch.equal(rows[8]["input_ids"], Unlabelled(5, 2).ids[3])
    batch = default_collate(rows)
    assert batch["labels"].dtype == torch.int64 and batch["input_ids"].shape == (11, 8)


def test_labels_in_the_unlabelled_rows_do_not_leak():
    pool = SelfTrainingData(Texts(4, 1), Texts(5, 2), default_collate)
    wrong = 1 - pool.unlabelled.labels.numpy()
    rows = np.arange(5)
    found = PseudoLabelled(pool, Selection(rows, wrong, 5, (3, 2)))
    assert [int(found[4 + i]["labels"]) for i in rows] == wrong.tolist()


def test_targets_are_certain_of_labels_and_as_the_teacher_elsewhere():
    logits = torch.randn(5, 2, generator=torch.manual_seed(0))
    found = mixed().targets(logits)
    assert found.shape == (11, 2)
    assert torch.equal(found[:8].softmax(-1), torch.eye(2)[[0, 1] * 4])
    assert torch.allclose(found[8:].softmax(-1), logits[[3, 0, 3]].softmax(-1))
    student = torch.randn(11, 2, generator=torch.manual_seed(1)).requires_grad_()
    soft_target_loss(student[:8], found[:8], temperature=1.0).backward()
    soft = student.grad.clone()
    student.grad = None
    torch.nn.functional.cross_entropy(student[:8], torch.tensor([0, 1] * 4)).backward()
    assert torch.allclose(soft, student.grad, atol=1e-7)


def test_labelled_rows_without_labels_are_refused():
    for rows, seen in ((Unlabelled(4, 0), "input_ids, attention_mask"), ([], "no rows at all")):
        with pytest.raises(DataError, match=f"labelled rows need 'labels', but have {seen}"):
            SelfTrainingData(rows, Unlabelled(4, 0), default_collate)
