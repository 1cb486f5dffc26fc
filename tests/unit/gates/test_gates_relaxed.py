"""Choices by gradients: the mixture, what it learns, and the one choice within the budget."""

import itertools

import pytest
import torch
from torch import nn

from nlpcompress.core.method import Progress, Step
from nlpcompress.errors import ConfigError
from nlpcompress.gates.cover import GatePlaces, over_weights
from nlpcompress.gates.fake_quant import MovingFakeQuant
from nlpcompress.gates.relaxed import RelaxedChoice, RelaxedChoices
from nlpcompress.gates.relaxed_bits import RelaxedFakeQuant
from nlpcompress.gates.relaxed_widths import RelaxedWidth
from nlpcompress.models.grid import Scheme, rounded

STEP = Step({}, None, torch.tensor(0.0))


def choice_of(costs, logits):
    choice = RelaxedChoice(costs)
    choice.logits.data = torch.tensor(logits)
    return choice


def test_a_weight_is_the_mean_of_its_roundings_and_shares_learn_by_the_chain_rule():
    torch.manual_seed(0)
    matrix, logits = torch.randn(8, 6), torch.tensor([0.3, -0.4, 1.1])
    choice = choice_of([2, 4, 8], logits.tolist())
    grids = [
        MovingFakeQuant(matrix, Scheme(8, 6, bits, 4, 6, False), "min_max", momentum=0.9)
        for bits in (2, 4, 8)
    ]
    weight = matrix.clone().requires_grad_()
    mixed = RelaxedFakeQuant(grids, choice)(weight)
    shares = logits.exp() / logits.exp().sum()
    options = [rounded(matrix, grid.scheme, grid.grid) for grid in grids]
    expected = sum(share * option for share, option in zip(shares, options, strict=True))
    torch.testing.assert_close(mixed, expected)
    ahead = torch.randn(8, 6)
    (mixed * ahead).sum().backward()
    torch.testing.assert_close(weight.grad, ahead)  # straight through, and shares are 1 in sum
    gains = torch.stack([(option * ahead).sum() for option in options])
    torch.testing.assert_close(choice.logits.grad, shares * (gains - shares @ gains))


def test_a_width_is_the_mean_of_its_masks():
    choice = choice_of([1, 2, 4], [0.0, 1.0, 0.5])
    gate = RelaxedWidth(GatePlaces("slices", (over_weights("w", (4,)),)), [1, 2, 4], choice)
    small, middle, whole = choice.shares().tolist()
    expected = torch.tensor([1.0, middle + whole, whole, whole])
    torch.testing.assert_close(gate(), expected)
    choice.choose(1)
    assert gate().tolist() == [1.0, 1.0, 0.0, 0.0] and small < middle


def test_shares_gather_on_the_option_that_helps():
    """DARTS on a toy: of nothing, itself and its double, the target is its double."""
    torch.manual_seed(0)
    inputs, choice = torch.randn(64), RelaxedChoice([1, 1, 1])
    optimizer = torch.optim.Adam(choice.parameters(), lr=0.1)
    for _ in range(100):
        mixed = choice.mix([lambda: 0 * inputs, lambda: inputs, lambda: 2 * inputs])
        loss = (mixed - 2 * inputs).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert choice.shares()[2] > 0.95


def test_the_likeliest_options_within_the_budget_are_chosen():
    torch.manual_seed(0)
    costs = [[2, 4, 8], [20, 40, 80], [5, 6, 7]]
    choices = {str(i): choice_of(own, torch.randn(3).tolist()) for i, own in enumerate(costs)}
    for budget in (27, 45, 52, 60, 95):
        for choice in choices.values():
            choice.chosen = None
        relaxed = RelaxedChoices(choices, budget=budget, choose_at=0.5)
        relaxed.advance(Progress(4, 10, 0))
        assert not relaxed.decided
        relaxed.advance(Progress(5, 10, 0))
        found = tuple(choice.chosen for choice in choices.values())
        best = max(
            (
                places
                for places in itertools.product(range(3), repeat=3)
                if sum(own[p] for own, p in zip(costs, places, strict=True)) <= budget
            ),
            key=lambda places: sum(
                choice.logits.detach().log_softmax(0)[p].item()
                for choice, p in zip(choices.values(), places, strict=True)
            ),
        )
        assert found == best


def test_the_price_is_of_what_is_expected_above_the_budget():
    choices = {"a": RelaxedChoice([2, 4]), "b": RelaxedChoice([10, 30])}
    relaxed = RelaxedChoices(choices, budget=20, choose_at=1.0)
    objective = relaxed.objective(3.0)
    assert (objective.name, objective.weight) == ("size", 3.0)
    loss = objective.loss(STEP)
    assert loss.item() == pytest.approx((3 + 20) / 20 - 1)
    loss.backward()
    assert choices["b"].logits.grad[1] > 0 > choices["b"].logits.grad[0]
    choices["b"].logits.data = torch.tensor([9.0, -9.0])
    assert objective.loss(STEP).item() == 0
    relaxed.advance(Progress(10, 10, 0))
    assert objective.loss(STEP).item() == 0 and objective.loss(STEP).requires_grad


def test_what_was_chosen_is_in_the_state():
    choices = {"a": RelaxedChoice([2, 4]), "b": RelaxedChoice([10, 30])}
    relaxed = RelaxedChoices(choices, budget=14, choose_at=0.5)
    before = nn.Module.state_dict(relaxed)
    again = RelaxedChoices(
        {"a": RelaxedChoice([2, 4]), "b": RelaxedChoice([10, 30])}, budget=14, choose_at=0.5
    )
    again.load_state_dict(before)
    assert not again.decided
    relaxed.advance(Progress(1, 2, 0))
    again.load_state_dict(relaxed.state_dict())
    assert again.decided and again.choices[1].chosen == choices["b"].chosen == 0


def test_a_budget_that_nobody_meets_is_refused_before_the_training():
    with pytest.raises(ConfigError, match="the least possible is 12 bits"):
        RelaxedChoices(
            {"a": RelaxedChoice([2, 4]), "b": RelaxedChoice([10, 30])}, budget=11, choose_at=0.5
        )
