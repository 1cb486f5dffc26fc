"""Hard concrete gates against Louizos et al. 2018 and the head gates of Voita et al. 2019."""

import math

import pytest
import torch

from nlpcompress.gates import ConcreteGate, GatePlaces, HardConcrete
from nlpcompress.gates.cover import over_weights
from nlpcompress.methods.pruning.head_gates import VOITA, open_heads

SCORES = torch.linspace(-3, 3, 7).double()


@pytest.mark.parametrize("gates", [VOITA, HardConcrete()])
def test_the_chance_of_being_open_is_that_of_many_draws(gates):
    draws = 200_000
    samples = gates.sample(SCORES.expand(draws, -1).clone(), torch.Generator().manual_seed(0))
    seen = (samples > 0).double().mean(0)
    expected = gates.chance_open(SCORES)
    error = (expected * (1 - expected) / draws).sqrt()
    assert ((seen - expected).abs() < 5 * error + 1e-9).all()


def test_some_gates_are_exactly_shut_and_some_exactly_open():
    samples = VOITA.sample(torch.zeros(10_000), torch.Generator().manual_seed(0))
    assert (samples == 0).any() and (samples == 1).any() and ((samples > 0) & (samples < 1)).any()


def test_evaluation_has_neither_noise_nor_temperature():
    for score in SCORES.tolist():
        stretched = 1.2 / (1 + math.exp(-score)) - 0.1
        assert VOITA.value(torch.tensor(score)) == pytest.approx(min(max(stretched, 0), 1))


def test_gradients_are_finite_differences_under_the_same_noise():
    def sample(scores):
        return VOITA.sample(scores, torch.Generator().manual_seed(5)).sum()

    scores = SCORES.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(sample(scores), scores)
    for i in range(len(SCORES)):
        step = torch.zeros_like(SCORES)
        step[i] = 1e-6
        difference = (sample(SCORES + step) - sample(SCORES - step)) / 2e-6
        assert gradient[i] == pytest.approx(float(difference), abs=1e-6)


def test_the_price_is_the_expected_number_of_open_heads():
    gate = ConcreteGate(GatePlaces("a", (over_weights("w", (7,)),)), distribution=VOITA)
    gate.scores.data.copy_(SCORES)
    expected = sum(1 / (1 + math.exp(-(s - 0.33 * math.log(0.1 / 1.1)))) for s in SCORES.tolist())
    assert open_heads(gate).item() == pytest.approx(expected, rel=1e-5)
