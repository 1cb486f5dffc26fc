"""Layers that are left out at random, and dropout, while a student is trained."""

import pytest
import torch
from transformers import AutoModelForImageClassification, ResNetConfig

from nlpcompress.errors import ConfigError
from nlpcompress.training.self_training.model_noise import model_noise, stochastic_depth
from tests.unit.training.training_tiny import Examples, tiny_bert


class Adds(torch.nn.Module):
    """Adds its number to its input."""

    def __init__(self, number, as_tuple):
        super().__init__()
        self.number, self.as_tuple = number, as_tuple

    def forward(self, hidden_states):
        found = hidden_states + self.number
        return (found, "attention") if self.as_tuple else found


class Stack(torch.nn.Module):
    """Layers that add 1, 10 and 100: the sum tells which of them counted."""

    def __init__(self, as_tuple=False, by_name=False):
        super().__init__()
        self.config = type("Config", (), {"num_hidden_layers": 3})()
        self.layer = torch.nn.ModuleList(Adds(10**i, as_tuple) for i in range(3))
        self.by_name = by_name

    def forward(self, states):
        for layer in self.layer:
            out = layer(hidden_states=states) if self.by_name else layer(states)
            assert not layer.as_tuple or out[1] == "attention"
            states = out[0] if layer.as_tuple else out
        return states


@pytest.mark.parametrize("as_tuple", [False, True])
@pytest.mark.parametrize("by_name", [False, True])
def test_later_layers_are_left_out_more_often_and_the_mean_is_that_of_all(as_tuple, by_name):
    torch.manual_seed(0)
    stack = Stack(as_tuple, by_name).train()
    with stochastic_depth(stack, 0.4):
        found = stack(torch.zeros(20_000, 2, 1))
    assert torch.equal(found[:, 0], found[:, 1])
    chances = (0.8, 0.6, 0.4)
    bits = torch.cartesian_prod(*[torch.tensor([0, 1])] * 3)
    whole = (bits * torch.tensor([10**i / chance for i, chance in enumerate(chances)])).sum(1)
    nearest = (found[:, 0] - whole).abs().argmin(1)
    assert float((found[:, 0, 0] - whole[nearest]).abs().max()) < 1e-2
    for position, chance in enumerate(chances):
        on = (nearest >> (2 - position)) & 1
        assert on.float().mean().item() == pytest.approx(chance, abs=0.02)
    assert found.mean().item() == pytest.approx(111, rel=0.03)


def test_evaluation_has_all_layers_and_nothing_stays_behind():
    stack = Stack()
    with stochastic_depth(stack, 0.1):
        assert torch.equal(stack.eval()(torch.zeros(50, 1, 1)), torch.full((50, 1, 1), 111.0))
    assert torch.equal(stack.train()(torch.zeros(50, 1, 1)), torch.full((50, 1, 1), 111.0))


def test_a_real_model_has_its_noise_and_loses_it():
    model, ids = tiny_bert(dropout=0.0).train(), Examples(8).ids
    model.requires_grad_(False)
    clean = model(input_ids=ids).logits
    for values in ({"dropout": 0.3, "survival": 1.0}, {"dropout": None, "survival": 0.3}):
        torch.manual_seed(0)
        with model_noise(model, **values):
            noisy = model(input_ids=ids).logits
            assert not torch.allclose(noisy, clean, rtol=1e-2, atol=1e-5)
            assert torch.equal(model.eval()(input_ids=ids).logits, clean)
            model.train()
        assert torch.equal(model(input_ids=ids).logits, clean)
    with model_noise(model, dropout=None, survival=1.0):
        assert torch.equal(model(input_ids=ids).logits, clean)


def test_a_model_without_a_stack_is_told_how_to_go_on():
    net = ResNetConfig(embedding_size=8, hidden_sizes=[8, 8], depths=[1, 1], layer_type="basic")
    model = AutoModelForImageClassification.from_config(net)
    with (
        pytest.raises(ConfigError, match=r"no layers can be left out at random .*survival: 1.0"),
        model_noise(model, dropout=None, survival=0.8),
    ):
        pass
    with model_noise(model, dropout=0.1, survival=1.0):
        pass
