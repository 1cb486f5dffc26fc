"""Movement pruning against the formulas of Sanh et al. 2020, and the faults of its code."""

import math

import pytest
import torch
from torch import nn

from nlpcompress.core.method import Progress
from nlpcompress.errors import ConfigError
from nlpcompress.gates import CubicSchedule, GatePlaces, GateSet, ScheduledGates, ScoreGate
from nlpcompress.gates import keep_share as share
from nlpcompress.gates.attach import original
from nlpcompress.gates.cover import over_blocks, over_positions, over_weights
from nlpcompress.losses import l0_penalty, l1_penalty
from nlpcompress.methods import make_method
from nlpcompress.methods.pruning.movement import L0
from tests.chain import Chain

W, T = 40, 300  # warm-up steps and all steps of the schedules below


def formula(step, *, start, end, initial, final):
    if step <= start:
        return initial
    if step > end:
        return final
    return final + (initial - final) * (1 - (step - start) / (end - start)) ** 3


@pytest.mark.parametrize(
    ("initial", "final", "initial_warmup", "final_warmup"),
    [(1.0, 0.15, 1, 2), (0.0, 0.1, 1, 4), (1.0, 0.03, 0, 0), (1.0, 0.5, 1.5, 0.5)],
)
def test_the_schedule_is_the_formula_at_every_step(initial, final, initial_warmup, final_warmup):
    schedule = CubicSchedule(initial, final, initial_warmup, final_warmup)
    bounds = {"start": initial_warmup * W, "end": T - final_warmup * W}
    for step in range(T + 1):
        expected = formula(step, initial=initial, final=final, **bounds)
        assert schedule.at(Progress(step, T, W)) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(("total", "warmup"), [(1000, 400), (300, 100), (3, 1)])
def test_a_schedule_without_a_ramp_is_refused(total, warmup):
    with pytest.raises(ConfigError, match=rf"{total} steps with {warmup} steps .*would jump"):
        CubicSchedule(1.0, 0.1).at(Progress(0, total, warmup))


def test_a_flat_schedule_needs_no_ramp():
    assert CubicSchedule(0.3, 0.3).at(Progress(0, 10, 10)) == 0.3


def linear_with_gate(cover, mask):
    torch.manual_seed(0)
    model = Chain(nn.Linear(6, 4).double())
    gate = ScoreGate(GatePlaces("w", (cover,))).double()
    GateSet(model, [gate])
    gate.mask.copy_(mask)
    return model, gate


def loss_of(model, weight=None):
    inputs = torch.linspace(-1, 1, 30).double().reshape(5, 6)
    answer = model(inputs) if weight is None else inputs @ weight.t() + model[0].bias
    return answer.tanh().square().sum()


def test_scores_get_the_gradient_of_the_masked_weight_times_the_weight():
    mask = torch.rand(4, 6, generator=torch.Generator().manual_seed(2)) > 0.4
    model, gate = linear_with_gate(over_weights("0.weight", (4, 6)), mask)
    loss_of(model).backward()
    weight = original(model, "0.weight")
    masked = (weight * mask).detach().requires_grad_()
    (outer,) = torch.autograd.grad(loss_of(model, masked), masked)
    assert torch.allclose(gate.scores.grad, outer * weight, atol=1e-14)
    assert torch.allclose(weight.grad, outer * mask, atol=1e-14)
    assert (gate.scores.grad[~mask] != 0).all(), "a weight that is shut must be able to come back"


def test_a_blocks_score_gets_the_sum_over_its_weights():
    mask = torch.tensor([[True, False, True], [True, True, False]])
    model, gate = linear_with_gate(over_blocks("0.weight", (4, 6), (2, 2)), mask)
    loss_of(model).backward()
    weight = original(model, "0.weight")
    wide = mask.repeat_interleave(2, 0).repeat_interleave(2, 1)
    masked = (weight * wide).detach().requires_grad_()
    (outer,) = torch.autograd.grad(loss_of(model, masked), masked)
    expected = (outer * weight).reshape(2, 2, 3, 2).sum((1, 3))
    assert torch.allclose(gate.scores.grad, expected, atol=1e-14)


def test_a_shared_score_gets_the_sum_over_both_matrices():
    from nlpcompress.axes import Slice

    torch.manual_seed(1)
    model = Chain(nn.Linear(3, 4), nn.GELU(), nn.Linear(4, 2)).double()
    covers = (
        over_positions(Slice("0.weight", 0, 1, 1), (4, 3), 4),
        over_positions(Slice("2.weight", 1, 1, 1), (2, 4), 4),
    )
    gate = ScoreGate(GatePlaces("dense", covers)).double()
    GateSet(model, [gate])
    model(torch.ones(2, 3).double()).square().sum().backward()
    first, second = original(model, "0.weight"), original(model, "2.weight")
    expected = (first.grad * first).sum(1) + (second.grad * second).sum(0)
    assert torch.allclose(gate.scores.grad, expected, atol=1e-13)


def test_the_penalties_are_the_formulas():
    scores = torch.linspace(-3, 3, 12).reshape(3, 4)
    assert l1_penalty(scores) == pytest.approx(
        sum(1 / (1 + math.exp(-s)) for s in scores.flatten()) / 12
    )
    expected = [
        1 / (1 + math.exp(-(float(s) - 2 / 3 * math.log(0.1 / 1.1)))) for s in scores.flatten()
    ]
    assert l0_penalty(L0.chance_open(scores)) == pytest.approx(sum(expected) / 12)


def test_equal_scores_lose_exactly_the_asked_number():
    """Its code sorts: with all scores equal whole rows go, and a view decides which."""
    model = Chain(nn.Linear(10, 10))
    gate = ScoreGate(GatePlaces("w", (over_weights("0.weight", (10, 10)),)))
    gates = ScheduledGates(model, [gate], schedule=CubicSchedule(0.37, 0.37), rule=share)
    gates.advance(Progress(0, 10, 0))
    assert int(gate.mask.sum()) == 37


@pytest.mark.parametrize("mask", ["threshold", "sigmoid", "l0"])
def test_a_global_scope_without_topk_is_refused(mask):
    """Its code takes the threshold for a fraction, and keeps nothing."""
    with pytest.raises(ConfigError, match="scope: global is for mask: topk"):
        make_method("movement", {"mask": mask, "scope": "global", "final_lambda": 1.0})


def test_the_fields_spelling_of_soft_movement_is_understood():
    config = {"mask": "sigmoied_threshold", "final_lambda": 1.0}
    assert make_method("movement", config).config.mask == "sigmoid"


@pytest.mark.parametrize("mask", ["sigmoid", "l0"])
def test_a_mask_that_only_the_penalty_moves_needs_one(mask):
    with pytest.raises(ConfigError, match="set final_lambda"):
        make_method("movement", {"mask": mask})
