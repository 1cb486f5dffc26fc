"""Soft targets and logit matching against their definitions."""

from functools import partial

import pytest
import torch
import torch.nn.functional as F

from nlpcompress.losses import logits_mse, soft_label_loss, soft_target_loss


def logits(*shape, seed=0, scale=3.0):
    return scale * torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def by_hand(student, teacher, temperature):
    """T² Σ p_t (log p_t - log p_s), a mean over rows, in plain arithmetic."""
    p = (teacher / temperature).softmax(-1)
    q = (student / temperature).softmax(-1)
    return temperature**2 * (p * (p.log() - q.log())).sum(-1).mean()


@pytest.mark.parametrize("temperature", [1.0, 2.0, 7.5])
def test_equals_the_definition(temperature):
    student, teacher = logits(6, 5).double(), logits(6, 5, seed=1).double()
    loss = soft_target_loss(student, teacher, temperature=temperature)
    assert loss == pytest.approx(float(by_hand(student, teacher, temperature)), abs=1e-12)


def test_a_number_by_hand():
    """p = (0.8, 0.2) against q = (0.5, 0.5): 0.8 ln 1.6 + 0.2 ln 0.4 = 0.192745."""
    loss = soft_target_loss(torch.zeros(1, 2), torch.tensor([[0.8, 0.2]]).log(), temperature=1.0)
    assert float(loss) == pytest.approx(0.1927448, abs=1e-6)


def test_zero_and_without_gradient_at_the_teacher():
    student = logits(4, 3).requires_grad_()
    loss = soft_target_loss(student, student.detach().clone(), temperature=2.0)
    loss.backward()
    assert float(loss.detach()) == pytest.approx(0, abs=1e-6)
    assert student.grad.abs().max() < 1e-6


def test_the_gradient_is_temperature_times_the_difference_of_probabilities():
    """d/dz of T²·KL = T·(q - p); so T² keeps it in proportion (Hinton et al., section 2)."""
    student, teacher = logits(1, 4).double().requires_grad_(), logits(1, 4, seed=1).double()
    soft_target_loss(student, teacher, temperature=3.0).backward()
    expected = 3.0 * ((student / 3).softmax(-1) - (teacher / 3).softmax(-1))
    assert torch.allclose(student.grad, expected, atol=1e-12)


def test_no_gradient_reaches_the_teacher():
    student, teacher = logits(2, 3).requires_grad_(), logits(2, 3, seed=1).requires_grad_()
    (soft_target_loss(student, teacher, temperature=1.0) + logits_mse(student, teacher)).backward()
    assert teacher.grad is None


def test_padding_does_not_count():
    student, teacher = logits(2, 4, 3), logits(2, 4, 3, seed=1)
    mask = torch.tensor([[1, 1, 0, 0], [1, 1, 1, 1]])
    expected = by_hand(student[mask.bool()], teacher[mask.bool()], 2.0)
    student[0, 2:] = float("inf")  # even infinities of padded rows
    loss = soft_target_loss(student, teacher, temperature=2.0, mask=mask)
    assert float(loss) == pytest.approx(float(expected), rel=1e-6)


def test_a_mask_of_nothing_is_zero_and_not_nan():
    student = logits(2, 3, 4).requires_grad_()
    none = torch.zeros(2, 3, dtype=torch.bool)
    loss = soft_target_loss(student, logits(2, 3, 4, seed=1), temperature=1.0, mask=none)
    loss.backward()
    assert float(loss.detach()) == 0 and float(student.grad.abs().max()) == 0


def test_half_precision_is_computed_in_float32():
    student, teacher = logits(8, 5).bfloat16(), logits(8, 5, seed=1).bfloat16()
    loss = soft_target_loss(student, teacher, temperature=2.0)
    assert loss.dtype == torch.float32
    assert float(loss) == pytest.approx(
        float(by_hand(student.float(), teacher.float(), 2)), rel=1e-5
    )


def test_mse_is_the_mean_over_rows_and_classes():
    student, teacher = logits(4, 3, 2), logits(4, 3, 2, seed=1)
    assert torch.allclose(logits_mse(student, teacher), F.mse_loss(student, teacher))
    mask = torch.tensor([[1, 0, 0]] * 4)
    expected = F.mse_loss(student[:, 0], teacher[:, 0])
    assert torch.allclose(logits_mse(student, teacher, mask=mask), expected)


def test_labels_of_their_own_are_two_class_soft_targets_each():
    """The mean over labels of KL between (σ(z), 1 - σ(z)), which is a softmax over (z, 0)."""
    student, teacher = logits(6, 5).double(), logits(6, 5, seed=1).double()
    loss = soft_label_loss(student, teacher, temperature=2.0)
    two = [torch.stack([z, torch.zeros_like(z)], -1) for z in (student, teacher)]
    assert loss == pytest.approx(float(by_hand(*two, 2.0)), abs=1e-12)


def test_labels_of_their_own_with_certain_logits_padding_and_a_teacher():
    student = torch.tensor([[80.0, -80.0], [torch.inf, torch.nan]], requires_grad=True)
    teacher = torch.tensor([[-80.0, -80.0], [0.0, 0.0]], requires_grad=True)
    loss = soft_label_loss(student, teacher, temperature=1.0, mask=torch.tensor([1, 0]))
    loss.backward()
    assert float(loss.detach()) == pytest.approx(40)  # 80 for the first label, 0 for the second
    assert student.grad[0].tolist() == [pytest.approx(0.5), 0] and teacher.grad is None


@pytest.mark.parametrize(
    "loss",
    [
        logits_mse,
        partial(soft_target_loss, temperature=0.5),
        partial(soft_label_loss, temperature=2.0),
    ],
)
def test_classes_that_are_not_there_have_no_part(loss):
    there = torch.tensor([[1, 1, 1, 0, 0], [1, 1, 0, 0, 0]]).bool()
    own, target = logits(2, 5).bfloat16().requires_grad_(), logits(2, 5, seed=1)
    rows = [loss(own[[k], :count], target[[k], :count]) for k, count in enumerate((3, 2))]
    found = loss(own, target, classes=there)
    assert torch.allclose(found, sum(rows) / 2, atol=1e-6)
    found.backward()
    assert own.grad.isfinite().all() and bool((own.grad[~there] == 0).all())
