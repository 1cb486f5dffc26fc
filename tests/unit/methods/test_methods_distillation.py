"""The configuration and the loss of `logits`, and the table of methods."""

from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F

from nlpcompress.core.method import Context, Step
from nlpcompress.errors import ConfigError, UnknownNameError
from nlpcompress.losses import soft_label_loss, soft_target_loss
from nlpcompress.methods import METHODS, make_method

NOTHING = Context({})


def soft(step, **config):
    objectives = {o.name: o for o in make_method("logits", config).objectives(NOTHING)}
    return objectives["soft_targets"].loss(step)


def step(student, teacher, inputs=None):
    return Step(inputs or {}, student, torch.tensor(0.0), lambda _: teacher)


@pytest.mark.parametrize(
    ("config", "weights"),
    [({}, (0.5, 0.5)), ({"alpha_ce": 0.9}, (0.9, 0.1)), ({"alpha_ce": 5.0}, (5.0, 0.0)),
     ({"alpha_ce": 5.0, "alpha_task": 2.0}, (5.0, 2.0))],
)  # fmt: skip
def test_weights_of_soft_targets_and_task(config, weights):
    objectives = make_method("logits", config).objectives(NOTHING)
    assert [o.name for o in objectives] == ["soft_targets", "task"]
    assert [o.weight for o in objectives] == pytest.approx(weights)
    assert [o.needs_teacher for o in objectives] == [True, False]
    assert len(make_method("logits", config).plan(torch.nn.Linear(1, 1), NOTHING)) == 0


def test_tokens_count_where_they_are_labelled_or_else_attended():
    student, teacher = ({"logits": torch.randn(2, 4, 5)} for _ in range(2))
    labels = torch.tensor([[-100, 1, 2, -100], [0, -100, -100, -100]])
    attention = torch.tensor([[1, 1, 1, 0], [1, 1, 0, 0]])
    for inputs, mask in (
        ({"labels": labels, "attention_mask": attention}, labels != -100),
        ({"attention_mask": attention}, attention),
        ({"labels": torch.tensor([1, 2])}, None),
    ):
        expected = soft_target_loss(
            student["logits"], teacher["logits"], temperature=2.0, mask=mask
        )
        assert torch.equal(soft(step(student, teacher, inputs)), expected)


def test_one_output_is_compared_by_its_square():
    student, teacher = ({"logits": torch.randn(6, 1)} for _ in range(2))
    assert torch.equal(
        soft(step(student, teacher)), F.mse_loss(student["logits"], teacher["logits"])
    )


def test_question_answering_averages_starts_and_ends():
    names = ("start_logits", "end_logits")
    student, teacher = ({name: torch.randn(3, 9) for name in names} for _ in range(2))
    parts = [soft_target_loss(student[n], teacher[n], temperature=2.0) for n in names]
    assert torch.allclose(soft(step(student, teacher)), sum(parts) / 2)


def test_answers_are_never_at_padding():
    names = ("start_logits", "end_logits")
    student, teacher = ({name: torch.randn(2, 5) for name in names} for _ in range(2))
    short = [{name: logits[:, :3] for name, logits in out.items()} for out in (student, teacher)]
    attention = torch.tensor([[1, 1, 1, 0, 0]] * 2)
    padded = soft(step(student, teacher, {"attention_mask": attention}))
    assert padded.item() == pytest.approx(soft(step(*short)).item())


def test_labels_that_do_not_exclude_each_other_are_a_distribution_each():
    config = SimpleNamespace(problem_type="multi_label_classification")
    student, teacher = ({"logits": torch.randn(6, 3)} for _ in range(2))
    ctx = Context({}, teacher=SimpleNamespace(config=config))
    objective, _ = make_method("logits", {}).objectives(ctx)
    expected = soft_label_loss(student["logits"], teacher["logits"], temperature=2.0)
    assert torch.equal(objective.loss(step(student, teacher)), expected)


def test_logits_themselves_may_be_matched():
    student, teacher = ({"logits": torch.randn(6, 3)} for _ in range(2))
    expected = F.mse_loss(student["logits"], teacher["logits"])
    assert torch.allclose(soft(step(student, teacher), loss="mse"), expected)


def test_fine_tuning_is_nothing_but_the_task():
    method = make_method("fine_tune", {})
    assert method.objectives(NOTHING) == () and len(method.plan(None, NOTHING)) == 0


def test_names_and_configs_that_are_wrong_are_told():
    with pytest.raises(
        UnknownNameError,
        match=r"unknown method 'head_importnace'; did you mean 'head_importance'\?",
    ):
        make_method("head_importnace", {})
    with pytest.raises(
        ConfigError, match=r"stages.2.config.temperature: .*greater than 0 \(value: 0\)"
    ):
        make_method("logits", {"temperature": 0}, where="stages.2.config")
    assert set(METHODS) >= {"fine_tune", "head_importance", "logits", "neuron_importance"}


@pytest.mark.parametrize("loss", ["kl", "mse"])
def test_padding_has_no_part_in_spans_whatever_the_precision(loss):
    names = ("start_logits", "end_logits")
    student, teacher = ({name: torch.randn(2, 5) for name in names} for _ in range(2))
    short = [{name: logits[:, :3] for name, logits in out.items()} for out in (student, teacher)]
    attention = torch.tensor([[1, 1, 1, 0, 0]] * 2)
    halves = {name: logits.bfloat16() for name, logits in student.items()}
    found = soft(step(halves, teacher, {"attention_mask": attention}), loss=loss)
    assert found.item() == pytest.approx(soft(step(*short), loss=loss).item(), rel=2e-2)


def test_several_numbers_are_no_distribution():
    config = SimpleNamespace(problem_type="regression")
    ctx = Context({}, teacher=SimpleNamespace(config=config))
    objective, _ = make_method("logits", {}).objectives(ctx)
    teacher = torch.randn(6, 3)
    found = objective.loss(step({"logits": teacher + 2}, {"logits": teacher}))
    assert found.item() == pytest.approx(4)
