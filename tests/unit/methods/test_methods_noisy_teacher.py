"""Noise in the answers that `logits` learns from: where it acts, and where it must not."""

import pytest
import torch

from nlpcompress.core.method import Context, Step
from nlpcompress.errors import ConfigError
from nlpcompress.losses import noisy_logits, soft_target_loss
from nlpcompress.methods import make_method

SPANS = ("start_logits", "end_logits")


def soft(student, teacher, inputs=None, **config):
    torch.manual_seed(5)
    objective, task = make_method("logits", config).objectives(Context({}))
    step = Step(inputs or {}, student, torch.tensor(0.0), lambda _: teacher)
    assert task.loss(step) == 0
    return objective.loss(step)


def test_the_teachers_logits_are_noised_and_not_the_students():
    student, teacher = ({"logits": torch.randn(6, 3)} for _ in range(2))
    before = teacher["logits"].clone()
    found = soft(student, teacher, noise_sigma=0.5, noise_fraction=0.5)
    torch.manual_seed(5)
    noisy = noisy_logits(before[:, None], sigma=0.5, fraction=0.5)[:, 0]
    expected = soft_target_loss(student["logits"], noisy, temperature=2.0)
    assert found.item() == pytest.approx(expected.item())
    assert torch.equal(teacher["logits"], before)
    assert found.item() != pytest.approx(soft(student, teacher).item(), abs=1e-4)


def test_an_example_has_noise_in_its_start_and_its_end_or_in_none():
    """Of a teacher that is right in both, any noise makes a loss; half the batches have none."""
    teacher = {name: torch.randn(1, 9) for name in SPANS}
    objective, _ = make_method("logits", {"noise_sigma": 1.0, "noise_fraction": 0.5}).objectives(
        Context({})
    )
    seen = set()
    for seed in range(40):
        losses = []
        for name in SPANS:
            torch.manual_seed(seed)
            free = {**{n: teacher[n].clone() for n in SPANS}}
            free[name].requires_grad_()
            objective.loss(Step({}, free, torch.tensor(0.0), lambda _: teacher)).backward()
            losses.append(float(free[name].grad.abs().max()) > 1e-4)
        seen.add(tuple(losses))
    assert seen == {(False, False), (True, True)}


def test_noise_of_starts_and_ends_leaves_padding_alone():
    student, teacher = ({name: torch.randn(2, 5) for name in SPANS} for _ in range(2))
    inputs = {"attention_mask": torch.tensor([[1, 1, 1, 0, 0]] * 2)}
    noisy = soft(student, teacher, inputs, noise_sigma=2.0)
    for answers in (student, teacher):
        for name in SPANS:
            answers[name][:, 3:] = torch.randn(2, 2) * 50
    assert torch.equal(noisy, soft(student, teacher, inputs, noise_sigma=2.0))
    assert bool(noisy.isfinite())


@pytest.mark.parametrize(
    ("config", "message"),
    [({"noise_sigma": -0.1}, "config.noise_sigma: .*greater than or equal to 0"),
     ({"noise_fraction": 0.0}, "config.noise_fraction: .*greater than 0"),
     ({"noise_fraction": 1.5}, "config.noise_fraction: .*less than or equal to 1")],
)  # fmt: skip
def test_noise_out_of_bounds_is_refused(config, message):
    with pytest.raises(ConfigError, match=message):
        make_method("logits", config, where="config")
